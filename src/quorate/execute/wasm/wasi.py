"""WASI preview 1 for one run, deterministic: the whole world of a command is its arguments, its input and its two
outputs.

Source: the WASI snapshot-01 witx description (`wasi_snapshot_preview1`). Every answer follows from module, input and
limits; there is no clock, randomness, file or environment of the host behind any of them.

Rules that keep the host safe and the answers equal everywhere:

* A call returns an error code and never raises. `Session.call` catches what should not happen and ends the run as a
  host fault.
* Pointers and lengths come from the guest. They are masked to 32 bits and checked against the memory before each
  access.
* A call costs fuel (a fixed price, and one per byte moved), since the time it takes here is not otherwise metered.
* To end the guest (exit, too much output) the session records why and takes all fuel away: the engine traps at its
  next check. What the guest attempts in between has no effect: calls of an ended session do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

import blake3

from quorate.execute.wasm.sections import Signature

MODULE = "wasi_snapshot_preview1"
CALL_FUEL = 5_000
VECTOR_FUEL = 100
VECTORS_MAX = 1_024
FUEL_RESERVE = 1
"""The tank holds this much more than the budget: an empty tank then means that the budget was exceeded, not just used
up.
"""
RANDOM_BYTES_MAX = 65_536

OK, BADF, FAULT, INVAL, IO, SPIPE, NOTCAPABLE = 0, 8, 21, 28, 29, 70, 76
STDIN, STDOUT, STDERR = 0, 1, 2
_FDFLAGS_APPEND = 1
_RIGHT_READ, _RIGHT_WRITE = 1 << 1, 1 << 6
_MASK = 0xFFFFFFFF


class GuestMemory(Protocol):
    """Checked access to the guest's memory: None or False when the range is not inside it."""

    def read(self, pointer: int, size: int) -> bytes | None: ...

    def write(self, pointer: int, data: bytes) -> bool: ...


class FuelTank(Protocol):
    def get_fuel(self) -> int: ...

    def set_fuel(self, fuel: int) -> None: ...


class Ending(Enum):
    """Why a session asked the guest to stop."""

    EXIT = "exit"
    OUTPUT_LIMIT = "output_limit"
    OUT_OF_FUEL = "out_of_fuel"
    HOST_FAULT = "host_fault"


class Session:
    """One run's world. A new one for each run; the engine points the calls of the linker at the current one."""

    def __init__(self, args: tuple[str, ...], stdin: bytes, output_bytes: int, log_bytes: int, seed: bytes) -> None:
        self.args = [item.encode() + b"\0" for item in args]
        self.stdin = stdin
        self.at = 0
        self.output = bytearray()
        self.log = bytearray()
        self.output_bytes = output_bytes
        self.log_bytes = log_bytes
        self.seed = seed
        self.draws = 0
        self.ending: Ending | None = None
        self.exit_code = 0
        self.fuel_left = 0
        self.tank: FuelTank | None = None
        self.memory: GuestMemory | None = None

    def attach(self, tank: FuelTank, memory: GuestMemory) -> None:
        self.tank, self.memory = tank, memory

    def call(self, name: str, *operands: int) -> int:
        """Answers the guest's call `name`. Never raises."""
        if self.ending is not None:
            return IO
        try:
            if not self.pay(CALL_FUEL):
                return IO
            return _CALLS[name](self, *(operand & _MASK for operand in operands))
        except BaseException:
            self.end(Ending.HOST_FAULT)
            return IO

    def pay(self, price: int) -> bool:
        """Takes `price` fuel; ends the run when there is not enough."""
        assert self.tank is not None
        left = self.tank.get_fuel() - price
        if left < FUEL_RESERVE:
            self.end(Ending.OUT_OF_FUEL)
            return False
        self.tank.set_fuel(left)
        return True

    def end(self, why: Ending) -> None:
        self.ending = why
        if self.tank is not None:
            self.fuel_left = 0 if why is Ending.OUT_OF_FUEL else self.tank.get_fuel()
            self.tank.set_fuel(0)

    def read(self, pointer: int, size: int) -> bytes | None:
        assert self.memory is not None
        return self.memory.read(pointer, size)

    def write(self, pointer: int, data: bytes) -> int:
        assert self.memory is not None
        return OK if self.memory.write(pointer, data) else FAULT

    def write_numbers(self, *pairs: tuple[int, int]) -> int:
        for pointer, value in pairs:
            if self.write(pointer, value.to_bytes(4, "little")) != OK:
                return FAULT
        return OK


