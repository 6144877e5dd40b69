"""The machine's own clock. Virtual time for simulation is not here: production never imports it."""

from __future__ import annotations

import time

from quorate.model.units import Millis

_NANOS_PER_MILLI = 1_000_000


class SystemClock:
    """Civil time jumps when the machine's clock is set; monotonic time never does."""

    def now_ms(self) -> Millis:
        return Millis(time.time_ns() // _NANOS_PER_MILLI)

    def monotonic_ms(self) -> Millis:
        return Millis(time.monotonic_ns() // _NANOS_PER_MILLI)
