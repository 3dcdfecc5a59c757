"""Stands in for `league train` and `league resume` in tests of sweeps: quick, and told what becomes of it.

python sweep_child.py train CONFIG key=value … --quiet      python sweep_child.py resume FOLDER --quiet

A run of seed N does what file `seed-N.do` beside the sweep's folder says: "finish" (the default), "fail", "crash",
"wait" (until a signal, then it stops with its round kept), "deaf" (until a second signal). Every beginning and end is
appended to `log.txt` there, with the threads it may use.
"""

import os
import signal
import sys
import time
from pathlib import Path

from league.config import load_config
from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import Version, VersionRow

ADA = Version("ada", 0)


def commit(store: RunStore, number: int, *, last: bool) -> None:
    row = VersionRow(ADA, "student", 0, blob=None, optimizer=None, parents=(), reason="created")
    exams = [{"version": "ada@0", "domain": "sums", "split": "test", "correct": "1100"}]
    members = [{"name": "ada", "role": "student", "version": "ada@0", "trains": True}]
    store.commit(
        RoundRecord(
            round=number,
            versions=(row,) if number == 0 else (),
            matches=(),
            ratings=(),
            scalars={},
            live={"ada": ADA},
            state={
                "marks": {"start": {"exams": exams}} | ({"end": {"exams": exams}} if last else {}),
                "population": {"members": members, "pasts": {}},
                "tokens": {"sampled": 10, "trained": 1},
            },
        )
    )


def main(verb: str, place: str, *words: str) -> int:
    if verb == "train":
        config = load_config(Path(place), [word for word in words if word != "--quiet"])
        folder, text = config.folder, config.dump()
    else:
        folder, text = Path(place), ""
    told = Path(os.environ["SWEEP_CHILD"])
    wish = told / f"{folder.name}.do"
    do = wish.read_text().strip() if wish.is_file() else "finish"
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))

    def note(what: str) -> None:
        with (told / "log.txt").open("a") as log:
            log.write(f"{what} {folder.parent.name}/{folder.name} {verb} {os.environ['OMP_NUM_THREADS']}\n")

    note("begin")
    if do == "fail":
        print("reading ...\nerror: no such thing;\n  put it back")
        return 2
    if do == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    with RunStore.create(folder, text) if verb == "train" else RunStore.open(folder) as store:
        if verb == "train":
            commit(store, 0, last=False)
        until = time.monotonic() + 20
        while do in ("wait", "deaf") and len(heard) < (1 if do == "wait" else 2) and time.monotonic() < until:
            time.sleep(0.02)
        if not heard:
            commit(store, (store.latest_round() or 0) + 1, last=True)
    note("end")
    return 130 if len(heard) > 1 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
