"""What every Clock promises (`quorate.ports.Clock`), run for each adapter."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from quorate.adapters.clock import SystemClock
from quorate.ports import Clock

ADAPTERS = {"system": SystemClock}


@pytest.fixture(params=ADAPTERS)
def clock(request: pytest.FixtureRequest) -> Clock:
    return ADAPTERS[request.param]()


def test_times_are_whole_milliseconds(clock: Clock) -> None:
    assert type(clock.now_ms()) is int
    assert type(clock.monotonic_ms()) is int


def test_monotonic_time_never_goes_back_and_does_pass(clock: Clock) -> None:
    times = [clock.monotonic_ms() for _ in range(10_000)]
    assert times == sorted(times)
    before = clock.monotonic_ms()
    time.sleep(0.02)
    assert 15 <= clock.monotonic_ms() - before < 5_000


def test_civil_time_is_utc_in_milliseconds(clock: Clock) -> None:
    assert abs(datetime.now(UTC).timestamp() * 1000 - clock.now_ms()) < 5_000
