"""The frozen base model: one Hugging Face causal LM and its tokenizer.

There is one, whatever the number of agents.

The only place that decides device, dtype and the number of threads. It knows nothing of adapters; see bank.py.
"""

import os
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from league.errors import Foreign, ModelUnavailable, PromptTooLong, UserError
from league.model.adapter_checks import BaseManifest
from league.model.chat import Chat, open_chat, turn_end
from league.model.folder import check_model
from league.model.head import OutputHead, read_head
from league.model.linear_layers import layer_shape, linear_layers
from league.model.trial import load_tokenizer
from league.types import Message

ENCODED = 200_000
"""Tokens of encoded prompts that are kept, the newest asked for.

They take about 10 MB: enough for the exam of one round, not for the prompts of all rounds.
"""
KERNELS = 256
"""Compiled matrix products that oneDNN keeps, 0.3 MB each, one per shape.

Its own 1,024 take 0.3 GB; a league's rounds need about 130 again and again (with 64, half of all calls compile anew:
80 s of a run of 156), and the others seldom or once.
"""
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}


class BaseModel:
    """A frozen causal LM and its tokenizer. Build it with `load`."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, context: int, weight_hash: str, name: str
    ):
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.context = context
        self.weight_hash = weight_hash
        self.name = name
        self.end_tokens = _end_tokens(model, tokenizer, turn_end(tokenizer, name))
        self._manifest: BaseManifest | None = None
        self._encoded: OrderedDict[tuple[Message, ...], tuple[int, ...]] = OrderedDict()
        self._encoded_tokens = 0

    @classmethod
    def load(cls, path: Path, *, device: str = "auto", dtype: str = "auto", threads: int | None = None) -> "BaseModel":
        """Load a folder that `locate_model` returned.

        device "auto": CUDA, else MPS, else CPU. dtype "auto": bf16 on CUDA and on CPUs with bf16 instructions, else
        fp32. threads None: the CPU cores this process may use. Raises ModelUnavailable when the folder cannot be
        read.
        """
        set_threads(threads)
        facts = check_model(Path(path), fresh=True)
        disable_progress_bar()
        where = torch.device(pick_device() if device == "auto" else device)
        kind = pick_dtype(where) if dtype == "auto" else DTYPES[dtype]
        tokenizer = load_tokenizer(Path(path), Path(path).name)
        with Foreign(f"model folder {path}: expected a causal LM that transformers can load, found"):
            loaded: tuple[PreTrainedModel, Mapping[str, Collection[str]]] = AutoModelForCausalLM.from_pretrained(
                path, dtype=kind, trust_remote_code=False, output_loading_info=True
            )  # type: ignore[assignment]
        model, found = loaded
        if absent := sorted(found["missing_keys"]):
            raise ModelUnavailable(
                f"model folder {path}: {len(absent)} weights of a {facts.architecture} are missing, e.g. {absent[0]}; "
                "expected a whole causal LM (fetch the model again, or choose its causal LM)"
            )
        torch.nn.Module.to(model, where)
        _own(model)
        return cls(model, tokenizer, context=facts.context, weight_hash=facts.weight_hash, name=Path(path).name)

    @cached_property
    def chat(self) -> Chat:
        """Its chat template, tried."""
        return open_chat(self.tokenizer, self.name)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    @property
    def head(self) -> OutputHead:
        """From hidden states to logits."""
        return read_head(self.model)

    @property
    def head_VH(self) -> Tensor:
        """Output embedding."""
        return self.head.weight_VH

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of a conversation through the chat template, ending where the reply begins.

        Raises UserError without a chat template, PromptTooLong for one that leaves no room for a reply.
        """
        tokens = self.tokens_of(messages)
        if len(tokens) >= self.context:
            start = messages[-1].content[:60] if messages else ""
            raise PromptTooLong(
                f"prompt of {len(tokens)} tokens: expected fewer than the context of {self.context} of model "
                f"{self.name} (last message starts {start!r}); shorten the prompt or use a model with a longer context"
            )
        return tokens

    def tokens_of(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The same, whatever its length."""
        key = tuple(messages)
        if key in self._encoded:
            self._encoded.move_to_end(key)
            return self._encoded[key]
        tokens = self._encoded[key] = self._encode(key)
        self._encoded_tokens += len(tokens)
        while self._encoded_tokens > ENCODED:
            _, oldest = self._encoded.popitem(last=False)
            self._encoded_tokens -= len(oldest)
        return tokens

    def _encode(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        return tuple(self.chat.encode(messages))

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of token ids without special tokens."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def manifest(self) -> BaseManifest:
        """What an adapter must fit; see `league.model.adapter_checks`."""
        if self._manifest is None:
            shapes = {path: layer_shape(layer) for path, layer in linear_layers(self.model).items()}
            self._manifest = BaseManifest(self.weight_hash, shapes)
        return self._manifest

    def linears(self, targets: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Path → (outputs, inputs) of every linear layer whose last name is in `targets`.

        In the model's own order.
        """
        wanted = set(targets)
        return {path: shape for path, shape in self.manifest().linears.items() if path.rsplit(".", 1)[-1] in wanted}


def _own(model: PreTrainedModel) -> None:
    """Copy parameters out of the file they are mapped from.

    One left behind keeps all of the file's pages in memory, and the fused engine replaces most of them.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()


def available_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(threads: int | None) -> None:
    """The one place where the number of compute threads is set.

    OMP_NUM_THREADS wins over the default, not over an argument.

    Called before the first product, it also bounds how many kernels the CPU library keeps, which it reads once.
    """
    if threads is None and os.environ.get("OMP_NUM_THREADS", "").isdigit():
        threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(max(1, threads or available_cores()))
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS))


def require_device(device: str) -> None:
    """Raises UserError where the tensor library cannot use `device` ("cuda" or "mps") here."""
    if not (torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()):
        raise UserError(
            f"model.device: '{device}' is not available to torch {torch.__version__} on this machine; use auto or cpu"
        )


def pick_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it natively, else fp32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, turn_end: int | None) -> frozenset[int]:
    """Tokens that end a reply: those of the model's files, and its chat template's end of turn."""
    found: set[int] = set() if turn_end is None else {turn_end}
    for value in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        found.update([value] if isinstance(value, int) else value or [])
    return frozenset(found)
