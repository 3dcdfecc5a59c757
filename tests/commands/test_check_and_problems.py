"""`league check` and `league problems`: looking at a config before anything is trained, loaded or written."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from league import cli
from league.loop import train
from league.preflight.checks import prepare
from league.round import tryout
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny, tiny_config
from tests.preflight.test_input import WORDS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(place: Path, data: dict, **changes: object) -> Path:
    path = place / "mine.yaml"
    path.write_text(yaml.safe_dump({**data, **changes}))
    return path


class Said:
    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def league(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The program in this process, with its exit code and what it says."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["league", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return Said(int(end.value.code or 0), said.out, said.err)

    return run


# ------------------------------------------------------------------------------------------------------ problems
def test_what_an_agent_will_see_is_what_contests_ask(place: Path, league) -> None:
    config = write(place, tiny_config(Path("no-model"), place))
    said = league("problems", str(config), "sums", "--count", "2", "--split", "test", "--json")
    shown = json.loads(said.out)
    domain = prepare_domain(config)
    assert said.code == 0 and [each["key"] for each in shown["problems"]] == ["sums/test/0", "sums/test/1"]
    for index, each in enumerate(shown["problems"]):
        problem = domain.problem("test", index)
        assert [(m["role"], m["content"]) for m in each["prompt"]] == [
            (m.role, m.content) for m in domain.prompt(problem)
        ]
        assert (each["answer"], each["max_tokens"]) == (problem.answer, domain.max_tokens)
    assert sorted(each.name for each in place.iterdir()) == ["mine.yaml"]


def prepare_domain(config: Path):
    from tasks.domains import make_domain

    data = yaml.safe_load(config.read_text())
    return make_domain(data["domains"]["sums"]["kind"], seed=data["seed"], alias="sums")


@pytest.mark.parametrize(
    ("reply", "right", "why"),
    [
        ("So it is.\nAnswer: {answer}", True, "the accepted answer is"),
        ("Answer: -999", False, "it answers '-999'"),
        ("It is {answer}.", False, "no answer was found"),
        ("", False, "no answer was found"),
    ],
)
def test_what_a_reply_would_earn(place: Path, league, reply: str, right: bool, why: str) -> None:
    config = write(place, tiny_config(Path("no-model"), place))
    answer = prepare_domain(config).problem("train", 0).answer
    said = league("problems", str(config), "sums", "--count", "1", "--json", "--reply", reply.format(answer=answer))
    (found,) = [each["reply"] for each in json.loads(said.out)["problems"]]
    assert (found["right"], found["earns"]) == (right, float(right)) and why in found["why"]


def test_a_program_from_standard_input(place: Path, league, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_config(Path("no-model"), place)
    config = write(place, data, domains={"sums": {"kind": "programming"}})
    monkeypatch.setattr("sys.stdin", io.StringIO("def solve(x):\n    return \x1b[31m"))
    said = league("problems", str(config), "sums", "--count", "1", "--reply", "-")
    assert "wrong, it earns 0: no program was found" in said.out and "\x1b" not in said.out
    monkeypatch.setattr("sys.stdin", io.StringIO("def solve(x):\n    return x"))
    assert "wrong, it earns 0: assert" in league("problems", str(config), "sums", "--reply", "-").out.replace(
        "AssertionError", "assert"
    )


def test_an_agents_own_instructions_come_first(place: Path, league) -> None:
    data = tiny_config(Path("no-model"), place)
    data["agents"]["ada"]["system"] = "You are Ada."
    config = write(place, data)
    assert "system:\n  You are Ada.\n" in league("problems", str(config), "sums", "--agent", "ada").out
    said = league("problems", str(config), "sums", "--agent", "adda")
    assert said.code == 2 and "did you mean 'ada'" in said.err


def test_what_is_wrong_elsewhere_does_not_matter_and_a_wrong_domain_does(place: Path, league) -> None:
    data = tiny_config(Path("no-model"), place)
    config = write(place, data, learning={"learning_rte": 1})
    assert league("problems", str(config), "sums").code == 0
    wrong = {
        "sum": ({"sums": {"kind": "chain_sum"}}, "did you mean 'sums'"),
        "sums": ({"sums": {"kind": "chain_sun"}}, "did you mean 'chain_sum'"),
        "other": ({"other": {"kind": "gcd", "levle": 2}}, "domains.other.levle"),
        "two": ({"two": {"kind": "gcd", "level": 9}}, "level 1 to 3"),
        "none": (7, "domains"),
        "few": ({"few": {"kind": "products", "settings": {"max_digits": 1}}}, "only"),
    }
    for name, (domains, said) in wrong.items():
        config = write(place, data, domains=domains)
        found = league("problems", str(config), name, *(["--index", "5000"] if name == "few" else []))
        assert found.code == 2 and said in found.err, found.err
        assert "Traceback" not in found.err and found.out == ""
    assert sorted(each.name for each in place.iterdir()) == ["mine.yaml"]


@pytest.mark.parametrize(
    "override, said",
    [
        ("domains.sums.level=[1", "the value is not valid YAML"),
        ("domans.sums.level=2", "domans: unknown key; did you mean 'domains'"),
        ("learning.learning_rte=1", "did you mean 'learning_rate'"),
        ("domains.sums.level", "expected key.sub=value"),
    ],
)
def test_an_override_that_cannot_be_meant_is_an_error_wherever_it_stands(
    place: Path, league, override: str, said: str
) -> None:
    config = write(place, tiny_config(Path("no-model"), place))
    found = league("problems", str(config), "sums", override)
    assert found.code == 2 and said in found.err and found.out == ""


def test_a_template_may_be_given_as_an_override_and_the_data_says_what_was_left_out(
    place: Path, league, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAGUE_CACHE", str(place.parent / "cache"))
    rows = [{"question": f"How many legs have {n} cats?", "answer": f"4 a cat.\n#### {4 * n}"} for n in range(40)]
    (place / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0], {"question": "Why?"}]))
    settings = {"path": "q.jsonl", "check": "number", "near_duplicates": 1, "bad_rows": "skip"}
    data = {**tiny_config(Path("no-model"), place), "domains": {"own": {"kind": "dataset", "settings": settings}}}
    config = write(place, data)
    template = "domains.own.settings.answer={{ answer.split('####')[1] }}"
    found = league("problems", str(config), "own", template, "--json")
    shown = json.loads(found.out)
    assert shown["problems"][0]["answer"].isdigit()
    assert "of 42 rows; left out: 1 repeated, 1 that cannot be used" in shown["about"]
    assert shown["about"] in league("problems", str(config), "own", template).out
    empty = league("problems", str(config), "own", "domains.own.settings.path=''")
    assert empty.code == 2 and "needs either `path`" in empty.err, "not whatever lies in the current folder"
    unread = league("problems", str(config), "own", "domains.own.settings.answer=anser")
    assert "domains.own.settings.answer: the data has no column 'anser'; did you mean 'answer'" in unread.err


# --------------------------------------------------------------------------------------------------------- check
def test_a_plan_with_its_forecast_and_nothing_written(model: Path, place: Path, league) -> None:
    config = write(place, tiny_config(model, place / "runs"))
    said = league("check", str(config), "league.rounds=4", "--json")
    plan = json.loads(said.out)
    assert said.code == 0 and (plan["name"], plan["rounds"], plan["matches"]) == ("tiny", 4, 3)
    assert {agent["name"]: (agent["role"], agent["trains"]) for agent in plan["agents"]} == {
        "adder": ("expert", True),
        "ada": ("student", True),
        "max": ("student", True),
    }
    assert all(plan["tokens_a_round"][name] > 0 for name in ("read", "drawn", "learned"))
    seconds = plan["seconds"]
    assert seconds["rounds"] == 4 and 0 < seconds["first_payoff_matrix"] < seconds["total"]
    # 2 layers of width 32: q and v (64 + 48 values a rank and layer), down (96); rank 2; fp32 master, two moments, copy
    values = 2 * 2 * ((32 + 32) + (32 + 16) + (64 + 32))
    assert plan["memory_bytes"]["adapters"] == 3 * values * 4 * 4
    assert plan["memory_bytes"]["peak"] > plan["memory_bytes"]["base"] > 0
    assert sorted(each.name for each in place.iterdir()) == ["mine.yaml"], "not even a run folder"


def test_everything_wrong_is_listed_at_once_a_taken_folder_too(place: Path, league) -> None:
    train(prepare(tiny(Path("/nowhere"), place / "runs", **WORDS)), Nobody())
    before = sorted(str(path) for path in place.rglob("*"))
    data = tiny_config(Path("/nowhere"), place / "runs", **WORDS)
    config = write(place, data, learning={"learning_rte": 1}, evaluation={"evry": 2})
    said = league("check", str(config))
    assert said.code == 2 and said.err.startswith("error: 3 problems in")
    assert all(part in said.err for part in ("learning_rate", "did you mean 'every'", "league resume"))
    config.unlink()
    assert before == sorted(str(path) for path in place.rglob("*"))


def test_a_model_that_is_not_here_is_not_fetched(place: Path, league, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*arguments: object) -> None:
        raise AssertionError("a check fetches nothing")

    monkeypatch.setattr("league.model.fetch._from_hub", fetched)
    config = write(place, tiny_config(Path("nobody/such-a-model"), place / "runs"))
    said = league("check", str(config), "--json")
    plan = json.loads(said.out)
    assert said.code == 0 and not plan["model_here"] and plan["seconds"] is None and plan["memory_bytes"] is None
    assert "`league fetch-model nobody/such-a-model` fetches it" in league("check", str(config)).out
    missing = league("check", str(write(place, tiny_config(place / "no-folder", place / "runs"))))
    assert missing.code == 2 and "no folder there" in missing.err


def test_without_a_probe_no_weights_are_loaded(
    model: Path, place: Path, league, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*arguments: object) -> None:
        raise AssertionError("no weights are wanted")

    monkeypatch.setattr("league.runtime.assembly.load_bank", loaded)
    said = league("check", str(write(place, tiny_config(model, place / "runs"))), "--no-probe")
    assert said.code == 0 and "not measured (--no-probe)" in said.out and "nothing was written" in said.out


def test_a_forecast_that_fails_is_told(model: Path, place: Path, league, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("nobody was asked")

    monkeypatch.setattr(tryout, "forecast", broken)
    said = league("check", str(write(place, tiny_config(model, place / "runs"))))
    assert said.code == 0 and "could not be found out (ZeroDivisionError" in said.out


def test_neither_needs_the_tensor_library_without_a_model(place: Path) -> None:
    config = write(place, {**tiny_config(Path("/nowhere"), place / "runs", **WORDS)})
    domain = place / "domain.yaml"
    domain.write_text(yaml.safe_dump({**tiny_config(Path("x"), place), "domains": {"p": {"kind": "programming"}}}))
    code = f"""
import sys
from league import cli
for arguments in (["check", {str(config)!r}], ["problems", {str(domain)!r}, "p"]):
    sys.argv = ["league", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        print("CODE", end.code)
print("HEAVY", [name for name in ("torch", "transformers", "reasoning_gym") if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=place)
    assert shown.stdout.count("CODE 0") == 2 and "HEAVY []" in shown.stdout, shown.stdout + shown.stderr
    assert "no model: no agent has weights" in shown.stdout
