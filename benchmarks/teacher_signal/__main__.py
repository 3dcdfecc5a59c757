"""How much does a teacher's reward know about an explanation? Reliability, truth and cost of each reward.

    python -m benchmarks.teacher_signal measure RUN --out FILE.json [--domains a,b,c] [--problems 3] [--wordings 5]
    python -m benchmarks.teacher_signal page FILE.json --out FILE.md

RUN is a run folder with an expert for each domain and a student. For every one of its solved problems an expert
explains `--wordings` times, all different (temperature 1; where 16 samples hold too few, 16 more at 1.5, then at 2).
The student is asked `--asked` training problems and `--held` validation problems after each explanation, 4 times at
temperature 0.6. Two more explanations show what a reward pays for: one of another problem (shuffled), and none but the
answer (empty). They meet the training problems only, and are in no variance and no correlation.

The figures and the page: benchmarks/teacher_signal/page.py.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.teacher_signal.page import KINDS, K, page
from league.backends.local import LocalBackend
from league.backends.router import RouterBackend
from league.learning.accounting import prefix_tokens
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.fetch import locate_model
from league.rollouts import make_match, play
from league.rollouts.readings import read_likelihoods
from league.runtime.assembly import read_config
from league.runtime.checkpoint import load_adapter
from league.seeds import derive
from league.store.reader import RunReader
from league.types import Episode, Message, Reply, Request, Sampling, Split
from tasks.domains import Domain, make_domain
from tasks.teacher_reward import accuracy_gains, answers, expected_right, solution_gains
from tasks.teaching import STUDENT, TEACHER, Teaching, explain_prompt

TEMPERATURES = (1.0, 1.5, 2.0)


class Spoken:
    """A teacher that says what it has said before."""

    def __init__(self) -> None:
        self.said: dict[tuple[Message, ...], list[str]] = {}

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...]]:
        return [tuple(Reply(text, "end") for text in self.said[request.messages]) for request in requests]


class Lab:
    """A run's student and experts, and what the student makes of their explanations."""

    def __init__(self, run: Path, student: str):
        config = read_config(run)
        self.seed = config.seed
        self.domains = {
            name: make_domain(d.kind, d.level, d.settings, seed=config.seed, alias=name)
            for name, d in config.domains.items()
        }
        self.teachers = {agent.domain: name for name, agent in config.agents.items() if agent.can.specialist}
        self.bank = AdapterBank(
            BaseModel.load(locate_model(config.model.name), dtype=config.model.dtype, threads=1, device="cpu")
        )
        with RunReader.read(run) as reader:
            self.live = reader.live()
            for version in self.live.values():
                load_adapter(reader, self.bank, reader.version_row(version), trainable=False)
        self.student = self.live[student]
        self.local = LocalBackend(self.bank.base, self.bank)
        self.distinct: list[int] = []
        """Different wordings among the first 16 of each solved problem."""

    def explain(self, domain: str, solved: Sequence[Any], wordings: int, tokens: int) -> list[list[str]]:
        """The expert's wordings for each solved problem, then a shuffled one and an empty one."""
        teacher, rules = self.live[self.teachers[domain]], self.domains[domain]
        found: list[dict[str, float]] = [{} for _ in solved]
        for temperature in TEMPERATURES:
            lacking = [place for place, texts in enumerate(found) if len(texts) < wordings]
            sampling = Sampling(temperature=temperature, max_tokens=tokens)
            requests = [
                Request(
                    teacher,
                    explain_prompt(rules, solved[place]),
                    16,
                    sampling,
                    derive(self.seed, "wordings", solved[place].key, str(temperature)),
                )
                for place in lacking
            ]
            for place, replies in zip(lacking, self.local.generate(requests) if requests else (), strict=True):
                found[place] = dict.fromkeys((reply.text for reply in replies), temperature) | found[place]
        for texts in found:
            self.distinct.append(sum(temperature == TEMPERATURES[0] for temperature in texts.values()))
        own = [sorted(texts, key=texts.__getitem__)[:wordings] for texts in found]
        assert all(len(texts) == wordings for texts in own), (
            f"{domain}: an expert repeats itself; ask for fewer wordings"
        )
        return [[*texts, own[place - 1][0], ""] for place, texts in enumerate(own)]

    def play(self, task: Teaching, domain: str, split: Split, plan: Sequence[tuple[Any, list[str]]]) -> list[Episode]:
        """One match for each (solved problem, explanations); the student's problems are of the split."""
        teacher, spoken, matches = self.live[self.teachers[domain]], Spoken(), []
        for place, (shown, texts) in enumerate(plan):
            spoken.said[explain_prompt(self.domains[domain], shown)] = texts
            problems = task.problems(split, 30 + place, domain)
            matches.append(
                make_match(
                    task.name,
                    at=(0, split, domain, place),
                    seats={TEACHER: teacher, STUDENT: self.student},
                    problems=(shown, *problems[1:]),
                    seed=derive(self.seed, "signal", split, domain, place),
                )
            )
        return play(matches, {task.name: task}, RouterBackend(self.local, {teacher.agent: spoken}))


