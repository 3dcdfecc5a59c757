"""Where does a league pay? Runs the experiment of docs/pays.md and writes its page.

    python -m benchmarks.pays run private --seeds 3 4 5 6 7 8 [--arms league magrpo …] [--work runs/pays]
    python -m benchmarks.pays probe-levels
    python -m benchmarks.pays page

Finished cells in docs/results/pays.json are not repeated, and an interrupted run is resumed. Start it twice, with
different seeds, to keep two cores busy; the partners of `collaborative` must be there before, so run one seed of it
first. `probe-levels` chooses the levels of `sparse`, which must be done before its runs.
"""

import argparse
from pathlib import Path

from benchmarks.pays import arms, collaborative, nontransitive, run
from benchmarks.pays.cells import Cells
from benchmarks.pays.page import write_page
from benchmarks.pays.place import Place
from benchmarks.pays.probe import PROBLEMS, probe
from benchmarks.pays.regimes import LEVELS, NAMES, read_levels, regime_of

CELLS = run.ROOT / "docs" / "results" / "pays.json"
GAMES = {"nontransitive": nontransitive.run_seed, "collaborative": collaborative.run_seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="Train and measure cells.")
    running.add_argument("regime", choices=(*NAMES, *GAMES))
    running.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5, 6, 7, 8])
    running.add_argument(
        "--arms", nargs="+", choices=sorted(arms.ARMS), help="Default: the regime's main arms. Games have no choice."
    )
    running.add_argument("--budget", type=int, default=arms.BUDGET, help="Tokens an arm, sampled and trained on.")
    probing = commands.add_parser("probe-levels", help="Choose the levels of the regime sparse.")
    probing.add_argument("--seed", type=int, default=1, help="Whose adapter on all the data is asked.")
    probing.add_argument("--problems", type=int, default=PROBLEMS, help="Validation problems of each candidate.")
    for command in (running, probing):
        command.add_argument("--work", type=Path, default=Path("runs/pays"))
        command.add_argument("--levels", type=Path, default=LEVELS, help="Candidates and chosen levels of sparse.")
    writing = commands.add_parser("page", help="Write docs/results/pays.md and its pictures from the cells.")
    for command in (running, writing):
        command.add_argument("--cells", type=Path, default=CELLS)
    given = parser.parse_args()
    if given.command == "page":
        write_page(Cells(given.cells), CELLS.with_suffix(".md"))
    elif given.command == "probe-levels":
        probe(given.seed, Place(given.work.resolve(), Cells(CELLS)), given.levels, problems=given.problems)
    elif given.regime in GAMES:
        if given.arms:
            parser.error(f"--arms: both arms of {given.regime} are run; leave it out")
        for seed in given.seeds:
            GAMES[given.regime](seed, Place(given.work.resolve(), Cells(given.cells)))
    else:
        if given.regime == "sparse" and not read_levels(given.levels)["probed"]:
            parser.error(f"{given.levels}: its levels are guesses; run `python -m benchmarks.pays probe-levels` first")
        place = Place(given.work.resolve(), Cells(given.cells), budget=given.budget)
        regime = regime_of(given.regime, given.levels)
        if not regime.domains:
            parser.error(f"{given.levels}: the probe found no sparse level; add other candidates and probe again")
        for seed in given.seeds:
            run.run_seed(regime, seed, given.arms or regime.arms, place)


if __name__ == "__main__":
    main()
