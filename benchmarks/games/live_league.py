"""Rock-paper-scissors in words in the live league.

Does self-play go round, does a league mixture not, and is the cycle certified?

Two arms over the real base model, each an ordinary run of `league train`'s loop with two learners, the same warm-up,
the same snapshots and as many replies sampled (the league arm trains on about twice as many of them, because both
learners learn from a match they play with one another):

    self     every match against one's own current weights
    league   half PFSP over the other learner and all frozen pasts, half the Nash mixture of the measured payoffs

Replies are held to the three moves by a grammar (`constrained`), in sampling and in the loss. So the entropy bonus is
one over moves, and what a reply opens with decides the move: the exact policy is read off one distribution over the
few tokens the grammar allows first. Without it a learner's entropy can run off into replies that are no move; such a
version loses to everyone, which its probabilities of moves do not show.

Frozen versions meet in matches that are never trained on (`evaluation.versions`), in both arms alike. After every
round, with exact policies:

    learner   exploitability of each live version, mean over the learners
    average   that of the uniform mixture of all frozen pasts
    nash      that of the maximum-entropy Nash mixture of the frozen pasts by the league's own *measured* payoffs
    exact     that of their Nash mixture, were the payoffs known exactly: what the population holds
              (worked out by `report`)

At the end `league cycles`' own analysis says whether a cycle between frozen versions is certified, and the exact
policies whether the certificate is right. Left out: claims about speed, and any other game.

Run: python -m benchmarks.games.live_league run --seeds 3 --out games_league.json [--scratch DIR]; then `… report
games_league.json --picture games.png`
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.games.picture import draw
from benchmarks.games.report import report
from league.config import Config, parse_config
from league.loop import train
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.grammar import Grammars, unpack_mask
from league.model.score import score
from league.payoffs.nash import max_entropy_nash
from league.preflight.checks import prepare
from league.reporting.queries.cycles import cycles
from league.round.values import RoundReport
from league.runtime.league import League, LeagueState
from league.store.reader import RunReader
from league.types import Match, Sampling, Turn, Version
from tasks.games.matrix_games import MatrixGame
from tasks.games.normal_form import exploitability

ARMS: dict[str, dict[str, Any]] = {
    "self": {"matches": 4, "matchmaking": {"self_play": 1.0}},
    "league": {"matches": 8, "matchmaking": {"pfsp": 0.5, "solver": 0.5}},
}
"""Matches a round of each arm, chosen for equal numbers of trained groups.

