"""A call of a deployed contract: what it is told of the world, its arguments, and all that comes of it.

`ContractCall` is part of the job and so signed by the caller and known to the ledger; the sender is the job's
requester and stands nowhere else. `CallArguments` is the job's input, `CallOutcome` its output: what executors vote on,
and what the ledger takes the effects from.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from quorate.errors import InvalidField
from quorate.model.codec import Part, Value
from quorate.model.contract import CONTRACT_STATE_MAX, ID_BYTES, PARAMETERS_MAX
from quorate.model.units import AMOUNT_MAX, KIB, MIB, Count, Hash, Micro, Word

BALANCES_MAX: Final = 16
TRANSFERS_MAX: Final = 256
LOGS_MAX: Final = 256
LOGGED_BYTES_MAX: Final = 64 * KIB
"""All log records of one call together, and the same for what it emits."""
ARGUMENT_BYTES_MAX: Final = MIB
CALL_OUTCOME_BYTES_MAX: Final = 240 * KIB
"""The ledger is shown the outcome whole. A call that has more to say, or changes more, ends as `output_limit`."""

Id = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Cell = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=AMOUNT_MAX)]


class Balance(Part, frozen=True):
    """What an account holds, by the id that contracts see."""

    account: Id
    amount_micro: Micro


class ContractCall(Part, frozen=True):
    """The head that the call runs on, as the ledger had it: `state` and `version`. `balances` always has the contract's
    own, with `deposit_micro` in it, which the caller pays in when the call takes effect; of other accounts those that
    the caller looked up. The ledger opens no escrow unless all of it is true at that moment."""

    contract: Hash
    state: Hash
    version: Count
    epoch: Count
    deposit_micro: Micro
    balances: Annotated[tuple[Balance, ...], msgspec.Meta(min_length=1, max_length=BALANCES_MAX)]

    def __post_init__(self) -> None:
        accounts = [balance.account for balance in self.balances]
        if accounts != sorted(set(accounts)):
            raise InvalidField("not in order, or one account twice", field="balances")
        own = self.balance(self.self_id)
        if own is None:
            raise InvalidField("without the contract's own", field="balances")
        if own < self.deposit_micro:
            raise InvalidField("more than the contract would then have", field="deposit_micro")
        if sum(balance.amount_micro for balance in self.balances) > AMOUNT_MAX:
            raise InvalidField("more than there can be", field="balances", limit=str(AMOUNT_MAX))

    @property
    def self_id(self) -> bytes:
        """The id of the contract as it sees it itself."""
        return bytes(self.contract[:ID_BYTES])

    def balance(self, account: bytes) -> int | None:
        """What the call is told `account` has; None when it is told nothing."""
        return next((known.amount_micro for known in self.balances if known.account == account), None)


class CallWorld(Value, frozen=True, tag="call_world"):
    """All that a run of a call is told: for the worker that runs it, never sent to another node. `state` are the bytes
    that `call.state` is the key of."""

    size_max = CONTRACT_STATE_MAX + MIB

    call: ContractCall
    sender: Id
    state: bytes


class Argument(Part, frozen=True):
    """One of the two: a number, or bytes."""

    number: Cell | None
    data: bytes | None

    def __post_init__(self) -> None:
        if (self.number is None) == (self.data is None):
            raise InvalidField("neither a number nor bytes, or both", field="values")


class CallArguments(Value, frozen=True, tag="call_arguments"):
    """In the order of the function's parameters."""

    size_max = ARGUMENT_BYTES_MAX

    values: Annotated[tuple[Argument, ...], msgspec.Meta(max_length=PARAMETERS_MAX)]


class StateChange(Part, frozen=True):
    """A key of the state with its new value; None removes it."""

    key: Annotated[bytes, msgspec.Meta(max_length=128)]
    value: bytes | None


class ContractTransfer(Part, frozen=True):
    """`amount_micro` from the contract to `to`."""

    to: Id
    amount_micro: Micro


class CallOutcome(Value, frozen=True, tag="call_outcome"):
    """How the call ended, to the cycle. `state` is the key of the state after `changes`, which lead there from the
    state of the call; after anything but `ok` nothing has changed, and there are no results, logs, emitted bytes or
    transfers. `code` is what ABORT took, `pc` where the run stood."""

    size_max = CALL_OUTCOME_BYTES_MAX

    status: Literal["ok", "trap", "unresolved"]
    trap: Word
    code: Cell
    pc: Count
    cycles: Count
    results: Annotated[tuple[Cell, ...], msgspec.Meta(max_length=PARAMETERS_MAX)]
    logs: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=LOGS_MAX)]
    emitted: Annotated[bytes, msgspec.Meta(max_length=LOGGED_BYTES_MAX)]
    state: Hash
    changes: tuple[StateChange, ...]
    transfers: Annotated[tuple[ContractTransfer, ...], msgspec.Meta(max_length=TRANSFERS_MAX)]

    def __post_init__(self) -> None:
        if self.status == "ok":
            return
        for name in ("results", "logs", "emitted", "changes", "transfers"):
            if getattr(self, name):
                raise InvalidField("given by a call that did not succeed", field=name)
