"""What a guest leaves behind, as the bytes that are tagged, sealed and voted on. Two honest executors make the same
bytes. And the packed form of arrays: many inputs, outcomes or logs as one value, in the order of the elements."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.job import ELEMENTS_MAX, INPUT_BYTES_MAX
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


Each = msgspec.Meta(max_length=ELEMENTS_MAX)


class ArrayInput(Value, frozen=True, tag="array_input"):
    """The inputs of an array: what is committed to and sealed as a whole."""

    size_max = INPUT_BYTES_MAX

    items: Annotated[tuple[bytes, ...], Each]


class ElementOutcome(Part, frozen=True):
    """How one element ended, and what it wrote to standard output (or returned)."""

    status: Word
    exit_code: ExitCode
    output: bytes


class ArrayOutcome(Value, frozen=True, tag="array_outcome"):
    """The outcomes of all elements; an array that failed as a whole has an `Output` instead."""

    size_max = 65 * MIB

    outcomes: Annotated[tuple[ElementOutcome, ...], Each]


class ArrayLog(Value, frozen=True, tag="array_log"):
    """What each element wrote to standard error, up to its share of the log limit."""

    size_max = 5 * MIB

    logs: Annotated[tuple[bytes, ...], Each]
