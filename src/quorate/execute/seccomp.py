"""The system-call filter of a worker, as a classic BPF program built here. Pure: installing it is `jail`'s part.

An allow-list: a worker that has been set up only computes, moves bytes through the pipe it has, maps private memory
and ends. Anything else, known or unknown, gets EPERM rather than a kill, so that a library that probes a call can go
on without it. A foreign calling convention ends the process, since its numbers mean other calls. Fork, threads, exec,
sockets, files, ptrace and signals to others are denied by not being on the list.

Sources: Linux `Documentation/userspace-api/seccomp_filter.rst`; `struct seccomp_data` in `linux/seccomp.h`; call
numbers from `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` (aarch64).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
EPERM = 0x00050000 | 1

MAP_SHARED = 0x01
"""Set in MAP_SHARED and MAP_SHARED_VALIDATE: shared pages escape the data limit."""


class Machine(NamedTuple):
    """A calling convention: its audit number and its call numbers."""

    audit: int
    calls: dict[str, int]


_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
    "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "pwrite64": 18,
    "readv": 19, "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "setitimer": 38,
    "getpid": 39, "exit": 60, "getppid": 110, "gettimeofday": 96, "getrusage": 98, "sigaltstack": 131,
    "gettid": 186, "futex": 202, "sched_getaffinity": 204, "restart_syscall": 219, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "ppoll": 271,
    "set_robust_list": 273, "prlimit64": 302, "getrandom": 318, "membarrier": 324, "rseq": 334,
}  # fmt: skip
_AARCH64 = {
    "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
    "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "pread64": 67, "pwrite64": 68,
    "readv": 65, "writev": 66, "sched_yield": 124, "mremap": 216, "madvise": 233, "nanosleep": 101,
    "setitimer": 103, "getpid": 172, "exit": 93, "getppid": 173, "gettimeofday": 169, "getrusage": 165,
    "sigaltstack": 132, "gettid": 178, "futex": 98, "sched_getaffinity": 123, "restart_syscall": 128,
    "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "exit_group": 94, "tgkill": 131, "ppoll": 73,
    "set_robust_list": 99, "prlimit64": 261, "getrandom": 278, "membarrier": 283, "rseq": 293,
}  # fmt: skip
MACHINES = {"x86_64": Machine(0xC000003E, _X86_64), "aarch64": Machine(0xC00000B7, _AARCH64)}

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Both machines are little-endian.
_NUMBER_AT, _AUDIT_AT, _ARGS_AT = 0, 4, 16
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06


class Step(NamedTuple):
    """One BPF instruction; the jumps count the instructions to skip."""

    code: int
    if_true: int
    if_false: int
    value: int


def program(machine: Machine, own_pid: int) -> list[Step]:
    """The filter for the process `own_pid` on `machine`."""
    checked = {
        # No shared mappings: they would not count as this process's data.
        "mmap": _unless_bit(3, MAP_SHARED),
        # Limits may be read, never set: the new-limit pointer must be null.
        "prlimit64": _if_zero(2),
        # abort() signals its own process; nobody else may be signalled.
        "tgkill": _if_equal(0, own_pid),
    }
    steps = [Step(_LOAD, 0, 0, _AUDIT_AT), Step(_JUMP_EQUAL, 1, 0, machine.audit), Step(_RETURN, 0, 0, KILL_PROCESS)]
    steps.append(Step(_LOAD, 0, 0, _NUMBER_AT))
    for name, number in sorted(machine.calls.items(), key=lambda item: item[1]):
        answer = checked.get(name, [Step(_RETURN, 0, 0, ALLOW)])
        steps.append(Step(_JUMP_EQUAL, 0, len(answer), number))
        steps.extend(answer)
    steps.append(Step(_RETURN, 0, 0, EPERM))
    return steps


def packed(steps: list[Step]) -> bytes:
    """The program as an array of `struct sock_filter`."""
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _low_word(argument: int) -> Step:
    return Step(_LOAD, 0, 0, _ARGS_AT + 8 * argument)


def _high_word(argument: int) -> Step:
    return Step(_LOAD, 0, 0, _ARGS_AT + 8 * argument + 4)


def _unless_bit(argument: int, bit: int) -> list[Step]:
    return [_low_word(argument), Step(_JUMP_ANY_BIT, 1, 0, bit), Step(_RETURN, 0, 0, ALLOW), Step(_RETURN, 0, 0, EPERM)]


def _if_equal(argument: int, value: int) -> list[Step]:
    return [
        _high_word(argument),
        Step(_JUMP_EQUAL, 0, 3, value >> 32),
        _low_word(argument),
        Step(_JUMP_EQUAL, 0, 1, value & 0xFFFFFFFF),
        Step(_RETURN, 0, 0, ALLOW),
        Step(_RETURN, 0, 0, EPERM),
    ]


def _if_zero(argument: int) -> list[Step]:
    return _if_equal(argument, 0)
