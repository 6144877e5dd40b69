"""What a guest leaves behind, as the bytes that are tagged, sealed and voted on. Two honest executors make the same
bytes."""

from __future__ import annotations

from quorate.model.codec import Value
from quorate.model.units import MIB, Word


class Output(Value, frozen=True, tag="output"):
    """How the guest ended and what it wrote to standard output (or returned, in the pure profile)."""

    size_max = 65 * MIB

    status: Word
    exit_code: int
    stdout: bytes


class Log(Value, frozen=True, tag="log"):
    """What the guest wrote to standard error, up to the log limit."""

    size_max = 2 * MIB

    stderr: bytes
