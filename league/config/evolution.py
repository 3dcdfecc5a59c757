"""When agents are frozen, reset, replaced by better ones, retired and merged.

Each part is off by default.
"""

from typing import Annotated, Literal

from pydantic import Field

from league.config.base import Chance, Count, Positive, Section, Weight

Method = Literal["cat", "svd", "ties_svd", "dare_linear_svd", "dare_ties_svd"]
Confidence = Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=1, allow_inf_nan=False)]


class SnapshotsConfig(Section):
    """Freeze an agent as soon as it is surely better than its frozen past.

    It is frozen `league.snapshot_every` rounds after its last snapshot in any case.
    """

    confidence: Confidence = 0.9
    """Of the one-sided lower bound."""
    win_rate: Chance = 0.5
    """Contests: the bound on the win rate against its past must exceed this."""
    gain: Weight = 0.0
    """Teaching and cooperation: the bound on the gain since the lap before must exceed this.

    The gain is in Δ, or in the joint return.
    """
    against: Literal["last", "pasts"] = "last"
    """The past: the last snapshot, or all that are kept."""
    min_games: Positive = 16


class ExploitersConfig(Section):
    """Agents with role exploiter and `targets` are frozen, then reset.

    It happens when they surely beat their targets or run out of time.
    """

    win_rate: Chance = 0.6
    """The lower bound on the win rate against the targets must exceed this."""
    confidence: Confidence = 0.9
    min_games: Positive = 16
    timeout: Positive = 20
    """Rounds after its last snapshot at which an exploiter is frozen in any case."""
    reset: bool = True
    """Go back to the weights of the warm-up after each snapshot."""


class PbtConfig(Section):
    """Population-based training: worse agents copy better ones and try other hyper-parameters.

    When another agent of its kind is surely better, an agent takes over its weights and optimizer (exploit) and tries
    other hyper-parameters (explore).
    """

    every: Positive = 5
    """Rounds between looks."""
    confidence: Confidence = 0.95
    """P(better) must exceed this."""
    min_games: Positive = 16
    """Games (or paired items) each of the two must have had against common opponents."""
    window: Positive = 20
    """Only games of so many rounds back count: agents move."""
    factor: Factor = 1.25
    """Learning rate, KL and temperature are each multiplied or divided by this."""
    spread: Factor = 8.0
    """No hyper-parameter gets further than this factor from where the agent began."""


class RetirementConfig(Section):
    """Frozen versions that add nothing are met no more.

    They are dominated, outside every certified cycle, and near a clone.
    """

    every: Positive = 5
    """Rounds between looks."""
    distance: Chance = 0.1
    """Root mean square difference of two payoff rows up to which one is a clone of the other."""
    min_games: Positive = 16
    """Games two versions need against an opponent before it counts for the distance."""
    stored: Count = 64
    """Newest retired versions whose weights stay on the disk.

    Rows, payoffs and pinned weights stay for ever.
    """


class MergingConfig(Section):
    """The two best agents of one kind are merged.

    The candidate joins when evaluation matches show that it is not worse.
    """

    every: Positive = 10
    """Rounds between attempts."""
    method: Method = "svd"
    """How PEFT combines the two adapters.

    cat and svd (rank permitting) are exact, the others drop and select weights. PEFT's "linear" mixes A and B apart
    and is not offered.
    """
    rank: Positive | None = None
    """Of the candidate; null keeps the parents' (cat: their sum)."""
    density: Chance = 0.5
    """Share of weights that TIES and DARE keep."""
    matches: Positive = 8
    """Evaluation matches of the candidate against each parent.

    An exam has `evaluation.problems` problems a domain instead.
    """
    margin: Chance = 0.1
    """Not worse: the lower bound on the win rate against the better parent exceeds ½ − margin."""
    confidence: Confidence = 0.9
    limit: Positive = 2
    """Merged agents alive at most."""


class EvolutionConfig(Section):
    """null switches a part off."""

    task: str | None = None
    """The task, or "exam", whose results count.

    null takes the first task of the config that an agent's role plays.
    """
    snapshots: SnapshotsConfig | None = None
    exploiters: ExploitersConfig = ExploitersConfig()
    pbt: PbtConfig | None = None
    retirement: RetirementConfig | None = None
    merging: MergingConfig | None = None