A match with oneself trains two groups, one with a frozen past one, one with the other learner two.
"""


def settings_of(arm: str, seed: int, chosen: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """A run's configuration, not yet parsed."""
    return {
        "name": f"{arm}-{seed}",
        "seed": seed,
        "runs": str(runs),
        "model": {"threads": 1, "device": "cpu"},
        "agents": {"ada": {"role": "co-player"}, "max": {"role": "co-player"}},
        "warmup": {"student": {"demonstrations": 96, "batch": 8, "learning_rate": 1e-3}},
        "tasks": {
            "game": {
                "kind": "matrix_game",
                "settings": {
                    "game": "rock-paper-scissors",
                    "samples": chosen.group,
                    "max_tokens": 12,
                    "joint": "cross",
                    "constrained": True,
                },
                **ARMS[arm],
            }
        },
        "learning": {"learning_rate": chosen.rate, "entropy": chosen.entropy, "betas": [0.0, 0.99]},
        "evaluation": {
            "every": max(1, chosen.every // 2),
            "versions": {
                "matches": chosen.versions,
                "final_matches": chosen.final,
                "matchmaking": {"active": 0.7, "uniform": 0.3},
            },
        },
        "league": {
            "rounds": chosen.rounds,
            "snapshot_every": chosen.every,
            "snapshots_kept": chosen.kept,
            "transcripts_per_round": 0,
        },
    }


def config_of(arm: str, seed: int, chosen: argparse.Namespace, runs: Path) -> Config:
    return parse_config(yaml.safe_dump(settings_of(arm, seed, chosen, runs)), f"{arm}-{seed}")


class Curve:
    """An audience that measures exact policies after each committed round."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self.policies: dict[Version, np.ndarray] = {}

    def opens(self, league: League, state: LeagueState) -> None: ...

    def phase(self, league: League, number: int, text: str) -> None: ...

    def round(self, league: League, report: RoundReport) -> None:
        task: MatrixGame = league.tasks["game"]
        live = list(report.state.population.live().values())
        pasts = report.state.population.frozen()
        self.measure(league, task, [version for version in [*live, *pasts] if version not in self.policies])
        payoff = task.form.payoff_AA
        met = report.state.view.meetings("game", pasts, pasts)
        margin = (met.wins - met.losses) / (met.wins + met.draws + met.losses + 1.0)
        nash = max_entropy_nash((margin - margin.T) / 2.0)
        frozen = np.array([self.policies[past] for past in pasts])
        alone = [exploitability(payoff, self.policies[version]) for version in live]
        games = (met.wins + met.draws + met.losses)[np.triu_indices(len(pasts), 1)]
        self.points.append(
            {
                "round": report.round,
                "learner": float(np.mean(alone)),
                "average": exploitability(payoff, frozen.mean(axis=0)),
                "nash": exploitability(payoff, nash @ frozen),
                "policies": [self.policies[version].round(4).tolist() for version in live],
                "pairs_met": float((games > 0).mean()) if games.size else 0.0,
                "trained": report.scalars.get("tokens/trained", 0.0),
            }
        )
        shown = {key: round(value, 3) for key, value in self.points[-1].items() if isinstance(value, float)}
        print(league.config.name, report.round, shown, f"cpu {time.process_time():.0f}s", flush=True)

    def measure(self, league: League, task: MatrixGame, versions: Sequence[Version]) -> None:
        """Each version's exact probabilities of the moves."""
        if versions:
            turn = task.open(
                Match("policy", "game", round=0, seats={"row": versions[0], "col": versions[0]}, problems=(), seed=0)
            )[0]
            self.policies |= dict(
                zip(versions, policies_of(league.weights(), turn, task.form.moves, versions), strict=True)
            )


def policies_of(bank: AdapterBank, turn: Turn, moves: Sequence[str], versions: Sequence[Version]) -> np.ndarray:
    """(versions, moves): how likely each version is to answer with each move.

    To the row player's question, under the turn's grammar.
    """
    grammar, prompt = turn.sampling["row"].grammar, bank.base.encode(turn.prompts["row"])
    assert grammar is not None
    tokens, leads = openings(bank.base, grammar, moves)
    rows = [(prompt, (token,)) for _ in versions for token in tokens]
    found = score(bank, rows, [version for version in versions for _ in tokens], [Sampling()] * len(rows))
    chances = np.exp([float(logprobs[0]) for logprobs in found]).reshape(len(versions), len(tokens))
    mass = np.array([np.bincount(leads, weights=chance, minlength=len(moves)) for chance in chances])
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))


def openings(base: BaseModel, grammar: str, moves: Sequence[str]) -> tuple[list[int], list[int]]:
    """(tokens a reply may open with, the one move each of them leads to).

    Raises ValueError where an opening leaves the move undecided.
    """
    allowed = unpack_mask(torch.from_numpy(Grammars(base).start(grammar).mask()[None].copy()), base.head_VH.shape[0])[0]
    tokens = allowed.nonzero().flatten().tolist()
    leads = [
        [place for place, move in enumerate(moves) if move.startswith(str(base.tokenizer.decode([token])))]
        for token in tokens
    ]
    for token, found in zip(tokens, leads, strict=True):
        if len(found) != 1:
            raise ValueError(f"token {token} opens {len(found)} of the moves {', '.join(moves)}: expected exactly one")
    return tokens, [place for (place,) in leads]


