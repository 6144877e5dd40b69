"""What a WebAssembly contract and its host agree on: the ten imports with their types and prices, and the names of what
a contract exports (docs/spec/contract-wasm.md). Pointers and sizes are unsigned numbers of 32 bits."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from quorate.execute.bytecode.opcodes import Op, Trap
from quorate.execute.wasm.sections import Signature
from quorate.model.contract import FunctionSignature

SECTION: Final = "quorate.contract"
MODULE: Final = "mehr"
MEMORY: Final = "memory"
ARGUMENTS: Final = "quorate_arguments"
"""A constant: where bytes arguments are put."""
ANSWER: Final = "quorate_answer"
"""A constant: where the contract says what has no import."""
ALIGNMENT: Final = 8
NOTHING: Final = 0xFFFF_FFFF
"""The size with which an entry of the state is removed, and the answer when there is none."""


class HostFunction(NamedTuple):
    """An import: the opcode whose work it does and whose price it has, and its type."""

    op: Op
    signature: Signature


def _typed(op: Op, parameters: str, result: str = "") -> HostFunction:
    kinds = {"i": "i32", "I": "i64"}
    return HostFunction(op, Signature(*(tuple(kinds[letter] for letter in side) for side in (parameters, result))))


IMPORTS: Final[dict[str, HostFunction]] = {
    "mehr_balance": _typed(Op.BALANCE, "i", "I"),
    "mehr_sender": _typed(Op.SENDER, "i"),
    "mehr_self": _typed(Op.SELF, "i"),
    "mehr_epoch": _typed(Op.EPOCH, "", "I"),
    "mehr_transfer": _typed(Op.TRANSFER, "iI", "i"),
    "mehr_log": _typed(Op.LOG, "ii"),
    "mehr_store_load": _typed(Op.LOAD, "iiii", "i"),
    "mehr_store_save": _typed(Op.STORE, "iiii"),
    "mehr_hash": _typed(Op.HASH, "iii"),
    "mehr_verify_sig": _typed(Op.VERIFY_SIG, "iiii", "i"),
}


class Answer(NamedTuple):
    """`end` says how a run ends that ends at `unreachable`: 0 aborted with `code`, the number of another trap, or DONE.
    Of a run that ended well `emitted_size` bytes at `emitted_at` are its emitted bytes."""

    code: int
    end: int
    emitted_at: int
    emitted_size: int


ANSWER_FORM: Final = struct.Struct("<qIIIxxxx")
CODE_AT, END_AT, EMITTED_AT, EMITTED_SIZE_AT = 0, 8, 12, 16
DONE: Final = 255
"""The run has ended well, from whatever depth, without results."""
NAMED_TRAPS: Final = {int(trap): trap for trap in Trap if trap not in (Trap.NONE, Trap.OUT_OF_CYCLES)}
"""What a contract may say that it ended with. Whoever runs out of cycles does not say so itself."""


def parameters_of(function: FunctionSignature) -> tuple[str, ...]:
    """The WebAssembly types of a function's parameters: a number of 64 bits, or address and size of bytes."""
    kinds = {"int": ("i64",), "bytes": ("i32", "i32")}
    return tuple(kind for parameter in function.parameters for kind in kinds[parameter.kind])
