"""Between the pool's words and the frames: a task as an order, what a worker says of it as an execution or a refusal.

A worker is not trusted with the size of its answers: `is_answer` says whether a frame can be one at all.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from quorate import errors
from quorate.execute import frames
from quorate.execute.child import Child
from quorate.execute.engine import TURN_MS, Batch, End, Execution, Limits, Task
from quorate.model.trap import FAILURES, Status

Answer: TypeAlias = frames.Done | frames.DoneBatch | frames.Refused
ENDS = (frames.Done, frames.DoneBatch, frames.Refused)
_REFUSALS = {kind.__name__: kind for kind in errors.UserError.__subclasses__()}


def order(number: int, task: Task) -> frames.Run:
    """The frame that starts `task`."""
    dependencies = tuple(module.digest for module in task.dependencies)
    parts = (
        number, task.digest, task.id, task.profile, task.entry, task.args, task.stdin, task.world,
        task.limits, task.capabilities, dependencies,
    )  # fmt: skip
    return frames.RunBatch(*parts, task.inputs) if isinstance(task, Batch) else frames.Run(*parts)


def limit_s(task: Task) -> float:
    """When a worker that has not answered is killed. In a batch no run begins once its turn is over, so that the last
    one has its whole clock and no run has more than a turn beyond it."""
    return (task.limits.run_ms + (TURN_MS if isinstance(task, Batch) else 0)) / 1000


def is_answer(task: Task, frame: frames.Frame) -> bool:
    """Whether `frame` can be the report on `task`: of its kind, and within its limits."""
    if isinstance(frame, frames.DoneBatch):
        counted = isinstance(task, Batch) and 1 <= len(frame.ends) <= len(task.inputs)
        return counted and all(_fits(task.limits, end) for end in frame.ends)
    if isinstance(frame, frames.Done):
        return not isinstance(task, Batch) and _fits(task.limits, frame)
    return True


def _fits(limits: Limits, end: End | frames.Done) -> bool:
    return len(end.output) <= limits.output_bytes and len(end.log) <= limits.log_bytes


def each_us(frame: frames.Done | frames.DoneBatch) -> int:
    """How long one run took."""
    return frame.wall_us // len(frame.ends) if isinstance(frame, frames.DoneBatch) else frame.wall_us


def _given_bytes(task: Task) -> int:
    """Input and arguments, of every run."""
    inputs = task.inputs if isinstance(task, Batch) else (task.stdin,)
    return sum(map(len, inputs)) + len(inputs) * sum(len(argument.encode()) for argument in task.args)


def execution(frame: frames.Done | frames.DoneBatch, child: Child, task: Task) -> Execution:
    measured = Execution(
        status=Status.SUCCESS,
        in_bytes=_given_bytes(task),
        memory_peak_bytes=frame.memory_peak_bytes,
        cpu_ms=-(-frame.cpu_us // 1000),
        wall_ms=-(-frame.wall_us // 1000),
        engine_version=child.engine_version,
        layers=child.layers,
    )
    if isinstance(frame, frames.DoneBatch):
        return msgspec.structs.replace(
            measured,
            status=next((end.status for end in frame.ends if end.status in FAILURES), Status.SUCCESS),
            ends=frame.ends,
            fuel_used=sum(end.fuel_used for end in frame.ends),
            guest_memory_bytes=max(end.guest_memory_bytes for end in frame.ends),
        )
    return msgspec.structs.replace(
        measured,
        status=frame.status,
        exit_code=frame.exit_code,
        output=frame.output,
        log=frame.log,
        fuel_used=frame.fuel_used,
        guest_memory_bytes=frame.guest_memory_bytes,
    )


def refusal(frame: frames.Refused) -> errors.QuorateError:
    """What the worker refused, as the error that says why."""
    kind = _REFUSALS.get(frame.kind, errors.UserError)
    return kind(frame.message, field=frame.field, limit=frame.limit, fix=frame.fix)
