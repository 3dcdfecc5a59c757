"""How figures look: canvas sizes, colours that survive colour blindness, names that fit.

Leaves out what is drawn.

Figures are matplotlib `Figure` objects, never pyplot (pyplot keeps every figure alive). Colours of agents are those of
Okabe and Ito (2008), told apart further by line style, so that more agents than colours remain distinct.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

from league.errors import UserError
from league.types import Version

INK = "#1f2328"
FAINT = "#8c959f"
GRID = "#e3e6ea"
UNKNOWN = "#eceef1"
HIGHLIGHT = "#d55e00"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6f4fa2", "#44525f")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1, 1.2), (6, 2, 1, 2))
HATCHES = ("", "////", "....", "xxxx")
MAX_LINES = 8
"""Lines drawn in colour in one panel; the others are grey."""


@dataclass(frozen=True)
class Canvas:
    """A figure's size in inches, and how much text it can carry.

    Up to `numbers` agents with numbers in the cells, up to `names` with names.
    """

    width: float
    height: float
    numbers: int
    names: int
    dpi: int = 100
    font: float = 10.0


CARD = Canvas(4.4, 4.0, numbers=8, names=16)
"""A TensorBoard card, shown about 330 px wide."""
PAGE = Canvas(6.8, 5.6, numbers=12, names=32)
"""Half a column of the HTML report."""
WIDE = Canvas(13.0, 4.2, numbers=12, names=40)
"""The whole width of the HTML report."""

_RC: Any = {
    "text.parse_math": False,  # names are text, never formulas
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.labelsize": 10.0,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": GRID,
    "hatch.linewidth": 0.6,
    "hatch.color": "#c9ced4",
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function under this style.

    The process's own matplotlib settings stay as they are.
    """

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_RC):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(canvas: Canvas, height: float | None = None) -> Figure:
    return Figure(figsize=(canvas.width, height or canvas.height), dpi=canvas.dpi, layout="constrained")


def agent_of(name: str) -> str:
    """`name@step` → `name`: every version of an agent has its agent's colour."""
    try:
        return Version.parse(name).agent
    except UserError:
        return name  # an agent's own name, or whatever a table of payoffs calls a player


class Palette:
    """One colour and dash per agent, by order of creation, the same in every figure of a run."""

    def __init__(self, names: Iterable[str] = ()):
        self._index: dict[str, int] = {}
        for name in names:
            self._index.setdefault(agent_of(name), len(self._index))

    def _at(self, name: str) -> int:
        return self._index.setdefault(agent_of(name), len(self._index))

    def colour(self, name: str) -> str:
        return COLOURS[self._at(name) % len(COLOURS)]

    def dash(self, name: str) -> tuple[float, tuple[float, ...]]:
        """(offset, on-off lengths) as matplotlib's `linestyle` takes it."""
        dashes = DASHES[self._at(name) // len(COLOURS) % len(DASHES)]
        return (0.0, dashes or (1.0, 0.0))

    def hatch(self, name: str) -> str:
        """The dash's counterpart for areas."""
        return HATCHES[self._at(name) // len(COLOURS) % len(HATCHES)]


def shorten(name: str, limit: int = 14) -> str:
    """Cut out the middle: the end (a version's step) tells names apart as much as the start does."""
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 2
    return f"{name[: limit - 1 - tail]}…{name[-tail:]}"


def shorten_all(names: Iterable[str], limit: int = 14) -> list[str]:
    """Shorten, adding a running number where two names would become the same."""
    out: list[str] = []
    for name in names:
        short = shorten(name, limit)
        number = 2
        while short in out:
            suffix = f"~{number}"
            short, number = shorten(name, limit - len(suffix)) + suffix, number + 1
        out.append(short)
    return out
