"""Kinds of hostile answers, from which any number is drawn: each kind has parameters, and a seed draws them.

They look for a verdict that the answer chooses ("infra"), for time beyond the wall limit, for a judge that breaks on a
value, and for a way to reach what has a name. Every kind is for a small problem of its own. `hostile_answers` holds the
single answers. Used by the tests and by `benchmarks/grader.py kinds`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from textwrap import dedent, indent

from league.sandbox.pool import Job
from league.sandbox.values import CodeProblem

ASKS_ONCE = "def check(c):\n    assert c(1) == 2\n"


@dataclass(frozen=True)
class Probe:
    """One answer. `{path}` and `{abstract}` in it are a unix socket's path and an abstract name that must hear nothing.

    `right` answers are correct and do mischief on the way: they may pass, but must be suspect.
    """

    code: str
    test: str = ASKS_ONCE
    right: bool = False
    program: bool = False

    def job(self, name: str, every: bool, **places: str) -> Job:
        code = self.code
        for place, text in places.items():
            code = code.replace("{" + place + "}", text)
        prompt = 'def f(x):\n    """Adds one.\n\n    >>> f(3)\n    4\n    """\n'
        return Job(CodeProblem(name, prompt, "f", self.test), code, every, self.program)


Kind = Callable[[Random, float], Probe]
"""Draws one answer, given the wall limit in seconds."""


def _answer(text: str, test: str = ASKS_ONCE, **values: object) -> Probe:
    """An `f` with this body, in which `<name>` stands for a value."""
    body = _filled("import os, time, threading, signal, select, ctypes, socket, sys\n" + _text(text), values)
    return Probe("def f(x):\n" + indent(body, "    ") + "\n", _filled(_text(test), values))


def _mischief(text: str, **values: object) -> Probe:
    """Answers rightly, and does `text` on the way."""
    body = indent(_filled("import os, ctypes, socket\n" + _text(text), values), "        ")
    code = f"def f(x):\n    try:\n{body}\n    except BaseException:\n        pass\n    return x + 1\n"
    return Probe(code, right=True)


def _text(text: str) -> str:
    return dedent(text).strip() + "\n"


def _filled(text: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        text = text.replace(f"<{name}>", f"{value:.3f}" if isinstance(value, float) else str(value))
    return text


# ---------------------------------------------------------------------------------------------- beyond the clocks
def sleeps_then_spins(rng: Random, wall: float) -> Probe:
    return _answer("time.sleep(<long>)\nwhile True: pass", long=wall * rng.uniform(0.5, 0.99))


def duty_cycle(rng: Random, wall: float) -> Probe:
    text = """
        while True:
            end = time.process_time() + <on>
            while time.process_time() < end: pass
            time.sleep(<off>)
    """
    return _answer(text, on=rng.uniform(0.001, 0.03), off=rng.uniform(0.05, 0.099))


def many_calls(rng: Random, wall: float) -> Probe:
    """Right values, each in less than a tick of the judge's clock."""
    each = rng.uniform(0.02, 0.099)
    test = """
        def check(c):
            for i in range(<count>):
                assert c(i) == i + 1
    """
    return _answer("time.sleep(<each>)\nreturn x + 1", test, each=each, count=int(1.5 * wall / each))


def many_busy_calls(rng: Random, wall: float) -> Probe:
    each = rng.uniform(0.02, 0.09)
    text = """
        end = time.process_time() + <each>
        while time.process_time() < end: pass
        return x + 1
    """
    test = """
        def check(c):
            for i in range(<count>):
                assert c(i) == i + 1
    """
    return _answer(text, test, each=each, count=int(1.5 * wall / each))


def drips_packets(rng: Random, wall: float) -> Probe:
    text = """
        while True:
            os.write(3, <packet>)
            time.sleep(<pause>)
    """
    packet = rng.choice(["b'+'", "b'+{'", "b'+' + bytes(99)", "b'+' * 96000"])
    return _answer(text, packet=packet, pause=rng.choice([0.0, 0.01, 0.05, 0.09, 0.2]))


