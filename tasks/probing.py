"""Probes: draw the rest of a group only where it is likely to have variance.

A group whose K answers are all right or all wrong teaches nothing. So n probes are drawn first. If they differ, the
group has variance and is drawn in full. If they are equal, the chance that m = K − n further answers make it mixed is

    p ~ Beta(a, b)                     what is believed of this problem before (a right, b wrong)
    p | r right, w wrong               ~ Beta(a + r, b + w)
    P(the next m are all right)        = B(a + r + m, b + w) / B(a + r, b + w) = Π_{i<m} (a + r + i) / (a + b + n + i)
    P(mixed | all right) = 1 − that;   P(mixed | all wrong) with a and b, r and w exchanged

and the group is drawn in full where that chance is at least `probe_threshold`. A belief about a domain comes from many
problems, and problems differ: its mean says what to expect of one problem, its weight does not. So it is scaled to a
weight of at most one answer, a + b ≤ `WEIGHT`.

Replies drawn per group with variance, n = 2 of K = 8, problems as believed (`tests/tasks/test_probing.py` derives it):

    mean success    .01   .03   .05    .1    .2    .3    .4    .5    .7    .9   .99
    no probes     312.4 106.8  65.8  35.1  20.1  15.5  13.7  13.2  15.5  35.1 312.4
    threshold .25 152.9  56.0  36.6  22.3  15.4  15.5  13.7  13.2  15.5  22.3 152.9    (the default)
    threshold .35 152.9  56.0  36.6  22.3  15.4  13.5  13.7  13.2  13.5  22.3 152.9
    threshold .50 152.9  56.0  36.6  22.3  15.4  13.5  13.0  14.0  13.5  22.3 152.9
    never         208.0  74.7  48.1  28.2  18.5  15.5  14.3  14.0  15.5  28.2 208.0

So the default halves the price where success is rare or sure. Elsewhere it costs nothing for K from 5 to 8, and at
most 3% for K = 4. It fails where all problems of a domain are equally hard: with one p for all, stopping at equal
probes costs 1/(p(1 − p)) + 6 replies, more than the 8/(1 − p⁸ − (1 − p)⁸) without probes for every p (10.0 against 8.1
at .5, 17.1 against 14.0 at .1).

What stays unbiased. Of a stopped group nothing is learned, and in a mixed group of N binary rewards with S right, the
expected gradient is S(1 − S/N)·(E[∇log π | right] − E[∇log π | wrong]): always along ∇p, whatever chose the group. So
probing changes how much a problem weighs, never its direction. The mean of all answers is biased, because the probes
decide how many follow: what is counted (accuracy, payoffs, a teacher's reward) is the probes alone, by
`counted_nodes`, which makes it noisier. Where no result of the probes would stop a group, it has none (`probes_for`),
and all of it counts.
"""

from collections.abc import Iterable, Sequence
from math import prod

from league.types import BetaBelief, Decision, Node

WEIGHT = 1.0
"""What a belief about a domain counts for about one of its problems, in answers."""
THRESHOLD = 0.25
"""The default of `probe_threshold`."""
PROBES_NEED = "expected 0 (no probes) or at least 2"


def chance_of_variance(belief: BetaBelief, right: int, wrong: int, further: int) -> float:
    """Chance that a group of so many right and wrong answers is mixed after `further` more.

    1 where it is mixed already. `belief` is Beta(right, wrong) before the first answer. Raises ValueError unless both
    its parts are positive.
    """
    a, b = belief
    if not (a > 0 and b > 0):
        raise ValueError(f"a belief needs two positive parts, found ({a}, {b})")
    if right and wrong:
        return 1.0
    drawn = right + wrong
    same, other = (a + right, b) if not wrong else (b + wrong, a)
    all_same = prod((same + i) / (a + b + drawn + i) for i in range(further))
    if drawn:
        return 1.0 - all_same
    return 1.0 - all_same - prod((other + i) / (a + b + i) for i in range(further))


def about_one_problem(belief: BetaBelief) -> BetaBelief:
    """A belief about a domain as one about a problem of it: the same mean, a weight of at most `WEIGHT`."""
    a, b = belief
    scale = min(1.0, WEIGHT / (a + b))
    return BetaBelief(a * scale, b * scale)


def worth_drawing(belief: BetaBelief, probes: Sequence[bool], samples: int, threshold: float) -> bool:
    """Whether a group of `samples` answers, of which `probes` are known, is worth drawing in full."""
    right = sum(probes)
    further = samples - len(probes)
    return chance_of_variance(about_one_problem(belief), right, len(probes) - right, further) >= threshold


def probes_for(belief: BetaBelief, probes: int, samples: int, threshold: float) -> int:
    """`probes`, or 0 where the group would be drawn in full whatever they say."""
    certain = all(worth_drawing(belief, [right] * probes, samples, threshold) for right in (False, True))
    return 0 if certain else probes


def counted_nodes(decision: Decision) -> list[Node]:
    """The nodes whose answers say how often a seat is right: of a turn with probes, the probes alone."""
    return decision.nodes[: decision.turn.probes] if decision.turn.probing else decision.nodes


def probing_metrics(decisions: Iterable[Decision]) -> dict[str, float]:
    """What probing did in an episode; empty where no turn had probes.

    Groups that had probes, groups that stopped after them, and what was not drawn: replies, and about how many tokens
    (a stopped group's probes give the length of its replies).
    """
    probed = stopped = replies = 0
    tokens = 0.0
    for decision in decisions:
        if not decision.turn.probing:
            continue
        probed += 1
        for drawn in decision.replies.values():
            missing = decision.turn.samples - len(drawn)
            replies += missing
            tokens += missing * sum(len(reply.tokens) for reply in drawn) / len(drawn)
        stopped += len(decision.nodes) <= decision.turn.probes
    if not probed:
        return {}
    return {
        "groups_probed": float(probed),
        "groups_stopped": float(stopped),
        "replies_not_drawn": float(replies),
        "tokens_saved": tokens,
    }


def check_probes(probes: int, answers: int) -> list[str]:
    """Problems with the setting `probes` of a task that asks for `answers` samples."""
    if probes == 0 or 2 <= probes < answers:
        return []
    return [
        f"probes: {PROBES_NEED} and below answers ({answers}), found {probes} "
        "(one answer alone cannot differ, and probes are some of the answers)"
    ]
