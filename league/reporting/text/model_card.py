"""The model card of an exported adapter: what was measured, where it came from, how to load it.

Leaves out every local path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from league.reporting.text.transcripts import fence, inline
from league.reporting.views import Estimate, LadderRow, LineageEdge
from league.types import Version

LICENCES = {"smollm": "apache-2.0", "qwen2.5-3b": "other", "qwen": "apache-2.0", "gemma": "gemma", "llama": "other"}
"""The licence by what the base model's name contains; the first match wins.

A base not listed here is "other": its own licence applies.
"""


@dataclass(frozen=True)
class CardExam:
    """An exam on problems of this split: greedy, unaided, held-out accuracy by domain."""

    accuracies: Sequence[tuple[str, Estimate]]
    split: str = "test"
    round: int | None = None
    sat_by: Version | None = None
    """The earlier version that sat it; None when the card's own weights did."""


@dataclass(frozen=True)
class Card:
    """What the card says. `base` is a hub id; `lineage` ends with the version exported."""

    agent: str
    step: int
    role: str
    base: str
    exam: CardExam | None
    """None when the agent has sat no exam."""
    ratings: Sequence[LadderRow] = ()
    lineage: Sequence[LineageEdge] = ()
    prompt: str = ""
    """The agent's system prompt."""
    run: str = ""
    merged: bool = False


def licence_of(base: str) -> str:
    return next((licence for part, licence in LICENCES.items() if part in base.lower()), "other")


def base_name(base: str) -> str:
    """The base model's public name: a local path is reduced to its last part, a hub id stays."""
    local = base.startswith(("/", ".", "~", "\\")) or base.count("/") > 1 or "\\" in base or Path(base).is_absolute()
    return Path(base.replace("\\", "/")).name if local else base


def model_card(card: Card) -> str:
    """README.md of the exported folder, front matter included."""
    from huggingface_hub import ModelCard, ModelCardData

    base = base_name(card.base)
    hub = "/" in base
    data = ModelCardData(
        license=licence_of(base),
        base_model=base if hub else None,
        library_name="transformers" if card.merged else "peft",
        pipeline_tag="text-generation",
        tags=["league", "multi-agent", card.role] + ([] if card.merged else ["lora"]),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(card, base)}", ignore_metadata_errors=True))


def _body(card: Card, base: str) -> str:
    name = f"{card.agent}@{card.step}"
    kind = "full model" if card.merged else "LoRA adapter"
    run = f" (run {inline(card.run)})" if card.run else ""
    parts = [
        f"# {inline(name)}",
        f"A {kind} for `{base}`, trained as {inline(card.role)} in a league of language-model agents{run}.",
        "## Measured",
        _measurements(card),
        "## How to load",
        _loading(card, base),
    ]
    if card.prompt:
        parts += ["It was trained with this system prompt:", fence(card.prompt)]
    if card.lineage:
        parts += ["## Lineage", "\n".join(_step(edge) for edge in card.lineage)]
    parts += [
        "## Licence",
        f"The base model's licence ({licence_of(base)}) applies to `{base}` and, with it, to the use of this adapter.",
    ]
    return "\n\n".join(parts) + "\n"


def _measurements(card: Card) -> str:
    rows = _exam(card.exam) if card.exam is not None else ["This agent has not sat an exam on held-out problems."]
    if card.ratings:
        rows += ["", "| ladder | rating (μ ± 2σ) | games |", "|---|---|---|"]
        rows += [f"| {inline(r.ladder)} | {r.mu:.2f} ± {2 * r.sigma:.2f} | {r.games} |" for r in card.ratings]
    return "\n".join(rows)


def _exam(exam: CardExam) -> list[str]:
    rows = ["| domain | held-out accuracy | 95% interval | problems |", "|---|---|---|---|"]
    for domain, e in exam.accuracies:
        band = f"{100 * e.low:.1f}–{100 * e.high:.1f}%" if e.low is not None and e.high is not None else "unknown"
        rows.append(f"| {inline(domain)} | {100 * e.value:.1f}% | {band} | {e.n or 'unknown'} |")
    rows += ["", f"Greedy, unaided, on {exam.split} problems, which were never trained on."]
    if exam.sat_by is not None:
        rows += [
            "",
            f"**Sat by an earlier version, {inline(str(exam.sat_by))}, in round {exam.round}**; "
            "this version has other weights and has not sat one.",
        ]
    return rows


def _step(edge: LineageEdge) -> str:
    source = f" from {inline(', '.join(edge.parents))}" if edge.parents else ""
    return f"- round {edge.round}: {inline(edge.child)} ({inline(edge.how)}{source})"


def _loading(card: Card, base: str) -> str:
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    if card.merged:
        lines.append('model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")')
    else:
        lines.insert(0, "from peft import PeftModel")
        lines.append(f'base = AutoModelForCausalLM.from_pretrained("{base}")')
        lines.append('model = PeftModel.from_pretrained(base, "THIS_FOLDER")')
    lines.append('tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")')
    return "\n".join(["```python", *lines, "```"])
