"""A run's matches, scalars, exams, ratings, lineage and transcripts as pandas DataFrames.

Each function reads one open run and returns one table with the columns of its dtypes below, in their order, also where
there are no rows. A category is a small closed set of texts; `string` and `Int64` hold <NA> where something is unknown.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from league.config import try_parse_config
from league.errors import DataError
from league.reporting.queries.estimates import proportion
from league.store import columns
from league.store.match_rows import OUTCOME
from league.store.reader import RunReader

if TYPE_CHECKING:
    import pandas as pd

Dtypes = Mapping[str, str]
"""Column → dtype."""

MATCHES: Dtypes = {
    "round": "int64",
    "match": "string",
    "task": "category",
    "purpose": "category",
    "situation": "category",
    "individual": "float64",
    "team": "float64",
    "competitive": "float64",
    "seats": "string",
    "void": "string",
}
SEATS: Dtypes = {
    "round": "int64",
    "match": "string",
    "task": "category",
    "seat": "category",
    "agent": "category",
    "step": "int64",
}
PAIR: Dtypes = {
    "relation": "category",
    "task": "category",
    "situation": "category",
    "domain": "category",
    "row_agent": "category",
    "row_step": "int64",
    "col_agent": "category",
    "col_step": "int64",
    "wins": "int64",
    "draws": "int64",
    "losses": "int64",
    "n": "int64",
    "total": "float64",
    "total_sq": "float64",
}
"""What two versions did together, in a match or in all: shared by outcomes and payoffs."""
OUTCOMES: Dtypes = {"round": "int64", "match": "string", "purpose": "category", **PAIR}
SCALARS: Dtypes = {"round": "int64", "name": "category", "value": "float64"}
RATINGS: Dtypes = {
    "ladder": "category",
    "agent": "category",
    "step": "int64",
    "round": "int64",
    "mu": "float64",
    "sigma": "float64",
    "games": "int64",
}
EXAMS: Dtypes = {
    "round": "int64",
    "agent": "category",
    "domain": "category",
    "split": "category",
    "accuracy": "float64",
    "problems": "Int64",
    "low": "float64",
    "high": "float64",
}
LINEAGE: Dtypes = {
    "agent": "category",
    "step": "int64",
    "round": "int64",
    "role": "category",
    "reason": "category",
    "parents": "string",
    "weights": "bool",
}
TRANSCRIPTS: Dtypes = {
    "round": "int64",
    "match": "string",
    "task": "category",
    "purpose": "category",
    "situation": "category",
    "path": "string",
    "tag": "category",
    "seat": "category",
    "agent": "category",
    "step": "int64",
    "about": "Int64",
    "sample": "int64",
    "prompt": "string",
    "text": "string",
    "finish": "category",
    "reward": "float64",
    "advantage": "float64",
}


# --------------------------------------------------------------------------------------------------- the tables
def matches(reader: RunReader, since: int, until: int | None) -> "pd.DataFrame":
    """A row per match, void ones too."""
    return table(MATCHES, columns.columns_of(reader, "match_rows", list(MATCHES), since, until))


def seats(reader: RunReader, since: int, until: int | None) -> "pd.DataFrame":
    """A row per seat of each match."""
    found = columns.columns_of(reader, "match_rows", ("round", "match", "task", "seats"), since, until)
    casts = json.loads(f"[{','.join(found.pop('seats'))}]")
    sizes_M = np.array([len(cast) for cast in casts], np.int64)
    seat = [each for cast in casts for each in cast]
    who = [version for cast in casts for version in cast.values()]
    different = {version: version.split("@") for version in set(who)}
    agents, steps = [different[each][0] for each in who], [int(different[each][1]) for each in who]
    repeated = {name: np.repeat(column, sizes_M) for name, column in found.items()}
    return table(SEATS, repeated | {"seat": seat, "agent": agents, "step": steps})


def outcomes(reader: RunReader, since: int, until: int | None) -> "pd.DataFrame":
    """A row per outcome that counts: none of a void match."""
    wanted = ("round", "place", "match", "purpose", "void")
    found, names = columns.columns_of(reader, "match_rows", wanted, since, until), columns.version_names(reader)
    told = columns.columns_of(reader, "match_outcomes", list(OUTCOME), since, until)
    width = int(found["place"].max(initial=0)) + 1
    match_O = np.searchsorted(found["round"] * width + found["place"], told["round"] * width + told["place"])
    counts_O = np.array([why is None for why in found["void"]], bool)[match_O]
    match_O, told = match_O[counts_O], {name: column[counts_O] for name, column in told.items()}
    players = {
        "row_agent": coded(names.agent[told["row"]], names.agents),
        "row_step": names.step[told["row"]],
        "col_agent": coded(names.agent[told["col"]], names.agents),
        "col_step": names.step[told["col"]],
    }
    matches = {name: found[name][match_O] for name in ("match", "purpose")}
    return table(OUTCOMES, told | matches | _slots(reader, told["slot"]) | players)


def scalars(reader: RunReader, names: Sequence[str], since: int, until: int | None) -> "pd.DataFrame":
    """A row per scalar and round; of the named scalars, or of all."""
    rounds_N, records_N = columns.scalar_columns(reader, since, until)
    known = columns.scalar_ids(reader)
    if names:
        wanted = [key for key, name in known.items() if name in set(names)]
        chosen = np.isin(records_N["id"], wanted)
        rounds_N, records_N = rounds_N[chosen], records_N[chosen]
    ids_N, place_N = np.unique(records_N["id"], return_inverse=True)
    return table(
        SCALARS,
        {
            "round": rounds_N,
            "name": coded(place_N, tuple(known[int(key)] for key in ids_N)),
            "value": records_N["value"],
        },
    )


def ratings(reader: RunReader) -> "pd.DataFrame":
    """A row per ladder and version: its last rating, and the round that gave it."""
    return table_of_rows(RATINGS, columns.rating_rows(reader))


def exams(reader: RunReader) -> "pd.DataFrame":
    """A row per exam of an agent in a domain, with Wilson's 95% interval."""
    rounds_N, records_N = columns.scalar_columns(reader)
    names, state = columns.scalar_ids(reader), reader.state()
    told = {key: name.split("/") for key, name in names.items() if name.startswith("accuracy/")}
    splits = columns.exam_splits(reader)
    last = max((number for number, split in splits.items() if split == "test"), default=reader.latest_round())
    on_test, sizes = _test_exams(state, last), _sizes_before(reader)
    newest = state.get("config", {}).get("evaluation", {}).get("problems")
    rows = []
    for number, (key, value) in zip(rounds_N.tolist(), records_N.tolist(), strict=True):
        if key not in told or len(told[key]) != 3:
            continue
        _, agent, domain = told[key]
        on_tests = splits.get(number, "test" if number in on_test else "validation") == "test"
        size = next((each for until, each in sizes if number <= until), newest)
        problems = on_test.get(number, {}).get((agent, domain)) if on_tests else size
        estimate = None if problems is None else proportion(value * problems, problems)
        low, high = (np.nan, np.nan) if estimate is None else (estimate.low, estimate.high)
        rows.append((number, agent, domain, "test" if on_tests else "validation", value, problems, low, high))
    return table_of_rows(EXAMS, rows)


