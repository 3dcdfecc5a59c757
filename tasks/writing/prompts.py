"""What writers are told.

The instructions are the paper's in content, not in wording, and shorter: small base models lose long ones.

Every prompt is text for one user message; agents bring their own system message.
"""

from collections.abc import Callable
from dataclasses import dataclass

SPLIT_LINE = "[PARAGRAPH_SPLIT]"
EDITOR_TASK = (
    "Review the two texts written about a source. Say in two sentences what to change.\n\n"
    "Source:\n{text}\n\nThe texts:\n{written}"
)


@dataclass(frozen=True)
class Prompts:
    """The prompts of one kind of writing, as functions of the source and of the texts so far."""

    first: Callable[[str], str]
    second: Callable[[str], str]
    both: Callable[[str], str]
    after: Callable[[str, str], str]
    """Second writer, after reading the first one's text."""
    first_again: Callable[[str, str, str], str]
    second_again: Callable[[str, str, str], str]


def _tldr(task: str) -> Callable[[str], str]:
    return lambda text: f"Text:\n{text}\n\n{task}"


_CONCISE = "Summarise the text in one short sentence. Be factual. Write only the summary."
_DETAILED = (
    "Summarise the text in detail, in three or four sentences of your own. Vary your words and link the sentences. "
    "Write only the summary."
)

TLDR_PROMPTS = Prompts(
    first=_tldr(_CONCISE),
    second=_tldr(_DETAILED),
    both=_tldr(
        "Summarise the text twice. First one short sentence. Then a line with only "
        f"{SPLIT_LINE}. Then three or four sentences of your own, two to three times as long, "
        "with varied, linked sentences."
    ),
    after=lambda text, first: (
        f"Text:\n{text}\n\nA short summary by your partner:\n{first}\n\n"
        "Expand it into a detailed summary, two to three times as long, with other words and linked sentences. "
        "Write only the summary."
    ),
    first_again=lambda text, first, second: (
        f"Text:\n{text}\n\nYour short summary:\n{first}\n\nYour partner's detailed summary:\n{second}\n\n"
        "Write your short summary again so that it suits the detailed one. Write only the summary."
    ),
    second_again=lambda text, first, second: (
        f"Text:\n{text}\n\nYour partner's short summary:\n{first}\n\nYour detailed summary:\n{second}\n\n"
        "Write your detailed summary again, two to three times as long as the short one, "
        "with other words and linked sentences. Write only the summary."
    ),
)

_BACKGROUND = "Write the background and motivation for an introduction. Leave method and implications to your partner."
_METHOD = "Write the method and implications for an introduction. Leave background and motivation to your partner."


def _arxiv(task: str) -> Callable[[str], str]:
    return lambda text: f"Abstract:\n{text}\n\n{task} Between 130 and 250 words."


ARXIV_PROMPTS = Prompts(
    first=_arxiv(_BACKGROUND),
    second=_arxiv(_METHOD),
    both=lambda text: (
        f"Abstract:\n{text}\n\nWrite an introduction in two parts of 130 to 250 words each: background and motivation, "
        f"then a line with only {SPLIT_LINE}, then method and implications."
    ),
    after=lambda text, first: (
        f"Abstract:\n{text}\n\nBackground by your partner:\n{first}\n\n{_METHOD} "
        "Build on the background. Between 130 and 250 words."
    ),
    first_again=lambda text, first, second: (
        f"Abstract:\n{text}\n\nYour background:\n{first}\n\nYour partner's method:\n{second}\n\n"
        "Write your background again so that it prepares the method. Between 130 and 250 words."
    ),
    second_again=lambda text, first, second: (
        f"Abstract:\n{text}\n\nYour partner's background:\n{first}\n\nYour method:\n{second}\n\n"
        "Write your method and implications again so that they follow from the background. Between 130 and 250 words."
    ),
)

PROMPTS: dict[str, Prompts] = {"tldr": TLDR_PROMPTS, "arxiv": ARXIV_PROMPTS}
