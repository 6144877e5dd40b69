"""From a job to the task of its guest, and from the outcome of a call to the state that it leads to."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from quorate.execute.bytecode.state import State
from quorate.execute.contracts.outcomes import next_state, world_of
from quorate.execute.engine import Batch, Execution, Limits, Module, Task
from quorate.model.call import CallOutcome
from quorate.model.codec import decode, encode
from quorate.model.contract import ID_BYTES
from quorate.model.job import JobCore
from quorate.model.trap import Status


class Guest(NamedTuple):
    """What a run needs beside the job: the modules (the program's own is the first), the input of each element, and
    the state of a contract (empty for any other program)."""

    modules: tuple[Module, ...]
    inputs: tuple[bytes, ...]
    state: bytes


def task_of(key: bytes, core: JobCore, guest: Guest) -> Task:
    """The run of an ordinary job, the call of a contract, or the batch of all elements of an array."""
    program, *dependencies = guest.modules
    task = Task(
        id=key,
        module=program.code,
        digest=program.digest,
        profile=core.program.profile,
        entry=core.program.entry,
        args=core.arguments,
        stdin=b"" if core.is_array else guest.inputs[0],
        world=encode(world_of(core.call, sender_of(core), guest.state)) if core.call else b"",
        limits=Limits(
            memory_bytes=core.limits.memory_bytes,
            fuel=core.limits.fuel,
            run_ms=core.limits.run_ms,
            output_bytes=core.limits.output_bytes,
            log_bytes=core.log_bytes,
        ),
        dependencies=tuple(dependencies),
    )
    return Batch(**msgspec.structs.asdict(task), inputs=guest.inputs) if core.is_array else task


def sender_of(core: JobCore) -> bytes:
    """Who calls, as contracts see it: whoever signed the job."""
    return bytes(core.requester[:ID_BYTES])


def state_after(core: JobCore, state: bytes, execution: Execution) -> bytes:
    """The state that a call led to; empty when it led nowhere. Raises MalformedBytes when the outcome is not one that
    leads from `state` to where it says."""
    if core.call is None or execution.status != Status.SUCCESS:
        return b""
    return next_state(State.decode(state), decode(execution.output, CallOutcome))
