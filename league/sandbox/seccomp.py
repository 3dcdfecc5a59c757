"""The system calls an answer may make.

An allow-list as a BPF filter, and the notifications of what it denies.

Default deny. What an answer has no honest use for is refused with EPERM: processes, sockets, whatever sends to a name,
signals, files it could write, ptrace, limits, mounts. With a listener the kernel also tells the judge, so an attempt
is on record and cannot be hidden by the answer. Opening files and starting threads go through the listener too:
Landlock decides about the file, the judge keeps count.
"""

import struct
from dataclasses import dataclass

from league.sandbox.kernel import MACHINE

_X86_64 = """
read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10 munmap 11 brk 12
rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 pread64 17 pwrite64 18 readv 19 writev 20 access 21 pipe 22
select 23 sched_yield 24 mremap 25 msync 26 mincore 27 madvise 28 dup 32 dup2 33 pause 34 nanosleep 35 getitimer 36
alarm 37 setitimer 38 getpid 39 socket 41 connect 42 sendto 44 recvfrom 45 sendmsg 46 recvmsg 47 shutdown 48
getsockname 51 getpeername 52 socketpair 53 setsockopt 54 getsockopt 55 clone 56 fork 57 vfork 58 execve 59 exit 60
kill 62 uname 63 fcntl 72 getdents 78 getcwd 79 chdir 80 rename 82 mkdir 83 link 86 unlink 87 symlink 88 readlink 89
chmod 90 umask 95 gettimeofday 96 getrlimit 97 getrusage 98 sysinfo 99 times 100 ptrace 101 getuid 102 getgid 104
geteuid 107 getegid 108 getppid 110 getpgrp 111 getgroups 115 getresuid 118 getresgid 120 getpgid 121 getsid 124
capget 125 rt_sigpending 127 rt_sigtimedwait 128 rt_sigsuspend 130 sigaltstack 131 statfs 137 fstatfs 138
getpriority 140 sched_getparam 143 sched_getscheduler 145 sched_get_priority_max 146 sched_get_priority_min 147
mlock 149 prctl 157 arch_prctl 158 setrlimit 160 mount 165 gettid 186 tkill 200 time 201 futex 202
sched_setaffinity 203 sched_getaffinity 204 epoll_create 213 getdents64 217 set_tid_address 218 restart_syscall 219
fadvise64 221 clock_gettime 228 clock_getres 229 clock_nanosleep 230 exit_group 231 epoll_wait 232 epoll_ctl 233
tgkill 234 openat 257 mkdirat 258 newfstatat 262 unlinkat 263 renameat 264 linkat 265 symlinkat 266 readlinkat 267
fchmodat 268 faccessat 269 pselect6 270 ppoll 271 unshare 272 set_robust_list 273 get_robust_list 274 epoll_pwait 281
eventfd2 290 epoll_create1 291 dup3 292 pipe2 293 preadv 295 prlimit64 302 process_vm_readv 310 renameat2 316
seccomp 317 getcpu 309 getrandom 318 execveat 322 membarrier 324 preadv2 327 statx 332 rseq 334 clone3 435
close_range 436 openat2 437 faccessat2 439 futex_waitv 449 mbind 237 set_mempolicy 238 get_mempolicy 239
setpriority 141
"""
_AARCH64 = """
getcwd 17 eventfd2 19 epoll_create1 20 epoll_ctl 21 epoll_pwait 22 dup 23 dup3 24 fcntl 25 ioctl 29 mkdirat 34
unlinkat 35 symlinkat 36 linkat 37 renameat 38 mount 40 statfs 43 fstatfs 44 faccessat 48 chdir 49 fchmodat 53
openat 56 close 57 pipe2 59 getdents64 61 lseek 62 read 63 write 64 readv 65 writev 66 pread64 67 pwrite64 68
preadv 69 pselect6 72 ppoll 73 readlinkat 78 newfstatat 79 fstat 80 capget 90 exit 93 exit_group 94 set_tid_address 96
unshare 97 futex 98 set_robust_list 99 get_robust_list 100 nanosleep 101 getitimer 102 setitimer 103 clock_gettime 113
clock_getres 114 clock_nanosleep 115 ptrace 117 sched_getscheduler 120 sched_getparam 121 sched_setaffinity 122
sched_getaffinity 123 sched_yield 124 sched_get_priority_max 125 sched_get_priority_min 126 restart_syscall 128
kill 129 tkill 130 tgkill 131 sigaltstack 132 rt_sigsuspend 133 rt_sigaction 134 rt_sigprocmask 135 rt_sigpending 136
rt_sigtimedwait 137 rt_sigreturn 139 getpriority 141 getresuid 148 getresgid 150 times 153 getpgid 155 getsid 156
getgroups 158 uname 160 getrlimit 163 setrlimit 164 getrusage 165 umask 166 prctl 167 getcpu 168 gettimeofday 169
getpid 172 getppid 173 getuid 174 geteuid 175 getgid 176 getegid 177 gettid 178 sysinfo 179 socket 198 socketpair 199
connect 203 getsockname 204 getpeername 205 sendto 206 recvfrom 207 setsockopt 208 getsockopt 209 shutdown 210
sendmsg 211 recvmsg 212 brk 214 munmap 215 mremap 216 clone 220 execve 221 mmap 222 fadvise64 223 mprotect 226
msync 227 mlock 228 mincore 232 madvise 233 prlimit64 261 process_vm_readv 270 renameat2 276 seccomp 277 getrandom 278
execveat 281 membarrier 283 preadv2 286 statx 291 rseq 293 clone3 435 close_range 436 openat2 437 faccessat2 439
futex_waitv 449 mbind 235 get_mempolicy 236 set_mempolicy 237 setpriority 140
"""
_ALLOWED = """
read write close fstat newfstatat stat lstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pread64 pwrite64 readv writev preadv preadv2 access faccessat
faccessat2 pipe pipe2 select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
sched_yield mremap msync mincore madvise dup dup2 dup3 pause nanosleep clock_nanosleep getitimer setitimer alarm
getpid getppid gettid exit exit_group uname getcwd readlink readlinkat gettimeofday time getrlimit getrusage sysinfo
times getuid geteuid getgid getegid getresuid getresgid getgroups getpgid getpgrp getsid futex futex_waitv
get_robust_list set_robust_list set_tid_address rseq sched_getaffinity sched_getparam sched_getscheduler
sched_get_priority_max sched_get_priority_min getpriority getdents64 getdents clock_gettime clock_getres getrandom
statx statfs fstatfs restart_syscall arch_prctl membarrier getcpu recvfrom getsockopt getsockname getpeername shutdown
fadvise64 capget close_range
""".split()


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


