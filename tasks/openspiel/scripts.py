"""Scripted players of OpenSpiel games: opponents and yardsticks, never trained.

`script: tasks.openspiel.scripts:uniform_mover` plays every legal action alike; it reads them off its prompt.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from league.types import Message
from tasks.openspiel.text import listed_actions


class UniformMover:
    """Plays every legal action alike. `chances` says so exactly, for figures that need no sampling."""

    def chances(self, messages: Sequence[Message]) -> Mapping[str, float]:
        """Reply → its probability; empty for a prompt that lists no actions."""
        names = listed_actions(messages[-1].content)
        return dict.fromkeys(names, 1 / len(names)) if names else {}

    def __call__(self, messages: Sequence[Message], stream: np.random.Generator) -> str:
        """A legal action drawn from the stream; nothing where the prompt lists none."""
        names = listed_actions(messages[-1].content)
        return names[int(stream.integers(len(names)))] if names else ""


uniform_mover = UniformMover()
