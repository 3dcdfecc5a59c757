"""What a model folder says about itself without its weights being loaded.

Facts for checks, and the hash of its weights.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from league.errors import Foreign, ModelUnavailable

FLOATS = ("F64", "F32", "F16", "BF16")
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length", "n_ctx")
"""What families call their context."""
OTHER_WEIGHTS = ("consolidated*.safetensors", "*.bin", "*.pth", "*.gguf")
HASH_FILE = ".league-weights.json"
"""What a folder's weights hashed to when that was last computed."""
LONGEST = 100_000_000
"""Tokens; tokenizers without a limit state 10³⁰."""


@dataclass(frozen=True)
class ModelFacts:
    """What a model folder says about itself without its weights being loaded.

    `parameters` counts stored elements; `weight_hash` is the sha256 over the names and bytes of all weight files.
    """

    path: Path
    architecture: str
    context: int
    vocabulary: int
    parameters: int
    chat_template: bool
    weight_hash: str


def check_model(path: Path, *, fresh: bool = False) -> ModelFacts:
    """Read config, tokenizer settings and safetensors headers of a model folder; hash its weights.

    The hash is kept beside it. `fresh`: the weights are hashed again whatever was kept, as before they are used.

    Raises ModelUnavailable naming the file that is missing or damaged.
    """
    require_model_folder(path)
    _require_plain_files(path)
    config = read_json(path / "config.json")
    text = config.get("text_config", config)
    try:
        architecture = str((config.get("architectures") or [config.get("model_type", "unknown")])[0])
        stated, vocabulary = int(text.get("max_position_embeddings") or 0), int(text.get("vocab_size", 0))
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise ModelUnavailable(
            f"model file {path / 'config.json'}: expected architectures, max_position_embeddings "
            "and vocab_size as Hugging Face writes them, "
            f"found others ({error}); fetch the model again"
        ) from error
    return ModelFacts(
        path=path,
        architecture=architecture,
        context=stated if stated > 0 else _context(path),
        vocabulary=vocabulary,
        parameters=sum(_elements(file) for file in weight_files(path)),
        chat_template=_has_chat_template(path),
        weight_hash=fresh_weight_hash(path) if fresh else weight_hash(path),
    )


def weight_hash(path: Path) -> str:
    """sha256 over weight file names and bytes; remembered by file sizes and modification times.

    Good enough to look at a model. Before weights are used they are hashed again: `fresh_weight_hash`.
    """
    known = _known_hash(path)
    if known is None:
        known = _hash(path)
        _note(path, known)
    return known


def fresh_weight_hash(path: Path) -> str:
    """sha256 over weight file names and bytes, read now: about a second for a gigabyte.

    Raises ModelUnavailable where the bytes changed while sizes and times did not: a damaged disk, or a hand.
    """
    known, found = _known_hash(path), _hash(path)
    if known is None:
        _note(path, found)
    elif known != found:
        raise ModelUnavailable(
            f"model folder {path}: its weights hash to {found[:12]}…, expected {known[:12]}… as when they were first "
            "read, and neither their sizes nor their times changed: they are damaged. Fetch the model again or restore "
            f"it from a copy (if they were exchanged on purpose, delete {' and '.join(str(n) for n in _notes(path))})"
        )
    return found


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    for file in weight_files(path):
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _stamp(path: Path) -> list[list[str | int]]:
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in weight_files(path)]


def _notes(path: Path) -> tuple[Path, Path]:
    """Where the hash is kept: beside the weights, or in the cache where nothing may be written there."""
    outside = cache_root() / "hashes" / (hashlib.sha256(str(path.resolve()).encode()).hexdigest() + ".json")
    return path / HASH_FILE, outside


def _known_hash(path: Path) -> str | None:
    """The hash as it was kept, where sizes and modification times are still those."""
    stamp = _stamp(path)
    for place in _notes(path):
        known = _remembered(place)
        if known.get("files") == stamp and "sha256" in known:
            return str(known["sha256"])
    return None


def _note(path: Path, found: str) -> None:
    memo, outside = _notes(path)
    place = memo if os.access(path, os.W_OK) else outside
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f"{place.name}.{os.getpid()}")
    scratch.write_text(json.dumps({"files": _stamp(path), "sha256": found}))
    os.replace(scratch, place)


def cache_root() -> Path:
    """$LEAGUE_CACHE, else ~/.cache/league.

    Raises ModelUnavailable where the home that this names does not exist.
    """
    try:
        return Path(os.environ.get("LEAGUE_CACHE") or Path.home() / ".cache" / "league").expanduser()
    except RuntimeError as error:
        raise ModelUnavailable(
            "no home folder for cached models; set LEAGUE_CACHE to a folder you may write"
        ) from error


