"""Which domains can a 135M model learn?

Base accuracy with 0, 1 and 3 worked examples, experts after warm-up, expert × domain.

    python benchmarks/domains.py base    --out DIR [--domains chain_sum,gcd@2] [--problems 200]
    python benchmarks/domains.py experts --out DIR [--domains …] [--steps 60] [--batch 8] [--matrix 100]
    python benchmarks/domains.py student --out DIR --domains a,b,c,d [--steps 10] [--batch 32] [--problems 64]
    python benchmarks/domains.py table   --out DIR

Each measurement is one JSON file in DIR, and what is already there is not measured again; `table` only reads and
prints Markdown. Accuracy is greedy on held-out test problems unless said otherwise; examples come from the train
split; intervals are Wilson's at 95 %. Experts learn worked solutions by supervised steps, all domains of a call in
one fused update; `student` is one adapter for all of them, asked 4 times at temperature 1 on validation problems,
unaided and with one worked example. `name@2` means level 2. Seconds are of CPU, one thread. Trained experts are kept
as PEFT folders in DIR/adapters and loaded again by a later call.
"""

import argparse
import json
import time
from pathlib import Path

from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import locate_model
from league.model.peft_io import export_peft, import_peft
from league.reporting.queries.estimates import proportion
from league.seeds import derive
from league.types import Hyper, Problem, Request, Sample, Sampling, Split, Version
from tasks.domains import DOMAINS, Domain, make_domain

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
SHOTS = (0, 1, 3)


def parse(names: str) -> dict[str, Domain]:
    """``chain_sum,gcd@2`` → domains by the name as given; empty: every domain at level 1."""
    chosen = names.split(",") if names else list(DOMAINS)
    return {name: make_domain(name.partition("@")[0], int(name.partition("@")[2] or 1)) for name in chosen}


def adapter(name: str) -> Version:
    """The expert of a domain given as ``gcd@2``."""
    return Version(f"{name.replace('@', '-')}-expert", 0)


