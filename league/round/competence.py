"""How good everyone is alone, kept up to date through a round, and what teaching did to that.

Answers are counted, counts are handed on to new versions, and tokens are booked to the channel that spent them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from league.evaluation.exams import ExamResult
from league.payoffs.channel_audit import OTHERS, ChannelAudit, Kind, Paid
from league.payoffs.channel_gains import Source
from league.runtime.league import LeagueState
from league.types import Episode, Sample, Score, Version, VersionRow
from tasks import Task
from tasks.teaching import STUDENT, TEACHER

SCALAR_CELLS, SCALAR_SOURCES = 25, 8
"""Of how many (student, domain), and sources in each, TensorBoard has lines of their own."""
LAST_PARENT = frozenset({"exploit", "rollback"})
"""Versions made by these have the weights of their last parent; others those of their first."""


def answered(state: LeagueState, episodes: Sequence[Episode], scores: Sequence[Score | None]) -> LeagueState:
    """Count the unaided answers of a round's training matches to problems nobody had met before.

    Tasks that share a domain may meet the same problem in different rounds, and a small domain begins again: such
    answers are not held out. A match counts as a whole, by its problems of the domain. Several replies to one problem
    are one answer, right by their share: they are not independent.
    """
    met, given = state.met, state.totals.spent.given
    found = []
    for episode, score in zip(episodes, scores, strict=True):
        if score is None or episode.match.purpose != "train":
            continue
        stale = {each.domain for each in episode.match.problems if each in met or each.key in given}
        found += [
            (episode.match.seats[each.seat], each.domain, each.right / each.n, 1.0)
            for each in score.unaided
            if each.domain not in stale
        ]
    played = (each for episode in episodes if episode.match.purpose == "train" for each in episode.match.problems)
    state = replace(state, audit=_observed(state, found, "training"), met=met.more(played))
    return _counted(state, found)


def examined(state: LeagueState, exams: Iterable[ExamResult]) -> LeagueState:
    """Count the answers of an exam on validation problems; test problems must decide nothing."""
    found = [
        (exam.version, exam.domain, float(sum(exam.correct)), float(len(exam.correct)))
        for exam in exams
        if exam.split == "validation"
    ]
    return _counted(replace(state, audit=_observed(state, found, "exam")), found)


def _observed(state: LeagueState, found: Iterable[tuple[Version, str, float, float]], kind: Kind) -> ChannelAudit:
    """The audit with the answers of those who are taught."""
    audit = state.audit
    for (agent, domain), (right, answers) in _of_learners(state, found).items():
        audit = audit.observed(agent, domain, kind, right=right, n=answers)
    return audit


def _counted(state: LeagueState, found: Sequence[tuple[Version, str, float, float]]) -> LeagueState:
    """Take in answers, each (version, domain, right, answers), and tell the gains of those who are taught."""
    gains = state.gains
    for (agent, domain), (right, answers) in _of_learners(state, found).items():
        gains = gains.observed(agent, domain, right, answers)
    return replace(state, competence=state.competence.add(found), gains=gains)


def _of_learners(
    state: LeagueState, found: Iterable[tuple[Version, str, float, float]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """(agent, domain) → (right, answers) of the live versions that are taught and train."""
    sums: dict[tuple[str, str], tuple[float, float]] = {}
    for version, domain, right, answers in found:
        member = state.population.members.get(version.agent)
        if member is not None and member.can.taught and member.version == version and member.trains:
            before = sums.get((version.agent, domain), (0.0, 0.0))
            sums[version.agent, domain] = before[0] + right, before[1] + answers
    return sums


def paid(
    state: LeagueState, episodes: Sequence[Episode], tasks: Mapping[str, Task], samples: Iterable[Sample]
) -> LeagueState:
    """Book the round's tokens to channels.

    Tokens sampled go to the channel of their match's task, tokens trained on to that of the sample. A match of several
    domains spreads its tokens evenly over them.
    """
    spent: dict[tuple[str, str, Source], Paid] = {}

    def book(student: str, domain: str, source: Source, paid: Paid) -> None:
        if paid.tokens > 0:
            key = student, domain, source
            spent[key] = spent.get(key, Paid()) + paid

    for episode in episodes:
        match, task = episode.match, tasks[episode.match.task]
        replies = (reply for _, d in episode.decisions() for each in d.replies.values() for reply in each)
        sampled = sum(len(reply.tokens) for reply in replies)
        domains = list(dict.fromkeys(problem.domain for problem in match.problems if problem.domain))
        taught = task.relation == "teaching"
        students = [match.seats[STUDENT].agent] if taught else list({v.agent: 0 for v in match.seats.values()})
        teacher = match.seats[TEACHER].agent if taught else ""
        for student in students:
            for domain in domains:
                share = Paid(sampled=sampled / len(domains) / len(students))
                book(student, domain, (teacher, task.channel), share)
    for sample in samples:
        teacher = sample.teacher.agent if sample.teacher is not None else ""
        learned = Paid(trained=float(len(sample.tokens)), samples=1)
        book(sample.agent, sample.domain, (teacher, sample.channel), learned)
    gains, audit = state.gains, state.audit
    learners = {member.name for member in state.population.members.values() if member.can.taught and member.trains}
    for (student, domain, source), each in spent.items():
        if student in learners and domain:
            gains = gains.paid(student, domain, source, sampled=each.sampled, trained=each.trained)
            audit = audit.paid(student, domain, source, each)
    return replace(state, gains=gains, audit=audit)


def handed_on(state: LeagueState, made: Iterable[VersionRow], half_life: float) -> LeagueState:
    """Every new version takes over the counts of the version whose weights it began with.

    `made` is in the order in which they were made. After an update the counts are worth ½^(1 / half_life), and so is
    what the gains of channels were told. Kept are the
    versions that can still be met or rolled back to.
    """
    found = state.competence
    for row in made:
        if row.parents:
            origin = row.parents[-1 if row.reason in LAST_PARENT else 0]
            found = found.inherited({origin: row.version}, 0.5 ** (1.0 / half_life) if row.reason == "update" else 1.0)
    gains = state.gains.aged(half_life).kept(state.population.members)
    known = found.kept([*state.opponents(), *state.alarms.good.values()])
    return replace(state, competence=known, gains=gains)


# ------------------------------------------------------------------------------------------------------- scalars
def audit_scalars(audit: ChannelAudit) -> dict[str, float]:
    """Points of held-out accuracy credited so far.

    gain/CHANNEL/DOMAIN is the mean over students. gain/CHANNEL/TEACHER/STUDENT/DOMAIN stands for the first
    `SCALAR_CELLS` (student, domain) that were heard of, with the first `SCALAR_SOURCES` sources of each, so that a tag
    that is once written goes on. A teacher "_alone" is the student itself.
    """
    found: dict[str, float] = {}
    means: dict[str, list[float]] = {}
    for place, ((student, domain), credits) in enumerate(audit.credits().items()):
        for channel in dict.fromkeys(channel for _, channel in credits.sources):
            known = credits.together(source for source in credits.sources if source[1] == channel)
            if known is not None:
                means.setdefault(f"gain/{channel}/{domain}", []).append(100 * known.mean)
        for teacher, channel in credits.sources[:SCALAR_SOURCES] if place < SCALAR_CELLS else ():
            known = credits.together([(teacher, channel)])
            if known is not None:
                name = {"": "_alone", OTHERS: "_others"}.get(teacher, teacher)
                found[f"gain/{channel}/{name}/{student}/{domain}"] = 100 * known.mean
    return {tag: fmean(values) for tag, values in means.items()} | found
