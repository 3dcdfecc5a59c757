"""Environments of verifiers as tasks, on the real library: splits, single and several turns, and what goes wrong.

The library is no part of the environment that `make` builds: name an interpreter that has verifiers 0.3.1 in
VERIFIERS_PYTHON, or install the extra. What needs no library is tested in any case.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from league.backends.scripted import ScriptedBackend
from league.config import parse_config
from league.errors import UserError
from league.preflight.trust import uses_of
from league.rollouts import make_match, play
from league.types import Episode, Version
from tasks import make_task
from tasks.verifiers.process import EnvironmentFailed, EnvironmentProcess, Loaded, process_of

PYTHON = "" if importlib.util.find_spec("verifiers") else os.environ.get("VERIFIERS_PYTHON", "")
real = pytest.mark.skipif(
    not PYTHON and not importlib.util.find_spec("verifiers"),
    reason="verifiers is not installed (an extra of 350 MB; or name an interpreter that has it in VERIFIERS_PYTHON)",
)

WORDS = '''
import os
import verifiers as vf
from datasets import Dataset


def rows(*numbers):
    return Dataset.from_list([{"question": f"Say the word, number {n}.", "answer": f"word{n}"} for n in numbers])


def load_environment(held=True, tools=False, groups=False):
    """Train rows 0 to 39, of which 3 are also asked in the evaluation, in other letters."""
    async def right(completion, answer):
        return float(completion[-1]["content"] == answer)

    def strict(completion):
        said = completion[-1]["content"]
        if said == "raise":
            raise ValueError("no such reply")
        if said == "hang":
            while True:
                pass
        if said == "die":
            os._exit(3)
        print("what an environment prints is no answer")
        return float("nan") if said == "nan" else 1.0

    def together(completions, **kwargs) -> list[float]:
        return [0.0 for _ in completions]

    rubric = vf.Rubric(funcs=[right, strict] + [together] * groups, weights=[1.0, 0.1] + [1.0] * groups)
    evaluation = Dataset.from_list(
        [{"question": f"say the WORD number {n}", "answer": f"word{n}"} for n in range(37, 60)]
    )
    more = {"eval_dataset": evaluation} if held else {}
    if tools:
        return vf.ToolEnv(dataset=rows(*range(40)), rubric=rubric, tools=[], **more)
    return vf.SingleTurnEnv(dataset=rows(*range(40)), rubric=rubric, system_prompt="Be brief.", **more)
'''

GUESS = """
import random
import verifiers as vf
from datasets import Dataset


class Guess(vf.MultiTurnEnv):
    async def setup_state(self, state):
        state["secret"], state["found"] = random.randint(1, 9), False
        return state

    @vf.stop
    async def found_it(self, state):
        return state["found"]

    async def env_response(self, messages, state, **kwargs):
        said = int(messages[-1]["content"])
        if said == state["secret"]:
            state["found"] = True
            state["final_env_response"] = [{"role": "user", "content": "Right."}]
            return state["final_env_response"]
        return [{"role": "user", "content": "higher" if said < state["secret"] else "lower"}]


def load_environment(max_turns=-1):
    async def won(state) -> float:
        return float(state["found"])

    data = Dataset.from_list([{"question": f"Guess my number, game {i}.", "answer": ""} for i in range(60)])
    return Guess(dataset=data, rubric=vf.Rubric(funcs=[won]), max_turns=max_turns)
