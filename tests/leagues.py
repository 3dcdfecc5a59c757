"""Configs of tiny real leagues for tests of the loop and of the commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from league.config import Config, parse_config
from league.types import Episode, Match, Reply, Score, TreePath, Turn, Version
from tasks.contest import Contest
from tasks.teaching import TEACHER, Teaching
from tasks.worked_replies import WorkedReplies


class _Parity:
    """A domain whose verifier is content with an even number of characters.

    Random weights are right half of the time.
    """

    def __init__(self, domain) -> None:
        self.domain = domain

    def correct(self, problem, text: str) -> bool:
        return len(text) % 2 == 0

    def __getattr__(self, name: str):
        return getattr(self.domain, name)


class _Even(_Parity):
    """A domain whose verifier is content with an even last digit."""

    def correct(self, problem, text: str) -> bool:
        return text[-1:] in tuple("02468")


@dataclass(frozen=True)
class Noise(Contest):
    """A contest that gives random weights something to learn.

    So updates happen in tests of the loop.
    """

    def score(self, episode: Episode) -> Score:
        return self._lenient().score(episode)

    def goes_on(self, match: Match, turn: Turn, probes: Mapping[str, Sequence[Reply]]) -> bool:
        return self._lenient().goes_on(match, turn, probes)

    def _lenient(self) -> Contest:
        return Contest(
            self.name,
            {name: _Parity(domain) for name, domain in self.domains.items()},
            items=self.items,
            answers=self.answers,
            temperature=self.temperature,
            players=self.players,
            probes=self.probes,
            probe_threshold=self.probe_threshold,
        )


def brief(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with replies of one to four digits: random weights alone would hardly ever end one."""
    return [
        replace(turn, sampling={s: replace(each, grammar="start: /[0-9]{1,4}/") for s, each in turn.sampling.items()})
        for turn in turns
    ]


@dataclass(frozen=True)
class NoisyWork(WorkedReplies):
    """Worked replies of random weights, of which half are right."""

    def open(self, match: Match) -> Sequence[Turn]:
        return brief(super().open(match))

    def score(self, episode: Episode) -> Score:
        lenient = {name: _Even(domain) for name, domain in self.domains.items()}
        return WorkedReplies.score(replace(self, domains=lenient), episode)


class _Nothing(_Parity):
    """A domain whose verifier is content with nothing."""

    def correct(self, problem, text: str) -> bool:
        return False


class _Everything(_Parity):
    """A domain whose verifier is content with everything."""

    def correct(self, problem, text: str) -> bool:
        return True


@dataclass(frozen=True)
class SkilledWork(NoisyWork):
    """Worked replies of teachers that are always right, for students that never are."""

    def score(self, episode: Episode) -> Score:
        def judged(judge: type[_Parity]) -> Score:
            lenient = {name: judge(domain) for name, domain in self.domains.items()}
            return WorkedReplies.score(replace(self, domains=lenient), episode)

        right, wrong = judged(_Everything), judged(_Nothing)
        unaided = [
            good if good.seat == TEACHER else bad for good, bad in zip(right.unaided, wrong.unaided, strict=True)
        ]
        examples = tuple(replace(each, weight=1.0) for each in judged(_Even).examples)
        return replace(right, unaided=tuple(unaided), examples=examples)


@dataclass(frozen=True)
class NoisyTeaching(Teaching):
    """Teaching between random weights, of which half are right."""

    def open(self, match: Match) -> Sequence[Turn]:
        return brief(super().open(match))

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        return brief(super().follow(match, path))

    def score(self, episode: Episode) -> Score:
        lenient = {name: _Even(domain) for name, domain in self.domains.items()}
        return Teaching.score(replace(self, domains=lenient), episode)


