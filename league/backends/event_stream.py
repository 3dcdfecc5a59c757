"""A chat completion's event stream as text, in the many spellings that servers have for the same.

A line may end in \\n, \\r\\n or \\r, or not at all where the stream ends; an event may be several `data:` lines.
"Nothing here" is said by `null`, `{}`, no choices, `choices: null`, `delta: null`, or content that is null or missing.
Content is a string or a list of parts. What is none of these raises Failed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field


class Failed(Exception):
    """One attempt failed.

    `again`: another may succeed; `after`: seconds the server asked to wait, if it did.
    """

    def __init__(self, reason: str, *, again: bool, after: float | None = None):
        self.again, self.after = again, after
        super().__init__(reason)


MOST_LINES = 32
"""Lines of one event: each is tried with those before it."""
_BREAK = re.compile(rb"\r\n|\n|\r")


@dataclass
class EventStream:
    """What has been read of a stream. Feed it bytes, then close it."""

    pieces: list[str] = field(default_factory=list)
    finish: str | None = None
    """Why the reply ended, once it has."""
    done: bool = False
    """Whether the server said that nothing more comes."""
    _answered: bool = False
    _rest: bytes = b""
    _returned: bool = False
    """Whether the last byte was \\r, so that a \\n would belong to it."""
    _held: list[bytes] = field(default_factory=list)
    """Lines of an event that is no JSON yet."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def complete(self) -> bool:
        """Whether a reply is here from beginning to end."""
        return self._answered and (self.done or self.finish is not None)

    def feed(self, data: bytes) -> None:
        """Read on. Raises Failed for what is no chat stream."""
        if not data:
            return
        if self._returned:  # the other half of \r\n
            self._returned, data = False, data.removeprefix(b"\n")
        *lines, self._rest = _BREAK.split(self._rest + data)
        self._returned = data.endswith(b"\r")
        for line in lines:
            if self.done:
                return
            self._take(line)

    def close(self) -> None:
        """Nothing more comes: read the last line, which needs no end."""
        if not self.done:
            rest, self._rest = self._rest, b""
            self._take(rest)
            self._take(b"")

    def _take(self, line: bytes) -> None:
        line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            if self._held:
                raise Failed("sent an event that is not JSON", again=True)
            return
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data in (b"[DONE]", b'"[DONE]"') and not self._held:
            self.done = True
            return
        if not data and not self._held:
            return
        self._held.append(data)
        try:
            event = json.loads(b"\n".join(self._held))
        except RecursionError:
            raise Failed("sent an event that is not JSON (RecursionError)", again=True) from None
        except ValueError as error:
            if len(self._held) > MOST_LINES:
                raise Failed(f"sent an event that is not JSON ({type(error).__name__})", again=True) from error
            return  # the rest of it may be on the next line
        self._held = []
        self._read(event)

    def _read(self, event: object) -> None:
        if event is None:
            return
        if not isinstance(event, dict):
            raise Failed("sent an event that is not a chat completion chunk (expected an object)", again=True)
        error = event.get("error") or (event if event.get("object") == "error" else None)
        if error:
            raise Failed(f"reported an error: {json.dumps(error)[:300]}", again=True)
        choices = event.get("choices")
        if choices is None or choices == []:
            return
        choice = choices[0] if isinstance(choices, list) else choices
        if choice is None:
            return
        said, ended = _said(choice, first=not self.pieces), choice.get("finish_reason")
        if said is None or not isinstance(ended, str | None):
            raise Failed("sent an event that is not a chat completion chunk (choices[0].delta.content)", again=True)
        self._answered = True
        if said:
            self.pieces.append(said)
        self.finish = ended or self.finish


def _said(choice: object, *, first: bool) -> str | None:
    """The text of one choice; None where there is something else in its place.

    A whole `message` counts only where nothing has been said: some servers repeat the reply at its end.
    """
    if not isinstance(choice, dict):
        return None
    for key in ("delta", "message"):
        holder = choice.get(key)
        if holder is None:
            continue
        if not isinstance(holder, Mapping):
            return None
        text = _content(holder.get("content"))
        if text is None or key == "delta" and text:
            return text
        if key == "message" and first:
            return text
    return ""


def _content(content: object) -> str | None:
    """Text of a string or of parts; None where it is neither.

    Parts that are no text (thoughts, references) say nothing.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            text = part.get("text")
            if part.get("type", "text") in ("text", "output_text") and text is not None:
                if not isinstance(text, str):
                    return None
                texts.append(text)
        elif part is not None:
            return None
    return "".join(texts)
