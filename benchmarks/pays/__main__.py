"""Where does a league pay? Runs the experiment of docs/pays.md and writes its page.

    python -m benchmarks.pays run private --seeds 1 2 3 4 5 6 [--arms league magrpo …] [--work runs/pays]
    python -m benchmarks.pays page

Finished cells in docs/results/pays.json are not repeated, and an interrupted run is resumed. Start it twice, with
different seeds, to keep two cores busy.
"""

import argparse
from pathlib import Path

from benchmarks.pays import arms, run
from benchmarks.pays.cells import Cells
from benchmarks.pays.page import write_page

CELLS = run.ROOT / "docs" / "results" / "pays.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="Train and measure cells.")
    running.add_argument("regime", choices=sorted(arms.MAIN))
    running.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    running.add_argument("--arms", nargs="+", choices=sorted(arms.ARMS), help="Default: the regime's main arms.")
    running.add_argument("--budget", type=int, default=arms.BUDGET, help="Tokens an arm, sampled and trained on.")
    running.add_argument("--work", type=Path, default=Path("runs/pays"))
    running.add_argument("--cells", type=Path, default=CELLS)
    writing = commands.add_parser("page", help="Write docs/results/pays.md from the cells.")
    writing.add_argument("--cells", type=Path, default=CELLS)
    given = parser.parse_args()
    cells = Cells(given.cells)
    if given.command == "page":
        write_page(cells, CELLS.with_suffix(".md"))
        return
    work = given.work.resolve()
    for seed in given.seeds:
        run.begin(seed, work, general=True)
        run.measure_starts(given.regime, seed, work, cells)
        for arm in given.arms or arms.MAIN[given.regime]:
            run.run_arm(given.regime, arm, seed, work=work, cells=cells, budget=given.budget)


if __name__ == "__main__":
    main()
