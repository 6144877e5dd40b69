"""The last step of delivery: messages wait here and the handler takes them one at a time, in order of arrival.

A handler that fails loses its own message and nothing else. The class of the failure is logged, never its text,
which could quote what was in the message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from quorate.model.units import NodeId
from quorate.ports import Handler

_LOG = logging.getLogger(__name__)
_TURN_MESSAGES = 64
"""Messages handled before other tasks of the loop get a turn, even when the handler never waits."""


class Inbox:
    """Belongs to one event loop. `waiting_bytes` is what a transport compares with its limit."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._queue: deque[tuple[NodeId, bytes]] = deque()
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="transport-inbox")
        self.waiting_bytes = 0
        self.failures = 0

    def post(self, sender: NodeId, message: bytes) -> None:
        self._queue.append((sender, message))
        self.waiting_bytes += len(message)
        self._wake.set()

    async def close(self) -> None:
        """What was not handled yet is lost, as it would be on a wire."""
        self._queue.clear()
        self.waiting_bytes = 0
        self._task.cancel()
        if self._task is not asyncio.current_task():  # a handler may close its own transport
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            handled = 0
            while self._queue:
                sender, message = self._queue.popleft()
                self.waiting_bytes -= len(message)
                await self._handle(sender, message)
                handled += 1
                if handled % _TURN_MESSAGES == 0:
                    await asyncio.sleep(0)

    async def _handle(self, sender: NodeId, message: bytes) -> None:
        try:
            await self._handler(sender, message)
        except Exception as fault:  # the boundary between the world and the node
            self.failures += 1
            _LOG.error("message handler failed: %s", type(fault).__name__)