class Lab:
    """The model, its adapters and what is asked of them."""

    def __init__(self, out: Path, learning_rate: float, rank: int):
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.base = BaseModel.load(locate_model(MODEL), threads=1)
        self.bank = AdapterBank(self.base)
        self.backend = LocalBackend(self.base, self.bank)
        self.learning_rate = learning_rate
        self.spec = LoraSpec(rank=rank, alpha=2.0 * rank)

    def measure(
        self,
        domain: Domain,
        version: Version | None,
        *,
        shots: int = 0,
        problems: int = 200,
        samples: int = 1,
        split: Split = "test",
    ) -> dict[str, object]:
        """Accuracy on the first `problems` of a split.

        Greedy for one sample, at temperature 1 for several.
        """
        temperature = 0.0 if samples == 1 else 1.0
        sampling = Sampling(temperature=temperature, max_tokens=domain.max_tokens)
        asked = [domain.problem(split, index) for index in range(domain.size_hint(split, problems))]
        requests = []
        for problem in asked:
            first = derive("examples", problem.key) % 200
            shown = [domain.problem("train", first + offset) for offset in range(shots)]
            prompt = domain.prompt(problem, [(example, domain.solution(example)) for example in shown])
            requests.append(Request(version, prompt, samples, sampling, derive("measure", problem.key)))
        start = time.process_time()
        replies = self.backend.generate(requests)
        marks = [[domain.correct(p, reply.text) for reply in group] for p, group in zip(asked, replies, strict=True)]
        flat = [reply for group in replies for reply in group]
        right = sum(map(sum, marks))
        share = proportion(right, len(flat))
        return {
            "right": right,
            "n": len(flat),
            "accuracy": share.value,
            "low": share.low,
            "high": share.high,
            "mixed_groups": sum(0 < sum(group) < len(group) for group in marks) / len(marks),
            "answered": sum(domain.extract(reply.text) is not None for reply in flat) / len(flat),
            "tokens": sum(len(reply.tokens) for reply in flat) / len(flat),
            "cpu_seconds": time.process_time() - start,
            "example": flat[0].text[:200],
        }

    def target(
        self, agent: str, domain: Domain, problem: Problem, *, work: bool = True, shots: int = 0, first: int = 0
    ) -> Sample:
        """A supervised sample: the worked solution or the bare answer line.

        It answers the unaided or the exampled prompt.
        """
        text = domain.solution(problem) if work else f"Answer: {problem.answer}"
        shown = [domain.problem("train", first + offset) for offset in range(shots)]
        prompt = self.base.encode(domain.prompt(problem, [(example, domain.solution(example)) for example in shown]))
        tokens = self.base.tokenizer(text, add_special_tokens=False)["input_ids"]
        return Sample(agent, prompt, (*tokens, self.base.tokenizer.eos_token_id), (), 1.0)

    def train(
        self, plan: dict[str, list[Domain]], steps: int, batch: int, *, start: int = 0, work: bool = True
    ) -> dict[str, float]:
        """`steps` fused updates.

        Each agent learns `batch` fresh train problems a step, shared out over its domains.
        """
        cpu, loss = time.process_time(), {}
        for step in range(start, start + steps):
            samples = []
            for agent, domains in plan.items():
                each = batch // len(domains)
                for domain in domains:
                    size = domain.size_hint("train", (step + 1) * each)
                    indices = [(step * each + offset) % size for offset in range(each)]
                    samples += [
                        self.target(agent, domain, domain.problem("train", index), work=work) for index in indices
                    ]
            hyper = {agent: Hyper(learning_rate=self.learning_rate) for agent in plan}
            reports = update(self.base, self.bank, samples, hyper, Objective(aggregation="token"))
            loss = {agent: report.loss for agent, report in reports.items()}
            print(
                f"step {step + 1}: loss {sum(loss.values()) / len(loss):.3f}, {time.process_time() - cpu:.0f} CPU-s",
                flush=True,
            )
        print(f"trained {steps} steps in {time.process_time() - cpu:.0f} CPU-s, loss {loss}", flush=True)
        return {"cpu_seconds": time.process_time() - cpu, **{f"loss_{agent}": value for agent, value in loss.items()}}

    def record(self, name: str, value: dict[str, object]) -> None:
        (self.out / f"{name}.json").write_text(json.dumps(value, indent=1))
        shown = {key: (round(item, 3) if isinstance(item, float) else item) for key, item in value.items()}
        print(name, shown, flush=True)

    def missing(self, name: str) -> bool:
        return not (self.out / f"{name}.json").exists()


def measure_base(lab: Lab, domains: dict[str, Domain], problems: int) -> None:
    for name, domain in domains.items():
        for shots in SHOTS:
            if lab.missing(f"base.{name}.{shots}"):
                lab.record(f"base.{name}.{shots}", lab.measure(domain, None, shots=shots, problems=problems))


def measure_experts(lab: Lab, domains: dict[str, Domain], args: argparse.Namespace) -> None:
    """Train one expert per domain in one fused pass; examine each on all domains.

    On its own domain first, then on the others'.
    """
    pairs = [(name, name) for name in domains] + [(one, other) for one in domains for other in domains if one != other]
    pairs = [
        (one, other) for one, other in pairs if lab.missing(f"expert.{one}.{other}") and (args.matrix or one == other)
    ]
    needed = {one for one, _ in pairs}
    kept = {name: args.out / "adapters" / adapter(name).agent for name in domains if name in needed}
    fresh = [name for name, folder in kept.items() if not folder.exists()]
    for name, folder in kept.items():
        if name in fresh:
            lab.bank.add(adapter(name), lab.spec, seed=derive("expert", name, args.seed), trainable=True)
        else:
            import_peft(lab.bank, adapter(name), folder, trainable=False)
    if fresh:
        cost = lab.train({adapter(name).agent: [domains[name]] for name in fresh}, args.steps, args.batch)
        about = {
            "steps": args.steps,
            "batch": args.batch,
            "experts": fresh,
            "seed": args.seed,
            "learning_rate": args.learning_rate,
        }
        lab.record(f"training.{len(fresh)}.{fresh[0]}", {**cost, **about})
        for name in fresh:
            export_peft(lab.bank, adapter(name), kept[name], MODEL)
    for one, other in pairs:
        problems = args.problems if one == other else args.matrix
        lab.record(f"expert.{one}.{other}", lab.measure(domains[other], adapter(one), problems=problems))