def keeps_the_judge_busy(rng: Random, wall: float) -> Probe:
    """Refused or reported system calls, at a pace that stays below their limit."""
    text = """
        while True:
            try:
                <call>
            except OSError:
                pass
            time.sleep(<pause>)
    """
    call = rng.choice(["open('/lib/none.so')", "os.kill(1, 0)", "os.sched_setaffinity(0, [0])", "os.umask(0)"])
    return _answer(text, call=call, pause=rng.uniform(0.001, 0.09))


def waits_in_the_kernel(rng: Random, wall: float) -> Probe:
    how = [
        "signal.pause()",
        "signal.sigwait([signal.SIGUSR1])",
        "os.read(os.pipe()[0], 1)",
        "select.select([os.pipe()[0]], [], [])",
        "select.poll().poll()",
        "select.epoll().poll()",
        "lock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        "socket.socketpair()[0].recv(1)",
        "t = threading.Thread(target=time.sleep, args=(99,))\nt.start()\nt.join()",
    ]
    return _answer(rng.choice(how))


def leader_leaves(rng: Random, wall: float) -> Probe:
    """The first thread ends, another lives on: a process without a main thread."""
    other = rng.choice(["time.sleep(99)", "exec('while 1: pass')", "exec('import time\\nwhile 1: time.sleep(.09)')"])
    return _answer("threading.Thread(target=lambda: <other>).start()\nctypes.CDLL(None).syscall(60, 0)", other=other)


def spreads_over_threads(rng: Random, wall: float) -> Probe:
    text = """
        def go():
            while True:
                for _ in range(20000): pass
                time.sleep(<pause>)
        for _ in range(<count>):
            threading.Thread(target=go).start()
        go()
    """
    return _answer(text, pause=rng.uniform(0.02, 0.09), count=rng.randint(2, 40))


def interrupts_itself(rng: Random, wall: float) -> Probe:
    text = """
        signal.signal(signal.<number>, <handler>)
        signal.setitimer(signal.<timer>, .01, .01)
        while True:
            time.sleep(.05)
    """
    timers = {"ITIMER_REAL": "SIGALRM", "ITIMER_VIRTUAL": "SIGVTALRM", "ITIMER_PROF": "SIGPROF"}
    timer = rng.choice(list(timers))
    handler = rng.choice(["signal.SIG_IGN", "lambda *a: None", "lambda *a: time.sleep(.08)"])
    return _answer(text, number=timers[timer], timer=timer, handler=handler)


def slow_to_define(rng: Random, wall: float) -> Probe:
    """Uses the wall time up before the check begins, which then has work of its own before its first call."""
    test = """
        def check(c):
            total = sum(i * i for i in range(1_000_000))
            assert c(1) == 2
    """
    slept = wall * rng.uniform(0.9, 0.99)
    code = f"import time\ntime.sleep({slept:.3f})\ndef f(x):\n    time.sleep({wall})\n    return 2\n"
    return Probe(code, _text(test))


def grows_until_late(rng: Random, wall: float) -> Probe:
    """Memory, just below its limit, in small steps."""
    text = """
        keep = []
        while True:
            try:
                keep.append(bytearray(<step>))
            except MemoryError:
                time.sleep(.05)
    """
    return _answer(text, step=rng.choice([1 << 12, 1 << 16, 1 << 22]))


# ------------------------------------------------------------------------------------------- values that the check uses
def deep_and_fed_back(rng: Random, wall: float) -> Probe:
    text = """
        v = 0
        for _ in range(<depth>):
            v = <wrap>
        return v if type(x) is int else 3
    """
    test = """
        def check(c):
            v = c(1)
            for _ in range(9):
                v = [v]
            assert c(v) == 2
    """
    return _answer(text, test, depth=rng.randint(53, 60), wrap=rng.choice(["[v]", "(v,)", "{0: v}"]))


