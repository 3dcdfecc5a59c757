"""`league report RUN`: one self-contained page.

Figures are inline SVG, there are no scripts and no external resources. Every text goes through jinja2's autoescape, and
text from models through `transcripts.clean` before that. A Content-Security-Policy in the page forbids scripts and
network even if an escape were missed.
"""

import io
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from league.reporting.queries.channel_audit import channel_name, teacher_name
from league.reporting.queries.estimates import difference
from league.reporting.text.channel_audit import LATE, NOBODY, NOT_MEASURED, by_effect
from league.reporting.text.spending import count, spending_rows
from league.reporting.text.tables import duration
from league.reporting.text.transcripts import caption, clean, heading, parse
from league.reporting.views import CertifiedCycles, Estimate, Gain, Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = 4096
"""Bytes of a page within which it says whose it is."""

Verdict = tuple[str, str]
"""(tone, sentence); the tone is "good", "bad" or "open"."""


def render(report: Report) -> str:
    """The whole page. Raises DataError when a transcript is not of the stored shape."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        percent=percent_with_interval,
        points=points,
        plain=plain,
        clean=clean,
        duration=duration,
        count=count,
        rows=spending_rows,
        teacher=teacher_name,
        channel=channel_name,
        by_effect=by_effect,
    )
    template = environment.from_string(
        files("league.reporting.text").joinpath("templates/report.html").read_text(encoding="utf-8")
    )
    figures = {
        name: [Markup(svg(figure, f"{name}{i}")) for i, figure in enumerate(drawn)]
        for name, drawn in figures_of(report).items()
    }
    return template.render(
        report=report,
        verdicts=verdicts(report),
        figures=figures,
        transcripts=[parse(data) for data in report.transcripts],
        audit_notes={"unmeasured": NOT_MEASURED, "nobody": NOBODY, "late": LATE},
        heading=heading,
        caption=caption,
    )


def run_of(page: bytes) -> str | None:
    """The identity of the run that a page reports, from its first HEAD bytes.

    None where it is no such page.
    """
    found = re.search(rb'<meta name="league-run" content="([0-9a-f]+)">', page[:HEAD])
    return found[1].decode() if found else None


# --------------------------------------------------------------------------------------------------------- words
def verdicts(report: Report) -> list[Verdict]:
    """Did it work? One sentence per question.

    Each rests on an interval; an effect is "not shown" when the interval includes zero.
    """
    out = [_gain_verdict(report.headline)]
    if report.teaching is not None:
        out.append(
            _interval_verdict(
                "Explanations", "raise the student's accuracy", "lower the student's accuracy", report.teaching
            )
        )
    if report.gain_beyond_shuffled is not None:
        subject = "What an explanation says (against a shuffled one)"
        out.append(_interval_verdict(subject, "helps", "harms", report.gain_beyond_shuffled))
    for subject, found in (
        ("Explanations, in log-probability of the true solution,", report.logprob_gain),
        ("What an explanation says, in log-probability,", report.logprob_own_share),
    ):
        if found is not None:
            out.append(_logprob_verdict(subject, found))
    out += _collusion(report)
    if report.teaching_gain is not None:
        out.append(_interval_verdict("Over the run, the teachers' effect Δ", "grew", "fell", report.teaching_gain))
    out.append(_cycle_verdict(report.cycles))
    return out


def _gain_verdict(gain: Gain | None) -> Verdict:
    if gain is None:
        return "open", "Learning: no held-out measurement at two rounds yet."
    start, end = f"{100 * gain.start.value:.1f}%", f"{100 * gain.end.value:.1f}%"
    change = f"from {start} to {end}, a gain of {points(gain.gain, 100)} percentage points"
    if gain.gain.low is not None and gain.gain.low > 0:
        return "good", f"The students learned: held-out accuracy rose {change}."
    if gain.gain.high is not None and gain.gain.high < 0:
        return "bad", f"The students got worse: held-out accuracy went {change}."
    return "open", f"Learning is not shown: held-out accuracy went {change}; the interval includes zero."


def _interval_verdict(subject: str, up: str, down: str, estimate: Estimate) -> Verdict:
    amount = f"by {points(estimate)} percentage points"
    if estimate.excludes_zero:
        return ("good", f"{subject} {up} {amount}.") if estimate.value > 0 else ("bad", f"{subject} {down} {amount}.")
    return "open", f"{subject}: no effect shown, {points(estimate)} percentage points; the interval includes zero."


def _logprob_verdict(subject: str, estimate: Estimate) -> Verdict:
    amount = f"{estimate.value:+.3f}" + _band(estimate, 1, 3, "+") + " nats per token"
    if estimate.excludes_zero:
        return ("good", f"{subject} helps: {amount}.") if estimate.value > 0 else ("bad", f"{subject} harms: {amount}.")
    return "open", f"{subject}: no effect shown, {amount}; the interval includes zero."


def _collusion(report: Report) -> list[Verdict]:
    """A gain that exists only with the students trained together.

    It is flagged where the interval of the difference leaves zero out.
    """
    live, held_out = report.teaching, report.teaching_held_out
    if live is None or held_out is None:
        return []
    apart = difference(live, held_out)
    if apart.low is not None and apart.low > 0 and not (held_out.excludes_zero and held_out.value > 0):
        text = f"only {points(held_out)} with the held-out student, {points(live)} with the students trained together"
        return [("bad", f"Possible collusion: explanations give {text}.")]
    return [
        (
            "open",
            f"With the held-out student, who never trains, explanations give {points(held_out)} percentage points.",
        )
    ]


def _cycle_verdict(cycles: CertifiedCycles | None) -> Verdict:
    if cycles is None or not cycles.pairs:
        return "open", "Win rates: no contests between versions yet."
    found = f"{len(cycles.edges)} of {cycles.pairs} pairs are certain"
    if not cycles.cycles:
        return "open", f"No certified cycle: {found}."
    more, plural = " or more" if cycles.truncated else "", "s" if len(cycles.cycles) != 1 else ""
    return "good", f"{len(cycles.cycles)}{more} certified cycle{plural}: {found}."


def percent_with_interval(estimate: Estimate | None) -> str:
    return (
        "unknown"
        if estimate is None or estimate.value != estimate.value
        else f"{100 * estimate.value:.1f}%" + _band(estimate, 100, 1)
    )


def points(estimate: Estimate | None, scale: float = 1.0) -> str:
    """A signed number of percentage points with its interval."""
    return (
        "unknown"
        if estimate is None or estimate.value != estimate.value
        else f"{scale * estimate.value:+.1f}" + _band(estimate, scale, 1, "+")
    )


def plain(estimate: Estimate | None) -> str:
    return (
        "undefined"
        if estimate is None or estimate.value != estimate.value
        else f"{estimate.value:.3g}" + _band(estimate, 1, 2)
    )


def _band(estimate: Estimate, scale: float, digits: int, sign: str = "") -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{scale * estimate.low:{sign}.{digits}f}, {scale * estimate.high:{sign}.{digits}f}]"


# ------------------------------------------------------------------------------------------------------- figures
def figures_of(report: Report) -> dict[str, list["Figure"]]:
    """Every figure of the page by section."""
    from league.reporting.figures import curves, graphs, heatmaps, lineage_tree
    from league.reporting.figures.style import PAGE, WIDE, Palette

    palette = Palette(report.agents)
    ladders = dict.fromkeys(row.ladder for row in report.ladder)
    audit = [] if report.audit is None else [report.audit.channels, report.audit.teachers]
    return {
        "audit": [heatmaps.heatmap(matrix, PAGE) for matrix in audit if matrix.rows],
        "matrices": [heatmaps.heatmap(matrix, PAGE) for matrix in report.matrices],
        "curves": [curves.line_grid(report.curves, palette, WIDE)] if report.curves else [],
        "ladders": [
            curves.ladder_bars([row for row in report.ladder if row.ladder == name], palette, PAGE) for name in ladders
        ],
        "ratings": [curves.lines(panel, palette, PAGE) for panel in report.rating_history],
        "cycles": [graphs.cycle_graph(report.cycles, palette, PAGE)] if report.cycles is not None else [],
        "structure": [curves.share_over_time(panel, PAGE) for panel in report.structure],
        "masses": [curves.mass_over_time(panel, palette, PAGE) for panel in report.masses],
        "lineage": [lineage_tree.lineage_tree(report.lineage, palette, WIDE)] if report.lineage else [],
    }


def svg(figure: "Figure", salt: str) -> str:
    """Inline SVG with ids of its own (`salt`), no date, no document type.

    matplotlib escapes the names inside.
    """
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # ids such as "axes_1" repeat in every figure; references in one must not land in another
    return re.sub(r'(\bid="|\bhref="#|url\(#)', lambda m: f"{m.group(1)}{salt}-", text)
