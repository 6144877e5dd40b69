"""Calls of contracts as tasks of a worker.

A bytecode contract runs on one of two engines with the same outcomes: the C machine, which takes any contract as it
comes, or the translation to WebAssembly, which compiles each once and is then some ten times faster. Which one is a
setting of the pool, for operators of hot contracts. A WebAssembly contract runs on the worker's own engine.

The C machine is compiled at the first call (30 ms): most workers never see a contract. Its bytes are read before, since
a worker opens no file once its jail stands; for the same reason the translation is imported here only when it is asked
for, which is before the jail.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from quorate.errors import TooLarge
from quorate.execute.bytecode.container import MAGIC, declared_memory
from quorate.execute.bytecode.engine import MODULE, MachineEngine
from quorate.execute.bytecode.host import Call, Context, EngineFault, Outcome
from quorate.execute.bytecode.state import State
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.engine import ContractEngine, NativeStackOverflow
from quorate.execute.contract_wasm.section import custom_sections
from quorate.execute.contracts.outcomes import arguments_of, context_of, ended, state_of
from quorate.execute.engine import MACHINE, TRANSLATION, Task
from quorate.execute.wasm.guard import inspect
from quorate.execute.wasm.wasmtime_engine import Ended, HostFault, WasmtimeEngine
from quorate.model.call import CallWorld
from quorate.model.codec import decode
from quorate.model.trap import Status
from quorate.model.units import Digest

CYCLES_MOST: Final = (1 << 63) - 1
AHEAD_OF_TIME: Final = "full"
"""The tier whose contracts are kept as machine code; a light one is compiled anew by each worker."""

Calling: TypeAlias = Callable[[Call, State, Context, Digest], Outcome]


def is_contract(program: bytes) -> bool:
    """Whether the bytes claim to be a contract, of either form. Raises UserError for a module that is none."""
    if program.startswith(MAGIC):
        return True
    if abi.SECTION.encode() not in program:
        return False
    inspect(program)
    return bool(custom_sections(program, abi.SECTION))


class Ready(NamedTuple):
    """A contract that can be called; `call` runs it. `artefact` is its machine code, where that is kept."""

    memory_bytes: int
    call: Calling
    artefact: bytes = b""


class CallRunner:
    """Runs one call at a time. Not thread-safe."""

    def __init__(self, engine: WasmtimeEngine, contract_engine: str = MACHINE) -> None:
        self._modules = ContractEngine(engine)
        self._machine_code = MODULE.read_bytes()
        self._machine: MachineEngine | None = None
        self._translated = _translator() if contract_engine == TRANSLATION else None

    def load(self, program: bytes, artefact: bytes, *, wants_artefact: bool) -> Ready:
        """Makes a contract ready. Raises UserError where the engine checks it now. What is too large to translate runs
        on the machine."""
        if not program.startswith(MAGIC):
            return self._module(program, artefact, wants_artefact)
        memory_bytes = declared_memory(program)
        if self._translated is not None:
            with contextlib.suppress(TooLarge):
                return Ready(memory_bytes, self._translated(program))
        return Ready(memory_bytes, lambda *given: self._on_machine(program, *given))

    def _module(self, module: bytes, artefact: bytes, wants_artefact: bool) -> Ready:
        compiled = self._modules.load(module, artefact) if artefact else self._modules.compile(module)
        contract = compiled.interface.contract

        def call(call: Call, state: State, context: Context, address: Digest) -> Outcome:
            if contract.program != address:
                raise HostFault("a contract under another address")
            return self._modules.run(compiled, call, state, context)

        kept = wants_artefact and contract.wasm_tier == AHEAD_OF_TIME
        return Ready(contract.max_memory_bytes, call, self._modules.artefact(compiled) if kept else b"")

    def _on_machine(self, container: bytes, call: Call, state: State, context: Context, address: Digest) -> Outcome:
        if self._machine is None:
            self._machine = MachineEngine(self._machine_code)
        try:
            return self._machine.run(container, call, state, context, address)
        except EngineFault as fault:
            raise HostFault(str(fault)) from None

    def run(self, ready: Ready, task: Task) -> Ended:
        """Raises UserError for a contract, a function or arguments with which no run can begin, HostFault when this
        machine fails."""
        world = decode(task.world, CallWorld)
        state = state_of(world)
        if ready.memory_bytes > task.limits.memory_bytes:
            return Ended(Status.MEMORY_LIMIT, 0)
        call = Call(task.entry, arguments_of(task.stdin), min(task.limits.fuel, CYCLES_MOST))
        try:
            outcome = ready.call(call, state, context_of(world), task.digest)
        except NativeStackOverflow:
            return Ended(Status.NATIVE_STACK_OVERFLOW, 0)
        status, output = ended(outcome, state, task.limits.output_bytes)
        return Ended(status, outcome.cycles, output, guest_memory_bytes=ready.memory_bytes)


def _translator() -> Callable[[bytes], Calling]:
    """From a container to what runs it, translated and compiled."""
    from quorate.execute.bytecode.translate.engine import TranslationEngine
    from quorate.execute.bytecode.verify import load

    engine = TranslationEngine()

    def translated(container: bytes) -> Calling:
        contract = load(container)
        program = engine.compile(contract)

        def run(call: Call, state: State, context: Context, address: Digest) -> Outcome:
            if contract.address != address:
                raise HostFault("a contract under another address")
            try:
                return engine.run(program, call, state, context)
            except EngineFault as fault:
                raise HostFault(str(fault)) from None

        return run

    return translated
