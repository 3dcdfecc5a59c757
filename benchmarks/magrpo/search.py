"""How much can junk earn that is bred for the hardened writing reward?

A search against that reward with the base model's perplexity in it.

Starts from the source's words in random order and a few function words, and climbs: each step draws `--draws` changes
of a few words (put in, taken out, replaced, exchanged, a run of the source's own words pasted, full stops set and
sentences begun with a capital), keeps those that a cheap stand-in likes best (the reward with the built-in word order
alone, which is known to be fooled), has the base judge `--judged` of them, and takes the best if it is no worse. What
is climbed is the reward plus small shares of its smooth parts, so that the search is not lost where the reward is 0.
Nothing in it knows what a sentence means; a text that a person would write can only be met by chance.

    python -m benchmarks.magrpo.search --out runs/magrpo-search.json
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.runtime.assembly import text_nll
from league.seeds import generator
from tasks.writing.fluency import FUNCTION_WORDS, Perplexity, Surprisal, word_order
from tasks.writing.hardened import hardened_reward
from tasks.writing.rewards import TLDR
from tasks.writing.sources import problems_of
from tasks.writing.words import TRANSITION_WORDS

Texts = tuple[str, str]
PHRASES = [phrase for phrases in TRANSITION_WORDS.values() for phrase in phrases]


class Judge:
    """The base model's opinion of texts, each asked for once, and the share made of it."""

    def __init__(self, base: BaseModel):
        bank = AdapterBank(base)
        self.fluency = Perplexity(lambda texts: text_nll(bank, texts))
        self.known: dict[str, Surprisal] = {}

    def surprisals(self, texts: Sequence[str]) -> list[Surprisal]:
        if new := [text for text in dict.fromkeys(texts) if text not in self.known]:
            self.known |= zip(new, self.fluency.surprisals(new), strict=True)
        return [self.known[text] for text in texts]

    def __call__(self, texts: Sequence[str]) -> list[float]:
        return [self.fluency.share(text, found) for text, found in zip(texts, self.surprisals(texts), strict=True)]


@dataclass(frozen=True)
class Found:
    texts: Texts
    reward: float
    climbed: float
    """The reward plus shares of its smooth parts."""


def judged(source: str, texts: Texts, judge: Judge) -> Found:
    reward, levels, terms = hardened_reward(TLDR, source, *texts, judge)
    orders = [word_order().gain(text) for text in texts]
    reads = judge.surprisals(texts)
    smooth = 0.1 * levels.total + 0.2 * min(0.75, *orders) - 0.2 * max(read.nats for read in reads)
    smooth += 0.2 * min(2.4, *(read.words for read in reads)) + 0.2 * min(1.3, *(read.runs for read in reads))
    return Found(texts, reward, reward + smooth + 0.1 * (terms.grounded + terms.variety + terms.own_words + terms.form))


def changed(texts: Texts, source: Sequence[str], rng: np.random.Generator) -> Texts:
    """One text with one to three changes."""
    parts = [text.split() for text in texts]
    part = parts[int(rng.integers(2))]
    common = sorted(FUNCTION_WORDS)
    for _ in range(int(rng.integers(1, 4))):
        place, move = int(rng.integers(len(part))), int(rng.integers(8))
        word = str(rng.choice(common)) if rng.random() < 0.4 else str(rng.choice(source))
        if move == 0 and len(part) > 8:
            del part[place]
        elif move == 1:
            part.insert(place, word)
        elif move == 2:
            part[place] = word
        elif move == 3:
            other = int(rng.integers(len(part)))
            part[place], part[other] = part[other], part[place]
        elif move == 4:
            start, length = int(rng.integers(len(source))), int(rng.integers(2, 6))
            part[place : place + length] = source[start : start + length]
        elif move == 5:
            part[place] = part[place].rstrip(".,;:") + str(rng.choice([".", ".", ",", ""]))
        elif move == 6:
            for index, word in enumerate(part):
                if index == 0 or part[index - 1].endswith("."):
                    part[index] = word[:1].upper() + word[1:]
            part[-1] = part[-1].rstrip(".,;:") + "."
        else:
            part[place:place] = str(rng.choice(PHRASES)).split()
    return " ".join(parts[0]), " ".join(parts[1])


def climb(source: str, judge: Judge, seed: int, steps: int, draws: int, kept: int) -> list[Found]:
    """The best pair after each step."""
    rng = generator(seed, "magrpo-search", source)
    stock = source.split()
    start: Texts = tuple(" ".join(str(rng.choice(stock)) for _ in range(length)) for length in (10, 26))  # type: ignore[assignment]
    history = [judged(source, start, judge)]
    for _ in range(steps):
        best = history[-1]
        trials = list(dict.fromkeys(changed(best.texts, stock, rng) for _ in range(draws)))
        cheap = {
            texts: hardened_reward(TLDR, source, *texts)[0] + 0.5 * min(word_order().gain(text) for text in texts)
            for texts in trials
        }
        chosen = sorted(trials, key=lambda texts: -cheap[texts])[:kept]
        judge.surprisals([text for texts in chosen for text in texts])
        found = max((judged(source, texts, judge) for texts in chosen), key=lambda found: found.climbed)
        history.append(found if found.climbed >= best.climbed else best)
    return history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/magrpo-search.json"))
    parser.add_argument("--sources", type=int, default=4, help="held-out docstrings with a human summary")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--draws", type=int, default=48, help="changes drawn a step")
    parser.add_argument("--judged", type=int, default=6, help="of them judged by the base")
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(BaseModel.load(locate_model(DEFAULT_MODEL), threads=1))
    sources = [problem.question for problem in problems_of("docstrings")["test"]][: args.sources]
    found = []
    for place, source in enumerate(sources):
        history = climb(source, judge, seed=place, steps=args.steps, draws=args.draws, kept=args.judged)
        first, second = history[-1].texts
        alone = hardened_reward(TLDR, source, first, second)[0]
        found.append(
            {
                "source": source,
                "first": first,
                "second": second,
                "reward": history[-1].reward,
                "without_base": alone,
                "read": [asdict(read) for read in judge.surprisals([first, second])],
                "curve": [round(step.reward, 3) for step in history],
            }
        )
        print(json.dumps({key: value for key, value in found[-1].items() if key != "curve"}, indent=1), flush=True)
    print(f"mean {fmean(item['reward'] for item in found):.2f}, most {max(item['reward'] for item in found):.2f} of 3")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(
        json.dumps({"settings": {key: str(value) for key, value in vars(args).items()}, "found": found}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
