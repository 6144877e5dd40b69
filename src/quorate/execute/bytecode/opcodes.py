"""The one table of the machine: 47 opcodes with byte, immediate, stack effect, cycles, surcharge and traps.

Verifier, reference, assembler and `docs/spec/bytecode.md` all read this table. An effect is written as the names of the
cells before and after, the top of the stack last. Every opcode can also run out of cycles.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

MACHINE_NAMES: Final = ("mhr-byte", "nxs-byte")
"""Two names of the one machine."""

CELL_MIN: Final = -(2**63)
CELL_MAX: Final = 2**63 - 1
ID_BYTES: Final = 16
DIGEST_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PROOF_BYTES: Final = 80
BETA_BYTES: Final = 64


class Trap(IntEnum):
    """How a run fails, by program, input and limits alone. The numbers are in receipts: never reused. The last one is
    met by contracts in WebAssembly only."""

    NONE = 0
    OUT_OF_CYCLES = 1
    OVERFLOW = 2
    DIVISION_BY_ZERO = 3
    SHIFT_RANGE = 4
    MEMORY_RANGE = 5
    CALL_DEPTH = 6
    STACK_OVERFLOW = 7
    ABORTED = 8
    KEY_SIZE = 9
    STATE_SIZE = 10
    OUTPUT_LIMIT = 11
    AMOUNT_RANGE = 12
    INDIRECT_CALL = 13


class Immediate(StrEnum):
    """What follows the opcode byte."""

    NONE = ""
    CELL = "sleb128"
    TARGET = "u16 target"
    FUNCTION = "u8 function"
    MODE = "u8 mode"


class Mode(IntEnum):
    """What LOAD and STORE address. Local slot i is mode LOCAL + i."""

    U8 = 0x00
    U16 = 0x01
    U32 = 0x02
    I64 = 0x03
    STATE = 0x08
    LOCAL = 0x40


LOCALS_MAX: Final = 128
WIDTH: Final = {Mode.U8: 1, Mode.U16: 2, Mode.U32: 4, Mode.I64: 8}
LOAD_EFFECT: Final = dict.fromkeys(WIDTH, "addr - value") | {
    Mode.STATE: "key klen dst cap - size",
    Mode.LOCAL: "- value",
}
STORE_EFFECT: Final = dict.fromkeys(WIDTH, "addr value -") | {
    Mode.STATE: "key klen src len -",
    Mode.LOCAL: "value -",
}


class Op(IntEnum):
    """The 47 opcodes. The high half of the byte is the category; 0x00 and every other byte is illegal."""

    PUSH = 0x01
    POP = 0x02
    DUP = 0x03
    SWAP = 0x04
    OVER = 0x05
    ROT = 0x06
    ADD = 0x10
    SUB = 0x11
    MUL = 0x12
    DIV = 0x13
    MOD = 0x14
    NEG = 0x15
    ABS = 0x16
    MIN = 0x17
    MAX = 0x18
    AND = 0x20
    OR = 0x21
    XOR = 0x22
    NOT = 0x23
    SHL = 0x24
    SHR = 0x25
    EQ = 0x30
    NEQ = 0x31
    LT = 0x32
    GT = 0x33
    LTE = 0x34
    GTE = 0x35
    JMP = 0x40
    JZ = 0x41
    JNZ = 0x42
    CALL = 0x43
    RET = 0x44
    HALT = 0x45
    ABORT = 0x46
    HASH = 0x50
    VERIFY_SIG = 0x51
    VERIFY_VRF = 0x52
    BALANCE = 0x60
    SENDER = 0x61
    SELF = 0x62
    EPOCH = 0x63
    TRANSFER = 0x64
    LOG = 0x65
    LOAD = 0x66
    STORE = 0x67
    MSIZE = 0x68
    EMIT = 0x69


class Surcharge(NamedTuple):
    """Cycles that depend on a length: `cycles` for each begun `unit` of bytes beyond the first `free`."""

    cycles: int
    unit: int
    free: int
    over: str

    def of(self, length: int) -> int:
        return self.cycles * -(-max(0, length - self.free) // self.unit)

    def __str__(self) -> str:
        count = f"({self.over} - {self.free})" if self.free else self.over
        return f"{self.cycles} * ceil({count} / {self.unit})"


class Row(NamedTuple):
    """One opcode. An effect of "by ..." depends on the immediate."""

    effect: str
    cycles: int
    traps: tuple[Trap, ...] = ()
    immediate: Immediate = Immediate.NONE
    surcharge: Surcharge | None = None

    @property
    def pops(self) -> int:
        return cells_before(self.effect)

    @property
    def pushes(self) -> int:
        return cells_after(self.effect)


def cells_before(effect: str) -> int:
    """How many cells an effect takes."""
    return len(effect.partition("-")[0].split())


def cells_after(effect: str) -> int:
    """How many cells an effect leaves."""
    return len(effect.partition("-")[2].split())


_OVERFLOW = (Trap.OVERFLOW,)
_MEMORY = (Trap.MEMORY_RANGE,)
_HASHED = Surcharge(12, 64, 1024, "len")
_COPIED = Surcharge(1, 32, 0, "len")
STATE_LOADED: Final = Surcharge(1, 32, 0, "cap")
STATE_STORED: Final = Surcharge(2, 32, 0, "len")

TABLE: Final[dict[Op, Row]] = {
    Op.PUSH: Row("- v", 1, immediate=Immediate.CELL),
    Op.POP: Row("a -", 1),
    Op.DUP: Row("a - a a", 1),
    Op.SWAP: Row("a b - b a", 1),
    Op.OVER: Row("a b - a b a", 1),
    Op.ROT: Row("a b c - b c a", 1),
    Op.ADD: Row("a b - sum", 1, _OVERFLOW),
    Op.SUB: Row("a b - difference", 1, _OVERFLOW),
    Op.MUL: Row("a b - product", 2, _OVERFLOW),
    Op.DIV: Row("a b - quotient", 3, (Trap.DIVISION_BY_ZERO, Trap.OVERFLOW)),
    Op.MOD: Row("a b - remainder", 3, (Trap.DIVISION_BY_ZERO,)),
    Op.NEG: Row("a - negated", 1, _OVERFLOW),
    Op.ABS: Row("a - magnitude", 1, _OVERFLOW),
    Op.MIN: Row("a b - smaller", 1),
    Op.MAX: Row("a b - larger", 1),
    Op.AND: Row("a b - bits", 1),
    Op.OR: Row("a b - bits", 1),
    Op.XOR: Row("a b - bits", 1),
    Op.NOT: Row("a - bits", 1),
    Op.SHL: Row("a count - bits", 1, (Trap.SHIFT_RANGE,)),
    Op.SHR: Row("a count - bits", 1, (Trap.SHIFT_RANGE,)),
    Op.EQ: Row("a b - flag", 1),
    Op.NEQ: Row("a b - flag", 1),
    Op.LT: Row("a b - flag", 1),
    Op.GT: Row("a b - flag", 1),
    Op.LTE: Row("a b - flag", 1),
    Op.GTE: Row("a b - flag", 1),
    Op.JMP: Row("-", 2, immediate=Immediate.TARGET),
    Op.JZ: Row("flag -", 2, immediate=Immediate.TARGET),
    Op.JNZ: Row("flag -", 2, immediate=Immediate.TARGET),
    Op.CALL: Row("by callee", 5, (Trap.CALL_DEPTH, Trap.STACK_OVERFLOW), Immediate.FUNCTION),
    Op.RET: Row("by function", 3),
    Op.HALT: Row("-", 2),
    Op.ABORT: Row("code -", 2, (Trap.ABORTED,)),
    Op.HASH: Row("ptr len dst -", 500, _MEMORY, surcharge=_HASHED),
    Op.VERIFY_SIG: Row("msg len pk sig - ok", 1000, _MEMORY, surcharge=_HASHED),
    Op.VERIFY_VRF: Row("alpha len pk proof out - ok", 2000, _MEMORY, surcharge=_HASHED),
    Op.BALANCE: Row("id - amount", 10, _MEMORY),
    Op.SENDER: Row("dst -", 2, _MEMORY),
    Op.SELF: Row("dst -", 2, _MEMORY),
    Op.EPOCH: Row("- epoch", 5),
    Op.TRANSFER: Row("id amount - ok", 50, (Trap.AMOUNT_RANGE, Trap.MEMORY_RANGE, Trap.OUTPUT_LIMIT)),
    Op.LOG: Row("ptr len -", 10, (Trap.MEMORY_RANGE, Trap.OUTPUT_LIMIT), surcharge=_COPIED),
    Op.LOAD: Row("by mode", 3, (Trap.KEY_SIZE, Trap.MEMORY_RANGE), Immediate.MODE),
    Op.STORE: Row("by mode", 3, (Trap.KEY_SIZE, Trap.MEMORY_RANGE, Trap.STATE_SIZE), Immediate.MODE),
    Op.MSIZE: Row("- max_memory", 2),
    Op.EMIT: Row("ptr len -", 10, (Trap.MEMORY_RANGE, Trap.OUTPUT_LIMIT), surcharge=_COPIED),
}

ENDS: Final = frozenset({Op.JMP, Op.RET, Op.HALT, Op.ABORT})
"""What the next instruction is never reached from."""
JUMPS: Final = frozenset({Op.JMP, Op.JZ, Op.JNZ})
