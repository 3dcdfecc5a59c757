"""What inputs are cut from: runs, configs, a model and an adapter, made once in a folder."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args, get_origin

import yaml

ROOT = Path(__file__).parents[2]
GAMES = """
name: games
runs: .
agents:
  rocky: {role: scripted, says: {rock: 1}}
  pat: {role: scripted, says: {paper: 1, rock: 0.5}}
  sid: {role: scripted, says: {scissors: 1}}
tasks:
  game: {kind: matrix_game, matches: 3, settings: {game: rock-paper-scissors}}
evaluation: {every: 1, versions: {matches: 2, final_matches: 2}}
league: {rounds: 3, snapshot_every: 1, snapshots_kept: 2}
"""
SUMS = """
name: sums
runs: .
domains:
  sums: {kind: chain_sum}
agents:
  one: {role: scripted, says: {"1": 1}}
  two: {role: scripted, says: {"2": 1, "Answer: 3": 1}}
tasks:
  sums: {kind: contest, matches: 2, settings: {items: 2, answers: 2}}
evaluation: {every: 1, problems: 2, final_problems: 2}
league: {rounds: 2}
"""
LEARNER = {
    "name": "learner",
    "runs": ".",
    "model": {"device": "cpu", "dtype": "float32", "threads": 1},
    "adapter": {"rank": 2, "alpha": 4, "targets": ["q_proj", "v_proj"]},
    "domains": {"sums": {"kind": "chain_sum"}},
    "agents": {"ada": {"role": "student"}, "rocky": {"role": "scripted", "says": {"1": 1}}},
    "tasks": {"sums": {"kind": "contest", "matches": 1, "settings": {"items": 1, "answers": 2}}},
    "evaluation": {"problems": 1, "final_problems": 1},
    "league": {"rounds": 1},
}


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command."""

    name: str
    argument: bool
    required: bool
    many: bool
    flag: bool
    spellings: Sequence[str]
    choices: Sequence[str]


@dataclass
class Shelf:
    """Everything that inputs are made of."""

    folder: Path
    runs: dict[str, Path] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    playable: list[str] = field(default_factory=lambda: ["games.yaml", "sums.yaml"])
    """Configs that need no model."""
    model: Path | None = None
    """A tiny model; None where none is wanted."""
    checkpoint: Path | None = None
    learner: str = ""
    """A config over that model."""
    parameters: Mapping[str, Sequence[Parameter]] = field(default_factory=dict)


def make(folder: Path, *, models: bool) -> Shelf:
    """Make what is not there yet. `models`: also a tiny model, an adapter over it, and a run that trained it."""
    shelf = Shelf(folder, parameters=parameters())
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        shelf.configs[str(path.relative_to(ROOT / "configs"))] = path.read_text(encoding="utf-8")
    shelf.configs |= {"games.yaml": GAMES, "sums.yaml": SUMS}
    _no_default_model(folder / "cache")
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for name, text in (("games", GAMES), ("sums", SUMS)):
        shelf.runs[name] = _trained(folder / "runs" / name, text)
    shelf.runs["open"] = _trained(folder / "runs" / "open", GAMES)
    config = shelf.runs["open"] / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("  rounds: 3\n", "  rounds: 5\n"), encoding="utf-8")
    shelf.runs["scripted"] = _scripted(folder / "runs" / "scripted")
    shelf.runs["begun"] = _begun(folder / "runs" / "begun")
    if models:
        _models(shelf)
    return shelf


def parameters() -> dict[str, list[Parameter]]:
    """Command → what it takes, as the program itself has it."""
    import typer.main

    from league.cli import app

    group = typer.main.get_command(app)
    return {
        name: [
            Parameter(
                name=each.name,
                argument=each.param_type_name == "argument",
                required=each.required,
                many=each.nargs == -1,
                flag=bool(getattr(each, "is_flag", False)),
                spellings=[*each.opts, *each.secondary_opts],
                choices=_choices(each.type_descriptor.annotation),
            )
            for each in command.params
        ]
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }


def _choices(annotation: object) -> list[str]:
    """The words that a `Literal`, or a union with one, allows."""
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for each in get_args(annotation) for word in _choices(each)]


def _trained(place: Path, text: str) -> Path:
    if not place.exists():
        from league.loop import train
        from league.preflight.checks import prepare_file
        from tests.leagues import Nobody

        path = [*sys.path]
        with contextlib.chdir(place.parent):  # so that its config names no other place
            Path("config.yaml").write_text(text, encoding="utf-8")
            prepared = prepare_file(Path("config.yaml"), [f"name={place.name}"])
            train(prepared, Nobody())
        sys.path[:] = path
    return place


def _scripted(place: Path) -> Path:
    """A run with adapters and optimizers, whose state is another program's."""
    from .scripted import Script, run_to

    if not place.exists():
        run_to(place, 5, Script(agents=2, matches=2, transcripts=1))
    return place


def _begun(place: Path) -> Path:
    """A run that was killed before its first commit."""
    from league.config import parse_config
    from league.runtime.assembly import retention_of
    from league.store.run import RunStore

    if not place.exists():
        config = parse_config(GAMES, "games")
        RunStore.create(place, config.dump(), retention_of(config)).close()
    return place


def _no_default_model(cache: Path) -> None:
    """The default model is found in the cache, and is damaged: no input fetches it."""
    from league.model.fetch import PACKAGED

    for name in PACKAGED:
        folder = cache / "models" / name.replace("/", "--")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(
            '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 512}'
        )
        (folder / "model.safetensors").write_bytes(b"damaged")
    os.environ["LEAGUE_CACHE"] = str(cache)


def _models(shelf: Shelf) -> None:
    """The model and what it is needed for. What only some inputs import is imported here, once for all processes."""
    import league.evaluation.crossplay
    import league.evaluation.on_demand
    import league.reporting.report
    import league.round.report
    import league.runtime.export
    import league.store.repair  # noqa: F401  (all for their cost)
    from league.model.bank import AdapterBank, LoraSpec
    from league.model.base import BaseModel
    from league.model.peft_io import export_peft
    from league.types import Version
    from tests.conftest import write_tiny_model

    shelf.model, shelf.checkpoint = shelf.folder / "model", shelf.folder / "peft"
    if not shelf.model.exists():
        write_tiny_model(shelf.model, eos_token_id=list(range(2, 67)))
    if not shelf.checkpoint.exists():
        bank = AdapterBank(BaseModel.load(shelf.model, device="cpu", dtype="float32", threads=1))
        bank.add(Version("ada", 0), LoraSpec(2, 4.0, ("q_proj", "v_proj")), seed=1, trainable=True)
        export_peft(bank, Version("ada", 0), shelf.checkpoint, "tiny")
    data = {**LEARNER, "model": {**LEARNER["model"], "name": str(shelf.model)}}  # type: ignore[dict-item]
    shelf.learner = yaml.safe_dump(data)
    shelf.runs["tiny"] = _trained(shelf.folder / "runs" / "tiny", shelf.learner)
