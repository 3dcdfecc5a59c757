"""Figures: what is drawn is what was given, at every size.

Unknowns are blank, and hostile names are plain text.
"""

import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from league.errors import DataError
from league.reporting.figures import curves, graphs, heatmaps, lineage_tree
from league.reporting.figures.style import CARD, COLOURS, PAGE, WIDE, Palette, shorten, shorten_all
from league.reporting.views import (
    CertifiedCycles,
    CertifiedEdge,
    Estimate,
    LadderRow,
    LineageEdge,
    Matrix,
    Panel,
    Series,
)


def matrix(size: int, scale: str = "winrate") -> Matrix:
    rng = np.random.default_rng(size)
    values = rng.uniform(0, 1, (size, size))
    np.fill_diagonal(values, np.nan)
    names = tuple(f"agent_{i}" for i in range(size))
    return Matrix(
        "Win rate", "rate", rows=names, cols=names, values=values, scale=scale, low=values - 0.05, high=values + 0.05
    )  # type: ignore[arg-type]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def draw(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_numbers_to_8_names_to_16_heat_beyond() -> None:
    for size, numbers, names in (
        (4, True, True),
        (8, True, True),
        (9, False, True),
        (16, False, True),
        (17, False, False),
        (64, False, False),
    ):
        axes = heatmaps.heatmap(matrix(size)).axes[0]
        assert (len(axes.texts) == size * size - size) == numbers, size
        labelled = [label.get_text() for label in axes.get_yticklabels() if label.get_text()]
        assert (len(labelled) == size) == names, size


def test_intervals_stand_in_the_cells_while_they_fit() -> None:
    assert all("±.05" in text for text in texts(heatmaps.heatmap(matrix(4))))
    assert not any("±" in text for text in texts(heatmaps.heatmap(matrix(8))))


def test_unknown_is_blank_and_certain_is_bold() -> None:
    values = np.array([[np.nan, 0.9], [0.1, np.nan]])
    view = Matrix(
        "t",
        "u",
        rows=("a", "b"),
        cols=("a", "b"),
        values=values,
        scale="winrate",
        low=values - [[0, 0.1], [0.1, 0]],
        high=values + [[0, 0.05], [0.5, 0]],
    )
    drawn = {t.get_text().split("\n")[0]: t for t in heatmaps.heatmap(view).axes[0].texts}
    assert set(drawn) == {".90", ".10"}
    assert drawn[".90"].get_weight() == "bold" and drawn[".10"].get_weight() == "normal"
    image = heatmaps.heatmap(view).axes[0].images[0].get_array()
    assert image is not None and np.ma.getmaskarray(image).tolist() == [[True, False], [False, True]]


def test_colours_fade_with_uncertainty() -> None:
    """+77 ± 77 must not look like the finding +77 ± 7.

    (e² / (e² + h²))² of its colour stays: ¼ at h = e, (100/101)² at h = e/10; a cell without an interval keeps UNSURE.
    """
    values = np.array([[77.0, 77.0, 77.0, np.nan, 0.0]])
    half = np.array([[7.7, 77.0, np.nan, np.nan, 5.0]])
    names = ("sure", "touching", "one item", "unknown", "nothing")
    view = Matrix(
        "t", "u", rows=("r",), cols=names, values=values, scale="points", low=values - half, high=values + half
    )
    kept = heatmaps.sureness(view)[0]
    assert kept[:3].tolist() == pytest.approx([(100 / 101) ** 2, 0.25, heatmaps.UNSURE]) and kept[4] == 0
    exact = Matrix("t", "u", rows=("r",), cols=names, values=values, scale="points")
    drawn, plain = heatmaps.heatmap(view), heatmaps.heatmap(exact)
    box = drawn.axes[0]

    def seen(figure: Figure, col: int) -> np.ndarray:
        """The colour near a corner of a cell, 0…255, where no number stands."""
        pixels = draw(figure)
        x, y = figure.axes[0].transData.transform((col - 0.4, 0.4))
        return pixels[pixels.shape[0] - int(y), int(x), :3].astype(float)

    full, nothing = seen(plain, 0), seen(plain, 4)
    np.testing.assert_allclose(seen(plain, 1), full)
    for col, share in enumerate(kept[:3]):
        np.testing.assert_allclose(seen(drawn, col), share * full + (1 - share) * nothing, atol=2)
    np.testing.assert_allclose(seen(drawn, 4), nothing, atol=2)
    texts_by_name = {round(text.get_position()[0]): text.get_color() for text in box.texts}
    assert texts_by_name[0] == "white" and texts_by_name[1] == heatmaps.INK, "a number is read on the colour it has"


