"""Models as strangers save them: each is tried before anything is written, and works or is refused with the remedy."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from league.backends.local import LocalBackend
from league.config import parse_config
from league.errors import ConfigError, ModelUnavailable, UserError
from league.loop import train
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.chat import folded, turn_end
from league.model.folder import check_model, weight_files
from league.model.trial import load_tokenizer, try_model
from league.preflight.checks import prepare
from league.types import Message, Request, Sampling
from tests.conftest import TEMPLATE, write_tiny_model
from tests.helpers.model_families import DROPS_SYSTEM, FAMILIES, MORE, NO_SYSTEM, NO_TURNS, write_family
from tests.leagues import Nobody, tiny_config

Spoil = Callable[[Path], object]


def edit(folder: Path, file: str, **changes: object) -> None:
    """Change keys of a JSON file; None takes one out."""
    path = folder / file
    settings = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


def with_template(text: str) -> Spoil:
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


def named_templates(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    edit(folder, "tokenizer_config.json", chat_template=[{"name": "rag", "template": TEMPLATE}])


def own_code(folder: Path) -> None:
    """A type that transformers does not know, with a program that leaves a trace when it runs."""
    edit(
        folder,
        "config.json",
        model_type="odd",
        auto_map={"AutoConfig": "odd.OddConfig", "AutoModelForCausalLM": "odd.Odd"},
    )
    (folder / "odd.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")


def stored_as(dtype: type) -> Spoil:
    def work(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        name = "model.layers.0.mlp.up_proj.weight"
        save_file(tensors | {name: tensors[name].astype(dtype)}, folder / "model.safetensors", {"format": "pt"})

    return work


def one_more_token(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append(
        dict(id=259, content="<tool>", single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    )
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def a_part_missing(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


REFUSED: dict[str, tuple[Spoil, str]] = {
    "quantised": (
        lambda f: edit(f, "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        r"quantised \(bitsandbytes\).*unquantised checkpoint",
    ),
    "stored in 8 bits": (stored_as(np.int8), r"up_proj.weight is stored as I8.*unquantised checkpoint"),
    "named templates": (named_templates, r"named rag, and none is 'default'.*chat_template.jinja"),
    "template of one turn": (
        with_template(NO_TURNS),
        "refuses a conversation of user, assistant, user: .*One turn only",
    ),
    "template that says nothing": (with_template("{{ bos_token }}"), "leaves out what the user says"),
    "broken template": (with_template("{% for %}"), "refuses a conversation of user: TemplateSyntaxError"),
    "more tokens than rows": (
        one_more_token,
        r"tokenizer has 260 tokens \(the last is '<tool>'\), its embedding 259 rows",
    ),
    "an end of turn that is no token": (
        with_template(TEMPLATE.replace("<|im_end|>", "<end_of_turn>")),
        r"ends a turn with '<end_of_turn>', which is no token.*end turns with '<\|im_end\|>'",
    ),
    "no end token": (
        lambda f: edit(f, "tokenizer_config.json", eos_token=None),
        "names no end token.*tokenizer_config.json as eos_token",
    ),
    "code of its own": (own_code, r"asks for code of its own, odd.OddConfig, odd.Odd, which is never run"),
    "an unknown type": (lambda f: edit(f, "config.json", model_type="odd"), "a causal LM that transformers can load"),
    "an encoder": (lambda f: edit(f, "config.json", model_type="t5"), "a causal LM that transformers can load"),
    "a part missing": (a_part_missing, "1 of its 2 files are missing, e.g. model-00002-of-00002"),
    "no part named": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors.index.json").write_text("{}")),
        "index.json: no files",
    ),
    "weights of another make": (
        lambda f: (f / "model.safetensors").rename(f / "consolidated.safetensors"),
        r"missing \*.safetensors \(found consolidated.safetensors: load it with transformers and save it again\)",
    ),
    "no context": (
        lambda f: edit(f, "config.json", model_type="bloom", max_position_embeddings=None),
        "nowhere how long the model's context is; write it there",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_the_remedy_before_anything_is_written(tmp_path: Path, what: str) -> None:
    spoil, expected = REFUSED[what]
    folder = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    spoil(folder)
    config = parse_config(yaml.safe_dump(tiny_config(folder, tmp_path / "runs")), "test")
    with pytest.raises(UserError, match=expected):
        prepare(config, progress=lambda line: None)
    assert not (tmp_path / "runs").exists() and not (folder / "ran").exists()


def test_weights_that_are_not_all_there_are_not_made_up(tmp_path: Path) -> None:
    """transformers fills what is missing with random numbers, and says so in a log."""
    folder = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    save_file({k: v for k, v in tensors.items() if k != name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailable, match=f"1 weights of a LlamaForCausalLM are missing, e.g. {name}"):
        BaseModel.load(folder, device="cpu", dtype="float32", threads=1)
    save_file(tensors | {name: tensors[name][:-1]}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="expected a causal LM that transformers can load"):
        BaseModel.load(folder, device="cpu", dtype="float32", threads=1)


# ----------------------------------------------------------------------------------------------------- templates
ASKED = (Message("system", "Be brief."), Message("user", "1+1?"), Message("assistant", "2"), Message("user", "2+2?"))


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_without_a_system_role_the_text_stands_before_the_first_question(tmp_path: Path, template: str) -> None:
    folder = write_tiny_model(tmp_path / "model", template=template, max_position_embeddings=1024)
    base = BaseModel.load(folder, device="cpu", dtype="float32", threads=1)
    said = base.tokenizer.decode(base.encode(ASKED))
    assert base.chat.folds and said == (
        "<|im_start|>user\nBe brief.\n\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
        "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    )
    usual = BaseModel.load(
        write_tiny_model(tmp_path / "usual", max_position_embeddings=1024), device="cpu", dtype="float32", threads=1
    )
    assert not usual.chat.folds and "<|im_start|>system\nBe brief.<|im_end|>" in usual.tokenizer.decode(
        usual.encode(ASKED)
    )


def test_folding_keeps_everything_that_is_said() -> None:
    assert folded(ASKED)[0] == Message("user", "Be brief.\n\n1+1?") and folded(ASKED)[1:] == list(ASKED[2:])
    assert folded(ASKED[:1]) == [Message("user", "Be brief.")]
    assert folded((ASKED[0], ASKED[2])) == [Message("user", "Be brief."), ASKED[2]]
    assert folded(ASKED[1:]) == list(ASKED[1:])


def test_a_league_runs_over_a_template_without_a_system_role(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model", template=NO_SYSTEM, max_position_embeddings=1024)
    data = tiny_config(folder, tmp_path / "runs", league__rounds=1)
    data["agents"]["ada"]["system"] = "You are Ada."
    train(prepare(parse_config(yaml.safe_dump(data), "test"), progress=lambda line: None), Nobody())


def test_a_conversation_that_the_template_refuses_is_named(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model", template=NO_SYSTEM)
    base = BaseModel.load(folder, device="cpu", dtype="float32", threads=1)
    with pytest.raises(UserError, match="refuses a conversation of user, user: .*must alternate"):
        base.encode((Message("user", "a"), Message("user", "b")))


def test_replies_stop_at_what_the_template_ends_a_turn_with(tmp_path: Path) -> None:
    """The files name another end token, as those of a base model under a chat template do."""
    folder = write_tiny_model(tmp_path / "model", max_position_embeddings=1024, eos_token_id=0)
    edit(folder, "tokenizer_config.json", eos_token="<|endoftext|>")
    tried = try_model(folder, "tiny")
    base = BaseModel.load(folder, device="cpu", dtype="float32", threads=1)
    assert (base.tokenizer.eos_token_id, base.end_tokens) == (0, {0, 2}) and turn_end(base.tokenizer, "tiny") == 2
    request = Request(None, (Message("user", "1+1?"),), 40, Sampling(temperature=2.0, max_tokens=64), seed=1)
    (replies,) = LocalBackend(base, AdapterBank(base)).generate([request])
    ended = [reply for reply in replies if reply.finish == "end"]
    assert tried.chat.tokenizer.eos_token_id == 0 and any(reply.tokens[-1] == 2 for reply in ended)
    assert not any(2 in reply.tokens[:-1] for reply in replies)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("<|im_end|>\n", 2),
        ("\n<|im_end|>", 2),
        ("", None),
        ("\n", None),
        ("\n### User:", None),
        ("</s>", "refused"),
        ("</think> <|endoftext|>", 0),
    ],
)
def test_how_a_template_ends_a_turn(tiny_path: Path, after: str, expected: int | str | None) -> None:
    tokenizer = load_tokenizer(tiny_path, "tiny")
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}" + after + "{% endfor %}"
    if expected == "refused":
        with pytest.raises(ModelUnavailable, match="ends a turn with '</s>', which is no token"):
            turn_end(tokenizer, "tiny")
    else:
        assert turn_end(tokenizer, "tiny") == expected
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    assert turn_end(tokenizer, "tiny") is None


# ----------------------------------------------------------------------------------------------------- what files say
@pytest.mark.parametrize(
    ("family", "changes", "context"),
    [
        ("GPT-2", {}, 1024),
        ("GPT-J", {}, 1024),
        ("BLOOM", {}, 1024),
        ("Gemma 3", {"max_position_embeddings": None}, 131_072),
        ("Llama", {"max_position_embeddings": None}, 2048),
    ],
)
def test_the_context_is_the_familys_own(tmp_path: Path, family: str, changes: dict, context: int) -> None:
    """Under its name in the file, or the default of transformers' class for Gemma 3 and Llama."""
    folder = write_family(tmp_path / "model", (FAMILIES | MORE)[family])
    edit(folder, "config.json", **changes)
    assert check_model(folder).context == context


