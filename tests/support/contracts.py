"""Compiled contracts, run by the reference."""

from __future__ import annotations

from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.host import Argument, Call, Context, Outcome, Status
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import Contract, load

SELF, SENDER = b"\xaa" * 16, b"\xbb" * 16
CONTEXT = Context(SELF, SENDER)


class Contracted:
    """A contract with its state, called like an object."""

    def __init__(self, source: str, name: str = "contract.py") -> None:
        self.compiled = compile_contract(source, name)
        self.contract: Contract = load(self.compiled.container)
        self.state = State()

    def call(self, function: str, *arguments: Argument, context: Context = CONTEXT) -> Outcome:
        """How the call ended; the state moves on if it ended well."""
        outcome = run(self.contract, Call(function, arguments), self.state, context)
        if outcome.status is Status.OK:
            self.state = self.state.updated(outcome.changes)
        return outcome

    def ok(self, function: str, *arguments: Argument, context: Context = CONTEXT) -> Outcome:
        """The outcome of a call that has to end well."""
        outcome = self.call(function, *arguments, context=context)
        assert outcome.status is Status.OK, (function, outcome, self.line_of(outcome))
        return outcome

    def value(self, function: str, *arguments: Argument) -> int:
        """The one result."""
        (result,) = self.ok(function, *arguments).results
        return result

    def line_of(self, outcome: Outcome) -> str:
        """Where in the source the run ended."""
        line = self.compiled.lines[outcome.pc]
        return f"{line.file}:{line.line}"
