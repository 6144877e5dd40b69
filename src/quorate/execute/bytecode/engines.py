"""The engines of the contract machine on this host, by name, all asked in one way. Each gives the outcomes of the
reference, to the last cycle; the conformance vectors (`vectors`) hold them to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from quorate.execute.bytecode import reference
from quorate.execute.bytecode.host import Call, Context, Outcome
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import Contract, load

_KEPT: Final = 16
"""Contracts that an engine remembers verified or compiled, so that call after call costs only the run."""


class Request(NamedTuple):
    """What an engine is asked: a container, the address to load it by if there is one, and a call. A state of None is
    one that is not at hand."""

    container: bytes
    address: bytes | None
    call: Call
    state: State | None
    context: Context


Engine = Callable[[Request], Outcome]
"""Runs a request. Raises BadContract, UnknownFunction, WrongArguments, TooLarge."""


def reference_engine() -> Engine:
    """The reference interpreter, which is the specification."""
    loaded = lru_cache(_KEPT)(load)

    def run(request: Request) -> Outcome:
        contract: Contract = loaded(request.container, request.address)
        return reference.run(contract, request.call, request.state, request.context)

    return run


def machine_engine() -> Engine:
    """The machine in C, compiled to WebAssembly."""
    from quorate.execute.bytecode.engine import MachineEngine

    machine = MachineEngine()
    return lambda request: machine.run(request.container, request.call, request.state, request.context, request.address)


def translation_engine() -> Engine:
    """Each contract translated to WebAssembly."""
    from quorate.execute.bytecode.translate.engine import TranslationEngine

    engine = TranslationEngine()

    @lru_cache(_KEPT)
    def compiled(container: bytes, address: bytes | None) -> object:
        return engine.compile(load(container, address))

    def run(request: Request) -> Outcome:
        program = compiled(request.container, request.address)
        return engine.run(program, request.call, request.state, request.context)  # type: ignore[arg-type]

    return run


ENGINES: Final[dict[str, Callable[[], Engine]]] = {
    "reference": reference_engine,
    "wasm": machine_engine,
    "translation": translation_engine,
}