def _sizes(session: Session, items: list[bytes], count_at: int, size_at: int) -> int:
    return session.write_numbers((count_at, len(items)), (size_at, sum(map(len, items))))


def _strings(session: Session, items: list[bytes], pointers_at: int, bytes_at: int) -> int:
    if not session.pay(sum(map(len, items))):
        return IO
    pointers, at = b"", bytes_at
    for item in items:
        pointers += (at & _MASK).to_bytes(4, "little")
        at += len(item)
    return session.write(pointers_at, pointers) or session.write(bytes_at, b"".join(items))


def _args_sizes_get(session: Session, count_at: int, size_at: int) -> int:
    return _sizes(session, session.args, count_at, size_at)


def _args_get(session: Session, pointers_at: int, bytes_at: int) -> int:
    return _strings(session, session.args, pointers_at, bytes_at)


def _environ_sizes_get(session: Session, count_at: int, size_at: int) -> int:
    return _sizes(session, [], count_at, size_at)


def _environ_get(session: Session, pointers_at: int, bytes_at: int) -> int:
    return OK


def _vectors(session: Session, vectors_at: int, count: int) -> list[tuple[int, int]] | int:
    """The (pointer, size) pairs of a scatter or gather list, or an error code."""
    if count > VECTORS_MAX:
        return INVAL
    if not session.pay(VECTOR_FUEL * count):
        return IO
    table = session.read(vectors_at, 8 * count)
    if table is None:
        return FAULT
    words = [int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4)]
    return list(zip(words[::2], words[1::2], strict=True))


def _fd_write(session: Session, descriptor: int, vectors_at: int, count: int, written_at: int) -> int:
    if descriptor not in (STDOUT, STDERR):
        return BADF
    vectors = _vectors(session, vectors_at, count)
    if isinstance(vectors, int):
        return vectors
    total = 0
    for pointer, size in vectors:
        total += size
        if not session.pay(size):
            return IO
        data = session.read(pointer, size)
        if data is None:
            return FAULT
        if descriptor == STDERR:
            session.log += data[: session.log_bytes - len(session.log)]
        elif len(session.output) + size > session.output_bytes:
            session.end(Ending.OUTPUT_LIMIT)
            return IO
        else:
            session.output += data
    return session.write_numbers((written_at, total & _MASK))


def _fd_read(session: Session, descriptor: int, vectors_at: int, count: int, read_at: int) -> int:
    if descriptor != STDIN:
        return BADF
    vectors = _vectors(session, vectors_at, count)
    if isinstance(vectors, int):
        return vectors
    total = 0
    for pointer, size in vectors:
        data = session.stdin[session.at : session.at + size]
        if not session.pay(len(data)):
            return IO
        if session.write(pointer, data) != OK:
            return FAULT
        session.at += len(data)
        total += len(data)
    return session.write_numbers((read_at, total))


def _fd_close(session: Session, descriptor: int) -> int:
    return OK if descriptor <= STDERR else BADF


def _fd_seek(session: Session, descriptor: int, offset: int, whence: int, new_at: int) -> int:
    return SPIPE if descriptor <= STDERR else BADF


