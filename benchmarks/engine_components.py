"""The engine's table on a busy machine: prefill and one decoding step are measured apart, in small pieces, and rollouts are composed.

    python benchmarks/engine_components.py --repeats 5 --out runs/bench-components.json

cost of a rollout = prefill + new tokens × step. A token of a fixed-length rollout costs that wherever the pieces come from, so the
composed figure differs from a whole run (benchmarks/engine.py) only by per-call overhead and by the growth of the step with length, both
small against the matrix products; steps are taken in the middle of a 64-token reply. CPU-seconds, one thread, contenders interleaved within
every turn; ratios are medians of within-turn ratios.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.engine import linear_limit, load, padded, peft_model, prompts_for
from league.learning.objective import Objective
from league.learning.update import update
from league.model.engine import engine_for
from league.model.generic import GenericEngine, Prompt
from league.model.sampling import Shape, draw
from league.types import Hyper, Sample, Sampling

MIDDLE = 32


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def our_rollout(engine, prompts: list[Prompt], steps: int) -> dict[str, float]:
    """Prefill (with the first draw) and one step with its draw, at the middle of the reply."""
    rows = sum(p.copies for p in prompts)
    shape, session = Shape.of([Sampling()] * rows, torch.device("cpu")), None

    def prefill() -> None:
        nonlocal session
        session = engine.open(prompts, 64)

    def step() -> None:
        assert session is not None
        tokens, _ = draw(session.logits, shape, torch.rand(rows, dtype=torch.float64))
        session.step(tokens)

    first = seconds(prefill)
    if hasattr(session, "own"):  # jump to the middle: zeros are as dear to multiply as anything else
        session.own = torch.zeros((*session.own.shape[:4], 2 * MIDDLE, session.own.shape[5]), dtype=session.own.dtype)
        session.used = MIDDLE
    return {"prefill": first, "step": sum(seconds(step) for _ in range(steps)) / steps, "rows": rows}


def hf_rollout(model, rows: list[tuple[int, ...]], steps: int, names: list[str] | None) -> dict[str, float]:
    """The same through a Hugging Face forward with its dynamic cache and torch.multinomial, as `generate` does per step."""
    from transformers import DynamicCache

    ids, mask = padded(rows, left=True)
    extra = {} if names is None else {"adapter_names": names}
    cache = DynamicCache(config=model.config)
    positions = (mask.cumsum(1) - 1).clamp_(min=0)
    state = {"mask": mask, "logits": torch.zeros(len(rows), 49152)}

    def forward(ids: torch.Tensor, positions: torch.Tensor) -> None:
        out = model(input_ids=ids, attention_mask=state["mask"], position_ids=positions, past_key_values=cache, logits_to_keep=1, **extra)
        state["logits"] = out.logits[:, -1]

    def step() -> None:
        tokens = torch.multinomial(state["logits"].float().softmax(1), 1)
        state["mask"] = torch.cat([state["mask"], state["mask"].new_ones(len(rows), 1)], 1)
        forward(tokens, state["mask"].sum(1, keepdim=True) - 1)

    with torch.no_grad():
        first = seconds(lambda: forward(ids, positions))
        return {"prefill": first, "step": sum(seconds(step) for _ in range(steps)) / steps, "rows": len(rows)}


def rollouts(args, base, bank, peft) -> dict[str, list[dict[str, float]]]:
    asked = [(v, base.encode(m)) for v, m in prompts_for(8, 8, 64, 128)]
    prompts = [Prompt(v, tokens, 8) for v, tokens in asked]
    fused, generic = engine_for(bank), GenericEngine(bank)
    found: dict[str, list[dict[str, float]]] = {}
    our_rollout(fused, prompts, 1)
    for turn in range(args.repeats):
        version, tokens = asked[turn % 8]
        pieces: dict[str, Callable[[], dict[str, float]]] = {
            "ours_64": lambda: our_rollout(fused, prompts, 3),
            "ours_32": lambda: our_rollout(fused, [Prompt(p.version, p.tokens, 4) for p in prompts], 3),
            "generic_64": lambda: our_rollout(generic, prompts, 2),
            "a_8_rows_of_one_agent": lambda v=version, t=tokens: (peft.set_adapter(v.agent), hf_rollout(peft, [t] * 8, 3, None))[1],
            "a_4_rows_of_one_agent": lambda v=version, t=tokens: (peft.set_adapter(v.agent), hf_rollout(peft, [t] * 4, 3, None))[1],
            "b_one_row": lambda v=version, t=tokens: (peft.set_adapter(v.agent), hf_rollout(peft, [t], 3, None))[1],
            "c_mixed_64": lambda: hf_rollout(
                peft, [t for _, t in asked for _ in range(8)], 2, [v.agent for v, _ in asked for _ in range(8)]
            ),
        }
        for name, work in pieces.items():
            found.setdefault(name, []).append(work())
            print(turn, name, found[name][-1], flush=True)
        save(args, {"rollouts": found})
    return found


def updates(args, base, bank, peft) -> dict[str, list[dict[str, float]]]:
    hyper = {f"agent{i}": Hyper(1e-5) for i in range(8)}
    stream = torch.Generator().manual_seed(0)

    def tokens(n: int) -> tuple[int, ...]:
        return tuple(torch.randint(10, 40_000, (n,), generator=stream).tolist())

    whole = [Sample(f"agent{i}", tokens(64), tokens(64), (), 1.0) for i in range(8)]
    prompt = tokens(112)
    tree = [Sample("agent0", prompt, tokens(16), (), (-1.0) ** i) for i in range(8)]
    update(base, bank, tree, hyper, Objective())
    found: dict[str, list[dict[str, float]]] = {}
    for turn in range(args.repeats):
        pieces = {
            "ours_8x128_8_agents": lambda: update(base, bank, whole, hyper, Objective()),
            "ours_tree_8x16_on_112": lambda: update(base, bank, tree, hyper, Objective()),
            "peft_8x128": lambda: peft_update(peft, whole),
            "peft_8x16_on_112": lambda: peft_update(peft, tree),
            "peft_one_row_128": lambda: peft_update(peft, whole[:1]),
        }
        for name, work in pieces.items():
            rows = 1 if "one_row" in name else 8
            found.setdefault(name, []).append({"seconds": seconds(work), "tokens": rows * 128})
            print(turn, name, found[name][-1], flush=True)
        save(args, {"updates": found})
    return found


def peft_update(peft, batch: list[Sample]) -> None:
    """One adapter's batch with full logits, backward and AdamW: what a per-agent loop does."""
    peft.set_adapter("agent0")
    ids, mask = padded([s.prompt_tokens + s.tokens for s in batch], left=False)
    logprobs = peft(input_ids=ids, attention_mask=mask).logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
    loss = torch.stack([-s.advantage * row[len(s.prompt_tokens) - 1 :].sum() for row, s in zip(logprobs, batch, strict=True)]).mean()
    loss.backward()
    parameters = [p for n, p in peft.named_parameters() if ".agent0." in n]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    torch.optim.AdamW(parameters, lr=1e-5).step()
    peft.zero_grad()


