"""The population as a value: who plays, at which version, with which hyper-parameters, and which frozen pasts remain as opponents.

It holds no weights (the bank does) and does no I/O: every change returns a new value, and `to_json` / `from_json` carry it through the
database exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from league.types import Hyper, Role, Version


@dataclass(frozen=True)
class Member:
    """One agent of the population. A frozen member (`trains` false) keeps its version."""

    name: str
    role: Role
    version: Version
    trains: bool
    hyper: Hyper
    domain: str | None = None
    """An expert's domain; None for who learns all."""
    system: str | None = None
    temperature: float = 1.0
    """Multiplies a task's temperature."""


@dataclass(frozen=True)
class Population:
    """members by name, in the config's order; pasts: agent → its frozen versions, oldest first."""

    members: Mapping[str, Member]
    pasts: Mapping[str, tuple[Version, ...]]

    def trainable(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members.values() if member.trains)

    def with_role(self, *roles: Role) -> tuple[Member, ...]:
        return tuple(member for member in self.members.values() if member.role in roles)

    def live(self) -> dict[str, Version]:
        return {name: member.version for name, member in self.members.items()}

    def frozen(self) -> list[Version]:
        return [version for versions in self.pasts.values() for version in versions]

    def moved(self, versions: Mapping[str, Version]) -> "Population":
        """The population after an update: some members at a new version."""
        members = {name: replace(m, version=versions[name]) if name in versions else m for name, m in self.members.items()}
        return replace(self, members=members)

    def snapshot(self, agent: str, frozen: Version, successor: Version, keep: int) -> tuple["Population", tuple[Version, ...]]:
        """The live version becomes a frozen past and the agent goes on as `successor`; also returns the pasts that leave.

        Of more than `keep` pasts the first and the most recent stay: the first is the measure of progress, the recent ones are opponents.
        """
        history = (*self.pasts.get(agent, ()), frozen)
        kept = history if len(history) <= keep else (history[:1] + history[len(history) - keep + 1 :] if keep > 1 else history[-1:])
        population = replace(self, pasts={**self.pasts, agent: kept}).moved({agent: successor})
        return population, tuple(version for version in history if version not in kept)

    def to_json(self) -> dict[str, Any]:
        return {
            "members": [
                {
                    "name": m.name, "role": m.role, "version": str(m.version), "trains": m.trains, "domain": m.domain, "system": m.system,
                    "temperature": m.temperature,
                    "hyper": {"learning_rate": m.hyper.learning_rate, "kl": m.hyper.kl, "temperature": m.hyper.temperature},
                }
                for m in self.members.values()
            ],
            "pasts": {agent: [str(version) for version in versions] for agent, versions in self.pasts.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Population":
        members = {
            m["name"]: Member(
                m["name"],
                m["role"],
                Version.parse(m["version"]),
                m["trains"],
                Hyper(**m["hyper"]),
                m["domain"],
                m["system"],
                m["temperature"],
            )
            for m in data["members"]
        }
        return cls(members, {agent: tuple(map(Version.parse, versions)) for agent, versions in data["pasts"].items()})
