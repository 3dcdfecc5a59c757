"""Players without weights: a mixed strategy over fixed texts, or a user's own function.

They are opponents and yardsticks, never trained.

A reply depends only on (request seed, sample): the same match draws the same replies. Replies carry no tokens.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from league.errors import BackendError, Foreign, UserError
from league.registry import find
from league.seeds import generator
from league.types import Message, Reply, Request

Script = Callable[[Sequence[Message], np.random.Generator], str]
"""(what the player sees, its random stream) → what it says."""


def mixed_strategy(says: Mapping[str, float]) -> Script:
    """A script that says each text with its probability.

    Raises UserError unless the weights are positive in sum.
    """
    texts, weights = list(says), np.array([float(weight) for weight in says.values()])
    if not texts or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise UserError(
            f"a scripted player needs texts with weights of at least 0 and a positive sum, found {dict(says)}"
        )
    shares = weights / weights.sum()
    return lambda messages, stream: texts[int(stream.choice(len(texts), p=shares))]


def imported(path: str) -> Script:
    """A user's function by dotted path, "package.module:function".

    Raises UserError when it cannot be imported.
    """
    found = find(path, "script")
    if not callable(found):
        raise UserError(f"script '{path}': expected 'package.module:function' naming a function")
    return found


class ScriptedBackend:
    """Answers for the agents in `scripts`."""

    def __init__(self, scripts: Mapping[str, Script]):
        self.scripts = dict(scripts)

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> tuple[Reply, ...] | BackendError:
        if request.version is None or request.version.agent not in self.scripts:
            return BackendError(f"no script for {request.version or 'the base model'}")
        script = self.scripts[request.version.agent]
        streams = (generator(request.seed, "script", sample) for sample in request.draws)
        with Foreign(f"agents.{request.version.agent}: its script fails"):
            return tuple(Reply(str(script(request.messages, stream)), "end") for stream in streams)
