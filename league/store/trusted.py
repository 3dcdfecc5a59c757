"""Which runs this user trusts: begun here, or allowed by `league trust`. Kept outside of runs.

A run folder may come from a stranger, so nothing inside it can say that it is ours. This user's own state folder
remembers, for each run by its id, the uses it was allowed: addresses, keys, code, models, data. A run that is moved,
renamed or copied keeps its id. A run whose configuration was changed to name more than it was allowed is foreign again.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from league.errors import RunFolderError
from league.store import fs
from league.store.reader import RunReader


@dataclass(frozen=True)
class Access:
    """Something that a configuration names and a stranger could misuse.

    `value`: an address, a dotted path of code, a model's hub id, or where data is read from. `key`: the environment
    variable whose value an address is sent; "" where it is sent none.
    """

    kind: Literal["address", "code", "model", "data"]
    value: str
    key: str = ""

    @property
    def words(self) -> str:
        """What it comes to, for people."""
        if self.kind == "address":
            return f"asks {self.value}, " + (f"with the key in ${self.key}" if self.key else "without a key")
        if self.kind == "data":
            return f"reads the data {self.value} and shows it to its agents"
        return f"runs the code {self.value}" if self.kind == "code" else f"fetches the model {self.value} from the hub"


def state_root() -> Path:
    """$LEAGUE_STATE, else league/ in $XDG_STATE_HOME or ~/.local/state.

    Raises OSError where there is no home.
    """
    if given := os.environ.get("LEAGUE_STATE"):
        try:
            return Path(given).expanduser()
        except RuntimeError as error:
            raise OSError(2, "LEAGUE_STATE names the home of a user that is not here", given) from error
    if base := os.environ.get("XDG_STATE_HOME"):
        return Path(base) / "league"
    try:
        return Path.home() / ".local" / "state" / "league"
    except RuntimeError as error:
        raise OSError(2, "this user has no home folder") from error


def trusted_uses(folder: Path) -> frozenset[Access]:
    """What the run in `folder` was allowed by this user; nothing for a foreign one."""
    try:
        noted = json.loads(_place(folder).read_text(encoding="utf-8"))
        return frozenset(Access(*(str(part) for part in parts)) for parts in noted["uses"])  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()


def trust(folder: Path, uses: Iterable[Access]) -> None:
    """Allow the run in `folder` these uses, besides those it was allowed before. Raises OSError."""
    place = _place(folder)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    allowed = sorted({(use.kind, use.value, use.key) for use in (*trusted_uses(folder), *uses)})
    fs.replace_file(place, json.dumps({"folder": str(folder.resolve()), "uses": allowed}, indent=1).encode())


def distrust(folder: Path) -> bool:
    """Make the run foreign again; False where it was so already. Raises OSError."""
    place = _place(folder)
    known = place.exists()
    place.unlink(missing_ok=True)
    return known


def _place(folder: Path) -> Path:
    """Runs of before there were ids go by the second in which they were created."""
    with RunReader.read(folder) as reader:
        try:
            name = reader.meta("id")
        except RunFolderError:
            name = reader.meta("created")
    return state_root() / "trusted" / (hashlib.sha256(name.encode()).hexdigest()[:32] + ".json")
