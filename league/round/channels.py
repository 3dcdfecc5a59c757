"""What a round's episodes hold for the channels of teaching: samples that come from a teacher.

The algorithms are in league.learning.channels. Here is who learns what from whom: unaided replies to be distilled, and
replies to be learned as texts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from league.learning.advantages import domain_of
from league.learning.alarms import UNAIDED
from league.learning.channels.distillation import distillation_samples
from league.learning.channels.examples import Encode, useful_examples
from league.learning.channels.gate import teachers_of
from league.learning.channels.kept import KeptReply
from league.learning.channels.lessons import lesson_samples
from league.learning.channels.worked_replies import worked_reply_samples
from league.learning.warmup import fits
from league.population import Population
from league.rollouts import with_instructions
from league.round.candidates import able_teachers
from league.runtime.league import League, LeagueState
from league.seeds import generator
from league.types import Episode, Message, Reply, Sample, Sampling, Score, Version
from tasks.domains.domain import without_control_tokens


def distilled(
    league: League, state: LeagueState, episodes: Sequence[Episode], scores: Sequence[Score | None]
) -> Iterator[Sample]:
    """The unaided replies of learners, to be moved towards their teachers; nothing with the channel off."""
    chosen = league.config.learning.channels.distillation
    if chosen is None or league.bank is None:
        return
    gate = league.gate(state)
    able = [(version, domain) for version, domain in able_teachers(league, state) if version in league.bank]
    spoken = list(_unaided_replies(state.population, episodes, scores))
    count = round(chosen.share * len(spoken))
    stream = generator(league.config.seed, "distillation", *{each.match.round for each in episodes})
    drawn = [spoken[place] for place in sorted(stream.permutation(len(spoken))[:count])]
    live = frozenset(state.population.live().values())
    teachers = {
        (student, domain): teacher
        for student in dict.fromkeys(student for student, *_ in drawn)
        for domain, teacher in teachers_of(able, student, gate, league.domains, live=live).items()
    }
    yield from distillation_samples(drawn, teachers, chosen, gate, stream)


def _unaided_replies(
    population: Population, episodes: Sequence[Episode], scores: Sequence[Score | None]
) -> Iterator[tuple[Version, str, Reply, Sampling]]:
    """(who, domain, reply, how it was sampled) of every reply that a taught agent gave alone."""
    learners = {member.version for member in population.members.values() if member.trains and member.can.taught}
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            continue
        for _, decision in episode.decisions():
            if decision.turn.tag not in UNAIDED:
                continue
            for seat, replies in decision.replies.items():
                version = episode.match.seats[seat]
                if version in learners:
                    domain = domain_of(episode, decision.turn)
                    yield from ((version, domain, reply, decision.turn.sampling[seat]) for reply in replies)


def texts(
    league: League,
    state: LeagueState,
    number: int,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
) -> tuple[LeagueState, list[Sample]]:
    """Replies that are learned as texts: worked replies, those that waited for the gate, and lessons.

    Returns (state with who waits now, samples); nothing with both channels off. Not all need fit the context.
    """
    channels = league.config.learning.channels
    if league.bank is None or (channels.worked_replies is None and channels.lessons is None):
        return state, []
    base, gate, encode = league.bank.base, league.gate(state), _encoder(league, state)

    def encode_reply(text: str) -> tuple[int, ...]:
        plain = without_control_tokens(text)
        return (*base.tokenizer.encode(plain, add_special_tokens=False), int(base.tokenizer.eos_token_id))

    found = list(useful_examples(episodes, scores, state.population.trainable()))
    samples: list[Sample] = []
    if channels.worked_replies is not None:
        ready, held = worked_reply_samples(found, channels.worked_replies, gate, encode, encode_reply)
        live = state.population.live()
        learners = {name: live[name] for name in state.population.trainable()}
        released, waiting = state.waiting.released(gate, learners, live)
        for row, strength in released:
            weight = channels.worked_replies.weight * strength * row.weight
            samples.append(row.sample(league.domains[row.domain], weight, encode))
        samples += ready
        state = replace(state, waiting=waiting.held(held, number))
    if channels.lessons is not None:
        samples += lesson_samples(found, channels.lessons, encode)
    return state, samples


def replayed(league: League, state: LeagueState, number: int, new: Sequence[Sample]) -> list[Sample]:
    """Examples of earlier rounds to be learned beside the `new` ones of this one; none with replay off."""
    channels = league.config.learning.channels
    if league.bank is None or channels.replay is None:
        return []
    encode, found = _encoder(league, state), list[Sample]()
    for learner, count in Counter(sample.agent for sample in new).items():
        stream = generator(league.config.seed, "replay", number, learner)
        for row in state.replay.drawn(learner, count, channels.replay.share, stream):
            found.append(row.sample(league.domains[row.domain], row.weight, encode))
    return found


def fitting(league: League, samples: Sequence[Sample]) -> list[Sample]:
    """Those that fit the context.

    A long system message of the learner may leave no room for a teacher's reply.
    """
    return [each for each in samples if league.bank is not None and fits(league.bank.base, each)]


def remembered(league: League, state: LeagueState, number: int, learned: Iterable[Sample]) -> LeagueState:
    """The state whose memory holds what was just learned as texts; unchanged with replay off."""
    channels = league.config.learning.channels
    if channels.replay is None:
        return state
    weights = {"worked_replies": channels.worked_replies, "lessons": channels.lessons}
    rows = (
        KeptReply(
            learner=sample.agent,
            teacher=sample.teacher,
            domain=sample.domain,
            problem=sample.problem,
            tokens=sample.tokens,
            weight=chosen.weight,
            since=number,
            channel=sample.channel,
        )
        for sample in learned
        if sample.teacher is not None and (chosen := weights.get(sample.channel)) is not None
    )
    memory = state.replay.remembered(rows, channels.replay.capacity)
    return replace(state, replay=memory.kept(state.population.members))


def _encoder(league: League, state: LeagueState) -> Encode:
    """(agent, prompt) → its tokens with the agent's own instructions, whatever their number."""
    base, players = league.weights().base, state.players()

    def encode(agent: str, prompt: tuple[Message, ...]) -> tuple[int, ...]:
        return base.tokens_of(with_instructions(prompt, players[agent].system))

    return encode


def rescue_rate(episodes: Sequence[Episode], scores: Sequence[Score | None]) -> dict[str, float]:
    """lessons/rescue_rate → share of taught answers that are right where every control answer was wrong.

    Absent when no match taught.
    """
    rescued = answers = 0.0
    for episode, score in zip(episodes, scores, strict=True):
        if score is None or not any(decision.turn.tag == "control" for decision in episode.roots):
            continue
        worth = {example.node: example.weight for example in score.examples if example.channel == "lessons"}
        rescued += sum(weight == 1.0 for weight in worth.values())
        answers += sum(len(d.nodes) for _, d in episode.decisions() if d.turn.tag == "taught")
    return {"lessons/rescue_rate": rescued / answers} if answers else {}
