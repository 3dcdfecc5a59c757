"""Tiny models of many families with random weights, and chat templates as strangers write them.

Hidden size 32, two layers, the vocabulary of the byte-level tokenizer in tests/conftest.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import TEMPLATE, write_tokenizer

NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Gemma's: refuses a system message, and wants user and assistant to take turns."""
DROPS_SYSTEM = (
    "{% for m in messages %}{% if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Leaves a system message out, in silence."""
NO_TURNS = "{% if messages|length > 2 %}{{ raise_exception('One turn only') }}{% endif %}" + TEMPLATE
"""Knows no second turn."""
ROTARY = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=1024,
)
GPT = dict(n_embd=32, n_layer=2, n_head=4, n_positions=1024)


@dataclass(frozen=True)
class Family:
    """How to build a tiny model of it, and which of its layers take adapters."""

    kind: str
    settings: Mapping[str, object]
    targets: tuple[str, ...] = ("q_proj", "v_proj", "down_proj")


FAMILIES: dict[str, Family] = {
    "Llama": Family("llama", ROTARY),
    "Qwen2": Family("qwen2", ROTARY),
    "Qwen3": Family("qwen3", ROTARY),
    "Gemma 2": Family("gemma2", ROTARY | {"query_pre_attn_scalar": 8, "sliding_window": 16}),
    "Gemma 3": Family("gemma3_text", ROTARY | {"query_pre_attn_scalar": 8, "sliding_window": 16}),
    "Mistral": Family("mistral", ROTARY | {"sliding_window": 16}),
    "Phi": Family("phi", ROTARY | {"num_key_value_heads": 4}, ("q_proj", "v_proj", "fc2")),
    "GPT-2": Family("gpt2", GPT, ("c_attn", "c_proj")),
    "GPT-J": Family("gptj", GPT | {"rotary_dim": 4}, ("q_proj", "v_proj", "fc_out")),
    "OPT": Family(
        "opt",
        dict(
            hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=1024,
            word_embed_proj_dim=32,
        ),
        ("q_proj", "v_proj", "fc2"),
    ),
}  # fmt: skip
MORE: dict[str, Family] = {
    "Phi-3": Family("phi3", ROTARY, ("qkv_proj", "down_proj")),
    "Cohere": Family("cohere", ROTARY | {"logit_scale": 0.25}),
    "Granite": Family("granite", ROTARY | {"logits_scaling": 8.0}),
    "OLMo 2": Family("olmo2", ROTARY),
    "SmolLM3": Family("smollm3", ROTARY),
    "Falcon": Family(
        "falcon",
        dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=1024),
        ("query_key_value", "dense"),
    ),
    "GPT-NeoX": Family(
        "gpt_neox",
        dict(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=1024,
        ),
        ("query_key_value", "dense"),
    ),
    "BLOOM": Family("bloom", dict(hidden_size=32, n_layer=2, n_head=4, seq_length=1024), ("query_key_value", "dense")),
}  # fmt: skip
"""Families beyond those that were asked for."""


def write_family(folder: Path, family: Family, *, template: str | None = TEMPLATE, pad: bool = True) -> Path:
    """A random model of `family` in `folder`, its norms and biases moved off 1 and 0."""
    import json

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    vocabulary = write_tokenizer(folder, template)
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2 if pad else None}
    config = AutoConfig.for_model(
        family.kind, **{"initializer_range": 0.2, **family.settings, **special, "vocab_size": vocabulary}
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    model.to(torch.float32).save_pretrained(folder)
    if not pad:
        path = folder / "tokenizer_config.json"
        settings = json.loads(path.read_text())
        settings.pop("pad_token")
        path.write_text(json.dumps(settings))
    return folder
