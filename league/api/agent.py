"""One version of a run that speaks and can be exported."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from league.errors import BackendError, UserError
from league.types import BASE, Message, Sampling, Version

if TYPE_CHECKING:
    from league.evaluation.speaker import Speaker

ROLES_OF_MESSAGES = ("system", "user", "assistant")
Chat = str | Sequence[Mapping[str, str]]
"""A user's message, or messages as {"role": …, "content": …}."""


class Agent:
    """A version of a run. The model is loaded when it first speaks, and kept as long as this object."""

    def __init__(self, folder: Path, version: Version):
        self.folder = folder
        self.version = version

    def __repr__(self) -> str:
        return f"league.open({str(self.folder)!r}).agent('{self.version}')"

    @cached_property
    def _speaker(self) -> "Speaker":
        from league.evaluation.speaker import load_speaker

        return load_speaker(self.folder, self.version)

    def chat(
        self,
        messages: Chat,
        *,
        system: str | None = None,
        max_tokens: int = 128,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str:
        """One reply, by the base model and this version's adapter. Nothing is stored.

        `system` comes behind the agent's own instructions, which it has anyway. Temperature 0 is greedy; otherwise
        the same seed draws the same reply. Raises UserError for messages of another form, for a prompt that is too
        long, for a server that is out of reach, and for a run from elsewhere that `league trust` must allow.
        """
        said = _messages(messages)
        if system is not None:
            said = (Message("system", system), *said)
        if max_tokens < 1 or not 0 <= temperature < math.inf or not 0 < top_p <= 1:
            raise UserError(
                f"max_tokens {max_tokens}, temperature {temperature}, top_p {top_p}: expected at least 1, at least 0, "
                "and above 0 up to 1"
            )
        sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
        try:
            return self._speaker.reply(said, sampling, seed)
        except BackendError as error:
            raise UserError(f"{self.version} cannot answer: {error}") from error

    def export(self, out: "str | Path", *, merge: bool = False) -> Path:
        """Write it to `out`/<agent> as a PEFT folder with its model card; returns that folder.

        `merge` writes a full model. The version is pinned in the run, so its weights stay. Raises UserError where it
        has no weights or the folder exists.
        """
        from league.runtime.export import Choice, export_agents
        from league.store.reader import RunReader

        if self.version == BASE:
            raise UserError("the base model is no agent of the run; `league fetch-model` says where it lies")
        with RunReader.read(self.folder) as reader:
            blob = reader.version_row(self.version).blob
            if blob is None or not reader.blobs.has(blob):
                raise UserError(f"{self.version} has no weights to export")
            (done,) = export_agents(self.folder, reader, [Choice(self.version, None)], Path(out), merge=merge)
        return done.folder


def _messages(given: Chat) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (Message("user", given),)
    found = []
    for place, each in enumerate(given):
        if not isinstance(each, Mapping) or set(each) != {"role", "content"}:
            raise UserError(f'message {place}: expected {{"role": …, "content": …}}, found {each!r:.80}')
        role, content = each["role"], each["content"]
        if role not in ROLES_OF_MESSAGES or not isinstance(content, str):
            raise UserError(f"message {place}: the role is one of {', '.join(ROLES_OF_MESSAGES)}, the content a text")
        found.append(Message(role, content))  # type: ignore[arg-type]
    if not found:
        raise UserError("there is no message to answer")
    return tuple(found)
