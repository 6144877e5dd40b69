"""A call and its outcome as bytes, for engines outside of Python; the layout is in `device/flat.h`.

What comes back is read as strictly as if a stranger had sent it: every size is checked before it is used, and what no
engine may answer is an EngineFault, never an Outcome.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from quorate.errors import TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode.container import RESULTS_MAX, Kind
from quorate.execute.bytecode.faults import Fault, refusal
from quorate.execute.bytecode.host import (
    EMIT_BYTES_MAX,
    LOG_BYTES_MAX,
    LOG_RECORDS_MAX,
    TRANSFERS_MAX,
    Argument,
    Call,
    Context,
    EngineFault,
    Outcome,
    Status,
    Transfer,
)
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, ID_BYTES, Trap
from quorate.execute.bytecode.state import KEY_BYTES_MAX, Change, State

_REQUEST = struct.Struct("<IIIIIIQQ16s16sI32s")
_ANSWER = struct.Struct("<IIiIQqII")
_CELL = struct.Struct("<q")
_BALANCE = struct.Struct("<16sQ")
_RECORD = struct.Struct("<IIBB")
ANSWER_BYTES: Final = _ANSWER.size + RESULTS_MAX * _CELL.size
_RECORDS_SIZE_AT: Final = 32
_NO_STATE: Final = 0xFFFF_FFFF
_REMOVED: Final = 0xFFFF_FFFF
_NOT_A_CELL: Final = b"\x00"
"""An argument of no kind: no function takes it."""

_OK, _TRAP, _UNRESOLVED, _NO_ROOM, _NO_FUNCTION, _WRONG_ARGUMENTS, _LARGE_STATE, _BAD_STATE, _REFUSED = range(9)
_STATUS: Final = {_OK: Status.OK, _TRAP: Status.TRAP, _UNRESOLVED: Status.UNRESOLVED}
_DEAD, _LOG, _EMIT, _TRANSFER, _ENTRY = range(5)
_FAULTS: Final = tuple(Fault)
_TRAPS: Final = frozenset(map(int, Trap)) - {Trap.INDIRECT_CALL}


class NeedsRoom(Exception):
    """The run needs a working area of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes of working area are needed")
        self.size = size


class _Record(NamedTuple):
    kind: int
    key: bytes
    value: bytes | None


