"""Calls of bytecode contracts as tasks of a worker, on the C machine.

The engine is compiled at the first call (30 ms): most workers never see a contract. Its bytes are read before, since a
worker opens no file once its jail stands.
"""

from __future__ import annotations

from typing import Final

from quorate.execute.bytecode.container import MAGIC, declared_memory
from quorate.execute.bytecode.engine import MODULE, MachineEngine
from quorate.execute.bytecode.flat import EngineFault
from quorate.execute.bytecode.host import Call
from quorate.execute.contracts.outcomes import arguments_of, context_of, ended, state_of
from quorate.execute.engine import Task
from quorate.execute.wasm.wasmtime_engine import Ended, HostFault
from quorate.model.call import CallWorld
from quorate.model.codec import decode
from quorate.model.trap import Status

CYCLES_MOST: Final = (1 << 63) - 1


def is_container(program: bytes) -> bool:
    """Whether the bytes claim to be a bytecode contract."""
    return program.startswith(MAGIC)


class CallRunner:
    """Runs one call at a time. Not thread-safe."""

    def __init__(self) -> None:
        self._module = MODULE.read_bytes()
        self._machine: MachineEngine | None = None

    def run(self, container: bytes, task: Task) -> Ended:
        """Raises UserError for a container, a function or arguments with which no run can begin, HostFault when this
        machine fails."""
        world = decode(task.world, CallWorld)
        state = state_of(world)
        memory_bytes = declared_memory(container)
        if memory_bytes > task.limits.memory_bytes:
            return Ended(Status.MEMORY_LIMIT, 0)
        if self._machine is None:
            self._machine = MachineEngine(self._module)
        call = Call(task.entry, arguments_of(task.stdin), min(task.limits.fuel, CYCLES_MOST))
        try:
            outcome = self._machine.run(container, call, state, context_of(world), task.digest)
        except EngineFault as fault:
            raise HostFault(str(fault)) from None
        status, output = ended(outcome, state, task.limits.output_bytes)
        return Ended(status, outcome.cycles, output, guest_memory_bytes=memory_bytes)