"""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("environments")
    (place / "word_env.py").write_text(WORDS)
    (place / "guess_env.py").write_text(GUESS)
    sys.path.append(str(place))
    yield place
    sys.path.remove(str(place))


def environment(name: str, **settings: object):
    return make_task("verifiers", "env", {"environment": name, "python": PYTHON, **settings}, {})


def played(task, script, *, index: int = 0, seed: int = 5, **changes: object) -> Episode:
    seats = {"player-1": Version("ada", 1), "player-2": Version("max", 1)}
    match = make_match(
        "env", at=(1, index), seats=seats, problems=task.problems("train", index, ""), seed=seed, **changes
    )
    (episode,) = play([match], {"env": task}, ScriptedBackend({"ada": script, "max": script}))
    return episode


@real
def test_splits_are_the_environments_and_share_no_wording() -> None:
    task = environment("word-env")
    rows = {split: task.problems(split, 0, "")[0] for split in ("train", "validation", "test")}
    process = process_of(task._loaded())
    assert process.rows["train"] == 37  # rows 37 to 39 are asked in the evaluation, in other letters
    assert process.rows["validation"] + process.rows["test"] == 23 and min(process.rows.values()) > 0
    assert rows["train"].question == "Say the word, number 0." and rows["train"].answer == "word0"
    asked = {
        split: {task.problems(split, i, "")[j].answer for i in range(process.rows[split]) for j in range(2)}
        for split in rows
    }
    assert not asked["validation"] & asked["test"] and len(asked["train"] | asked["validation"] | asked["test"]) == 60


@real
def test_the_rubric_is_the_reward_and_rewards_are_compared() -> None:
    task = environment("word-env", items=1, answers=2)
    episode = played(task, lambda messages, stream: "word0" if stream.random() < 0.5 else "no")
    prompt = episode.roots[0].turn.prompts["player-1"]
    assert [(m.role, m.content) for m in prompt] == [("system", "Be brief."), ("user", "Say the word, number 0.")]
    score = task.score(episode)
    for decision in episode.roots:
        (seat,) = decision.turn.prompts
        for node in decision.nodes:
            right = decision.texts(node)[seat] == "word0"
            assert score.rewards[node.id][seat] == pytest.approx(1.1 if right else 0.1)
    (result,) = score.outcomes
    assert (result.relation, result.n) == ("contest", 2) and score.metrics["failed"] == 0.0 and not score.void
    assert score.metrics["rubric/strict"] == 1.0 and task.verifier_calls(episode) == 4
    once = played(task, lambda messages, stream: "word0", purpose="evaluate")
    assert all(len(root.nodes) == 1 for root in once.roots) and task.score(once).metrics["reward"] == pytest.approx(1.1)


@real
@pytest.mark.parametrize("said", ["raise", "nan"])
def test_a_rubric_that_fails_voids_that_play_only(said: str) -> None:
    task = environment("word-env", items=1, answers=4)
    episode = played(task, lambda messages, stream: said if stream.random() < 0.5 else "word0", seed=6)
    score = task.score(episode)
    failed = {
        (node.id, seat)
        for decision in episode.roots
        for seat in decision.turn.prompts
        for node in decision.nodes
        if decision.texts(node)[seat] == said
    }
    assert 0 < len(failed) < 8 and score.void == failed and score.metrics["failed"] == len(failed) / 8
    assert score.metrics["reward"] == pytest.approx(1.1) and all(outcome.n > 0 for outcome in score.outcomes)


@real
def test_an_environment_that_hangs_or_dies_is_ended_and_given_up_after_three_times() -> None:
    task = environment("word-env", items=1, answers=2, seconds=3.0)
    process = process_of(task._loaded())
    episode = played(task, lambda messages, stream: "hang")
    score = task.score(episode)
    assert score.metrics == {"failed": 1.0} and score.outcomes == () and len(score.void) == 4
    assert played(task, lambda messages, stream: "word0", index=1, seed=7).void is None  # it is started again
    assert process._ends == 0
    for _ in range(3):
        request = {"do": "play", "split": "train", "place": 0, "seed": 1, "replies": [["die", False]], "ends": False}
        with pytest.raises(EnvironmentFailed, match="process ends"):
            process.ask(request, 5.0)
    with pytest.raises(EnvironmentFailed, match="3 times in a row"):
        process.ask(request, 5.0)
    process._ends = 0  # for other tests


@real
def test_several_turns_are_rebuilt_from_the_path_with_the_matchs_chance() -> None:
    task = environment("guess-env", items=1, answers=3, turns=4)

    def bisect(messages, stream):
        low, high = 1, 9
        for said, heard in zip(messages[1::2], messages[2::2], strict=True):
            low, high = (int(said.content) + 1, high) if heard.content == "higher" else (low, int(said.content) - 1)
        return str((low + high) // 2)

    episode = played(task, bisect)
    score = task.score(episode)
    assert score.metrics["reward"] == 1.0 and 1 <= score.metrics["turns"] <= 4
    ends = [node.id for _, d in episode.decisions() for node in d.nodes if not node.next]
    assert all(sum(score.rewards[node].values()) == 1.0 for node in ends)
    from tasks.verifiers.task import environment_answer

    environment_answer.cache_clear()
    assert task.score(episode) == score  # worked out anew, to the same
    short = environment("guess-env", items=1, answers=2, turns=2)
    cut = played(short, lambda messages, stream: "1", seed=11)
    assert max(len(path) for path, _ in cut.decisions()) <= 1 and short.score(cut).metrics["failed"] == 0.0


@real
def test_a_reply_that_breaks_the_environment_is_void() -> None:
    task = environment("guess-env", items=1, answers=2)
    score = task.score(played(task, lambda messages, stream: "seven", seed=8))
    assert score.metrics == {"failed": 1.0} and len(score.void) == 4


@real
@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("word-env", {"tools": True}, "ToolEnv gives its model tools"),
        ("word-env", {"groups": True}, "scores rollouts in groups"),
        ("no-such-env", {}, "cannot be loaded"),
        ("word-env", {"helt": 1}, "unexpected keyword argument 'helt'"),
    ],
)
def test_what_cannot_be_played_is_refused_by_name(name: str, args: dict, words: str) -> None:
    with pytest.raises(UserError, match="tasks.env.settings.environment: ") as found:
        environment(name, args=args)
    assert words in str(found.value)


# ------------------------------------------------------------------------------------------ without the library
def test_a_missing_library_or_interpreter_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.verifiers.task.find_spec", lambda name: None)
    for settings, words in (
        ({}, "environment: expected the id"),
        ({"environment": "x"}, r"pip install 'llm-league\[verifiers\]'"),
        ({"environment": "x", "python": "/no/python"}, "python: '/no/python' cannot be run"),
        ({"environment": "x", "python": "/bin/false"}, "cannot be loaded: its process ends"),
        ({"environment": "x", "python": sys.executable, "args": {"a": {1, 2}}}, "args: expected plain values"),
    ):
        with pytest.raises(UserError, match=words):
            make_task("verifiers", "env", settings, {})


def test_a_process_that_answers_rubbish_or_nothing_is_ended(tmp_path: Path) -> None:
    for text, words in (
        ("read line; echo hello", "process ends"),
        ("read line; echo [1]", "answers list"),
        ("sleep 60", "within 1 seconds"),
    ):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        process = EnvironmentProcess(Loaded("x", "{}", str(program), load_seconds=1.0))
        with pytest.raises(UserError, match=words):
            process.started()
        process.close()


def test_trust_names_the_environment_and_the_interpreter() -> None:
    text = """
name: words
agents: {ada: {role: scripted, says: {a: 1}}}
tasks: {words: {kind: verifiers, matches: 1, settings: {environment: my-env, python: /opt/python}}}
"""
    assert {use.value for use in uses_of(parse_config(text, "words"))} == {"my-env", "/opt/python"}
