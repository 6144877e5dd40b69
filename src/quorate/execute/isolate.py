"""The worker pool: runs tasks in jailed processes, in order, under clocks of their own, and stays responsive whatever
the guests do.

* One clock per job. It starts when the guest starts, is the pool's, and ends with SIGKILL. Compilation has a clock of
  its own, for all modules of the program together.
* Order. Tasks start in the order of `run`. A worker is handed more than one task only while the tasks ahead have been
  quick so far; what waits behind a guest that turns out slow is withdrawn and given to the next free worker.
* A worker that ended in any way but idly is replaced. A failure is reported after the process is gone, never before.
* Compiled code is kept on disk only when it comes from a worker that had not run any guest yet, and comes back only
  under our MAC.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Iterable

from quorate.errors import AboveCap, InvalidField, MalformedBytes, UnsupportedMachine, WorldError
from quorate.execute import answers, frames, jail
from quorate.execute.bytecode.container import MAGIC
from quorate.execute.child import Child, ChildSettings, Step, Ticket
from quorate.execute.engine import CONTRACT, MACHINE, Execution, Module, Task, module_digest
from quorate.execute.placement import MODULES_PER_WORKER, PoolSettings, Speeds, pick, slots_default, to_forget
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.model.trap import Status
from quorate.model.units import MIB

COMPILE_DATA_BYTES = 512 * MIB
SLOW_AFTER_S = 0.02
START_FAILURES_MAX = 3


class WorkerPool:
    """Implements `Engine`. Belongs to the event loop that starts it; that loop's thread must live as long as the
    pool.
    """

    def __init__(self, settings: PoolSettings | None = None, artefacts: ArtefactStore | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._artefacts = artefacts
        self.slots = self._settings.slots or slots_default()
        self._warm = max(1, min(self._settings.warm, self.slots))
        self.layers: tuple[str, ...] = ()
        self.engine_version = ""
        self._queue: deque[Ticket] = deque()
        self._tickets: dict[bytes, Ticket] = {}
        self._children: list[Child] = []
        self._speeds = Speeds(self._settings.quick_us)
        self._verified: dict[bytes, bytes] = {}
        self._precompiles: dict[int, asyncio.Future[None]] = {}
        self._artefact_kind = ""
        self._number = 0
        self._nudge: asyncio.TimerHandle | None = None
        self._start_failures = 0
        self._started: asyncio.Future[None] | None = None
        self._closed = False

    # ---- the Engine interface

    async def start(self) -> None:
        """Raises UnsupportedMachine, naming the layer, when the jail's minimum is not met here; nothing is left
        behind then.
        """
        jail.require(jail.layers(), self._settings.minimum)
        if not jail.machine_name():
            raise UnsupportedMachine("workers need Linux on x86-64 or aarch64", field="jail")
        self._started = asyncio.get_running_loop().create_future()
        for _ in range(self._warm):
            self._spawn()
        try:
            await self._started
        except BaseException:
            await self.close()
            raise

    async def run(self, task: Task) -> Execution:
        """Runs `task` when its turn comes. Raises UserError for what can never run; a failure is an Execution like
        any other.
        """
        self._admit(task)
        ticket = Ticket(task, self._next(), asyncio.get_running_loop().create_future())
        self._tickets[task.id] = ticket
        self._queue.append(ticket)
        self._dispatch()
        try:
            return await asyncio.shield(ticket.outcome)
        except asyncio.CancelledError:
            await self.cancel(task.id)
            raise
        finally:
            self._tickets.pop(task.id, None)

    def is_running(self, task_id: bytes) -> bool:
        """Whether the clock of its guest runs: it waits neither for a slot nor for its module."""
        ticket = self._tickets.get(task_id)
        heads = (child.steps[0] for child in self._children if child.steps)
        return ticket is not None and any(step.ticket is ticket and not step.loads for step in heads)

    async def cancel(self, task_id: bytes) -> bool:
        """Ends the task; answers once its guest is gone. False when no such task is under way."""
        ticket = self._tickets.get(task_id)
        if ticket is None or ticket.outcome.done():
            return False
        while not ticket.outcome.done():
            holder = self._holder_of(ticket)
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._fail(ticket, Status.CANCELLED)
            elif holder is None or holder.steps[0].ticket is ticket:
                if holder is not None:
                    holder.kill(Status.CANCELLED)
                await asyncio.wait([ticket.outcome])
            else:
                # Behind a quick guest: within SLOW_AFTER_S it is at the head, back in the queue, or done.
                await asyncio.sleep(SLOW_AFTER_S / 4)
        return True

    async def close(self) -> None:
        """Ends every task and every worker, and waits until the processes are gone. Idempotent."""
        self._closed = True
        if self._nudge is not None:
            self._nudge.cancel()
        while self._queue:
            self._fail(self._queue.popleft(), Status.CANCELLED)
        children = list(self._children)
        for child in children:
            child.kill(Status.CANCELLED)
        for child in children:
            await child.gone.wait()

    # ---- beyond the interface

    @property
    def waiting(self) -> int:
        """How many tasks no worker has yet."""
        return len(self._queue)

    @property
    def _is_started(self) -> bool:
        return self._started is not None and self._started.done() and self._started.exception() is None

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(child.pid for child in self._children)

    async def precompile(self, module: bytes) -> None:
        """Compiles `module` ahead of time, in a worker that has run no guest, and keeps the result in the artefact
        store.

        Does nothing without a store, or when the artefact is there. A module that does not validate is told to
        whoever runs it.
        """
        digest = module_digest(module)
        if self._artefacts is None or self._artefacts.read(digest, self._artefact_kind) is not None:
            return
        step = self._load_step(None, digest)
        step.wants_artefact = True
        done = self._precompiles[step.number] = asyncio.get_running_loop().create_future()
        child = self._spawn()
        child.steps.append(step)
        child.modules[digest] = len(module)
        child.send(frames.Load(step.number, digest, module, b"", True))
        await done

    # ---- from the queue to the workers

    def _admit(self, task: Task) -> None:
        if self._closed or not self._is_started:
            raise WorldError("the worker pool is not running", field="worker")
        if task.id in self._tickets:
            raise InvalidField("a task of this id is under way", field="id")
        memory_bytes_max = self._settings.memory_bytes_max
        if task.limits.memory_bytes > memory_bytes_max:
            raise AboveCap(f"{task.limits.memory_bytes} bytes", field="memory_bytes", limit=f"{memory_bytes_max} bytes")
        for module in task.modules:
            self._verify(module, "module" if module.digest == task.digest else "dependencies")

    def _verify(self, module: Module, field: str) -> None:
        if self._verified.get(module.digest) is module.code:
            return
        if module_digest(module.code) != module.digest:
            raise MalformedBytes("the module does not have the digest that the task names", field=field)
        if len(self._verified) >= MODULES_PER_WORKER:
            self._verified.clear()
        self._verified[module.digest] = module.code

    def _dispatch(self) -> None:
        while self._queue and not self._closed:
            child = pick(self._children, self._queue[0].task, self._speeds, self._settings)
            if child is None:
                break
            self._assign(child, self._queue.popleft())
        if self._queue and not self._closed and self._worth_a_spawn():
            starting = sum(not child.ever_ready and child.verdict is None for child in self._children)
            for _ in range(min(len(self._queue) - starting, self.slots - len(self._children))):
                self._spawn()

    def _worth_a_spawn(self) -> bool:
        """A new worker costs some 100 ms of processor time: not worth it for a queue that is gone sooner."""
        if all(child.verdict is not None for child in self._children):
            return True
        each_us = self._speeds.expected_us(self._queue[0].task, self._settings.spawn_worth_us)
        return each_us * len(self._queue) >= self._settings.spawn_worth_us

    def _assign(self, child: Child, ticket: Ticket) -> None:
        task = ticket.task
        behind = bool(child.steps)
        orders: list[frames.Frame] = []
        for module in task.modules:
            if module.digest in child.modules:
                child.modules.move_to_end(module.digest)
            elif self._loads_at_once(task):
                orders += [*_held(child, module), frames.Load(frames.UNANSWERED, *module, b"", False)]
            else:
                orders += self._load_orders(child, ticket, module)
        step = Step(self._next(), ticket, task.digest, answers.limit_s(task))
        child.steps.append(step)
        child.runs_sent += 1
        child.send(*orders, answers.order(step.number, task))
        if not behind:
            self._start_clock(child)
        elif self._nudge is None:
            self._nudge = asyncio.get_running_loop().call_later(SLOW_AFTER_S, self._take_back_from_slow)

    def _loads_at_once(self, task: Task) -> bool:
        """Whether nothing is compiled for `task`. Its load then has no step and no clock of its own, and wakes nobody
        up: for a small contract that would be a fifth of the whole way."""
        interpreted = self._settings.contract_engine == MACHINE and task.module.startswith(MAGIC)
        return task.profile == CONTRACT and interpreted and not task.dependencies

    def _load_orders(self, child: Child, ticket: Ticket, module: Module) -> list[frames.Frame]:
        digest, code = module
        artefact = self._artefacts.read(digest, self._artefact_kind) if self._artefacts is not None else None
        step = self._load_step(ticket, digest)
        step.wants_artefact = self._artefacts is not None and artefact is None and child.runs_sent == 0
        child.steps.append(step)  # from here on nothing that the task needs is forgotten
        load = frames.Load(step.number, digest, code, artefact or b"", step.wants_artefact)
        return [*_held(child, module), load]

    def _load_step(self, ticket: Ticket | None, digest: bytes) -> Step:
        step = Step(self._next(), ticket, digest, self._settings.compile_s)
        step.loads = True
        return step

    def _take_back_from_slow(self) -> None:
        """Withdraws what waits behind a guest that is not quick after all, so that another worker can take it."""
        self._nudge = None
        now = asyncio.get_running_loop().time()
        taken: list[Ticket] = []
        for child in self._children:
            if len(child.steps) > 1 and not child.steps[0].loads and now - child.head_since >= SLOW_AFTER_S:
                taken += self._void_waiting(child)
        self._requeue(taken)
        if any(step.ticket for child in self._children for step in list(child.steps)[1:]):
            self._nudge = asyncio.get_running_loop().call_later(SLOW_AFTER_S, self._take_back_from_slow)
        self._dispatch()

    def _void_waiting(self, child: Child) -> list[Ticket]:
        taken = []
        for step in list(child.steps)[1:]:
            if step.ticket is not None:
                if not step.loads:
                    child.send(frames.Withdraw(step.number))
                    taken.append(step.ticket)
                step.ticket = None
        return taken

    def _requeue(self, tickets: Iterable[Ticket]) -> None:
        """Back to the front of the queue, in the order in which they came."""
        for ticket in sorted(tickets, key=lambda item: item.serial, reverse=True):
            self._queue.appendleft(ticket)

    def _holder_of(self, ticket: Ticket) -> Child | None:
        for child in self._children:
            if any(step.ticket is ticket for step in child.steps):
                return child
        return None

    # ---- clocks

    def _start_clock(self, child: Child) -> None:
        child.head_since = asyncio.get_running_loop().time()
        self._arm(child)

    def _due(self, child: Child) -> float | None:
        """When the pool must look at `child` again: the end of its start, of its step, or of its idleness."""
        if not child.ready:
            return child.head_since + self._settings.start_s
        if child.steps:
            return child.head_since + child.steps[0].limit_s
        return child.head_since + self._settings.idle_s if len(self._children) > self._warm else None

    def _arm(self, child: Child) -> None:
        """One timer per worker, moved only when something falls due earlier: most tasks end long before."""
        due = self._due(child)
        if due is None or child.verdict is not None:
            return
        if child.timer is not None:
            if child.timer.when() <= due:
                return
            child.timer.cancel()
        child.timer = asyncio.get_running_loop().call_at(due, self._look_at, child)

    def _look_at(self, child: Child) -> None:
        child.timer = None
        due = self._due(child)
        if due is None or child.verdict is not None:
            return
        if asyncio.get_running_loop().time() < due:
            self._arm(child)
        elif not child.ready:
            child.fault = WorldError("a worker process did not get ready in time", field="worker")
            child.kill(Status.WORKER_DEATH)
        elif child.steps:
            child.kill(Status.COMPILE_CLOCK if child.steps[0].loads else Status.WALL_CLOCK)
        else:
            child.kill(Status.CANCELLED)

    # ---- what workers say, and their end

    def _spawn(self) -> Child:
        settings = self._settings
        data_bytes = settings.memory_bytes_max + COMPILE_DATA_BYTES
        child = Child(
            ChildSettings(
                data_bytes, settings.niceness, settings.contract_engine, dict(settings.environment), settings.command
            ),
            self._heard,
            self._lost,
        )
        self._children.append(child)
        self._arm(child)
        return child

    def _heard(self, child: Child, frame: frames.Frame) -> None:
        if isinstance(frame, frames.Ready) and not child.ever_ready:
            self._welcome(child, frame)
        elif isinstance(frame, frames.Unfit) and not child.ever_ready:
            child.fault = UnsupportedMachine(frame.message, field="worker")
            child.kill(Status.WORKER_DEATH)
        elif isinstance(frame, frames.Withdrawn):
            self._drop_void(child, frame.number)
        elif isinstance(frame, (*answers.ENDS, frames.Loaded)) and child.steps:
            self._step_ended(child, frame)
        else:
            child.kill(Status.WORKER_DEATH)

    def _welcome(self, child: Child, frame: frames.Ready) -> None:
        try:
            jail.require(frame.layers, self._settings.minimum)
        except UnsupportedMachine as fault:
            child.fault = fault
            return child.kill(Status.WORKER_DEATH)
        child.ready = child.ever_ready = True
        child.layers, child.engine_version = frame.layers, frame.engine_version
        self.layers, self.engine_version, self._artefact_kind = frame.layers, frame.engine_version, frame.artefact_kind
        self._start_failures = 0
        self._start_clock(child)
        if self._started is not None and not self._started.done():
            self._started.set_result(None)
        return self._dispatch()

    def _drop_void(self, child: Child, number: int) -> None:
        for step in child.steps:
            if step.number == number and step.ticket is None and not step.loads:
                was_head = child.steps[0] is step
                child.steps.remove(step)
                if was_head:
                    self._next_step(child)
                return
        child.kill(Status.WORKER_DEATH)

    def _step_ended(self, child: Child, frame: answers.Answer | frames.Loaded) -> None:
        step = child.steps[0]
        if frame.number != step.number or isinstance(frame, frames.Loaded) != step.loads or _false(step, frame):
            return child.kill(Status.WORKER_DEATH)
        child.steps.popleft()
        if isinstance(frame, frames.Loaded):
            self._loaded(child, step, frame)
        elif step.ticket is not None and not step.ticket.outcome.done():
            if isinstance(frame, frames.Refused):
                step.ticket.outcome.set_exception(answers.refusal(frame))
            else:
                self._speeds.record(step.digest, answers.each_us(frame))
                step.ticket.outcome.set_result(answers.execution(frame, child, step.ticket.task))
        return self._next_step(child)

    def _next_step(self, child: Child) -> None:
        self._start_clock(child)
        self._dispatch()

    def _loaded(self, child: Child, step: Step, frame: frames.Loaded) -> None:
        self._count_compilation(child, step)
        if step.wants_artefact and frame.artefact and self._artefacts is not None:
            self._artefacts.write(step.digest, self._artefact_kind, frame.artefact)
        done = self._precompiles.pop(step.number, None)
        if done is not None and not done.done():
            done.set_result(None)
            if len(self._children) > self.slots:
                child.kill(Status.CANCELLED)

    def _count_compilation(self, child: Child, step: Step) -> None:
        """All modules of a task have one compile clock."""
        spent_s = asyncio.get_running_loop().time() - child.head_since
        for later in child.steps:
            if later.loads and step.ticket is not None and later.ticket is step.ticket:
                later.limit_s -= spent_s

    def _lost(self, child: Child) -> None:
        """The process is gone and reaped: what it was doing has failed, what it had waiting goes back to the queue."""
        self._children.remove(child)
        self._count_failed_start(child)
        if child.steps:
            head = child.steps[0]
            if head.ticket is not None:
                self._fail(head.ticket, self._verdict_of(child), child)
            waiting = {
                step.ticket.serial: step.ticket for step in child.steps if step.ticket not in (None, head.ticket)
            }
            if self._closed:
                for ticket in waiting.values():
                    self._fail(ticket, Status.CANCELLED)
            else:
                self._requeue(waiting.values())
            self._fail_precompile(head)
        if self._closed or not self._is_started:
            return
        if self._start_failures >= START_FAILURES_MAX:
            while self._queue:
                self._fail(self._queue.popleft(), Status.WORKER_DEATH)
            return
        if len(self._children) < self._warm:
            self._spawn()
        self._dispatch()

    def _verdict_of(self, child: Child) -> Status:
        if child.verdict is not None:
            return child.verdict
        return Status.WALL_CLOCK if child.exit_status == -signal.SIGALRM else Status.WORKER_DEATH

    def _count_failed_start(self, child: Child) -> None:
        if child.ever_ready or child.verdict is Status.CANCELLED:
            return
        self._start_failures += 1
        if self._started is not None and not self._started.done():
            ended = f"a worker process ended with {child.exit_status} before it was ready"
            self._started.set_exception(child.fault or WorldError(ended, field="worker", fix="run quorate doctor"))

    def _fail_precompile(self, step: Step) -> None:
        done = self._precompiles.pop(step.number, None)
        if done is not None and not done.done():
            done.set_exception(WorldError("the compilation was ended", field="module", limit=f"{step.limit_s} s"))

    def _fail(self, ticket: Ticket, status: Status, child: Child | None = None) -> None:
        if ticket.outcome.done():
            return
        ran_s = asyncio.get_running_loop().time() - child.head_since if child is not None else 0.0
        ticket.outcome.set_result(
            Execution(status=status, wall_ms=int(ran_s * 1000), engine_version=self.engine_version, layers=self.layers)
        )

    def _next(self) -> int:
        self._number += 1
        return self._number


def _held(child: Child, module: Module) -> list[frames.Frame]:
    """Counts `module` among those that `child` holds. What the child is to be told to forget for it."""
    forgotten = to_forget(child, len(module.code))
    for old in forgotten:
        del child.modules[old]
    child.modules[module.digest] = len(module.code)
    return [frames.Forget(old) for old in forgotten]


def _false(step: Step, frame: frames.Frame) -> bool:
    return step.ticket is not None and not answers.is_answer(step.ticket.task, frame)
