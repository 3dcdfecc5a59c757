"""Conversations through a model's own chat template, which is tried once before it is used.

Not every template knows a system message: Gemma's and early Mistral's raise, others leave it out in silence. For those
the system text goes in front of the first user message, an empty line between them, as Gemma 3 does itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from league.errors import Foreign, ModelUnavailable, UserError
from league.types import Message

SYSTEM, FIRST, REPLY, SECOND = "Rule-one.", "Ask-two?", "Say-three.", "Ask-four?"
"""Texts that a template is tried with; short words, so that no template has them by itself."""
END_MARK = re.compile(r"<[^<>\s]{1,40}>")
"""How templates write a mark for the end of a turn: <|im_end|>, <end_of_turn>, </s>."""


@dataclass(frozen=True)
class Chat:
    """A tokenizer whose template was tried."""

    tokenizer: PreTrainedTokenizerBase
    name: str
    """Of the model, for messages."""
    folds: bool
    """Whether the system text goes into the first user message."""

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, ending where the reply begins.

        Raises UserError where the template refuses it.
        """
        turns = _turns(folded(messages) if self.folds else messages)
        roles = ", ".join(turn["role"] for turn in turns)
        with Foreign(f"model {self.name}: its chat template refuses a conversation of {roles}"):
            ids = self.tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        return [int(token) for token in ids]  # type: ignore[arg-type]


def open_chat(tokenizer: PreTrainedTokenizerBase, name: str) -> Chat:
    """Try the template with a system message and with a second turn.

    Raises ModelUnavailable without a template, or with one that knows no second turn.
    """
    _require_template(tokenizer, name)
    asked = [Message("system", SYSTEM), Message("user", FIRST)]
    again = [Message("user", FIRST), Message("assistant", REPLY), Message("user", SECOND)]
    folds = not _says(tokenizer, asked, (SYSTEM, FIRST))
    for talk in (folded(asked) if folds else asked, again, [*(folded(asked) if folds else asked), *again[1:]]):
        try:
            text = _render(tokenizer, talk)
        except UserError as error:
            raise ModelUnavailable(f"model {name}: {error}; choose an instruction-tuned model") from error
        lost = [message for message in talk if message.role == "user" and message.content not in text]
        if lost:
            raise ModelUnavailable(
                f"model {name}: its chat template leaves out what the user says in a conversation of "
                f"{', '.join(message.role for message in talk)}; choose an instruction-tuned model"
            )
    return Chat(tokenizer, name, folds)


def turn_end(tokenizer: PreTrainedTokenizerBase, name: str) -> int | None:
    """The token that the template ends a reply with; None where it ends it without one of its own.

    Raises ModelUnavailable where it writes an end mark that its tokenizer has no token for: no reply would stop there.
    """
    if not tokenizer.chat_template:
        return None
    try:
        text = _render(tokenizer, [Message("user", FIRST), Message("assistant", REPLY)], asks=False)
    except UserError:  # what it must be able to do is tried in `open_chat`
        return None
    said, after = REPLY in text, text.rpartition(REPLY)[2].strip()
    tokens = tokenizer.encode(after, add_special_tokens=False) if said and after else []
    own = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    if ends := [int(token) for token in tokens if token in own]:
        return ends[0]
    if mark := END_MARK.match(after):
        raise ModelUnavailable(
            f"model {name}: its chat template ends a turn with {mark.group()!r}, which is no token of its tokenizer, "
            "so no reply would end there; add it to the tokenizer and the model, or have chat_template.jinja in the "
            f"model's folder end turns with {tokenizer.eos_token!r}"
        )
    return None


def folded(messages: Sequence[Message]) -> list[Message]:
    """The same with the system text in front of the first user message."""
    system = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    if not system:
        return rest
    if not rest or rest[0].role != "user":
        return [Message("user", "\n\n".join(system)), *rest]
    return [Message("user", "\n\n".join([*system, rest[0].content])), *rest[1:]]


def _require_template(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    found = tokenizer.chat_template
    if isinstance(found, dict) and "default" not in found:
        raise ModelUnavailable(
            f"model {name}: its chat templates are named {', '.join(sorted(found)) or '(none)'}, and none is "
            "'default'; write the one to use into chat_template.jinja in the model's folder"
        )
    if not found:
        raise ModelUnavailable(
            f"model {name}: expected a tokenizer with a chat template, found none (use an instruction-tuned model)"
        )


def _says(tokenizer: PreTrainedTokenizerBase, talk: Sequence[Message], texts: Sequence[str]) -> bool:
    """Whether the template takes a conversation and all these texts stand in what it makes."""
    try:
        found = _render(tokenizer, talk)
    except UserError:
        return False
    return all(text in found for text in texts)


def _render(tokenizer: PreTrainedTokenizerBase, talk: Sequence[Message], *, asks: bool = True) -> str:
    """The text of a conversation; with `asks` it goes on to where the next reply begins."""
    roles = ", ".join(message.role for message in talk)
    with Foreign(f"its chat template refuses a conversation of {roles}"):
        return str(tokenizer.apply_chat_template(_turns(talk), add_generation_prompt=asks, tokenize=False))


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
