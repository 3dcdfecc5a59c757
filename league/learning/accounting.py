"""What a run spends: tokens by kind, arithmetic, solutions and verifier calls. Pure functions.

Tokens

    sampled   completion tokens that were drawn
    read      prompt tokens that must be processed before they can be: per player version the distinct nodes of the
              prefix tree of its prompts, |{ p[:i] : p in prompts, 1 ≤ i ≤ len(p) }|, so a shared prefix counts once
    scored    completion tokens that another policy read with the completion given (teacher forcing): a teacher's
              probabilities, the base's in a KL term. Their prompts are `read` too
    trained   completion tokens with a gradient, once per epoch

FLOPs of one token, with N the base's weights it passes through (linear layers without the head), A those of its
adapter, V vocabulary and H hidden size. A matrix product costs 2 a weight forward, 2 for the gradient of its input,
and 2 for that of its weights (Kaplan et al., arXiv 2001.08361, table 1 and section 2.1). LoRA's base is frozen, so its
weights have no gradient (Hu et al., arXiv 2106.09685, section 4.1).

    read                     2N + 2A
    sampled, scored          2N + 2A + 2VH
    prompt in training       4N + 6A              forward and back through the activations; a prompt counts once for
    completion in training   4N + 6A + 4VH        the optimizer step it is in (2N + 2A more if activations are
                                                  recomputed)

Definitions do not look at the engine: what it computes twice, or saves, changes nothing here. Left out as small: norms,
embeddings, softmax, the optimizer, and attention over the context, 4·H a layer and position (a few per cent at a few
hundred tokens). Also left out: a task's own readers (fluency), and players behind a server, whose tokens nobody tells.
Every weight counts as used by every token, so N is too high for mixtures of experts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from league.errors import LeagueError
from league.learning.objective import Objective
from league.model.bank import AdapterBank
from league.types import BASE, Channel, Episode, Hyper, Sample, Version

Activity = Literal["playing", "scoring", "training"]
Tokens = tuple[int, ...]
K = TypeVar("K")
VERIFIED: frozenset[Channel] = frozenset({"worked_replies", "lessons"})
"""Channels that learn replies a verifier found right."""


@dataclass(frozen=True)
class ModelSize:
    """Weights that one token is multiplied with."""

    base: int
    """N: the base's linear layers without the head."""
    head: int
    """V·H."""
    adapters: Mapping[str, int]
    """Agent → A."""

    def adapter(self, version: Version) -> int:
        """A of a version: 0 for the base. One whose agent is not known counts as the largest."""
        return 0 if version == BASE else self.adapters.get(version.agent, max(self.adapters.values(), default=0))

    def forward(self, version: Version) -> int:
        """FLOPs of one token without logits."""
        return 2 * (self.base + self.adapter(version))

    def backward(self, version: Version) -> int:
        """FLOPs of one token's backward pass without logits."""
        return 2 * self.base + 4 * self.adapter(version)


@dataclass(frozen=True)
class Spent:
    """What was spent; two of them add up, and what is distinct stays distinct."""

    sampled: int = 0
    read: int = 0
    scored: int = 0
    trained: Mapping[str, Mapping[Channel, int]] = field(default_factory=dict)
    """Agent → channel → tokens."""
    flops: Mapping[Activity, int] = field(default_factory=dict)
    verifier_calls: int = 0
    """Replies that a domain's verifier judged."""
    given: frozenset[str] = frozenset()
    """Keys of problems whose solution came from the data and was a supervised target."""
    verified: frozenset[str] = frozenset()
    """Keys of problems whose verified replies were learned."""

    def __add__(self, other: "Spent") -> "Spent":
        agents = dict.fromkeys([*self.trained, *other.trained])
        return Spent(
            sampled=self.sampled + other.sampled,
            read=self.read + other.read,
            scored=self.scored + other.scored,
            trained={a: added(self.trained.get(a, {}), other.trained.get(a, {})) for a in agents},
            flops=added(self.flops, other.flops),
            verifier_calls=self.verifier_calls + other.verifier_calls,
            given=self.given | other.given,
            verified=self.verified | other.verified,
        )

    def trained_by(self, agent: str) -> int:
        """Tokens the agent was trained on."""
        return sum(self.trained.get(agent, {}).values())

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens by kind."""
        trained = sum(map(self.trained_by, self.trained))
        return {"sampled": self.sampled, "trained": trained, "scored": self.scored, "read": self.read}

    def scalars(self) -> dict[str, float]:
        """tokens/KIND, tokens/trained/AGENT/CHANNEL, flops/ACTIVITY, and verifier_calls."""
        found = {f"tokens/{kind}": float(count) for kind, count in self.tokens.items()}
        for agent, channels in self.trained.items():
            found |= {f"tokens/trained/{agent}/{channel}": float(count) for channel, count in channels.items()}
        found |= {f"flops/{activity}": float(count) for activity, count in self.flops.items()}
        return found | {"verifier_calls": float(self.verifier_calls)}

    def measured_scalars(self) -> dict[str, float]:
        """measured/tokens and measured/flops, where anything was said; for what measuring took."""
        tokens = self.sampled + self.read + self.scored
        flops = {"measured/flops": float(sum(self.flops.values()))} if self.flops else {}
        return {"measured/tokens": float(tokens)} | flops if tokens else {}


def added(first: Mapping[K, int], second: Mapping[K, int]) -> dict[K, int]:
    """Two tables of counts added up; what one of them lacks counts 0."""
    return {key: first.get(key, 0) + second.get(key, 0) for key in dict.fromkeys([*first, *second])}


def model_size(bank: AdapterBank) -> ModelSize:
    """The sizes of a bank's base and adapters."""
    base, head = bank.base, bank.base.model.get_output_embeddings()
    shapes = [shape for path, shape in base.manifest().linears.items() if base.model.get_submodule(path) is not head]
    adapters = {version.agent: bank.slice(version).layout.size for version in bank.versions()}
    return ModelSize(sum(outs * ins for outs, ins in shapes), base.head_VH.numel(), adapters)


