"""A contract with its state on this machine alone, called as a ledger calls it: for tests of contracts.

A call is told who calls, the epoch, and what accounts have. A deposit is in the contract's account when the function
begins; what the contract pays goes out when it has returned. A call that is refused leaves everything as it was.
Nothing is sent anywhere, and whoever calls may call itself whatever it likes: a replica is no ledger.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.errors import JobFailed, UnaffordableJob
from quorate.execute.bytecode.compiler.program import Compiled
from quorate.execute.bytecode.container import address_of
from quorate.execute.bytecode.engines import Engine, Request, reference_engine
from quorate.execute.bytecode.host import Argument, Call, Context, Outcome, Status, Transfer
from quorate.execute.bytecode.opcodes import CELL_MAX, ID_BYTES
from quorate.execute.bytecode.state import State


def account(name: str) -> bytes:
    """An id of 16 bytes that can be read: the name, and zeros behind it."""
    return name.encode()[:ID_BYTES].ljust(ID_BYTES, b"\0")


NOBODY: Final = account("nobody")
"""Who calls where no sender is given."""


class Refused(JobFailed):
    """A call ended without effect. `code` is what the contract ended with, 0 unless `trap` is ABORTED; `line` is where
    in its source."""

    trap: str = ""
    code: int = 0
    line: str = ""


class Cost(NamedTuple):
    """What one call has cost. `trap` is NONE for a call that returned."""

    function: str
    cycles: int
    trap: str


class Answer(NamedTuple):
    """What a call has given."""

    results: tuple[int, ...]
    emitted: bytes
    logs: tuple[bytes, ...]
    transfers: tuple[Transfer, ...]
    cycles: int

    @property
    def value(self) -> int:
        """The one result."""
        (result,) = self.results
        return result


class Replica:
    """Id, state, balances and epoch may be read and set between calls."""

    def __init__(self, compiled: Compiled, engine: Engine | None = None) -> None:
        self._compiled = compiled
        self._engine = engine or reference_engine()
        self.self_id = address_of(compiled.container)[:ID_BYTES]
        self.state = State()
        self.epoch = 0
        self.balances: dict[bytes, int] = {}
        self.costs: list[Cost] = []

    def fork(self) -> Replica:
        """Another replica with the same state, balances and epoch. What either does from now on the other does not
        see."""
        other = Replica(self._compiled, self._engine)
        other.state, other.epoch, other.balances = self.state, self.epoch, dict(self.balances)
        other.costs = self.costs
        return other

    def fund(self, holder: bytes, amount: int) -> None:
        """Gives an account so many micro-credits, from nowhere."""
        self.balances[holder] = self.balances.get(holder, 0) + amount

    def call(self, function: str, *arguments: Argument, sender: bytes = NOBODY, deposit: int = 0) -> Answer:
        """Calls an exported function. Raises Refused when the contract traps, and then nothing has happened;
        UnaffordableJob for a deposit that the sender does not have; UnknownFunction, WrongArguments."""
        balances = self._paid(sender, deposit)
        context = Context.of(self.self_id, sender, self.epoch, balances)
        call = Call(function, arguments, CELL_MAX)
        outcome = self._engine(Request(self._compiled.container, None, call, self.state, context))
        self.costs.append(Cost(function, outcome.cycles, outcome.trap.name))
        if outcome.status is not Status.OK:
            raise self._refusal(function, outcome)
        for transfer in outcome.transfers:
            balances[self.self_id] -= transfer.amount
            balances[transfer.to] = balances.get(transfer.to, 0) + transfer.amount
        self.balances, self.state = balances, self.state.updated(outcome.changes)
        return Answer(outcome.results, outcome.emitted, outcome.logs, outcome.transfers, outcome.cycles)

    def refuses(
        self, code: int, function: str, *arguments: Argument, sender: bytes = NOBODY, deposit: int = 0
    ) -> Refused:
        """Calls a function that has to abort with `code`. Raises AssertionError if it does anything else."""
        try:
            answer = self.call(function, *arguments, sender=sender, deposit=deposit)
        except Refused as refused:
            if (refused.trap, refused.code) != ("ABORTED", code):
                raise AssertionError(f"expected code {code}: {refused.message}") from None
            return refused
        raise AssertionError(f"expected code {code}, and {function} returned {answer.results}")

    def _paid(self, sender: bytes, deposit: int) -> dict[bytes, int]:
        """The balances with the deposit in the contract's account."""
        balances = {self.self_id: 0, sender: 0, **self.balances}
        if not 0 <= deposit <= balances[sender]:
            raise UnaffordableJob(
                f"{deposit} of {balances[sender]} micro-credits", field="deposit", fix="fund() the sender"
            )
        balances[sender] -= deposit
        balances[self.self_id] += deposit
        return balances

    def _refusal(self, function: str, outcome: Outcome) -> Refused:
        place = self._compiled.lines.get(outcome.pc)
        line = f"{place.file}:{place.line}" if place else f"instruction {outcome.pc}"
        unresolved = outcome.status is Status.UNRESOLVED
        trap = "UNRESOLVED" if unresolved else outcome.trap.name
        said = f"{function} ended as {trap}" + (f", code {outcome.code}" if outcome.code else "") + f" at {line}"
        refused = Refused(said, fix="fund() the account that it asks for" if unresolved else "")
        refused.trap, refused.code, refused.line = trap, outcome.code, line
        return refused
