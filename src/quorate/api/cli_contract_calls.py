"""The verbs of `quorate contract` that need a network: deploy, call, state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from quorate import errors
from quorate.api import foreground, problems, render
from quorate.api.cli_options import CLOCKS, PLAIN, Output
from quorate.api.contract_inputs import arguments_of, function_named, read_file
from quorate.api.contract_outcomes import exit_code, plain, readable, show
from quorate.api.foreground import with_client
from quorate.api.help_pages import ASKED, ENDED, PAID, WORLD, epilogue
from quorate.errors import InvalidField

if TYPE_CHECKING:
    from quorate.api.builder import Draft
    from quorate.api.client import Client
    from quorate.model.transaction import ContractHead

CHECKED = Group("Proof", sort_key=2)
ContractId = Annotated[str, Parameter(show_default=False)]
DEPLOY_PAGE = epilogue(
    "quorate contract build naming.py\nquorate contract deploy naming.mhb",
    errors.UnreadableFile,
    errors.BadContract,
    errors.TooLarge,
    errors.PolicyRefused,
    *WORLD,
    done="the ledger has the contract; the last word printed is its id",
)
CALL_PAGE = epilogue(
    "quorate contract call $CONTRACT register --replication 3 \\\n"
    "    --arg name=maryam --arg target=node --arg epochs=10\n"
    "quorate contract call $CONTRACT resolve --arg name=maryam",
    errors.UnknownContract,
    errors.UnknownFunction,
    errors.WrongArguments,
    *ASKED,
    *PAID,
    *ENDED,
    errors.StateConflict,
    errors.TransferRefused,
    errors.StateUnresolved,
    *WORLD,
    done="the call took effect (or only read)",
    others="51 the contract trapped or aborted: nothing was changed",
)
STATE_PAGE = epilogue(
    "quorate contract state $CONTRACT\nquorate contract state $CONTRACT --json",
    errors.UnknownContract,
    errors.InvalidField,
    errors.StateUnresolved,
    *WORLD,
)


def deploy(
    file: Annotated[Path, Parameter(show_default=False)],
    *,
    state: Annotated[Path | None, Parameter(show_default=False)] = None,
    output: Output = PLAIN,
) -> int:
    """Put a contract on the ledger of the running network; the last word printed is its id.

    Anyone may call it from then on. What it does, its state and its calls are public.

    Parameters
    ----------
    file
        The container, as `quorate contract build` writes it.
    state
        The state that the contract declares to be born with, as `quorate contract run --state` keeps one (default:
        the empty one).
    """
    from quorate.api.calls import check_born_with
    from quorate.execute.bytecode.state import EMPTY_STATE
    from quorate.execute.declared import contract_of

    program = read_file(file)
    born = read_file(state, "state") if state else EMPTY_STATE
    declared = contract_of(program)
    check_born_with(declared, born)

    async def work(client: Client) -> int:
        contract = await client.deploy(program, born)
        if output.json:
            functions = [function.name for function in declared.functions]
            render.say_json({"contract": contract, "program": declared.program.hex(), "functions": functions})
            return problems.OK
        render.note(f"deployed; to call it: quorate contract call {contract} {declared.functions[0].name}")
        render.say(contract)
        return problems.OK

    return with_client(work)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """A call as the command line says it."""

    arg: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = ()
    """One argument as NAME=VALUE; given once for each parameter. Bytes are text, or hexadecimal after 0x."""
    account: tuple[str, ...] = ()
    """An account whose balance the contract may ask for: 16 bytes, hexadecimal after 0x. May be given several times."""
    replication: Annotated[int | None, Parameter(group=CHECKED)] = None
    """How many providers run the call; more than one means proof quorum."""
    proof: Annotated[Literal["trust", "rerun", "quorum"] | None, Parameter(group=CHECKED)] = None
    """How the result is checked: trust (nothing), rerun (one in N again elsewhere, the default), quorum (votes)."""
    deposit: Annotated[int, Parameter(group=CLOCKS)] = 0
    """Micro-credits for the contract, paid when the call takes effect."""
    cycles: Annotated[int, Parameter(group=CLOCKS)] = 0
    """The most cycles to pay for (default: what the contract declares, up to 10^9)."""
    budget: Annotated[int | None, Parameter(group=CLOCKS)] = None
    """The most that may be held in escrow for the run, in micro-credits (default 100,000,000)."""


def call(contract: ContractId, function: str, *, options: CallOptions = CallOptions(), output: Output = PLAIN) -> int:
    """Call a function of a deployed contract, and print what came of it once the ledger has settled it.

    The call runs on the contract's state of now. When another call is settled first, this one ends with a state
    conflict and nothing of it remains: call again.

    Parameters
    ----------
    contract
        The id, as `quorate contract deploy` printed it.
    function
        An exported function.
    """
    accounts = tuple(_account(text) for text in options.account)

    async def work(client: Client) -> int:
        head = await client.contract(contract, *accounts)
        draft = _draft(head, function, options)
        foreground.on_interruption("interrupted while submitting; quorate compute list shows whether the call was made")
        job = await client.submit(draft)
        foreground.follow(job)
        if not output.json:
            render.note(f"job {job}")
        result = await client.wait(job)
        outcome = result.call()
        if output.json:
            render.say_json({"job": job, "contract": contract, "paid_micro": result.paid_micro, **plain(outcome)})
        else:
            show(outcome, "name it with --account")
            render.say(f"{'paid':<9} {render.money(result.paid_micro)}")
        return exit_code(outcome)

    return with_client(work)


def _draft(head: ContractHead, function: str, options: CallOptions) -> Draft:
    from quorate.api.builder import Job

    assert head.head is not None
    signature = function_named(head.head.deployment.contract.functions, function)
    arguments = arguments_of(signature, options.arg)
    builder = Job.builder().call(head, function, *arguments, deposit_micro=options.deposit, cycles=options.cycles)
    if options.replication is not None:
        builder.replication(options.replication)
    if options.proof is not None:
        builder.proof(options.proof)
    if options.budget is not None:
        builder.budget(options.budget)
    return builder.build()


def _account(text: str) -> bytes:
    try:
        account = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        account = b""
    if len(account) != 16:
        raise InvalidField(
            f"{text[:80]!r}", field="account", limit="16 bytes, hexadecimal", fix="such as 0x" + "0f" * 16
        )
    return account


def state(contract: ContractId, *, output: Output = PLAIN) -> int:
    """Show where a deployed contract stands: its version, its balance, its functions and its whole state.

    Parameters
    ----------
    contract
        The id, as `quorate contract deploy` printed it.
    """

    async def work(client: Client) -> int:
        head = await client.contract(contract)
        entries = await client.contract_state(contract)
        if output.json:
            render.say_json(_standing(head, entries))
        else:
            _show_standing(head, entries)
        return problems.OK

    return with_client(work)


def _standing(answer: ContractHead, entries: dict[bytes, bytes]) -> dict[str, Any]:
    assert answer.head is not None
    contract = answer.head.deployment.contract
    return {
        "contract": answer.contract.hex(),
        "program": contract.program.hex(),
        "deployer": answer.head.deployment.deployer.hex(),
        "version": answer.head.version,
        "epoch": answer.epoch,
        "balance_micro": answer.head.balance_micro,
        "state_key": answer.head.state.hex(),
        "max_cycles": contract.max_cycles,
        "max_state_bytes": contract.max_state_bytes,
        "functions": {
            function.name: {parameter.name: parameter.kind for parameter in function.parameters}
            for function in contract.functions
        },
        "state": {key.hex(): value.hex() for key, value in entries.items()},
    }


def _show_standing(answer: ContractHead, entries: dict[bytes, bytes]) -> None:
    assert answer.head is not None
    head, contract = answer.head, answer.head.deployment.contract
    render.say(f"contract  {answer.contract.hex()}")
    render.say(f"version   {head.version}, at epoch {answer.epoch}")
    render.say(f"balance   {render.money(head.balance_micro)}")
    for function in contract.functions:
        parameters = ", ".join(f"{parameter.name}: {parameter.kind}" for parameter in function.parameters)
        render.say(f"function  {function.name}({parameters})")
    render.say(f"state     {len(entries)} entries, key {head.state.hex()}")
    if entries:
        rows = [(readable(key), readable(value)) for key, value in entries.items()]
        render.say_table(("key", "value"), rows)