@dataclass(frozen=True)
class Rigged(Noise):
    """Noise to learn from, but results as told: a league on a real model whose payoffs are known.

    "newer": the later step wins. "even": ten games each. Any other word: agents whose name starts with it win, all
    others are even.
    """

    rule: str = "even"

    def score(self, episode: Episode) -> Score:
        found = super().score(episode)
        return replace(found, outcomes=tuple(replace(o, **self._told(o.row, o.col)) for o in found.outcomes))

    def _told(self, row: Version, col: Version) -> dict[str, int]:
        strengths = [v.step if self.rule == "newer" else int(v.agent.startswith(self.rule)) for v in (row, col)]
        if strengths[0] == strengths[1] or self.rule == "even":
            return {"wins": 10, "draws": 0, "losses": 10, "n": 20}
        won = strengths[0] > strengths[1]
        return {"wins": 20 * won, "draws": 0, "losses": 20 * (not won), "n": 20}


class Nobody:
    """An audience that listens to nothing."""

    def opens(self, league, state) -> None: ...

    def phase(self, league, number: int, text: str) -> None: ...

    def round(self, league, report) -> None: ...


def tiny_config(model: Path, runs: Path, **changes: object) -> dict:
    data: dict = {
        "name": "tiny",
        "seed": 3,
        "runs": str(runs),
        "model": {"name": str(model), "device": "cpu", "dtype": "float32", "threads": 1},
        "adapter": {"rank": 2, "alpha": 4, "targets": ["q_proj", "v_proj", "down_proj"]},
        "domains": {"sums": {"kind": "chain_sum"}},
        "agents": {
            "adder": {"role": "expert", "domain": "sums"},
            "ada": {"role": "student"},
            "max": {"role": "student"},
        },
        "warmup": {"expert": {"problems": 4, "explain": 0.3}, "student": {"problems": 2, "examples": 0.5}},
        "tasks": {
            "teaching": {
                "kind": "teaching",
                "matches": 1,
                "settings": {"explanations": 2, "similar": 1, "answers": 2, "explanation_tokens": 6},
            },
            "contest": {
                "kind": "tests.leagues:Noise",
                "matches": 2,
                "matchmaking": {"pfsp": 1.0},
                "settings": {"items": 1, "answers": 4},
            },
        },
        "learning": {"learning_rate": 0.01},
        "evaluation": {
            "every": 2,
            "problems": 2,
            "final_problems": 3,
            "teaching_matches": 1,
            "final_teaching_matches": 1,
        },
        "league": {"rounds": 3, "snapshot_every": 2, "snapshots_kept": 2},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return data


def every_channel(model: Path, runs: Path, **changes: object) -> dict:
    """A tiny league in which every channel teaches, pasts do too, and matches are shared by what they gain."""
    data = tiny_config(model, runs, **changes)
    data["tasks"] = {
        "worked": {
            "kind": "tests.leagues:NoisyWork",
            "matches": 1,
            "matchmaking": {"gain": 1.0},
            "settings": {"items": 3, "answers": 2},
        },
        "teaching": {
            "kind": "tests.leagues:NoisyTeaching",
            "matches": 1,
            "matchmaking": {"gain": 1.0},
            "settings": {"explanations": 2, "similar": 2, "answers": 2, "explanation_tokens": 6},
        },
        "contest": data["tasks"]["contest"],
    }
    data["learning"]["channels"] = {
        "worked_replies": {"gate": False},
        "lessons": {"off_policy": "shaped", "control_below": 1.0},
        "distillation": {"gate": False, "bridge": 0.0},
        "pasts": True,
        "learning_rate": 0.01,
        "batch": 2,
        "replay": {"share": 0.5, "capacity": 4},
    }
    data["league"]["shared_matches"] = 2
    return data


def contest(rule: str, matches: int = 6, **more: object) -> dict:
    """One rigged contest as the only task."""
    settings = {"items": 1, "answers": 2, "rule": rule}
    return {
        "contest": {
            "kind": "tests.leagues:Rigged",
            "matches": matches,
            "matchmaking": {"uniform": 1.0},
            "settings": settings,
            **more,
        }
    }


def tiny(model: Path, runs: Path, **changes: object) -> Config:
    return parse_config(yaml.safe_dump(tiny_config(model, runs, **changes)), "tiny")
