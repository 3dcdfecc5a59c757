"""Where a sweep and its runs stand on the disk: what is finished, begun, failed, or another sweep's.

`sweep.json` says what the sweep is and which runs failed, and why. Everything else is read from the runs themselves.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from league.config import Config, load_config
from league.errors import LeagueError, RunFolderError, UserError
from league.store.environment import flat
from league.store.fs import replace_file
from league.store.lock import owner_alive
from league.store.opening import DATABASE
from league.store.reader import RunReader
from league.sweeps.plan import SweepPlan, SweepRun

FILE = "sweep.json"
Standing = Literal["new", "begun", "finished", "failed", "busy"]
"""Not there yet, interrupted or stopped, at its end, failed earlier, or trained by another process."""


@dataclass(frozen=True)
class RunProgress:
    """How far a run is."""

    standing: Standing
    round: int | None = None
    """The newest committed round, None before the first."""
    reason: str = ""
    """Why it failed, or is busy."""


def progress_of(run: SweepRun, failed: Mapping[str, str]) -> RunProgress:
    """Where a run stands. A run that cannot be read has failed."""
    if not (run.folder / DATABASE).is_file():
        return RunProgress("failed", None, failed[run.label]) if run.label in failed else RunProgress("new")
    try:
        with RunReader.read(run.folder) as reader:
            latest, done = reader.latest_round(), "end" in reader.state().get("marks", {})
    except LeagueError as error:
        return RunProgress("failed", None, str(error))
    if owner_alive(run.folder / "lock"):
        return RunProgress("busy", latest, "another process is training it")
    if done:
        return RunProgress("finished", latest)
    return RunProgress("failed", latest, failed[run.label]) if run.label in failed else RunProgress("begun", latest)


# ------------------------------------------------------------------------------------------------ the sweep's file
def read_failed(folder: Path) -> dict[str, str]:
    """Run's label → why it failed, as the last sweep of this folder left it."""
    failed = _read(folder).get("failed", {})
    return {str(label): str(why) for label, why in failed.items()} if isinstance(failed, dict) else {}


def require_same(plan: SweepPlan) -> None:
    """Raises UserError where the folder holds another sweep, a run, or runs of another config.

    More seeds and more values of the same settings are the same sweep, which goes on.
    """
    if (plan.folder / DATABASE).exists():
        raise RunFolderError(f"{plan.folder} holds a run, not a sweep; choose another name with --name")
    if not plan.folder.exists():
        return
    there = _read(plan.folder)
    if not there:
        if plan.folder.is_dir() and not any(path.name != "lock" for path in plan.folder.iterdir()):
            return
        raise RunFolderError(f"{plan.folder} is there and holds no sweep; choose another name with --name")
    now = _identity(plan)
    if there.get("axes") != now["axes"]:
        raise _another(plan, f"it varies {_listed(there.get('axes'))}, this one {_listed(now['axes'])}")
    before = there.get("settings", {})
    for key in dict.fromkeys([*before, *now["settings"]]):
        old, new = before.get(key, "not there"), now["settings"].get(key, "not there")
        if old != new:
            raise _another(plan, f"{key} was {old}, is {new}")
    for run in plan.runs:
        if (run.folder / "config.yaml").is_file():
            _require_config(plan, run)


def _require_config(plan: SweepPlan, run: SweepRun) -> None:
    """A run that exists must be of the config that the plan has for it."""
    old, new = (flat(_comparable(each)) for each in (load_config(run.folder / "config.yaml"), plan.configs[run.label]))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            raise _another(plan, f"in {run.label} {key} was {old.get(key)}, is {new.get(key)}")


def _another(plan: SweepPlan, what: str) -> UserError:
    return UserError(
        f"{plan.folder} holds a sweep of another config: {what}; choose another name with --name, or put it back"
    )


def write_sweep(plan: SweepPlan, failed: Mapping[str, str]) -> None:
    """Write what the sweep is, and which of its runs failed, whole or not at all."""
    data = _identity(plan) | {"failed": dict(failed)}
    replace_file(plan.folder / FILE, (json.dumps(data, indent=2, sort_keys=True) + "\n").encode())


def _identity(plan: SweepPlan) -> dict[str, Any]:
    """What makes it this sweep: the settings that vary, and the values of all others but the seed."""
    varied = [axis.key for axis in plan.axes if len(axis.values) > 1]
    config = next(iter(plan.configs.values()))
    settings = {key: value for key, value in flat(_comparable(config)).items() if not _under(key, varied)}
    settings = {key: value for key, value in settings.items() if key != "seed"}
    return json.loads(json.dumps({"axes": sorted(varied), "settings": settings}))


def _comparable(config: Config) -> dict[str, Any]:
    """The settings without the places that they name."""
    return config.model_dump(mode="json", exclude={"name", "runs"})


def _under(key: str, sections: Iterable[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _listed(keys: object) -> str:
    return ", ".join(map(str, keys)) if isinstance(keys, list) and keys else "nothing but seeds"


def _read(folder: Path) -> dict[str, Any]:
    """What `sweep.json` says; {} where there is none. Raises RunFolderError for a damaged one."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise RunFolderError(f"{folder} is a file; choose another name with --name") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{path} cannot be read: {error}; remove it if its runs are to stay as they are"
        ) from error
    if not isinstance(found, dict):
        raise RunFolderError(f"{path} holds no sweep; remove it to keep its runs as they are")
    return found