# --------------------------------------------------------------------------------------------------- measurement
def measure(args: argparse.Namespace) -> None:
    """Every reward of every explanation and problem; written after each domain."""
    lab, began = Lab(args.run, args.student), time.process_time()
    tables: list[dict[str, Any]] = []
    spent = {kind: {"sampled": 0, "scored": 0, "computed": 0} for kind in KINDS}
    for domain in args.domains.split(","):
        rules = lab.domains[domain]
        training = Teaching(
            "teaching", {domain: rules}, explanations=args.wordings + 2, similar=args.asked, answers=K, temperature=0.6
        )
        held = replace(training, similar=args.held, explanations=args.wordings)
        solved = [training.problems("train", 30 + place, domain)[0] for place in range(args.problems)]
        plan = list(zip(solved, lab.explain(domain, solved, args.wordings, args.tokens), strict=True))
        asked = lab.play(training, domain, "train", plan)
        for kind in ("expected_accuracy", "likelihood"):
            task = replace(training, teacher_reward=kind)
            read = read_likelihoods([(episode, task.readings(episode)) for episode in asked], lab.bank, {})
            for rows in read.values():
                spent[kind]["scored"] += sum(len(completion) for _, completion in rows)
                spent[kind]["computed"] += prefix_tokens(prompt + completion for prompt, completion in rows)
        for kind in ("accuracy", "expected_accuracy"):
            spent[kind]["sampled"] += sum(_tokens(episode) for episode in asked)
        own = [(shown, texts[: args.wordings]) for shown, texts in plan]
        for (shown, texts), one, two in zip(plan, asked, lab.play(held, domain, "validation", own), strict=True):
            found = _tables(training, rules, one) | {"held": _table(two, accuracy_gains(two, _right(held, rules, two)))}
            tables.append({"domain": domain, "problem": shown.key, "explanations": texts, **found})
        args.out.write_text(
            json.dumps(_result(args, began, spent, tables) | {"distinct": lab.distinct}, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )
        print(f"{domain}: {time.process_time() - began:.0f} CPU-seconds so far", flush=True)


def _result(
    args: argparse.Namespace, began: float, spent: Mapping[str, Mapping[str, int]], tables: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    cells = len(tables) * (args.wordings + 2) * args.asked
    return {
        "command": "python -m benchmarks.teacher_signal measure RUN --out FILE.json"
        f" --domains {args.domains} --problems {args.problems} --wordings {args.wordings} --asked {args.asked}"
        f" --held {args.held} --tokens {args.tokens} --student {args.student}",
        "wordings": args.wordings,
        "cpu_seconds": round(time.process_time() - began),
        "tokens_per_cell": {kind: {n: round(v / cells, 1) for n, v in each.items()} for kind, each in spent.items()},
        "tables": tables,
    }


def _tables(task: Teaching, rules: Domain, episode: Episode) -> dict[str, Any]:
    """kind → gains [wording][problem]; "redrawn/KIND" → mean variance between samples of a cell."""
    right, expected = _right(task, rules, episode), expected_right(episode, STUDENT)
    likely = solution_gains(episode, rules, TEACHER, copied_words=task.copied_words, cap=task.gain_cap)
    return {
        "accuracy": _table(episode, accuracy_gains(episode, right)),
        "expected_accuracy": _table(episode, accuracy_gains(episode, expected)),
        "likelihood": _table(episode, likely),
        "redrawn/accuracy": _within(episode, right),
        "redrawn/expected_accuracy": _within(episode, expected),
        "redrawn/likelihood": 0.0,
        "control": float(np.mean([right[n.id] for d in episode.roots if d.turn.tag == "control" for n in d.nodes])),
    }


def _right(task: Teaching, rules: Domain, episode: Episode) -> dict[int, float]:
    return {
        node.id: float(rules.correct(episode.match.problems[decision.turn.about or 0], decision.texts(node)[STUDENT]))
        for decision in answers(episode)
        for node in decision.nodes
    }


def _table(episode: Episode, gains: Mapping[tuple[int, int], float]) -> list[list[float]]:
    (explain,) = (root for root in episode.roots if root.turn.tag == "explain")
    count = len(episode.match.problems) - 2  # the first is explained, the last serves the shuffled arm of evaluation
    return [[round(gains[node.id, about], 5) for about in range(1, count + 1)] for node in explain.nodes]


def _within(episode: Episode, worth: Mapping[int, float]) -> float:
    """Mean variance of one sample in a cell of taught answers to the expert's own wordings."""
    (explain,) = (root for root in episode.roots if root.turn.tag == "explain")
    own = explain.nodes[:-2]
    cells = [[worth[n.id] for n in decision.nodes] for node in own for decision in node.next]
    return float(np.mean([np.var(cell, ddof=1) for cell in cells]))


def _tokens(episode: Episode) -> int:
    return sum(len(r.tokens) for d in answers(episode) for r in d.replies[STUDENT])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("measure")
    one.add_argument("run", type=Path)
    one.add_argument("--domains", default="sums,siblings,texts")
    one.add_argument("--student", default="student")
    for name, value in {"problems": 3, "wordings": 5, "asked": 6, "held": 8, "tokens": 48}.items():
        one.add_argument(f"--{name}", type=int, default=value)
    two = actions.add_parser("page")
    two.add_argument("result", type=Path)
    for each in (one, two):
        each.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.action == "measure":
        measure(args)
    else:
        args.out.write_text(page(json.loads(args.result.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
