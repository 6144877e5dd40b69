"""The filter program, run by an interpreter of classic BPF, for both machines: the one at hand and the other."""

import errno
import struct

import pytest

from quorate.execute.seccomp import ALLOW, EPERM, KILL_PROCESS, MACHINES, packed, program

OWN_PID = 4242
X32_BIT = 0x40000000

# From arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
DENIED = {
    "x86_64": {
        "open": 2, "openat": 257, "openat2": 437, "creat": 85, "socket": 41, "connect": 42, "sendto": 44,
        "sendmsg": 46, "recvmsg": 47, "clone": 56, "fork": 57, "vfork": 58, "clone3": 435, "execve": 59,
        "execveat": 322, "kill": 62, "tkill": 200, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "pidfd_open": 434, "unlink": 87, "rename": 82, "mkdir": 83, "mount": 165,
        "unshare": 272, "setns": 308, "memfd_create": 319, "bpf": 321, "perf_event_open": 298,
        "io_uring_setup": 425, "userfaultfd": 323, "keyctl": 250, "seccomp": 317, "prctl": 157, "setuid": 105,
        "setrlimit": 160, "shmget": 29, "chroot": 161, "ioctl": 16, "dup": 32, "fcntl": 72, "statx": 332,
    },
    "aarch64": {
        "openat": 56, "openat2": 437, "socket": 198, "connect": 203, "sendto": 206, "sendmsg": 211,
        "recvmsg": 212, "clone": 220, "clone3": 435, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130,
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "pidfd_open": 434, "unlinkat": 35,
        "mkdirat": 34, "mount": 40, "unshare": 97, "setns": 268, "memfd_create": 279, "bpf": 280,
        "perf_event_open": 241, "io_uring_setup": 425, "userfaultfd": 282, "keyctl": 219, "seccomp": 277,
        "prctl": 167, "setuid": 146, "setrlimit": 164, "shmget": 194, "chroot": 51, "ioctl": 29, "dup": 23,
        "fcntl": 25, "statx": 291,
    },
}  # fmt: skip


def verdict(name: str, number: int, *args: int, audit: int | None = None) -> int:
    machine = MACHINES[name]
    code = packed(program(machine, OWN_PID))
    steps = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    words = (*args, *[0] * (6 - len(args)))
    data = struct.pack("<IIQ6Q", number, machine.audit if audit is None else audit, 0, *words)
    accumulator = at = 0
    while True:
        operation, if_true, if_false, value = steps[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x15:
            at += if_true if accumulator == value else if_false
        elif operation == 0x45:
            at += if_true if accumulator & value else if_false
        elif operation == 0x06:
            return value
        else:
            raise AssertionError(f"operation {operation:#x} is not in use")


@pytest.fixture(params=sorted(MACHINES))
def machine(request):
    return request.param


def test_listed_calls_are_allowed(machine):
    for name in ("read", "write", "munmap", "mprotect", "exit_group", "futex", "madvise"):
        assert verdict(machine, MACHINES[machine].calls[name]) == ALLOW, name


def test_escapes_get_eperm(machine):
    assert EPERM & 0xFFFF == errno.EPERM
    for name, number in DENIED[machine].items():
        assert verdict(machine, number) == EPERM, name


def test_unknown_calls_get_eperm_and_not_a_kill(machine):
    listed = set(MACHINES[machine].calls.values())
    for number in (*range(700), 0x7FFFFFFF, 0xFFFFFFFF):
        if number not in listed:
            assert verdict(machine, number) == EPERM


def test_a_foreign_calling_convention_ends_the_process(machine):
    read = MACHINES[machine].calls["read"]
    for audit in (0x40000003, 0x40000028, 0):
        assert verdict(machine, read, audit=audit) == KILL_PROCESS


def test_x32_numbers_are_denied():
    for number in MACHINES["x86_64"].calls.values():
        assert verdict("x86_64", number | X32_BIT) == EPERM


def test_shared_mappings_are_denied(machine):
    mmap = MACHINES[machine].calls["mmap"]
    assert verdict(machine, mmap, 0, 4096, 3, 0x22) == ALLOW
    for flags in (0x21, 0x01, 0x03):
        assert verdict(machine, mmap, 0, 4096, 3, flags) == EPERM


def test_limits_may_be_read_and_never_set(machine):
    prlimit = MACHINES[machine].calls["prlimit64"]
    assert verdict(machine, prlimit, 0, 7, 0, 0x7FFF0000) == ALLOW
    assert verdict(machine, prlimit, 0, 7, 0x7FFF0000, 0) == EPERM
    assert verdict(machine, prlimit, 0, 7, 1 << 40, 0) == EPERM


def test_only_its_own_process_may_be_signalled(machine):
    tgkill = MACHINES[machine].calls["tgkill"]
    assert verdict(machine, tgkill, OWN_PID, OWN_PID, 6) == ALLOW
    assert verdict(machine, tgkill, 1, 1, 9) == EPERM
    assert verdict(machine, tgkill, OWN_PID + (1 << 32), 1, 9) == EPERM


def test_every_path_ends_and_jumps_stay_inside(machine):
    steps = program(MACHINES[machine], OWN_PID)
    assert len(steps) < 4096
    for at, step in enumerate(steps):
        if step.code != 0x06:
            assert at + 1 + max(step.if_true, step.if_false) < len(steps)
    assert steps[-1].code == 0x06
