"""What is remembered of alarms between rounds.

It is part of the state, so a resumed run goes on as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from league.types import Version


@dataclass(frozen=True)
class AlarmHistory:
    """By agent: the first round's measurements, the last good version, roll-backs in a row."""

    first: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    good: Mapping[str, Version] = field(default_factory=dict)
    strikes: Mapping[str, int] = field(default_factory=dict)
    quarantined: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    """The newest round's alarms, in words."""

    def without(self, names: frozenset[str]) -> "AlarmHistory":
        """These agents left the league."""
        return replace(
            self,
            first={agent: value for agent, value in self.first.items() if agent not in names},
            good={agent: value for agent, value in self.good.items() if agent not in names},
            strikes={agent: value for agent, value in self.strikes.items() if agent not in names},
            quarantined=tuple(agent for agent in self.quarantined if agent not in names),
        )

    def with_good(self, agent: str, version: Version) -> "AlarmHistory":
        """This version of the agent is the one to go back to."""
        return replace(self, good={**self.good, agent: version})

    def with_strikes(self, agent: str, count: int) -> "AlarmHistory":
        """So many roll-backs in a row; 0 forgets them."""
        others = {name: strikes for name, strikes in self.strikes.items() if name != agent}
        return replace(self, strikes=others | ({agent: count} if count else {}))

    def with_first(self, agent: str, measured: Mapping[str, float]) -> "AlarmHistory":
        """The measurements that later ones of the agent are compared with."""
        return replace(self, first={**self.first, agent: dict(measured)})

    def to_json(self) -> dict[str, Any]:
        return {
            "first": {agent: dict(values) for agent, values in self.first.items()},
            "good": {agent: str(version) for agent, version in self.good.items()},
            "strikes": dict(self.strikes),
            "quarantined": list(self.quarantined),
            "raised": list(self.raised),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "AlarmHistory":
        good = {agent: Version.parse(name) for agent, name in data["good"].items()}
        return cls(dict(data["first"]), good, dict(data["strikes"]), tuple(data["quarantined"]), tuple(data["raised"]))
