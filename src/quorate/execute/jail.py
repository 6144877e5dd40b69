"""Locks the calling process in: no files, no network, no other processes, no new privileges, bounded memory.

Layers, in the order in which they are put on:

* `unprivileged`: no capabilities; a root process becomes user 65534.
* `no_new_privs`: nothing executed can gain privileges; the two below need it.
* `not_dumpable`: no core dumps, no ptrace by others of the same user, own /proc entries belong to root.
* `parent_death`: the kernel kills the process when its parent thread ends.
* `rlimits`: no core file, no file growth, few descriptors, bounded private memory. The bound is RLIMIT_DATA, which
  counts writable private pages and not address space, so that the engine keeps its guard regions.
* `landlock`: no opening of any path, no TCP, no signals or abstract sockets out.
* `seccomp`: the allow-list of `seccomp`.

Each layer is reported only after its effect was observed. Missing ones are refused by the caller's minimum, never
passed over: `require` names what is missing. Supported: Linux on x86-64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
import struct
import sys
from collections.abc import Iterable
from typing import NamedTuple

from quorate.errors import UnsupportedMachine
from quorate.execute import landlock, seccomp
from quorate.model.units import MIB

LAYERS = ("unprivileged", "no_new_privs", "not_dumpable", "parent_death", "rlimits", "landlock", "seccomp")
MINIMUM_DEFAULT = ("rlimits", "seccomp|landlock")
"""Each entry must hold; alternatives are parted by a bar."""
NOBODY = 65_534

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 1, 2, 3, 4
_PR_GET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 21, 38, 39
_SIGKILL = 9
_CAPABILITY_VERSION_3 = 0x20080522
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _SECCOMP_FILTER_FLAG_TSYNC = 1, 2, 1
# Numbers of calls that are made while the jail is built, so not part of the filter's table.
_BUILDING_CALLS = {
    "x86_64": {"seccomp": 317, "capget": 125, "capset": 126},
    "aarch64": {"seccomp": 277, "capget": 90, "capset": 91},
}


class JailPolicy(NamedTuple):
    """What the jail lets the process keep. `parent` is the process that must still be its parent."""

    data_bytes: int = 768 * MIB
    open_files: int = 16
    parent: int = 0
    niceness: int = 5


def machine_name() -> str:
    """The name in the tables; empty where there is no jail for this machine."""
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return name if sys.platform == "linux" and name in seccomp.MACHINES and sys.maxsize > 2**32 else ""


def layers() -> dict[str, str]:
    """What this machine offers: layer to detail. Asks the kernel without changing this process."""
    if not machine_name():
        return {"rlimits": "POSIX"} if os.name == "posix" else {}
    found = {
        "unprivileged": f"user {os.geteuid() or NOBODY}",
        "not_dumpable": "prctl",
        "parent_death": "prctl",
        "rlimits": "RLIMIT_DATA",
    }
    if _prctl(_PR_GET_NO_NEW_PRIVS) >= 0:
        found["no_new_privs"] = "prctl"
    if landlock.abi() > 0:
        found["landlock"] = f"ABI {landlock.abi()}"
    action = ctypes.c_uint32(seccomp.EPERM & 0xFFFF0000)
    if _call("seccomp", _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0:
        found["seccomp"] = f"filter for {machine_name()}"
    return {name: found[name] for name in LAYERS if name in found}


def missing(held: Iterable[str], minimum: Iterable[str] = MINIMUM_DEFAULT) -> list[str]:
    """The entries of `minimum` that `held` does not meet."""
    have = set(held)
    return [entry for entry in minimum if not have.intersection(entry.split("|"))]


def require(held: Iterable[str], minimum: Iterable[str] = MINIMUM_DEFAULT) -> None:
    """Raises UnsupportedMachine, naming the layer, when `held` does not meet `minimum`."""
    for entry in minimum:
        unknown = set(entry.split("|")) - set(LAYERS)
        if unknown:
            raise UnsupportedMachine(
                f"no such layer: {', '.join(sorted(unknown))}", field="jail", limit=", ".join(LAYERS)
            )
    lacking = missing(held, minimum)
    if lacking:
        names = ", ".join(entry.replace("|", " or ") for entry in lacking)
        raise UnsupportedMachine(
            f"this machine cannot jail untrusted programs: {names} is missing",
            field="jail",
            fix="run on Linux 5.13 or newer",
        )


def apply(policy: JailPolicy) -> tuple[str, ...]:
    """Puts every layer on that this machine has and returns those that hold. There is no way back.

    Call it in a process with one thread that has imported and opened all it will ever need.
    """
    if not machine_name():
        return ("rlimits",) if _limit_resources(policy) else ()
    if len(os.listdir("/proc/self/task")) != 1:
        raise UnsupportedMachine("the process has more than one thread", field="jail")
    if policy.niceness:
        os.nice(policy.niceness)
    held = []
    # The order matters: a change of user resets the death signal, the filter forbids all the calls above it.
    for name, put_on in (
        ("unprivileged", _drop_privileges),
        ("no_new_privs", _forbid_new_privileges),
        ("not_dumpable", _forbid_dumps),
        ("parent_death", lambda: _die_with(policy.parent)),
        ("rlimits", lambda: _limit_resources(policy)),
        ("landlock", _restrict_files),
        ("seccomp", _filter_calls),
    ):
        if put_on():
            held.append(name)
    return tuple(held)


def _drop_privileges() -> bool:
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        except OSError:
            pass  # No such user in this namespace: giving up the capabilities is what is left.
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), 8)
    sets = ctypes.create_string_buffer(24)
    _call("capset", header, sets)
    if _call("capget", header, sets) != 0:
        return False
    return sets.raw == bytes(24)


def _forbid_new_privileges() -> bool:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return _prctl(_PR_GET_NO_NEW_PRIVS) == 1


def _forbid_dumps() -> bool:
    _prctl(_PR_SET_DUMPABLE, 0)
    return _prctl(_PR_GET_DUMPABLE) == 0


def _die_with(parent: int) -> bool:
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(1)  # The parent ended before the signal was asked for.
    signal_set = ctypes.c_int(0)
    return _prctl(_PR_GET_PDEATHSIG, ctypes.addressof(signal_set)) == 0 and signal_set.value == _SIGKILL


def _limit_resources(policy: JailPolicy) -> bool:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: policy.open_files,
        resource.RLIMIT_DATA: policy.data_bytes,
    }
    for name in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        if hasattr(resource, name):
            wanted[getattr(resource, name)] = 0
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))
    return all(0 <= resource.getrlimit(kind)[1] <= value for kind, value in wanted.items())


def _restrict_files() -> bool:
    return landlock.restrict() and _refused(lambda: os.close(os.open("/", os.O_RDONLY)), errno.EACCES)


def _filter_calls() -> bool:
    steps = seccomp.program(seccomp.MACHINES[machine_name()], os.getpid())
    code = seccomp.packed(steps)
    array = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(array)))
    if _call("seccomp", _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, program) != 0:
        return False
    return _refused(lambda: socket.socket(socket.AF_INET).close(), errno.EPERM)


def _refused(attempt: object, code: int) -> bool:
    assert callable(attempt)
    try:
        attempt()
    except OSError as fault:
        return fault.errno == code
    return False


def _call(name: str, *operands: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    wide = [ctypes.c_long(item) if isinstance(item, int) else item for item in operands]
    return int(libc.syscall(ctypes.c_long(_BUILDING_CALLS[machine_name()][name]), *wide))


def _prctl(option: int, value: int = 0) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    return int(libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero))
