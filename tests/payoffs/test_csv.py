"""Reading payoff files: what is accepted, what is refused and with which words."""

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from league.errors import DataError, UserError
from league.payoffs.analyze import analyze_file, analyze_matrix, text_view
from league.payoffs.csv_matrix import parse_matrix, read_matrix
from league.payoffs.csv_table import MAX_NAMES
from league.payoffs.matrix import from_counts, from_margin, from_probabilities
from tests.helpers.csv_dialects import fuzz
from tests.helpers.payoff_cases import RPS, names, reordered

PLAIN = ",rock,paper,scissors\nrock,0.5,0,1\npaper,1,0.5,0\nscissors,0,1,0.5\n"
ACCEPTED = {
    "plain": PLAIN,
    "byte-order mark": "\ufeff" + PLAIN,
    "windows lines, blank and empty trailing lines": PLAIN.replace("\n", "\r\n") + "\r\n,,,\r\n  \r\n",
    "corner text": "win rate" + PLAIN,
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace("0.5", "0,5"),
    "tabs": PLAIN.replace(",", "\t"),
    "quotes": PLAIN.replace("paper", '"paper"').replace("0.5", '"0.5"'),
    "spaces": PLAIN.replace(",", " , "),
    "empty diagonal": PLAIN.replace("0.5", ""),
    "nan diagonal": PLAIN.replace("0.5", "nan"),
    "rows in another order": ",rock,paper,scissors\nscissors,0,1,0.5\nrock,0.5,0,1\npaper,1,0.5,0\n",
    "trailing separators": PLAIN.replace("\n", ",\n"),
    "a sep line": "sep=;\n" + PLAIN.replace(",", ";").replace("0.5", "0,5"),
    "a quoted sep line with a mark": '"sep=\t"\t\n' + PLAIN.replace(",", "\t"),
    "percents": PLAIN.replace("0.5", "50 %").replace(",1", ",100%").replace(",0", ",0%"),
    "percents with a bare 0": PLAIN.replace("0.5", "50%").replace(",1", ",100%"),
    "decimal commas in quotes": PLAIN.replace("0.5", '"0,5"'),
    "the upper half": ",rock,paper,scissors\nrock,,0,1\npaper,,,0\nscissors,,,\n",
    "the lower half, dashed": ",rock,paper,scissors\nrock,-,–,—\npaper,1,-,\nscissors,0,1,-\n",
    "halves of both sides": ",rock,paper,scissors\nrock,0.5,0,\npaper,,0.5,0\nscissors,0,,0.5\n",
    "comments": "# measured in May, by me\n" + PLAIN + "  # 3 agents\n",
    "a corner that is no comment": "#" + PLAIN,
    "spaces before quotes": PLAIN.replace(",paper", ', "paper"'),
    "a no-break space and a mark without width": PLAIN.replace("paper,1", "\u00a0pa\u200bper\u202f,1"),
    "a typographer's minus": PLAIN.replace(",0,", ",\u22120,"),
    "old Mac lines": PLAIN.replace("\n", "\r"),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_spellings_give_the_same_matrix(text: str) -> None:
    matrix = parse_matrix(text, "probability")
    assert matrix.names == ("rock", "paper", "scissors")
    assert np.allclose(matrix.margin, RPS)


def test_quoted_names_may_hold_separators_and_quotes() -> None:
    matrix = parse_matrix('x,"a, b","c ""d"""\n"a, b",0.5,0.7\n"c ""d""",0.3,0.5\n', "probability")
    assert matrix.names == ("a, b", 'c "d"')
    assert matrix.margin[0, 1] == pytest.approx(0.4)


REFUSED = {
    "empty": ("", "probability", "empty"),
    "only a corner": (",\n", "probability", "no agents"),
    "not square": (",a,b,c\na,.5,.5,.5\nb,.5,.5,.5\n", "probability", "not square"),
    "too many cells": (",a,b\na,.5,.5,.5\nb,.5,.5\n", "probability", "more cells"),
    "too few cells": (",a,b\na,.5,.5\nb,.5\n", "antisymmetric", "Aᵀ|no value|must be 0"),
    "asymmetric": (",a,b\na,.5,.7\nb,.4,.5\n", "probability", "off by 0.1 between 'a' and 'b'"),
    "not antisymmetric": (",a,b\na,0,.7\nb,.7,0\n", "antisymmetric", "off by 1.4"),
    "diagonal": (",a,b\na,.9,.7\nb,.3,.5\n", "probability", "'a' and itself"),
    "nan": (",a,b\na,.5,nan\nb,.3,.5\n", "probability", "row 'a', column 'b' has no value"),
    "missing": (
        ",a,b,c\na,.5,,.5\nb,.3,.5,.5\nc,.5,.5,.5\n",
        "probability",
        "row 'a', column 'b' has no value.*--counts; leave all of one half blank, or none",
    ),
    "infinite": (",a,b\na,.5,inf\nb,.3,.5\n", "probability", "found inf in row 'a', column 'b'"),
    "out of range": (",a,b\na,.5,1.2\nb,-.2,.5\n", "probability", r"in \[0, 1\]; found 1.2"),
    "out of margins": (",a,b\na,0,1.2\nb,-1.2,0\n", "antisymmetric", r"in \[-1, 1\]"),
    "nameless": ("0.5,0.6\n0.4,0.5\n", "probability", "names are missing"),
    "a nameless column": (",a,,c\na,.5,.5,.5\nb,.5,.5,.5\nc,.5,.5,.5\n", "probability", "column 2 has no name"),
    "a nameless row": (",a,b\na,.5,.5\n,.5,.5\n", "probability", "row 2 has no name"),
    "rows without names": ("a,b\n0.5,0.6\n0.4,0.5\n", "probability", "not square|same names"),
    "duplicate": (",a,a\na,.5,.5\na,.5,.5\n", "probability", "'a' appears 2 times"),
    "other names": (",a,b\na,.5,.5\nc,.5,.5\n", "probability", "same names"),
    "words": (",a,b\na,.5,high\nb,.3,.5\n", "probability", "found 'high'"),
    "counts without the flag": (",a,b\na,,3:4\nb,4:3,\n", "probability", "--counts"),
    "bad counts": (",a,b\na,,3-4\nb,,\n", "counts", "w:l or w:d:l"),
    "negative counts": (",a,b\na,,-3:4\nb,,\n", "counts", "w:l or w:d:l"),
    "fractions": (",a,b\na,,3.5:4\nb,,\n", "counts", "w:l or w:d:l"),
    "counts that disagree": (",a,b\na,,3:4\nb,3:4,\n", "counts", "disagree"),
    "a name that paints the terminal": (
        ",a,\x1b[31mb\na,.5,.5\n\x1b[31mb,.5,.5\n",
        "probability",
        r"column 2 has the control character U\+001B",
    ),
    "a time of counts": (",a,b\na,,70:30:00\nb,,\n", "counts", "'70:30:00' looks like a time.*as text"),
    "a padded time": (",a,b\na,,07:05\nb,,\n", "counts", "'07:05' looks like a time"),
    "a date of counts": (
        ",a,b\na,,12-Mar\nb,,\n",
        "counts",
        "found '12-Mar'; write counts as w:l or w:d:l, with colons",
    ),
    "dashed counts": (",a,b\na,,7-5\nb,,\n", "counts", "with colons"),
    "wins under --counts": (",a,b\na,,7\nb,5,\n", "counts", "need --wins"),
    "wins without the flag": (",a,b\na,,7\nb,5,\n", "probability", "found 7 in row 'a', column 'b'.*need --wins"),
    "bare percents": (",a,b\na,50,48.3\nb,51.7,50\n", "probability", "write them with %, or divide by 100"),
    "some percents": (",a,b\na,50%,0.48\nb,52%,50%\n", "probability", "is a percent, row 'a', column 'b' is none"),
    "two decimal marks": (',a,b\na,0.5,"0,4"\nb,0.6,0.5\n', "probability", "a decimal comma, .* a decimal point"),
    "thousands": (',a,b\na,0,"1,000"\nb,900,0\n', "wins", "expected a whole number of wins"),
    "half points": (",a,b\na,0,1.5\nb,0.5,0\n", "wins", "half points for draws.*w:d:l"),
    "one side of the wins": (",a,b\na,,7\nb,,\n", "wins", "row 'b', column 'a' is blank"),
    "negative wins": (",a,b\na,,-7\nb,5,\n", "wins", "whole number of wins"),
    "underscores": (",a,b\na,.5,0_7\nb,.3,.5\n", "probability", "found '0_7'"),
    "another script's digits": (",a,b\na,.5,٠.٧\nb,.3,.5\n", "probability", "expected a number"),
    "off by more than rounding": (",a,b\na,.50,.72\nb,.30,.50\n", "probability", "off by 0.02"),
    "off by one decimal of one": (",a,b\na,.5,.7\nb,.4,.5\n", "probability", "off by 0.1"),
    "a look-alike": (",ada,Воb\nada,.5,.6\nBob,.4,.5\n", "probability", r"'Bob' looks like it, but is U\+0042"),
    "one name, spelt twice": (",é,e\u0301\né,.5,.5\ne\u0301,.5,.5\n", "probability", r"U\+0065 U\+0301 and U\+00E9"),
    "a missing row": (",a,b,c\na,.5,.6,.7\nb,,.5,.8\n", "probability", "not square.*'c' has only one"),
    "an odd separator": ("sep=x\nxaxb\nax.5x.6\nbx.4x.5\n", "probability", "write one of , ; | or a tab"),
    "a match list": ("player_a,player_b,winner\na,b,a\n", "probability", "list of matches.*--matches"),
    "too many names": (
        "," + ",".join(map(str, range(5001))) + "\n" + "".join(f"{n}\n" for n in range(5001)),
        "probability",
        "at most 5000 names",
    ),
    "margins without the flag": (",a,b\na,0,.2\nb,-.2,0\n", "probability", "found -0.2.*need --antisymmetric"),
    "beyond belief": (",a,b\na,,1234567890123:1\nb,,\n", "counts", "not believable"),
    "only names": ("a,b\n", "probability", "not square"),
    "only comments": ("# nothing\n# here\n", "probability", "no agents|no name"),
    "unclosed quote": (',a,b\na,.5,"0.5\nb,.5,.5\n', "probability", "CSV"),
}


REMEDY = re.compile(
    r"\b(write|leave|rename|take|spell|add|correct|use|close|divide|give|say)\b"
    r"|\bneeds? --|\bwith --matches|only be given with --"
)
"""What to change. That something was expected is no remedy."""


@pytest.mark.parametrize(("text", "mode", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_place_reason_and_remedy(text: str, mode: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        parse_matrix(text, mode)  # type: ignore[arg-type]
    assert REMEDY.search(str(caught.value)), str(caught.value)


def test_rounded_cells_are_met_in_the_middle_and_said() -> None:
    """0.335 and 0.665 rounded to two decimals may both go up; the middle, 0.335, is what fits both."""
    matrix = parse_matrix(",a,b,c\na,.5,.34,.50\nb,.67,.5,.5\nc,.50,.5,.5\n", "probability")
    assert matrix.margin[0, 1] == pytest.approx(-0.33) and matrix.margin[0, 2] == 0
    assert "within 0.01" in matrix.notes[0] and analyze_matrix(matrix).notes == matrix.notes
    assert parse_matrix(",a,b\na,50%,33%\nb,68%,50%\n", "probability").margin[0, 1] == pytest.approx(-0.35)
    assert parse_matrix(",a,b\na,.50,.33\nb,.67,.50\n", "probability").notes == ()


def test_margins_come_in_halves_and_percents_too() -> None:
    for cells in (",a,b\na,,40%\nb,,\n", ',a,b\na,0,"0,4"\nb,"-0,4",0\n', ",a,b\na,,\nb,-.4,\n"):
        assert parse_matrix(cells, "antisymmetric").margin[0, 1] == pytest.approx(0.4)


def test_names_of_any_spelling_are_one() -> None:
    matrix = parse_matrix(",Jose\u0301,Bo Li\nJos\u00e9,.5,.6\nBo\u00a0 Li,.4,.5\n", "probability")
    assert matrix.names == ("Jos\u00e9", "Bo Li") and matrix.margin[0, 1] == pytest.approx(0.2)


def test_wins_are_counts() -> None:
    matrix = parse_matrix(",a,b,c\na,,7,3\nb,5,,\nc,0,,\n", "wins")
    assert matrix.counts is not None and matrix.counts.wins.tolist() == [[0, 7, 3], [5, 0, 0], [0, 0, 0]]
    assert matrix.missing_pairs() == [("b", "c")]


LISTED = "player_a,player_b,winner\nada,max,ada\nmax,eva,max\nada,eva,draw\neva,ada,eva\n"


@pytest.mark.parametrize(
    "text",
    [
        LISTED,
        LISTED.replace(",", ";"),
        "id,white,black,result\n1,ada,max,1-0\n2,max,eva,1-0\n3,ada,eva,1/2-1/2\n4,eva,ada,1-0\n",
        "home,away,score\nada,max,3:1\nmax,eva,2:0\nada,eva,1:1\neva,ada,10:9\n",
        "# chess\na,b,winner\nada,max,ada\nmax,eva,max\nada,eva,½\neva, a\u200bda ,eva\n",
    ],
)
def test_match_lists_are_counted(text: str) -> None:
    matrix = parse_matrix(text, "matches")
    assert matrix.names == ("ada", "max", "eva") and matrix.counts is not None
    assert matrix.counts.wins.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]] and matrix.counts.draws[0, 2] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one,two,winner\na,b,a\n", "expected columns named player_a, player_b and winner"),
        ("player_a,player_b,when\na,b,May\n", "expected columns named"),
        ("a,b,home,away,winner\na,b,c,d,a\n", "two pairs of players"),
        ("player_a,player_b,winner,winner\na,b,a,b\n", "two columns are named 'winner'"),
        ("player_a,player_b,result,score\na,b,1-0,0:1\n", "both say how a match ended"),
        ("player_a,player_b,winner\na,b,c\n", "match 1: the result 'c' is neither 'a' nor 'b'"),
        ("player_a,player_b,winner\na,b,\n", "match 1: the result '' is neither"),
        ("player_a,player_b,winner\na,a,a\n", "'a' plays itself"),
        ("player_a,player_b,winner\na,,a\n", "a player has no name"),
        ("player_a,player_b,winner\na,b\n", "match 1 has 2 cells"),
        ("player_a,player_b,winner\na,b,a,x\n", "more cells"),
        ("player_a,player_b,winner\n", "no match is listed"),
        ("player_a,player_b,winner\ndraw,b,draw\n", "means two things"),
        ("player_a,player_b,score\na,b,03:01\n", "looks like a date or time"),
        ("player_a,player_b,winner\na,\x07b,a\n", "control character"),
    ],
)
def test_match_lists_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        parse_matrix(text, "matches")
    assert REMEDY.search(str(caught.value)), str(caught.value)