_TABLES = {"x86_64": _table(_X86_64), "aarch64": _table(_AARCH64)}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SYSCALLS = _TABLES.get(MACHINE, {})
NAMES = {number: name for name, number in SYSCALLS.items()}

CHANNEL = 3
"""The answer's descriptor of its socket to the judge."""

_LOAD, _EQUAL, _GREATER_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL, _ERRNO, _NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
_EPERM, _ENOSYS = 1, 38
_NR, _ARCH = 0, 4

_THREAD = 0x00010000  # CLONE_THREAD
_CLONE_NEW = 0x7E020080  # every CLONE_NEW* flag
_FCNTL = (0, 1, 2, 3, 4, 1030)  # DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC: nothing that can send a signal
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_PRCTL = (15, 16, 0x53564D41)  # SET_NAME, GET_NAME, SET_VMA (glibc names its arenas)
_SOCKET_TYPE, _STREAM, _SEQPACKET = 0xF, 1, 5
_WRITING = 0x1 | 0x2 | 0x40 | 0x200 | 0x400  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND
_TMPFILE = 0x400000  # the part of O_TMPFILE that is not O_DIRECTORY

_Step = tuple[int, int, int, int]


def _low(argument: int) -> _Step:
    return (_LOAD, 0, 0, 16 + 8 * argument)


def _high(argument: int) -> _Step:
    return (_LOAD, 0, 0, 20 + 8 * argument)


def _give(action: int) -> _Step:
    return (_RETURN, 0, 0, action)


def _when(name: str, body: list[_Step]) -> list[_Step]:
    """The steps of `body`, taken only for one call.

    `body` must end in a return; the number of the call is in the accumulator before and, when not taken, after.
    """
    if name not in SYSCALLS:
        return []
    return [(_EQUAL, 0, len(body), SYSCALLS[name]), *body]


def _one_of(argument: int | None, values: tuple[int, ...], otherwise: int) -> list[_Step]:
    """Allowed where an argument, or with None the accumulator, is one of `values`."""
    steps = [] if argument is None else [_low(argument)]
    for value in values:
        steps += [(_EQUAL, 0, 1, value), _give(_ALLOW)]
    return [*steps, _give(otherwise)]


