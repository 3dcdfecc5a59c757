"""The commands of the `league` program, one file a group.

`COMMANDS` is the closed list that `league.cli` registers.
"""

from collections.abc import Callable

from league.commands.agents import agents
from league.commands.analyze import analyze
from league.commands.compare import compare
from league.commands.crossplay import crossplay
from league.commands.export import export
from league.commands.fetch_model import fetch_model
from league.commands.grade import grade
from league.commands.pin import pin, unpin
from league.commands.play import play, show_match
from league.commands.replay import replay
from league.commands.report import report
from league.commands.sweep import sweep
from league.commands.tables import cycles, evaluate, ladder, lineage, payoffs, status
from league.commands.train import pause, resume, stop, train
from league.commands.trust import trust
from league.commands.verify import verify

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "resume": resume,
    "sweep": sweep,
    "pause": pause,
    "stop": stop,
    "agents": agents,
    "status": status,
    "evaluate": evaluate,
    "payoffs": payoffs,
    "cycles": cycles,
    "crossplay": crossplay,
    "analyze": analyze,
    "ladder": ladder,
    "lineage": lineage,
    "play": play,
    "show-match": show_match,
    "replay": replay,
    "export": export,
    "pin": pin,
    "unpin": unpin,
    "report": report,
    "compare": compare,
    "verify": verify,
    "trust": trust,
    "grade": grade,
    "fetch-model": fetch_model,
}
