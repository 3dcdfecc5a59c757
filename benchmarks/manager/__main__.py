"""The league manager in figures: false alarms, power, active sampling, overhead, exploitability.

    python -m benchmarks.manager [SECTION ...]      (default: all; `report` only rewrites the page)

Each section replaces its rows in docs/results/manager.csv (section, setting, method, x, value, low, high, runs);
the page docs/results/manager.md is written from that file alone. Everything is simulated from fixed seeds except
CPU times.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, fields
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.stats import binom

from benchmarks.manager.leagues import GENERATIONS, exploitability_curve
from benchmarks.manager.overhead import drawn_share, overhead_of_runs
from benchmarks.manager.page import Figure, page
from league.matchmaking import Pairing, RuleContext, draw_pairings, make_mixture
from league.matchmaking.active import next_pairs
from league.payoffs.analyze import analyze_matrix
from league.payoffs.edges import certified_edges, log_e_value, threshold
from league.payoffs.graph import components
from league.payoffs.matrix import Counts, from_counts
from league.payoffs.ratings import Ratings
from league.payoffs.view import PayoffView
from league.reporting.queries.estimates import proportion
from league.types import Outcome, Version

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
AGENTS = 8
ROWS, COLS = np.triu_indices(AGENTS, 1)
PAIRS = len(ROWS)
METHODS = ("naive", "wilson", "holm", "e-value")


def share(section: str, setting: str, method: str, x: float, hits: int, runs: int) -> Figure:
    """`hits` among one or more runs, with Wilson's interval."""
    found = proportion(hits, runs)
    return Figure(section, setting, method, x, found.value, found.low, found.high, runs)


# -------------------------------------------------------------------------------------------- four ways to draw an edge
def edge_signs(method: str, wins: np.ndarray) -> np.ndarray:
    """(T, P) in {−1, 0, 1}: the edge each method draws after t games of every pair.

    wins (T, P): cumulative.
    """
    games = np.arange(1, len(wins) + 1)[:, None]
    ahead = np.sign(2 * wins - games).astype(np.int8)
    if method == "naive":
        return ahead
    if method == "wilson":
        p, z2 = wins / games, 1.96**2
        centre = (p + z2 / (2 * games)) / (1 + z2 / games)
        half = 1.96 / (1 + z2 / games) * np.sqrt(p * (1 - p) / games + z2 / (4 * games**2))
        return np.where((centre - half > 0.5) | (centre + half < 0.5), ahead, 0)
    if method == "holm":
        value = _two_sided(len(wins))[games, np.minimum(wins, games - wins)]
        order = np.argsort(value, axis=1)
        passed = np.logical_and.accumulate(
            np.take_along_axis(value, order, 1) <= 0.05 / (PAIRS - np.arange(PAIRS)), axis=1
        )
        chosen = np.zeros_like(passed)
        np.put_along_axis(chosen, order, passed, axis=1)
        return np.where(chosen, ahead, 0)
    return np.where(log_e_value(wins, games - wins) >= threshold(AGENTS), ahead, 0)


@cache
def _two_sided(most: int) -> np.ndarray:
    """(most + 1, most // 2 + 1): exact two-sided binomial p-values by games and smaller count."""
    games, fewer = np.arange(most + 1)[:, None], np.arange(most // 2 + 1)[None, :]
    return np.minimum(1.0, 2.0 * binom.cdf(fewer, games, 0.5))


def has_cycle(sign: np.ndarray) -> bool:
    if (sign >= 0).all() or (sign <= 0).all() or np.abs(sign).sum() < 3:
        return False  # all edges agree with one order of the agents
    beats = np.zeros((AGENTS, AGENTS), dtype=bool)
    beats[ROWS, COLS], beats[COLS, ROWS] = sign > 0, sign < 0
    return len(components(beats)[0]) > 1


def first_cycle(signs: np.ndarray) -> int:
    """The first look (0-based) at which the edges contain a cycle, or the number of looks."""
    changed = np.flatnonzero(np.r_[True, (signs[1:] != signs[:-1]).any(axis=1)])
    return next((int(t) for t in changed if has_cycle(signs[t])), len(signs))


def exact_wrong_edge(most: int) -> np.ndarray:
    """(most + 1,): probability that one fair pair is certified within n games.

    By dynamic programming over the number of wins.
    """
    alive, lost = np.zeros(most + 2), np.zeros(most + 1)
    alive[0] = 1.0
    for n in range(1, most + 1):
        alive[1:], alive[0] = (alive[1:] + alive[:-1]) / 2, alive[0] / 2
        wins = np.arange(n + 1)
        beyond = log_e_value(wins, n - wins) >= threshold(AGENTS)
        lost[n] = lost[n - 1] + alive[: n + 1][beyond].sum()
        alive[: n + 1][beyond] = 0.0
    return lost


def false_alarms(leagues: int = 2000, games: int = 1000) -> Iterator[Figure]:
    exact = 1 - (1 - exact_wrong_edge(games)) ** PAIRS
    for x in (30, games):
        yield Figure("false_alarms", "equal", "e-value exact", x, float(exact[x]), float(exact[x]), float(exact[x]), 0)
    for setting, gap in (("equal", 0.0), ("elo 30", 30.0)):
        rng = np.random.default_rng(101)
        chance = 1 / (1 + 10 ** (-gap * (COLS - ROWS) / 400))
        looks = np.array([30, 200, games])
        tallies = {
            method: {kind: np.zeros(3, dtype=int) for kind in ("once", "always", "wrong edge")} for method in METHODS
        }
        for _ in range(leagues):
            wins = np.cumsum(rng.random((games, PAIRS)) < chance, axis=0)
            for method in METHODS:
                signs = edge_signs(method, wins)
                wrong = ((signs != 0) if gap == 0 else (signs < 0)).any(
                    axis=1
                )  # with a gap, the row is the stronger agent
                tallies[method]["once"] += [has_cycle(signs[look - 1]) for look in looks]
                tallies[method]["always"] += first_cycle(signs) < looks
                tallies[method]["wrong edge"] += [wrong[:look].any() for look in looks]
        for method, kinds in tallies.items():
            for kind, hits in kinds.items():
                for x, number in zip(looks, hits, strict=True):
                    yield share("false_alarms", setting, f"{method} {kind}", int(x), int(number), leagues)


# ------------------------------------------------------------------------------------------------------ a planted cycle
def core_over_ladder(p: float) -> np.ndarray:
    """(8, 8) win rates: a 3-cycle at `p` over a ladder of five agents.

    The five are 0.5 logits apart and at least 1 logit below the core.
    """
    strength = np.array([2.0, 2.0, 2.0, 1.0, 0.5, 0.0, -0.5, -1.0])
    chance = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        chance[i, j], chance[j, i] = p, 1 - p
    return chance


def power(leagues: int = 200, games: int = 700) -> Iterator[Figure]:
    core = [
        (int(np.flatnonzero((ROWS == min(e)) & (COLS == max(e)))[0]), 1 if e[0] < e[1] else -1)
        for e in ((0, 1), (1, 2), (2, 0))
    ]
    for p in (0.6, 0.65, 0.7, 0.8):
        rng = np.random.default_rng(202)
        chance = core_over_ladder(p)[ROWS, COLS]
        found = {method: np.zeros((leagues, games), dtype=bool) for method in METHODS}
        for league in range(leagues):
            wins = np.cumsum(rng.random((games, PAIRS)) < chance, axis=0)
            for method in METHODS if p == 0.65 else ("e-value",):
                signs = edge_signs(method, wins)
                found[method][league] = np.logical_and.reduce([signs[:, pair] == sign for pair, sign in core])
        if p == 0.65:
            for x in (30, 60, 100, 150, 200, 250, 300, 400):
                for method in METHODS:
                    yield share("power", "core 0.65", method, x, int(found[method][:, x - 1].sum()), leagues)
        when = np.where(found["e-value"].any(axis=1), found["e-value"].argmax(axis=1) + 1.0, np.inf)
        low, middle, high = np.quantile(when, (0.25, 0.5, 0.75), method="nearest")
        yield Figure("power", f"core {p}", "games a pair", p, middle, low, high, leagues)


def active(leagues: int = 20, batch: int = 5) -> Iterator[Figure]:
    chance = core_over_ladder(0.65)
    done = {
        "cycle": lambda beats: len(components(beats)[0]) >= 3,
        "20 edges": lambda beats: beats.sum() >= 20,
    }
    for goal in done:
        for method in ("uniform", "active"):
            totals = [
                _games_until(
                    done[goal],
                    method,
                    goal="cycle" if goal == "cycle" else "graph",
                    chance=chance,
                    batch=batch,
                    seed=seed,
                )
                for seed in range(leagues)
            ]
            low, middle, high = np.quantile(totals, (0.25, 0.5, 0.75))
            yield Figure("active", goal, method, 0.65, middle, low, high, leagues)


def _games_until(done: Callable, method: str, goal: str, chance: np.ndarray, batch: int, seed: int) -> int:
    rng = np.random.default_rng((303, seed))
    wins, allowed, played = np.zeros((AGENTS, AGENTS)), ~np.eye(AGENTS, dtype=bool), 0
    while not done(certified_edges(Counts(wins, np.zeros_like(wins)))):
        if method == "active":
            i, j = next_pairs(wins, allowed, goal, 0.05, rng)[0][0]
        else:
            i, j = (int(k) for k in rng.choice(AGENTS, 2, replace=False))
        won = rng.binomial(batch, chance[i, j])
        wins[i, j] += won
        wins[j, i] += batch - won
        played += batch
    return played


# --------------------------------------------------------------------------------------------------------- its own cost
def overhead(repeats: int = 3) -> Iterator[Figure]:
    for size in (10, 100, 1000):
        rng = np.random.default_rng(404)
        strength = rng.normal(0, 0.5, size)
        wins = np.triu(rng.binomial(30, 1 / (1 + np.exp(strength[None, :] - strength[:, None]))), 1)
        losses = np.triu(30 - wins, 1)
        matrix = from_counts([f"a{i}" for i in range(size)], wins + losses.T)
        yield _cpu("analysis", size, lambda matrix=matrix: analyze_matrix(matrix), repeats)
        agents = [Version(f"a{i}", 0) for i in range(size)]
        met = [(int(i), int(j)) for i, j in rng.integers(0, size, (20 * size, 2)) if i != j]
        outcomes = [
            Outcome(
                "contest", "g", situation="default", domain="", row=agents[i], col=agents[j], wins=16, losses=14, n=30
            )
            for i, j in met
        ]
        view = PayoffView().add(0, outcomes)
        pairs = [Pairing(agents[0], other) for other in agents[1:]]
        for rule in ("pfsp", "solver"):
            draw = partial(draw_pairings, RuleContext(view, "g", 1), pairs, 1, mixture=make_mixture({rule: 1.0}, {}))
            yield _cpu(f"one match by {rule}", size, lambda d=draw: d(rng=np.random.default_rng(0)), repeats)
        yield _cpu(
            "64 outcomes into view and ratings",
            size,
            lambda v=view, o=outcomes[:64]: (v.add(1, o), Ratings().update(o)),
            repeats,
        )
    for what, size, spent in overhead_of_runs():
        yield Figure("overhead", f"{size}", what, size, float(np.median(spent)), min(spent), max(spent), len(spent))
        if what == "pictures of one measurement":
            for seconds in (10.0, 60.0):
                share, rounds = drawn_share(spent[0], seconds)
                yield Figure(
                    "overhead", f"{size}", f"share of pictures, rounds of {seconds:.0f} s", size, share, share, share, 1
                )
                yield Figure(
                    "overhead",
                    f"{size}",
                    f"rounds between pictures, rounds of {seconds:.0f} s",
                    size,
                    rounds,
                    rounds,
                    rounds,
                    1,
                )


def _cpu(what: str, size: int, call: Callable, repeats: int) -> Figure:
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return Figure("overhead", f"{size}", what, size, float(np.median(taken)), min(taken), max(taken), repeats)


# ------------------------------------------------------------------------------------------------------- exploitability
def exploitability(seeds: int = 5) -> Iterator[Figure]:
    for game in ("rps", "blotto", "kuhn"):
        for rule in ("self-play", "uniform", "pfsp", "nash"):
            curves = [exploitability_curve(game, rule, seed) for seed in range(seeds)]
            for kind in ("learner", "average", "nash"):
                table = np.stack([getattr(curve, kind) for curve in curves])
                half = 2.776 * table.std(axis=0, ddof=1) / np.sqrt(seeds)  # Student's t, 4 degrees of freedom
                for generation in (1, 5, 10, 20, 30, 40, 50, GENERATIONS):
                    value, spread = float(table[:, generation - 1].mean()), float(half[generation - 1])
                    yield Figure(
                        "exploitability",
                        f"{game} {rule}",
                        kind,
                        generation,
                        value,
                        max(0.0, value - spread),
                        min(1.0, value + spread),
                        seeds,
                    )


SECTIONS: dict[str, Callable[[], Iterator[Figure]]] = {
    "false_alarms": false_alarms,
    "power": power,
    "active": active,
    "overhead": overhead,
    "exploitability": exploitability,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)} or report")
    arguments: list[str] = parser.parse_args().sections
    chosen = [name for name in arguments if name != "report"] or ([] if "report" in arguments else list(SECTIONS))
    if unknown := [name for name in chosen if name not in SECTIONS]:
        parser.error(f"unknown section {unknown[0]!r}; sections: {', '.join(SECTIONS)}, report")
    path = RESULTS / "manager.csv"
    for name in chosen:
        began = time.process_time()
        found = list(SECTIONS[name]())
        rows = [row for row in _read(path) if row.section != name] + found  # read late: sections may run side by side
        print(f"{name}: {time.process_time() - began:.0f} CPU-seconds")
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([field.name for field in fields(Figure)])
            writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)] for row in rows)
    (RESULTS / "manager.md").write_text(page(_read(path)))


def _read(path: Path) -> list[Figure]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Figure(
                r["section"],
                r["setting"],
                r["method"],
                *(float(r[k]) for k in ("x", "value", "low", "high")),
                int(r["runs"]),
            )
            for r in csv.DictReader(file)
        ]


if __name__ == "__main__":
    main()
