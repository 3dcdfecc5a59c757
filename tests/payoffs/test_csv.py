"""Reading payoff files: what is accepted, what is refused and with which words."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from league.errors import DataError, UserError
from league.payoffs.analyze import analyze_file, analyze_matrix, text_view
from league.payoffs.csv_matrix import MAX_NAMES, parse_matrix, read_matrix
from league.payoffs.matrix import from_counts, from_margin, from_probabilities
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
    "missing": (",a,b\na,.5,\nb,.3,.5\n", "probability", "row 'a', column 'b' has no value"),
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
    "unclosed quote": (',a,b\na,.5,"0.5\nb,.5,.5\n', "probability", "CSV"),
}


@pytest.mark.parametrize(("text", "mode", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_place_and_reason(text: str, mode: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_matrix(text, mode)  # type: ignore[arg-type]


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