def test_a_share_fades_to_the_grey_of_the_unknown_not_to_a_lower_share() -> None:
    values, half = np.array([[0.8, 0.8]]), np.array([[0.01, 0.5]])
    view = Matrix(
        "t", "u", rows=("r",), cols=("a", "b"), values=values, scale="share", low=values - half, high=values + half
    )
    assert heatmaps.sureness(view)[0].tolist() == pytest.approx([(1 / 1.0004) ** 2, 0.25])
    veil = heatmaps.heatmap(view).axes[0].images[1].get_array()
    assert veil is not None and veil[0, 1, :3].tolist() == pytest.approx([0xEC / 255, 0xEE / 255, 0xF1 / 255])


def test_scales_are_centred() -> None:
    for scale, centre in (("signed", 0.0), ("winrate", 0.5), ("points", 0.0)):
        image = heatmaps.heatmap(matrix(4, scale)).axes[0].images[0]
        assert image.norm(centre) == pytest.approx(0.5)
    assert heatmaps.heatmap(matrix(4, "share")).axes[0].images[0].norm(1.0) == pytest.approx(1.0)
    weak = Matrix("t", "u", rows=("a",), cols=("b",), values=np.array([[1.0]]), scale="points")
    assert heatmaps.heatmap(weak).axes[0].images[0].norm(1.0) < 0.6  # one point of Δ must not look like a strong effect


def test_strength_order_permutes_rows_and_columns_together() -> None:
    view = matrix(20)
    ordered = heatmaps.by_strength(view)
    place = [view.rows.index(name) for name in ordered.rows]
    assert ordered.rows == ordered.cols
    np.testing.assert_array_equal(ordered.values, view.values[np.ix_(place, place)])
    means = np.nanmean(ordered.values, axis=1)
    assert np.all(np.diff(means) <= 1e-12)


def test_relabelling_agents_permutes_the_picture() -> None:
    view, order = matrix(6), [3, 1, 5, 0, 2, 4]
    names = tuple(view.rows[i] for i in order)
    other = Matrix(
        view.title, view.unit, rows=names, cols=names, values=view.values[np.ix_(order, order)], scale="winrate"
    )
    left, right = (np.ma.filled(heatmaps.heatmap(v).axes[0].images[0].get_array(), -1) for v in (view, other))
    np.testing.assert_allclose(left[np.ix_(order, order)], right)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="expected \\(2, 1\\)"):
        Matrix("t", "u", rows=("a", "b"), cols=("c",), values=np.zeros((1, 2)), scale="share")
    with pytest.raises(DataError, match="2 low for 3 rounds"):
        Series("s", (1, 2, 3), (0.1, 0.2, 0.3), (0.0, 0.1))


def test_numbers_in_few_characters() -> None:
    assert heatmaps.number(0.62, "winrate") == ".62"
    assert heatmaps.number(1.0, "share") == "1.00"
    assert heatmaps.number(-0.5, "signed") == "-.50"
    assert heatmaps.number(-0.04, "points") == "+0.0"
    assert heatmaps.number(12.3, "points") == "+12"
    assert heatmaps.number(12_345, "count") == "12k"


def test_palette_is_the_same_in_every_figure_and_for_every_version() -> None:
    palette = Palette(["alice", "bob"])
    assert palette.colour("alice@7") == palette.colour("alice@40") == COLOURS[0]
    assert palette.colour("bob") == COLOURS[1]
    many = Palette(f"a{i}" for i in range(32))
    assert len({(many.colour(f"a{i}"), many.dash(f"a{i}")) for i in range(32)}) == 32


