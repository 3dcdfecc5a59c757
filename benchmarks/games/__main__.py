"""Self-play cycles, a league does not.

Rock-paper-scissors in words between LoRA adapters over the real base model.

Four ways to choose the opponents of a learner that improves by MAGRPO (`cross` joint mode), at equal trained samples
and from the same warm-up, all arms and seeds in one fused population:

    self     its own current weights
    uniform  its own past snapshots, all alike (fictitious play)
    pfsp     its past snapshots, with weight (1 − win rate)², half draws, and a floor;
             an exploiter: reset after each snapshot
    nash     its past snapshots, drawn from the maximum-entropy Nash mixture of the games played between them;
             reset likewise

A small entropy bonus, the same for all arms and paid as a reward −τ ln π(reply), keeps policies from freezing at a
corner, where a group without variance teaches nothing.

Measured with exact policies: the probability of every distinct reply is its own log-probability, so a policy is known
up to replies never sampled (reported as `unseen`). `latest` is the exploitability of the learner as it is, `mixture`
that of the Nash mixture over its snapshots, whose weights come from *played games* only. At the end snapshots of each
self-play run meet in real matches, and the league's e-values say which cycles are certain.

Left out: the full league loop (this drives rollouts, credit and the fused update directly), and any claim about
speed.

Run: python -m benchmarks.games --model DIR --seeds 3 --rounds 40 --out results.json
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.games.arena import Arena, exact_policy, replies_of
from league.model.bank import LoraSpec
from league.payoffs.edges import certified_edges
from league.payoffs.graph import components, three_cycles
from league.payoffs.matrix import Counts
from league.payoffs.nash import max_entropy_nash
from league.seeds import generator
from league.types import Match, Version
from tasks.games.normal_form import exploitability
from tasks.games.replies import parse_move

ARMS = ("self", "uniform", "pfsp", "nash")
FLOOR = 0.2
RESET = ("pfsp", "nash")


@dataclass
class Learner:
    """One arm of one seed: its live adapter, its frozen past, and what is known of each."""

    arm: str
    seed: int
    live: Version
    past: list[Version] = field(default_factory=list)
    draws: dict[Version, list[str]] = field(default_factory=dict)
    """Moves each snapshot really played when it was frozen, in order.

    The j-th of two snapshots meet.
    """
    policies: dict[Version, np.ndarray] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    reset: bool = False
    """Whether the live adapter was dropped at its snapshot and starts again from the warm-up."""


def played_margins(learner: Learner) -> np.ndarray:
    """Margins (N, N) between snapshots from games really drawn, with half a win of prior for each side."""
    form_beats = {("rock", "scissors"), ("scissors", "paper"), ("paper", "rock")}
    size = len(learner.past)
    margin = np.zeros((size, size))
    for i, j in combinations(range(size), 2):
        pairs = list(zip(learner.draws[learner.past[i]], learner.draws[learner.past[j]], strict=False))
        wins, losses = sum(pair in form_beats for pair in pairs), sum(pair[::-1] in form_beats for pair in pairs)
        margin[i, j] = (wins - losses) / (len(pairs) + 1)
        margin[j, i] = -margin[i, j]
    return margin


def weights(learner: Learner, payoff: np.ndarray, policy: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """How likely each snapshot is to be the opponent."""
    size = len(learner.past)
    if learner.arm == "uniform" or size < 2:
        return np.full(size, 1 / size)
    if learner.arm == "nash":
        return max_entropy_nash(margin)
    wins = np.array([(1 + float(policy @ payoff @ learner.policies[past])) / 2 for past in learner.past])
    hard = (1 - wins) ** 2
    return (1 - FLOOR) * hard / hard.sum() + FLOOR / size


def one_round(arena: Arena, learners: Sequence[Learner], number: int, every: int) -> int:
    """Schedule, play, measure, snapshot, learn."""
    payoff = arena.task.form.payoff_AA
    matches: list[tuple[Learner, Match]] = []
    for learner in learners:
        opponents = [learner.live]
        if learner.arm != "self" and learner.past:
            chances = weights(learner, payoff, learner.policies[learner.past[-1]], played_margins(learner))
            picked = generator("opponents", learner.arm, learner.seed, number).choice(
                len(learner.past), size=2, p=chances / chances.sum()
            )
            opponents = [learner.past[index] for index in picked]
        for place, opponent in enumerate(opponents):
            matches.append(
                (learner, arena.match(f"{learner.arm}-{learner.seed}-{number}-{place}", learner.live, opponent))
            )
    episodes = arena.play([match for _, match in matches])
    for learner in learners:
        replies = [
            r
            for (owner, _), e in zip(matches, episodes, strict=True)
            if owner is learner
            for r in replies_of(e, learner.live)
        ]
        policy, invalid, unseen = exact_policy(replies, arena.moves())
        if number == 0 or number % every == every - 1:
            past = Version(f"{learner.live.agent}-past", number)
            arena.bank.clone(learner.live, past, trainable=False)
            learner.past.append(past)
            learner.policies[past] = policy
            if learner.arm in RESET and number:
                arena.bank.drop(learner.live)
                learner.reset = True
            learner.draws[past] = [move for r in replies if (move := parse_move(r.text, arena.moves())) is not None]
        mixture = max_entropy_nash(played_margins(learner)) if len(learner.past) > 1 else np.ones(1)
        mixed = sum(weight * learner.policies[past] for weight, past in zip(mixture, learner.past, strict=True))
        point = {
            "round": number,
            "latest": exploitability(payoff, policy),
            "mixture": exploitability(payoff, np.asarray(mixed)),
        }
        average = np.mean([learner.policies[past] for past in learner.past], axis=0)
        point |= {"average": exploitability(payoff, average), "invalid": invalid, "unseen": unseen}
        point |= dict(zip(arena.moves(), policy, strict=True))
        learner.curve.append({key: round(float(value), 4) for key, value in point.items()})
    taught = arena.learn(
        [(owner.live.agent, e) for (owner, _), e in zip(matches, episodes, strict=True) if not owner.reset]
    )
    for learner in learners:
        if learner.reset:
            arena.bank.clone(learner.past[0], learner.live, trainable=True)
            learner.reset = False
    return taught


def spread_out(learner: Learner, members: int) -> list[Version]:
    """Snapshots whose policies lie far apart (farthest first), from the one furthest from the centre on.

    No game is looked at.
    """
    policies = np.array([learner.policies[version] for version in learner.past])
    chosen = [int(np.abs(policies - policies.mean(0)).sum(1).argmax())]
    while len(chosen) < min(members, len(policies)):
        gaps = np.abs(policies[:, None] - policies[chosen]).sum(2).min(1)
        if gaps.max() == 0:
            break
        chosen.append(int(gaps.argmax()))
    return [learner.past[index] for index in sorted(chosen)]


def certify(arena: Arena, learner: Learner, plays: int, members: int = 5) -> dict[str, object]:
    """Real matches between snapshots of one run; which edges and cycles the e-values certify."""
    chosen = spread_out(learner, members)
    size = len(chosen)
    wins, draws = np.zeros((size, size)), np.zeros((size, size))
    pairs = list(combinations(range(size), 2))
    for repeat in range(-(-plays // arena.group)):
        named = [
            arena.match(f"certify-{learner.arm}-{learner.seed}-{repeat}-{i}-{j}", chosen[i], chosen[j])
            for i, j in pairs
        ]
        for (i, j), episode in zip(pairs, arena.play(named), strict=True):
            (outcome,) = arena.task.score(episode).outcomes
            low, high = (i, j) if outcome.row == chosen[i] else (j, i)
            wins[low, high] += outcome.wins
            wins[high, low] += outcome.losses
            draws[low, high] += outcome.draws
            draws[high, low] += outcome.draws
    counts = Counts(wins, draws)
    beats = certified_edges(counts)
    return {
        "members": [str(version) for version in chosen],
        "policies": [learner.policies[version].round(3).tolist() for version in chosen],
        "wins": wins.tolist(),
        "certified_edges": int(beats.sum()),
        "largest_component": len(components(beats)[0]),
        "certified_three_cycles": three_cycles(beats),
    }


def run(arguments: argparse.Namespace) -> dict[str, object]:
    arena = Arena(arguments)
    learners: list[Learner] = []
    starts: dict[str, np.ndarray] = {}
    for seed in range(arguments.seeds):
        start = f"start-{seed}"
        arena.bank.add(Version(start, 0), LoraSpec(), seed=seed, trainable=True)
        starts[start] = generator("start", seed).dirichlet(np.full(len(arena.moves()), 4.0))
    arena.teach_moves(starts, arguments.warm_up, arguments.warm_up_rate)
    for seed in range(arguments.seeds):
        for arm in arguments.arms:
            live = Version(f"{arm}-{seed}", 0)
            arena.bank.clone(Version(f"start-{seed}", 0), live, trainable=False)
            arena.bank.clone(live, Version(f"{arm}-{seed}", 1), trainable=True)
            arena.bank.drop(live)
            learners.append(Learner(arm, seed, Version(f"{arm}-{seed}", 1)))
    began = time.process_time()
    samples = 0
    for number in range(arguments.rounds):
        samples += one_round(arena, learners, number, arguments.every)
        shown = " ".join(
            f"{ln.arm}{ln.seed} {ln.curve[-1]['latest']:.2f}/{ln.curve[-1]['mixture']:.2f}" for ln in learners
        )
        print(f"round {number} cpu {time.process_time() - began:.0f}s  {shown}", flush=True)
        if number + 1 < arguments.rounds:
            save(arguments, learners, samples, time.process_time() - began, {})
    certificates = {f"{ln.arm}-{ln.seed}": certify(arena, ln, arguments.plays) for ln in learners if ln.arm == "self"}
    return save(arguments, learners, samples, time.process_time() - began, certificates)


def save(
    arguments: argparse.Namespace,
    learners: Sequence[Learner],
    samples: int,
    seconds: float,
    certificates: dict[str, dict[str, object]],
) -> dict[str, object]:
    """The result so far, also written to `--out`: a run that is cut short keeps its finished rounds."""
    result: dict[str, object] = {
        "settings": {key: str(value) for key, value in vars(arguments).items() if key not in ("model", "out")}
        | {"model": arguments.model.name},
        "samples": samples,
        "cpu_seconds": round(seconds, 1),
        "curves": {f"{learner.arm}-{learner.seed}": learner.curve for learner in learners},
        "certificates": certificates,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def turns(curve: Sequence[dict[str, float]]) -> float:
    """How often the policy went round the centre of the simplex.

    The corners are rock, paper and scissors, and the direction is rock → paper → scissors.
    """
    policies = np.array([[point[move] for move in ("rock", "paper", "scissors")] for point in curve]) - 1 / 3
    angles = np.unwrap(np.arctan2(policies @ [0, 3**0.5 / 2, -(3**0.5) / 2], policies @ [1, -0.5, -0.5]))
    return float(angles[-1] - angles[0]) / (2 * np.pi)


def summary(result: dict[str, object]) -> str:
    """Means over the last half of the rounds, with the range over seeds; turns over the whole run."""
    curves: dict[str, list[dict[str, float]]] = result["curves"]  # type: ignore[assignment]
    lines = [
        "| arm | latest policy | average of snapshots | Nash mixture | invalid | turns |",
        "|---|---|---|---|---|---|",
    ]
    for arm in dict.fromkeys(name.rpartition("-")[0] for name in curves):
        cells = []
        for key in ("latest", "average", "mixture", "invalid"):
            values = [
                np.mean([point[key] for point in curve[len(curve) // 2 :]])
                for name, curve in curves.items()
                if name.startswith(arm + "-")
            ]
            cells.append(f"{np.mean(values):.3f} [{min(values):.3f}, {max(values):.3f}]")
        rounds = [turns(curve) for name, curve in curves.items() if name.startswith(arm + "-")]
        cells.append(f"{np.mean(rounds):.1f} [{min(rounds):.1f}, {max(rounds):.1f}]")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument(
        "--game", default="rock-paper-scissors", choices=("rock-paper-scissors", "biased-rock-paper-scissors")
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--every", type=int, default=4, help="rounds between snapshots")
    parser.add_argument("--rate", type=float, default=1.2e-4)
    parser.add_argument("--entropy", type=float, default=0.1)
    parser.add_argument("--warm-up", type=int, default=12, help="supervised steps")
    parser.add_argument("--warm-up-rate", type=float, default=1e-3)
    parser.add_argument("--group", type=int, default=32, help="replies per seat and match")
    parser.add_argument("--plays", type=int, default=320, help="games per pair for the certificates")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    result = run(arguments)
    print(summary(result))
    for name, certificate in result["certificates"].items():  # type: ignore[attr-defined]
        print(
            name, {key: certificate[key] for key in ("certified_edges", "largest_component", "certified_three_cycles")}
        )


if __name__ == "__main__":
    main()