def test_code_pages_are_said_not_guessed(tmp_path) -> None:
    path = tmp_path / "page.csv"
    text = PLAIN.replace("rock", "Jos\u00e9")
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=r"byte 0xE9 in line 1\); save it as 'CSV UTF-8', or say.*--encoding cp1252"):
        read_matrix(path, "probability")
    assert read_matrix(path, "probability", "cp1252").names[0] == "Jos\u00e9"
    for encoding in ("utf-16", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        assert read_matrix(path, "probability").names[0] == "Jos\u00e9"
    path.write_bytes(text.encode("utf-16-le"))
    with pytest.raises(DataError, match="--encoding utf-16-le"):
        read_matrix(path, "probability")
    assert read_matrix(path, "probability", "utf-16-le").names[0] == "Jos\u00e9"
    with pytest.raises(DataError, match="'latin-99' is unknown"):
        read_matrix(path, "probability", "latin-99")


@pytest.mark.parametrize("rows", ["a,1,2\n", "".join(f"n{i},1\n" for i in range(60_000))], ids=["wide", "square"])
def test_a_line_of_sixty_thousand_names_is_refused_at_once(rows: str) -> None:
    text = "," + ",".join(f"n{i}" for i in range(60_000)) + "\n" + rows
    start = time.process_time()
    with pytest.raises(DataError, match="60000 named columns .* at most 5000 names"):
        parse_matrix(text, "probability")
    assert time.process_time() - start < 5


def test_names_are_compared_in_linear_time() -> None:
    """A table as large as is allowed, whose rows have another name: refused for that, at once."""
    names = [f"n{i}" for i in range(MAX_NAMES)]
    text = "," + ",".join(names) + "\n" + "".join(f"{name}x\n" for name in names)
    start = time.process_time()
    with pytest.raises(DataError, match="the same names"):
        parse_matrix(text, "probability")
    assert time.process_time() - start < 10


def test_a_file_in_another_dialect_is_read_alike_or_refused() -> None:
    """Of 300 files, written and spoilt at random, none is read as another matrix (tests/helpers/csv_dialects.py)."""
    tally = fuzz(300, seed=1)
    assert tally.other == [] and tally.same > 100 and tally.refused > 40


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_matrix(tmp_path / "none.csv", "probability")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "binary.csv", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            read_matrix(path, "probability")


def test_counts_with_draws_blank_sides_and_a_pair_never_played() -> None:
    matrix = parse_matrix(",a,b,c\na,9:9,6:2:2,\nb,,0:0,0:0\nc,1:3,0:0,\n", "counts")
    assert matrix.counts is not None
    assert matrix.counts.wins.tolist() == [[0, 6, 3], [2, 0, 0], [1, 0, 0]] and matrix.counts.draws[1, 0] == 2
    assert matrix.margin[0, 1] == pytest.approx(0.4) and np.isnan(matrix.margin[1, 2])
    assert matrix.missing_pairs() == [("b", "c")]
    found = analyze_matrix(matrix).as_dict()
    assert found["alpha_rank"] == {"a": None, "b": None, "c": None} == found["nash"] and found["exploitability"] is None
    assert "never met" in found["notes"][0] and found["certified"] is False


def test_all_draws_and_no_games_are_undefined_not_zero() -> None:
    draws = np.full((4, 4), 50.0)
    for matrix in (
        from_counts(names(4), draws * 0, draws),
        from_counts(names(4), draws * 0),
        from_margin(names(4), draws * 0),
    ):
        found = analyze_matrix(matrix).as_dict()
        assert found["cyclic_share"] == {"probability": None, "logit": None}
        assert (
            found["components"] == [[name] for name in names(4)]
            and found["cycles"] == []
            and found["three_cycles"] == 0
        )


def test_what_could_not_be_cyclic_has_no_cyclic_share() -> None:
    """Two pairs that never met one another close no loop; one more pair does not either, two more do."""
    undefined = {"probability": None, "logit": None}
    apart = ",a,b,c,d\na,,20:10,{ac},{ad}\nb,,,,{bd}\nc,,,,300:100\nd,,,,\n"
    for cells in ({"ac": "", "ad": "", "bd": ""}, {"ac": "30:1", "ad": "", "bd": ""}):
        assert analyze_matrix(parse_matrix(apart.format(**cells), "counts")).as_dict()["cyclic_share"] == undefined
    closed = analyze_matrix(parse_matrix(apart.format(ac="30:1", ad="1:30", bd=""), "counts")).as_dict()["cyclic_share"]
    assert closed["probability"] > 0.5


def test_counts_beyond_belief_are_analysed_without_a_crash() -> None:
    cells = ",a,b,c\na,,{up}:{down},{down}:{up}\nb,,,{up}:{down}\nc,,,\n"
    for up, down in ((10**12 - 1, 1), (10**12 - 1, 0), (10**7, 0)):
        found = analyze_matrix(parse_matrix(cells.format(up=up, down=down), "counts")).as_dict()
        assert found["certified_cycles"] == [["a", "b", "c"]] and found["cyclic_share"]["probability"] == pytest.approx(
            1
        )
        assert found["bradley_terry_p_value"] == (None if up > 10**8 else pytest.approx(0.005))


@pytest.mark.parametrize("size", [0, 1])
def test_none_and_one_agent(size: int) -> None:
    for matrix in (from_margin(names(size), np.zeros((size, size))), from_counts(names(size), np.zeros((size, size)))):
        found = analyze_matrix(matrix).as_dict()
        assert list(found["nash"].values()) == [1.0] * size == list(found["alpha_rank"].values())
        assert found["cyclic_share"] == {"probability": None, "logit": None} and found["certified"] is (
            matrix.counts is None
        )
        text_view(analyze_matrix(matrix))


def test_certified_needs_a_cycle_of_certified_edges() -> None:
    rps = (1 + RPS * 0.3) / 2 * (1 - np.eye(3))
    weak, strong = (analyze_matrix(from_counts(names(3), np.round(rps * games))) for games in (20, 400))
    assert (
        weak.as_dict()["components"] == [names(3)] and not weak.certified and weak.as_dict()["certified_cycles"] == []
    )
    assert strong.certified and strong.as_dict()["certified_components"] == [names(3)]
    ladder = np.triu(np.full((3, 3), 300.0), 1) + np.tril(np.full((3, 3), 100.0), -1)
    sure = analyze_matrix(from_counts(names(3), ladder))
    assert len(sure.as_dict()["certified_edges"]) == 3 and not sure.certified


def test_matrices_that_are_none() -> None:
    for bad in (np.zeros((2, 3)), np.full((2, 2), np.nan), np.array([[0.5, 0.9], [0.9, 0.5]])):
        with pytest.raises(DataError):
            from_probabilities(["a", "b"], bad)
    with pytest.raises(DataError, match="unique"):
        from_probabilities(["a", "a"], np.full((2, 2), 0.5))
    with pytest.raises(DataError, match="name"):
        from_margin(["a", " "], np.zeros((2, 2)))
    with pytest.raises(DataError, match="0 or more"):
        from_counts(["a", "b"], np.array([[0, -1], [2, 0]]))


def test_removing_an_agent_restricts_the_matrix() -> None:
    matrix = from_counts(names(3), np.array([[0, 5, 1], [2, 0, 7], [4, 3, 0]]))
    rest = reordered(matrix, [0, 2])
    assert (
        rest.names == ("agent0", "agent2") and rest.counts is not None and rest.counts.wins.tolist() == [[0, 1], [4, 0]]
    )


# ------------------------------------------------------------------------------------------------ the command
CONTRACT = {
    "names",
    "components",
    "cycles",
    "three_cycles",
    "cyclic_share",
    "alpha_rank",
    "nash",
    "exploitability",
    "certified",
}


def test_json_contract_and_text(tmp_path) -> None:
    import typer

    from league.commands.analyze import analyze

    app = typer.Typer()
    app.command()(analyze)
    path = tmp_path / "rps.csv"
    path.write_text(PLAIN)
    run = CliRunner().invoke(app, [str(path), "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert set(found) >= CONTRACT
    assert found["cycles"] == [["rock", "scissors", "paper"]] and found["nash"]["rock"] == pytest.approx(1 / 3)
    shown = CliRunner().invoke(app, [str(path)])
    assert shown.exit_code == 0 and "rock beats scissors beats paper beats rock" in shown.stdout
    path.write_text(",a,b,c\na,,70:30,30:70\nb,,,70:30\nc,,,\n")
    counted = json.loads(CliRunner().invoke(app, [str(path), "--json", "--counts"]).stdout)
    assert counted["certified"] is True and counted["cyclic_share"]["probability"] == 1.0
    assert isinstance(CliRunner().invoke(app, [str(path), "--counts", "--antisymmetric"]).exception, UserError)


def test_analysis_imports_nothing_slow() -> None:
    slow = "('torch', 'scipy', 'pandas', 'networkx')"
    code = (
        f"import sys, league.commands.analyze, league.payoffs.analyze; print([m for m in {slow} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["random", "ties", "ladder with one upset", "rps blown up", "half", "counts"])
def test_two_hundred_agents_in_seconds(kind: str, tmp_path) -> None:
    """10 s on one core is the promise.

    Measured 0.1 to 3 s, asserted on CPU time so that a busy machine does not matter.
    """
    rng, size = np.random.default_rng(0), 200
    upper = {
        "random": rng.uniform(-1, 1, (size, size)),
        "ties": rng.integers(-1, 2, (size, size)).astype(float),
        "ladder with one upset": np.full((size, size), 0.1),
        "rps blown up": np.kron(RPS, np.ones((67, 67)))[:size, :size],
        "half": np.zeros((size, size)),
        "counts": np.zeros((size, size)),
    }[kind]
    margin = np.triu(upper, 1)
    if kind.startswith("ladder"):
        margin[0, -1] = -0.1
    cells = [[f"{v:.6f}" for v in row] for row in (1 + margin - margin.T) / 2]
    if kind == "counts":
        wins = rng.binomial(30, 0.5, (size, size))
        cells = [[f"{wins[i, j]}:{30 - wins[i, j]}" if j > i else "" for j in range(size)] for i in range(size)]
    path = tmp_path / "big.csv"
    header = ",".join(["", *names(size)])
    path.write_text(
        "\n".join([header, *(",".join([name, *row]) for name, row in zip(names(size), cells, strict=True))])
    )
    began = time.process_time()
    found = analyze_file(path, "counts" if kind == "counts" else "probability").as_dict()
    assert time.process_time() - began < 10
    assert sum(found["nash"].values()) == pytest.approx(1.0)
    assert found["certified"] is (kind != "counts")
