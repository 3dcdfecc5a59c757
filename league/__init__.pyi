from league.api.agent import Agent as Agent
from league.api.callbacks import RoundEnd as RoundEnd
from league.api.callbacks import StopTraining as StopTraining
from league.api.run import Run as Run
from league.api.run import open as open
from league.api.training import resume as resume
from league.api.training import train as train

__version__: str
SPINS: int
HOMES: dict[str, str]
__all__ = ["Agent", "Run", "RoundEnd", "StopTraining", "__version__", "open", "resume", "train"]
