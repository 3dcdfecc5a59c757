"""What a run's data sets held when it began: a digest of each, so that a change is refused.

Problems go by their number, and rounds already played rest on them: with other rows the same number is another
problem. Runs without data sets keep nothing.
"""

import json
from collections.abc import Mapping

from league.errors import RunFolderError
from league.store.reader import RunReader
from league.store.run import RunStore
from tasks.domains import Domain

KEY = "data"


def remember_data(store: RunStore, domains: Mapping[str, Domain]) -> None:
    """Note what the data is now, besides what was noted of domains that are gone."""
    began, now = _noted(store), _digests(domains)
    if now and {**began, **now} != began:
        store.set_meta({KEY: json.dumps({**began, **now}, sort_keys=True)})


def refuse_changed_data(reader: RunReader, domains: Mapping[str, Domain]) -> None:
    """Raises RunFolderError where the data of a domain is not what it was when the run began."""
    now = _digests(domains)
    began = _noted(reader) if now else {}
    for name in now.keys() & began.keys():
        if now[name] != began[name]:
            raise RunFolderError(
                f"{reader.folder}: the data of domain '{name}' has changed since the run began (sha256 "
                f"{began[name][:12]}…, now {now[name][:12]}…), so its problems are others; put the file back as it "
                "was, or start a new run"
            )


def _noted(reader: RunReader) -> dict[str, str]:
    """What was noted; a domain that joined later is not there until it was played."""
    try:
        found: dict[str, str] = json.loads(reader.meta(KEY))
    except RunFolderError:
        return {}
    return found


def _digests(domains: Mapping[str, Domain]) -> dict[str, str]:
    return {name: domain.data_digest for name, domain in domains.items() if domain.data_digest is not None}
