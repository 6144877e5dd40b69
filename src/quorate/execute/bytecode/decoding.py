"""Bytes of code as instructions, and signed LEB128 in its one minimal form. Untrusted: every fault has its name."""

from __future__ import annotations

from typing import NamedTuple

from quorate.execute.bytecode.faults import Fault, refusal
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, TABLE, Immediate, Op

SLEB_BYTES_MAX = 10
_FIXED_BYTES = {Immediate.NONE: 0, Immediate.TARGET: 2, Immediate.FUNCTION: 1, Immediate.MODE: 1}


class Instruction(NamedTuple):
    """`immediate` is 0 where there is none; `after` is the address of the next instruction."""

    pc: int
    op: Op
    immediate: int
    after: int


def encode_sleb(value: int) -> bytes:
    """The shortest signed LEB128 of a cell."""
    out = bytearray()
    while True:
        low = value & 0x7F
        value >>= 7
        if value == (-1 if low & 0x40 else 0):
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def _decode_sleb(code: bytes, pc: int, end: int) -> tuple[int, int]:
    """The value after the opcode at `pc`, and where it ends."""
    value, at = 0, pc + 1
    while True:
        if at - pc > SLEB_BYTES_MAX:
            raise refusal(Fault.WIDE_IMMEDIATE, "an immediate of more than ten bytes", at=pc)
        if at >= end:
            raise refusal(Fault.TRUNCATED_CODE, "the immediate is cut off", at=pc)
        byte = code[at]
        value |= (byte & 0x7F) << (7 * (at - pc - 1))
        at += 1
        if not byte & 0x80:
            break
    if byte & 0x40:
        value -= 1 << (7 * (at - pc - 1))
    if not CELL_MIN <= value <= CELL_MAX:
        raise refusal(Fault.WIDE_IMMEDIATE, "an immediate of more than 64 bits", at=pc)
    if at - pc - 1 != len(encode_sleb(value)):
        raise refusal(Fault.LONG_IMMEDIATE, "an immediate that is longer than it has to be", at=pc)
    return value, at


def decode(code: bytes, pc: int, end: int) -> Instruction:
    """The instruction at `pc`, all of it before `end`. Modes and indices are not looked at."""
    try:
        op = Op(code[pc])
    except ValueError:
        raise refusal(Fault.UNKNOWN_OPCODE, f"{code[pc]:#04x} is not an opcode", at=pc) from None
    kind = TABLE[op].immediate
    if kind is Immediate.CELL:
        value, after = _decode_sleb(code, pc, end)
        return Instruction(pc, op, value, after)
    after = pc + 1 + _FIXED_BYTES[kind]
    if after > end:
        raise refusal(Fault.TRUNCATED_CODE, "the immediate is cut off", at=pc)
    return Instruction(pc, op, int.from_bytes(code[pc + 1 : after], "little"), after)


def encode(op: Op, immediate: int = 0) -> bytes:
    """The bytes of one instruction."""
    kind = TABLE[op].immediate
    if kind is Immediate.CELL:
        return bytes([op]) + encode_sleb(immediate)
    return bytes([op]) + immediate.to_bytes(_FIXED_BYTES[kind], "little")