def test_the_tokenizers_limit_is_the_last_resort(tmp_path: Path) -> None:
    folder = write_family(tmp_path / "model", MORE["BLOOM"])
    edit(folder, "config.json", seq_length=None)
    edit(folder, "tokenizer_config.json", model_max_length=700)
    assert check_model(folder).context == 700
    edit(folder, "tokenizer_config.json", model_max_length=10**30)
    with pytest.raises(ModelUnavailable, match="nowhere"):
        check_model(folder)


def test_a_second_copy_of_the_weights_counts_nothing(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    before = check_model(folder)
    for name in ("consolidated.safetensors", "adapter_model.safetensors"):
        (folder / name).write_bytes((folder / "model.safetensors").read_bytes())
    assert check_model(folder) == before and [file.name for file in weight_files(folder)] == ["model.safetensors"]
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    parts = {"a.weight": "model-00001-of-00001.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert check_model(folder).parameters == before.parameters


def test_targets_are_layers_of_the_model_that_is_built(tmp_path: Path) -> None:
    folder = write_family(tmp_path / "model", FAMILIES["GPT-2"])
    config = parse_config(yaml.safe_dump(tiny_config(folder, tmp_path / "runs")), "test")
    with pytest.raises(ConfigError, match=r"no linear layer 'q_proj'.*its layers: c_attn, c_fc, c_proj"):
        prepare(config, progress=lambda line: None)