def test_names_are_cut_in_the_middle_and_stay_distinct() -> None:
    assert shorten("student_with_a_long_name@12", 14).endswith("e@12")
    assert len(set(shorten_all(["student_number_one@1", "student_xumber_one@1"], 12))) == 2


def test_every_figure_draws_with_nothing_one_few_and_64() -> None:
    for size in (0, 1, 4, 64):
        names = [f"agent_{i}" for i in range(size)]
        series = tuple(Series(n, (0, 1, 2), (0.1, 0.2, 0.3), (0.0, 0.1, 0.2), (0.2, 0.3, 0.4)) for n in names)
        panel = Panel(
            "accuracy", "share", series, baseline=Estimate(0.2, 0.1, 0.3), baseline_label="baseline", bounds=(0.0, 1.0)
        )
        edges = tuple(CertifiedEdge(names[i], names[(i + 1) % 3], 0.7, 50) for i in range(3)) if size > 2 else ()
        view = CertifiedCycles(
            tuple(names), edges, cycles=(tuple(names[:3]),) if size > 2 else (), pairs=size * (size - 1) // 2
        )
        lineage = [LineageEdge(f"{n}@0", (), 0, "created") for n in names]
        figures = [
            heatmaps.heatmap(matrix(size)),
            curves.lines(panel),
            curves.line_grid([panel] * 2),
            curves.share_over_time(panel),
            curves.mass_over_time(panel),
            curves.ladder_bars([LadderRow("overall", n, role="student", mu=25.0, sigma=2.0, games=9) for n in names]),
            graphs.cycle_graph(view),
            lineage_tree.lineage_tree(lineage),
        ]
        for figure in figures:
            assert draw(figure).shape[2] == 4


def test_names_are_never_formulas() -> None:
    hostile = Matrix("$\\frac{", "$x$", rows=("$\\bad{",), cols=("<script>",), values=np.array([[0.5]]), scale="share")
    figure = heatmaps.heatmap(hostile)
    draw(figure)  # raises where a text is parsed as mathematics
    shown = " ".join(text.get_text() for text in figure.findobj(Text))
    assert all(name in shown for name in (hostile.title, *hostile.rows, *hostile.cols)), shown


def test_undefined_rounds_are_shaded_gaps() -> None:
    nan = float("nan")
    series = Series("cyclic", (0, 1, 2, 3, 4), (nan, nan, 0.2, nan, 0.3))
    assert curves._gaps(series) == [(-0.5, 1.5), (2.5, 3.5)]


def test_mass_keeps_the_largest_and_sums_the_rest() -> None:
    series = tuple(Series(f"a{i}", (0, 1), (1 / 12, 1 / 12)) for i in range(12))
    figure = curves.mass_over_time(Panel("Nash", "mass", series))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "5 others" and len(labels) == 8


def test_mass_is_not_drawn_where_it_is_undefined() -> None:
    nan = float("nan")
    rounds, known = (2, 4, 6, 8, 10), (nan, 0.4, 0.4, nan, 0.7)
    both = (Series("a", rounds, known), Series("b", rounds, tuple(1 - value for value in known)))
    axes = curves.mass_over_time(Panel("Nash", "mass", both)).axes[0]
    assert [
        tuple(patch.get_window_extent().transformed(axes.transData.inverted()).intervalx.round(6))
        for patch in axes.patches
    ] == [
        (1.5, 3),
        (7, 9),
    ]
    bands = [
        (path.vertices[:, 0].min(), path.vertices[:, 0].max()) for band in axes.collections for path in band.get_paths()
    ]
    assert bands == [(3, 7), (3, 7), (9, 10), (9, 10)]
    nothing = tuple(Series(name, rounds, (nan,) * 5) for name in "ab")
    figure = curves.mass_over_time(Panel("Nash", "mass", nothing))
    assert not figure.axes[0].collections and [text.get_text() for text in figure.legends[0].get_texts()] == [
        "undefined: pairs that never met"
    ]
    draw(figure)


