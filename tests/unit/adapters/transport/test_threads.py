"""The pieces between threads and the event loop: bridge, lane, inbox."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from tests.support.meshes import until

from quorate.adapters.transport.bridge import Bridge
from quorate.adapters.transport.inbox import Inbox
from quorate.adapters.transport.lane import QUEUE_BYTES_MAX, STRAIGHT_BYTES_MAX, Lane
from quorate.model.units import NodeId

A = NodeId(b"a" * 32)


async def test_a_bridge_keeps_each_threads_order_and_loses_nothing() -> None:
    bridge = Bridge(asyncio.get_running_loop())
    seen: list[tuple[int, int]] = []

    def flood(thread: int) -> None:
        for number in range(2000):
            bridge.post(lambda *pair: seen.append(pair), thread, number)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    await until(lambda: len(seen) == 8000)
    for number in range(4):
        assert [value for thread, value in seen if thread == number] == list(range(2000))


async def test_a_closed_bridge_forgets() -> None:
    bridge = Bridge(asyncio.get_running_loop())
    seen: list[int] = []
    bridge.post(seen.append, 1)
    bridge.close()
    bridge.post(seen.append, 2)
    await asyncio.sleep(0.01)
    assert seen == []


def test_a_bridge_to_a_closed_loop_stays_calm() -> None:
    seen: list[int] = []
    loop = asyncio.new_event_loop()
    bridge = Bridge(loop)
    loop.close()
    bridge.post(seen.append, 1)
    bridge.post(seen.append, 2)
    assert seen == []


def test_a_lane_goes_straight_until_too_much_is_unheard() -> None:
    put: list[bytes] = []
    submitted: list[Callable[[], None]] = []
    lane = Lane(put.append, submitted.append)
    part = bytes(STRAIGHT_BYTES_MAX // 2)
    lane.send(part)
    lane.send(part)
    assert (len(put), submitted) == (2, [])
    lane.send(b"over")
    lane.send(b"waits behind it")
    assert len(put) == 2
    assert len(submitted) == 1, "one drain for both"
    lane.heard()
    lane.send(b"not ahead of the queue")
    assert len(put) == 2
    submitted[0]()
    assert put[2:] == [b"over", b"waits behind it", b"not ahead of the queue"]
    lane.heard()
    lane.send(b"straight again")
    assert put[-1] == b"straight again"
    assert len(submitted) == 1


def test_a_full_lane_sheds_and_recovers() -> None:
    put: list[bytes] = []
    submitted: list[Callable[[], None]] = []
    lane = Lane(put.append, submitted.append)
    part = bytes(QUEUE_BYTES_MAX // 4)
    for _ in range(6):
        lane.send(part)
    assert lane.shed == 2
    submitted[0]()
    assert len(put) == 4
    lane.send(part)
    submitted[1]()
    assert len(put) == 5
    assert lane.shed == 2


def test_a_blocked_lane_does_not_hold_the_sender() -> None:
    gate, order = threading.Event(), []

    def put(payload: bytes) -> None:
        gate.wait(10)
        order.append(payload[:4])

    lane = Lane(put, lambda work: threading.Thread(target=work).start())
    lane.send(b"0000" + bytes(STRAIGHT_BYTES_MAX))
    for number in range(1, 50):
        lane.send(b"%04d" % number)
    assert order == []
    gate.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("Thread-"):
            thread.join(10)
    assert order == [b"%04d" % number for number in range(50)]


async def test_an_inbox_counts_failures_and_logs_no_content(caplog: pytest.LogCaptureFixture) -> None:
    gate, seen = asyncio.Event(), []

    async def handle(sender: NodeId, message: bytes) -> None:
        await gate.wait()
        seen.append(message)
        if message == b"bad":
            raise ValueError("secret text")

    inbox = Inbox(handle)
    for message in (b"one", b"bad", b"three"):
        inbox.post(A, message)
    await asyncio.sleep(0.01)
    assert inbox.waiting_bytes == len(b"bad" + b"three")
    gate.set()
    await until(lambda: len(seen) == 3)
    assert inbox.failures == 1
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text
    assert inbox.waiting_bytes == 0
    await inbox.close()
    inbox.post(A, b"late")
    await asyncio.sleep(0.01)
    assert len(seen) == 3


async def test_an_inbox_lets_other_tasks_run() -> None:
    turns = 0

    async def handle(sender: NodeId, message: bytes) -> None:
        return None

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    inbox = Inbox(handle)
    for _ in range(10_000):
        inbox.post(A, b"")
    await asyncio.sleep(0)
    while inbox._queue:
        await asyncio.sleep(0)
    assert turns > 50
    counter.cancel()
    await inbox.close()


async def test_a_handler_may_close_its_inbox() -> None:
    closed = asyncio.Event()
    heard: list[bytes] = []

    async def handle(sender: NodeId, message: bytes) -> None:
        heard.append(message)
        await inbox.close()
        closed.set()

    inbox = Inbox(handle)
    inbox.post(A, b"end")
    inbox.post(A, b"late")
    await asyncio.wait_for(closed.wait(), 2)
    await asyncio.sleep(0.01)
    assert heard == [b"end"]
