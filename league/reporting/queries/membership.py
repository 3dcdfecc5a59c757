"""Who is in a run, who is about to join or leave, and who left it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from league.config.changes import Joining, Leaving
from league.store import agent_requests
from league.store.reader import RunReader


@dataclass(frozen=True)
class AgentStanding:
    """One agent of a run, as `league agents list` shows it."""

    name: str
    role: str
    domain: str | None
    version: str | None
    """Its newest one; None for an agent that has not joined yet."""
    standing: str
    """"member", "joins …", "leaves …" or "left after round N"."""


def membership(reader: RunReader) -> list[AgentStanding]:
    """Members in their order, then who joins, then who left. What was asked for and not done yet counts."""
    state = reader.state()
    leaving = {
        r.change.name for r in agent_requests.waiting_agent_requests(reader.folder) if isinstance(r.change, Leaving)
    }
    rows = [
        AgentStanding(
            member["name"],
            member["role"],
            member["domain"],
            member["version"],
            "leaves before the next round" if member["name"] in leaving else "member" + _quarantined(state, member),
        )
        for member in state.get("population", {}).get("members", ())
    ]
    for request in agent_requests.waiting_agent_requests(reader.folder):
        if isinstance(request.change, Joining):
            agent = request.change.agent
            what = "joins before the next round"
            rows.append(AgentStanding(request.change.name, str(agent.get("role")), agent.get("domain"), None, what))
    for left in state.get("left", ()):
        member, asked = left["member"], {row.name for row in rows}
        if member["name"] not in asked:
            said = f"left after round {left['round']}"
            rows.append(AgentStanding(member["name"], member["role"], member["domain"], member["version"], said))
    return rows


def settings_of_left(reader: RunReader) -> dict[str, Mapping[str, Any]]:
    """name → its section of the configuration, of the agents that left and may come back."""
    return {row["member"]["name"]: row["settings"] for row in reader.state().get("left", ())}


def _quarantined(state: Mapping[str, Any], member: Mapping[str, Any]) -> str:
    """Why a member learns no more, where an alarm stopped it."""
    return ", in quarantine" if member["name"] in state.get("guards", {}).get("quarantined", ()) else ""
