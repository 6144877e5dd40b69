"""Timers of machines: the newest wish counts, in order of time, and replaced wishes take no memory for long."""

from __future__ import annotations

from quorate.model.units import Millis
from quorate.node.shell import STALE_TIMERS_MAX, Timers


def test_keys_come_in_order_of_time_and_once() -> None:
    timers = Timers()
    for key, due in ((b"late", 30), (b"soon", 10), (b"middle", 20)):
        timers.set(key, Millis(due))
    assert timers.next() == 10
    assert timers.pop(Millis(25)) == [b"soon", b"middle"]
    assert timers.pop(Millis(25)) == []
    assert timers.pop(Millis(30)) == [b"late"]
    assert timers.next() is None


def test_a_later_wish_replaces_an_earlier_one() -> None:
    timers = Timers()
    timers.set(b"a", Millis(10))
    timers.set(b"a", Millis(50))
    assert timers.pop(Millis(49)) == []
    timers.set(b"a", None)
    assert timers.pop(Millis(1000)) == []


def test_replaced_wishes_take_no_memory_for_long() -> None:
    """Jobs come and go while their last clocks lie minutes ahead."""
    timers = Timers()
    timers.set(b"stays", Millis(10**9))
    for number in range(20 * STALE_TIMERS_MAX):
        key = number.to_bytes(8, "big")
        timers.set(key, Millis(10**8 + number))
        timers.set(key, None)
    assert len(timers._heap) <= STALE_TIMERS_MAX + 3
    assert timers.pop(Millis(10**9)) == [b"stays"]
