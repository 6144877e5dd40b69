"""`quorate contract cost`: what calls of a contract cost, from its code or from one exact run of the reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from quorate import errors
from quorate.api import problems, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.contract_inputs import NO_ONE, context_of, load_or_compile, local_arguments, read_state
from quorate.api.help_pages import epilogue
from quorate.errors import InvalidField

if TYPE_CHECKING:
    from quorate.api.client import Client
    from quorate.api.contract_prices import Tariff
    from quorate.execute.bytecode.host import Outcome
    from quorate.execute.bytecode.verify import Contract

PRICE_MAX = 10**15

app = App(
    name="cost",
    help_epilogue=epilogue(
        "quorate contract cost counter.mhb\n"
        "quorate contract cost counter.mhb add --arg amount=5\n"
        "quorate contract cost counter.mhb --price-per-mega-cycle 40\n"
        "quorate contract cost counter.mhb add --arg amount=5 --providers",
        errors.UnreadableFile,
        errors.InvalidField,
        errors.BadContract,
        errors.UnknownFunction,
        errors.WrongArguments,
        errors.CompileError,
        errors.NoNetwork,
        others="51 the call that was asked for did not return",
    ),
)


@app.default
def cost(
    file: Annotated[Path, Parameter(show_default=False)],
    function: Annotated[str, Parameter(show_default=False)] = "",
    *,
    arg: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = (),
    state: Annotated[Path | None, Parameter(show_default=False)] = None,
    sender: str = NO_ONE,
    self_id: Annotated[str, Parameter(name="--self", show_default=False)] = "",
    balance: Annotated[int | None, Parameter(show_default=False)] = None,
    epoch: int = 0,
    price_per_mega_cycle: Annotated[int | None, Parameter(show_default=False)] = None,
    price_base: Annotated[int, Parameter(show_default=False)] = 0,
    providers: bool = False,
    output: Output = PLAIN,
) -> int:
    """Say what calls cost. Without a function: of each, the fewest cycles of any call that returns, from the code
    alone, and the most that the contract allows. With one: the exact cycles of that call.

    Parameters
    ----------
    file
        The container, or the source, which ends in .py.
    function
        An exported function.
    arg
        One argument as NAME=VALUE, as for quorate contract run.
    state
        The state that the call begins with; it stays as it is.
    sender
        Who calls: 16 bytes, hexadecimal after 0x.
    self_id
        Who the contract is: 16 bytes (default: of its address).
    balance
        What the contract's account has, a deposit of this call included.
    epoch
        The epoch that the contract reads.
    price_per_mega_cycle
        Micro-credits for each 10^6 cycles begun: prices are shown too.
    price_base
        Micro-credits for each run beside that.
    providers
        Show the prices of the providers of the running network, those that would run the contract now.
    """
    from quorate.execute.bytecode import reference
    from quorate.execute.bytecode.host import Call

    contract = load_or_compile(file)
    tariffs = _tariffs(price_base, price_per_mega_cycle) + (_tariffs_of_network(contract) if providers else [])
    if not function:
        if arg:
            raise InvalidField("arguments of no function", field="arg", fix="name the function")
        _say_all(contract, tariffs, output)
        return problems.OK
    call = Call(function, local_arguments(contract, function, arg))
    outcome = reference.run(contract, call, read_state(state), context_of(contract, self_id, sender, epoch, balance))
    _say_call(function, outcome, contract.container.max_cycles, tariffs, output)
    return problems.OK if outcome.status == "ok" else problems.TABLE[errors.JobFailed].exit_code


def _tariffs(base: int, per_mega_cycle: int | None) -> list[Tariff]:
    from quorate.api.contract_prices import tariff

    for field, amount in (("price_base", base), ("price_per_mega_cycle", per_mega_cycle or 0)):
        if not 0 <= amount <= PRICE_MAX:
            raise InvalidField(str(amount), field=field, limit=f"0 to {PRICE_MAX} micro-credits")
    if per_mega_cycle is None:
        if base:
            raise InvalidField("without --price-per-mega-cycle", field="price_base", fix="give both")
        return []
    return [tariff("price", base, per_mega_cycle)]


def _tariffs_of_network(contract: Contract) -> list[Tariff]:
    from quorate.api.foreground import with_client
    from quorate.api.network_prices import tariffs_of_network
    from quorate.execute.bytecode.container import encode
    from quorate.execute.bytecode.declaration import contract_of

    found: list[Tariff] = []

    async def work(client: Client) -> int:
        found.extend(await tariffs_of_network(client, contract_of(encode(contract.container))))
        return problems.OK

    with_client(work)
    return found


def _say_all(contract: Contract, tariffs: list[Tariff], output: Output) -> None:
    """A row for each function; then, a row for each tariff, the price of the fewest and of the most cycles."""
    from quorate.execute.bytecode.costs import least_cycles

    most = contract.container.max_cycles
    least = least_cycles(contract)
    if output.json:
        functions = [
            {"function": name, "at_least": cycles, "at_most": most, "prices": _priced(tariffs, most, cycles, most)}
            for name, cycles in least.items()
        ]
        render.say_json({"address": contract.address.hex(), "functions": functions})
        return
    render.say_table(
        ["function", "cycles at least", "at most"], [[name, _known(cycles), most] for name, cycles in least.items()]
    )
    if tariffs:
        render.say("")
        titles = ["micro-credits", *least]
        rows = [[one.provider, *(_range(one, cycles, most) for cycles in least.values())] for one in tariffs]
        render.say_table(titles, rows)


def _range(tariff: Tariff, least: int | None, most: int) -> str:
    from quorate.api.contract_prices import prices_of

    (low,), (high,) = prices_of(least, most, [tariff]), prices_of(most, most, [tariff])
    return f"{_known(low)} to {high}" if low != high else str(low)


def _priced(tariffs: list[Tariff], limit: int, *cycles: int | None) -> list[dict[str, object]]:
    """What each provider asks for so many cycles, in micro-credits."""
    from quorate.api.contract_prices import prices_of

    asked = [prices_of(one, limit, tariffs) for one in cycles]
    return [{"provider": one.provider, "micro": [row[i] for row in asked]} for i, one in enumerate(tariffs)]


def _say_call(function: str, outcome: Outcome, limit: int, tariffs: list[Tariff], output: Output) -> None:
    from quorate.api.contract_prices import prices_of

    if output.json:
        told = {"function": function, "status": outcome.status.value, "trap": outcome.trap.name, "code": outcome.code}
        render.say_json({**told, "cycles": outcome.cycles, "prices": _priced(tariffs, limit, outcome.cycles)})
        return
    if outcome.status != "ok":
        why = outcome.trap.name if outcome.status == "trap" else "state or a balance is not here"
        render.say(f"{outcome.status.value}: {why}" + (f", code {outcome.code}" if outcome.code else ""))
    render.say(f"cycles    {outcome.cycles}")
    for one, price in zip(tariffs, prices_of(outcome.cycles, limit, tariffs), strict=True):
        render.say(f"{one.provider:<9} {price} micro-credits")


def _known(amount: int | None) -> str:
    return "never returns" if amount is None else str(amount)
