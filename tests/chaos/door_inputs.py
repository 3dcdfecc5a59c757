"""Random and spoilt input for every command of the program: words, configs, runs, models and data files.

An input is a function of (seed, number): a folder in which files lie, and the words of a command line.
"""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.helpers.csv_dialects import garbled
from tests.helpers.csv_dialects import write as write_matrix

from .door_material import Shelf
from .spoiled_runs import spoil_run
from .spoiling import ODD_TEXTS, odd_file, spoil, spoil_text

READS_RUN = (
    "status", "payoffs", "cycles", "ladder", "lineage", "show-match", "compare", "verify", "stop", "pause", "trust",
    "export", "crossplay", "evaluate", "play", "report", "resume",
)  # fmt: skip
SLOW = {"report": 0.06, "crossplay": 0.3, "evaluate": 0.3, "play": 0.3, "resume": 0.12}
"""Commands that take more than a few milliseconds are drawn less often."""
LOAD = (
    "rounds",
    "matches",
    "final_matches",
    "shared_matches",
    "teaching_matches",
    "final_teaching_matches",
    "problems",
)
LOAD += ("final_problems", "samples", "items", "answers", "max_tokens", "epochs", "demonstrations", "tokens")
"""Settings that ask for work: who asks for a billion matches has to wait for them."""


@dataclass(frozen=True)
class Input:
    """A command line, and in words what was done to what it names."""

    words: tuple[str, ...]
    told: str

    @property
    def command(self) -> str:
        return self.words[0] if self.words else ""


def draw(shelf: Shelf, seed: int, number: int, here: Path) -> Input:
    """Write the files of an input into the empty folder `here`, the current one; returns its command line."""
    rng = random.Random(f"{seed}/{number}")
    ways = {way: odds for way, odds in WAYS.items() if shelf.model is not None or way not in (model, checkpoint)}
    way = rng.choices(list(ways), list(ways.values()))[0]
    return way(rng, shelf, here)