def large_and_fed_back(rng: Random, wall: float) -> Probe:
    test = """
        def check(c):
            v = c(1)
            v = <grow>
            assert c(v) == 2
    """
    value, grow = rng.choice(
        [
            ("'x' * 700_000", "v * 9"),
            ("b'x' * 300_000", "v * 9"),
            ("[0] * 250_000", "v + v + v"),
            ("1 << 60_000", "v * v"),
            ("'é' * 100_000", "v * 20"),
            ("{i: i for i in range(60_000)}", "list(v.items()) * 9"),
        ]
    )
    return _answer("return <value>", test, value=value, grow=grow)


def made_into_something_else(rng: Random, wall: float) -> Probe:
    test = """
        def check(c):
            v = c(1)
            assert c(<make>) == 2
    """
    make = ["iter(v)", "(lambda: v)", "memoryview(v)", "map(str, v)", "v.__len__", "type(v)", "reversed(v)"]
    return _answer("return b'abc'", test, make=rng.choice(make))


def number_without_text(rng: Random, wall: float) -> Probe:
    """Python refuses to print an integer of more than 4,300 digits, also where an error quotes it."""
    test = """
        def fails(v):
            raise ValueError(v)
        def check(c):
            v = c(1)
            <use>
    """
    use = rng.choice(["{2: 1}[v]", "fails(v)", "assert f'{v}' == '2'", "[1, 2].index(v)", "assert v == 2, v"])
    return _answer(
        "return <base> ** <power>", test, use=use, base=rng.choice([2, -7, 10]), power=rng.randint(16000, 30000)
    )


def breaks_the_judges_memory(rng: Random, wall: float) -> Probe:
    test = """
        def check(c):
            v = c(1)
            keep = <use>
            assert keep == 2
    """
    use = ["[0] * v", "'x' * v", "list(range(v))", "bytes(v)", "1 << v", "f'{1:{v}}'", "'x'.center(v)", "set(range(v))"]
    return _answer("return 1 << <power>", test, use=rng.choice(use), power=rng.randint(27, 44))


def hangs_the_check(rng: Random, wall: float) -> Probe:
    """In Python, in C that looks at signals, in C that does not, and in the kernel."""
    test = """
        import math, re, time, itertools, decimal, difflib, sys, threading
        sys.set_int_max_str_digits(0)
        decimal.getcontext().prec = 10 ** 7
        def check(c):
            v = c(1)
            assert <use> == 'never'
    """
    use, value = rng.choice(
        [
            ("10 ** v", "10 ** 9"),
            ("sum(range(v))", "1 << 60"),
            ("math.factorial(v)", "10 ** 7"),
            ("re.match(v, 'a' * 60 + 'b')", "'(a+)+$'"),
            ("time.sleep(v)", "10 ** 6"),
            ("all(True for _ in iter(int, v))", "1"),
            ("int(v, 3)", "'2' * 900_000"),
            ("sum(1 for _ in itertools.permutations(range(v)))", "99"),
            ("decimal.Decimal(v) ** decimal.Decimal('0.5')", "7 ** 3000"),
            ("difflib.SequenceMatcher(None, v, v[::-1]).ratio()", "'ab' * 200_000"),
            ("threading.Event().wait(v)", "10 ** 6"),
            ("pow(v, v, v + 2)", "7 ** 30_000"),
        ]
    )
    return _answer("return <value>", test, use=use, value=value)


def check_that_catches(rng: Random, wall: float) -> Probe:
    """A check that catches everything goes on after its time is up."""
    test = """
        import time
        def check(c):
            v = c(1)
            for _ in range(99):
                try:
                    time.sleep(v)
                except:
                    pass
    """
    return _answer("return <long>", test, long=rng.choice([0.5, 3.0, 99.0]))


