"""Randomness of the operating system (getrandom on Linux). It blocks only before the kernel's pool is first filled."""

from __future__ import annotations

import os

from quorate.errors import InvalidField

DRAW_BYTES_MAX = 1 << 20


class SystemEntropy:
    """Bytes fit for keys. Each draw is fresh: nothing is kept, so a forked process never repeats its parent's bytes."""

    def draw(self, size: int) -> bytes:
        if not 0 < size <= DRAW_BYTES_MAX:
            raise InvalidField(
                f"{size} random bytes were asked for", field="size", limit=f"1 to {DRAW_BYTES_MAX}", fix="draw in parts"
            )
        return os.urandom(size)
