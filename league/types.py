"""The values that cross layers: no torch, no I/O.

A match is data. A task opens it with `Turn`s (decision points); a backend turns each turn's prompts into `Reply`s;
the joint actions become `Node`s whose siblings are the group; when nobody is left to speak the task scores the tree,
and learning folds rewards into returns and advantages per seat.

    Match ──task.open──▶ Turn ──backend──▶ Decision(replies, nodes) ──task.follow──▶ Turn … ──task.score──▶ Score
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from league.errors import BackendError, UserError

PlayerRole = Literal["expert", "generalist", "student", "co-player", "exploiter", "scripted", "remote"]
"""Roles that a config may give an agent."""
Role = Literal[PlayerRole, "past"]
Split = Literal["train", "validation", "test"]
JointMode = Literal["aligned", "cross"]
Channel = Literal["own_samples", "worked_replies", "lessons", "distillation", "supervised"]
"""Ways in which an agent learns; every gradient names its own."""
Relation = Literal["contest", "teaching", "cooperation"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def is_name(text: object) -> bool:
    """Whether an agent, a domain or a task may be called so: such names become keys and folders."""
    return isinstance(text, str) and re.fullmatch(NAME_PATTERN, text) is not None


@dataclass(frozen=True, order=True)
class Version:
    """Immutable weights: an agent at a training step. `name@step` in text."""

    agent: str
    step: int

    def __str__(self) -> str:
        return f"{self.agent}@{self.step}"

    @classmethod
    def parse(cls, text: str) -> "Version":
        """The version that `name@step` says. Raises UserError for a name or a step that no league gives."""
        agent, _, step = text.rpartition("@")
        if not is_name(agent) or not re.fullmatch("[0-9]{1,18}", step):
            raise UserError(f"{text[:80]!r} is no version; expected name@step, as `league lineage` shows them")
        return cls(agent, int(step))


BASE = Version("base", 0)
"""The base model as a player: its adapter is switched off, it never trains. The name is reserved."""
EXAM = "exam"
"""The task name under which exams enter the payoffs. The name is reserved."""


# ---------------------------------------------------------------------------------------------------- roles
@dataclass(frozen=True)
class Capabilities:
    """What a role means. Nothing else in the code asks for a role by its name."""

    speaks: Literal["adapter", "script", "server"] = "adapter"
    """By an adapter of ours, by a function or a mixed strategy, or from behind an API."""
    specialist: bool = False
    """Learns one domain, which it must name, and is judged as a teacher."""
    teaches: bool = False
    """May take a teacher's seat, in the domain it names."""
    teaches_all: bool = False
    """Names no domain and teaches every one; it never teaches itself."""
    taught: bool = False
    """May take a student's seat; its unaided accuracy is a run's result."""
    joins: bool = True
    """Plays tasks other than teaching where the config names no roles."""
    targets: bool = False
    """May be sent against chosen agents only."""
    examined: bool = True
    """Sits exams where nobody is named."""

    @property
    def has_weights(self) -> bool:
        """Whether an adapter of ours speaks: only then is there something to train, store or export."""
        return self.speaks == "adapter"

    @property
    def sits_alone(self) -> bool:
        """Whether its exam is held apart: a server that cannot be reached must void nobody else's."""
        return self.speaks == "server"


ROLES: Mapping[Role, Capabilities] = {
    "expert": Capabilities(specialist=True, teaches=True, joins=False),
    "generalist": Capabilities(teaches=True, teaches_all=True, taught=True),
    "student": Capabilities(taught=True),
    "co-player": Capabilities(),
    "exploiter": Capabilities(targets=True),
    "past": Capabilities(joins=False),
    "scripted": Capabilities(speaks="script", examined=False),
    "remote": Capabilities(speaks="server", teaches=True),
}


# ------------------------------------------------------------------------------------------------- problems
@dataclass(frozen=True)
class Problem:
    """One instance of a domain, named by (domain, split, index)."""

    domain: str
    split: Split
    index: int
    question: str
    answer: str
    solution: str | None = None
    """A worked solution that ends in the answer, where the domain can write one."""

    @property
    def key(self) -> str:
        return f"{self.domain}/{self.split}/{self.index}"


# --------------------------------------------------------------------------------------------------- speech
@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn. temperature 0 is greedy; top_p 1 and top_k 0 switch truncation off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    """A Lark grammar for llguidance, or None."""


@dataclass(frozen=True)
class Request:
    """One prompt for one player, to be sampled `samples` times.

    Sample j draws from the stream (seed, j), and a request draws the samples from `first` on.
    """

    version: Version | None
    """None is the base model with its adapter switched off: the reference policy."""
    messages: tuple[Message, ...]
    samples: int
    sampling: Sampling
    seed: int
    first: int = 0
    """How many samples were drawn before, by an earlier request that is the same otherwise."""

    @property
    def draws(self) -> range:
        """The numbers j of the samples to draw."""
        return range(self.first, self.first + self.samples)


