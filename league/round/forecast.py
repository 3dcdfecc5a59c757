"""What a run will take on this machine: the tokens its config asks for, and a probe of a few seconds.

The tokens are counted by rehearsal. Some matches of the first round and a part of each measurement are gone through as
they will be, with a speaker in the place of the model whose replies are as long as the domains' worked solutions (or
half of what is allowed, without domains). Nothing is trained or stored. The probe then times the three things that take
a run's time, reading prompts, drawing replies and learning, on throwaway weights.

Failure cases. A model that rambles takes up to the replies' caps. Rounds that come to play frozen pasts, merge agents,
read likelihoods or let versions meet take longer than the first.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from league.backends.local import LocalBackend
from league.backends.metered import MeteredBackend
from league.config import LeagueConfig
from league.errors import BackendError, UserError
from league.learning.accounting import Heard, heard_in, prefix_tokens
from league.learning.objective import Objective
from league.learning.update import update
from league.learning.warmup import supervised_sample
from league.model.bank import AdapterBank
from league.rollouts import play
from league.round.measure import measure
from league.round.schedule import schedule_matches
from league.round.warm_up import warm_up_plans
from league.runtime.league import League, LeagueState
from league.types import Episode, Hyper, Match, Message, Reply, Request, Sample, Sampling, Version
from tasks.teaching import TEACHER

SHOWN = 8
"""Solutions a domain by which the length of replies is guessed, and texts that the probe reads."""
MATCHES, PROBLEMS = 4, 16
"""Matches of a task and problems of a domain that stand for all."""
ROWS, DRAWN = 16, 12
"""Replies and tokens of each that the probe draws."""
LEARNED = 24
"""Tokens of each text that it learns."""
RIGHT = 0.5
"""Share of a teacher's replies that are expected to be right, and so to be learned."""


@dataclass(frozen=True)
class Work:
    """Tokens: of prompts read (shared beginnings once), drawn, and learned from (prompts included)."""

    read: float = 0.0
    drawn: float = 0.0
    learned: float = 0.0
    trained: float = 0.0
    """Of those learned from, the replies.

    `trained_tokens` limits them; `token_budget` limits them and those drawn.
    """

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.read + other.read,
            self.drawn + other.drawn,
            self.learned + other.learned,
            self.trained + other.trained,
        )

    def times(self, count: float) -> "Work":
        return Work(self.read * count, self.drawn * count, self.learned * count, self.trained * count)


@dataclass(frozen=True)
class Speed:
    """Tokens per second on this machine, each with the other work left out."""

    read: float
    drawn: float
    learned: float

    def seconds(self, work: Work) -> float:
        """How long the work takes."""
        return work.read / self.read + work.drawn / self.drawn + work.learned / self.learned


@dataclass(frozen=True)
class Forecast:
    """Seconds of a run's parts on this machine."""

    speed: Speed
    warm_up: float
    first_exam: float
    a_round: float
    measurements: float
    """All measurements between the first and the last."""
    last_exam: float
    rounds: int
    work: Work = Work()
    """Of one round."""

    @property
    def first_matrix(self) -> float:
        """Until the first payoff matrix is in TensorBoard."""
        return self.warm_up + self.first_exam

    @property
    def total(self) -> float:
        return self.first_matrix + self.rounds * self.a_round + self.measurements + self.last_exam

    def __str__(self) -> str:
        """Two lines: how long, and what to change to make it shorter."""
        speed = f"{self.speed.read:.0f} read, {self.speed.drawn:.0f} drawn, {self.speed.learned:.0f} learned"
        measuring = self.first_exam + self.measurements + self.last_exam
        parts = {
            "warm-up (fewer `warmup.*.problems` shorten it)": self.warm_up,
            "rounds (fewer `league.rounds` or `matches` shorten them)": self.rounds * self.a_round,
            "measuring (smaller `evaluation.final_problems` and `final_teaching_matches` shorten it)": measuring,
        }
        largest = max(parts, key=lambda part: parts[part])
        share = 100 * parts[largest] / max(self.total, 1e-9)
        return (
            f"this machine, in tokens a second: {speed}\n"
            f"expected: about {_about(self.total)} with {self.rounds} rounds of {_about(self.a_round)}, the first "
            f"payoff matrix after {_about(self.first_matrix)}; {share:.0f}% of it is {largest}"
        )


