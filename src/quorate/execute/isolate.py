"""The worker pool: runs tasks in jailed processes, in order, under clocks of their own, and stays responsive whatever the guests do.

* One clock per job. It starts when the guest starts, is the pool's, and ends with SIGKILL. Compilation has a clock of its own.
* Order. Tasks start in the order of `run`. A worker is handed more than one task only while the tasks ahead have been quick so far; what
  waits behind a guest that turns out slow is withdrawn and given to the next free worker.
* A worker that ended in any way but idly is replaced. A failure is reported after the process is gone, never before.
* Compiled code is kept on disk only when it comes from a worker that had not run any guest yet, and comes back only under our MAC.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from quorate import errors
from quorate.errors import MalformedBytes, UnsupportedMachine, WorldError
from quorate.execute import frames, jail
from quorate.execute.child import COMMAND_DEFAULT, ENVIRONMENT_DEFAULT, Child, ChildSettings, Step, Ticket
from quorate.execute.engine import FULL, Execution, Task, module_digest
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.model.trap import Status
from quorate.model.units import MIB

MODULES_PER_WORKER = 32
MODULE_BYTES_PER_WORKER = 64 * MIB
COMPILE_DATA_BYTES = 512 * MIB
SLOW_AFTER_S = 0.02
SPEEDS_KEPT = 1_024
START_FAILURES_MAX = 3
_REFUSALS = {kind.__name__: kind for kind in errors.UserError.__subclasses__()}


class PoolSettings(NamedTuple):
    """`slots` 0 means as many as there are cores, at most four. `warm` workers stand ready when nothing runs."""

    slots: int = 0
    warm: int = 1
    minimum: tuple[str, ...] = jail.MINIMUM_DEFAULT
    memory_bytes_max: int = FULL.memory_bytes
    compile_s: float = 20.0
    start_s: float = 20.0
    idle_s: float = 30.0
    depth: int = 4
    quick_us: int = 5_000
    prefetch_bytes: int = 65_536
    spawn_worth_us: int = 100_000
    niceness: int = 5
    environment: tuple[tuple[str, str], ...] = tuple(ENVIRONMENT_DEFAULT.items())
    command: tuple[str, ...] = COMMAND_DEFAULT


def slots_default() -> int:
    return min(4, len(os.sched_getaffinity(0)))


class WorkerPool:
    """Implements `Engine`. Belongs to the event loop that starts it; that loop's thread must live as long as the pool."""

    def __init__(self, settings: PoolSettings | None = None, artefacts: ArtefactStore | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._artefacts = artefacts
        self.slots = self._settings.slots or slots_default()
        self.layers: tuple[str, ...] = ()
        self.engine_version = ""
        self._queue: deque[Ticket] = deque()
        self._tickets: dict[bytes, Ticket] = {}
        self._children: list[Child] = []
        self._speed_us: OrderedDict[bytes, int] = OrderedDict()
        self._verified: dict[bytes, bytes] = {}
        self._precompiles: dict[int, asyncio.Future[None]] = {}
        self._number = 0
        self._nudge: asyncio.TimerHandle | None = None
        self._start_failures = 0
        self._start_fault: WorldError | None = None
        self._started: asyncio.Future[None] | None = None
        self._closed = False

    # ---- the Engine interface

    async def start(self) -> None:
        """Raises UnsupportedMachine, naming the layer, when the jail's minimum is not met here; nothing is left behind then."""
        jail.require(jail.layers(), self._settings.minimum)
        if not jail.machine_name():
            raise UnsupportedMachine("workers need Linux on x86-64 or aarch64", field="jail")
        self._started = asyncio.get_running_loop().create_future()
        for _ in range(max(1, min(self._settings.warm, self.slots))):
            self._spawn()
        try:
            await self._started
        except BaseException:
            await self.close()
            raise

    async def run(self, task: Task) -> Execution:
        """Runs `task` when its turn comes. Raises UserError for what can never run; a failure is an Execution like any other."""
        self._admit(task)
        ticket = Ticket(task, asyncio.get_running_loop().create_future())
        self._tickets[task.id] = ticket
        self._queue.append(ticket)
        self._dispatch()
        try:
            outcome = await asyncio.shield(ticket.outcome)
        except asyncio.CancelledError:
            await self.cancel(task.id)
            raise
        finally:
            self._tickets.pop(task.id, None)
        assert isinstance(outcome, Execution)
        return outcome

    async def cancel(self, task_id: bytes) -> bool:
        """Ends the task; answers once its guest is gone. False when no such task is under way."""
        ticket = self._tickets.get(task_id)
        if ticket is None or ticket.outcome.done():
            return False
        ticket.cancelled = True
        if ticket in self._queue:
            self._queue.remove(ticket)
            self._finish(ticket, Execution(status=Status.CANCELLED, engine_version=self.engine_version))
        else:
            self._stop(ticket)
        await asyncio.wait([ticket.outcome])
        return True

    async def close(self) -> None:
        """Ends every task and every worker, and waits until the processes are gone. Idempotent."""
        self._closed = True
        if self._nudge is not None:
            self._nudge.cancel()
        while self._queue:
            self._finish(self._queue.popleft(), Execution(status=Status.CANCELLED, engine_version=self.engine_version))
        children = list(self._children)
        for child in children:
            child.kill(Status.CANCELLED)
        for child in children:
            await child.gone.wait()

    # ---- beyond the interface

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(child.pid for child in self._children)

    async def precompile(self, module: bytes) -> None:
        """Compiles `module` ahead of time, in a worker of its own that has run no guest, and keeps the result in the artefact store."""
        digest = module_digest(module)
        if self._artefacts is None or self._artefacts.read(digest, self._engine_key()) is not None:
            return
        number = self._next()
        self._precompiles[number] = asyncio.get_running_loop().create_future()
        child = self._spawn()
        child.steps.append(Step(number, None, digest, True, self._settings.start_s + self._settings.compile_s))
        child.modules[digest] = len(module)
        child.send(frames.Load(number, digest, module, b"", True))
        try:
            await self._precompiles[number]
        finally:
            del self._precompiles[number]

    # ---- scheduling

    def _admit(self, task: Task) -> None:
        if self._closed or self._started is None:
            raise WorldError("the worker pool is not running", field="worker")
        if task.id in self._tickets:
            raise errors.InvalidField("a task of this id is under way", field="id")
        if task.limits.memory_bytes > self._settings.memory_bytes_max:
            raise errors.AboveCap(
                f"{task.limits.memory_bytes} bytes", field="memory_bytes", limit=f"{self._settings.memory_bytes_max} bytes"
            )
        if self._verified.get(task.digest) is not task.module:
            if module_digest(task.module) != task.digest:
                raise MalformedBytes("the module does not have the digest that the task names", field="module")
            if len(self._verified) >= MODULES_PER_WORKER:
                self._verified.clear()
            self._verified[task.digest] = task.module

    def _dispatch(self) -> None:
        while self._queue and not self._closed:
            child = self._pick(self._queue[0])
            if child is None:
                break
            self._assign(child, self._queue.popleft())
        if self._queue and not self._closed and self._worth_a_spawn():
            starting = sum(not child.ready and child.verdict is None for child in self._children)
            for _ in range(min(len(self._queue) - starting, self.slots - len(self._children))):
                self._spawn()

    def _pick(self, ticket: Ticket) -> Child | None:
        idle = [child for child in self._children if child.idle]
        for child in idle:
            if ticket.task.digest in child.modules:
                return child
        if idle:
            return idle[0]
        return self._pick_busy(ticket)

    def _pick_busy(self, ticket: Ticket) -> Child | None:
        """A worker whose tasks have all been quick so far and that can take one more behind them."""
        if not self._is_quick(ticket.task) or len(ticket.task.stdin) > self._settings.prefetch_bytes:
            return None
        best = None
        for child in self._children:
            if not child.ready or child.verdict is not None or len(child.steps) >= self._settings.depth:
                continue
            if all(step.ticket and not step.loads and self._is_quick(step.ticket.task) for step in child.steps) and (
                best is None or len(child.steps) < len(best.steps)
            ):
                best = child
        return best

    def _is_quick(self, task: Task) -> bool:
        return self._speed_us.get(task.digest, self._settings.quick_us) < self._settings.quick_us

    def _worth_a_spawn(self) -> bool:
        """A new worker costs some 100 ms of processor time: not worth it for a queue that is gone sooner."""
        if not any(child.verdict is None for child in self._children):
            return True
        each_us = self._speed_us.get(self._queue[0].task.digest, self._settings.spawn_worth_us)
        return each_us * len(self._queue) >= self._settings.spawn_worth_us

    def _assign(self, child: Child, ticket: Ticket) -> None:
        task = ticket.task
        first = not child.steps
        if task.digest in child.modules:
            child.modules.move_to_end(task.digest)
        else:
            self._send_module(child, ticket)
        number = self._next()
        child.steps.append(Step(number, ticket, task.digest, False, task.limits.run_ms / 1000))
        child.runs_sent += 1
        child.send(
            frames.Run(
                number, task.digest, task.id, task.profile, task.entry, task.args, task.stdin, task.limits, task.capabilities
            )
        )
        if first:
            self._start_clock(child)
        elif self._nudge is None:
            self._nudge = asyncio.get_running_loop().call_later(SLOW_AFTER_S, self._take_back_from_slow)

    def _send_module(self, child: Child, ticket: Ticket) -> None:
        task = ticket.task
        self._make_room(child, len(task.module))
        artefact = self._artefacts.read(task.digest, self._engine_key()) if self._artefacts is not None else None
        wanted = self._artefacts is not None and artefact is None and child.runs_sent == 0
        number = self._next()
        child.modules[task.digest] = len(task.module)
        child.steps.append(Step(number, ticket, task.digest, True, self._settings.compile_s))
        child.send(frames.Load(number, task.digest, task.module, artefact or b"", wanted))

    def _make_room(self, child: Child, size: int) -> None:
        """Forgets the modules used longest ago. A worker takes a module of any size when it holds no other."""
        busy = {step.digest for step in child.steps}
        for digest in list(child.modules):
            total = sum(child.modules.values()) + size
            if len(child.modules) < MODULES_PER_WORKER and total <= MODULE_BYTES_PER_WORKER:
                return
            if digest not in busy:
                del child.modules[digest]
                child.send(frames.Forget(digest))

    def _take_back_from_slow(self) -> None:
        """Withdraws what waits behind a guest that is not quick after all, so that another worker can take it."""
        self._nudge = None
        now = asyncio.get_running_loop().time()
        taken: list[Ticket] = []
        prefetched = False
        for child in self._children:
            if now - child.head_since < SLOW_AFTER_S:
                prefetched = prefetched or len(child.steps) > 1
                continue
            while len(child.steps) > 1 and not child.steps[0].loads:
                step = child.steps.pop()
                child.send(frames.Withdraw(step.number))
                if step.ticket is not None:
                    taken.append(step.ticket)
        # The last taken first, so that the queue has them in their old order.
        for ticket in sorted(taken, key=lambda item: item.wall_from, reverse=True):
            self._requeue(ticket)
        if prefetched:
            self._nudge = asyncio.get_running_loop().call_later(SLOW_AFTER_S, self._take_back_from_slow)
        self._dispatch()
