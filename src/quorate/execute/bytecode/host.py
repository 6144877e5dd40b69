"""What a run takes and gives, as frozen values. There is no other way in or out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from quorate.errors import InvalidField
from quorate.execute.bytecode.opcodes import CELL_MAX, ID_BYTES, Trap
from quorate.execute.bytecode.state import Change

LOG_BYTES_MAX: Final = 1 << 16
"""All records of one run together."""
LOG_RECORDS_MAX: Final = 256
EMIT_BYTES_MAX: Final = 1 << 16
TRANSFERS_MAX: Final = 256

Argument = int | bytes


class Status(StrEnum):
    """How a run ended. UNRESOLVED means that state or a balance was asked for that is not at hand here: it says nothing
    about the contract, never votes, and is run again when the missing part is there."""

    OK = "ok"
    TRAP = "trap"
    UNRESOLVED = "unresolved"


class Call(msgspec.Struct, frozen=True):
    """Which function, with which arguments, for at most how many cycles. The contract's own limit holds beside it."""

    function: str
    arguments: tuple[Argument, ...] = ()
    cycles_max: int = CELL_MAX

    def __post_init__(self) -> None:
        if not 1 <= self.cycles_max <= CELL_MAX:
            raise InvalidField("out of range", field="cycles_max", limit="1 to 2^63 - 1")


class Context(msgspec.Struct, frozen=True):
    """What the call is told of the world, all of it recorded with the call: who the contract is, who calls, the epoch,
    and the balances that were looked up. A balance that is not listed is not at hand, which is not zero."""

    self_id: bytes
    sender: bytes
    epoch: int = 0
    balances: tuple[tuple[bytes, int], ...] = ()

    def __post_init__(self) -> None:
        if {len(self.self_id), len(self.sender), *(len(account) for account, _ in self.balances)} != {ID_BYTES}:
            raise InvalidField("not an id", field="context", limit=f"{ID_BYTES} bytes")
        if not 0 <= self.epoch <= CELL_MAX:
            raise InvalidField("out of range", field="epoch", limit="0 to 2^63 - 1")
        amounts = [amount for _, amount in self.balances]
        if min(amounts, default=0) < 0 or sum(amounts) > CELL_MAX:
            raise InvalidField("below zero, or more than 2^63 - 1 in all", field="balances")
        if [account for account, _ in self.balances] != sorted({account for account, _ in self.balances}):
            raise InvalidField("not in order, or one account twice", field="balances")

    @classmethod
    def of(cls, self_id: bytes, sender: bytes, epoch: int = 0, balances: Mapping[bytes, int] | None = None) -> Context:
        """The context with `balances` put in order."""
        return cls(self_id, sender, epoch, tuple(sorted((balances or {}).items())))


class Transfer(msgspec.Struct, frozen=True):
    """`amount` from the contract's own account to `to`."""

    to: bytes
    amount: int


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended, all of it normative. `pc` is the last instruction that was begun. `code` is what ABORT took.
    After anything but OK there are no results, logs, emitted bytes, changes or transfers."""

    status: Status
    trap: Trap
    pc: int
    cycles: int
    code: int = 0
    results: tuple[int, ...] = ()
    logs: tuple[bytes, ...] = ()
    emitted: bytes = b""
    changes: tuple[Change, ...] = ()
    transfers: tuple[Transfer, ...] = ()


class Trapped(Exception):
    """Ends a run inside the machine; becomes an Outcome, never seen outside."""

    def __init__(self, trap: Trap, code: int = 0) -> None:
        super().__init__(trap.name)
        self.trap, self.code = trap, code


class Unresolved(Exception):
    """State or a balance is not at hand; becomes an Outcome."""


class EngineFault(Exception):
    """The engine or this machine, not the contract, is the reason that there is no outcome."""
