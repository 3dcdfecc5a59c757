"""The tutorials do what they say: their code blocks are run as they stand."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.helpers.tutorial_pages import blocks_of, run_page

PAGES = ROOT / "docs" / "tutorials"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "lines"), [("own_task.md", 7), ("own_matchmaker.md", 6)])
def test_a_tutorial_runs(page: str, lines: int, tmp_path: Path, tiny_path: Path) -> None:
    assert run_page(PAGES / page, tmp_path, MODEL=str(tiny_path)) == lines


def test_a_page_that_promises_too_much_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python file=a.py\nprint(1 + 1)\n```\n\n```sh\npython a.py\n```\n\n```text\n2\n```\n")
    assert run_page(page, tmp_path) == 1 and [block.language for block in blocks_of(page.read_text())][-1] == "text"
    page.write_text(page.read_text().replace("\n2\n", "\n3\n"))
    with pytest.raises(AssertionError, match="not printed"):
        run_page(page, tmp_path)
    page.write_text("```sh\npython missing.py\n```\n")
    with pytest.raises(AssertionError, match="missing.py"):
        run_page(page, tmp_path)
    page.write_text("```python\nprint(1)\n```\n")
    with pytest.raises(AssertionError, match="neither a file nor run"):
        run_page(page, tmp_path)
