"""What an explanation earns its teacher: three estimates of how much it helps, from the same match.

For explanation e_g of problem p, and the student's problems q (V, U and c belong to one prompt, named behind the bar):

    accuracy           mean over q of  c(q | p, e_g) − c(q | nothing)        c: share of K sampled answers that are right
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

Left out on purpose: penalties and the leak guard, which hold for all (tasks.teaching), and reading likelihoods.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import exp
from statistics import fmean
from typing import Literal

from league.errors import LeagueError
from league.types import Decision, Episode, Likelihood, Message, Node, Problem, Reading
from tasks.domains import Domain
from tasks.domains.answers import first_answer

TeacherReward = Literal["accuracy", "expected_accuracy", "likelihood"]
Gains = dict[tuple[int, int], float]
"""(node of the explanation, index of the student's problem) → what the explanation is worth there."""
_WORD = re.compile(r"\w+|[^\w\s]")


def answers(episode: Episode) -> Iterator[Decision]:
    """The student's answers without an example, then those after each explanation."""
    yield from (decision for decision in episode.roots if decision.turn.tag == "control")
    for _, decision in _taught(episode):
        yield decision


def _taught(episode: Episode) -> Iterator[tuple[Node, Decision]]:
    """(explanation, the student's answers to one problem after it)."""
    for root in episode.roots:
        if root.turn.tag == "explain":
            yield from ((node, decision) for node in root.nodes for decision in node.next)


def _about(decision: Decision) -> int:
    return decision.turn.about or 0


# ----------------------------------------------------------------------------------------------------- accuracy
def accuracy_gains(episode: Episode, right: Mapping[int, float]) -> Gains:
    """Differences of mean worth, taught − control; `right` is the worth of each answer, by its node."""
    control = {
        _about(decision): fmean(right[node.id] for node in decision.nodes)
        for decision in episode.roots
        if decision.turn.tag == "control"
    }
    return {
        (explained.id, _about(decision)): fmean(right[node.id] for node in decision.nodes) - control[_about(decision)]
        for explained, decision in _taught(episode)
    }


# -------------------------------------------------------------------------------------------- expected accuracy
def answer_readings(episode: Episode, domain: Domain, seat: str) -> list[Reading]:
    """For each answer with an answer line: how likely is the true answer there, under the sampling it came from?"""
    found = []
    for decision in answers(episode):
        problem = episode.match.problems[_about(decision)]
        for node in decision.nodes:
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
    """node of an answer → chance in [0, 1] that it would have ended in the true answer; 0 without an answer line."""
    found = {}
    for decision in answers(episode):
        for node in decision.nodes:
            text = decision.replies[seat][node.picks[seat]].text
            known = first_answer(text) is not None
            found[node.id] = exp(sum(likelihood(episode, f"answer {node.id}").logprobs)) if known else 0.0
    return found


# -------------------------------------------------------------------------------- likelihood of the true solution
def solution_readings(episode: Episode, domain: Domain, seat: str) -> list[Reading]:
    """The true solution of each problem after each explanation, and after an example without one."""
    found = [
        _solution(f"solution {_about(decision)} after {node.id}", decision.turn.prompts[seat], domain, decision, episode)
        for node, decision in _taught(episode)
    ]
    return found + [
        _solution(f"solution {_about(decision)} after an answer", answer_only(episode, domain, decision), domain, decision, episode)
        for decision in episode.roots
        if decision.turn.tag == "control"
    ]
