"""Worked pairs for a supervised warm-up.

They show what a concise and a detailed summary look like, not how good ones are found.

The concise text is the human's summary line, the detailed one the passage's first sentences, linked. Only sources
whose texts have a human summary (docstrings, tldr) can show any, and only pairs that earn at least `LEAST` under the
hardened reward without a base model are shown: sentences copied without change earn 0 there.
"""

import re
from collections.abc import Iterator, Sequence

from league.seeds import generator
from league.types import Problem
from tasks.task import Demonstration, user_prompt
from tasks.writing.hardened import hardened_reward
from tasks.writing.prompts import PROMPTS, SPLIT_LINE
from tasks.writing.rewards import TLDR

LEAST = 1.0
LINKS = ("In particular,", "In addition,", "Finally,")


def worked_pair(problem: Problem) -> tuple[str, str] | None:
    """(concise, detailed), or None.

    None where the passage and its summary do not make a pair worth showing.
    """
    concise = problem.answer.strip()
    sentences = [part for part in re.split(r"(?<=[.!?])\s+", problem.question) if 5 <= len(part.split()) <= 22][
        : len(LINKS)
    ]
    if not 8 <= len(concise.split()) <= 20 or len(sentences) < 2:
        return None
    detailed = " ".join(f"{link} {_lowered(sentence)}" for link, sentence in zip(LINKS, sentences, strict=False))
    return (concise, detailed) if hardened_reward(TLDR, problem.question, concise, detailed)[0] >= LEAST else None


def _lowered(sentence: str) -> str:
    """The sentence as it goes on after a comma; names and acronyms keep their capitals."""
    word = sentence.split()[0]
    return sentence[0].lower() + sentence[1:] if word[1:].islower() or word == "A" else sentence


def demonstrations(
    problems: Sequence[Problem], count: int, seed: int, arrangement: str, writers: Sequence[int]
) -> list[Demonstration]:
    """`count` (prompt, reply) of tldr, problems drawn at random.

    For `writers` (0: the concise one or the single one, 1) in turn.
    """
    order = generator(seed, "demonstrations", "writing").permutation(len(problems))
    shown: list[Demonstration] = []
    for pair in _pairs(problems[place] for place in order):
        if len(shown) >= count or not writers:
            break
        shown.append(_shown(*pair, arrangement, writers[len(shown) % len(writers)]))
    return [shown[place % len(shown)] for place in range(count)] if shown else []


def _pairs(problems: Iterator[Problem]) -> Iterator[tuple[Problem, tuple[str, str]]]:
    for problem in problems:
        if (pair := worked_pair(problem)) is not None:
            yield problem, pair


def _shown(problem: Problem, pair: tuple[str, str], arrangement: str, writer: int) -> Demonstration:
    prompts, text = PROMPTS[TLDR.name], problem.question
    if arrangement == "single":
        return user_prompt(prompts.both(text)), f"{pair[0]}\n{SPLIT_LINE}\n{pair[1]}"
    if writer == 0:
        return user_prompt(prompts.first(text)), pair[0]
    return user_prompt(prompts.after(text, pair[0]) if arrangement == "sequential" else prompts.second(text)), pair[1]
