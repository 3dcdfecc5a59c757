"""The engine against what people do today, on the real SmolLM2-135M.

CPU-seconds, contenders interleaved, medians.

    python -m benchmarks.engine                                  # everything: about half an hour of one core
    python -m benchmarks.engine rollouts updates --repeats 5 --threads 2 --out runs/bench-engine-2.json
    python -m benchmarks.engine table plot --out runs/bench-engine.json

Contenders for rollouts: ours (fused), ours generic (any Hugging Face model), (a) transformers.generate agent by agent
with the agent's prompts batched and left-padded, (b) the same one row at a time, (c) PEFT mixed batches
(adapter_names per row). All use the same adapters, prompts, temperature 1 and a fixed number of new tokens (no early
end), so a token is a token everywhere. For updates: ours, ours generic, (a) the PEFT loop (per adapter one padded
batch, full logits, backward, AdamW), (b) one forward and backward per sequence with PEFT. To keep a turn short, loops
over agents or rows whose cost per token cannot depend on how many there are do some of them (SOME in
contenders.py). Peak memory is measured in a fresh process per number of agents (`memory`).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.engine.contenders import rollouts, updates
from benchmarks.engine.setup import cpu, interleaved, load, prompts_for, samples_for, save, summary
from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.base import pick_dtype
from league.model.fetch import DEFAULT_MODEL
from league.model.memory import release_freed_memory
from league.types import Hyper, Message, Reply, Request, Sample, Sampling


# -------------------------------------------------------------------------------------------------- scaling
def scaling(args: argparse.Namespace) -> dict:
    """Cost per token at a constant number of rows with 1, 4, 16, 64 agents.

    64 rows of 16 new tokens, and updates of 64 × 64 tokens.
    """
    base, bank = load(args, agents=64)
    backend, found = LocalBackend(base, bank), {}
    rollouts, updates = {}, {}
    hyper = {f"agent{i}": Hyper(1e-5) for i in range(64)}
    made = samples_for(base, dict(rows=64, group=1, prompt=32, completion=32))
    for agents in (1, 4, 16, 64):
        asked = prompts_for(agents, 64, 64, 72)
        unlike = [
            (v, (Message("system", m[0].content), Message("user", "Go on."))) for v, m in asked
        ]  # no beginning to share
        requests = [Request(v, m, 1, Sampling(max_tokens=16), seed=i) for i, (v, m) in enumerate(unlike)]
        samples = [Sample(f"agent{i % agents}", s.prompt_tokens, s.tokens, (), 1.0) for i, s in enumerate(made)]
        rollouts[str(agents)] = lambda r=requests: sum(
            len(x.tokens) for replies in backend.generate(r) for x in replies
        )
        updates[str(agents)] = lambda s=samples: update(base, bank, s, hyper, Objective()) and 64 * 64
    rollouts["1"]()
    for name, work in (("rollout_64x16", rollouts), ("update_64x64", updates)):
        found[name] = summary(interleaved(work, args.repeats), "1")
        save(args, "scaling", found)
    return found


def turns(args: argparse.Namespace) -> dict:
    """A second turn with and without the keys and values of the first.

    8 agents, 32 rows, replies of 64 tokens, 16 new ones after them.
    """
    base, bank = load(args)
    backend = LocalBackend(base, bank)
    first = [Request(v, m, 4, Sampling(max_tokens=64), seed=i) for i, (v, m) in enumerate(prompts_for(8, 8, 64, 128))]
    times: dict[str, list[float]] = {"kept": [], "computed again": []}
    reused = []
    for _ in range(args.repeats):
        with backend.prefix_caching():
            replies = backend.generate(first)
            second = [
                Request(
                    r.version,
                    (*r.messages, Message("assistant", reply.text), Message("user", "Go on.")),
                    1,
                    Sampling(max_tokens=16),
                    7,
                )
                for r, group in zip(first, replies, strict=True)
                for reply in group
            ]
            before = backend.stats.reused_tokens
            times["kept"].append(cpu(lambda s=second: sum(len(r.tokens) for (r,) in backend.generate(s))))
            reused.append(backend.stats.reused_tokens - before)
        times["computed again"].append(cpu(lambda s=second: sum(len(r.tokens) for (r,) in backend.generate(s))))
    return {"second_turn": summary(times, "kept") | {"reused_tokens": statistics.median(reused)}}


def memory(args: argparse.Namespace) -> dict:
    """Peak resident memory (GB) of a rollout and an update, by number of agents.

    With default settings, each number in a fresh process.
    """
    found = {}
    for agents in (2, 8, 16, 64):
        command = [
            sys.executable,
            "-m",
            "benchmarks.engine",
            "peak",
            "--agents",
            str(agents),
            "--threads",
            str(args.threads),
        ]
        command += ["--model", args.model]
        found[str(agents)] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        )
        print(agents, found[str(agents)], flush=True)
    return found


def peak(args: argparse.Namespace) -> dict:
    def resident() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

    base, bank = load(args, agents=args.agents)
    result = {"loaded": resident()}
    asked = prompts_for(args.agents, 64, 64, 128)
    for turn in range(3):
        replies: list[tuple[Reply, ...]] = LocalBackend(base, bank).generate(
            [Request(v, m, 1, Sampling(max_tokens=16), seed=turn * len(asked) + i) for i, (v, m) in enumerate(asked)]
        )
        result.setdefault("after_rollout", resident())
        release_freed_memory()  # as a round does between its phases
        samples = [
            Sample(v.agent, r.prompt_tokens, r.tokens, (), 1.0) for (v, _), (r,) in zip(asked, replies, strict=True)
        ]
        update(base, bank, samples, {s.agent: Hyper(1e-5) for s in samples}, Objective())
        result.setdefault("after_update", resident())
        release_freed_memory()
    result["third_round"] = resident()
    print(json.dumps(result))
    return result


# ------------------------------------------------------------------------------------------------- roofline
def roofline(args: argparse.Namespace) -> dict:
    """The machine: its best matrix rate and read bandwidth, and the ideal step they imply.

    With this many threads, and in the dtype in which the engine runs on this processor: bf16 where it multiplies
    bf16, else fp32 (a processor without such instructions multiplies bf16 at a fifth of its rate).

    ideal tokens/s at R rows = R / max(2 · P · R / rate, bytes(P) / bandwidth), P the parameters a token multiplies
    with. Both are the best of some tries, because nothing may lie above an ideal.
    """
    torch.set_num_threads(args.threads)
    dtype = pick_dtype(torch.device("cpu"))
    x, w = torch.randn(2048, 1536).to(dtype), torch.randn(576, 1536).to(dtype)
    flops = 2 * 2048 * 1536 * 576
    rate = flops / min(cpu(lambda: (torch.nn.functional.linear(x, w), 1)[1]) for _ in range(30))
    big = torch.ones(64 << 20, dtype=torch.float32)
    bandwidth = big.numel() * 4 / min(cpu(lambda: (big.sum(), 1)[1]) for _ in range(7))
    parameters = 134_515_008
    read = parameters * dtype.itemsize
    ideal = {rows: rows / max(2 * parameters * rows / rate, read / bandwidth) for rows in (8, 32, 64)}
    found = {
        "dtype": str(dtype).removeprefix("torch."),
        "gflops": rate / 1e9,
        "read_gb_per_s": bandwidth / 1e9,
        "ideal_tokens_per_s": ideal,
    }
    print(json.dumps(found))
    return found


# ---------------------------------------------------------------------------------------------- table and plot
def table(args: argparse.Namespace) -> None:
    """Everything that was timed, as Markdown."""
    for part, groups in json.loads(args.out.read_text()).items():
        for group, values in groups.items():
            rows = (
                {name: v for name, v in values.items() if isinstance(v, dict) and "runs" in v}
                if isinstance(values, dict)
                else {}
            )
            if not rows:
                print(f"\n{part} {group}: {json.dumps(values)}")
                continue
            print(
                f"\n{part} {group}\n\n"
                "| contender | tokens per CPU-second | lowest–highest | ours is cheaper | runs |\n|---|---|---|---|---|"
            )
            for name, v in rows.items():
                span = f"{v['low']:.1f}–{v['high']:.1f}"
                print(
                    f"| {name} | {v['tokens_per_cpu_second']:.1f} | {span} | "
                    f"{v['ours_is_times_cheaper']:.2f}× | {v['runs']} |"
                )


def plot(args: argparse.Namespace) -> None:
    from matplotlib.figure import Figure

    results = json.loads(args.out.read_text())
    figure = Figure(figsize=(9, 3.6), dpi=110)
    left, right = figure.subplots(1, 2)
    for axis, part, title in ((left, "rollouts", "Rollouts"), (right, "updates", "Updates")):
        groups = {
            k: {n: v for n, v in g.items() if isinstance(v, dict) and "runs" in v}
            for k, g in results.get(part, {}).items()
        }
        names = list(next(iter(groups.values()), {}))
        for index, (group, values) in enumerate(groups.items()):
            height = 0.8 / len(groups)
            spots = [i + index * height for i in range(len(names))]
            axis.barh(spots, [values[n]["tokens_per_cpu_second"] for n in names], height, label=group)
        axis.set_yticks([i + 0.2 for i in range(len(names))], [n.replace("_", " ") for n in names], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("tokens per CPU-second, one thread", fontsize=9)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(args.out.with_suffix(".png"))


PARTS = {
    "roofline": roofline,
    "rollouts": rollouts,
    "updates": updates,
    "scaling": scaling,
    "turns": turns,
    "memory": memory,
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", default=[*PARTS, "table", "plot"], help=", ".join([*PARTS, "table", "plot", "peak"])
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 64], help="rows of a rollout, a multiple of 8")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the update's rows (0.5: half as many)")
    parser.add_argument("--without", nargs="+", default=[], help="contenders to leave out")
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-engine.json"))
    args = parser.parse_args(argv)
    actions = {"peak": peak, "table": table, "plot": plot}
    unknown = [part for part in args.parts if part not in PARTS and part not in actions]
    if unknown:
        parser.error(f"unknown parts {unknown}: expected some of {[*PARTS, *actions]}")
    for part in args.parts:
        if part in actions:
            actions[part](args)
        else:
            save(args, part, PARTS[part](args))


if __name__ == "__main__":
    main()
