"""MAGRPO against the paper's baselines on writing and coding together.

It runs over the real base model, at equal trained tokens.

Every arm is a shipped config, `configs/magrpo/FAMILY_ARM.yaml`: its task, warm-up, learning rate and decoding are
what is run here. The arms of one seed and family share one population, one generation batch and one fused update per
round (a "wave"), which is what the engine is for; each stops when it has trained on its tokens (warm-up apart), or
after `--rounds` rounds where its groups have nothing more to say. With `--minutes` all stop together, wherever they
are: what each trained on is reported. Families take turns, seed by seed, so that wherever it is stopped all arms have
been measured equally often.

Every arm is examined on the same held-out test problems, with the training's decoding, before and after: "before" is
the prompted baseline (of aligned: naive concatenation), after the same supervised warm-up. Seconds per answer are
counted as the paper does, the slower writer of a turn, summed over turns, each text generated alone, in CPU-seconds.

Resumable: an arm and seed that is in --out is not measured again; one wave is the unit that can be lost.

    python -m benchmarks.magrpo --out runs/magrpo.json --families coding --arms aligned,single --seeds 3 --tokens 6000
    python -m benchmarks.magrpo --out runs/magrpo.json --families coding,writing                # all that is missing
    python -m benchmarks.magrpo.page runs/magrpo.json
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.magrpo.probes import ARMS, CONFIGS, SHOWN, Clocked, Row, adapters, cross_play, humaneval, tokens_of
from league.backends.local import LocalBackend
from league.config import Config, load_config
from league.learning.advantages import Credit, learn_from
from league.learning.objective import Objective
from league.learning.update import update
from league.learning.warmup import Curriculum, Target, warm_up
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import locate_model
from league.rollouts import play
from league.runtime.assembly import text_nll
from league.seeds import derive
from league.types import Hyper, Match, Sample, Version
from tasks import make_task
from tasks.writing.fluency import Perplexity

SAME_START = {"cross": "aligned", "independent": "aligned"}
"""Arms that differ from another only in what is rewarded.

Before training they are that other, so it is examined once.
"""


@dataclass
class Team:
    """One arm of one seed: its config, task, adapters by seat, and what it has cost."""

    arm: str
    seed: int
    config: Config
    task: Any
    seats: dict[str, Version]
    trained: int = 0
    sampled: int = 0
    rounds: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(tokens trained on, mean training return) at the start of each round."""

    @property
    def key(self) -> str:
        return f"{self.arm}/{self.seed}"

    @property
    def agents(self) -> set[str]:
        return {version.agent for version in self.seats.values()}


