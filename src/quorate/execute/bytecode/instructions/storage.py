"""LOAD STORE MSIZE: memory, local slots and the contract's state, chosen by the mode byte."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.host import Trapped
from quorate.execute.bytecode.machine import Machine, signed, unsigned
from quorate.execute.bytecode.opcodes import STATE_LOADED, STATE_STORED, WIDTH, Mode, Op, Trap
from quorate.execute.bytecode.state import KEY_BYTES_MAX
from quorate.execute.bytecode.verify import mode_of

REMOVE = -1
"""The length with which STORE removes an entry, and which LOAD answers when there is none."""


def _key_span(m: Machine, pointer: int, length: int) -> slice:
    if not 0 <= length <= KEY_BYTES_MAX:
        raise Trapped(Trap.KEY_SIZE)
    return m.span(pointer, length)


def load(m: Machine) -> None:
    # stack
    mode = mode_of(m.instruction.immediate)
    # cost
    m.charge(Op.LOAD)
    # operation
    if mode is Mode.STATE:
        _load_state(m)
    elif mode is Mode.LOCAL:
        m.push(m.frame.locals[m.instruction.immediate - Mode.LOCAL])
    elif mode is not None:
        data = m.memory[m.span(m.pop(), WIDTH[mode])]
        m.push(signed(int.from_bytes(data, "little")))
    # program counter
    m.advance()


def _load_state(m: Machine) -> None:
    """Copies as much of the value as fits `cap` bytes, pays for `cap`, and leaves the whole size, or -1 for none."""
    pointer, length, destination, room = m.pop_many(4)
    key, out = _key_span(m, pointer, length), m.span(destination, room)
    m.charge_length(STATE_LOADED, room)
    value = m.journal.read(bytes(m.memory[key]))
    if value is None:
        m.push(REMOVE)
        return
    copied = value[:room]
    m.memory[out.start : out.start + len(copied)] = copied
    m.push(len(value))


def store(m: Machine) -> None:
    # stack
    mode = mode_of(m.instruction.immediate)
    # cost
    m.charge(Op.STORE)
    # operation
    if mode is Mode.STATE:
        _store_state(m)
    elif mode is Mode.LOCAL:
        m.frame.locals[m.instruction.immediate - Mode.LOCAL] = m.pop()
    elif mode is not None:
        value, pointer = m.pop(), m.pop()
        m.memory[m.span(pointer, WIDTH[mode])] = unsigned(value).to_bytes(8, "little")[: WIDTH[mode]]
    # program counter
    m.advance()


def _store_state(m: Machine) -> None:
    """Sets an entry, or removes it if `len` is -1; then `src` is not looked at."""
    pointer, length, source, size = m.pop_many(4)
    key = _key_span(m, pointer, length)
    if size == REMOVE:
        m.journal.write(bytes(m.memory[key]), None)
        return
    data = m.span(source, size)
    m.charge_length(STATE_STORED, size)
    m.journal.write(bytes(m.memory[key]), bytes(m.memory[data]))


def memory_size(m: Machine) -> None:
    # stack
    size = len(m.memory)
    # cost
    m.charge(Op.MSIZE)
    # operation
    m.push(size)
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.LOAD: load,
    Op.STORE: store,
    Op.MSIZE: memory_size,
}
