"""One thread that does a port's disk work in groups.

What arrives while a sync is under way shares the next one ("group commit", DeWitt et al., SIGMOD 1984). The event
loop pays one queue put per item and one wake-up per group: waking it for every item would cost more than the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from quorate.errors import QuorateError, WorldError

Item = TypeVar("Item")
Result = TypeVar("Result")

GROUP_ITEMS_MAX = 4096
GROUP_BYTES_MAX = 8 << 20
"""A group stops growing here, so that the first item of a long queue does not wait for the last."""


class _Ticket(NamedTuple):
    item: Any
    size: int
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class GroupWriter(Generic[Item, Result]):
    """Hands items to `commit` in the order of `submit`, in groups; `commit` answers each with a result or an error.

    `rest` runs in the same thread after the group's callers have been told: housekeeping that nobody waits for. A
    caller that is cancelled stops waiting; its item is written all the same. After `close` (idempotent) everything
    submitted has been answered.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[list[Item]], Sequence[Result | QuorateError]],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._commit = commit
        self._rest = rest
        self._queue: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._closed = False
        self._order = threading.Lock()  # nothing may be queued behind the end: it would never be answered
        # A daemon: an interpreter that exits without `close` must not hang; what was not acknowledged may be lost.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def submit(self, item: Item, size: int) -> Result:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        with self._order:
            if self._closed:
                raise WorldError(f"the {self._name} is closed", field="store")
            self._queue.put(_Ticket(item, size, loop, done))
        return await done

    async def close(self) -> None:
        with self._order:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            if group:
                _answer(group, self._results(group))
                with contextlib.suppress(Exception):  # housekeeping is tried again after the next group
                    self._rest()
                group.clear()  # else the last group's bytes stay in memory until the next one comes

    def _next_group(self) -> tuple[list[_Ticket], bool]:
        """The tickets that are waiting now (at least one), and whether more may follow."""
        ticket = self._queue.get()
        group: list[_Ticket] = []
        size = 0
        while ticket is not None:
            group.append(ticket)
            size += ticket.size
            if len(group) >= GROUP_ITEMS_MAX or size >= GROUP_BYTES_MAX:
                return group, True
            try:
                ticket = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _results(self, group: list[_Ticket]) -> Sequence[Result | QuorateError]:
        try:
            return self._commit([ticket.item for ticket in group])
        except Exception as fault:  # a fault of ours must reach the callers: an unanswered future would wait for ever
            return [WorldError(f"the {self._name} failed: {fault}", field="store") for _ in group]


def _answer(group: Sequence[_Ticket], results: Sequence[Any]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for ticket, result in zip(group, results, strict=True):
        by_loop.setdefault(ticket.loop, []).append((ticket.done, result))
    for loop, answers in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in answers:
        if done.done():
            continue
        if isinstance(result, QuorateError):
            done.set_exception(result)
        else:
            done.set_result(result)
