"""Hostile and broken adapters are refused, good ones pass.

Each refusal is one line that names agent, file and reason.
"""

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
from league.model.adapter_checks import BaseManifest, check_folder, check_stored, flaw, stored_meta

BASE = BaseManifest(
    "a" * 64, {f"model.layers.{layer}.self_attn.{name}": (6, 4) for layer in range(2) for name in ("q_proj", "v_proj")}
)
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
    assert (passed.rank, passed.alpha, passed.targets, passed.base_weight_hash) == (
        2,
        4.0,
        ("q_proj", "v_proj"),
        BASE.weight_hash,
    )
    assert passed.sha256 == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert check_folder("ada", folder, BASE, passed.sha256) == passed


def test_what_peft_writes_passes(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    folder = write(tmp_path / "adapter")
    peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM").save_pretrained(
        folder
    )
    assert check_folder("ada", folder, BASE).rank == 2


HARMLESS: dict[str, dict[str, object]] = {
    "plain PEFT without a task": {
        "task_type": None,
        "auto_mapping": {"base_model_class": "LlamaForCausalLM", "parent_library": "transformers.models.llama"},
    },
    "exclusions that exclude nothing": {"exclude_modules": ["lm_head", "gate_proj"]},
    "orthogonal start": {"init_lora_weights": "orthogonal"},
    "how GPT-2 stores its base": {"fan_in_fan_out": True},
    "dotted suffixes": {"target_modules": ["self_attn.q_proj", "self_attn.v_proj"]},
    "whole paths": {"target_modules": list(BASE.linears)},
}


@pytest.mark.parametrize("what", HARMLESS)
def test_settings_that_change_nothing_pass(tmp_path: Path, what: str) -> None:
    plain = check_folder("ada", write(tmp_path / "plain"), BASE)
    found = check_folder("ada", write(tmp_path / "adapter", **HARMLESS[what]), BASE)
    assert found == plain and all(np.array_equal(found.tensors[name], plain.tensors[name]) for name in plain.tensors)


@pytest.mark.parametrize(
    "chosen",
    [
        {"target_modules": ["layers.1.self_attn.q_proj"]},
        {"target_modules": ["q_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
    ],
)
def test_some_layers_of_a_name_leave_zeros_on_the_others(tmp_path: Path, chosen: dict) -> None:
    here = "base_model.model.model.layers.1.self_attn.q_proj."
    own = {name: np.full_like(array, 0.25) for name, array in tensors().items() if name.startswith(here)}
    found = check_folder("ada", write(tmp_path / "adapter", own, **chosen), BASE)
    assert found.targets == ("q_proj",) and len(found.tensors) == 4
    for name, array in found.tensors.items():
        assert (array == (0.25 if name.startswith(here) else 0.0)).all()


def test_a_parent_of_named_adapters_says_which_folder(tmp_path: Path) -> None:
    for name in ("max", "ada"):
        write(tmp_path / name)
    with pytest.raises(AdapterRefused, match=rf"folders ada, max: name {tmp_path / 'ada'}"):
        check_folder("ada", tmp_path, BASE)


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
    "missing tensor": (
        lambda f: save_file({k: v for k, v in tensors().items() if k != FIRST_A}, f / WEIGHTS),
        "is missing",
    ),
    "extra tensor": (with_tensor("base_model.model.lm_head.weight", bad), "no targeted layer"),
    "path in a name": (with_tensor("../../etc/passwd", bad), "no targeted layer"),
    "wrong target": (with_setting(target_modules=["q_proj", "c_attn"]), "c_attn"),
    "exponential pattern": (with_setting(target_modules="(a+)+$" * 20), "is a pattern"),
    "pattern in the list": (with_setting(target_modules=["(.*)*q_proj"]), "does not have"),
    "layers pattern": (with_setting(layers_pattern="(x+x+)+y"), "not on the list"),
    "rank pattern": (with_setting(rank_pattern={".*": 8}), "not on the list"),
    "alpha pattern": (with_setting(alpha_pattern={"(a+)+": 8}), "not on the list"),
    "saved modules": (with_setting(modules_to_save=["lm_head"]), "not on the list"),
    "dora": (with_setting(use_dora=True), "not on the list"),
    "rslora": (with_setting(use_rslora=True), "not on the list"),
    "bias": (with_setting(bias="all"), "not on the list"),
    "unknown setting": (with_setting(run_this="rm -rf /"), "not on the list"),
    "everything excluded": (with_setting(exclude_modules=["q_proj", "self_attn.v_proj"]), "leaves no layer"),
    "excluded by a pattern": (with_setting(exclude_modules="(a+)+$"), "exclude_modules is"),
    "fewer layers than tensors": (with_setting(target_modules=["layers.0.self_attn.q_proj"]), "no targeted layer"),
    "a suffix of a word": (with_setting(target_modules=["roj"]), "does not have"),
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
    assert (
        re.search(re.escape(reason), text)
        and text.startswith("ada: ")
        and str(folder) in text
        and "\n" not in text
        and len(text) < 400
    )


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


SETTING_NAMES = st.text(max_size=8) | st.sampled_from(["r", "lora_alpha", "target_modules", "bias"])
SETTING_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(SETTING_NAMES, SETTING_VALUES, max_size=6))
def test_any_settings_pass_or_are_refused_in_words(tmp_path_factory: pytest.TempPathFactory, changes: dict) -> None:
    folder = write(tmp_path_factory.mktemp("fuzz") / "adapter")
    (folder / CONFIG).write_text(json.dumps({**settings_of(), **changes}))
    try:
        check_folder("ada", folder, BASE)
    except AdapterRefused as refusal:
        assert "\n" not in str(refusal)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 500))