def _encode_argument(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return struct.pack("<BI", Kind.BYTES, len(argument)) + argument
    if not CELL_MIN <= argument <= CELL_MAX:
        return _NOT_A_CELL
    return struct.pack("<Bq", Kind.INT, argument)


def encode_request(
    container: bytes, call: Call, state: State | None, context: Context, address: bytes | None = None
) -> bytes:
    """The bytes of a request."""
    function = call.function.encode("utf-8", "replace")
    arguments = b"".join(map(_encode_argument, call.arguments))
    balances = b"".join(_BALANCE.pack(*balance) for balance in context.balances)
    form = b"" if state is None else state.encode()
    head = _REQUEST.pack(
        len(container),
        len(function),
        len(arguments),
        len(call.arguments),
        len(context.balances),
        _NO_STATE if state is None else len(form),
        call.cycles_max,
        context.epoch,
        context.self_id,
        context.sender,
        address is not None,
        address or bytes(32),
    )
    return b"".join((head, container, function, arguments, balances, form))


def answer_size(head: bytes) -> int:
    """How long the answer is that begins with `head`, its first ANSWER_BYTES bytes."""
    return ANSWER_BYTES + int.from_bytes(head[_RECORDS_SIZE_AT : _RECORDS_SIZE_AT + 4], "little")


def _raise_rejection(verdict: int, detail: int, place: int, room: int) -> None:
    """Raises what a verdict that is no outcome stands for."""
    if verdict == _NO_ROOM:
        raise NeedsRoom(room)
    if verdict == _NO_FUNCTION:
        raise UnknownFunction("the contract has no such function", field="function")
    if verdict == _WRONG_ARGUMENTS:
        raise WrongArguments("others than the function declares, or more than fit the memory", field="arguments")
    if verdict == _LARGE_STATE:
        raise TooLarge("larger than the contract declares", field="state")
    if verdict == _REFUSED and 1 <= detail <= len(_FAULTS):
        raise refusal(_FAULTS[detail - 1], "the container is refused", at=place)
    raise EngineFault(f"the engine answered {verdict}, {detail}")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise EngineFault(f"the engine's answer is damaged: {what}")


def _read_records(data: bytes) -> Iterator[_Record]:
    at = 0
    while at < len(data):
        _require(len(data) - at >= _RECORD.size, "a record is cut off")
        size, value_size, kind, key_size = _RECORD.unpack_from(data, at)
        removed = kind == _ENTRY and value_size == _REMOVED
        begin = at + _RECORD.size + key_size
        end = begin if removed else begin + value_size
        _require(end <= at + size <= len(data) or kind == _DEAD, "a record is cut off")
        _require(_RECORD.size <= size <= len(data) - at, "the size of a record")
        if kind != _DEAD:
            yield _Record(kind, data[begin - key_size : begin], None if removed else data[begin:end])
        at += size


class _Effects:
    """What the records of a run amount to."""

    def __init__(self) -> None:
        self.logs: list[bytes] = []
        self.emitted = bytearray()
        self.transfers: list[Transfer] = []
        self.changes: dict[bytes, bytes | None] = {}

    def add(self, record: _Record) -> None:
        kind, key, value = record
        if kind == _ENTRY:
            _require(key not in self.changes and len(key) <= KEY_BYTES_MAX, "the key of a change")
            self.changes[key] = value
            return
        assert value is not None
        if kind == _LOG:
            self.logs.append(value)
        elif kind == _EMIT:
            self.emitted += value
        else:
            _require(kind == _TRANSFER and len(key) == ID_BYTES and len(value) == _CELL.size, "a record")
            self.transfers.append(Transfer(key, _CELL.unpack(value)[0]))

    def check(self) -> None:
        _require(len(self.logs) <= LOG_RECORDS_MAX and sum(map(len, self.logs)) <= LOG_BYTES_MAX, "LOG")
        _require(len(self.emitted) <= EMIT_BYTES_MAX, "EMIT")
        _require(len(self.transfers) <= TRANSFERS_MAX, "TRANSFER")
        _require(all(transfer.amount >= 0 for transfer in self.transfers), "an amount")

    def ordered(self) -> tuple[Change, ...]:
        return tuple((key, self.changes[key]) for key in sorted(self.changes, key=lambda key: (len(key), key)))


def _effects_of(records: bytes) -> _Effects:
    effects = _Effects()
    for record in _read_records(records):
        effects.add(record)
    effects.check()
    return effects


def decode_answer(answer: bytes) -> Outcome:
    """The outcome in `answer`. Raises BadContract, UnknownFunction, WrongArguments, TooLarge, as `load` and `run` of
    the reference do, NeedsRoom, and EngineFault for what no engine may say."""
    _require(len(answer) >= ANSWER_BYTES and len(answer) == answer_size(answer), "its size")
    verdict, detail, place, count, cycles, code, _, _ = _ANSWER.unpack_from(answer)
    if verdict not in _STATUS:
        _raise_rejection(verdict, detail, place, cycles)
    status = _STATUS[verdict]
    _require(detail in _TRAPS and (detail != Trap.NONE) == (status is Status.TRAP), "the trap")
    _require(place >= 0 and cycles <= CELL_MAX, "pc or cycles")
    _require(code == 0 or detail == Trap.ABORTED, "the code")
    if status is not Status.OK:
        _require(count == 0 and len(answer) == ANSWER_BYTES, "effects of a run that did not succeed")
        return Outcome(status, Trap(detail), place, cycles, code)
    _require(count <= RESULTS_MAX, "the count of results")
    results = struct.unpack_from(f"<{count}q", answer, _ANSWER.size)
    effects = _effects_of(answer[ANSWER_BYTES:])
    return Outcome(
        status,
        Trap.NONE,
        place,
        cycles,
        0,
        results,
        tuple(effects.logs),
        bytes(effects.emitted),
        effects.ordered(),
        tuple(effects.transfers),
    )
