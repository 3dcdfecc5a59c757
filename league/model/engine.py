"""Which engine runs a base model: chosen once per bank."""

from league.model.bank import AdapterBank
from league.model.generic import GenericEngine


def engine_for(bank: AdapterBank) -> GenericEngine:
    """The bank's engine, made on first use."""
    if bank.engine is None:
        bank.engine = GenericEngine(bank)
    return bank.engine  # type: ignore[no-any-return]
