"""A model's folder tried without its weights, in a second or two: what would loading it run into?

The configuration is read by transformers' own class, the architecture built without memory, the tokenizer loaded and
its chat template rendered. What only the weights can tell is `league.model.proof`'s.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from league.errors import Foreign, ModelUnavailable
from league.model.folder import read_json, require_floats

if TYPE_CHECKING:
    from league.model.chat import Chat


@dataclass(frozen=True)
class TriedModel:
    """What a trial found."""

    chat: "Chat"
    targets: frozenset[str]
    """Last parts of the names of its linear layers, without the head: what adapters may sit on."""


def try_model(path: Path, name: str) -> TriedModel:
    """Try the model in `path`; `name` is what messages call it.

    Raises ModelUnavailable or another UserError that says what is wrong and the remedy.
    """
    _refuse_quantised(path, name)
    skeleton, head = _skeleton(path, name)
    tokenizer = load_tokenizer(path, name)
    from league.model.chat import open_chat, turn_end
    from league.model.linear_layers import linear_layers

    chat = open_chat(tokenizer, name)
    rows = skeleton.get_input_embeddings().num_embeddings
    last, token = max(((number, token) for token, number in tokenizer.get_vocab().items()), default=(0, ""))
    if last >= rows:
        raise ModelUnavailable(
            f"model {name}: its tokenizer has {last + 1:,} tokens (the last is {token!r}), its embedding {rows:,} "
            "rows; fetch the tokenizer that belongs to these weights, or resize the embedding and save the model again"
        )
    if tokenizer.eos_token_id is None:
        raise ModelUnavailable(
            f"model {name}: its tokenizer names no end token, so no reply could end; write the one that its chat "
            "template ends a turn with into tokenizer_config.json as eos_token"
        )
    turn_end(tokenizer, name)
    layers = linear_layers(skeleton)
    return TriedModel(chat, frozenset(path.rsplit(".", 1)[-1] for path, layer in layers.items() if layer is not head))


def load_tokenizer(path: Path, name: str) -> Any:
    """The tokenizer of a model's folder. Raises UserError, naming the file, where none can be read."""
    from transformers import AutoTokenizer

    with Foreign(
        f"model {name}: {path / 'tokenizer.json'} and its neighbours: expected a tokenizer that transformers can "
        f"load{_code_of(path, 'tokenizer_config.json')}; fetch the model again"
    ):
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)


def _skeleton(path: Path, name: str) -> tuple[Any, Any]:
    """(the architecture without memory for weights, its output embedding)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    code = _code_of(path, "config.json")
    with Foreign(f"model {name}: {path / 'config.json'}: expected a causal LM that transformers can load{code}"):
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    head = model.get_output_embeddings()
    if head is None:
        raise ModelUnavailable(
            f"model {name}: type {config.model_type!r} has no output embedding, so it cannot write; choose a causal LM"
        )
    return model, head


def _refuse_quantised(path: Path, name: str) -> None:
    settings = read_json(path / "config.json")
    text = settings.get("text_config")
    found = settings.get("quantization_config") or (text.get("quantization_config") if isinstance(text, dict) else None)
    if found:
        method = found.get("quant_method", "unknown") if isinstance(found, dict) else "unknown"
        raise ModelUnavailable(
            f"model {name}: its weights are quantised ({method}), and adapters are trained over plain ones here; "
            "choose the model's unquantised checkpoint (bfloat16, float16 or float32)"
        )
    require_floats(path, name)


def _code_of(path: Path, file: str) -> str:
    """A hint where a folder brings code of its own, which is never run."""
    place = path / file
    own = read_json(place).get("auto_map") if place.is_file() else None
    if not isinstance(own, dict):
        return ""
    return f" (it asks for code of its own, {', '.join(map(str, own.values()))[:80]}, which is never run here)"
