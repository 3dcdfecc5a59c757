"""Exams of adapters in folders, without a run: those that no arm has trained, candidates, mergers."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.pays.regimes import Asked
from league.backends.local import LocalBackend
from league.evaluation.exams import hold_exam
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.fetch import locate_model
from league.model.peft_io import import_peft
from league.types import Split, Version
from tasks.domains import make_domain


class ExamRoom:
    """The base model, adapters by name, and the problems of a seed."""

    def __init__(self, model: str, seed: int):
        self.bank = AdapterBank(BaseModel.load(locate_model(model), threads=1))
        self.backend = LocalBackend(self.bank.base, self.bank)
        self.seed = seed

    def bring(self, name: str, folder: Path) -> Version:
        """Load a PEFT folder under a name. Raises AdapterRefused where it does not fit the base."""
        version = Version(name, 0)
        if version not in self.bank:
            import_peft(self.bank, version, folder, trainable=False)
        return version

    def examine(
        self,
        asked: Mapping[str, Iterable[str]],
        domains: Mapping[str, Asked],
        problems: int,
        split: Split = "test",
    ) -> dict[str, dict[str, str]]:
        """Name → domain → right (1) and wrong (0) answers, in the domains that each is `asked`."""
        found: dict[str, dict[str, str]] = {name: {} for name in asked}
        for alias, (kind, level) in domains.items():
            who = [Version(name, 0) for name, own in asked.items() if alias in own]
            if not who:
                continue
            sat, _ = hold_exam(
                who,
                {alias: make_domain(kind, level, {}, seed=self.seed, alias=alias)},
                split=split,
                problems=range(problems),
                backend=self.backend,
                players={},
                number=0,
            )
            for each in sat:
                found[each.version.agent][alias] = "".join("01"[right] for right in each.correct)
        return found
