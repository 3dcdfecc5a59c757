"""Teaching gains: Δ of one teacher with one student on held-out problems, with its controls.

Without any explanation (control) and with that of another problem (shuffled), which tells a lesson from a template:

    Δ          taught − control
    own share  taught − shuffled: what only an explanation of this problem brings

Both in accuracy and, where an adapter bank is given, in the mean log-probability per token of the true worked
solution (nats). Nothing is sampled for that, so it moves before greedy answers do; with a fourth arm, an example that
holds nothing but the answer, it also tells how much the form of an example brings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from league.model.bank import AdapterBank
from league.rollouts import Player, ReplayKeeper, make_match, play, result_of, transcript
from league.rollouts.readings import RowsRead, read_likelihoods
from league.seeds import derive
from league.types import Backend, Episode, MatchResult, Reading, Split, Version
from tasks.teacher_reward import answer_only_prompt, solution_reading
from tasks.teaching import STUDENT, TEACHER, Teaching

LOGPROB_ARMS = ("control", "taught", "shuffled", "answer_only")
"""Ways of asking whose log-probabilities are read; fields of SolutionLogprobs."""


@dataclass(frozen=True)
class SolutionLogprobs:
    """Mean log-probability per token of the true solutions (nats): items in matching order."""

    control: tuple[float, ...]
    taught: tuple[float, ...]
    shuffled: tuple[float, ...]
    answer_only: tuple[float, ...]
    """After an example that has nothing but the answer in it."""

    @property
    def improvement(self) -> float:
        return fmean(self.taught) - fmean(self.control)

    @property
    def own_share(self) -> float:
        return fmean(self.taught) - fmean(self.shuffled)

    def to_json(self) -> dict[str, object]:
        return {arm: [round(value, 5) for value in values] for arm, values in vars(self).items()}


@dataclass(frozen=True)
class TeachingGain:
    """Δ of one teacher with one student: paired items in matching order, with the shuffled control."""

    teacher: Version
    student: Version
    domain: str
    control: tuple[float, ...]
    taught: tuple[float, ...]
    shuffled: tuple[float, ...]
    similar: int = 1
    """Items of one match: problems tried with the same explanation, so not independent."""

    logprobs: SolutionLogprobs | None = None
    """None where they were not asked for, or the student has no adapter."""

    @property
    def improvement(self) -> float:
        return fmean(self.taught) - fmean(self.control)

    @property
    def own_share(self) -> float:
        return fmean(self.taught) - fmean(self.shuffled)

    def to_json(self) -> dict[str, object]:
        arms = {"control": self.control, "taught": self.taught, "shuffled": self.shuffled}
        return {
            "teacher": str(self.teacher),
            "student": str(self.student),
            "domain": self.domain,
            "similar": self.similar,
            **{arm: "".join("01"[value > 0.5] for value in values) for arm, values in arms.items()},
            **({"logprobs": self.logprobs.to_json()} if self.logprobs is not None else {}),
        }


def measure_teaching(
    task: Teaching,
    pairs: Iterable[tuple[Version, Version, str]],
    *,
    split: Split,
    matches: int,
    backend: Backend,
    players: Mapping[str, Player],
    number: int,
    transcripts: int = 1,
    bank: AdapterBank | None = None,
    replays: ReplayKeeper | None = None,
) -> tuple[list[TeachingGain], list[MatchResult], RowsRead]:
    """`matches` teaching matches for each (teacher, student, domain), all in one batch.

    The first `transcripts` of each pair keep their transcript, or all do as `replays` writes them. With a bank,
    log-probabilities are measured too, and what was read for them is the third value.
    """
    wanted = list(pairs)
    planned = [
        make_match(
            task.name,
            at=(number, split, place, index),
            seats={TEACHER: teacher, STUDENT: student},
            problems=task.problems(split, index, domain),
            # "lesson" is data: it addresses the random stream
            seed=derive("lesson", split, str(teacher), str(student), index),
            purpose="evaluate",
        )
        for place, (teacher, student, domain) in enumerate(wanted)
        for index in range(matches)
    ]
    episodes = play(planned, {task.name: task}, backend, players)
    asked = [(episode, _readings(task, episode)) for episode in episodes] if bank is not None else []
    computed = read_likelihoods(asked, bank, players)
    gains, results = [], []
    for place, (teacher, student, domain) in enumerate(wanted):
        arms: dict[str, list[float]] = {"control": [], "taught": [], "shuffled": []}
        read: dict[str, list[float]] = {arm: [] for arm in LOGPROB_ARMS}
        for index in range(matches):
            episode = episodes[place * matches + index]
            if episode.void:
                results.append(result_of(episode, None))
                continue
            score = task.score(episode)
            for arm, values in _arms(episode, score.rewards).items():
                arms[arm] += values
            for arm, values in _logprobs(episode).items():
                read[arm] += values
            kept: object | None
            if replays is not None:
                kept = replays.transcript(episode, score, {}, f"{task.name}/{split}")
            else:
                kept = transcript(episode, score, {}) if index < transcripts else None
            results.append(result_of(episode, score, kept))
        if arms["control"]:
            items = {arm: tuple(values) for arm, values in arms.items()}
            logprobs = SolutionLogprobs(*(tuple(read[arm]) for arm in LOGPROB_ARMS)) if read["control"] else None
            gains.append(TeachingGain(teacher, student, domain, **items, similar=task.similar, logprobs=logprobs))
    return gains, results, computed


def _arms(episode: Episode, rewards: Mapping[int, Mapping[str, float]]) -> dict[str, list[float]]:
    """arm → the student's correctness per problem, problems in the match's order in every arm."""
    found: dict[str, dict[int, float]] = {"control": {}, "taught": {}, "shuffled": {}}
    for _, decision in episode.decisions():
        if decision.turn.tag in found:
            found[decision.turn.tag][decision.turn.about or 0] = fmean(
                rewards[node.id][STUDENT] for node in decision.nodes
            )
    return {arm: [values[about] for about in sorted(values)] for arm, values in found.items()}


# ------------------------------------------------------------------------------------------------ log-probabilities
def _readings(task: Teaching, episode: Episode) -> list[Reading]:
    """The true solution of every problem of the student, as a reply in each arm."""
    if episode.void is not None:
        return []
    domain = task.domains[episode.match.problems[0].domain]
    solutions = {about: domain.solution(problem) for about, problem in enumerate(episode.match.problems)}
    found = []
    for _, decision in episode.decisions():
        arm, about = decision.turn.tag, decision.turn.about or 0
        if arm in LOGPROB_ARMS:
            found.append(solution_reading(f"{arm} {about}", STUDENT, decision.turn.prompts[STUDENT], solutions[about]))
        if arm == "control":
            prompt = answer_only_prompt(episode, domain, about)
            found.append(solution_reading(f"answer_only {about}", STUDENT, prompt, solutions[about]))
    return found


def _logprobs(episode: Episode) -> dict[str, list[float]]:
    """arm → mean log-probability per token, problems in the match's order.

    Empty where nothing was read.
    """
    found: dict[str, dict[int, float]] = {}
    for key, read in episode.likelihoods.items():
        arm, about = key.split()
        found.setdefault(arm, {})[int(about)] = fmean(read.logprobs)
    return {arm: [values[about] for about in sorted(values)] for arm, values in found.items()}
