"""From a contract's head to the parts of a job that calls it, and from a contract's bytes to a deployment. Nothing is
sent here: what can be known to be wrong is refused before."""

from __future__ import annotations

from typing import NamedTuple

from quorate.api.contract_inputs import function_named, usage
from quorate.errors import InvalidField, TooLarge, WrongArguments
from quorate.execute.bytecode.state import State
from quorate.execute.contracts.outcomes import arguments_value
from quorate.model.call import ARGUMENT_BYTES_MAX, Balance, ContractCall
from quorate.model.codec import encode
from quorate.model.contract import CONTRACT_STATE_MAX, ID_BYTES, Contract, FunctionSignature
from quorate.model.job import ResourceLimits
from quorate.model.program import TIER_LIMITS, Program
from quorate.model.transaction import ContractHead
from quorate.model.units import AMOUNT_MAX, KIB, Fuel, MicroCredits, Millis

MEMORY_BYTES_MIN = 64 * KIB
"""The least that an executor gives to a run."""
OUTPUT_BYTES = 256 * KIB
"""The largest outcome that a ledger takes, with room for its frame."""
CYCLES_DEFAULT = 10**9
CYCLES_MAX = 10**10
"""What a network takes at most unless its caps say less."""

Value = int | bytes


class Called(NamedTuple):
    """The parts of a job that make it a call."""

    program: Program
    call: ContractCall
    input: bytes
    limits: ResourceLimits


def called(head: ContractHead, function: str, arguments: tuple[Value, ...], deposit_micro: int, cycles: int) -> Called:
    """A call on the head that the ledger told. `cycles` 0 is as many as the contract declares, up to the default.

    Raises UnknownFunction, WrongArguments, InvalidField.
    """
    assert head.head is not None
    contract = head.head.deployment.contract
    signature = function_named(contract.functions, function)
    _check_kinds(signature, arguments)
    if not 0 <= deposit_micro <= AMOUNT_MAX:
        raise InvalidField(str(deposit_micro), field="deposit", limit=f"0 to {AMOUNT_MAX} micro-credits")
    if not 0 <= cycles <= CYCLES_MAX:
        raise InvalidField(str(cycles), field="cycles", limit=f"1 to {CYCLES_MAX}")
    data = encode(arguments_value(arguments))
    if len(data) > ARGUMENT_BYTES_MAX:
        raise TooLarge(f"{len(data)} bytes", field="arguments", limit=f"{ARGUMENT_BYTES_MAX} bytes")
    # Bytecode has no tier, and as long as a program of the larger one.
    _, _, run_ms = TIER_LIMITS.get(contract.wasm_tier, TIER_LIMITS["full"])
    return Called(
        program=contract.called(function),
        call=_on_head(head, deposit_micro),
        input=data,
        limits=ResourceLimits(
            memory_bytes=max(MEMORY_BYTES_MIN, contract.max_memory_bytes),
            fuel=Fuel(min(cycles or CYCLES_DEFAULT, contract.max_cycles)),
            run_ms=Millis(run_ms),
            output_bytes=OUTPUT_BYTES,
        ),
    )


def _on_head(head: ContractHead, deposit_micro: int) -> ContractCall:
    assert head.head is not None
    own = bytes(head.contract[:ID_BYTES])
    amounts = {balance.account: int(balance.amount_micro) for balance in head.balances}
    amounts[own] = head.head.balance_micro + deposit_micro
    return ContractCall(
        contract=head.contract,
        state=head.head.state,
        version=head.head.version,
        epoch=head.epoch,
        deposit_micro=MicroCredits(deposit_micro),
        balances=tuple(Balance(account=key, amount_micro=MicroCredits(amounts[key])) for key in sorted(amounts)),
    )


def _check_kinds(function: FunctionSignature, arguments: tuple[Value, ...]) -> None:
    if len(arguments) != len(function.parameters):
        raise WrongArguments(f"{len(arguments)} given", field="arguments", fix=usage(function))
    for parameter, argument in zip(function.parameters, arguments, strict=True):
        if isinstance(argument, bytes) != (parameter.kind == "bytes") or isinstance(argument, bool):
            raise WrongArguments(f"a {type(argument).__name__}", field=parameter.name, limit=parameter.kind)


def check_born_with(contract: Contract, state: bytes) -> State:
    """The state that a contract is deployed with. Raises MalformedBytes, TooLarge, or InvalidField when it is not the
    one that the contract declares."""
    if len(state) > CONTRACT_STATE_MAX:
        raise TooLarge(f"{len(state)} bytes", field="state", limit=f"{CONTRACT_STATE_MAX} bytes")
    born = State.decode(state)
    if born.key != contract.state:
        raise InvalidField(
            f"has key {born.key.hex()[:16]}",
            field="state",
            limit=f"{contract.state.hex()[:16]}, which the contract declares",
            fix="give the bytes of the state that the contract is born with",
        )
    return born