class Wave:
    """Arms and seeds of one family over one bank."""

    def __init__(self, base: BaseModel, family: str, wanted: Sequence[tuple[str, int]], rounds: int):
        self.base, self.family, self.rounds = base, family, rounds
        self.bank = AdapterBank(base)
        self.backend = LocalBackend(base, self.bank, max_rows=256)
        self.clock = {"generate": 0.0, "score": 0.0, "update": 0.0, "warm-up": 0.0, "exam": 0.0}
        self.teams = self._found(wanted)

    # ------------------------------------------------------------------------------------------- beginnings
    def _found(self, wanted: Sequence[tuple[str, int]]) -> list[Team]:
        """Warm up every distinct agent of a seed once, then give each arm copies.

        Arms whose agents are shown the same share it.
        """
        start = time.process_time()
        teams: list[Team] = []
        sources: dict[Version, Version] = {}
        curricula: dict[Any, Curriculum] = {}
        for arm, seed in wanted:
            config = load_config(CONFIGS / f"{self.family}_{arm}.yaml", [f"seed={seed}"])
            ((name, chosen),) = config.tasks.items()
            task = make_task(chosen.kind, f"{self.family}-{arm}-{seed}", chosen.settings, {})
            task = task.with_fluency(Perplexity(lambda texts: text_nll(self.bank, texts)))
            named = {
                seat: chosen.seats[seat][0] if chosen.seats else next(iter(config.agents)) for seat in task.seats()
            }
            teams.append(
                Team(
                    arm,
                    seed,
                    config,
                    task,
                    {seat: Version(f"{arm}-{seed}-{agent}", 0) for seat, agent in named.items()},
                )
            )
            for seat, agent in named.items():
                phase = config.warmup.student
                shown = task.demonstrations(phase.demonstrations, derive(seed, "demonstrations", name, agent), [seat])
                key = (seed, agent, tuple(shown))
                if key not in curricula:
                    source = Version(f"warm-{len(curricula)}", 0)
                    self.bank.add(
                        source,
                        LoraSpec(config.adapter.rank, config.adapter.alpha),
                        seed=derive(seed, "adapter", agent),
                        trainable=True,
                    )
                    curricula[key] = Curriculum(source.agent, (), phase, tuple(Target(*pair) for pair in shown))
                sources[teams[-1].seats[seat]] = Version(curricula[key].agent, 0)
        warm_up(self.base, self.bank, list(curricula.values()), Objective(aggregation="token"), 0)
        for version, source in sources.items():
            self.bank.clone(source, version, trainable=True)
        for source in set(sources.values()):
            self.bank.drop(source)
        self.clock["warm-up"] += time.process_time() - start
        return teams

    def match(self, team: Team, split: str, index: int) -> Match:
        seed = derive("magrpo", team.seed, split, index)
        problems = team.task.problems(split, index)
        return Match(
            f"{team.key}-{split}-{index}", team.task.name, round=index, seats=team.seats, problems=problems, seed=seed
        )

    # --------------------------------------------------------------------------------------------- learning
    def train(self, tokens: int, deadline: float) -> None:
        """Rounds until every arm has trained on `tokens`, or has played all its rounds.

        They end too when the clock (monotonic) strikes `deadline`.
        """
        while active := [team for team in self.teams if team.trained < tokens and team.rounds < self.rounds]:
            if time.monotonic() > deadline:
                return
            self._round(active)
            shown = " ".join(f"{team.key}:{team.trained}:{team.curve[-1][1]:.2f}" for team in active)
            print(f"{self.family} cpu {time.process_time():.0f} s {shown}", flush=True)

    def _round(self, active: Sequence[Team]) -> None:
        start = time.process_time()
        matches = [
            (team, self.match(team, "train", team.rounds * m + i))
            for team in active
            for m in [_matches(team)]
            for i in range(m)
        ]
        episodes = play([match for _, match in matches], {team.task.name: team.task for team in active}, self.backend)
        played = time.process_time()
        samples: list[Sample] = []
        hypers: dict[str, Hyper] = {}
        returns: dict[str, list[float]] = {}
        for (team, _), episode in zip(matches, episodes, strict=True):
            score = team.task.score(episode)
            chosen = team.config.learning
            lesson = learn_from(
                episode, score, Credit(chosen.discount, chosen.normalise, chosen.leave_one_out), team.agents
            )
            samples += lesson.samples
            team.sampled += tokens_of(episode)
            returns.setdefault(team.key, []).append(score.metrics.get("return", 0.0))
            hypers |= {agent: Hyper(chosen.learning_rate, chosen.kl) for agent in team.agents}
        judged = time.process_time()
        for team in active:
            team.curve.append((team.trained, round(fmean(returns[team.key]), 4)))
            team.rounds += 1
            team.trained += sum(len(sample.tokens) for sample in samples if sample.agent in team.agents)
        if samples:
            update(self.base, self.bank, samples, hypers, Objective(minibatches=active[0].config.learning.minibatches))
        ended = time.process_time()
        for name, seconds in (("generate", played - start), ("score", judged - played), ("update", ended - judged)):
            self.clock[name] += seconds

    # -------------------------------------------------------------------------------------------- measuring
    def exam(self, count: int, first: bool) -> dict[str, list[Row]]:
        """arm/seed → metrics per held-out problem.

        One sampled playthrough of each, the training's decoding. `first`: before any training.
        """
        start = time.process_time()
        present = {team.key for team in self.teams}
        others = {
            team.key: f"{SAME_START[team.arm]}/{team.seed}" for team in self.teams if first and team.arm in SAME_START
        }
        same = {key: other for key, other in others.items() if other in present}
        sitting = [team for team in self.teams if team.key not in same]
        tasks = {team.task.name: replace(team.task, samples=1, branch=1, joint="aligned") for team in sitting}
        matches = [(team, self.match(team, "test", index)) for team in sitting for index in range(count)]
        episodes = play([match for _, match in matches], tasks, self.backend)
        found: dict[str, list[Row]] = {team.key: [] for team in sitting}
        for (team, match), episode in zip(matches, episodes, strict=True):
            metrics = tasks[match.task].score(episode).metrics
            found[team.key].append({name: round(metrics[name], 4) for name in SHOWN[self.family] if name in metrics})
        self.clock["exam"] += time.process_time() - start
        return found | {key: found[other] for key, other in same.items()}

    def seconds_per_answer(self, count: int) -> dict[str, float]:
        """arm/seed → CPU-seconds of one answer as the paper counts them.

        The mean over `count` held-out problems; first seed only.
        """
        found = {}
        for team in [team for team in self.teams if team.seed == 0 and count]:
            clocked = Clocked(self.backend)
            task = replace(team.task, samples=1, branch=1)
            for index in range(count):
                play([self.match(team, "test", index)], {task.name: task}, clocked)
            found[team.key] = clocked.seconds / count
        return found

    def keep(self, folder: Path) -> None:
        """The aligned writers' adapters, for cross-play between seeds."""
        folder.mkdir(parents=True, exist_ok=True)
        for team in self.teams:
            for seat, version in team.seats.items() if team.arm == "aligned" else ():
                save_file(self.bank.state(version), folder / f"{self.family}-{team.seed}-{seat}.safetensors")


