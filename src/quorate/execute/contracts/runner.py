"""Calls of bytecode contracts as tasks of a worker, on one of two engines with the same outcomes: the C machine, which
takes any contract as it comes, or the translation to WebAssembly, which compiles each once and is then some ten times
faster. Which one is a setting of the pool, for operators of hot contracts.

The C machine is compiled at the first call (30 ms): most workers never see a contract. Its bytes are read before, since
a worker opens no file once its jail stands; for the same reason the translation is imported here only when it is asked
for, which is before the jail.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

from quorate.errors import TooLarge
from quorate.execute.bytecode.container import MAGIC, declared_memory
from quorate.execute.bytecode.engine import MODULE, MachineEngine
from quorate.execute.bytecode.flat import EngineFault
from quorate.execute.bytecode.host import Call, Context, Outcome
from quorate.execute.bytecode.state import State
from quorate.execute.contracts.outcomes import arguments_of, context_of, ended, state_of
from quorate.execute.engine import Task
from quorate.execute.wasm.wasmtime_engine import Ended, HostFault
from quorate.model.call import CallWorld
from quorate.model.codec import decode
from quorate.model.trap import Status
from quorate.model.units import Digest

MACHINE, TRANSLATION = ENGINES = ("machine", "translation")
CYCLES_MOST: Final = (1 << 63) - 1


def is_container(program: bytes) -> bool:
    """Whether the bytes claim to be a bytecode contract."""
    return program.startswith(MAGIC)


class Ready(NamedTuple):
    """A container that can be called; `call` runs it."""

    container: bytes
    call: Callable[[Call, State, Context, Digest], Outcome]


class CallRunner:
    """Runs one call at a time. Not thread-safe."""

    def __init__(self, engine: str = MACHINE) -> None:
        self._module = MODULE.read_bytes()
        self._machine: MachineEngine | None = None
        self._translated = _translator() if engine == TRANSLATION else None

    def load(self, container: bytes) -> Ready:
        """Makes a contract ready. Raises BadContract where the engine verifies it now. What is too large to translate
        runs on the machine."""
        if self._translated is not None:
            with contextlib.suppress(TooLarge):
                return Ready(container, self._translated(container))
        return Ready(container, lambda *given: self._on_machine(container, *given))

    def _on_machine(self, container: bytes, call: Call, state: State, context: Context, address: Digest) -> Outcome:
        if self._machine is None:
            self._machine = MachineEngine(self._module)
        try:
            return self._machine.run(container, call, state, context, address)
        except EngineFault as fault:
            raise HostFault(str(fault)) from None

    def run(self, ready: Ready, task: Task) -> Ended:
        """Raises UserError for a container, a function or arguments with which no run can begin, HostFault when this
        machine fails."""
        container = ready.container
        world = decode(task.world, CallWorld)
        state = state_of(world)
        memory_bytes = declared_memory(container)
        if memory_bytes > task.limits.memory_bytes:
            return Ended(Status.MEMORY_LIMIT, 0)
        call = Call(task.entry, arguments_of(task.stdin), min(task.limits.fuel, CYCLES_MOST))
        outcome = ready.call(call, state, context_of(world), task.digest)
        status, output = ended(outcome, state, task.limits.output_bytes)
        return Ended(status, outcome.cycles, output, guest_memory_bytes=memory_bytes)


def _translator() -> Callable[[bytes], Callable[[Call, State, Context, Digest], Outcome]]:
    """From a container to what runs it, translated and compiled."""
    from quorate.execute.bytecode.translate.engine import TranslationEngine
    from quorate.execute.bytecode.translate.session import EngineFault as TranslationFault
    from quorate.execute.bytecode.verify import load

    engine = TranslationEngine()

    def translated(container: bytes) -> Callable[[Call, State, Context, Digest], Outcome]:
        contract = load(container)
        program = engine.compile(contract)

        def run(call: Call, state: State, context: Context, address: Digest) -> Outcome:
            if contract.address != address:
                raise HostFault("a contract under another address")
            try:
                return engine.run(program, call, state, context)
            except TranslationFault as fault:
                raise HostFault(str(fault)) from None

        return run

    return translated
