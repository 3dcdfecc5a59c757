"""Make 500 questions about change, each with its answer and a short worked solution: `questions.jsonl`.

They stand for data of your own. Nothing else here knows how they were made.
"""

import json
import random
from pathlib import Path

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana")
GOODS = ("apple", "bun", "candle", "drum", "egg", "flute", "ginger root", "hat", "ink pot", "jar")


def main(count: int = 500) -> None:
    rng = random.Random(1)
    rows: dict[str, dict[str, object]] = {}
    while len(rows) < count:
        name, (first, second) = rng.choice(NAMES), rng.sample(GOODS, 2)
        a, b, note = rng.randint(1, 9), rng.randint(1, 9), rng.choice((20, 30, 50))
        question = f"The {first} costs {a} and the {second} costs {b}. {name} pays with {note}. How much is the change?"
        steps = f"{a} + {b} = {a + b}. {note} - {a + b} = {note - a - b}."
        rows[question] = {"question": question, "answer": note - a - b, "solution": steps}
    with Path("questions.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows.values())
    print(f"questions.jsonl: {count} questions")


if __name__ == "__main__":
    main()
