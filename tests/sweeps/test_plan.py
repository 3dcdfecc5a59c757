"""Which runs a sweep has, and what is refused before anything runs."""

from pathlib import Path

import pytest

from league.errors import ConfigError, UserError
from league.sweeps.plan import arm_name, parse_axes, parse_seeds, plan_sweep, split_values
from league.sweeps.processes import threads_each

CONFIG = """\
name: words
seed: 4
runs: {runs}
agents:
  rocky: {{role: scripted, says: {{rock: 1}}}}
  pat: {{role: scripted, says: {{paper: 1}}}}
tasks: {{game: {{kind: matrix_game, matches: 2, settings: {{samples: 2}}}}}}
league: {{rounds: 2}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "words.yaml"
    path.write_text(CONFIG.format(runs=tmp_path / "runs"))
    return path


def test_seeds() -> None:
    assert parse_seeds("1..5") == (1, 2, 3, 4, 5) and parse_seeds("0") == (0,)
    assert parse_seeds("9, 1..3,5..5") == (9, 1, 2, 3, 5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected whole numbers"),
        ("1..", "expected whole numbers"),
        ("-1", "expected whole numbers"),
        ("1.5", "expected whole numbers"),
        ("5..1", "5..1 holds no seed; expected 1..5"),
        ("1..3,2", "seed 2 is given twice"),
        ("1..999999999999999999", "more than 10,000 seeds"),
    ],
)
def test_seeds_that_are_none(text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        parse_seeds(text)


def test_values_are_divided_at_commas_outside_of_brackets_and_quotes() -> None:
    assert split_values("a,b") == ["a", "b"] and split_values("[a,b],[c]") == ["[a,b]", "[c]"]
    assert split_values("{x: 1, y: [2, 3]}, null") == ["{x: 1, y: [2, 3]}", "null"]
    assert split_values("'a,b',\"c,]\"") == ["'a,b'", '"c,]"'] and split_values("''") == ["''"]
    for text in ("[a,b", "a]", "'a", ",", "a,,b", ""):
        with pytest.raises(UserError):
            split_values(text)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["learning.kl"], "expected key.sub=value"),
        (["seed=1,2"], "use --seeds"),
        (["name=x"], "use --name"),
        (["learning.kl=0,0"], "value '0' is given twice"),
        (["learning.kl=0", "learning.kl=1"], "'learning.kl' is given twice"),
    ],
)
def test_settings_that_make_no_sweep(words: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        parse_axes(words)


def test_every_combination_has_every_seed(config: Path, tmp_path: Path) -> None:
    words = ["tasks.game.matches=1,2", "league.rounds=3", "tasks.game.settings={samples: 2},{samples: 3}"]
    plan = plan_sweep(config, "1..2", words, None, many=False)
    assert plan.folder == tmp_path / "runs" / "words" and len(plan.runs) == 8 and len(plan.arms()) == 4
    first, last = plan.runs[0], plan.runs[-1]
    assert first.folder == plan.folder / "matches-1_settings-samples-2" / "seed-1"
    assert last.label == "matches-2_settings-samples-3/seed-2"
    made = plan.configs[last.label]
    assert (made.seed, made.league.rounds, made.tasks["game"].matches) == (2, 3, 2)
    assert made.tasks["game"].settings == {"samples": 3} and made.folder == last.folder


def test_seeds_alone_need_no_arm_and_the_configs_seed_is_one(config: Path, tmp_path: Path) -> None:
    plan = plan_sweep(config, None, [], "other", many=False)
    assert [run.folder for run in plan.runs] == [tmp_path / "runs" / "other" / "seed-4"] and plan.arms() == ("",)


def test_arms_are_told_apart() -> None:
    assert arm_name([("learning.kl", "0.1"), ("league.rounds", "5")]) == "kl-0.1_rounds-5"
    assert arm_name([("a.rank", "1"), ("b.rank", "2")]) == "a.rank-1_b.rank-2"
    assert arm_name([("x", "''")]) == "x-empty"
    long = [arm_name([("adapter.targets", "[" + ",".join(["q_proj"] * 12) + end)]) for end in ("]", ",v]")]
    assert all(len(name) == 64 for name in long) and long[0] != long[1]


def test_values_whose_names_are_alike_get_folders_of_their_own(config: Path) -> None:
    plan = plan_sweep(config, None, ["agents.pat.says={a: 1},{a:   1 },{a - 1: 1}"], None, many=False)
    assert len(set(plan.arms())) == 3


@pytest.mark.parametrize(
    ("seeds", "words", "name", "why"),
    [
        ("1", ["legue.rounds=1,2"], None, "did you mean 'league'"),
        ("1", ["league.rounds=1,many"], None, "league.rounds"),
        ("1", [], "No Name", "a name has lower-case letters"),
        ("1..101", [], None, "101 runs.*add --yes"),
        ("1..100", ["league.rounds=" + ",".join(map(str, range(1, 102)))], None, "10,100 runs.*at most 10,000"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(
    config: Path, tmp_path: Path, seeds: str, words: list[str], name: str | None, why: str
) -> None:
    with pytest.raises((UserError, ConfigError), match=why):
        plan_sweep(config, seeds, words, name, many=False)
    assert not (tmp_path / "runs").exists()


def test_threads_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert [threads_each(jobs, {}) for jobs in (1, 2, 3, 9)] == [8, 4, 2, 1]
    assert threads_each(2, {"OMP_NUM_THREADS": "1"}) == 1 and threads_each(2, {"OMP_NUM_THREADS": "64"}) == 4
    assert threads_each(2, {"OMP_NUM_THREADS": "0"}) == threads_each(2, {"OMP_NUM_THREADS": "x"}) == 4
