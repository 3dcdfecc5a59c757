"""WHO MEETS WHOM: rules that weigh candidate pairings, and the drawing of matches from them.

They weigh by what has been measured.

Every rule is one file and one line in `MATCHMAKERS`; its fields are its parameters. `draw_pairings` draws those of a
round. A user's own rule is a frozen dataclass under `Rule`, named in the config by its dotted path.
"""

from league.matchmaking.draw import draw_pairings
from league.matchmaking.pairing import Mixture, Pairing, Rule, RuleContext
from league.matchmaking.rules import MATCHMAKERS, check_rules, make_mixture, make_rule

__all__ = [
    "MATCHMAKERS",
    "Mixture",
    "make_mixture",
    "Pairing",
    "Rule",
    "RuleContext",
    "check_rules",
    "draw_pairings",
    "make_rule",
]
