"""The host's side of one run: what the ten imports do, in the order of checks, with the prices and the limits of the
opcodes that they stand for (docs/spec/bytecode.md, sections 5 and 6). The journal is the bytecode machine's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from blake3 import blake3

from quorate.crypto.zip215 import verify_zip215
from quorate.execute.bytecode.host import EMIT_BYTES_MAX, LOG_BYTES_MAX, Trapped
from quorate.execute.bytecode.journal import Journal
from quorate.execute.bytecode.opcodes import (
    DIGEST_BYTES,
    ID_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    STATE_LOADED,
    STATE_STORED,
    TABLE,
    Op,
    Surcharge,
    Trap,
)
from quorate.execute.bytecode.state import KEY_BYTES_MAX
from quorate.execute.contract_wasm import abi
from quorate.execute.wasm.wasi import FUEL_RESERVE, FuelTank, GuestMemory


class Session:
    """One run's world. Every call raises Trapped or Unresolved to end the run; nothing of it has happened then."""

    def __init__(self, journal: Journal, state_bytes_max: int, memory: GuestMemory, tank: FuelTank) -> None:
        self.journal = journal
        self.state_bytes_max = state_bytes_max
        self._memory, self._tank = memory, tank

    def call(self, name: str, operands: tuple[int, ...]) -> int:
        """Does the work of an import; its result, 0 if it has none. Pointers and sizes are not negative."""
        self.pay(TABLE[abi.IMPORTS[name].op].cycles)
        return _CALLS[name](self, *operands) or 0

    def pay(self, cycles: int) -> None:
        left = self._tank.get_fuel() - cycles
        if left < FUEL_RESERVE:
            raise Trapped(Trap.OUT_OF_CYCLES)
        self._tank.set_fuel(left)

    def pay_length(self, surcharge: Surcharge | None, length: int) -> None:
        if surcharge is not None:
            self.pay(surcharge.of(length))

    def emit(self, pointer: int, size: int) -> None:
        """Takes what the contract has to emit, at the price of EMIT. The run has returned; it may still trap."""
        self.pay(TABLE[Op.EMIT].cycles)
        self.require(pointer, size)
        self.pay_length(TABLE[Op.EMIT].surcharge, size)
        if size > EMIT_BYTES_MAX:
            raise Trapped(Trap.OUTPUT_LIMIT)
        self.journal.emit(self.read(pointer, size))

    def require(self, pointer: int, size: int) -> None:
        """Traps unless all of the range is inside the memory."""
        if self._memory.read(pointer + size, 0) is None:
            raise Trapped(Trap.MEMORY_RANGE)

    def read(self, pointer: int, size: int) -> bytes:
        data = self._memory.read(pointer, size)
        if data is None:
            raise Trapped(Trap.MEMORY_RANGE)
        return data

    def write(self, pointer: int, data: bytes) -> None:
        if not self._memory.write(pointer, data):
            raise Trapped(Trap.MEMORY_RANGE)


def _balance(session: Session, account: int) -> int:
    return session.journal.balance(session.read(account, ID_BYTES))


def _sender(session: Session, out: int) -> None:
    session.write(out, session.journal.context.sender)


def _own_id(session: Session, out: int) -> None:
    session.write(out, session.journal.context.self_id)


def _epoch(session: Session) -> int:
    return session.journal.context.epoch


def _transfer(session: Session, to: int, amount: int) -> int:
    """1 if the contract has as much and it is moved, otherwise 0."""
    if amount < 0:
        raise Trapped(Trap.AMOUNT_RANGE)
    return int(session.journal.transfer(session.read(to, ID_BYTES), amount))


def _log(session: Session, pointer: int, size: int) -> None:
    session.require(pointer, size)
    session.pay_length(TABLE[Op.LOG].surcharge, size)
    if size > LOG_BYTES_MAX:  # not even read: it may be most of the memory
        raise Trapped(Trap.OUTPUT_LIMIT)
    session.journal.log(session.read(pointer, size))


def _key(session: Session, pointer: int, size: int) -> bytes:
    if size > KEY_BYTES_MAX:
        raise Trapped(Trap.KEY_SIZE)
    return session.read(pointer, size)


def _store_load(session: Session, key_at: int, key_size: int, out: int, room: int) -> int:
    """Copies as much of the value as fits `room` bytes, pays for `room`, and gives the whole size, or NOTHING."""
    key = _key(session, key_at, key_size)
    session.require(out, room)
    session.pay_length(STATE_LOADED, room)
    value = session.journal.read(key)
    if value is None:
        return abi.NOTHING
    session.write(out, value[:room])
    return len(value)


def _store_save(session: Session, key_at: int, key_size: int, value_at: int, size: int) -> None:
    """Sets an entry, or removes it if `size` is NOTHING; then `value_at` is not looked at."""
    key = _key(session, key_at, key_size)
    if size == abi.NOTHING:
        session.journal.write(key, None)
        return
    session.require(value_at, size)
    session.pay_length(STATE_STORED, size)
    if size > session.state_bytes_max:  # not even read: it may be most of the memory
        session.journal.read(key)
        raise Trapped(Trap.STATE_SIZE)
    session.journal.write(key, session.read(value_at, size))


def _hash(session: Session, pointer: int, size: int, out: int) -> None:
    """BLAKE3-256. The digest may overwrite what it is of."""
    session.require(pointer, size)
    session.require(out, DIGEST_BYTES)
    session.pay_length(TABLE[Op.HASH].surcharge, size)
    session.write(out, blake3(session.read(pointer, size)).digest())


def _verify_sig(session: Session, key: int, message: int, size: int, signature: int) -> int:
    """Ed25519 by the rules of ZIP-215; 1 or 0."""
    public, signed = session.read(key, PUBLIC_KEY_BYTES), session.read(signature, SIGNATURE_BYTES)
    session.require(message, size)
    session.pay_length(TABLE[Op.VERIFY_SIG].surcharge, size)
    return int(verify_zip215(public, session.read(message, size), signed))


_CALLS: Final[dict[str, Callable[..., int | None]]] = {
    "mehr_balance": _balance,
    "mehr_sender": _sender,
    "mehr_self": _own_id,
    "mehr_epoch": _epoch,
    "mehr_transfer": _transfer,
    "mehr_log": _log,
    "mehr_store_load": _store_load,
    "mehr_store_save": _store_save,
    "mehr_hash": _hash,
    "mehr_verify_sig": _verify_sig,
}
