"""The engine against what people do today, on the real SmolLM2-135M: CPU-seconds, contenders interleaved, medians.

    python -m benchmarks.engine                                  # everything: about half an hour of one core
    python -m benchmarks.engine rollouts updates --repeats 5 --threads 2 --out runs/bench-engine-2.json
    python -m benchmarks.engine table plot --out runs/bench-engine.json

Contenders for rollouts: ours (fused), ours generic (any Hugging Face model), (a) transformers.generate agent by agent with the agent's
prompts batched and left-padded, (b) the same one row at a time, (c) PEFT mixed batches (adapter_names per row). All use the same
adapters, prompts, temperature 1 and a fixed number of new tokens (no early end), so a token is a token everywhere.
For updates: ours, ours generic, (a) the PEFT loop (per adapter one padded batch, full logits, backward, AdamW), (b) one forward and
backward per sequence with PEFT. To keep a turn short, loops over agents or rows whose cost per token cannot depend on how many there
are do some of them: SOME says how many. Peak memory is measured in a fresh process per number of agents (`memory`).
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.engine import engine_for
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.model.fused import FusedEngine
from league.model.generic import GenericEngine
from league.model.memory import give_back
from league.model.peft_io import export_peft
from league.types import Hyper, Message, Reply, Request, Sample, Sampling, Version

SOME = {"agents of (a)": 2, "rows of (b)": 1, "agents of the PEFT loop": 2, "agents of one forward per sequence": 1}
WORDS = "the cat sat on a mat while seven dogs ran over red hills to count small green apples and sing".split()


# ------------------------------------------------------------------------------------------------ set-up
def load(threads: int, agents: int = 8) -> tuple[BaseModel, AdapterBank]:
    base = BaseModel.load(locate_model(DEFAULT_MODEL), threads=threads)
    base.end_tokens = frozenset()  # fixed lengths
    bank = AdapterBank(base)
    for i in range(agents):
        version = Version(f"agent{i}", 0)
        bank.add(version, LoraSpec(), seed=i, trainable=True)
        noise = torch.randn(bank.slice(version).params.shape, generator=torch.Generator().manual_seed(i))
        bank.slice(version).params.add_(noise, alpha=0.002)
    return base, bank


def prompts_for(agents: int, count: int, low: int, high: int) -> list[tuple[Version, tuple[Message, ...]]]:
    """`count` distinct prompts, spread over the agents, of about low to high tokens."""
    rnd = random.Random(0)
    made = []
    for i in range(count):
        words = rnd.randint(max(1, low - 30), high - 30)
        made.append((Version(f"agent{i * agents // count}", 0), (Message("user", f"{i} " + " ".join(rnd.choices(WORDS, k=words))),)))
    return made


def peft_model(base: BaseModel, bank: AdapterBank, scratch: Path):
    """A PEFT model of its own with every adapter of the bank."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(locate_model(DEFAULT_MODEL), dtype=base.dtype)
    model = None
    for version in bank.versions():
        folder = scratch / version.agent
        export_peft(bank, version, folder, "smollm2")
        if model is None:
            model = PeftModel.from_pretrained(plain, str(folder), adapter_name=version.agent, is_trainable=True)
        else:
            model.load_adapter(str(folder), adapter_name=version.agent, is_trainable=True)
    return model.eval()


