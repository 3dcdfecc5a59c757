"""What an explanation earns its teacher: three estimates of how much it helps, from the same match.

For explanation e_g of problem p and the student's problems q; what stands behind a bar is what the student sees:

    accuracy           mean over q of  c(q | p, e_g) − c(q | nothing)
                       c = share of K sampled answers that are right
    expected_accuracy  mean over q of  V(q | p, e_g) − V(q | nothing)
                       V = mean over samples z of π(true answer, end | prompt, z): z is a sampled reply, cut right
                       after its first "Answer:"; a reply without one counts 0
    likelihood         mean over q and the tokens t of its true worked solution of
                       clip(log π(t | p, e_g) − log π(t | p, answer only), ±cap), 0 for a copied token

`expected_accuracy` is Rao-Blackwell's theorem: V is the expectation of c given the reply up to its answer, so its mean
is the same and its variance is not larger. (A reply that goes on after the answer, or spells it in another way, counts
in c and not in V.) It costs a scoring pass over the answers. `likelihood` needs no sampled answers, so its only noise
is the choice of q. Its baseline shows p with "Answer: a" as the whole explanation: the format of an example earns
nothing. It is the reward of Cetin, Zhao, Tang (RLT, arXiv 2506.08388) without the KL term.

Failure cases: `likelihood` pays for style (the solution's phrases, its length, its notation). So a token is copied, and
earns nothing, when it lies in a run of `copied_words` words that the explanation has too; and the cap bounds what one
token can bring. It may still favour explanations that do not help a student answer: compare it with accuracy first
(`python -m benchmarks.teacher_signal`).

Of a group that had probes, the probes alone count (tasks.probing).

Left out on purpose: penalties and the leak guard, which hold for all (tasks.teaching), and reading likelihoods.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import exp
from statistics import fmean
from typing import Literal

from league.errors import LeagueError
from league.types import Decision, Episode, Likelihood, Message, Node, Reading
from tasks.domains import Domain
from tasks.domains.answers import first_answer
from tasks.probing import counted_nodes

TeacherReward = Literal["accuracy", "expected_accuracy", "likelihood"]
Gains = dict[tuple[int, int], float]
"""(node of the explanation, index of the student's problem) → what the explanation is worth there."""
_WORD = re.compile(r"\w+|[^\w\s]")


def answers(episode: Episode) -> Iterator[Decision]:
    """The student's answers without an example, then those after each explanation."""
    yield from (decision for decision in episode.roots if decision.turn.tag == "control")
    for _, decision in _taught(episode):
        yield decision


# ----------------------------------------------------------------------------------------------------- accuracy
def accuracy_gains(episode: Episode, right: Mapping[int, float]) -> Gains:
    """Differences of mean worth, taught − control; `right` is the worth of each answer, by its node."""
    control = {
        _about(decision): fmean(right[node.id] for node in counted_nodes(decision))
        for decision in episode.roots
        if decision.turn.tag == "control"
    }
    return {
        (explained.id, _about(decision)): fmean(right[node.id] for node in counted_nodes(decision))
        - control[_about(decision)]
        for explained, decision in _taught(episode)
    }


# -------------------------------------------------------------------------------------------- expected accuracy
def answer_readings(episode: Episode, domain: Domain, seat: str) -> list[Reading]:
    """For each answer with an answer line: how likely was the true answer there, when it was sampled?"""
    found = []
    for decision in answers(episode):
        problem = episode.match.problems[_about(decision)]
        for node in counted_nodes(decision):
            reply = decision.replies[seat][node.picks[seat]]
            cut = first_answer(reply.text)
            if cut is not None:
                found.append(
                    Reading(
                        key=f"answer {node.id}",
                        seat=seat,
                        prompt=decision.turn.prompts[seat],
                        completion=f" {problem.answer}",
                        reply=reply,
                        characters=cut,
                        sampling=decision.turn.sampling[seat],
                    )
                )
    return found


def expected_right(episode: Episode, seat: str) -> dict[int, float]:
    """node of an answer → chance in [0, 1] that it would have ended in the true answer.

    0 without an answer line.
    """
    found = {}
    for decision in answers(episode):
        for node in counted_nodes(decision):
            text = decision.replies[seat][node.picks[seat]].text
            known = first_answer(text) is not None
            found[node.id] = exp(sum(likelihood(episode, f"answer {node.id}").logprobs)) if known else 0.0
    return found


# -------------------------------------------------------------------------------- likelihood of the true solution
def solution_readings(episode: Episode, domain: Domain, seat: str) -> list[Reading]:
    """The true solution of each problem after each explanation, and after an example without one."""
    found = []
    for explained, decision in _taught(episode):
        problem = episode.match.problems[_about(decision)]
        key = f"solution {_about(decision)} after {explained.id}"
        found.append(solution_reading(key, seat, decision.turn.prompts[seat], domain.solution(problem)))
    for about in _control_problems(episode):
        problem, key = episode.match.problems[about], f"solution {about} after an answer"
        found.append(solution_reading(key, seat, answer_only_prompt(episode, domain, about), domain.solution(problem)))
    return found


def solution_reading(key: str, seat: str, prompt: tuple[Message, ...], solution: str) -> Reading:
    """How likely is the solution as a reply? At temperature 1."""
    return Reading(key=key, seat=seat, prompt=prompt, completion=solution)


def answer_only_prompt(episode: Episode, domain: Domain, about: int) -> tuple[Message, ...]:
    """A problem of the student after an example that has nothing but the answer in it."""
    return domain.prompt(episode.match.problems[about], ((episode.match.problems[0], ""),))


def solution_gains(episode: Episode, domain: Domain, teacher: str, *, copied_words: int, cap: float) -> Gains:
    """Mean gain per token of the true solution's log-probability, in nats; copied tokens gain nothing."""
    found = {}
    for root in episode.roots:
        for explained in root.nodes if root.turn.tag == "explain" else ():
            text = root.texts(explained)[teacher]
            for decision in explained.next:
                about = _about(decision)
                solution = domain.solution(episode.match.problems[about])
                after = likelihood(episode, f"solution {about} after {explained.id}")
                before = likelihood(episode, f"solution {about} after an answer")
                copied = copied_spans(solution, text, copied_words)
                found[explained.id, about] = capped_gain(after, before, copied, cap)
    return found


def capped_gain(after: Likelihood, before: Likelihood, copied: Sequence[tuple[int, int]], cap: float) -> float:
    """Mean over all tokens of clip(after − before, ±cap); a token that overlaps a copied span has 0."""
    gains = [
        0.0 if any(start < high and low < end for low, high in copied) else max(-cap, min(cap, new - old))
        for (start, end), new, old in zip(after.spans, after.logprobs, before.logprobs, strict=True)
    ]
    return fmean(gains)


def copied_spans(solution: str, explanation: str, words: int) -> list[tuple[int, int]]:
    """(start, end) in characters of each run of `words` words that the explanation has too.

    Words are compared in lower case, punctuation marks count as words, space between them does not matter.
    """
    said = [match.group() for match in _WORD.finditer(explanation.lower())]
    runs = {tuple(said[place : place + words]) for place in range(len(said) - words + 1)}
    wanted = list(_WORD.finditer(solution))
    return [
        (run[0].start(), run[-1].end())
        for run in (wanted[place : place + words] for place in range(len(wanted) - words + 1))
        if tuple(word.group().lower() for word in run) in runs
    ]


# ------------------------------------------------------------------------------------------------------- common
def likelihood(episode: Episode, key: str) -> Likelihood:
    """The answer to a reading. Raises LeagueError when nobody has read it."""
    if key not in episode.likelihoods:
        raise LeagueError(
            f"match {episode.match.id}: no answer to the reading '{key}'; a reward by likelihood needs players with "
            "adapters, and `league.rollouts.readings.read_likelihoods` before the match is scored"
        )
    return episode.likelihoods[key]


def _taught(episode: Episode) -> Iterator[tuple[Node, Decision]]:
    """(explanation, the student's answers to one problem after it)."""
    for root in episode.roots:
        if root.turn.tag == "explain":
            yield from ((node, decision) for node in root.nodes for decision in node.next)


def _control_problems(episode: Episode) -> list[int]:
    return [_about(decision) for decision in episode.roots if decision.turn.tag == "control"]


def _about(decision: Decision) -> int:
    return decision.turn.about or 0