def leaves_by_value(rng: Random, wall: float) -> Probe:
    """A check that leaves the program, or breaks it, for some values only."""
    test = """
        import sys, os, ctypes
        def check(c):
            v = c(1)
            if v != 2:
                <leave>
    """
    leave = [
        "sys.exit(0)",
        "sys.exit(1)",
        "os._exit(0)",
        "os._exit(3)",
        "os.abort()",
        "exit()",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        "raise SystemExit",
        "ctypes.string_at(0)",
    ]
    return _answer("return <value>", test, leave=rng.choice(leave), value=rng.choice(["0", "None", "[]", "3.5"]))


def ends_by_value(rng: Random, wall: float) -> Probe:
    """A check that hands back what nobody runs, for some values only."""
    test = """
        async def later():
            assert False
        async def more():
            yield 1
        def check(c):
            if c(1) != 2:
                return <end>
    """
    return _answer("return 0", test, end=rng.choice(["(w for w in [1])", "later()", "more()"]))


# ----------------------------------------------------------------------------------------------------- the channel
def forges(rng: Random, wall: float) -> Probe:
    text = """
        for part in <parts>:
            os.write(3, part + <frame>)
        while True: time.sleep(1)
    """
    frame = rng.choice(
        [
            b'{"returned":1.0,"value":3}',
            b'{"returned":true,"value":3}',
            b'{"returned":1,"value":["i","0x3"]}',
            b'{"returned":1,"value":["x"]}',
            b'{"returned":1,"value":1e999}',
            b'{"raised":1,"type":"SystemExit","text":""}',
            b'{"raised":1,"type":"DatasetFault","text":"x"}',
            b'{"raised":1,"type":["ValueError"],"text":{}}',
            b'{"odd":1,"kind":"infra","what":"infra"}',
            b'{"job":0,"stage":"preparing"}',
            b'{"confined":{}}',
            b'{"verdict":"infra"}',
            b"[]",
            b"",
        ]
    )
    return _answer(text, parts=rng.choice(["(b'.',)", "(b'+', b'.')", "(b'', b'.')"]), frame=frame)


def many_packets(rng: Random, wall: float) -> Probe:
    text = """
        for _ in range(<count>):
            os.write(3, b'+ ')
        os.write(3, b'.{"returned":1,"value":3}')
        time.sleep(99)
    """
    return _answer(text, count=rng.choice([22, 62, 63, 64, 65, 10**6]))


def swaps_the_channel(rng: Random, wall: float) -> Probe:
    text = """
        a, b = socket.socketpair(socket.AF_UNIX, socket.<kind>)
        os.dup2(a.fileno(), 3)
        b.send(b'.{}')
        time.sleep(99)
    """
    return _answer(text, kind=rng.choice(["SOCK_STREAM", "SOCK_SEQPACKET"]))


# ------------------------------------------------------------------------------------------------------ how it dies
def dies(rng: Random, wall: float) -> Probe:
    native = """
        import mmap
        m = mmap.mmap(-1, 4096, prot=7)
        m.write(bytes.fromhex('<code>'))
        ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()
    """
    how = [
        "signal.alarm(1)\ntime.sleep(99)",
        "signal.setitimer(signal.ITIMER_PROF, .1)\nwhile True: pass",
        "signal.setitimer(signal.ITIMER_VIRTUAL, .1)\nwhile True: pass",
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\na, b = socket.socketpair()\nb.close()\na.send(b'x')",
        native.replace("<code>", "0f0b"),
        native.replace("<code>", "31c9f7f1"),
        native.replace("<code>", "f4"),
        native.replace("<code>", "cc"),
        "ctypes.memset(ctypes.addressof(ctypes.c_long()) & ~0xffff, 0, 1 << 20)",
        "ctypes.CDLL(None).syscall(231, 9)",
        "ctypes.CDLL(None).syscall(15)",
        "ctypes.CDLL(None).syscall(158, 0x1002, 0)",
        "os.closerange(0, 9)\nraise SystemExit",
        "os._exit(137)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nctypes.string_at(0)",
    ]
    return _answer(rng.choice(how))


