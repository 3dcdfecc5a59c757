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


def check_model(path: Path) -> ModelFacts:
    """Read config, tokenizer settings and safetensors headers of a model folder; hash its weights.

    The hash is kept beside it.

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
        weight_hash=weight_hash(path),
    )


def weight_hash(path: Path) -> str:
    """sha256 over weight file names and bytes; remembered by file sizes and modification times."""
    files = weight_files(path)
    stamp = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    memo = path / ".league-weights.json"
    outside = cache_root() / "hashes" / (hashlib.sha256(str(path.resolve()).encode()).hexdigest() + ".json")
    for place in (memo, outside):
        known = _remembered(place)
        if known.get("files") == stamp and "sha256" in known:
            return str(known["sha256"])
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    text = json.dumps({"files": stamp, "sha256": digest.hexdigest()})
    place = memo if os.access(path, os.W_OK) else outside
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f"{place.name}.{os.getpid()}")
    scratch.write_text(text)
    os.replace(scratch, place)
    return digest.hexdigest()


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