def test_any_weights_pass_or_are_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    folder = write(tmp_path_factory.mktemp("fuzz") / "adapter")
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:place] + junk + data[place + len(junk) :])
    try:
        check_folder("ada", folder, BASE)
    except AdapterRefused as refusal:
        assert "\n" not in str(refusal)


GOOD_META = stored_meta(BASE.weight_hash, 2, 4.0, ("q_proj", "v_proj"))
PATH = Path("blobs/0123")


def with_spec(**changes: object) -> dict[str, str]:
    return {**GOOD_META, "spec": json.dumps({"rank": 2, "alpha": 4.0, "targets": ["q_proj", "v_proj"], **changes})}


STORED: dict[str, tuple[dict, dict, str]] = {
    "another base": (tensors(), {**GOOD_META, "base": "b" * 64}, "base weights"),
    "no base": (tensors(), {"kind": "adapter", "spec": GOOD_META["spec"]}, "base weights"),
    "an optimizer": (tensors(), {**GOOD_META, "kind": "optimizer"}, "optimizer"),
    "NaN": ({**tensors(), FIRST_A: nan}, GOOD_META, "NaN or infinity"),
    "huge values": ({**tensors(), FIRST_A: bad * 1e6}, GOOD_META, "values up to"),
    "wrong rank": (tensors(), with_spec(rank=3), "has shape"),
    "extra tensor": ({**tensors(), "extra": bad}, GOOD_META, "no targeted layer"),
    "missing tensor": ({k: v for k, v in tensors().items() if k != FIRST_A}, GOOD_META, "is missing"),
    "float64": (tensors(dtype=np.float64), GOOD_META, "float64"),
    "absurd alpha": (tensors(), with_spec(alpha=1e30), "alpha is 1e+30"),
    "pattern": (tensors(), with_spec(targets="(a+)+$"), "is a pattern"),
    "wrong target": (tensors(), with_spec(targets=["c_attn"]), "c_attn"),
    "spec no JSON": (tensors(), {**GOOD_META, "spec": "{"}, "not JSON"),
    "spec missing": (tensors(), {k: v for k, v in GOOD_META.items() if k != "spec"}, "not JSON"),
    "spec a list": (tensors(), {**GOOD_META, "spec": "[]"}, "expected an object"),
}


def test_a_good_stored_adapter_passes() -> None:
    assert check_stored("ada@3", PATH, tensors(), GOOD_META, BASE) == (2, 4.0, ("q_proj", "v_proj"))
    assert flaw(tensors()) is None and "NaN" in str(flaw({**tensors(), FIRST_A: nan}))


@pytest.mark.parametrize("what", STORED)
def test_stored_adapters_are_refused_in_one_line(what: str) -> None:
    arrays, meta, reason = STORED[what]
    with pytest.raises(AdapterRefused) as refusal:
        check_stored("ada@3", PATH, arrays, meta, BASE)
    text = str(refusal.value)
    assert reason in text and text.startswith("ada@3: ") and str(PATH) in text and "\n" not in text


