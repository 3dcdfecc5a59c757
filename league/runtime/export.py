"""Choosing the best agents of a run and writing them as PEFT folders with a model card.

They are staged beside the target, then renamed.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from league.errors import RunFolderError, UserError, nearest
from league.model.staging import staging
from league.reporting.queries.model_card_facts import card_exam, card_of
from league.reporting.queries.run_status import current_ratings
from league.reporting.text.model_card import base_name, model_card
from league.store.opening import run_around
from league.store.reader import RunReader
from league.store.run import keep_versions
from league.types import Version, is_name

log = logging.getLogger("league.export")


@dataclass(frozen=True)
class Choice:
    version: Version
    score: float | None


@dataclass(frozen=True)
class Exported:
    agent: str
    version: Version
    folder: Path
    score: float | None


def choose(reader: RunReader, best: int, by: Literal["accuracy", "rating"], names: Sequence[str]) -> list[Choice]:
    """The named agents, or the `best` first by held-out accuracy or overall rating.

    Accuracy is the mean over domains. Raises UserError for unknown names.
    """
    reader.begun()
    live = reader.live()
    scores = (
        _accuracies(reader)
        if by == "accuracy"
        else {rating.version.agent: rating.mu - 3 * rating.sigma for rating in current_ratings(reader, "overall")}
    )
    for name in names:
        if name not in live:
            raise UserError(f"agent '{name}' is not in this run{nearest(name, list(live))}")
    able = [name for name, version in live.items() if reader.version_row(version).blob]
    for name in names:
        if name not in able:
            raise UserError(f"agent '{name}' has no weights to export{nearest('', able)}")
    if not able:
        raise UserError(f"no agent of {reader.folder} has weights to export")
    order = list(dict.fromkeys(names)) or sorted(able, key=lambda name: (-scores.get(name, float("-inf")), name))[:best]
    return [Choice(live[name], scores.get(name)) for name in order]


def _accuracies(reader: RunReader) -> dict[str, float]:
    """agent → held-out accuracy as on its card, mean over domains."""
    state = reader.state()
    found = {name: card_exam(reader, state, version) for name, version in reader.live().items()}
    return {
        name: fmean(estimate.value for _, estimate in sat.accuracies)
        for name, sat in found.items()
        if sat is not None and sat.accuracies
    }


def export_agents(
    run: Path, reader: RunReader, chosen: Sequence[Choice], out: Path, *, merge: bool = False
) -> list[Exported]:
    """Write every chosen version to `out`/<agent>, and pin it in the run.

    Existing folders are refused, and no folder is left behind when one export fails. The pins come first, so that a
    live run cannot delete what is being read; they stay when the export fails. A run folder that cannot be written is
    exported all the same, with a warning.
    """
    targets = _targets(chosen, out)
    from league.model.bank import AdapterBank
    from league.model.base import BaseModel
    from league.model.fetch import locate_model
    from league.model.peft_io import export_peft
    from league.model.peft_io import merge as merge_adapter
    from league.preflight.trust import foreign_uses
    from league.runtime.assembly import read_config
    from league.runtime.checkpoint import load_adapter

    try:
        keep_versions(run, list(targets), "export")
    except RunFolderError as error:
        log.warning("the exported versions are not pinned, so later rounds may delete their weights: %s", error)
    config = read_config(run, trusted=False)  # of what it names only the model is used, and a stranger's not fetched
    own = not foreign_uses(run, config)
    base = BaseModel.load(locate_model(config.model.name, allow_download=own), device="cpu", dtype=config.model.dtype)
    bank = AdapterBank(base)
    name = base_name(config.model.name)
    made = not out.exists()
    try:
        with _staging(out) as scratch:
            for choice in chosen:
                version, folder = choice.version, scratch / choice.version.agent
                load_adapter(reader, bank, reader.version_row(version), trainable=False)
                if merge:
                    merge_adapter(bank, version, folder)
                else:
                    export_peft(bank, version, folder, name)
                base.tokenizer.save_pretrained(folder)
                card = model_card(card_of(reader, version, name, run.resolve().name, merge))
                (folder / "README.md").write_text(card, encoding="utf-8")
            for choice in chosen:
                (scratch / choice.version.agent).rename(targets[choice.version])
    finally:
        if made and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
    return [Exported(choice.version.agent, choice.version, targets[choice.version], choice.score) for choice in chosen]


def _targets(chosen: Sequence[Choice], out: Path) -> dict[Version, Path]:
    """The folder of each version. Raises UserError where something is in the way."""
    for choice in chosen:
        if not is_name(choice.version.agent):
            raise UserError(f"{choice.version.agent!r} is no agent's name, and no folder is named so")
    targets = {choice.version: out / choice.version.agent for choice in chosen}
    for target in targets.values():
        if target.is_symlink() or target.exists():
            raise UserError(f"{target} exists; choose another --out, or remove it")
    if out.is_symlink():
        raise UserError(f"{out} is a symbolic link; exports never write through a link")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; --out names a folder, to write one sub-folder per agent into")
    try:
        around = run_around(out)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write into {str(out)[:200]!r}: {error}; name another folder with --out") from error
    if around is not None:
        raise UserError(f"{out} would be a folder of the run {around}; name one outside of it with --out")
    return targets


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """An empty folder beside the targets, on the same disk, removed at the end.

    What a killed export left there is swept. Raises UserError where `out` cannot be written.
    """
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(staging(out, ".export-"))
        except OSError as error:
            raise UserError(f"cannot write into {out}: {error.strerror}; name another folder with --out") from error
        yield folder
