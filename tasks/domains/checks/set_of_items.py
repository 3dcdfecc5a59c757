"""`set`: the same items in any order, a repeated one counted once. The empty set is written `none`.

In the row the true answer is a list, or a text with the separator between the items.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from tasks.domains.checks.check import ReplyCheck, Unusable, plain_text, shown
from tasks.domains.checks.exact import tidy

EMPTY = "none"


@dataclass(frozen=True)
class SetCheck(ReplyCheck):
    """The same items."""

    separator: Annotated[str, Field(min_length=1, max_length=5)] = ","
    """What stands between two items."""
    case: bool = False
    """Whether capitals count."""

    @property
    def instruction(self) -> str:
        return (
            f"Answer the question. The answer is a list with '{self.separator}' between its items, in any order, or "
            f"'{EMPTY}'."
        )

    def accepted(self, answer: object, row: Mapping[str, Any]) -> str:
        if not isinstance(answer, list):
            text = plain_text(answer)
        elif not answer:
            text = EMPTY
        else:
            items = [plain_text(each) for each in answer]
            if torn := [item for item in items if self.separator in item]:
                raise Unusable(f"the item {shown(torn[0])} holds the separator '{self.separator}'; choose another one")
            text = f"{self.separator} ".join(items)
        if self.read(text) is None:
            raise Unusable(f"the answer {shown(text)} cannot be read as a list of items")
        return text

    def read(self, text: str) -> str | None:
        whole = tidy(text)
        if whole is None:
            return None
        if whole.startswith("[") and whole.endswith("]"):
            whole = whole[1:-1]
        if whole.casefold() == EMPTY or not whole.strip():
            return EMPTY
        items = [tidy(part) for part in whole.split(self.separator)]
        if None in items:
            return None
        return self.separator.join(sorted({item if self.case else item.casefold() for item in items if item}))
