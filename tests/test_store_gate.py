"""Hostile and broken adapters: each refused with one line naming agent, file and reason; good ones pass."""

import hashlib
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from league.errors import AdapterRefused
from league.store.blobs import BlobStore
from league.store.gate import BaseManifest, check_folder, check_stored

BASE = BaseManifest("a" * 64, {f"model.layers.{layer}.self_attn.{name}": (6, 4) for layer in range(2) for name in ("q_proj", "v_proj")})
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def tensors(rank: int = 2, dtype: type = np.float32) -> dict[str, np.ndarray]:
    found = {}
    for layer, (outputs, inputs) in BASE.linears.items():
        found[f"base_model.model.{layer}.lora_A.weight"] = np.full((rank, inputs), 0.5, dtype)
        found[f"base_model.model.{layer}.lora_B.weight"] = np.zeros((outputs, rank), dtype)
    return found


def settings_of(**changes: object) -> dict:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
        **changes,
    }


def write(folder: Path, arrays: dict | None = None, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(arrays or tensors(), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(settings_of(**changes)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "adapter")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_good_adapter_passes(folder: Path, dtype: type) -> None:
    save_file(tensors(dtype=dtype), folder / WEIGHTS)
    (folder / "league.json").write_text(json.dumps({"base_weight_hash": BASE.weight_hash}))
    (folder / "README.md").write_text("a card")
    passed = check_folder("ada", folder, BASE)
    assert (passed.rank, passed.alpha, passed.targets, passed.base_weight_hash) == (2, 4.0, ("q_proj", "v_proj"), BASE.weight_hash)
    assert passed.sha256 == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert check_folder("ada", folder, BASE, passed.sha256) == passed


def test_what_peft_writes_passes(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    folder = write(tmp_path / "adapter")
    peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM").save_pretrained(folder)
    assert check_folder("ada", folder, BASE).rank == 2


def with_tensor(name: str, value: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: save_file({**tensors(), name: value}, folder / WEIGHTS)


def with_setting(**changes: object) -> Callable[[Path], None]:
    return lambda folder: (folder / CONFIG).write_text(json.dumps(settings_of(**changes)))  # type: ignore[return-value]


def with_link(name: str) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        (folder / name).rename(folder.parent / name)
        (folder / name).symlink_to(folder.parent / name)

    return work


def with_pipe(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


FIRST_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
bad = np.full((2, 4), 0.5, np.float32)
nan, inf = bad.copy(), bad.copy()
nan[1, 2], inf[0, 0] = np.nan, -np.inf

HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "another base by hash": (lambda f: (f / "league.json").write_text('{"base_weight_hash": "bbbb"}'), "base weights"),
    "another base by shape": (with_tensor(FIRST_A, np.zeros((2, 5), np.float32)), "has shape"),
    "transposed": (with_tensor(FIRST_A, np.zeros((4, 2), np.float32)), "has shape"),
    "NaN": (with_tensor(FIRST_A, nan), "NaN or infinity"),
    "infinity": (with_tensor(FIRST_A, inf), "NaN or infinity"),
    "huge values": (with_tensor(FIRST_A, bad * 1e30), "values up to"),
    "float64": (with_tensor(FIRST_A, bad.astype(np.float64)), "is F64"),
    "integers": (with_tensor(FIRST_A, bad.astype(np.int8)), "is I8"),
    "absurd alpha": (with_setting(lora_alpha=1e30), "lora_alpha"),
    "NaN alpha": (with_setting(lora_alpha=float("nan")), "lora_alpha"),
    "negative alpha": (with_setting(lora_alpha=-4), "lora_alpha"),
    "zero rank": (with_setting(r=0), "r is 0"),
    "boolean rank": (with_setting(r=True), "r is True"),
    "absurd rank": (with_setting(r=10**9), "r is"),
    "wrong rank": (with_setting(r=3), "has shape"),
    "missing tensor": (lambda f: save_file({k: v for k, v in tensors().items() if k != FIRST_A}, f / WEIGHTS), "is missing"),
    "extra tensor": (with_tensor("base_model.model.lm_head.weight", bad), "no targeted layer"),
    "path in a name": (with_tensor("../../etc/passwd", bad), "no targeted layer"),
    "wrong target": (with_setting(target_modules=["q_proj", "c_attn"]), "c_attn"),
    "exponential pattern": (with_setting(target_modules="(a+)+$" * 20), "is a pattern"),
    "pattern in the list": (with_setting(target_modules=["(.*)*q_proj"]), "does not have"),
    "layers pattern": (with_setting(layers_pattern="(x+x+)+y"), "not allowed"),
    "rank pattern": (with_setting(rank_pattern={".*": 8}), "not allowed"),
    "alpha pattern": (with_setting(alpha_pattern={"(a+)+": 8}), "not allowed"),
    "saved modules": (with_setting(modules_to_save=["lm_head"]), "not allowed"),
    "dora": (with_setting(use_dora=True), "not allowed"),
    "rslora": (with_setting(use_rslora=True), "not allowed"),
    "bias": (with_setting(bias="all"), "not allowed"),
    "unknown setting": (with_setting(run_this="rm -rf /"), "not allowed"),
    "auto mapping": (with_setting(auto_mapping={"parent_library": "os"}), "not allowed"),
    "another method": (with_setting(peft_type="IA3"), "peft_type"),
    "no targets": (with_setting(target_modules=[]), "target_modules"),
    "settings no JSON": (lambda f: (f / CONFIG).write_text("{"), "not JSON"),
    "settings a list": (lambda f: (f / CONFIG).write_text("[]"), "expected an object"),
    "settings too deep": (lambda f: (f / CONFIG).write_text("[" * 100_000), "not JSON"),
    "settings too large": (lambda f: (f / CONFIG).write_text(" " * 2_000_000), "bytes"),
    "settings missing": (lambda f: (f / CONFIG).unlink(), "is missing"),
    "weights missing": (lambda f: (f / WEIGHTS).unlink(), "is missing"),
    "pickle beside": (lambda f: (f / "adapter_model.bin").write_bytes(pickle.dumps({})), "may hold code"),
    "program beside": (lambda f: (f / "modeling.py").write_text("print(1)"), "may hold code"),
    "pickle inside": (lambda f: (f / WEIGHTS).write_bytes(pickle.dumps(os.system)), "pickle"),
    "archive inside": (lambda f: (f / WEIGHTS).write_bytes(b"PK\x03\x04" + bytes(100)), "pickle or archive"),
    "garbage": (lambda f: (f / WEIGHTS).write_bytes(bytes(range(256)) * 4), "safetensors"),
    "empty": (lambda f: (f / WEIGHTS).write_bytes(b""), "safetensors"),
    "truncated": (lambda f: (f / WEIGHTS).write_bytes(save(tensors())[:-3]), "safetensors"),
    "huge header": (lambda f: (f / WEIGHTS).write_bytes((2**62).to_bytes(8, "little") + bytes(64)), "safetensors"),
    "huge file": (lambda f: os.truncate(f / WEIGHTS, 1 << 33), "bytes; expected at most"),
    "linked weights": (with_link(WEIGHTS), "is a link"),
    "linked settings": (with_link(CONFIG), "is a link"),
    "a pipe": (with_pipe, "not a plain file"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_adapters_are_refused_in_one_line(folder: Path, what: str) -> None:
    work, reason = HOSTILE[what]
    work(folder)
    with pytest.raises(AdapterRefused) as refusal:
        check_folder("ada", folder, BASE)
    text = str(refusal.value)
    assert re.search(re.escape(reason), text) and text.startswith("ada: ") and str(folder) in text and "\n" not in text and len(text) < 400


@pytest.mark.parametrize("name", ["../ada", "ada/..", "", "Ada", "ada\n", "a" * 65, ".", "-x"])
def test_names_that_could_escape_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(AdapterRefused):
        check_folder(name, folder, BASE)


def test_a_linked_or_missing_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for path in (tmp_path / "link", tmp_path / "nothing", folder / WEIGHTS):
        with pytest.raises(AdapterRefused, match="expected a PEFT folder"):
            check_folder("ada", path, BASE)


def test_a_changed_file_is_refused(folder: Path) -> None:
    with pytest.raises(AdapterRefused, match="was changed"):
        check_folder("ada", folder, BASE, "0" * 64)


def test_bfloat16_is_read_and_its_nan_found(folder: Path) -> None:
    data = save({name: array.astype(np.float16) for name, array in tensors().items()})
    header = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + header].replace(b'"F16"', b'"BF16"')
    text += b" " * (-len(text) % 8)
    good = len(text).to_bytes(8, "little") + text + data[8 + header :]
    (folder / WEIGHTS).write_bytes(good)
    assert check_folder("ada", folder, BASE).rank == 2
    (folder / WEIGHTS).write_bytes(good[:-2] + b"\xc0\x7f")
    with pytest.raises(AdapterRefused, match="NaN"):
        check_folder("ada", folder, BASE)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["r", "lora_alpha", "target_modules", "bias"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=5,
), max_size=6))  # fmt: skip
def test_any_settings_pass_or_are_refused_in_words(tmp_path_factory: pytest.TempPathFactory, changes: dict) -> None:
    folder = write(tmp_path_factory.mktemp("fuzz") / "adapter")
    (folder / CONFIG).write_text(json.dumps({**settings_of(), **changes}))
    try:
        check_folder("ada", folder, BASE)
    except AdapterRefused as refusal:
        assert "\n" not in str(refusal)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 500))
def test_any_weights_pass_or_are_refused_in_words(tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int) -> None:
    folder = write(tmp_path_factory.mktemp("fuzz") / "adapter")
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:place] + junk + data[place + len(junk) :])
    try:
        check_folder("ada", folder, BASE)
    except AdapterRefused as refusal:
        assert "\n" not in str(refusal)


def test_stored_adapters_are_checked_before_use(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    blobs = BlobStore(tmp_path / "blobs")
    meta = {"base_weight_hash": BASE.weight_hash}
    targets = ("q_proj", "v_proj")
    good = blobs.write_blob(tensors(), meta)
    assert set(check_stored("ada", good, blobs, BASE, 2, targets)) == set(tensors())
    for arrays, other, rank, reason in (
        (tensors(), {"base_weight_hash": "b" * 64}, 2, "base weights"),
        (tensors(), {}, 2, "base weights"),
        ({**tensors(), FIRST_A: nan}, meta, 2, "NaN"),
        (tensors(), meta, 3, "has shape"),
        ({**tensors(), "extra": bad}, meta, 2, "no targeted layer"),
        (tensors(dtype=np.float64), meta, 2, "float64"),
    ):
        with pytest.raises(AdapterRefused, match=reason):
            check_stored("ada", blobs.write_blob(arrays, other), blobs, BASE, rank, targets)
    file = blobs.path(good) / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(AdapterRefused, match="damaged"):
        check_stored("ada", good, blobs, BASE, 2, targets)
