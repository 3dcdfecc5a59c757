"""The engine's benchmark runs from end to end on a tiny model.

What docs/results/engine.md is made with cannot rot.
"""

import json

import pytest
import torch

from benchmarks.engine import __main__ as benchmark
from benchmarks.engine.__main__ import main
from tests.conftest import write_tiny_model


def test_every_timed_part_runs_and_is_printed(tmp_path, capsys):
    model, out = write_tiny_model(tmp_path / "tiny", max_position_embeddings=4096), tmp_path / "bench.json"
    sizes = [
        "--repeats",
        "1",
        "--rows",
        "8",
        "--new-tokens",
        "3",
        "--scale",
        "0.125",
        "--model",
        str(model),
        "--threads",
        "1",
    ]
    main(["rollouts", "updates", "scaling", "turns", "table", "plot", *sizes, "--out", str(out)])
    found = json.loads(out.read_text())
    assert set(found["rollouts"]["8"]) >= {
        "ours",
        "generic",
        "a_generate_agent_by_agent",
        "b_one_row_at_a_time",
        "c_peft_mixed_batch",
    }
    assert set(found["updates"]) == {"64x128", "tree_8x16_on_112"}
    assert set(found["scaling"]["rollout_64x16"]) == set(found["scaling"]["update_64x64"]) == {"1", "4", "16", "64"}
    assert found["turns"]["second_turn"]["reused_tokens"] > 0
    timed = [
        v
        for part in found.values()
        for group in part.values()
        for v in group.values()
        if isinstance(v, dict) and "runs" in v
    ]
    assert len(timed) == 5 + 2 * 4 + 2 * 4 + 2
    assert all(v["low"] <= v["tokens_per_cpu_second"] <= v["high"] for v in timed)
    assert "| c_peft_mixed_batch |" in capsys.readouterr().out
    assert out.with_suffix(".png").stat().st_size > 10_000


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_the_roofline_is_that_of_the_dtype_the_engine_runs_in(tmp_path, monkeypatch, dtype, size):
    """A second a product and 1/16 s a read of 2^28 bytes.

    A product has 2 · 2048 · 1536 · 576 operations, a token 2P, and a step reads P weights of `size` bytes.
    """
    multiplied = []

    def linear(x, w):
        multiplied.append((x.dtype, w.dtype))

    def seconds(work):
        before = len(multiplied)
        work()
        return 1.0 if len(multiplied) > before else 1 / 16

    monkeypatch.setattr(benchmark, "pick_dtype", lambda device: dtype)
    monkeypatch.setattr(benchmark, "cpu", seconds)
    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    main(["roofline", "--threads", str(torch.get_num_threads()), "--out", str(tmp_path / "bench.json")])
    found = json.loads((tmp_path / "bench.json").read_text())["roofline"]
    assert set(multiplied) == {(dtype, dtype)} and found["dtype"] == str(dtype).removeprefix("torch.")
    rate, read, parameters = 2 * 2048 * 1536 * 576, 2**32, 134_515_008
    assert found["gflops"] == pytest.approx(rate / 1e9) and found["read_gb_per_s"] == pytest.approx(read / 1e9)
    for rows, ideal in found["ideal_tokens_per_s"].items():
        step = max(2 * parameters * int(rows) / rate, size * parameters / read)
        assert ideal == pytest.approx(int(rows) / step)
