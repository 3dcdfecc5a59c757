"""The base model judges the domains that ask a model, always the same way, and leaves the others alone."""

from pathlib import Path

import pytest

from league.config import parse_config
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.runtime.judging import let_base_judge
from tasks.domains import make_domain
from tasks.domains.checks import rubric
from tests.helpers.rows import gsm8k_like, write_jsonl
from tests.leagues import tiny_config


def test_the_base_model_gives_the_verdicts_of_a_rubric(
    tiny: BaseModel, tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))
    path = write_jsonl(tmp_path / "q.jsonl", gsm8k_like(30))
    check = {"kind": "rubric", "rubric": "Good."}
    judged = make_domain(
        "dataset", 1, {"path": str(path), "answer": "{{ answer[-2:] }}", "check": check}, alias="judged"
    )
    plain = make_domain("chain_sum", 1)
    config = parse_config(yaml.safe_dump(tiny_config(tiny_path, tmp_path)), "tiny")
    let_base_judge({"judged": judged, "plain": plain}, AdapterBank(tiny), config)
    heard: list[str] = []
    real = rubric.verdict

    def listening(text: str) -> bool:
        heard.append(text)
        return real(text)

    monkeypatch.setattr(rubric, "verdict", listening)
    problem = judged.problem("train", 0)
    assert judged.correct(problem, "a reply") is False  # random weights never write a verdict
    let_base_judge({"judged": judged}, AdapterBank(tiny), config)
    assert judged.correct(problem, "a reply") is False
    assert len(heard) == 2 and heard[0] == heard[1] != ""
    assert plain.correct(plain.problem("train", 0), f"Answer: {plain.problem('train', 0).answer}")
