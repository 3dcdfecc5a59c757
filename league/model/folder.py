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

from league.errors import ModelUnavailable


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
    config = _json_object(path / "config.json")
    text = config.get("text_config", config)
    try:
        architecture = str((config.get("architectures") or [config.get("model_type", "unknown")])[0])
        context, vocabulary = int(text.get("max_position_embeddings", 0)), int(text.get("vocab_size", 0))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelUnavailable(
            f"model file {path / 'config.json'}: expected architectures, max_position_embeddings "
            "and vocab_size as Hugging Face writes them, "
            f"found others ({error}); fetch the model again"
        ) from error
    return ModelFacts(
        path=path,
        architecture=architecture,
        context=context,
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
    return path / ".league-weights.json", outside


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
    """$LEAGUE_CACHE, else ~/.cache/league."""
    return Path(os.environ.get("LEAGUE_CACHE") or Path.home() / ".cache" / "league").expanduser()


def weight_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.safetensors"))


def is_model_folder(path: Path) -> bool:
    return (path / "config.json").is_file() and bool(weight_files(path))


def require_model_folder(path: Path) -> None:
    missing = [
        name
        for name, there in (("config.json", (path / "config.json").is_file()), ("*.safetensors", weight_files(path)))
        if not there
    ]
    if missing:
        raise ModelUnavailable(
            f"model folder {path}: expected config.json and *.safetensors, missing {' and '.join(missing)}"
        )


def _has_chat_template(path: Path) -> bool:
    file = path / "tokenizer_config.json"
    settings = _json_object(file) if file.is_file() else {}
    beside = (path / name for name in ("chat_template.jinja", "chat_template.json"))
    return bool(settings.get("chat_template")) or any(template.is_file() for template in beside)


def _remembered(place: Path) -> dict[str, Any]:
    """A note of our own; {} where there is none or it is damaged."""
    try:
        known = json.loads(place.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _json_object(path: Path) -> dict[str, Any]:
    """A JSON file of the model. Raises ModelUnavailable naming it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(f"model file {path}: expected JSON, found {error}; fetch the model again") from error
    if not isinstance(found, dict):
        raise ModelUnavailable(
            f"model file {path}: expected a JSON object, found {type(found).__name__}; fetch the model again"
        )
    return found


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