def _about(seconds: float) -> str:
    """`40 s`, `14 min`, `2.5 h`: a forecast is no more exact."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Rehearsal:
    """A backend that says as many tokens as a model is expected to.

    What it was asked first is kept for the probe.
    """

    def __init__(self, bank: AdapterBank, length: float | None):
        """`length`: expected tokens of a reply; None expects half of what is allowed."""
        self.bank, self.length = bank, length
        self.asked: list[tuple[Message, ...]] = []

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> tuple[Reply, ...] | BackendError:
        if request.version is not None and request.version not in self.bank:
            return tuple(Reply("Answer: 0", "end") for _ in request.draws)
        try:
            prompt = self.bank.base.encode(request.messages)
        except UserError as error:  # as the model's backend does: the match is void, and the run goes on
            return BackendError(str(error))
        short = len(prompt) + DRAWN + LEARNED < self.bank.base.context
        if short and len(self.asked) < SHOWN and request.messages not in self.asked:
            self.asked.append(request.messages)
        cap = request.sampling.max_tokens
        count = max(1, round(cap / 2 if self.length is None else min(cap, self.length)))
        reply = Reply("Answer: 0", "end", prompt_tokens=prompt, tokens=(0,) * count, logprobs=(-1.0,) * count)
        return (reply,) * len(request.draws)


def forecast(league: League, state: LeagueState) -> Forecast | None:
    """What the run will take here; None in a league whose model is asked nothing.

    Takes some seconds. The league is left as it was.
    """
    bank, chosen = league.bank, league.config
    if bank is None or not bank.trainable():
        return None
    speaker = Rehearsal(bank, _reply_length(league))
    rehearsed = replace(league, backend=speaker)
    one_round = _round(rehearsed, state)
    both_ends, between = (_measuring(rehearsed, state, ends=each) for each in (True, False))
    if not speaker.asked:
        return None
    speed = probe(bank, speaker.asked)
    warm_up = _warm_up(league, state)
    fixed = speed.seconds(warm_up) + 2 * speed.seconds(both_ends)
    rounds, every = _rounds(chosen.league, warm_up, one_round, fixed, speed), chosen.evaluation.every
    return Forecast(
        speed=speed,
        warm_up=speed.seconds(warm_up),
        first_exam=speed.seconds(both_ends),
        a_round=speed.seconds(one_round),
        measurements=speed.seconds(between) * max(0, -(-rounds // every) - 1),
        last_exam=speed.seconds(both_ends),
        rounds=rounds,
        work=one_round,
    )


def _rounds(limits: LeagueConfig, warm_up: Work, one_round: Work, fixed: float, speed: Speed) -> int:
    """How many rounds there will be under the limits of the config; `fixed` are seconds without any round."""
    found = [float(limits.rounds)]
    if limits.token_budget:
        found.append((limits.token_budget - warm_up.trained) / max(1.0, one_round.drawn + one_round.trained))
    if limits.trained_tokens:
        found.append((limits.trained_tokens - warm_up.trained) / max(1.0, one_round.trained))
    if limits.max_hours:
        found.append((3600 * limits.max_hours - fixed) / max(1e-3, speed.seconds(one_round)))
    return math.ceil(max(0.0, min(found)))


def _reply_length(league: League) -> float | None:
    """Mean tokens of the domains' worked solutions; None without domains."""
    encode = league.weights().base.tokenizer.encode
    problems = [domain.problem("train", index) for domain in league.domains.values() for index in range(SHOWN)]
    texts = [league.domains[problem.domain].solution(problem) for problem in problems]
    return fmean(len(encode(text, add_special_tokens=False)) + 1 for text in texts) if texts else None


# ---------------------------------------------------------------------------------------------------- the tokens
def _warm_up(league: League, state: LeagueState) -> Work:
    """All targets of all agents, their lengths guessed from some of each."""
    base, work = league.weights().base, Work()
    for plan in warm_up_plans(league, state.population):
        for agent, batches in plan.batches.items():
            some = [target for batch in batches for target in batch][: 4 * SHOWN]
            samples = [supervised_sample(base, agent, target) for target in some]
            times = sum(map(len, batches)) / len(some)
            prompts, replies = (sum(map(len, each)) for each in zip(*map(_parts, samples), strict=True))
            work += Work(learned=times * (prompts + replies), trained=times * replies)
    return work


def _round(league: League, state: LeagueState) -> Work:
    """The first round, by `MATCHES` matches of each task, and learning from what is said in them."""
    _, matches = schedule_matches(league, state, 1)
    by_task: dict[str, list[Match]] = {}
    for match in matches:
        by_task.setdefault(match.task, []).append(match)
    work = Work()
    for planned in by_task.values():
        episodes = play(planned[:MATCHES], league.tasks, league.backend, state.players())
        work += _played(league, state, episodes).times(len(planned) / len(episodes))
    return work


