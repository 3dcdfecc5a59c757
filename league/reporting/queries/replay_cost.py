"""What it takes on the disk that a run's matches can be played again (`league.keep: replayable`)."""

from league.reporting.views import ReplayCost
from league.store.garbage import wanted
from league.store.reader import RunReader


def replay_cost(reader: RunReader) -> ReplayCost | None:
    """Bytes of the transcripts, and of the adapters that nothing but replays needs.

    None where nothing is kept so.

    The transcripts' bytes include those that a run keeps without being asked.
    """
    if reader.state().get("config", {}).get("league", {}).get("keep") != "replayable":
        return None
    query = "SELECT count(DISTINCT round), coalesce(sum(bytes), 0) FROM transcripts"
    rounds, replies = reader.db.execute(query).fetchone()
    needed = wanted(reader.db)
    blobs = {raw.hex(): size for raw, size in reader.db.execute("SELECT sha, bytes FROM blobs").fetchall()}
    return ReplayCost(rounds, replies, sum(size for sha, size in blobs.items() if sha not in needed))