def weight_files(path: Path) -> list[Path]:
    """The files that transformers loads: one model, or the parts of its index.

    What lies beside them (Mistral's `consolidated.safetensors`, an adapter) is no part of it. Where there is neither,
    every safetensors file that holds no copy of the others under another layout.
    """
    whole, index = path / "model.safetensors", path / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        parts = read_json(index).get("weight_map")
        names = sorted({str(name) for name in parts.values()}) if isinstance(parts, dict) else []
        missing = [name for name in names if "/" in name or not (path / name).is_file()]
        if missing or not names:
            what = f"{len(missing)} of its {len(names)} files are missing, e.g. {missing[0]}" if names else "no files"
            raise ModelUnavailable(f"model file {index}: {what}; fetch the model again")
        return [path / name for name in names]
    return sorted(file for file in path.glob("*.safetensors") if not file.name.startswith("consolidated"))


def require_floats(path: Path, name: str) -> None:
    """Raises ModelUnavailable where matrices are stored as integers or in 8 bits: a quantised model."""
    from safetensors import safe_open

    for file in weight_files(path):
        with safe_open(file, framework="numpy") as opened:
            for key in opened.keys():
                part = opened.get_slice(key)
                if key.endswith(("weight", "weight_packed")) and part.get_dtype() not in FLOATS:
                    raise ModelUnavailable(
                        f"model {name}: {file}: {key} is stored as {part.get_dtype()}; expected plain weights "
                        f"({', '.join(FLOATS)}): choose the model's unquantised checkpoint"
                    )


def _context(path: Path) -> int:
    """The context, in tokens, of a model whose configuration does not give it under the usual name.

    It comes through transformers' own class, which knows the family's name and default; then as families without
    positions write it; then as the tokenizer has it. Raises ModelUnavailable where it stands nowhere.
    """
    from transformers import AutoConfig

    with Foreign(f"model file {path / 'config.json'}: expected the configuration of a model that transformers knows"):
        config = AutoConfig.from_pretrained(path, trust_remote_code=False).get_text_config(decoder=True).to_dict()
    tokenizer = path / "tokenizer_config.json"
    most = read_json(tokenizer).get("model_max_length") if tokenizer.is_file() else None
    for value in (*(config.get(name) for name in CONTEXT_NAMES), most):
        if isinstance(value, int) and 0 < value <= LONGEST:
            return value
    raise ModelUnavailable(
        f"model file {path / 'config.json'}: says nowhere how long the model's context is; write it there, in tokens, "
        "as max_position_embeddings"
    )


def is_model_folder(path: Path) -> bool:
    return (path / "config.json").is_file() and bool(weight_files(path))


def require_model_folder(path: Path) -> None:
    missing = [
        name
        for name, there in (("config.json", (path / "config.json").is_file()), ("*.safetensors", weight_files(path)))
        if not there
    ]
    if missing:
        other = [file.name for kind in OTHER_WEIGHTS for file in sorted(path.glob(kind))[:1]]
        hint = f" (found {', '.join(other)}: load it with transformers and save it again)" if other else ""
        raise ModelUnavailable(
            f"model folder {path}: expected config.json and *.safetensors, missing {' and '.join(missing)}{hint}"
        )


def _has_chat_template(path: Path) -> bool:
    file = path / "tokenizer_config.json"
    settings = read_json(file) if file.is_file() else {}
    beside = (path / name for name in ("chat_template.jinja", "chat_template.json"))
    return bool(settings.get("chat_template")) or any(template.is_file() for template in beside)


def _remembered(place: Path) -> dict[str, Any]:
    """A note of our own; {} where there is none or it is damaged."""
    if not place.is_file():  # a pipe would be waited for
        return {}
    try:
        known = json.loads(place.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of the model. Raises ModelUnavailable naming it."""
    try:
        if not path.is_file():
            raise ValueError("no plain file")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(f"model file {path}: expected JSON, found {error}; fetch the model again") from error
    if not isinstance(found, dict):
        raise ModelUnavailable(
            f"model file {path}: expected a JSON object, found {type(found).__name__}; fetch the model again"
        )
    return found


def _require_plain_files(path: Path) -> None:
    """Raises ModelUnavailable for a pipe or a device in the folder: whoever reads it would wait."""
    for file in sorted(path.iterdir()):
        if file.exists() and not file.is_file() and not file.is_dir() and file.name != HASH_FILE:
            raise ModelUnavailable(f"model file {file}: expected a plain file, found a pipe or a device; remove it")


def _elements(file: Path) -> int:
    """Number of stored elements, from the safetensors header alone.

    Raises ModelUnavailable for a damaged or cut file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            return sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())
    except (SafetensorError, OSError) as error:
        raise ModelUnavailable(
            f"model file {file}: expected safetensors weights, found {error}; fetch the model again"
        ) from error
