"""Worked replies: a student learns its teacher's right answers to fresh problems, unaided.

    L = −(λ / |V|) Σ_{y ∈ V} w_y Σ_t log π_S(y_t | x, y_<t)

V holds the distinct replies of the teacher to fresh problems x that the verifier found right; x is the student's own
prompt, without any example. λ is `weight` times the gate's strength (1 without a gate). It weighs replies against one
another within a step, not the size of the step, which AdamW makes alike. This is rejection sampling from another
policy: the verifier filters, so a teacher of accuracy a yields about a · K right replies a problem.

Source: rejection-sampled fine-tuning (Yuan et al. 2023, arXiv 2308.01825) with the expert as the sampler; it is also
the bridge that on-policy distillation needs (arXiv 2605.12483: without it −1.7).

Failure cases. A teacher that is seldom right gives little to learn from. A verifier that accepts right answers with
wrong reasoning passes the reasoning on. A teacher that is not better than its student adds nothing: the gate, at which
right replies wait until it opens (league.learning.channels.waiting). A past of the student itself may pass it
(`gate: others`): then this is rejection sampling from one's own policy, as in the source.
"""

from collections.abc import Iterable

from league.config import WorkedRepliesConfig
from league.learning.channels.examples import Encode, EncodeReply, FoundExample, text_sample
from league.learning.channels.gate import Gate
from league.types import Sample


def worked_reply_samples(
    found: Iterable[FoundExample], chosen: WorkedRepliesConfig, gate: Gate, encode: Encode, encode_reply: EncodeReply
) -> tuple[list[Sample], list[tuple[FoundExample, tuple[int, ...]]]]:
    """(a sample for each worked reply that the gate lets through, those it holds back with their tokens)."""
    learned: list[Sample] = []
    held: list[tuple[FoundExample, tuple[int, ...]]] = []
    for each in found:
        if each.example.channel != "worked_replies":
            continue
        own = chosen.gate == "others" and each.teacher.agent == each.learner.agent
        gated = bool(chosen.gate) and not own
        strength = gate.weight(each.teacher, each.learner, each.example.domain) if gated else 1.0
        sample = text_sample(each, encode, encode_reply, chosen.weight * (strength or 1.0) * each.example.weight)
        if sample is not None and strength > 0:
            learned.append(sample)
        elif sample is not None:
            held.append((each, sample.tokens))
    return learned, held