def _fd_fdstat_get(session: Session, descriptor: int, stat_at: int) -> int:
    """Streams of unknown type: neither a terminal (which would switch libc to line buffering) nor a file."""
    if descriptor > STDERR:
        return BADF
    rights = _RIGHT_READ if descriptor == STDIN else _RIGHT_WRITE
    flags = 0 if descriptor == STDIN else _FDFLAGS_APPEND
    stat = bytes([0, 0]) + flags.to_bytes(2, "little") + bytes(4) + rights.to_bytes(8, "little") + bytes(8)
    return session.write(stat_at, stat)


def _fd_fdstat_set_flags(session: Session, descriptor: int, flags: int) -> int:
    return OK if descriptor <= STDERR else BADF


def _fd_prestat(session: Session, descriptor: int, *rest: int) -> int:
    return BADF


def _sched_yield(session: Session) -> int:
    return OK


def _proc_exit(session: Session, code: int) -> int:
    session.exit_code = code
    session.end(Ending.EXIT)
    return OK


def _clock_get(session: Session, clock: int, precision: int, time_at: int) -> int:
    return session.write(time_at, bytes(8)) if clock <= 3 else INVAL


def _clock_resolution(session: Session, clock: int, resolution_at: int) -> int:
    return session.write(resolution_at, (10**9).to_bytes(8, "little")) if clock <= 3 else INVAL


def _random_get(session: Session, pointer: int, size: int) -> int:
    if size > RANDOM_BYTES_MAX:
        return INVAL
    if not session.pay(size):
        return IO
    session.draws += 1
    stream = blake3.blake3(
        session.seed + session.draws.to_bytes(8, "little"), derive_key_context="quorate wasi random v1"
    )
    return session.write(pointer, stream.digest(length=size) if size else b"")


def _not_capable(session: Session, *operands: int) -> int:
    return NOTCAPABLE


_CALLS: dict[str, Callable[..., int]] = {
    "args_sizes_get": _args_sizes_get,
    "args_get": _args_get,
    "environ_sizes_get": _environ_sizes_get,
    "environ_get": _environ_get,
    "fd_write": _fd_write,
    "fd_read": _fd_read,
    "fd_close": _fd_close,
    "fd_seek": _fd_seek,
    "fd_fdstat_get": _fd_fdstat_get,
    "fd_fdstat_set_flags": _fd_fdstat_set_flags,
    "fd_prestat_get": _fd_prestat,
    "fd_prestat_dir_name": _fd_prestat,
    "sched_yield": _sched_yield,
    "proc_exit": _proc_exit,
    "clock_time_get": _clock_get,
    "clock_res_get": _clock_resolution,
    "random_get": _random_get,
}

# Operands of each call; "I" is i64, "i" is i32. All return an i32 error code, except proc_exit.
_OPERANDS = {
    "args_sizes_get": "ii",
    "args_get": "ii",
    "environ_sizes_get": "ii",
    "environ_get": "ii",
    "fd_write": "iiii",
    "fd_read": "iiii",
    "fd_close": "i",
    "fd_seek": "iIii",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii",
    "sched_yield": "",
    "proc_exit": "i",
    "clock_time_get": "iIi",
    "clock_res_get": "ii",
    "random_get": "ii",
}
_ABSENT = {
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_datasync": "i",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_pwrite": "iiiIi",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "poll_oneoff": "iiii",
    "proc_raise": "i",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}
_CALLS |= dict.fromkeys(_ABSENT, _not_capable)

CAPABILITY_CALLS = {
    "fixed_clock": frozenset({"clock_time_get", "clock_res_get"}),
    "seeded_random": frozenset({"random_get"}),
    "absent_files": frozenset(_ABSENT),
}
BASE_CALLS = frozenset(_OPERANDS) - CAPABILITY_CALLS["fixed_clock"] - CAPABILITY_CALLS["seeded_random"]


def _signature(name: str, operands: str) -> Signature:
    kinds = {"i": "i32", "I": "i64"}
    return Signature(tuple(kinds[letter] for letter in operands), () if name == "proc_exit" else ("i32",))


CALL_SIGNATURES = {name: _signature(name, operands) for name, operands in (_OPERANDS | _ABSENT).items()}