@dataclass(frozen=True)
class Reply:
    """One sampled completion. `tokens` includes the end token when `finish` is "end".

    `logprobs` are natural logarithms under the distribution that was sampled from, one per token; both are empty for
    players without tokens (scripted, remote), which are never trained.
    """

    text: str
    finish: Literal["end", "stop", "length"]
    prompt_tokens: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class Backend(Protocol):
    """WHO SPEAKS. One call is one stage of a round: all prompts of all matches, whatever their adapter."""

    def generate(self, requests: Sequence[Request]) -> Sequence["tuple[Reply, ...] | BackendError"]:
        """Answer every request, in order, with its `samples` replies.

        A request whose player could not answer gets the BackendError that says why.
        """
        ...


@runtime_checkable
class PrefixCaching(Protocol):
    """A backend that can keep what players have read and said from one stage of a play to the next."""

    def prefix_caching(self) -> AbstractContextManager[None]:
        """What is kept while it lasts, and only then."""
        ...


# -------------------------------------------------------------------------------------------------- matches
@dataclass(frozen=True)
class RewardMix:
    """How individual, team and competitive rewards combine for one match.

    Stored with the match as its situation.
    """

    individual: float = 1.0
    team: float = 0.0
    competitive: float = 0.0


class BetaBelief(NamedTuple):
    """What is believed of a chance of success: Beta(right, wrong)."""

    right: float = 0.5
    wrong: float = 0.5


@dataclass(frozen=True)
class Match:
    """A task, a problem set and an assignment of versions to seats."""

    id: str
    task: str
    round: int
    seats: Mapping[str, Version]
    problems: tuple[Problem, ...]
    seed: int
    purpose: Literal["train", "evaluate"] = "train"
    situation: str = "default"
    rewards: RewardMix = RewardMix()
    beliefs: Mapping[str, BetaBelief] = field(default_factory=dict)
    """seat → what is believed of its unaided success in the domain; absent is Beta(1/2, 1/2)."""


@dataclass(frozen=True)
class Turn:
    """A decision point: the seats that speak now and exactly what each sees.

    All seats of one turn speak at once, `samples` times each. `tag` is the task's own label ("explain", "control",
    "taught"); `about` indexes the match's problems where the turn is about one of them.
    """

    tag: str
    prompts: Mapping[str, tuple[Message, ...]]
    samples: int
    sampling: Mapping[str, Sampling]
    about: int | None = None
    joint: JointMode = "aligned"
    probes: int = 0
    """How many of the samples are drawn before the task says whether to go on (`Task.goes_on`).

    0 draws all at once. So does whatever is not below `samples`.
    """

    @property
    def probing(self) -> bool:
        return 0 < self.probes < self.samples


@dataclass
class Node:
    """A joint action: `picks[seat]` indexes that seat's replies.

    `next` are the decision points that follow.
    """

    id: int
    picks: Mapping[str, int]
    next: list["Decision"] = field(default_factory=list)


@dataclass
class Decision:
    """A turn that has been played: G replies per seat and the joint actions (siblings) they form.

    G is the turn's `samples`, or its `probes` where the task drew no more.
    """

    turn: Turn
    replies: Mapping[str, tuple[Reply, ...]]
    nodes: list[Node]

    def texts(self, node: Node) -> dict[str, str]:
        return {seat: self.replies[seat][pick].text for seat, pick in node.picks.items()}


TreePath = tuple[tuple[Decision, Node], ...]
"""From a root of the tree to a joint action: each decision with the node chosen there."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A question to a player after play: how likely is this text, then the end, after this prompt?

    Nothing is sampled for it. All readings of a round are computed in one batch, before scoring.
    """

    key: str
    """Names it in its match; its answer is `Episode.likelihoods[key]`."""
    seat: str
    """Whose likelihood it is."""
    prompt: tuple[Message, ...]
    """As in a turn: the player's own instructions come before it."""
    completion: str
    reply: Reply | None = None
    """A sampled reply whose beginning, token by token, stands between prompt and completion."""
    characters: int = 0
    """The length of that beginning, in characters of the reply's text."""
    sampling: Sampling = Sampling()
    """The distribution that is asked for."""


@dataclass(frozen=True)
class Likelihood:
    """The answer to a reading: one value per token of the completion, the end token last."""

    logprobs: tuple[float, ...]
    """Natural logarithms."""
    spans: tuple[tuple[int, int], ...]
    """(start, end) of each token in the completion's text; an empty one for the end token."""


