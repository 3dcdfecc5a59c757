"""A match's transcript for people, as Markdown, for the terminal, and as values for the HTML template.

What models say is hostile until shown otherwise: control characters become visible symbols (an escape sequence cannot
repaint a terminal, a bidirectional override cannot reorder a line), fences are longer than any run of backticks inside,
and nothing is ever rendered as markup.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from league.errors import DataError

if TYPE_CHECKING:
    from rich.console import RenderableType

_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


@dataclass(frozen=True)
class ReplyView:
    text: str
    reward: float
    advantage: float
    finish: str


@dataclass(frozen=True)
class TurnView:
    path: str
    tag: str
    seat: str
    about: int | None
    prompt: tuple[tuple[str, str], ...]
    """(role, content) pairs."""
    replies: tuple[ReplyView, ...]


@dataclass(frozen=True)
class Transcript:
    match: str
    task: str
    round: int | None
    seats: Mapping[str, str]
    problems: tuple[str, ...]
    turns: tuple[TurnView, ...]
    metrics: Mapping[str, float]


def parse(data: object) -> Transcript:
    """Read a stored transcript.

    Raises DataError, naming the field, when it is not of the stored shape.
    """
    record = _mapping(data, "transcript")
    seats = _mapping(record.get("seats"), "seats")
    metrics = _mapping(record.get("metrics"), "metrics")
    return Transcript(
        match=clean(str(record.get("match", ""))),
        task=clean(str(record.get("task", ""))),
        round=int(str(record["round"])) if record.get("round") is not None else None,
        seats={clean(str(seat)): clean(str(who)) for seat, who in seats.items()},
        problems=tuple(_problem(problem) for problem in _list(record.get("problems"), "problems")),
        turns=tuple(_turn(turn) for turn in _list(record.get("turns"), "turns")),
        metrics={clean(str(name)): _number(value, name) for name, value in metrics.items()},
    )


def _turn(data: object) -> TurnView:
    turn = _mapping(data, "turns[]")
    about = turn.get("about")
    prompt = [_mapping(message, "turns[].prompt[]") for message in _list(turn.get("prompt"), "turns[].prompt")]
    replies = [_mapping(reply, "turns[].replies[]") for reply in _list(turn.get("replies"), "turns[].replies")]
    return TurnView(
        path=clean(str(turn.get("path", ""))),
        tag=clean(str(turn.get("tag", ""))),
        seat=clean(str(turn.get("seat", ""))),
        about=None if about is None else int(str(about)),
        prompt=tuple((clean(str(m.get("role", ""))), clean(str(m.get("content", "")))) for m in prompt),
        replies=tuple(
            ReplyView(
                clean(str(r.get("text", ""))),
                _number(r.get("reward", 0.0), "reward"),
                _number(r.get("advantage", 0.0), "advantage"),
                clean(str(r.get("finish", ""))),
            )
            for r in replies
        ),
    )


def _problem(data: object) -> str:
    if isinstance(data, str):
        return clean(data)
    problem = _mapping(data, "problems[]")
    key = f"[{problem['key']}] " if problem.get("key") else ""
    return clean(f"{key}{problem.get('question', '')}\n→ {problem.get('answer', '')}")


def _mapping(data: object, where: str) -> Mapping[str, object]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise DataError(f"transcript: expected {where} to be an object, found {type(data).__name__}")
    return data


def _list(data: object, where: str) -> Sequence[object]:
    if data is None:
        return ()
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise DataError(f"transcript: expected {where} to be a list, found {type(data).__name__}")
    return data


def _number(data: object, where: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise DataError(f"transcript: expected {where} to be a number, found {data!r}")
    return float(data)


# ------------------------------------------------------------------------------------------------- hostile text
def clean(text: str) -> str:
    """Make every invisible character visible.

    Newlines stay, tabs become spaces, and CR LF becomes LF.
    """
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    text = "".join(_visible(c) if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text)
    return _INVISIBLE.sub(lambda m: f"⟨U+{ord(m.group()):04X}⟩", text)


def _visible(char: str) -> str:
    if char == "\n":
        return char
    code = ord(char)
    return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else f"⟨U+{code:04X}⟩"


def fence(text: str) -> str:
    """A Markdown code block whose fence is longer than any run of backticks in the text.

    The text must be clean.
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{text}\n{ticks}"


def inline(text: str) -> str:
    """One line of plain text for Markdown, with everything that could be markup escaped."""
    line = clean(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|])", r"\\\1", line)


# ------------------------------------------------------------------------------------------------------ Markdown
def transcript_markdown(data: object, limit: int | None = None) -> str:
    """A match as Markdown with fenced blocks, for TensorBoard's text plugin.

    Only the first turns when it would exceed `limit` characters, and it says so. Raises DataError as `parse` does.
    """
    view = parse(data)
    lines = [
        f"**{inline(view.task)}** match {inline(view.match)}: "
        + ", ".join(f"{inline(s)} {inline(w)}" for s, w in view.seats.items())
    ]
    if view.metrics:
        lines += [
            "",
            "| metric | value |",
            "|---|---|",
            *(f"| {inline(name)} | {value:.4g} |" for name, value in view.metrics.items()),
        ]
    for number, problem in enumerate(view.problems):
        lines += ["", f"**problem {number}**", "", fence(problem)]
    text = "\n".join(lines)
    for number, turn in enumerate(view.turns):
        block = _turn_markdown(turn)
        if limit is not None and len(text) + len(block) > limit:
            return f"{text}\n\n---\n\n*{len(view.turns) - number} more turns; `league show-match` prints all of them*"
        text += block
    return text


def _turn_markdown(turn: TurnView) -> str:
    lines = ["", "", "---", "", inline(heading(turn)), ""]
    for role, content in turn.prompt:
        lines += [inline(f"{role} says"), "", fence(content), ""]
    for number, reply in enumerate(turn.replies):
        lines += [inline(caption(number, reply)), "", fence(reply.text), ""]
    return "\n".join(lines)


def heading(turn: TurnView) -> str:
    about = "" if turn.about is None else f" about problem {turn.about}"
    after = f" (after {turn.path})" if turn.path else ""
    return f"{turn.seat}: {turn.tag}{about}{after}"


def caption(number: int, reply: ReplyView) -> str:
    cut = ", cut at the token limit" if reply.finish == "length" else ""
    return f"reply {number}: reward {reply.reward:+.3g}, advantage {reply.advantage:+.3g}{cut}"


# ------------------------------------------------------------------------------------------------------ terminal
def transcript_text(data: object) -> "RenderableType":
    """The same for a terminal, as `league show-match` prints it. Raises DataError as `parse` does."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text(text, style=style, overflow="fold") for text, style in _lines(parse(data))))


def _lines(view: Transcript) -> Iterator[tuple[str, str]]:
    yield f"{view.task} match {view.match}", "bold"
    yield "  ".join(f"{seat}: {who}" for seat, who in view.seats.items()), ""
    if view.metrics:
        yield "  ".join(f"{name} {value:.4g}" for name, value in view.metrics.items()), "cyan"
    for number, problem in enumerate(view.problems):
        yield f"\nproblem {number}", "bold"
        yield _indent(problem), ""
    for turn in view.turns:
        yield f"\n── {heading(turn)}", "bold magenta"
        for role, content in turn.prompt:
            yield f"{role}:", "dim"
            yield _indent(content), "dim"
        for number, reply in enumerate(turn.replies):
            yield caption(number, reply), "green" if reply.reward > 0 else "yellow"
            yield _indent(reply.text), ""


def _indent(text: str) -> str:
    return "\n".join(f"  │ {line}" for line in text.split("\n"))
