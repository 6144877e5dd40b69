"""What a guest leaves behind, as the bytes that are tagged, sealed and voted on. Two honest executors make the same
bytes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.codec import Value
from quorate.model.units import MIB, Word

ExitCode = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 32)]
"""Any 32 bits, read with a sign or without: what a guest may leave with."""


class Output(Value, frozen=True, tag="output"):
    """How the guest ended and what it wrote to standard output (or returned, in the pure profile)."""

    size_max = 65 * MIB

    status: Word
    exit_code: ExitCode
    stdout: bytes


class Log(Value, frozen=True, tag="log"):
    """What the guest wrote to standard error, up to the log limit."""

    size_max = 2 * MIB

    stderr: bytes