def all_versions(reader: RunReader) -> "pd.DataFrame":
    """A row per version, in order of creation."""
    kept = set(reader.blobs.hashes())
    rows = [
        (
            row.version.agent,
            row.version.step,
            row.round,
            row.role,
            row.reason,
            " ".join(str(parent) for parent in row.parents),
            row.blob in kept,
        )
        for row in reader.versions()
    ]
    return table_of_rows(LINEAGE, rows)


def transcripts(reader: RunReader, since: int, until: int | None) -> "pd.DataFrame":
    """A row per reply in the matches whose transcript is kept, in playing order.

    Raises DataError for a transcript of another shape.
    """
    rows: list[tuple[Any, ...]] = []
    for number, match, shown in columns.transcript_blocks(reader, since, until):
        try:
            rows += _replies(number, match, shown)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the transcript of match {match} is not as this code stores it: {error!r}") from error
    return table_of_rows(TRANSCRIPTS, rows)


# ---------------------------------------------------------------------------------------------- parts of them
def table(dtypes: Dtypes, data: Mapping[str, Any]) -> "pd.DataFrame":
    """A DataFrame with these columns in this order, each of its dtype."""
    import pandas as pd

    made = {name: pd.Series(_array(data[name], dtype)) for name, dtype in dtypes.items()}
    return pd.DataFrame(made, copy=False)