# ------------------------------------------------------------------------------------------------ where it stands
@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """A finished tiny league with frozen pasts, and its config."""
    from league.loop import train
    from league.preflight.checks import prepare
    from tests.conftest import write_tiny_model
    from tests.leagues import Nobody, tiny

    model = write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)
    config = tiny(model, tmp_path_factory.mktemp("runs"), league__rounds=2)
    train(prepare(config), Nobody())
    return config


def poisoned(
    config, target: Path, which: str, arrays_of: Callable[[dict], dict], meta_of: Callable[[dict], dict]
) -> Path:
    """A copy of the run in which one version's blob is another one.

    It is whole and has a fitting hash, as somebody could plant it.
    """
    import shutil

    from league.store.run import RunStore

    shutil.copytree(config.folder, target)
    with RunStore.open(target) as store:
        frozen = (
            store.live()["ada"] if which == "live" else next(v for v in store.state()["population"]["pasts"]["ada"])
        )
        row = store.version_row(frozen if which == "live" else type(store.live()["ada"]).parse(frozen))
        arrays, meta = store.blobs.read_blob(row.blob)
        planted = store.blobs.write_blob(arrays_of(arrays), meta_of(meta))
        store.db.execute("INSERT OR IGNORE INTO blobs VALUES (?, 1)", (bytes.fromhex(planted),))
        store.db.execute(
            "UPDATE versions SET blob = ? WHERE blob = ?", (bytes.fromhex(planted), bytes.fromhex(row.blob))
        )
    return target


@pytest.mark.parametrize("which", ["live", "frozen"])
@pytest.mark.parametrize(
    ("arrays_of", "meta_of", "reason"),
    [
        (lambda arrays: {name: array * np.nan for name, array in arrays.items()}, dict, "NaN"),
        (dict, lambda meta: {**meta, "base": "0" * 64}, "base weights"),
        (dict, lambda meta: {**meta, "spec": meta["spec"].replace('"alpha": 4.0', '"alpha": 1e30')}, "alpha"),
    ],
)
def test_a_planted_version_is_refused_on_resume_and_in_play(
    run, tmp_path: Path, which: str, arrays_of, meta_of, reason: str
) -> None:
    from league.evaluation.on_demand import play_once
    from league.loop import resume
    from tests.leagues import Nobody

    folder = poisoned(run, tmp_path / "tiny", which, arrays_of, meta_of)
    with pytest.raises(AdapterRefused, match=reason) as refusal:
        resume(folder, Nobody())
    assert str(refusal.value).startswith("ada@") and "\n" not in str(refusal.value)
    if which == "live":
        with pytest.raises(AdapterRefused, match=reason):
            play_once(folder, ["ada", "max"], task="contest", domain=None, index=0)


def test_a_hostile_checkpoint_is_refused_before_a_run_folder_exists(run, tmp_path: Path) -> None:
    from league.loop import train
    from league.preflight.checks import prepare
    from tests.leagues import Nobody, tiny

    (tmp_path / "adapter").mkdir()
    save_file(tensors(), tmp_path / "adapter" / WEIGHTS)
    (tmp_path / "adapter" / CONFIG).write_text(json.dumps(settings_of(target_modules="(a+)+$")))
    config = tiny(Path(run.model.name), tmp_path / "runs", agents__ada__checkpoint=str(tmp_path / "adapter"))
    with pytest.raises(AdapterRefused, match="ada: .*is a pattern"):
        train(prepare(config), Nobody())
    assert not config.folder.exists()


def test_weights_that_could_not_be_loaded_again_are_not_committed(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from league import loop
    from league.errors import TrainingDiverged
    from league.preflight.checks import prepare
    from league.store.reader import RunReader
    from tests.leagues import Nobody, tiny

    real = loop.evolve

    def poison(league, state, draft):
        state = real(league, state, draft)
        if draft.number == 2:
            league.bank.slice(state.population.members["ada"].version).params_P[3] = float("inf")
        return state

    monkeypatch.setattr(loop, "evolve", poison)
    config = tiny(Path(run.model.name), tmp_path, league__rounds=3)
    with pytest.raises(TrainingDiverged, match="agent ada: .*NaN or infinity"):
        loop.train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 1
