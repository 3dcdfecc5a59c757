"""Choosing agents and versions of a run and writing them as PEFT folders with a model card.

They are staged beside the target, then renamed.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from league.errors import RunFolderError, UserError, nearest
from league.model.staging import staging
from league.population.best_versions import BestVersions
from league.reporting.queries.model_card_facts import card_exam, card_of
from league.reporting.queries.run_status import current_ratings
from league.reporting.text.model_card import base_name, model_card
from league.store.named_versions import has_weights, named_version
from league.store.opening import run_around
from league.store.reader import RunReader
from league.store.run import keep_versions
from league.types import Version, is_name

log = logging.getLogger("league.export")


@dataclass(frozen=True)
class Choice:
    version: Version
    score: float | None
    folder: str = ""
    """The name of its folder; "" is the agent's."""

    @property
    def place(self) -> str:
        """The folder it is written to, below the one that was asked for."""
        return self.folder or self.version.agent


@dataclass(frozen=True)
class Exported:
    agent: str
    version: Version
    folder: Path
    score: float | None


By = Literal["accuracy", "rating", "validation"]


def choose(reader: RunReader, best: int, by: By, names: Sequence[str]) -> list[Choice]:
    """The named agents and versions, or the `best` agents, first by held-out accuracy or overall rating.

    Accuracy is the mean over domains. By "validation" it is not the newest version of an agent, but the one that was
    best in the run's own measurements. Raises UserError for unknown names, and for versions without weights.
    """
    state = reader.begun()
    if by == "validation":
        return _best_versions(reader, best, names)
    live = reader.live()
    able = {name: version for name, version in live.items() if reader.version_row(version).blob}
    if not able and not names:
        raise UserError(f"no agent of {reader.folder} has weights to export")
    ratings = {rating.version.agent: rating.mu - 3 * rating.sigma for rating in current_ratings(reader, "overall")}
    if names:
        found = dict.fromkeys(_exportable(reader, name, list(able)) for name in names)
        chosen = [Choice(each, None, "" if each in live.values() else f"{each.agent}-{each.step}") for each in found]
    else:
        chosen = [Choice(version, None) for version in able.values()]

    def score(each: Choice) -> float | None:
        if by == "accuracy":
            return _accuracy(reader, state, each)
        return None if each.folder else ratings.get(each.version.agent)

    scored = [replace(each, score=score(each)) for each in chosen]
    return scored if names else _first(scored, best)


def _first(chosen: Sequence[Choice], best: int) -> list[Choice]:
    """The best so many; who has no score comes last."""
    return sorted(chosen, key=lambda each: (-(float("-inf") if each.score is None else each.score), each.place))[:best]


def _exportable(reader: RunReader, name: str, able: Sequence[str]) -> Version:
    """The version that a name stands for, which must have an adapter."""
    version = named_version(reader, name)
    if not has_weights(reader, version):
        raise UserError(f"agent '{name}' has no weights to export{nearest('', list(able))}")
    return version


def _accuracy(reader: RunReader, state: Mapping[str, Any], choice: Choice) -> float | None:
    """Held-out accuracy as on its card, mean over domains; of an older version only what it sat itself."""
    sat = card_exam(reader, state, choice.version)
    if sat is None or not sat.accuracies or (choice.folder and sat.sat_by is not None):
        return None
    return fmean(estimate.value for _, estimate in sat.accuracies)


def _best_versions(reader: RunReader, best: int, names: Sequence[str]) -> list[Choice]:
    """Of each agent the version that was best in the measurements on validation problems; best first."""
    kept = BestVersions.from_json(reader.begun().get("best", {})).versions
    if not kept:
        raise UserError(
            f"{reader.folder} keeps no best versions; `league resume {reader.folder} evaluation.keep_best=accuracy` "
            "keeps them from the next measurement on, or leave --by validation out"
        )
    for name in names:
        if name not in kept:
            raise UserError(f"no best version is kept of '{name}'{nearest(name, list(kept))}")
    chosen = [Choice(kept[name].version, kept[name].score) for name in (names or kept)]
    return chosen if names else _first(chosen, best)


def export_agents(
    run: Path, reader: RunReader, chosen: Sequence[Choice], out: Path, *, merge: bool = False
) -> list[Exported]:
    """Write every chosen version to a folder of `out`, and pin it in the run.

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
                version, folder = choice.version, scratch / choice.place
                load_adapter(reader, bank, reader.version_row(version), trainable=False)
                if merge:
                    merge_adapter(bank, version, folder)
                else:
                    export_peft(bank, version, folder, name)
                base.tokenizer.save_pretrained(folder)
                card = model_card(card_of(reader, version, name, run.resolve().name, merge))
                (folder / "README.md").write_text(card, encoding="utf-8")
            for choice in chosen:
                (scratch / choice.place).rename(targets[choice.version])
    finally:
        if made and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
    return [Exported(choice.version.agent, choice.version, targets[choice.version], choice.score) for choice in chosen]


def _targets(chosen: Sequence[Choice], out: Path) -> dict[Version, Path]:
    """The folder of each version. Raises UserError where something is in the way."""
    for choice in chosen:
        if not is_name(choice.version.agent):
            raise UserError(f"{choice.version.agent!r} is no agent's name, and no folder is named so")
    targets = {choice.version: out / choice.place for choice in chosen}
    if len(set(targets.values())) < len(targets):
        raise UserError(
            "two of the versions would go into one folder; export them one by one, with an --out of its own"
        )
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