@dataclass
class Episode:
    """The tree of one match: several roots, because a control arm is a decision point of its own."""

    match: Match
    roots: list[Decision]
    void: str | None = None
    """Why the match does not count (a player could not be reached), or None."""
    likelihoods: Mapping[str, Likelihood] = field(default_factory=dict)
    """Answers to the task's readings, by key."""

    def decisions(self) -> Iterator[tuple[TreePath, Decision]]:
        """Walk (path, decision) through the tree, parents before children, in playing order."""
        stack: list[tuple[TreePath, Decision]] = [((), root) for root in reversed(self.roots)]
        while stack:
            path, decision = stack.pop()
            yield path, decision
            for node in reversed(decision.nodes):
                for child in reversed(node.next):
                    stack.append((path + ((decision, node),), child))


@dataclass(frozen=True)
class Outcome:
    """One relation between two versions in one task, summed over paired items.

    The raw material of the payoffs:

        contest      wins, draws, losses of `row` against `col`, item by item
        teaching     row taught col; total and total_sq sum the paired Δ per (explanation, problem) item
        cooperation  total and total_sq of the joint return

    `domain` may be "" where a task has none.
    """

    relation: Relation
    task: str
    situation: str
    domain: str
    row: Version
    col: Version
    wins: int = 0
    draws: int = 0
    losses: int = 0
    n: int = 0
    total: float = 0.0
    total_sq: float = 0.0


@dataclass(frozen=True)
class Score:
    """What the task made of an episode: rewards per node and seat, metrics, outcomes for the payoffs.

    `void` lists seats whose samples must carry no gradient (a failure of the grader itself).
    """

    rewards: Mapping[int, Mapping[str, float]]
    """node id → seat → immediate reward; seats may appear that did not speak at that node."""
    metrics: Mapping[str, float]
    outcomes: tuple[Outcome, ...] = ()
    void: frozenset[tuple[int, str]] = frozenset()
    """(node id, seat) pairs to leave out of learning."""
    examples: tuple["UsefulExample", ...] = ()
    """Replies that another prompt should learn."""
    unaided: tuple["UnaidedAnswers", ...] = ()
    """How often seats answered right without help, on problems they had not learned from."""


@dataclass(frozen=True, kw_only=True)
class UsefulExample:
    """A right reply that a learner should give to its own, unaided prompt: how teaching reaches weights."""

    channel: Literal["worked_replies", "lessons"]
    node: int
    """The node of the reply."""
    speaker: str
    """The seat whose reply it is."""
    learner: str
    """The seat that learns it."""
    teacher: str
    """The seat to whose credit it goes."""
    domain: str
    prompt: tuple[Message, ...]
    """The learner's unaided prompt, without the agent's own instructions."""
    weight: float
    """What it counts for, above 0 and at most 1."""


@dataclass(frozen=True)
class UnaidedAnswers:
    """`right` of `n` replies of a seat to one problem of a domain, without any help."""

    seat: str
    domain: str
    right: float
    n: int


# ------------------------------------------------------------------------------------------------- learning
SampleRule = Literal["policy_gradient", "clip", "shaped", "distillation"]
"""What a sample's tokens minimise; see league.learning.objective."""


@dataclass(frozen=True)
class Sample:
    """One completion to learn from, or one supervised target (advantage 1)."""

    agent: str
    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Behaviour log-probabilities; empty for supervised targets."""
    advantage: float
    sampling: Sampling = Sampling()
    channel: Channel = "own_samples"
    teacher: Version | None = None
    """Whose knowledge it carries; None for what an agent learns by itself."""
    domain: str = ""
    rule: SampleRule = "policy_gradient"
    problem: str = ""
    """Key of the problem whose verified reply it is; "" for samples of other channels."""


@dataclass(frozen=True)
class Hyper:
    """What may differ between agents and what population-based training perturbs."""

    learning_rate: float
    kl: float = 0.0
    temperature: float = 1.0


# ------------------------------------------------------------------------------------------------ population
@dataclass(frozen=True)
class VersionRow:
    """A version as stored: who it is, where its weights are, where it came from."""

    version: Version
    role: Role
    round: int
    blob: str | None
    """sha256 of the adapter blob; None for players without weights."""
    optimizer: str | None
    """sha256 of the optimizer blob; None for frozen versions."""
    parents: tuple[Version, ...]
    reason: str
    """"created", "warm-up", "branch", "update", "snapshot", "reset", "exploit", "merge", "import"."""


# ----------------------------------------------------------------------------------------------- what lasts
@dataclass(frozen=True)
class MatchResult:
    """A finished match as it is stored.

    `transcript` is plain JSON-able data, or None when it was not kept.
    """

    match: Match
    metrics: Mapping[str, float]
    outcomes: tuple[Outcome, ...]
    transcript: object | None
    void: str | None = None
    """The reason when the match does not count."""


@dataclass(frozen=True)
class Rating:
    """A TrueSkill belief about one agent in one ladder ("overall" or a task's name)."""

    ladder: str
    version: Version
    mu: float
    sigma: float
    games: int
