"""docs/results/manager.md from the rows of manager.csv: tables, and what the tables show in words."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One number with its 95% interval over `runs` simulations.

    Wilson for shares, quartiles where the page says so.
    """

    section: str
    setting: str
    method: str
    x: float
    value: float
    low: float
    high: float
    runs: int


INTRO = """# The league manager, measured

Written by `python -m benchmarks.manager` from fixed seeds; the numbers are in [manager.csv](manager.csv). Everything
here is a simulation with known truth, except CPU times. Brackets are 95% intervals unless said otherwise.
"""

FALSE_ALARMS = """
## False alarms

Leagues of 8 without any cycle, 2,000 per setting: equal strength, and an Elo ladder with gaps of 30. A false alarm is
a cycle among the edges a method draws. "One look" looks a single time, at 30 games a pair; "ever" looks after every
round robin (one more game of every pair) and counts a league in which it has happened at any look. A wrong edge is
what a false cycle is made of: any edge between equals, an edge against the order of the ladder. Methods: naive p̂ >
½; a 95% Wilson interval that leaves out ½; Holm's procedure over the 28 exact binomial tests; ours, the e-value at E
≥ 28/0.05.
"""

POWER = """
## Power

A 3-cycle over a ladder of five (0.5 logits apart). Share of 200 leagues whose three core edges are all drawn in the
right direction after so many games of every pair, core at 65:35. Only the e-value keeps its error rate when looked at
all the time; the others are shown as if looked at once.
"""

ACTIVE = """
## Matches to certify: active against uniform

The same league, core at 65:35; games played in total (all pairs together, in batches of 5) until the edges are
certified by e-value. Medians with quartiles in brackets. "cycle": the 3-cycle is certified (`active`, goal "cycle").
"20 edges": that many of the 28 (goal "graph").
"""

OVERHEAD = """
## The league's own overhead

CPU-seconds on one thread: median, with the smallest and largest of three in brackets. The machine was shared and
busy; CPU time, unlike wall time, is little affected by that, yet a few tens of percent either way are. "analysis" is
everything `league analyze` reports on a fully played league with counts (30 games a pair). Beyond 200 agents the
bootstrap interval and the Bradley-Terry test are left out.

The later rows are runs of three rounds of the loop itself with scripted players (64 matches a round, half `pfsp`,
half `solver`): what a round costs without a model, what one set of pictures costs, and what evolution asks of the
payoffs when everything is due. Pictures are put off until all of them together are at most 5% of the run's time
(`league.reporting.time_budget`); the share and the rounds between two sets are those of 1,000 rounds with a
measurement every 5. Beyond 65,536 pairings (256 agents) the learners of a round are drawn by lot and all pairings of
those are weighed (`league.round.schedule.CROWD`), so a round's schedule does not grow with the square of the league.
"""

EXPLOITABILITY = """
## Exploitability in games

A learner with a tabular softmax policy and exact natural policy gradients (entropy weight 0.005), 25 steps a
generation, a frozen snapshot after each. Opponents: itself as it is (self-play), snapshots uniformly, by `pfsp`
(hard), or by the Nash mixture of the measured payoffs (`solver`). Measured rules see 30 sampled games against every
snapshot a generation, nothing exact. Margin a best response wins, in [0, 1] (0: unexploitable), mean of 5 seeds with
Student's 95% interval, of three things: the *learner* as it is; the *average* of all snapshots; the *Nash* mixture of
the snapshots (by exact payoffs), which is what a league can field.

How to read it: a learner trained as a best response to a mixture is itself exploitable by construction, so league
rules are to be judged by the mixture, and self-play by its learner. In rock-paper-scissors and Blotto the self-play
learner goes round in circles, while mixtures of snapshots become hard to exploit, those of the Nash-weighted league
sooner than those of uniform fictitious play. But self-play's own snapshots, mixed by Nash, do as well in those two
games, and in Kuhn plain self-play with this entropy weight does best of all: with exact gradients on tables nothing
is forgotten and nothing is noisy, and keeping the past and mixing it helps more than whom the learner met. These
games do not show what matchmaking does for language models.
"""


def page(rows: Sequence[Figure]) -> str:
    """The whole page; sections without rows are left out."""
    parts = [INTRO]
    for name, build in (
        ("false_alarms", _false_alarms),
        ("power", _power),
        ("active", _active),
        ("overhead", _overhead),
        ("exploitability", _games),
    ):
        found = [row for row in rows if row.section == name]
        if found:
            parts.append(build(found))
    return "\n".join(parts)


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(line) + " |" for line in body),
    ]
    return "\n".join(lines) + "\n"


def _percent(row: Figure) -> str:
    return f"{100 * row.value:.1f}% [{100 * row.low:.1f}, {100 * row.high:.1f}]"


def _get(rows: Sequence[Figure], setting: str, method: str, x: float) -> Figure:
    return next(row for row in rows if (row.setting, row.method) == (setting, method) and row.x == x)