def summarise(found: dict, limit: float) -> dict[str, float]:
    """Ratios by turn, then medians; tokens per CPU-second for 64 new tokens."""
    new, out = 64, {"limit_64_rows": limit}
    rolls, ups = found.get("rollouts", {}), found.get("updates", {})

    def cost(name: str) -> list[float]:
        return [(r["prefill"] + new * r["step"]) / (new * r["rows"]) for r in rolls[name]]

    for name in rolls:
        out[f"{name} tokens/s"] = 1 / statistics.median(cost(name))
    for name, mine in (("a_8_rows_of_one_agent", "ours_64"), ("a_4_rows_of_one_agent", "ours_32"), ("b_one_row", "ours_64")):
        if name in rolls:
            out[f"{mine} against {name}"] = statistics.median(a / b for a, b in zip(cost(name), cost(mine), strict=True))
    if rolls:
        out["ours_64 against c_mixed_64"] = statistics.median(a / b for a, b in zip(cost("c_mixed_64"), cost("ours_64"), strict=True))
        out["generic_64 against a"] = statistics.median(
            a / b for a, b in zip(cost("a_8_rows_of_one_agent"), cost("generic_64"), strict=True)
        )
        steps = [r["rows"] / r["step"] for r in rolls["ours_64"]]
        out["share of the limit, decoding"] = statistics.median(steps) / limit
        out["share of the limit, with prefill"] = out["ours_64 tokens/s"] / limit
    pairs = {
        "update against the PEFT loop": ("peft_8x128", "ours_8x128_8_agents"),
        "tree update against the PEFT loop": ("peft_8x16_on_112", "ours_tree_8x16_on_112"),
        "update against one forward per sequence": ("peft_one_row_128", "ours_8x128_8_agents"),
    }
    rate = {name: [u["seconds"] / u["tokens"] for u in runs] for name, runs in ups.items()}
    for name in rate:
        out[f"{name} tokens/s"] = 1 / statistics.median(rate[name])
    for label, (them, us) in pairs.items():
        if them in rate:
            out[label] = statistics.median(a / b for a, b in zip(rate[them], rate[us], strict=True))
    return out


def save(args, part: dict) -> None:
    args.out.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(args.out.read_text()) if args.out.is_file() else {}
    args.out.write_text(json.dumps({**before, **part}, indent=1) + "\n")


PARTS = {"updates": updates, "rollouts": rollouts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-components.json"))
    args = parser.parse_args()
    base, bank = load(args.threads)
    engine_for(bank)
    with tempfile.TemporaryDirectory() as scratch:
        peft = peft_model(base, bank, Path(scratch))
    for name in args.parts:
        PARTS[name](args, base, bank, peft)
    save(args, {"summary": summarise(json.loads(args.out.read_text()), linear_limit(base, bank, 64, 5))})
    print(json.dumps(json.loads(args.out.read_text())["summary"], indent=1))


if __name__ == "__main__":
    main()
