"""A backend with known behaviour for tests of rules and rollouts.

Each agent is a function of what it sees, with token-bearing replies.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from league.errors import BackendError
from league.seeds import generator
from league.types import Message, Reply, Request

Policy = Callable[[Sequence[Message], np.random.Generator], str]


class Bernoulli:
    """Policies by agent name; a policy that raises BackendError makes its request fail.

    `batches` records the size of each call.
    """

    def __init__(self, policies: Mapping[str, Policy]):
        self.policies = dict(policies)
        self.batches: list[list[Request]] = []

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        self.batches.append(list(requests))
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> tuple[Reply, ...] | BackendError:
        policy = self.policies[request.version.agent if request.version else "base"]
        try:
            texts = [policy(request.messages, generator(request.seed, sample)) for sample in request.draws]
        except BackendError as error:
            return error
        return tuple(Reply(text, "end", (1, 2, 3), (5, 2), (-0.1, -0.2)) for text in texts)