def _matches(team: Team) -> int:
    return next(iter(team.config.tasks.values())).matches


def run_wave(
    base: BaseModel, args: argparse.Namespace, family: str, wanted: Sequence[tuple[str, int]]
) -> dict[str, Any]:
    """Train and examine arms and seeds together: results by family/arm/seed, and the wave's clock."""
    wave = Wave(base, family, wanted, args.rounds)
    before = wave.exam(args.exam, first=True)
    print(
        f"{family} before:",
        {key: round(fmean(row.get("return", 0.0) for row in rows), 3) for key, rows in before.items()},
        flush=True,
    )
    wave.train(args.tokens, time.monotonic() + 60 * args.minutes)
    after = wave.exam(args.exam, first=False)
    wave.keep(adapters(args.out))
    seconds = wave.seconds_per_answer(args.clocked)
    found: dict[str, Any] = {
        f"{family}/{team.key}": {
            "before": before[team.key],
            "after": after[team.key],
            "trained": team.trained,
            "sampled": team.sampled,
            "rounds": team.rounds,
            "curve": team.curve,
            "seconds_per_answer": seconds.get(team.key),
        }
        for team in wave.teams
    }
    tokens = {what: sum(getattr(team, what) for team in wave.teams) for what in ("sampled", "trained")}
    return found | {f"{family}/clock/{wanted[0][0]}/{wanted[0][1]}": {**wave.clock, **tokens}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--families", default="coding,writing")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=6000, help="trained tokens per arm and seed")
    parser.add_argument("--rounds", type=int, default=24, help="at most, per arm and seed")
    parser.add_argument("--minutes", type=float, default=1e6, help="wall time of the training of one wave, at most")
    parser.add_argument("--exam", type=int, default=16, help="held-out problems")
    parser.add_argument("--crossing", type=int, default=48, help="held-out problems of each pairing of seeds")
    parser.add_argument("--clocked", type=int, default=3, help="problems timed one text at a time, first seed only")
    parser.add_argument(
        "--humaneval", type=int, default=0, help="HumanEval test problems for the untrained base, 0: none"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = BaseModel.load(locate_model("HuggingFaceTB/SmolLM2-135M-Instruct"), threads=1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    results.setdefault("calls", []).append({key: str(value) for key, value in vars(args).items() if key != "out"})

    def keep(found: Mapping[str, Any]) -> None:
        results.update(found)
        args.out.write_text(json.dumps(results) + "\n")

    families = args.families.split(",")
    for seed in range(args.seeds):
        for family in families:
            if missing := [(arm, seed) for arm in args.arms.split(",") if f"{family}/{arm}/{seed}" not in results]:
                keep(run_wave(base, args, family, missing))
    for family in families:
        trained = [seed for seed in range(args.seeds) if f"{family}/aligned/{seed}" in results]
        if len(trained) == args.seeds > 1 and f"{family}/cross-play" not in results and adapters(args.out).is_dir():
            keep({f"{family}/cross-play": cross_play(base, family, args.seeds, adapters(args.out), args.crossing)})
    if args.humaneval and "humaneval" not in results:
        keep({"humaneval": humaneval(base, args.humaneval, 96)})


if __name__ == "__main__":
    main()