def padded(rows: list[tuple[int, ...]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids, mask = torch.full((len(rows), longest), 2), torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[i, where], mask[i, where] = torch.tensor(row), 1
    return ids, mask


def cpu(work: Callable[[], int]) -> float:
    """CPU-seconds per token of one run of `work`, which returns its number of tokens."""
    start = time.process_time()
    tokens = work()
    return (time.process_time() - start) / tokens


def interleaved(contenders: dict[str, Callable[[], int]], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name, work in contenders.items():
            times[name].append(cpu(work))
            print(f"  [{turn + 1}/{repeats}] {name}: {1 / times[name][-1]:.1f} tokens/s", flush=True)
    return times


def summary(times: dict[str, list[float]], ours: str) -> dict[str, dict[str, float]]:
    """tokens per CPU-second (median, low, high) and how many times cheaper `ours` is: median of the ratios within a turn."""
    found = {}
    for name, values in times.items():
        ratios = [value / mine for value, mine in zip(values, times[ours], strict=True)]
        found[name] = {
            "tokens_per_cpu_second": 1 / statistics.median(values),
            "low": 1 / max(values),
            "high": 1 / min(values),
            "ours_is_times_cheaper": statistics.median(ratios),
            "runs": len(values),
        }
    return found


# -------------------------------------------------------------------------------------------------- rollouts
def rollouts(args: argparse.Namespace) -> dict:
    import tempfile

    found = {}
    base, bank = load(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        peft = peft_model(base, bank, Path(scratch))
    fused, generic = LocalBackend(base, bank), LocalBackend(base, bank, engine=GenericEngine(bank))
    assert isinstance(fused.engine, FusedEngine)
    for rows in args.rows:
        samples = rows // 8
        asked = prompts_for(8, rows // samples, 64, 128)
        rollout = rollout_contenders(base, bank, peft, fused, generic, asked, samples, args.new_tokens)
        print(f"rollouts, {rows} rows = {rows // samples} prompts x {samples}, {args.new_tokens} new tokens")
        for name in ("ours", "generic"):
            rollout[name]()  # warm caches of oneDNN primitives
        times = interleaved(rollout, args.repeats)
        result = summary(times, "ours")
        limit = linear_limit(base, bank, rows, 5)
        result["limit"] = {"tokens_per_cpu_second": limit}
        result["ours"]["share_of_limit"] = result["ours"]["tokens_per_cpu_second"] / limit
        result["ours"]["share_of_limit_decoding_only"] = decode_only(base, bank, asked, samples, args.new_tokens, args.repeats) / limit
        found[str(rows)] = result | {"new_tokens": args.new_tokens, "samples_per_prompt": samples}
        save(args, "rollouts", found)
    return found


def rollout_contenders(base, bank, peft, fused, generic, asked, samples, new) -> dict[str, Callable[[], int]]:
    requests = [Request(v, m, samples, Sampling(max_tokens=new), seed=i) for i, (v, m) in enumerate(asked)]
    encoded = [(v, base.encode(m)) for v, m in asked]
    fixed = dict(max_new_tokens=new, min_new_tokens=new, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=2)

    def ours(backend: LocalBackend) -> int:
        return sum(len(reply.tokens) for replies in backend.generate(requests) for reply in replies)

    @torch.no_grad()
    def agent_by_agent() -> int:
        total = 0
        for version in bank.versions()[: SOME["agents of (a)"]]:
            own = [tokens for v, tokens in encoded if v == version]
            if own:
                peft.set_adapter(version.agent)
                ids, mask = padded([row for row in own for _ in range(samples)], left=True)
                total += peft.generate(input_ids=ids, attention_mask=mask, **fixed)[:, ids.shape[1] :].numel()
        return total

    @torch.no_grad()
    def one_at_a_time() -> int:
        total = 0
        for version, tokens in encoded[: SOME["rows of (b)"]]:
            peft.set_adapter(version.agent)
            total += peft.generate(input_ids=torch.tensor([tokens]), **fixed)[:, len(tokens) :].numel()
        return total

    @torch.no_grad()
    def mixed() -> int:
        ids, mask = padded([tokens for _, tokens in encoded for _ in range(samples)], left=True)
        names = [v.agent for v, _ in encoded for _ in range(samples)]
        return peft.generate(input_ids=ids, attention_mask=mask, adapter_names=names, **fixed)[:, ids.shape[1] :].numel()

    return {
        "ours": lambda: ours(fused),
        "generic": lambda: ours(generic),
        "a_generate_agent_by_agent": agent_by_agent,
        "b_one_row_at_a_time": one_at_a_time,
        "c_peft_mixed_batch": mixed,
    }


def linear_limit(base: BaseModel, bank: AdapterBank, rows: int, repeats: int) -> float:
    """Tokens per CPU-second if a step were its base matrix products alone, on the packed weights, at this number of rows."""
    engine = engine_for(bank)
    assert isinstance(engine, FusedEngine)
    first = engine.decoder.layers[0]
    inputs = {size: torch.randn(rows, size).to(base.dtype) for size in first.ins}
    hidden = inputs[first.ins[0]]

    def step() -> int:
        for layer in engine.decoder.layers:
            for group in range(4):
                layer.linears[group](inputs[layer.ins[group]])
        engine.decoder.head(hidden)
        return rows

    step()
    return 1 / statistics.median(cpu(step) for _ in range(repeats))


def decode_only(base, bank, asked, samples, new, repeats) -> float:
    """Tokens per CPU-second of decoding and sampling without prefill."""
    from league.model.generic import Prompt
    from league.model.sampling import Shape, draw

    engine, shape = engine_for(bank), Shape.of([Sampling()] * (len(asked) * samples), base.device)
    times = []
    for _ in range(repeats):
        session = engine.open([Prompt(v, base.encode(m), samples) for v, m in asked], new)

        def work(session=session) -> int:
            for _ in range(new - 1):
                tokens, _ = draw(session.logits, shape, torch.rand(len(asked) * samples, dtype=torch.float64))
                session.step(tokens)
            return (new - 1) * len(asked) * samples

        times.append(cpu(work))
    return 1 / statistics.median(times)


# ---------------------------------------------------------------------------------------------------- update
SHAPES = {
    "64x128": dict(rows=64, group=1, prompt=64, completion=64),
    "tree_8x16_on_112": dict(rows=64, group=8, prompt=112, completion=16),
}


def samples_for(base: BaseModel, shape: dict) -> list[Sample]:
    rnd = random.Random(1)
    made = []
    for i in range(shape["rows"] // shape["group"]):
        prompt = tuple(rnd.choices(range(10, 40_000), k=shape["prompt"]))
        agent = f"agent{i * 8 // (shape['rows'] // shape['group'])}"
        for j in range(shape["group"]):
            made.append(Sample(agent, prompt, tuple(rnd.choices(range(10, 40_000), k=shape["completion"])), (), (-1.0) ** j))
    return made


def updates(args: argparse.Namespace) -> dict:
    import tempfile

    found = {}
    base, bank = load(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        peft = peft_model(base, bank, Path(scratch))
    for name, shape in SHAPES.items():
        shape = {**shape, "rows": int(shape["rows"] * args.scale)}
        samples = samples_for(base, shape)
        contenders = update_contenders(base, bank, peft, samples)
        print(f"update {name}: {shape}")
        contenders["ours"]()
        found[name] = summary(interleaved(contenders, args.repeats), "ours") | {"shape": shape}
        save(args, "updates", found)
    return found


def update_contenders(base, bank, peft, samples) -> dict[str, Callable[[], int]]:
    hyper = {f"agent{i}": Hyper(1e-5) for i in range(8)}
    tokens = sum(len(s.prompt_tokens) + len(s.tokens) for s in samples)
    fused, generic = engine_for(bank), GenericEngine(bank) if bank.engine else None
    parameters = {v.agent: [p for n, p in peft.named_parameters() if f".{v.agent}." in n] for v in bank.versions()}
    optimizers = {agent: torch.optim.AdamW(values, lr=1e-5) for agent, values in parameters.items()}

    def ours(engine) -> int:
        bank.engine = engine
        update(base, bank, samples, hyper, Objective())
        bank.engine = fused
        return tokens

    def loss_of(batch: list[Sample]) -> torch.Tensor:
        ids, mask = padded([s.prompt_tokens + s.tokens for s in batch], left=False)
        logits = peft(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        logprobs = logits.log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
        total = logprobs.new_zeros(())
        for row, s in zip(logprobs, batch, strict=True):
            total = total - s.advantage * row[len(s.prompt_tokens) - 1 : len(s.prompt_tokens) + len(s.tokens) - 1].sum()
        return total / len(batch)

    def loop(batch_size: int, agents: int) -> int:
        seen = 0
        for agent in list(parameters)[:agents]:
            peft.set_adapter(agent)
            own = [s for s in samples if s.agent == agent]
            for at in range(0, len(own), batch_size):
                loss_of(own[at : at + batch_size]).backward()
            seen += sum(len(s.prompt_tokens) + len(s.tokens) for s in own)
            torch.nn.utils.clip_grad_norm_(parameters[agent], 1.0)
            optimizers[agent].step()
            optimizers[agent].zero_grad()
        return seen

    return {
        "ours": lambda: ours(fused),
        "generic": lambda: ours(generic),
        "a_peft_loop": lambda: loop(8, SOME["agents of the PEFT loop"]),
        "b_one_forward_per_sequence": lambda: loop(1, SOME["agents of one forward per sequence"]),
    }


# -------------------------------------------------------------------------------------------------- scaling
def scaling(args: argparse.Namespace) -> dict:
    """Cost per token at a constant number of rows with 1, 4, 16, 64 agents: 64 rows of 16 new tokens, and updates of 64 × 64 tokens."""
    base, bank = load(args.threads, agents=64)
    backend, found = LocalBackend(base, bank), {}
    rollouts, updates = {}, {}
    hyper = {f"agent{i}": Hyper(1e-5) for i in range(64)}
    made = samples_for(base, dict(rows=64, group=1, prompt=32, completion=32))
    for agents in (1, 4, 16, 64):
        asked = prompts_for(agents, 64, 64, 72)
        requests = [Request(v, m, 1, Sampling(max_tokens=16), seed=i) for i, (v, m) in enumerate(asked)]
        samples = [Sample(f"agent{i % agents}", s.prompt_tokens, s.tokens, (), 1.0) for i, s in enumerate(made)]
        rollouts[str(agents)] = lambda r=requests: sum(len(x.tokens) for replies in backend.generate(r) for x in replies)
        updates[str(agents)] = lambda s=samples: update(base, bank, s, hyper, Objective()) and 64 * 64
    rollouts["1"]()
    for name, work in (("rollout_64x16", rollouts), ("update_64x64", updates)):
        found[name] = summary(interleaved(work, args.repeats), "1")
        save(args, "scaling", found)
    return found


def turns(args: argparse.Namespace) -> dict:
    """A second turn with and without the keys and values of the first: 8 agents, 32 rows, replies of 64 tokens, 16 new ones after them."""
    base, bank = load(args.threads)
    backend = LocalBackend(base, bank)
    first = [Request(v, m, 4, Sampling(max_tokens=64), seed=i) for i, (v, m) in enumerate(prompts_for(8, 8, 64, 128))]
    times: dict[str, list[float]] = {"kept": [], "computed again": []}
    reused = []
    for _ in range(args.repeats):
        with backend.remembering():
            replies = backend.generate(first)
            second = [
                Request(
                    r.version, (*r.messages, Message("assistant", reply.text), Message("user", "Go on.")), 1, Sampling(max_tokens=16), 7
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
    """Peak resident memory (GB) of a rollout and an update with default settings, by number of agents, each in a fresh process."""
    found = {}
    for agents in (2, 8, 16, 64):
        command = [sys.executable, "-m", "benchmarks.engine", "peak", "--agents", str(agents), "--threads", str(args.threads)]
        found[str(agents)] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(agents, found[str(agents)], flush=True)
    return found


def peak(args: argparse.Namespace) -> dict:
    def resident() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

    base, bank = load(args.threads, agents=args.agents)
    loaded = resident()
    asked = prompts_for(args.agents, 64, 64, 128)
    replies: list[tuple[Reply, ...]] = LocalBackend(base, bank).generate(
        [Request(v, m, 1, Sampling(max_tokens=16), seed=i) for i, (v, m) in enumerate(asked)]
    )
    rolled = resident()
    give_back()  # as a round does between its phases
    samples = [Sample(v.agent, r.prompt_tokens, r.tokens, (), 1.0) for (v, _), (r,) in zip(asked, replies, strict=True)]
    update(base, bank, samples, {s.agent: Hyper(1e-5) for s in samples}, Objective())
    result = {"loaded": loaded, "after_rollout": rolled, "after_update": resident()}
    print(json.dumps(result))
    return result


# ------------------------------------------------------------------------------------------------- roofline
def roofline(args: argparse.Namespace) -> dict:
    """The machine: best matrix rate and read bandwidth of this many threads, and the ideal step they imply.

    ideal tokens/s at R rows = R / max(2 · P · R / rate, bytes(P) / bandwidth), P the parameters a token multiplies with.
    """
    torch.set_num_threads(args.threads)
    x, w = torch.randn(2048, 1536).bfloat16(), torch.randn(576, 1536).bfloat16()
    flops = 2 * 2048 * 1536 * 576
    rate = flops / statistics.median(cpu(lambda: (torch.nn.functional.linear(x, w), 1)[1]) for _ in range(30))
    big = torch.ones(64 << 20, dtype=torch.float32)
    bandwidth = big.numel() * 4 / statistics.median(cpu(lambda: (big.sum(), 1)[1]) for _ in range(7))
    parameters = 134_515_008
    ideal = {rows: rows / max(2 * parameters * rows / rate, 2 * parameters / bandwidth) for rows in (8, 32, 64)}
    found = {"gflops": rate / 1e9, "read_gb_per_s": bandwidth / 1e9, "ideal_tokens_per_s": ideal}
    print(json.dumps(found))
    return found


# ---------------------------------------------------------------------------------------------- table and plot
def table(args: argparse.Namespace) -> None:
    """Everything that was timed, as Markdown."""
    for part, groups in json.loads(args.out.read_text()).items():
        for group, values in groups.items():
            rows = {name: v for name, v in values.items() if isinstance(v, dict) and "runs" in v} if isinstance(values, dict) else {}
            if not rows:
                print(f"\n{part} {group}: {json.dumps(values)}")
                continue
            print(
                f"\n{part} {group}\n\n| contender | tokens per CPU-second | lowest–highest | ours is cheaper | runs |\n|---|---|---|---|---|"
            )
            for name, v in rows.items():
                span = f"{v['low']:.1f}–{v['high']:.1f}"
                print(f"| {name} | {v['tokens_per_cpu_second']:.1f} | {span} | {v['ours_is_times_cheaper']:.2f}× | {v['runs']} |")


def plot(args: argparse.Namespace) -> None:
    from matplotlib.figure import Figure

    results = json.loads(args.out.read_text())
    figure = Figure(figsize=(9, 3.6), dpi=110)
    left, right = figure.subplots(1, 2)
    for axis, part, title in ((left, "rollouts", "Rollouts, 8 agents"), (right, "updates", "Update, 8 agents")):
        groups = {k: {n: v for n, v in g.items() if isinstance(v, dict) and "runs" in v} for k, g in results.get(part, {}).items()}
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


def save(args: argparse.Namespace, part: str, result: dict) -> None:
    """Add what is known so far to the results file: an interrupted benchmark keeps its finished rows."""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(args.out.read_text()) if args.out.is_file() else {}
    args.out.write_text(json.dumps({**before, part: {**before.get(part, {}), **result}}, indent=1) + "\n")


PARTS = {"roofline": roofline, "rollouts": rollouts, "updates": updates, "scaling": scaling, "turns": turns, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[*PARTS, "table", "plot"], help=", ".join([*PARTS, "table", "plot", "peak"]))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 64], help="rows of a rollout, a multiple of 8")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the update's rows (0.5: half as many)")
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-engine.json"))
    args = parser.parse_args()
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