def killed_for_its_cpu_time(rng: Random, wall: float) -> Probe:
    """The kernel's own limit ends with SIGKILL, as a kill from outside does."""
    text = """
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        for _ in range(<count>):
            threading.Thread(target=exec, args=('while 1: pass',)).start()
        while True: pass
    """
    return _answer(text, count=rng.randint(1, 30))


# ---------------------------------------------------------------------------------------------- what has a name
def sends_to_a_name(rng: Random, wall: float) -> Probe:
    kinds = ["socket.SOCK_DGRAM", "3", "socket.SOCK_DGRAM | socket.SOCK_NONBLOCK", "socket.SOCK_SEQPACKET"]
    sends = [
        "a.sendto(b'x', <where>)",
        "a.sendmsg([b'x'], [], 0, <where>)",
        "a.sendmsg([b'x'], [(1, 1, b'\\3\\0\\0\\0')], 0, <where>)",
        "a.connect(<where>)",
        "b.bind(<where> + 'x')",
    ]
    text = (
        f"a, b = socket.socketpair(socket.AF_UNIX, {rng.choice([*kinds, 'socket.SOCK_STREAM'])})\n{rng.choice(sends)}"
    )
    return _mischief(text, where=rng.choice(["'{path}'", "'\\0{abstract}'"]))


def other_ways_to_a_name(rng: Random, wall: float) -> Probe:
    ways = [
        "open('{path}', 'r+b').write(b'x')",
        "ctypes.CDLL(None).syscall(307, 3, 0, 0, 0)",
        "ctypes.CDLL(None).syscall(44, 3, b'x', 1, 0, b'\\1\\0{path}', 90)",
        "ctypes.CDLL(None).syscall(46, 0, 0, 0)",
        "ctypes.CDLL(None).syscall(434, os.getppid(), 0)",
        "os.mkfifo('{path}.fifo')",
        "os.link('{path}', '{path}.link')",
        "os.chmod('{path}', 0o777)",
        "os.rename('{path}', '{path}.old')",
        "os.truncate('{path}', 0)",
        "os.utime('{path}')",
        "os.setxattr('{path}', 'user.x', b'x')",
        "os.unlink('{path}')",
        "ctypes.CDLL(None).syscall(254, 0, b'{path}', 0xfff)",
    ]
    return _mischief(rng.choice(ways))


# ------------------------------------------------------------------------------------------------------ other reading
def not_the_program_it_says(rng: Random, wall: float) -> Probe:
    """As a whole program these define no `f`; as the rest of the prompt's body they would be right."""
    code = ["    return x + 1\n", "", "# f\n", "    'f'\n    return x + 1\n", "g = 1\n", "f = 3\n", "del f\n"]
    return Probe(rng.choice(code), program=True)


_ALL: tuple[Kind, ...] = (
    sleeps_then_spins,
    duty_cycle,
    many_calls,
    many_busy_calls,
    drips_packets,
    keeps_the_judge_busy,
    waits_in_the_kernel,
    leader_leaves,
    spreads_over_threads,
    interrupts_itself,
    slow_to_define,
    grows_until_late,
    deep_and_fed_back,
    large_and_fed_back,
    made_into_something_else,
    number_without_text,
    breaks_the_judges_memory,
    hangs_the_check,
    check_that_catches,
    leaves_by_value,
    ends_by_value,
    forges,
    many_packets,
    swaps_the_channel,
    dies,
    killed_for_its_cpu_time,
    sends_to_a_name,
    other_ways_to_a_name,
    not_the_program_it_says,
)
KINDS: dict[str, Kind] = {kind.__name__.replace("_", " "): kind for kind in _ALL}


def drawn(count: int, seed: int, wall: float) -> list[tuple[str, Probe]]:
    """`count` different answers, as many of each kind as can be, with the name of their kind."""
    found: dict[Probe, str] = {}
    for turn in range(100):
        for name, kind in KINDS.items():
            if len(found) < count:
                found.setdefault(kind(Random(f"{seed}/{name}/{turn}"), wall), name)
    return [(name, probe) for probe, name in found.items()]
