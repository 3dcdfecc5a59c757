"""The base model as the judge of domains whose check asks a model (`rubric`). Domains know no tensors.

It answers greedily and without an adapter, so the same reply always gets the same verdict, now and when a run is
resumed. Replies are judged one by one, and what that takes is not among the tokens a run counts.
"""

from collections.abc import Mapping, Sequence

from league.backends.local import LocalBackend
from league.config import Config
from league.errors import BackendError
from league.model.bank import AdapterBank
from league.types import Message, Request, Sampling
from tasks.domains import Domain

TOKENS = 128
"""Of a verdict with its reason."""


def let_base_judge(domains: Mapping[str, Domain], bank: AdapterBank | None, config: Config) -> None:
    """Give every domain that asks a model the base model.

    Without one nothing is given: preflight refuses that.
    """
    if bank is None:
        return
    backend = LocalBackend(bank.base, bank, max_rows=config.model.max_rows)

    def judge(messages: Sequence[Message]) -> str:
        asked = Request(None, tuple(messages), 1, Sampling(temperature=0.0, max_tokens=TOKENS), seed=0)
        (found,) = backend.generate([asked])
        if isinstance(found, BackendError):
            raise found
        return found[0].text

    for domain in domains.values():
        domain.judge_by(judge)