def _null(argument: int, otherwise: int) -> list[_Step]:
    """Allowed only where a pointer is null."""
    return [
        *[_low(argument), (_EQUAL, 1, 0, 0), _give(otherwise)],
        *[_high(argument), (_EQUAL, 1, 0, 0), _give(otherwise)],
        _give(_ALLOW),
    ]


def _connected_pair(otherwise: int) -> list[_Step]:
    """Unix socket pairs that are connected for good.

    A datagram socket (and a raw one, which is the same) could send to any other socket by its name.
    """
    unix = [_low(0), (_EQUAL, 1, 0, 1), _give(otherwise)]
    return [*unix, _low(1), (_AND, 0, 0, _SOCKET_TYPE), *_one_of(None, (_STREAM, _SEQPACKET), otherwise)]


def _opening(flags_argument: int, otherwise: int, listen: bool, landlock: bool) -> list[_Step]:
    if listen:
        return [_give(_NOTIFY)]
    if landlock:
        return [_give(_ALLOW)]
    writing = _WRITING | _TMPFILE
    return [_low(flags_argument), (_AND, 0, 0, writing), (_EQUAL, 0, 1, 0), _give(_ALLOW), _give(otherwise)]


def available() -> bool:
    return MACHINE in _TABLES


def build_filter(listen: bool, landlock: bool) -> bytes:
    """The filter as `struct sock_filter[]`.

    Without a listener denials are silent; without Landlock files open read-only.
    """
    deny = _NOTIFY if listen else _ERRNO | _EPERM
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _ARCHITECTURES[MACHINE]),
        _give(_KILL),
        (_LOAD, 0, 0, _NR),
    ]
    if MACHINE == "x86_64":  # the x32 calls share the architecture
        steps += [(_GREATER_EQUAL, 0, 1, 0x40000000), _give(_ERRNO | _ENOSYS)]
    for name in _ALLOWED:
        steps += _when(name, [_give(_ALLOW)])
    threads = [
        _low(0),
        (_AND, 0, 0, _CLONE_NEW),
        (_EQUAL, 1, 0, 0),
        _give(deny),
        _low(0),
        (_AND, 0, 0, _THREAD),
        (_EQUAL, 0, 1, _THREAD),
        _give(_NOTIFY if listen else _ALLOW),
        _give(deny),
    ]
    steps += _when("clone", threads)
    steps += _when("clone3", [_give(_ERRNO | _ENOSYS)])  # its flags are behind a pointer; libc falls back to clone
    steps += _when("openat2", [_give(_ERRNO | _ENOSYS)])
    steps += _when("openat", _opening(2, deny, listen, landlock))
    steps += _when("open", _opening(1, deny, listen, landlock))
    steps += _when("fcntl", _one_of(1, _FCNTL, deny))
    steps += _when("ioctl", _one_of(1, _IOCTL, deny))
    steps += _when("prctl", _one_of(0, _PRCTL, deny))
    steps += _when("socketpair", _connected_pair(deny))
    steps += _when("sendto", _null(4, deny))
    steps += _when("sendmsg", _one_of(0, (CHANNEL,), deny))  # its address is behind a pointer; this one ignores it
    steps += _when("prlimit64", _null(2, deny))  # reading limits
    steps.append(_give(deny))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


# --------------------------------------------------------------------------------------------- notifications
NOTIFICATION_RECEIVE, NOTIFICATION_ANSWER = 0xC0502100, 0xC0182101
NOTIFICATION_SIZE = 80


@dataclass(frozen=True)
class Notification:
    """One system call that waits for the judge. `pid` is the calling thread as the judge sees it."""

    id: int
    pid: int
    name: str
    arguments: tuple[int, ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Notification":
        identifier, pid, _flags, number, _arch, _pointer, *arguments = struct.unpack("=QIIiIQ6Q", raw)
        return cls(identifier, pid, NAMES.get(number, f"system call {number}"), tuple(arguments))

    def let(self) -> bytes:
        """The answer that lets the kernel go on with the call (and apply every other layer to it)."""
        return struct.pack("=QqiI", self.id, 0, 0, 1)

    def refuse(self, error: int) -> bytes:
        return struct.pack("=QqiI", self.id, 0, -error, 0)

    @property
    def opens_for_writing(self) -> bool:
        flags = self.arguments[2 if self.name == "openat" else 1]
        return bool(flags & (_WRITING | _TMPFILE)) and not flags & 0x200000  # O_PATH opens nothing
