"""Exams: everybody answers the same held-out problems, unaided and greedily.

Evaluation matches have their own budget, use the validation and test splits only, and are never trained on. One exam
yields the expert × domain accuracies and, because all answer the same items, every pair's wins, draws and losses.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from league.rollouts import Player, make_match, play, result_of, score_all
from league.seeds import derive
from league.types import EXAM, Backend, MatchResult, Split, Version
from tasks.contest import Contest
from tasks.domains import Domain


@dataclass(frozen=True)
class ExamResult:
    """One agent's exam in one domain: whether it answered each problem of the split right."""

    version: Version
    domain: str
    split: Split
    correct: tuple[bool, ...]

    @property
    def accuracy(self) -> float:
        return fmean(self.correct)

    def to_json(self) -> dict[str, object]:
        bits = "".join("01"[right] for right in self.correct)
        return {"version": str(self.version), "domain": self.domain, "split": self.split, "correct": bits}


def hold_exam(
    versions: Sequence[Version],
    domains: Mapping[str, Domain],
    *,
    split: Split,
    problems: range,
    backend: Backend,
    players: Mapping[str, Player],
    number: int,
) -> tuple[list[ExamResult], MatchResult]:
    """The problems of the split with these indices, in every domain, for every version, in one pass."""
    exam = Contest(EXAM, domains)
    items = tuple(domain.problem(split, index) for domain in domains.values() for index in problems)
    seats = {f"player-{place}": version for place, version in enumerate(dict.fromkeys(versions), 1)}
    alone = (versions[0].agent,) if len(seats) == 1 else ()
    match = make_match(
        EXAM,
        at=(number, split, problems.start, *alone),
        seats=seats,
        problems=items,
        seed=derive("exam", split, problems.start),
        purpose="evaluate",
    )
    (episode,) = play([match], {EXAM: exam}, backend, players)
    (score,) = score_all([episode], {EXAM: exam})
    if score is None:
        return [], result_of(episode, None)
    right: dict[tuple[str, str], list[bool]] = {}
    for decision in episode.roots:
        (seat,) = decision.turn.prompts
        reward = score.rewards[decision.nodes[0].id][seat]
        right.setdefault((seat, items[decision.turn.about or 0].domain), []).append(reward > 0.5)
    exams = [ExamResult(seats[seat], domain, split, tuple(found)) for (seat, domain), found in right.items()]
    metrics = {f"accuracy/{each.version.agent}/{each.domain}": each.accuracy for each in exams}
    return exams, result_of(episode, replace(score, metrics=metrics))


def joined(exams: Iterable[ExamResult]) -> list[ExamResult]:
    """Sittings of the same version in the same domain put together, in the order they were held."""
    found: dict[tuple[Version, str, Split], tuple[bool, ...]] = {}
    for each in exams:
        key = (each.version, each.domain, each.split)
        found[key] = found.get(key, ()) + each.correct
    return [ExamResult(version, domain, split, correct) for (version, domain, split), correct in found.items()]