# -------------------------------------------------------------------------------------------------- command lines
def arguments(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """Any command with options at random: missing, doubled, of a wrong kind, huge, empty."""
    command = _command(rng, list(shelf.parameters))
    run = _place(rng, shelf, here)
    words = [command, *_words(rng, shelf, command, run, odd=0.4)]
    for _ in range(rng.choice([0, 0, 1])):
        change = rng.randrange(4)
        at = rng.randrange(len(words) + 1)
        if change == 0:
            words[at:at] = [rng.choice(ODD_TEXTS)]
        elif change == 1 and at < len(words):
            words[at:at] = [words[at]]
        elif change == 2 and at < len(words):
            del words[at]
        else:
            words.append(rng.choice(["--help", "--", "--jsn", "-x", "--json=1", "--task", "--out"]))
    return Input(tuple(words), "words")


def spoilt_run(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """A command on a run to which something happened."""
    command = _command(rng, READS_RUN)
    told = spoil_run(rng, _copy(rng, shelf, here))
    words = [command, *_words(rng, shelf, command, "run", odd=0.02)]
    return Input(tuple(words), told)


def _command(rng: random.Random, among: Sequence[str]) -> str:
    return rng.choices(among, [SLOW.get(each, 1.0) for each in among])[0]


def _copy(rng: random.Random, shelf: Shelf, here: Path) -> Path:
    names = list(shelf.runs)
    name = rng.choices(names, [1 if each == "tiny" else 8 for each in names])[0]
    return shutil.copytree(shelf.runs[name], here / "run", symlinks=True)


def _place(rng: random.Random, shelf: Shelf, here: Path) -> str:
    """Something that may stand where a run folder is expected."""
    kind = rng.randrange(6)
    if kind < 3:
        _copy(rng, shelf, here)
        return "run"
    if kind == 3:
        odd_file(rng, here / "run")
        return "run"
    return (
        rng.choice(ODD_TEXTS) if kind == 4 else rng.choice(["none", "", ".", "..", "run/league.db", "~", "~nobody/m"])
    )


def _words(rng: random.Random, shelf: Shelf, command: str, run: str, odd: float) -> list[str]:
    """Arguments and options of a command; each value is odd with this probability, else one that may be meant."""
    words: list[str] = []
    for each in shelf.parameters[command]:
        if each.argument:
            if each.required or rng.random() < 0.5:
                for _ in range(rng.choice([1, 1, 2, 3]) if each.many else 1):
                    words.append(_value(rng, shelf, each.name, run, odd))
        elif rng.random() < (0.9 if each.required else 0.3):
            for _ in range(rng.choice([1, 1, 1, 2])):
                words += [rng.choice(each.spellings)]
                if not each.flag:
                    fit = rng.choice(each.choices) if each.choices else _value(rng, shelf, each.name, run, odd)
                    words.append(rng.choice(ODD_TEXTS) if each.choices and rng.random() < odd else fit)
    return words


def _value(rng: random.Random, shelf: Shelf, name: str, run: str, odd: float) -> str:
    if name in ("run", "first", "second", "runs"):
        return run if rng.random() > odd / 2 else rng.choice([*ODD_TEXTS, "none"])
    if rng.random() < odd:
        return rng.choice(ODD_TEXTS)
    if name in MEANT:
        return rng.choice(MEANT[name])
    return rng.choice([str(rng.randrange(-2, 40)), f"{rng.random():.3f}", rng.choice(ODD_TEXTS)])


MEANT: dict[str, list[str]] = {
    "agents": ["rocky", "pat", "rocky@0", "pat@1", "base", "agent-0", "agent-1@3", "ada", "adder"],
    "agent": ["rocky", "agent-0", "ada", "adder", "ada@1", "pat"],
    "task": ["game", "sums", "teaching", "contest", "games"],
    "domain": ["sums", "letters", "sum"],
    "match": ["1-game-0", "0-game-0", "1-game-1", "2-game-0", "0001-0000"],
    "out": ["out", "out/deep/er", "page.html", "run/page.html", "run/tb", "run", "report.html"],
    "tensorboard": ["board", "run/board", "run/tb", "run/blobs/x", "run"],
    "config": ["none.yaml", ".", "run/config.yaml"],
    "overrides": ["name=x", "seed=2", "league.rounds=1", "=", "a.b.c=1", "league=1", "agents={}"],
    "problems": ["1", "2", "none.jsonl"],
    "file": ["none.csv", "run/config.yaml", "run/league.db"],
    "model": ["model", "none/such", "~nobody/m", "model/config.json", "run"],
    "workers": ["1", "0"],
    "encoding": ["utf-8", "cp1252", "utf-16", "idna", "rot13", "hex", "none", "undefined"],
    "index": ["0", "1", "7"],
}


# ------------------------------------------------------------------------------------------------------- configs
def config(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """`league train` on a shipped or a scripted config, spoilt in its structure, its text, or by overrides."""
    name = rng.choice(list(shelf.configs)) if rng.random() < 0.85 else rng.choice(shelf.playable)
    text, told = shelf.configs[name], [name]
    data = yaml.safe_load(text)
    overrides: list[str] = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        change = rng.randrange(4)
        if change < 2:
            told.append(spoil(rng, data))
            text = _dumped(data)
        elif change == 2 or not isinstance(data, dict):
            text = spoil_text(rng, text)
            told.append("text")
        else:
            overrides.append(_override(rng, data))
            told.append(overrides[-1])
    (here / "x.yaml").write_text(_bounded(text), encoding="utf-8", errors="surrogateescape")
    words = ["train", "x.yaml", *overrides]
    if rng.random() < 0.9:
        words += [f"runs={rng.choice(['runs', '.'])}", f"league.rounds={rng.choice([1, 2])}"]
    return Input((*words, *rng.choice([[], ["--quiet"]])), "; ".join(told))


def _dumped(data: object) -> str:
    try:
        return yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return repr(data)


def _bounded(text: str) -> str:
    """The same config without settings that ask for hours of work."""
    try:
        data = yaml.safe_load(text)
        bounded = bound(data)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError):
        return text
    return text if bounded == data else _dumped(bounded)


def bound(value: object, key: object = "") -> object:
    """Numbers that ask for much work become small ones."""
    if isinstance(value, dict):
        return {name: bound(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [bound(inner, key) for inner in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return 8 if number and key in LOAD and float(value) > 20 else value  # type: ignore[arg-type]


def _override(rng: random.Random, data: dict[str, object]) -> str:
    path: list[str] = []
    at: object = data
    while isinstance(at, dict) and at and (not path or rng.random() < 0.8):
        path.append(str(rng.choice(list(at))))
        at = at.get(path[-1])
    if rng.random() < 0.2:
        path.append(rng.choice(["x", "", "a.b", "name", "settings", "0"]))
    value = rng.choice([*ODD_TEXTS, "1", "0", "-1", "0.5", "{}", "[]", "null", "[1, 2]", "{a: {b: 1}}", "!!set {a}"])
    if path and path[-1] in LOAD and value.strip().isdigit():
        value = "3"
    return ".".join(path) + rng.choice(["=", "=", "=", "", "=="]) + value


# ---------------------------------------------------------------------------------------------------- data files
def payoff_file(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """`league analyze` on a matrix in a random dialect, spoilt."""
    written = write_matrix(rng)
    text = garbled(rng, written.text) if rng.random() < 0.7 else written.text
    (here / "x.csv").write_bytes(_encoded(rng, text))
    flags = [] if written.mode == "probability" else [f"--{written.mode}"]
    return Input(("analyze", "x.csv", *flags, *_analyze_words(rng)), "matrix")


def match_file(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """`league analyze --matches` on a list of matches, spoilt."""
    names = rng.sample(["ada", "bob", "Cy, D", 'e"f', "zoë", "draw", "1-0", ""], 4)
    header = rng.choice([["player_a", "player_b", "winner"], ["white", "black", "score"], ["a", "b", "result", "note"]])
    rows = [header]
    for _ in range(rng.randint(0, 12)):
        pair = rng.sample(names, 2)
        rows.append([*pair, rng.choice([*pair, "draw", "1-0", "3:1", "½", "", "999999999-1", "none"])][: len(header)])
    separator = rng.choice([",", ";", "\t"])
    text = "\n".join(separator.join('"' + c.replace('"', '""') + '"' if separator in c else c for c in r) for r in rows)
    if rng.random() < 0.7:
        text = garbled(rng, text)
    (here / "x.csv").write_bytes(_encoded(rng, text))
    return Input(("analyze", "x.csv", "--matches", *_analyze_words(rng)), "match list")


def _analyze_words(rng: random.Random) -> list[str]:
    words = []
    if rng.random() < 0.3:
        words += ["--alpha", rng.choice(["0.05", "0", "1", "-1", "2", "nan", "inf", "1e-300", "1e-9", "0.5"])]
    if rng.random() < 0.2:
        words += ["--encoding", rng.choice(MEANT["encoding"])]
    return words + rng.choice([[], ["--json"], ["--counts"], ["--wins"]])


def _encoded(rng: random.Random, text: str) -> bytes:
    raw = text.encode(rng.choice(["utf-8"] * 6 + ["utf-16", "cp1252", "utf-8-sig"]), "replace")
    if rng.random() < 0.1:
        at = rng.randrange(len(raw) + 1)
        raw = raw[:at] + rng.randbytes(rng.randint(1, 9)) + raw[at:]
    return raw


PROBLEM = {
    "task_id": "T/0",
    "prompt": "def add(a, b):\n",
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
SAMPLE: dict[str, object] = {"task_id": "T/0", "completion": "    return a + b\n"}


def grading(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """`league grade` on problems and answers, spoilt. One of twenty keeps its files, for judges take time to start."""
    for name, record in (("p.jsonl", PROBLEM), ("s.jsonl", SAMPLE)):
        records = [json.loads(json.dumps(record)) for _ in range(rng.choice([1, 1, 2]))]
        lines = []
        for index, each in enumerate(records):
            if name == "p.jsonl":
                each["task_id"] = f"T/{index}"
            if rng.random() < 0.6:
                spoil(rng, each)
            lines.append(json.dumps(each, ensure_ascii=False))
        text = "\n".join(lines)
        text = spoil_text(rng, text) if rng.random() < 0.5 else text
        (here / name).write_bytes(_encoded(rng, text))
    if rng.random() < 0.95:  # an answer to nothing: refused before judges start
        with (here / "s.jsonl").open("a", encoding="utf-8") as file:
            file.write('\n{"task_id": "T/nothing", "completion": ""}')
    words = ["grade", "p.jsonl", "s.jsonl", "--workers", "1", "--timeout", "0.5", "--wall", "1"]
    if rng.random() < 0.2:
        words += [
            rng.choice(["--timeout", "--wall", "--memory", "--workers"]),
            rng.choice(["0", "-1", "nan", "x", "1e9"]),
        ]
    return Input(tuple(words), "problems and answers")


# -------------------------------------------------------------------------------------------------------- models
def model(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """`league fetch-model` on a model's folder, spoilt."""
    assert shelf.model is not None, "only drawn where there is one"
    folder = shutil.copytree(shelf.model, here / "model")
    told = [_spoil_file(rng, rng.choice(sorted(folder.iterdir()))) for _ in range(rng.choice([1, 1, 2]))]
    return Input(("fetch-model", rng.choice(["model", "./model"]), *rng.choice([[], ["--json"]])), "; ".join(told))


def checkpoint(rng: random.Random, shelf: Shelf, here: Path) -> Input:
    """`league train` with an agent that begins from a spoilt PEFT folder."""
    assert shelf.checkpoint is not None, "only drawn where there is one"
    folder = shutil.copytree(shelf.checkpoint, here / "peft")
    told = [_spoil_file(rng, rng.choice(sorted(folder.iterdir()))) for _ in range(rng.choice([1, 1, 2]))]
    data = yaml.safe_load(shelf.learner)
    data["agents"]["ada"]["checkpoint"] = "peft"
    (here / "x.yaml").write_text(yaml.safe_dump(data))
    return Input(("train", "x.yaml", "--quiet"), "; ".join(told))


def _spoil_file(rng: random.Random, file: Path) -> str:
    """One file of a model or an adapter: its JSON, its bytes, or the file itself."""
    change = rng.randrange(3)
    if change == 0 and file.suffix == ".json":
        data = json.loads(file.read_text(encoding="utf-8"))
        told = spoil(rng, data)
        file.write_text(json.dumps(data), encoding="utf-8")
        return f"{file.name}: {told}"
    if change <= 1:
        raw = bytearray(file.read_bytes())
        for _ in range(rng.choice([1, 1, 8]) if raw else 0):
            raw[rng.randrange(min(len(raw), 4096))] ^= 1 << rng.randrange(8)
        file.write_bytes(raw)
        return f"{file.name}: bits flipped"
    file.unlink()
    return f"{file.name}: {odd_file(rng, file)}"


WAYS: dict[Callable[[random.Random, Shelf, Path], Input], float] = {
    arguments: 25,
    spoilt_run: 40,
    config: 22,
    payoff_file: 4,
    match_file: 3,
    grading: 3,
    model: 2.6,
    checkpoint: 0.4,
}
"""Kind of input → how often it is drawn."""