def _false_alarms(rows: Sequence[Figure]) -> str:
    last = max(row.x for row in rows)
    looks = [
        ("once", 30.0, "cycle, one look at 30"),
        ("always", 30.0, "cycle, ever up to 30"),
        ("always", last, f"cycle, ever up to {last:g}"),
    ]
    looks += [
        ("wrong edge", 30.0, "wrong edge, ever up to 30"),
        ("wrong edge", last, f"wrong edge, ever up to {last:g}"),
    ]
    body = [
        [setting, method, *(_percent(_get(rows, setting, f"{method} {kind}", x)) for kind, x, _ in looks)]
        for setting in ("equal", "elo 30")
        for method in ("naive", "wilson", "holm", "e-value")
    ]
    ours = [row for row in rows if row.method.startswith("e-value") and row.runs]
    cycle, edge = (
        max((r for r in ours if r.method.endswith("edge") == wanted), key=lambda r: r.value) for wanted in (False, True)
    )
    text = f"Ours announced a false cycle in at most {_percent(cycle)} of leagues in any setting and at any number "
    text += f"of games (target: 5%), and a wrong edge in at most {_percent(edge)} (guaranteed: 5%).\n"
    exact = {row.x: 100 * row.value for row in rows if row.method == "e-value exact"}
    text += (
        "Exactly, between equals: "
        + ", ".join(f"{value:.2f}% up to {x:g} games a pair" for x, value in exact.items())
        + ".\n"
    )
    return FALSE_ALARMS + "\n" + _table(["league", "method", *(title for _, _, title in looks)], body) + "\n" + text


def _power(rows: Sequence[Figure]) -> str:
    games = sorted({row.x for row in rows if row.setting == "core 0.65" and row.method != "games a pair"})
    methods = ("naive", "wilson", "holm", "e-value")
    table = _table(
        ["games a pair", *methods],
        [[f"{x:g}", *(_percent(_get(rows, "core 0.65", m, x)) for m in methods)] for x in games],
    )
    until = [row for row in rows if row.method == "games a pair"]
    more = _table(
        ["core at", "games a pair until certified: median [quartiles]"],
        [[f"{r.x:g}", f"{r.value:g} [{r.low:g}, {r.high:g}]"] for r in until],
    )
    return (
        POWER
        + "\n"
        + table
        + "\nGames of every pair until the e-value certifies the cycle "
        + "(looked at after every game; inf: not within 700):\n\n"
        + more
    )


def _active(rows: Sequence[Figure]) -> str:
    body = []
    for goal in dict.fromkeys(row.setting for row in rows):
        uniform, active = (
            next(row for row in rows if (row.setting, row.method) == (goal, m)) for m in ("uniform", "active")
        )
        cells = [f"{row.value:,.0f} [{row.low:,.0f}, {row.high:,.0f}]" for row in (uniform, active)]
        body.append([goal, *cells, f"{active.value / uniform.value:.2f}", str(uniform.runs)])
    return ACTIVE + "\n" + _table(["goal", "uniform", "active", "ratio (target ≤ 0.5)", "runs"], body)


def _overhead(rows: Sequence[Figure]) -> str:
    sizes = sorted({row.x for row in rows})
    body = []
    for what in dict.fromkeys(row.method for row in rows):
        found = {row.x: row for row in rows if row.method == what}
        body.append([what, *(_measured(found[x]) if x in found else "not measured" for x in sizes)])
    return OVERHEAD + "\n" + _table(["what", *(f"{int(x):,} agents" for x in sizes)], body)


def _measured(row: Figure) -> str:
    return f"{row.value:.3f}" if row.runs == 1 else f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"


def _games(rows: Sequence[Figure]) -> str:
    parts = [EXPLOITABILITY]
    names = {"rps": "Rock-paper-scissors", "blotto": "Blotto(5,3)", "kuhn": "Kuhn poker (margin: half the chips)"}
    for game, title in names.items():
        last = max(row.x for row in rows)
        times = [x for x in sorted({row.x for row in rows}) if x in (1, 10, 30, last)]
        body = []
        for rule in ("self-play", "uniform", "pfsp", "nash"):
            for kind in ("learner", "average", "nash"):
                found = [_get(rows, f"{game} {rule}", kind, x) for x in times]
                body.append([rule, kind, *(f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in found)])
        end = {
            (r, k): _get(rows, f"{game} {r}", k, last).value
            for r in ("self-play", "uniform", "pfsp", "nash")
            for k in ("learner", "nash")
        }
        said = f"At the end a self-play learner can be beaten by {end['self-play', 'learner']:.3f}; "
        said += "the Nash mixture of the snapshots by "
        said += (
            ", ".join(f"{end[rule, 'nash']:.3f} ({rule})" for rule in ("uniform", "pfsp", "nash", "self-play")) + ".\n"
        )
        parts.append(
            f"\n### {title}\n\n{said}\n"
            + _table(["opponents by", "exploitability of the", *(f"generation {x:g}" for x in times)], body)
        )
    return "\n".join(parts)
