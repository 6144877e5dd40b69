"""Messages to one peer, in order, without ever holding up the event loop.

Handing a message to the wire takes some 15 µs as long as the peer reads, and up to seconds once it does not and the
buffers (2.5 MB and more on loopback) are full. So a message goes straight out only while little was sent since the peer
was last heard; otherwise it queues here and a worker thread waits in place of the loop. A queue that is full sheds.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from quorate.model.units import MIB

STRAIGHT_BYTES_MAX = 256 * 1024
"""Far below what the buffers take, so that a straight hand-over finds room even when the peer has stopped."""
QUEUE_BYTES_MAX = 32 * MIB

Put = Callable[[bytes], None]
Submit = Callable[[Callable[[], None]], Any]


class Lane:
    """`send` and `heard` belong to the event loop, `_drain` to a worker. `put` hands one message to the wire."""

    def __init__(self, put: Put, submit: Submit) -> None:
        self._put = put
        self._submit = submit
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._draining = False
        self._unheard_bytes = 0
        self.shed = 0

    def send(self, payload: bytes) -> None:
        self._unheard_bytes += len(payload)
        # only the loop starts a drain, so one that is not running now cannot overtake the straight hand-over
        if not self._draining and self._unheard_bytes <= STRAIGHT_BYTES_MAX:
            self._put(payload)
            return
        with self._lock:
            if self._queued_bytes + len(payload) > QUEUE_BYTES_MAX:
                self.shed += 1
                return
            self._queue.append(payload)
            self._queued_bytes += len(payload)
            if self._draining:
                return
            self._draining = True
        self._submit(self._drain)

    def heard(self) -> None:
        """The peer sent something, so it is reading too."""
        self._unheard_bytes = 0

    def close(self) -> None:
        """What still waits is lost."""
        with self._lock:
            self._queue.clear()
            self._queued_bytes = 0

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._draining = False
                    return
                payload = self._queue.popleft()
                self._queued_bytes -= len(payload)
            self._put(payload)
