from league.api.agent import Agent as Agent
from league.api.callbacks import RoundEnd as RoundEnd
from league.api.callbacks import StopTraining as StopTraining
from league.api.run import OpenRun as OpenRun
from league.api.run import open as open
from league.api.training import resume_run as resume
from league.api.training import train_run as train

__version__: str
SPINS: int
HOMES: dict[str, str]
__all__ = ["Agent", "OpenRun", "RoundEnd", "StopTraining", "__version__", "open", "resume", "train"]