def _played(league: League, state: LeagueState, episodes: Sequence[Episode]) -> Work:
    """What it takes to play these matches and to learn from them."""
    heard = heard_in(episodes)
    learners = [version for version in heard.prompts if version.agent in state.population.trainable()]
    prompts = sum(prefix_tokens(heard.prompts[version]) for version in learners)
    replies = sum(heard.sampled.get(version, 0) for version in learners)
    epochs, channels = league.config.learning.epochs, league.config.learning.channels
    own = Work(learned=epochs * (prompts + replies), trained=epochs * replies)
    again = RIGHT * channels.epochs / (1.0 - (channels.replay.share if channels.replay is not None else 0.0))
    texts = [_parts(reply) for episode in episodes if _is_worked(league, episode) for reply in _teachers(episode)]
    read, learned = (again * sum(map(len, each)) for each in zip(*texts, strict=True)) if texts else (0.0, 0.0)
    return _heard(heard) + own + Work(learned=read + learned, trained=learned)


def _is_worked(league: League, episode: Episode) -> bool:
    return league.tasks[episode.match.task].channel == "worked_replies"


def _teachers(episode: Episode) -> Iterator[Reply]:
    """What the teacher of a match said."""
    for _, decision in episode.decisions():
        yield from decision.replies.get(TEACHER, ())


def _parts(said: Reply | Sample) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(prompt, reply) in tokens."""
    return said.prompt_tokens, said.tokens


def _measuring(league: League, state: LeagueState, *, ends: bool) -> Work:
    """One measurement, by a part of its exam and one teaching match of each pair."""
    chosen = league.config.evaluation
    longest = max(chosen.problems, chosen.final_problems) if ends else chosen.problems
    share = max(1.0, longest / PROBLEMS)
    exam = _measured(league, state, ends=ends, problems=(chosen.problems / share, chosen.final_problems / share))
    matches = chosen.final_teaching_matches if ends else chosen.teaching_matches
    if not matches:
        return exam.times(share)
    with_lessons = _measured(league, state, ends=ends, problems=(1, 1), lessons=1)
    without = _measured(league, state, ends=ends, problems=(1, 1))
    return exam.times(share) + (with_lessons + without.times(-1.0)).times(matches)


def _measured(
    league: League, state: LeagueState, *, ends: bool, problems: tuple[float, float], lessons: int = 0
) -> Work:
    """What a measurement with these (problems, final problems) and teaching matches says."""
    changes = {
        "problems": max(1, math.ceil(problems[0])),
        "final_problems": max(1, math.ceil(problems[1])),
        "teaching_matches": lessons,
        "final_teaching_matches": lessons,
        "teaching_logprobs": False,
        "versions": league.config.evaluation.versions.model_copy(update={"matches": 0}),
    }
    small = league.config.model_copy(update={"evaluation": league.config.evaluation.model_copy(update=changes)})
    heard = Heard()
    metered = replace(league, config=small, backend=MeteredBackend(league.backend, heard.hear))
    measure(metered, state, 0 if ends else 1, ends)
    return _heard(heard)


def _heard(heard: Heard) -> Work:
    read = sum(prefix_tokens(prompts) for prompts in heard.prompts.values())
    return Work(read=float(read), drawn=float(sum(heard.sampled.values())))


# ----------------------------------------------------------------------------------------------------- the probe
def probe(bank: AdapterBank, asked: Sequence[tuple[Message, ...]]) -> Speed:
    """How fast this machine reads, draws and learns, with an adapter of its own that is thrown away.

    `asked`: up to `SHOWN` prompts. Drawing is timed twice, for one token and for `DRAWN`: the difference is drawing
    alone.
    """
    scratch, version = AdapterBank(bank.base), Version("probe", 0)
    scratch.add(version, bank.spec(bank.trainable()[0]), seed=0, trainable=True)
    backend = LocalBackend(bank.base, scratch, max_rows=ROWS, cached_tokens=0)
    rows = max(1, ROWS // len(asked))

    def speak(tokens: int) -> tuple[float, int, int]:
        """(seconds, tokens read, tokens drawn)."""
        sampling = Sampling(temperature=1.0, max_tokens=tokens)
        requests = [Request(version, messages, rows, sampling, seed) for seed, messages in enumerate(asked)]
        started = time.perf_counter()
        replies = [
            reply for answer in backend.generate(requests) if not isinstance(answer, BackendError) for reply in answer
        ]
        seconds = time.perf_counter() - started
        read = prefix_tokens(reply.prompt_tokens for reply in replies)
        return seconds, read, sum(len(reply.tokens) for reply in replies)

    speak(1)  # the first call also makes what later ones use again
    (reading, read, first), (speaking, _, drawn) = speak(1), speak(DRAWN)
    samples = [
        Sample(version.agent, bank.base.encode(messages), (0,) * LEARNED, (), 1.0, channel="supervised")
        for messages in asked
    ]
    started = time.perf_counter()
    update(bank.base, scratch, samples, {version.agent: Hyper(1e-4)}, Objective())
    learning = time.perf_counter() - started
    return Speed(
        read=max(1, read) / reading,
        drawn=max(1, drawn - first) / max(speaking - reading, 1e-3),
        learned=sum(len(sample.prompt_tokens) + len(sample.tokens) for sample in samples) / learning,
    )
