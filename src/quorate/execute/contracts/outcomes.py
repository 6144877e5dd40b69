"""A call of a contract as a task: what the engine is told, and the outcome as the bytes that are voted on.

Both forms of contracts, bytecode and WebAssembly, give the `Outcome` of the contract machine; from here on they are
alike.
"""

from __future__ import annotations

from typing import Final

from quorate.errors import InvalidField, MalformedBytes, PeerError, WrongArguments
from quorate.execute.bytecode import host
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.state import State
from quorate.model.call import (
    Argument,
    Balance,
    CallArguments,
    CallOutcome,
    CallWorld,
    ContractCall,
    ContractTransfer,
    StateChange,
)
from quorate.model.codec import decode, encode
from quorate.model.trap import Status
from quorate.model.units import Digest, MicroCredits

STATUSES: Final = {
    Trap.OUT_OF_CYCLES: Status.OUT_OF_FUEL,
    Trap.DIVISION_BY_ZERO: Status.DIVISION_BY_ZERO,
    Trap.OVERFLOW: Status.INTEGER_OVERFLOW,
    Trap.MEMORY_RANGE: Status.OUT_OF_BOUNDS,
    Trap.OUTPUT_LIMIT: Status.OUTPUT_LIMIT,
    Trap.ABORTED: Status.ABORTED,
}
"""Traps that other programs have too. All others are `contract_trap`; the outcome says which."""


def arguments_of(stdin: bytes) -> tuple[host.Argument, ...]:
    """Raises WrongArguments for an input that is no `CallArguments`: its requester made it."""
    try:
        values = decode(stdin, CallArguments).values
    except PeerError as fault:
        raise WrongArguments(f"not the arguments of a call: {fault.message}", field="input") from None
    return tuple(
        argument.data if argument.number is None else argument.number  # type: ignore[misc]  # one of them is given
        for argument in values
    )


def arguments_value(arguments: tuple[host.Argument, ...]) -> CallArguments:
    """Raises WrongArguments for a number that fits no cell."""
    values = []
    for argument in arguments:
        if isinstance(argument, bytes):
            values.append(Argument(number=None, data=argument))
        elif -(1 << 63) <= argument < 1 << 63:
            values.append(Argument(number=argument, data=None))
        else:
            raise WrongArguments(str(argument)[:40], field="arguments", limit="-2^63 to 2^63 - 1")
    return CallArguments(values=tuple(values))


def world_of(call: ContractCall, sender: bytes, state: bytes) -> CallWorld:
    return CallWorld(call=call, sender=sender, state=state)


def context_of(world: CallWorld) -> host.Context:
    call = world.call
    balances = tuple((balance.account, int(balance.amount_micro)) for balance in call.balances)
    return host.Context(call.self_id, world.sender, call.epoch, balances)


def state_of(world: CallWorld) -> State:
    """Raises InvalidField unless it is the state that the call names."""
    try:
        state = State.decode(world.state)
    except MalformedBytes as fault:
        raise InvalidField(f"not a state: {fault.message}", field="state") from None
    if state.key != world.call.state:
        raise InvalidField("the state has another key than the call names", field="state")
    return state


def outcome_value(outcome: host.Outcome, state: State) -> CallOutcome:
    """The outcome of a call on `state`. Raises MalformedBytes when it is too large to be shown to a ledger."""
    return CallOutcome(
        status=outcome.status.value,
        trap=outcome.trap.name.lower(),
        code=outcome.code,
        pc=outcome.pc,
        cycles=outcome.cycles,
        results=outcome.results,
        logs=outcome.logs,
        emitted=outcome.emitted,
        state=Digest(state.updated(outcome.changes).key),
        changes=tuple(StateChange(key=key, value=value) for key, value in outcome.changes),
        transfers=tuple(
            ContractTransfer(to=transfer.to, amount_micro=MicroCredits(transfer.amount))
            for transfer in outcome.transfers
        ),
    )


def next_state(state: State, outcome: CallOutcome) -> bytes:
    """The bytes of the state that `outcome` leads to from `state`; empty when nothing changes. Raises MalformedBytes
    when its changes do not lead to the key that it names."""
    if outcome.status != "ok" or outcome.state == state.key:
        return b""
    after = state.updated((change.key, change.value) for change in outcome.changes)
    if after.key != outcome.state:
        raise MalformedBytes("its changes lead to another state than it names", field="state")
    return after.encode()


def status_of(outcome: host.Outcome) -> Status:
    if outcome.status is host.Status.OK:
        return Status.SUCCESS
    if outcome.status is host.Status.UNRESOLVED:
        return Status.UNRESOLVED
    return STATUSES.get(outcome.trap, Status.CONTRACT_TRAP)


def ended(outcome: host.Outcome, state: State, output_bytes: int) -> tuple[Status, bytes]:
    """How the call ended, and the outcome in bytes. One that is larger than the job or a ledger takes is no success:
    it ends as `output_limit`, and nothing comes of it."""
    try:
        data = encode(outcome_value(outcome, state))
    except MalformedBytes:
        data = b""
    if not data or len(data) > output_bytes:
        outcome = host.Outcome(host.Status.TRAP, Trap.OUTPUT_LIMIT, outcome.pc, outcome.cycles)
        data = encode(outcome_value(outcome, state))
    return status_of(outcome), data


def balances_of(amounts: dict[bytes, int]) -> tuple[Balance, ...]:
    return tuple(Balance(account=key, amount_micro=MicroCredits(amounts[key])) for key in sorted(amounts))
