"""Runs an array on an engine: its elements in batches, several at once, each a turn among the engine's other tasks.

The engine sees nothing but batches, so that an array waits in the same queue as everything else and holds no worker for
longer than a turn. What a turn did not get to is asked for again, in smaller batches while elements are slow. Outcomes
keep the order of the elements. An end that is a failure, or a clock that runs out, ends the whole array; what is still
running of it is killed.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from quorate.errors import InvalidField, QuorateError
from quorate.execute.engine import Batch, End, Engine, Execution, Task
from quorate.model.job import ELEMENT_FUEL_MIN
from quorate.model.trap import Status
from quorate.model.units import MIB

BATCH_ELEMENTS = 64
BATCH_BYTES = MIB
BATCHES_PER_SLOT = 2
"""One runs while the next is on its way."""


class Arrays:
    """Beside an engine, or in front of it: other tasks pass through. `slots` is how many guests the engine runs at
    once."""

    def __init__(self, engine: Engine, slots: int) -> None:
        self._engine = engine
        self._lanes = BATCHES_PER_SLOT * max(1, slots)
        self._under_way: dict[bytes, _Array] = {}

    async def run(self, task: Task, clock_ms: int) -> Execution:
        """Like `Engine.run`; for a batch all of its inputs, within `clock_ms` from the moment the first of them
        starts."""
        if not isinstance(task, Batch):
            return await self._engine.run(task)
        if task.id in self._under_way:
            raise InvalidField("an array of this id is under way", field="id")
        array = self._under_way[task.id] = _Array(self._engine, task, clock_ms)
        try:
            return await array.run(self._lanes)
        finally:
            del self._under_way[task.id]

    def is_running(self, task_id: bytes) -> bool:
        """Whether its clock runs."""
        array = self._under_way.get(task_id)
        return array.has_begun if array is not None else self._engine.is_running(task_id)

    async def cancel(self, task_id: bytes) -> bool:
        """Like `Engine.cancel`."""
        array = self._under_way.get(task_id)
        if array is None:
            return await self._engine.cancel(task_id)
        await array.stop(Status.CANCELLED)
        await array.over.wait()
        return True


class _Array:
    """One array under way."""

    def __init__(self, engine: Engine, task: Batch, clock_ms: int) -> None:
        self._engine = engine
        self._task = task
        self._clock_ms = clock_ms
        self._pending = deque(range(len(task.inputs)))
        self._ends: dict[int, End] = {}
        self._batch_max = BATCH_ELEMENTS
        self._batches: set[bytes] = set()
        self._number = 0
        self._began_s: float | None = None
        self._verdict: Status | None = None
        self._refusal: QuorateError | None = None
        self._total = Execution(status=Status.SUCCESS)
        self._news = asyncio.Event()
        self.over = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        return self._began_s is not None or any(map(self._engine.is_running, self._batches))

    async def run(self, lanes: int) -> Execution:
        self._batch_max = max(1, min(BATCH_ELEMENTS, -(-len(self._pending) // lanes)))
        working = [asyncio.create_task(self._work()) for _ in range(min(lanes, len(self._pending)))]
        try:
            await asyncio.wait(working, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for lane in working:
                lane.cancel()
            await asyncio.wait(working)
            self.over.set()
        for lane in working:
            if not lane.cancelled():
                lane.result()
        if self._refusal is not None:
            raise self._refusal
        return self._summary()

    async def stop(self, verdict: Status) -> None:
        """Begins no batch any more and ends those under way; returns once their guests are gone. The first verdict
        stands."""
        self._verdict = self._verdict or verdict
        self._news.set()
        await asyncio.gather(*(self._engine.cancel(batch) for batch in tuple(self._batches)))

    async def _work(self) -> None:
        """One lane: batch after batch until every element has its end."""
        while self._verdict is None and len(self._ends) < len(self._task.inputs):
            left_ms = self._left_ms()
            if left_ms <= 0:
                await self.stop(Status.WALL_CLOCK)
            elif self._pending:
                await self._next_batch(left_ms)
            else:
                self._news.clear()
                await self._news.wait()

    async def _next_batch(self, left_ms: int) -> None:
        places = self._take()
        try:
            execution = await self._run(places, left_ms)
        except QuorateError as fault:
            self._refusal = self._refusal or fault
            return await self.stop(Status.CANCELLED)
        if self._verdict is None:
            self._measure(execution)
            if execution.status is not Status.SUCCESS:
                return await self.stop(execution.status)
            self._keep(places, execution.ends)
        return self._news.set()

    async def _run(self, places: list[int], left_ms: int) -> Execution:
        self._number += 1
        name = self._task.id + self._number.to_bytes(4, "big")
        limits = msgspec.structs.replace(self._task.limits, run_ms=min(self._task.limits.run_ms, left_ms))
        inputs = tuple(self._task.inputs[place] for place in places)
        self._batches.add(name)
        try:
            return await self._engine.run(msgspec.structs.replace(self._task, id=name, inputs=inputs, limits=limits))
        finally:
            self._batches.discard(name)

    def _take(self) -> list[int]:
        """The next elements in order: at most `_batch_max`, at most BATCH_BYTES unless one alone has more."""
        places = [self._pending.popleft()]
        size = len(self._task.inputs[places[0]])
        while self._pending and len(places) < self._batch_max:
            size += len(self._task.inputs[self._pending[0]])
            if size > BATCH_BYTES:
                break
            places.append(self._pending.popleft())
        return places

    def _keep(self, places: list[int], ends: tuple[End, ...]) -> None:
        """The ends of a turn; what it did not get to comes next again."""
        self._ends.update(zip(places, ends, strict=False))
        left = places[len(ends) :]
        self._pending.extendleft(reversed(left))
        self._batch_max = len(ends) if left else min(BATCH_ELEMENTS, 2 * self._batch_max)

    def _measure(self, batch: Execution) -> None:
        now, so_far = asyncio.get_running_loop().time(), self._total
        if self._began_s is None:
            self._began_s = now - batch.wall_ms / 1000
        self._total = msgspec.structs.replace(
            batch,
            ends=(),
            memory_peak_bytes=max(so_far.memory_peak_bytes, batch.memory_peak_bytes),
            guest_memory_bytes=max(so_far.guest_memory_bytes, batch.guest_memory_bytes),
            cpu_ms=so_far.cpu_ms + batch.cpu_ms,
            wall_ms=int(1000 * (now - self._began_s)),
        )

    def _left_ms(self) -> int:
        if self._began_s is None:
            return self._clock_ms
        return self._clock_ms - int(1000 * (asyncio.get_running_loop().time() - self._began_s))

    def _summary(self) -> Execution:
        if self._verdict is not None:
            return msgspec.structs.replace(self._total, status=self._verdict, fuel_used=0)
        ends = tuple(self._ends[place] for place in range(len(self._task.inputs)))
        fuel = sum(max(end.fuel_used, ELEMENT_FUEL_MIN) for end in ends)
        return msgspec.structs.replace(self._total, ends=ends, fuel_used=fuel)