def measure_student(lab: Lab, domains: dict[str, Domain], args: argparse.Namespace) -> None:
    """One adapter for all domains after a short format warm-up.

    How right it is, how varied, and what one worked example adds.
    """
    student = Version("student", 0)
    lab.bank.add(student, lab.spec, seed=derive("student", args.seed), trainable=True)
    lab.train({"student": list(domains.values())}, args.steps, args.batch)
    for name, domain in domains.items():
        for shots in (0, 1):
            found = lab.measure(domain, student, shots=shots, problems=args.problems, samples=4, split="validation")
            lab.record(f"student.{args.steps}.{name}.{shots}", found)


def read(out: Path, name: str) -> dict[str, float] | None:
    path = out / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def cell(found: dict[str, float] | None, interval: bool = True) -> str:
    if found is None:
        return "–"
    text = f"{found['accuracy']:.2f}"
    return f"{text} ({found['low']:.2f}–{found['high']:.2f})" if interval else text


def header(*names: str) -> None:
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")


def constant(domain: Domain) -> float:
    """The share of the commonest answer over 200 test problems.

    A model that always says the same gets that much.
    """
    answers = [domain.problem("test", index).answer for index in range(domain.size_hint("test", 200))]
    return max(map(answers.count, answers)) / len(answers)


def table(out: Path, domains: dict[str, Domain]) -> None:
    """Markdown: accuracy by domain, expert × domain, the warmed student."""
    header(
        "domain",
        "field",
        "same answer always",
        "base, 0 examples",
        "1 example",
        "3 examples",
        "expert",
        "tokens",
        "CPU s",
    )
    shown = [name for name in domains if read(out, f"expert.{name}.{name}") or read(out, f"base.{name}.0")]
    for name in shown:
        domain, expert = domains[name], read(out, f"expert.{name}.{name}")
        bases = [read(out, f"base.{name}.{shots}") for shots in SHOTS]
        seconds = sum(found["cpu_seconds"] for found in (*bases, expert) if found)
        tokens = f"{expert['tokens']:.0f}" if expert else "–"
        cells = " | ".join(map(cell, (*bases, expert)))
        print(f"| {name} | {domain.field} | {constant(domain):.2f} | {cells} | {tokens} | {seconds:.0f} |")
    experts = [name for name in shown if read(out, f"expert.{name}.{name}")]
    header("expert of \\ asked", *experts)
    for one in experts:
        print(
            f"| {one} | "
            + " | ".join(cell(read(out, f"expert.{one}.{other}"), interval=False) for other in experts)
            + " |"
        )
    students = sorted(
        out.glob("student.*.json"), key=lambda path: (path.stem.split(".")[2], int(path.stem.split(".")[1]), path.stem)
    )
    if students:
        header("domain", "steps", "examples", "accuracy at T 1", "groups of 4 with both outcomes", "answered", "tokens")
    for path in students:
        _, steps, name, shots = path.stem.split(".")
        found = json.loads(path.read_text())
        rest = f"{found['mixed_groups']:.2f} | {found['answered']:.2f} | {found['tokens']:.0f}"
        print(f"| {name} | {steps} | {shots} | {cell(found)} | {rest} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("base", "experts", "student", "table"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--domains", default="", help="comma-separated, name or name@level; default: all at level 1")
    for name, default in (("problems", 200), ("steps", 60), ("batch", 8), ("matrix", 100), ("rank", 8), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    args = parser.parse_args()
    domains = parse(args.domains)
    if args.what == "table":
        return table(args.out, domains)
    lab = Lab(args.out, args.learning_rate, args.rank)
    if args.what == "base":
        measure_base(lab, domains, args.problems)
    elif args.what == "experts":
        measure_experts(lab, domains, args)
    else:
        measure_student(lab, domains, args)


if __name__ == "__main__":
    main()