def table_of_rows(dtypes: Dtypes, rows: Iterable[Sequence[Any]]) -> "pd.DataFrame":
    """The same from rows."""
    data = list(zip(*rows, strict=True)) or [()] * len(dtypes)
    return table(dtypes, dict(zip(dtypes, data, strict=True)))


def coded(codes: np.ndarray, texts: Sequence[str]) -> "pd.Categorical":
    """A category from indices into its texts; those that do not occur are left out."""
    import pandas as pd

    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype=object)).remove_unused_categories()


def _array(values: Any, dtype: str) -> Any:
    """Values as a pandas array of the dtype."""
    import pandas as pd

    if isinstance(values, pd.Categorical):
        return values
    if dtype == "category":
        return pd.Categorical(np.array(values, object))
    if dtype in ("string", "Int64"):
        return pd.array(np.array(values, object), dtype=dtype)
    return np.asarray(values, dtype)


def _slots(reader: RunReader, slot_O: np.ndarray) -> dict[str, "pd.Categorical"]:
    known = columns.slots(reader)
    keys = np.array(sorted(known), np.int64)
    place_O, made = np.searchsorted(keys, slot_O), {}
    for index, name in enumerate(("relation", "task", "situation", "domain")):
        texts = [known[key][index] for key in keys.tolist()]
        different = tuple(dict.fromkeys(texts))
        codes = np.array([different.index(text) for text in texts], np.int64)
        made[name] = coded(codes[place_O], different)
    return made


def _test_exams(state: Mapping[str, Any], latest: int | None) -> dict[int, dict[tuple[str, str], int]]:
    """Round of the first and of the last exam → (agent, domain) → its number of test problems."""
    found: dict[int, dict[tuple[str, str], int]] = {0: {}}
    for which, number in (("start", 0), ("end", latest)):
        stored = state.get("marks", {}).get(which)
        if stored is not None and number is not None:
            found[number] = {
                (row["version"].rpartition("@")[0], row["domain"]): len(row["correct"]) for row in stored["exams"]
            }
    return found


def _sizes_before(reader: RunReader) -> list[tuple[int, int]]:
    """(last round, problems of an exam on validation problems) of configurations that were changed since."""
    read = [(until, try_parse_config(text, "an earlier one").config) for until, text in reader.earlier_configs()]
    return [(until, config.evaluation.problems) for until, config in read if config is not None]


def _replies(number: int, match: str, shown: Any) -> list[tuple[Any, ...]]:
    cast = shown.get("seats", {})
    rows = []
    for turn in shown.get("turns", ()):
        agent, _, step = cast[turn["seat"]].rpartition("@")
        prompt = "\n".join(f"{message['role']}: {message['content']}" for message in turn["prompt"])
        rows += [
            (
                number,
                match,
                shown["task"],
                shown.get("purpose"),
                shown.get("situation"),
                turn["path"],
                turn["tag"],
                turn["seat"],
                agent,
                int(step),
                turn["about"],
                sample,
                prompt,
                reply["text"],
                reply["finish"],
                reply["reward"],
                reply["advantage"],
            )
            for sample, reply in enumerate(turn["replies"])
        ]
    return rows
