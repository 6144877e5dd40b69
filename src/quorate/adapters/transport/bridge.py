"""The way from other threads onto one event loop.

Waking a loop costs a system call and a switch; so calls queue up here and one wake-up carries out all that came
meanwhile. Order is kept per calling thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

_CALLS_PER_TURN = 256


class Bridge:
    """`post` may be called from any thread and never waits. After `close` calls are forgotten."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._woken = False
        self._closed = False

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._closed:
            return
        self._calls.append((call, arguments))
        if self._woken:
            return
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:  # the loop is closed
            self.close()

    def close(self) -> None:
        self._closed = True
        self._calls.clear()

    def _run(self) -> None:
        self._woken = False  # before the first pop: a call that comes now wakes the loop again
        for _ in range(min(len(self._calls), _CALLS_PER_TURN)):
            if self._closed:
                return
            call, arguments = self._calls.popleft()
            call(*arguments)
        if self._calls and not self._woken:
            self._woken = True
            self._loop.call_soon(self._run)
