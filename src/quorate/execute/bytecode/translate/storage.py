"""LOAD and STORE of memory and local slots, MSIZE, and what the call says of the world: SENDER SELF EPOCH."""

from __future__ import annotations

from typing import Final

from quorate.execute.bytecode.opcodes import ID_BYTES, WIDTH, Mode, Trap
from quorate.execute.bytecode.translate import layout
from quorate.execute.bytecode.translate.emission import Emitter, number_of
from quorate.execute.bytecode.translate.values import Constant, Local, Value
from quorate.execute.bytecode.translate.writer import W

_LOADS: Final = {
    Mode.U8: W.I64_LOAD8_U,
    Mode.U16: W.I64_LOAD16_U,
    Mode.U32: W.I64_LOAD32_U,
    Mode.I64: W.I64_LOAD,
}
_STORES: Final = {
    Mode.U8: W.I64_STORE8,
    Mode.U16: W.I64_STORE16,
    Mode.U32: W.I64_STORE32,
    Mode.I64: W.I64_STORE,
}


def check_range(e: Emitter, address: Value, size: int) -> None:
    """Traps unless `size` bytes from `address` are inside the memory. As unsigned numbers negative addresses are the
    largest of all."""
    last = e.container.max_memory - size
    number = number_of(address)
    if number is not None and 0 <= number <= last:
        return
    if last < 0:
        e.code.i32(1)
    else:
        e.write(address, last, W.I64_GT_U)
    e.trap_if(Trap.MEMORY_RANGE)


def load(e: Emitter, mode: Mode) -> None:
    address = e.pop()
    check_range(e, address, WIDTH[mode])
    e.write(address, W.I32_WRAP_I64)
    e.code.access(_LOADS[mode], 0)
    e.operands.store()


def store(e: Emitter, mode: Mode) -> None:
    value, address = e.pop(), e.pop()
    check_range(e, address, WIDTH[mode])
    e.write(address, W.I32_WRAP_I64, value)
    e.code.access(_STORES[mode], 0)


def load_local(e: Emitter, slot: int) -> None:
    e.push(Local(e.names.slot(slot)))


def store_local(e: Emitter, slot: int) -> None:
    value, local = e.pop(), e.names.slot(slot)
    e.operands.release(local)
    e.write(value)
    e.code.set(local)


def memory_size(e: Emitter) -> None:
    e.push(Constant(e.container.max_memory))


def epoch(e: Emitter) -> None:
    e.code.i32(0)
    e.code.access(W.I64_LOAD, e.exchange + layout.EPOCH)
    e.operands.store()


def copy_id(e: Emitter, source: int) -> None:
    """Copies an id from the exchange area to the address on top of the stack."""
    address = e.pop()
    check_range(e, address, ID_BYTES)
    for at in range(0, ID_BYTES, layout.CELL_BYTES):
        e.write(address, W.I32_WRAP_I64)
        e.code.i32(0)
        e.code.access(W.I64_LOAD, e.exchange + source + at)
        e.code.access(W.I64_STORE, at)
