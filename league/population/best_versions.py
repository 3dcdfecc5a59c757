"""The best version of every agent so far, and whether the league still gets better.

Both look at measurements on validation problems only: test problems must decide nothing. What is named here is part
of the round's state, and the store keeps the weights of versions that a state names.

Failure case. The best of many noisy measurements looks better than it is: a score here is no estimate of accuracy. To
tell people how good a version is, measure it again (`league evaluate RUN NAME@STEP --split test`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from league.types import Version


@dataclass(frozen=True)
class BestVersion:
    """A version and what it reached: accuracy in 0…1, or a rating (mu − 3 sigma)."""

    version: Version
    score: float
    round: int


@dataclass(frozen=True)
class BestVersions:
    """agent → the best of its versions that were measured while this was switched on."""

    versions: Mapping[str, BestVersion] = field(default_factory=dict)
    by: str = ""
    """What the scores are; scores of another kind cannot be compared with them."""

    def more(self, by: str, found: Mapping[Version, float], number: int) -> "BestVersions":
        """With what was measured in round `number`. Of two equal scores the older version stays."""
        versions = dict(self.versions) if by == self.by else {}
        for version, score in found.items():
            before = versions.get(version.agent)
            if before is None or score > before.score:
                versions[version.agent] = BestVersion(version, score, number)
        return BestVersions(versions, by)

    def to_json(self) -> dict[str, Any]:
        """A version is written as `name@step`, by which its weights are kept."""
        if not self.versions:
            return {}
        rows = {
            name: {"version": str(each.version), "score": each.score, "round": each.round}
            for name, each in self.versions.items()
        }
        return {"by": self.by, "versions": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "BestVersions":
        rows = data.get("versions", {})
        versions = {
            name: BestVersion(Version.parse(row["version"]), float(row["score"]), int(row["round"]))
            for name, row in rows.items()
        }
        return cls(versions, str(data.get("by", "")))


@dataclass(frozen=True)
class Improvement:
    """The best value of a watched quantity so far, and for how many measurements it has not been beaten."""

    best: float | None = None
    round: int = 0
    """In which `best` was measured."""
    since: int = 0
    """Measurements after that one."""
    metric: str = ""
    """What is watched; "" in runs of before it was kept."""

    def of(self, metric: str) -> "Improvement":
        """What is known of `metric`: nothing where another one was watched."""
        return replace(self, metric=metric) if self.metric in ("", metric) else Improvement(metric=metric)

    def measured(self, value: float, number: int, least: float) -> "Improvement":
        """After one more measurement. An improvement is one by more than `least`."""
        if self.best is None or value > self.best + least:
            return Improvement(value, number, metric=self.metric)
        return replace(self, since=self.since + 1)

    def to_json(self) -> dict[str, Any]:
        if self.best is None:
            return {}
        return {"best": self.best, "round": self.round, "since": self.since, "metric": self.metric}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Improvement":
        if not data:
            return cls()
        return cls(float(data["best"]), int(data["round"]), int(data["since"]), str(data.get("metric", "")))
