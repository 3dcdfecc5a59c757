"""Fixtures everybody shares: a tiny model made here, and the true base model.

`tiny_path` is the folder of a real Llama with random weights and a chat template (2 layers, hidden 32, 4 heads, 2
key-value heads, about 260 byte-level tokens, context 512). `tiny` is a freshly loaded fp32 BaseModel of it. `smollm`
is the folder of SmolLM2-135M-Instruct, skipped only where it truly cannot be had.
"""

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
ROOT = Path(__file__).resolve().parents[1]
_state = tempfile.TemporaryDirectory(prefix="league-tests-")
os.environ["LEAGUE_STATE"] = _state.name
# what runs may do is noted there, and nowhere in the home of who runs the tests
# programs that tests start run this checkout's code, wherever they are started and whatever is installed
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tokenizer(folder: Path, template: str | None = TEMPLATE) -> int:
    """A byte-level tokenizer without merges; pad equals end, as in SmolLM2.

    Returns the size of the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(BPE(vocab={token: index for index, token in enumerate(special + alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return len(special) + len(alphabet)


def write_tiny_model(folder: Path, *, template: str | None = TEMPLATE, seed: int = 0, **changes: object) -> Path:
    """A random Llama in `folder`; `changes` override its configuration."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = write_tokenizer(folder, template)
    settings: dict[str, object] = dict(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(**{**settings, **changes})).to(torch.float32).save_pretrained(folder)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_path: Path):
    from league.model.base import BaseModel

    return BaseModel.load(tiny_path, device="cpu", dtype="float32", threads=1)


@pytest.fixture(scope="session")
def smollm() -> Path:
    from league.errors import ModelUnavailable
    from league.model.fetch import DEFAULT_MODEL, locate_model

    try:
        return locate_model(DEFAULT_MODEL)
    except ModelUnavailable as error:
        pytest.skip(str(error))