def certificate(folder: Path, policies: Mapping[Version, np.ndarray], payoff: np.ndarray) -> dict[str, Any]:
    """What `league cycles` says of the run.

    And how many of its certified edges are true by the exact policies.
    """
    with RunReader.read(folder) as reader:
        view = cycles(reader, "game")
    if view is None:
        return {"versions": 0, "edges": 0, "true_edges": 0, "cycles": []}
    right = [
        bool(policies[Version.parse(e.winner)] @ payoff @ policies[Version.parse(e.loser)] > 0)
        for e in view.edges
        if Version.parse(e.winner) in policies and Version.parse(e.loser) in policies
    ]
    return {
        "versions": len(view.names),
        "edges": len(view.edges),
        "true_edges": sum(right),
        "cycles": [list(cycle) for cycle in view.cycles[:20]],
        "count": len(view.cycles),
    }


def begun(chosen: argparse.Namespace) -> dict[str, Any]:
    """What `--out` already holds, so that a stopped series goes on.

    Finished runs under other settings are refused, not mixed.
    """
    result: dict[str, Any] = {
        "settings": {key: str(value) for key, value in vars(chosen).items() if key not in ("out", "scratch")},
        "runs": {},
    }
    if not chosen.out.exists():
        return result
    found = json.loads(chosen.out.read_text(encoding="utf-8"))
    which = ("arms", "seeds", "first")  # which runs, not what a run is
    changed = [
        key for key, value in result["settings"].items() if key not in which and found["settings"].get(key) != value
    ]
    if changed:
        raise SystemExit(f"{chosen.out} holds runs under other settings ({', '.join(changed)}): give another --out")
    result["runs"] = found["runs"]
    return result


def run(chosen: argparse.Namespace) -> None:
    result = begun(chosen)
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for arm in chosen.arms:
            if f"{arm}-{seed}" in result["runs"]:
                continue
            began = time.process_time()
            config, curve = config_of(arm, seed, chosen, chosen.scratch), Curve()
            folder = train(prepare(config), curve)
            payoff = MatrixGame("game").form.payoff_AA
            result["runs"][config.name] = {
                "curve": curve.points,
                "certificate": certificate(folder, curve.policies, payoff),
                "cpu_seconds": round(time.process_time() - began, 1),
            }
            chosen.out.write_text(json.dumps(result, indent=None) + "\n", encoding="utf-8")
            print(config.name, result["runs"][config.name]["certificate"], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    played = commands.add_parser("run")
    played.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    played.add_argument("--seeds", type=int, default=3)
    played.add_argument("--first", type=int, default=0, help="the first seed")
    played.add_argument("--rounds", type=int, default=32)
    played.add_argument(
        "--every",
        type=int,
        default=4,
        help="rounds between snapshots; frozen versions meet twice as often, so that new ones have met before the next",
    )
    played.add_argument("--kept", type=int, default=8, help="snapshots kept per learner")
    played.add_argument("--group", type=int, default=16, help="replies per seat and match")
    played.add_argument("--versions", type=int, default=16, help="matches between frozen versions per measurement")
    played.add_argument(
        "--final", type=int, default=240, help="further matches between frozen versions after the last round"
    )
    played.add_argument("--rate", type=float, default=1.5e-4)
    played.add_argument("--entropy", type=float, default=0.1)
    played.add_argument("--out", type=Path, required=True)
    played.add_argument("--scratch", type=Path, default=None)
    told = commands.add_parser("report")
    told.add_argument("result", type=Path)
    told.add_argument("--picture", type=Path, help="also draw the runs into this PNG")
    chosen = parser.parse_args()
    if chosen.command == "report":
        found = json.loads(chosen.result.read_text(encoding="utf-8"))
        print(report(found))
        if chosen.picture:
            draw(found["runs"], chosen.picture)
        return
    if chosen.scratch is not None:
        run(chosen)
        return
    with tempfile.TemporaryDirectory() as folder:
        chosen.scratch = Path(folder)
        run(chosen)


if __name__ == "__main__":
    main()
