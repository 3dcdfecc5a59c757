"""Train and resume from Python, as `league train` and `league resume` do; the run comes back opened."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from league import loop
from league.api.callbacks import Callback, with_callbacks
from league.api.run import OpenRun
from league.config import Config, try_parse_config
from league.errors import ConfigError, UserError
from league.preflight.checks import Prepared, prepare, prepare_file
from league.registry import add_code_folders
from league.reporting.write_schedule import WriteSchedule
from league.round.report import LiveReport
from league.runtime.changed_config import read_changed
from league.store.reader import RunReader

Overrides = Sequence[str] | Mapping[str, object]
"""Settings as "key.sub=value", or {"key.sub": value}; they come after the config's."""


def train_run(
    config: "str | Path | Mapping[str, object] | Config",
    overrides: Overrides = (),
    *,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> OpenRun:
    """Start a run and train it to its end; returns it, opened.

    `config` is a YAML file, a dict of the same form, or a Config. `callbacks` are called after each round, behind those
    that the config names. `quiet` prints nothing; TensorBoard is written all the same. Raises UserError, before a model
    is loaded or a folder is made, with all that is wrong; KeyboardInterrupt where a person interrupts twice.
    """
    prepared = _prepared(config, _texts(overrides))
    chosen = prepared.config
    with LiveReport(chosen.folder, chosen.league.rounds, quiet=quiet) as report:
        loop.train(prepared, with_callbacks(report, chosen, callbacks))
    return OpenRun(chosen.folder)


def resume_run(
    run: "str | Path | OpenRun",
    overrides: Overrides = (),
    *,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> OpenRun:
    """Continue a run from its last committed round, with other settings where given; returns it, opened.

    Raises UserError where the folder does not allow it, or a setting cannot change any more.
    """
    folder = run.folder if isinstance(run, OpenRun) else Path(run)
    with RunReader.read(folder) as reader:
        done = reader.latest_round()
    changes = _texts(overrides)
    config = read_changed(folder, changes).config
    rounds = config.league.rounds
    with LiveReport(folder, rounds, first=done, quiet=quiet) as report:
        loop.resume(folder, with_callbacks(report, config, callbacks), changes)
        with RunReader.read(folder) as reader:
            report.complete(reader, WriteSchedule(rounds, config.evaluation.every))
    return OpenRun(folder)


def _prepared(config: "str | Path | Mapping[str, object] | Config", overrides: Sequence[str]) -> Prepared:
    if isinstance(config, str | Path):
        return prepare_file(Path(config), overrides)
    here = Path.cwd()
    add_code_folders(here)
    data = config.model_dump(mode="json") if isinstance(config, Config) else config
    if not isinstance(data, Mapping):
        raise UserError(f"the configuration is a {type(data).__name__}; expected a file, a dict or a Config")
    read = try_parse_config(_as_text(data, "the configuration"), "the configuration", overrides)
    if read.config is None:
        raise ConfigError(read.source, read.problems or ["no section can be read"])
    source = read.source if read.problems else None
    return replace(prepare(read.config, known=read.problems, source=source), code=here)


def _as_text(value: object, what: str) -> str:
    """A value as JSON, which is YAML. Raises UserError for what no config holds."""
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{what} holds what no YAML file can: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r:.80} is a {type(value).__name__}")


def _texts(overrides: Overrides) -> list[str]:
    """Overrides in the form of the command line."""
    if isinstance(overrides, str):
        raise UserError(f"overrides are a list or a dict; write [{overrides!r}]")
    if not isinstance(overrides, Mapping):
        return list(overrides)
    found = []
    for key, value in overrides.items():
        text = value if key == "name" and isinstance(value, str) else _as_text(value, f"override '{key}'")
        found.append(f"{key}={text}")
    return found
