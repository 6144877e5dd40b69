"""`quorate contract`: contracts of the contract machine. The verbs in this file work on this machine alone and send
nothing anywhere; those that need a network are in `cli_contract_calls.py`.

The runs here are those of the reference interpreter, which is the authority on what a contract does and what it costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from quorate import errors
from quorate.api import cli_contract_calls as calls
from quorate.api import problems, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.contract_inputs import (
    NO_ONE,
    context_of,
    load_contract,
    local_arguments,
    read_state,
    read_text,
    write_file,
)
from quorate.api.contract_outcomes import exit_code, plain, show
from quorate.api.help_pages import epilogue
from quorate.errors import InvalidField

app = App(
    name="contract",
    help="Build, inspect and run contracts; deploy and call them on a network.",
    help_epilogue=epilogue(
        "quorate contract build naming.py\nquorate contract run counter.mhb add --arg amount=5",
        errors.UnreadableFile,
        errors.BadContract,
        errors.WrongArguments,
    ),
)

app.command("quorate.api.cli_contract_tests:app", name="test", help="Run the tests that lie beside a contract.")
app.command("quorate.api.cli_contract_cost:app", name="cost", help="What calls of a contract cost, in cycles.")
app.command(
    "quorate.api.cli_contract_vectors:app", name="verify-vectors", help="Hold this machine's engines to the vectors."
)


app.command(calls.deploy, help_epilogue=calls.DEPLOY_PAGE)
app.command(calls.call, help_epilogue=calls.CALL_PAGE)
app.command(calls.state, name="state", help_epilogue=calls.STATE_PAGE)


@app.command(
    help_epilogue=epilogue(
        "quorate contract assemble counter.mha\nquorate contract assemble counter.mha --out build/counter.mhb",
        errors.UnreadableFile,
        errors.InvalidField,
        errors.BadContract,
        errors.WorldError,
    )
)
def assemble(
    source: Annotated[Path, Parameter(show_default=False)],
    *,
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    output: Output = PLAIN,
) -> int:
    """Turn assembly into a container and verify it as every engine will.

    Parameters
    ----------
    source
        The text, as `quorate contract disasm` prints it (docs/spec/bytecode.md, section 10).
    out
        Where the container goes (default: beside the source, with the suffix .mhb).
    """
    from quorate.execute.bytecode.assembler import assemble as assembled

    return _keep(assembled(read_text(source)), source, out, output)


def _keep(program: bytes, source: Path, out: Path | None, output: Output) -> int:
    """Checks the contract as every engine will, writes it, and says its address."""
    from quorate.execute.declared import contract_of

    contract = contract_of(program)
    path = out or source.with_suffix(".mhb" if contract.kind == "bytecode" else ".wasm")
    if path == source:
        raise InvalidField("the source itself", field="out", fix="name another file")
    write_file(path, program)
    address = contract.program.hex()
    if output.json:
        told = {"file": str(path), "address": address, "bytes": len(program), "wasm_tier": contract.wasm_tier}
        render.say_json(told)
    else:
        tier = f", tier {contract.wasm_tier}" if contract.kind == "wasm" else ""
        render.say(f"wrote {path}, {len(program)} bytes{tier}")
        render.say(f"address {address}")
    return problems.OK


@app.command(
    help_epilogue=epilogue(
        "quorate contract build naming.py\n"
        "quorate contract build naming.py --wasm\n"
        "quorate contract build naming.py --out build/naming.mhb",
        errors.UnreadableFile,
        errors.InvalidField,
        errors.CompileError,
        errors.TooLarge,
    )
)
def build(
    source: Annotated[Path, Parameter(show_default=False)],
    *,
    wasm: bool = False,
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    output: Output = PLAIN,
) -> int:
    """Compile a contract that is written in the Python subset of docs/spec/contract-python.md.

    Parameters
    ----------
    source
        The contract. What is outside of the subset is refused with its line, and with what may be written instead.
    wasm
        Build a WebAssembly contract (docs/spec/contract-wasm.md) and no container. It does the same, for other cycles.
    out
        Where the contract goes (default: beside the source, with the suffix .mhb, or .wasm).
    """
    if wasm:
        from quorate.execute.contract_wasm.from_bytecode.source import build as built

        return _keep(built(read_text(source), source.name), source, out, output)
    from quorate.execute.bytecode.compiler.program import compile_contract

    return _keep(compile_contract(read_text(source), source.name).container, source, out, output)


@app.command(
    help_epilogue=epilogue(
        "quorate contract disasm counter.mhb\nquorate contract disasm counter.mhb > counter.mha",
        errors.UnreadableFile,
        errors.BadContract,
    )
)
def disasm(file: Annotated[Path, Parameter(show_default=False)], *, output: Output = PLAIN) -> int:
    """Print a container as assembly, which assembles to the same bytes.

    Parameters
    ----------
    file
        The container.
    """
    from quorate.execute.bytecode.disassembler import disassemble

    contract = load_contract(file)
    text = disassemble(contract)
    if output.json:
        render.say_json({"address": contract.address.hex(), "assembly": text})
    else:
        print(text, end="")
    return problems.OK


@app.command(
    help_epilogue=epilogue(
        "quorate contract run counter.mhb add --arg amount=5\n"
        "quorate contract run counter.mhb add --arg amount=5 --state counter.state",
        errors.UnreadableFile,
        errors.BadContract,
        errors.UnknownFunction,
        errors.WrongArguments,
        errors.InvalidField,
        done="the function returned",
        others="51 the contract trapped or aborted, or asked for what is not here",
    )
)
def run(
    file: Annotated[Path, Parameter(show_default=False)],
    function: str,
    *,
    arg: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = (),
    state: Annotated[Path | None, Parameter(show_default=False)] = None,
    sender: str = NO_ONE,
    self_id: Annotated[str, Parameter(name="--self", show_default=False)] = "",
    balance: Annotated[int | None, Parameter(show_default=False)] = None,
    epoch: int = 0,
    cycles: int = 1_000_000_000,
    output: Output = PLAIN,
) -> int:
    """Call one function of a contract and print what came of it, to the last cycle.

    Parameters
    ----------
    file
        The container.
    function
        An exported function.
    arg
        One argument as NAME=VALUE; given once for each parameter. Bytes are text, or hexadecimal after 0x.
    state
        Where the contract's state is kept from call to call; a file that is not there is the empty state. Without it
        the state is empty, and what the call changes is shown and forgotten.
    sender
        Who calls: 16 bytes, hexadecimal after 0x.
    self_id
        Who the contract is: 16 bytes, of its id on a ledger (default: of its address).
    balance
        What the contract's account has, a deposit of this call included. Without it the contract cannot ask.
    epoch
        The epoch that the contract reads.
    cycles
        The most cycles to pay for; the contract's own limit holds beside it.
    """
    from quorate.execute.bytecode import reference
    from quorate.execute.bytecode.host import Call
    from quorate.execute.contracts.outcomes import outcome_value

    contract = load_contract(file)
    before = read_state(state)
    context = context_of(contract, self_id, sender, epoch, balance)
    call = Call(function, local_arguments(contract, function, arg), cycles)
    outcome = reference.run(contract, call, before, context)
    if outcome.status == "ok" and state is not None and outcome.changes:
        write_file(state, before.updated(outcome.changes).encode())
    value = outcome_value(outcome, before)
    if output.json:
        render.say_json(plain(value))
    else:
        show(value, "give it with --balance")
    return exit_code(value)