def test_cycle_graph_layers_winners_above_and_reduces_implied_edges() -> None:
    names = ("top", "rock", "paper", "scissors", "bottom")
    cycle = [("paper", "rock"), ("rock", "scissors"), ("scissors", "paper")]
    rest = [("top", n) for n in names[1:]] + [(n, "bottom") for n in names[1:4]]
    view = CertifiedCycles(
        names,
        tuple(CertifiedEdge(a, b, 0.8) for a, b in cycle + rest),
        cycles=(("paper", "rock", "scissors"),),
        pairs=10,
    )
    layers = graphs.component_layers(view)
    assert [[set(c) for c in layer] for layer in layers] == [[{"top"}], [{"rock", "paper", "scissors"}], [{"bottom"}]]
    kept = {(e.winner, e.loser) for e in graphs.essential(view, names)}
    assert set(cycle) <= kept and ("top", "bottom") not in kept and len(kept) == 5
    places = graphs._places(layers)
    assert places["top"][1] > places["rock"][1] > places["bottom"][1]
    figure = graphs.cycle_graph(view, canvas=PAGE)
    assert "1 certified cycle" in figure.axes[0].get_title()


def test_a_ball_of_cycles_shows_some_of_them_and_says_so() -> None:
    """30 agents, each beating the next seven: hundreds of cycles.

    A card shows disjoint ones as far as six names go.
    """
    names = tuple(f"a{i}" for i in range(30))
    edges = tuple(CertifiedEdge(names[i], names[(i + k) % 30], 0.7, 90) for i in range(30) for k in range(1, 8))
    cycles = tuple(tuple(names[(i + 6 * k) % 30] for k in range(5)) for i in range(30))
    assert graphs.some_cycles(cycles, 6) == (cycles[0],) and len(graphs.some_cycles(cycles, 12)) == 2
    assert graphs.some_cycles(cycles, 3) == (cycles[0],)  # one at least, however long
    figure = graphs.cycle_graph(CertifiedCycles(names, edges, cycles=cycles, pairs=435), canvas=CARD)
    assert figure.axes[0].get_title() == "30 certified cycles, 1 of them drawn (arrow: beats)"
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert set(cycles[0]) <= shown and not shown & set(names[1:6])
    assert "25 more agents on cycles, 0 on none" in figure.get_supxlabel()


def test_no_cycle_is_said_not_drawn() -> None:
    view = CertifiedCycles(("a", "b"), (), cycles=(), pairs=1)
    figure = graphs.cycle_graph(view, canvas=CARD)
    assert "No certified cycle (0 of 1 pairs certain)" in figure.axes[0].get_title()


def test_lineage_children_stand_under_their_parents() -> None:
    edges = [
        LineageEdge("a@0", (), 0, "created"),
        LineageEdge("b@0", (), 0, "created"),
        LineageEdge("c@0", ("a@0",), 3, "exploit"),
        LineageEdge("d@0", ("c@0", "b@0"), 5, "merge"),
    ]
    assert list(lineage_tree.agent_rows(edges)) == ["a", "c", "d", "b"]


def test_lineage_grows_with_its_lanes_and_names_all_of_them() -> None:
    edges = [LineageEdge(f"agent_{i}@{step}", (), step, "update") for i in range(64) for step in (0, 9)]
    wide, card = lineage_tree.lineage_tree(edges, canvas=WIDE), lineage_tree.lineage_tree(edges, canvas=CARD)
    named = [label.get_text() for label in wide.axes[0].get_yticklabels()]
    assert named == [f"agent_{i}" for i in range(64)] and wide.get_figheight() > 2 * WIDE.height
    assert card.get_figheight() <= 2.5 * CARD.height and 20 < len(card.axes[0].get_yticks()) < 64
    assert all(list(line.get_xdata()) == [0, 9] for line in wide.axes[0].lines)


def test_drawing_leaves_no_pyplot_and_no_changed_settings() -> None:
    import matplotlib as mpl

    before, loaded = mpl.rcParams["text.parse_math"], "matplotlib.pyplot" in sys.modules
    curves.lines(Panel("t", "u", (Series("a", (0, 1), (0.0, 1.0)),)))
    assert mpl.rcParams["text.parse_math"] == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded
