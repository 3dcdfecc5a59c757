"""The population as a value: who plays, at which version, with which hyper-parameters.

Also which frozen pasts remain as opponents.

It holds no weights (the bank does) and does no I/O: every change returns a new value, and `to_json` / `from_json`
carry it through the database exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from league.errors import RunFolderError
from league.types import ROLES, Capabilities, Hyper, Role, Version, is_name


@dataclass(frozen=True)
class Member:
    """One agent of the population. A frozen member (`trains` false) keeps its version."""

    name: str
    role: Role
    version: Version
    trains: bool
    hyper: Hyper
    domain: str | None = None
    """The domain an expert, or a remote player, teaches; None for who learns all."""
    system: str | None = None
    targets: tuple[str, ...] | Literal["league"] | None = None
    """Whom an exploiter is there to beat.

    These agents, everyone's frozen past, or nobody in particular.
    """
    twin: Version | None = None
    """The frozen past that still has the very weights of `version`: a snapshot taken just now.
    Meeting it would be meeting oneself."""

    @property
    def can(self) -> Capabilities:
        """What its role means."""
        return ROLES[self.role]

    def teaches_in(self, domains: Sequence[str]) -> tuple[str, ...]:
        """Those of `domains` that it can teach: its own one, or all of them where its role says so."""
        if self.domain is not None:
            return tuple(name for name in domains if name == self.domain)
        return tuple(domains) if self.can.teaches_all else ()

    def may_teach(self, student: str) -> bool:
        """Whether it may sit with this agent: who teaches every domain never teaches itself."""
        return student != self.name or not self.can.teaches_all


@dataclass(frozen=True)
class Population:
    """members by name, in the config's order; pasts: agent → its frozen versions, oldest first."""

    members: Mapping[str, Member]
    pasts: Mapping[str, tuple[Version, ...]]

    def trainable(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members.values() if member.trains)

    def live(self) -> dict[str, Version]:
        return {name: member.version for name, member in self.members.items()}

    def frozen(self) -> list[Version]:
        return [version for versions in self.pasts.values() for version in versions]

    def moved(self, versions: Mapping[str, Version]) -> "Population":
        """The population after an update: some members at a new version."""
        members = {
            name: replace(m, version=versions[name], twin=None) if name in versions else m
            for name, m in self.members.items()
        }
        return replace(self, members=members)

    def changed(self, name: str, **fields: Any) -> "Population":
        """The population with some fields of one member changed."""
        return replace(self, members={**self.members, name: replace(self.members[name], **fields)})

    def joined(self, member: Member) -> "Population":
        return replace(self, members={**self.members, member.name: member})

    def without(self, names: frozenset[str]) -> "Population":
        """The population after these agents left it with all their pasts.

        What they played stays in the payoffs.
        """
        return Population(
            {name: m for name, m in self.members.items() if name not in names},
            {name: pasts for name, pasts in self.pasts.items() if name not in names},
        )

    def retired(self, versions: frozenset[Version]) -> "Population":
        """The population without these pasts."""
        return replace(
            self, pasts={name: tuple(v for v in pasts if v not in versions) for name, pasts in self.pasts.items()}
        )

    def snapshot(
        self, agent: str, frozen: Version, successor: Version, keep: int
    ) -> tuple["Population", tuple[Version, ...]]:
        """The live version becomes a frozen past and the agent goes on as `successor`.

        Also returns the pasts that leave.

        Of more than `keep` pasts the first and the most recent stay: the first is the measure of progress, the recent
        ones are opponents.
        """
        history = (*self.pasts.get(agent, ()), frozen)
        kept = (
            history
            if len(history) <= keep
            else (history[:1] + history[len(history) - keep + 1 :] if keep > 1 else history[-1:])
        )
        population = replace(self, pasts={**self.pasts, agent: kept}).moved({agent: successor})
        population = population.changed(agent, twin=frozen if frozen in kept else None)
        return population, tuple(version for version in history if version not in kept)

    def to_json(self) -> dict[str, Any]:
        return {
            "members": [member_to_json(member) for member in self.members.values()],
            "pasts": {agent: [str(version) for version in versions] for agent, versions in self.pasts.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Population":
        for name in data["pasts"]:
            if not is_name(name):
                raise RunFolderError(f"the stored state names an agent {str(name)[:80]!r}, which no league gives")
        members = {row["name"]: member_from_json(row) for row in data["members"]}
        return cls(members, {agent: tuple(map(Version.parse, versions)) for agent, versions in data["pasts"].items()})


def member_to_json(member: Member) -> dict[str, Any]:
    """One member as the round's state holds it."""
    hyper = member.hyper
    return {
        "name": member.name,
        "role": member.role,
        "version": str(member.version),
        "trains": member.trains,
        "domain": member.domain,
        "system": member.system,
        "targets": member.targets,
        "twin": str(member.twin) if member.twin else None,
        "hyper": {"learning_rate": hyper.learning_rate, "kl": hyper.kl, "temperature": hyper.temperature},
    }


def member_from_json(row: Mapping[str, Any]) -> Member:
    """The member that `member_to_json` gave. Raises RunFolderError for a name that no league gives."""
    if not is_name(row["name"]):
        raise RunFolderError(f"the stored state names an agent {str(row['name'])[:80]!r}, which no league gives")
    return Member(
        name=row["name"],
        role=row["role"],
        version=Version.parse(row["version"]),
        trains=row["trains"],
        hyper=Hyper(**row["hyper"]),
        domain=row["domain"],
        system=row["system"],
        targets=tuple(row["targets"]) if isinstance(row.get("targets"), list) else row.get("targets"),
        twin=Version.parse(row["twin"]) if row.get("twin") else None,
    )
