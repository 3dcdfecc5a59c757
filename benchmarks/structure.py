"""How the code is laid out, in numbers.

Root files, import circles, layers, files of one round, long lines, names.

    python -m benchmarks.structure [--json] [--root CHECKOUT]

The table and its targets are in docs/development.md. `--root` measures another checkout by the same methods. Exit code
1 says that a target is missed. Nothing here judges how good a name or a layer is.
"""

import argparse
import ast
import inspect
import json
import sys
import tempfile
import threading
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import grimp
import networkx

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("league", "tasks")
CODE = (*PACKAGES, "benchmarks", "examples", "tests")
COLUMNS = 120
TARGETS = {
    "files at the root of league/": 8,
    "import circles": 0,
    "modules of league without a layer": 0,
    "files one round runs through": 45,
    "lines over 120 columns (%)": 0,
    "public names defined twice": 10,
}


@dataclass(frozen=True)
class Measure:
    """One number, and what it counts: the files, circles or names behind it."""

    value: float
    found: tuple[str, ...]


def root_files(root: Path) -> Measure:
    """Python files directly in league/."""
    names = sorted(path.name for path in (root / "league").glob("*.py"))
    return Measure(len(names), tuple(names))


def import_circles(root: Path) -> Measure:
    """Strongly connected components of the import graph with more than one module.

    All imports count, also those inside functions and those for type checkers only. `root` must be first on sys.path.
    """
    modules = grimp.build_graph(*PACKAGES, cache_dir=None)
    graph: networkx.DiGraph = networkx.DiGraph()
    for module in modules.modules:
        graph.add_edges_from((module, other) for other in modules.find_modules_directly_imported_by(module))
    circles = [sorted(part) for part in networkx.strongly_connected_components(graph) if len(part) > 1]
    return Measure(len(circles), tuple(sorted(" ↔ ".join(part) for part in circles)))


def without_layer(root: Path) -> Measure:
    """Modules and packages directly in league/ that no layers contract of import-linter names."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contracts = [contract for contract in settings["contracts"] if contract["type"] == "layers"]
    named = {
        f"{container}.{part.strip(' ()')}".removeprefix(".")
        for contract in contracts
        for container in contract.get("containers", [""])
        for layer in contract["layers"]
        for part in layer.replace(":", "|").split("|")
    }
    ignored = {name for contract in contracts for name in contract.get("exhaustive_ignores", [])}
    places = (root / "league").iterdir()
    modules = {path.stem for path in places if path.suffix == ".py" or (path / "__init__.py").exists()}
    missing = sorted(f"league.{name}" for name in modules - ignored - {"__init__", "__main__"})
    missing = [name for name in missing if name not in named]
    return Measure(len(missing), tuple(missing))


def long_lines(root: Path) -> Measure:
    """Percentage of the lines of code and tests that are longer than 120 characters."""
    total, found = 0, []
    for path in _python_files(root, CODE):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            total += 1
            if len(line) > COLUMNS:
                found.append(f"{path.relative_to(root)}:{number}")
    return Measure(round(100 * len(found) / total, 2), tuple(found))


def double_names(root: Path) -> Measure:
    """Public classes and functions at module level that two or more modules of league and tasks define.

    A command bears the name of the function it calls, and each program has its `main`: neither counts.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for path in _python_files(root, PACKAGES):
        if path.is_relative_to(root / "league" / "commands"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef)
                and not node.name.startswith("_")
                and node.name != "main"
            ):
                places[node.name].append(str(path.relative_to(root)))
    doubles = {name: sorted(set(paths)) for name, paths in places.items() if len(set(paths)) > 1}
    return Measure(len(doubles), tuple(f"{name}: {', '.join(paths)}" for name, paths in sorted(doubles.items())))


def files_of_a_round(root: Path) -> Measure:
    """Files of league/ and tasks/ in which a function runs during one round.

    The round is the first `play_round` of the tests' tiny league. That league has a teaching task and a contest over
    a random Llama. Its first round measures nothing and freezes nobody; it commits, and reports to nobody. Functions
    count in every thread; what runs on import does not, nor do methods that dataclasses generate. `root` must be
    first on sys.path.
    """
    from league import loop
    from tests.conftest import write_tiny_model
    from tests.leagues import Nobody, tiny

    with tempfile.TemporaryDirectory() as scratch:
        config = tiny(write_tiny_model(Path(scratch) / "model"), Path(scratch), league__rounds=2)
        prepared = loop.prepare(config)
        tracer = _Tracer(loop.play_round.__code__.co_filename)
        threading.setprofile(tracer)
        sys.setprofile(tracer)
        try:
            loop.train(prepared, Nobody())
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    files = {path.relative_to(root) for path in map(Path, tracer.files) if path.is_relative_to(root)}
    found = sorted(str(path) for path in files if path.parts[0] in PACKAGES)
    return Measure(len(found), tuple(found))


class _Tracer:
    """Notes the file of every function called while the first `play_round` runs."""

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self.inside = False
        self.rounds = 0
        self.files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if code.co_name == "play_round" and code.co_filename == self.loop and event in ("call", "return"):
            self.rounds += event == "call"
            self.inside = event == "call" and self.rounds == 1
        # Bodies of modules and classes lack this flag: they run on import.
        if self.inside and event == "call" and code.co_flags & inspect.CO_OPTIMIZED:
            self.files.add(code.co_filename)


def _python_files(root: Path, packages: tuple[str, ...]) -> Iterator[Path]:
    for package in packages:
        yield from sorted((root / package).rglob("*.py"))


METHODS = {
    "files at the root of league/": root_files,
    "import circles": import_circles,
    "modules of league without a layer": without_layer,
    "files one round runs through": files_of_a_round,
    "lines over 120 columns (%)": long_lines,
    "public names defined twice": double_names,
}


def measure(root: Path) -> dict[str, Measure]:
    """Every measure by its name in TARGETS. `root` must be first on sys.path."""
    return {name: method(root) for name, method in METHODS.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How the code is laid out, in numbers.")
    parser.add_argument("--json", action="store_true", help="with the files, circles and names behind each number")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to measure")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    sys.path.insert(0, str(root))
    found = measure(root)
    if options.json:
        print(json.dumps({name: {"value": one.value, "found": one.found} for name, one in found.items()}, indent=1))
    else:
        for name, one in found.items():
            print(f"{one.value:>6g}  (at most {TARGETS[name]})  {name}")
    return int(any(one.value > TARGETS[name] for name, one in found.items()))


if __name__ == "__main__":
    sys.exit(main())