def prefix_tokens(prompts: Iterable[Sequence[int]]) -> int:
    """The number of nodes of the prefix tree of the prompts.

    Sorted, a prompt adds what it does not share with the one before it.
    """
    count = 0
    before: Tokens = ()
    for prompt in sorted(set(map(tuple, prompts))):
        shared = next((i for i, (a, b) in enumerate(zip(prompt, before, strict=False)) if a != b), len(before))
        count, before = count + len(prompt) - shared, prompt
    return count


# ------------------------------------------------------------------------------------------------------- playing
@dataclass
class Heard:
    """Replies by who gave them: distinct prompts, and how many tokens were drawn."""

    prompts: dict[Version, set[Tokens]] = field(default_factory=dict)
    sampled: dict[Version, int] = field(default_factory=dict)

    def hear(self, version: Version, prompt: Tokens, drawn: int) -> None:
        """One more reply; replies without tokens (scripted, remote) are not heard."""
        if prompt:
            self.prompts.setdefault(version, set()).add(prompt)
            self.sampled[version] = self.sampled.get(version, 0) + drawn


def heard_in(episodes: Iterable[Episode]) -> Heard:
    """Everything that was said in the episodes, void ones included."""
    heard = Heard()
    for episode in episodes:
        for _, decision in episode.decisions():
            for seat, replies in decision.replies.items():
                for reply in replies:
                    heard.hear(episode.match.seats[seat], reply.prompt_tokens, len(reply.tokens))
    return heard


def played(heard: Heard, size: ModelSize | None, verifier_calls: int = 0) -> Spent:
    """What it took to say it."""
    read = {version: prefix_tokens(prompts) for version, prompts in heard.prompts.items()}
    sampled = sum(heard.sampled.values())
    flops: dict[Activity, int] = {}
    if size is not None:
        passes = added(read, heard.sampled)
        flops["playing"] = sum(size.forward(who) * count for who, count in passes.items()) + 2 * size.head * sampled
    return Spent(sampled=sampled, read=sum(read.values()), flops=flops, verifier_calls=verifier_calls)


def scored(policy: Version, rows: Collection[tuple[Tokens, Tokens]], size: ModelSize) -> Spent:
    """`policy` has read rows of (prompt, completion) for the probabilities of their completions."""
    read = prefix_tokens(prompt for prompt, _ in rows)
    tokens = sum(len(completion) for _, completion in rows)
    flops = size.forward(policy) * (read + tokens) + 2 * size.head * tokens
    return Spent(scored=tokens, read=read, flops={"scoring": flops})


def all_scored(rows: Mapping[Version, Collection[tuple[Tokens, Tokens]]], size: ModelSize | None) -> Spent:
    """What it took all of these policies to read their rows."""
    spent = Spent()
    if size is not None:
        for policy, own in rows.items():
            spent += scored(policy, own, size)
    return spent


# ------------------------------------------------------------------------------------------------------ training
def trained(
    samples: Sequence[Sample],
    agents: Collection[str],
    hypers: Mapping[str, Hyper],
    objective: Objective,
    size: ModelSize,
) -> Spent:
    """What one update of `agents` on their samples took; samples of others (who diverged) are left out.

    With a KL term the base reads what is trained on, and that is `scored`.
    """
    total = Spent()
    for agent in agents:
        own = [sample for sample in samples if sample.agent == agent]
        for part in range(objective.minibatches):
            chosen = [s for s in own[part :: objective.minibatches] if objective.needs(s.advantage, hypers[agent])]
            once = _one_step(agent, chosen, hypers[agent], objective, size)
            for _ in range(objective.epochs):
                total += once
    return total


def _one_step(agent: str, samples: Sequence[Sample], hyper: Hyper, objective: Objective, size: ModelSize) -> Spent:
    """One optimizer step of one agent."""
    if not samples:
        return Spent()
    channels: dict[Channel, int] = {}
    for sample in samples:
        channels[sample.channel] = channels.get(sample.channel, 0) + len(sample.tokens)
    version = Version(agent, 0)  # every version of an agent has the same size
    passes = 2 if objective.checkpointing else 1
    tokens = sum(channels.values())
    every = prefix_tokens(sample.prompt_tokens for sample in samples) + tokens
    flops = every * (passes * size.forward(version) + size.backward(version)) + 4 * size.head * tokens
    done = Spent(
        trained={agent: channels},
        flops={"training": flops},
        verified=frozenset(_problem(sample) for sample in samples if sample.channel in VERIFIED),
    )
    for reader, heard in _read_by(samples, hyper).items():
        done += scored(reader, heard, size)
    return done


def _read_by(samples: Sequence[Sample], hyper: Hyper) -> dict[Version, list[tuple[Tokens, Tokens]]]:
    """Who else reads the samples: the base for a KL term, teachers for what is distilled from them."""
    rows: dict[Version, list[tuple[Tokens, Tokens]]] = {}
    for sample in samples:
        readers = [BASE] if hyper.kl else []
        if sample.rule == "distillation" and sample.teacher is not None:
            readers.append(sample.teacher)
        for reader in readers:
            rows.setdefault(reader, []).append((sample.prompt_tokens, sample.tokens))
    return rows


def _problem(sample: Sample) -> str:
    if not sample.problem:
        raise LeagueError(
            f"agent {sample.agent}: a sample of channel {sample.channel} does not name its problem; useful examples "
            "must come from turns about a problem (Turn.about)"
        )
    return sample.problem
