"""BALANCE SENDER SELF EPOCH TRANSFER LOG EMIT: what a contract is told, and what it asks for. Effects are kept in the
journal and count only if the run succeeds."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.host import Trapped
from quorate.execute.bytecode.machine import Machine
from quorate.execute.bytecode.opcodes import ID_BYTES, TABLE, Op, Trap


def balance(m: Machine) -> None:
    # stack
    account = m.pop()
    # cost
    m.charge(Op.BALANCE)
    # operation
    m.push(m.journal.balance(bytes(m.memory[m.span(account, ID_BYTES)])))
    # program counter
    m.advance()


def sender(m: Machine) -> None:
    # stack
    destination = m.pop()
    # cost
    m.charge(Op.SENDER)
    # operation
    m.memory[m.span(destination, ID_BYTES)] = m.journal.context.sender
    # program counter
    m.advance()


def own_id(m: Machine) -> None:
    # stack
    destination = m.pop()
    # cost
    m.charge(Op.SELF)
    # operation
    m.memory[m.span(destination, ID_BYTES)] = m.journal.context.self_id
    # program counter
    m.advance()


def epoch(m: Machine) -> None:
    # stack
    number = m.journal.context.epoch
    # cost
    m.charge(Op.EPOCH)
    # operation
    m.push(number)
    # program counter
    m.advance()


def transfer(m: Machine) -> None:
    """1 if the contract has as much and it is moved, otherwise 0."""
    # stack
    to, amount = m.pop_many(2)
    # cost
    m.charge(Op.TRANSFER)
    # operation
    if amount < 0:
        raise Trapped(Trap.AMOUNT_RANGE)
    account = bytes(m.memory[m.span(to, ID_BYTES)])
    m.push(int(m.journal.transfer(account, amount)))
    # program counter
    m.advance()


def log(m: Machine) -> None:
    # stack
    pointer, length = m.pop_many(2)
    # cost
    m.charge(Op.LOG)
    data = m.span(pointer, length)
    m.charge_length(TABLE[Op.LOG].surcharge, length)
    # operation
    m.journal.log(bytes(m.memory[data]))
    # program counter
    m.advance()


def emit(m: Machine) -> None:
    # stack
    pointer, length = m.pop_many(2)
    # cost
    m.charge(Op.EMIT)
    data = m.span(pointer, length)
    m.charge_length(TABLE[Op.EMIT].surcharge, length)
    # operation
    m.journal.emit(bytes(m.memory[data]))
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.BALANCE: balance,
    Op.SENDER: sender,
    Op.SELF: own_id,
    Op.EPOCH: epoch,
    Op.TRANSFER: transfer,
    Op.LOG: log,
    Op.EMIT: emit,
}
