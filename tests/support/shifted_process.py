"""A process of a network on a machine whose civil clock is ten minutes fast; its durations are true.

Started in place of the real entry: python shifted_process.py FOLDER/config.json
"""

from __future__ import annotations

from pathlib import Path

from quorate.adapters.clock import SystemClock
from quorate.api import process
from quorate.model.units import Millis
from quorate.node import wiring

ENTRY = str(Path(__file__))
FAST_MS = 600_000


class FastClock(SystemClock):
    def now_ms(self) -> Millis:
        return Millis(super().now_ms() + FAST_MS)


def main() -> None:
    wiring.SystemClock = FastClock  # type: ignore[misc]
    process.main()


if __name__ == "__main__":
    main()
