"""WHO MEETS WHOM: rules that weigh candidate pairings by what has been measured, and a schedule
that mixes them.

Every rule is one file and one line in `MATCHMAKERS`; its fields are its parameters. `schedule` draws the pairings of
a round.
"""

from league.matchmaking.active import Active
from league.matchmaking.cycle import CycleNeighbours
from league.matchmaking.dissimilar import Dissimilar
from league.matchmaking.draw import draw_pairings, make_rule
from league.matchmaking.forgotten import Forgotten
from league.matchmaking.live import Live
from league.matchmaking.pairing import Pairing, Rule, RuleContext
from league.matchmaking.pfsp import Pfsp
from league.matchmaking.rules import MATCHMAKERS, check_rules
from league.matchmaking.self_play import SelfPlay
from league.matchmaking.solver import SolverWeighted
from league.matchmaking.student import Student
from league.matchmaking.teacher import Teacher
from league.matchmaking.uniform import Uniform

__all__ = [
    "MATCHMAKERS",
    "Active",
    "CycleNeighbours",
    "Dissimilar",
    "Forgotten",
    "Live",
    "Pairing",
    "Pfsp",
    "Rule",
    "SelfPlay",
    "RuleContext",
    "SolverWeighted",
    "Student",
    "Teacher",
    "Uniform",
    "check_rules",
    "make_rule",
    "draw_pairings",
]
