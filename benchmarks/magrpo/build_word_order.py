"""Rebuild tasks/writing/data/word_order.json.

It holds counts of word-class trigrams in the prose of Python's documentation.

Only training splits are counted, so held-out texts stay held out. Trigrams seen once are dropped.

Run: python -m benchmarks.magrpo.build_word_order
"""

import argparse
import json
from pathlib import Path

from tasks.writing.fluency import count_orders
from tasks.writing.sources import problems_of


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    texts = [problem.question for source in ("docstrings", "topics") for problem in problems_of(source)["train"]]
    counts = count_orders(texts)
    counts["3"] = {gram: count for gram, count in counts["3"].items() if count > 1}
    path = Path(__file__).parents[2] / "tasks" / "writing" / "data" / "word_order.json"
    path.write_text(
        json.dumps(counts, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n", encoding="utf-8"
    )
    print(f"{len(texts)} texts, {sum(counts['1'].values())} classes → {path} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
