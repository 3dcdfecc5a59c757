"""Rows of data sets in the shapes in which people have them, made here."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon")
THINGS = ("apples", "books", "coins", "drums", "eggs", "flags", "games", "hats", "inks", "jars")


def gsm8k_like(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Word problems whose answer column holds the worked solution and `#### answer`, as GSM8K's does."""
    rng = np.random.default_rng(seed)
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < count:
        a, b = (int(each) for each in rng.integers(2, 90, 2))
        name, thing = NAMES[rng.integers(10)], THINGS[rng.integers(10)]
        question = f"{name} has {a} {thing} and finds {b} more. How many {thing}?"
        rows[question] = {"question": question, "answer": f"{name} has {a} + {b} = {a + b} {thing}.\n#### {a + b}"}
    return list(rows.values())


GSM8K = {"answer": "{{ answer.split('####')[1] }}", "solution": "{{ answer.split('####')[0] }}", "check": "number"}
"""Settings that read such rows."""


def mbpp_like(count: int) -> list[dict[str, Any]]:
    """Functions to write, with tests as a list, as MBPP has them."""
    return [
        {
            "task_id": number,
            "text": f"Write a function add_{number} that adds {number} to a whole number.",
            "code": f"def add_{number}(x):\n    return x + {number}",
            "test_list": [f"assert add_{number}({each}) == {each + number}" for each in (0, 5)],
        }
        for number in range(count)
    ]


def chats(count: int) -> list[dict[str, Any]]:
    """Conversations of one turn, whose last reply ends in an answer line."""
    return [
        {
            "messages": [
                {"role": "system", "content": "You are kind."},
                {"role": "user", "content": f"What follows {number} in counting?"},
                {"role": "assistant", "content": f"After {number} comes {number + 1}.\nAnswer: {number + 1}"},
            ]
        }
        for number in range(count)
    ]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
