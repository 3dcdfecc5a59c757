"""Agents that left the league, as they were: what it takes to come back.

They are met no more and learn no more. The round's state names their last version and their frozen pasts, so the store
keeps those weights; their payoffs and ratings stay in the database as everyone's do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from league.population.history import AgentHistory
from league.population.members import Member, member_from_json, member_to_json
from league.types import Version


@dataclass(frozen=True, kw_only=True)
class LeftAgent:
    """An agent as it left."""

    member: Member
    pasts: tuple[Version, ...]
    history: AgentHistory
    round: int
    """The last round that it was a member of."""
    settings: Mapping[str, Any]
    """Its section of the configuration; empty where nobody knows it any more."""

    def to_json(self) -> dict[str, Any]:
        return {
            "member": member_to_json(self.member),
            "pasts": [str(version) for version in self.pasts],
            "history": self.history.to_json(),
            "round": self.round,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LeftAgent":
        return cls(
            member=member_from_json(data["member"]),
            pasts=tuple(map(Version.parse, data["pasts"])),
            history=AgentHistory.from_json(data["history"]),
            round=int(data["round"]),
            settings=dict(data["settings"]),
        )
