"""The elements of an array as the client sees them: inputs from a list or a file, results one by one.

An array of one input is an ordinary job: nothing is packed then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from quorate.errors import InvalidField, JobFailed, MalformedBytes, TooLarge
from quorate.model.codec import decode, encode
from quorate.model.job import ELEMENTS_MAX, INPUT_BYTES_MAX
from quorate.model.output import ArrayInput, ArrayOutcome, Output


class Given(NamedTuple):
    """An input as it was given: what is sealed of it, how many elements it has, whether any of them has a byte."""

    private: bool
    content: bytes
    elements: int
    has_bytes: bool

    @property
    def items(self) -> tuple[bytes, ...]:
        """The input of each element."""
        return decode(self.content, ArrayInput).items if self.elements > 1 else (self.content,)


@dataclass(frozen=True)
class Element:
    """How one element ended, in words of `quorate.model.trap`; `exit_code` is 0 where the program set none."""

    place: int
    status: str
    exit_code: int
    written: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return self.status == "success"

    @property
    def error(self) -> JobFailed | None:
        """The error that its end amounts to; None when it ended well."""
        if self.ok:
            return None
        ended = self.status.replace("_", " ") + (f" (exit code {self.exit_code})" if self.exit_code else "")
        return JobFailed(f"element {self.place} ended with {ended}", field="elements")

    @property
    def output(self) -> bytes:
        """What it wrote to standard output (or returned). Raises JobFailed when it did not end well; `written` is what
        it had written even so."""
        if self.error is not None:
            raise self.error
        return self.written


def elements_of(opened: Output | ArrayOutcome) -> tuple[Element, ...]:
    """In the order of the inputs; an ordinary job has one."""
    if isinstance(opened, Output):
        return (Element(0, opened.status, opened.exit_code, opened.stdout),)
    outcomes = enumerate(opened.outcomes)
    return tuple(Element(place, end.status, end.exit_code, end.output) for place, end in outcomes)


def packed(private: bool, inputs: Iterable[bytes | bytearray]) -> Given:
    """Inputs as one. Raises InvalidField for too few or too many of them, TooLarge for too many bytes."""
    items: list[bytes] = []
    if isinstance(inputs, (bytes, bytearray, str)):
        raise _no_array(f"a {type(inputs).__name__}")
    for item in islice(inputs, ELEMENTS_MAX + 1):
        if not isinstance(item, (bytes, bytearray)):
            raise _no_array(f"holds a {type(item).__name__}")
        items.append(bytes(item))
    if not 1 <= len(items) <= ELEMENTS_MAX:
        many = f"more than {ELEMENTS_MAX}" if items else "no"
        raise InvalidField(f"{many} elements", field="array", limit=f"1 to {ELEMENTS_MAX} elements", fix="split it")
    try:
        content = items[0] if len(items) == 1 else encode(ArrayInput(items=tuple(items)))
    except MalformedBytes:
        content = b""
    size = sum(map(len, items))
    if size > INPUT_BYTES_MAX or (not content and size):
        raise TooLarge(f"{size} bytes and their heads", field="array", limit=f"{INPUT_BYTES_MAX} bytes", fix="split it")
    return Given(private, content, len(items), bool(size))


def _no_array(what: str) -> InvalidField:
    return InvalidField(what, field="array", limit="a list of bytes", fix="give one input for each element")


def lines_of(data: bytes) -> list[bytes]:
    """The inputs in a file of lines: each line without its newline. An end without a newline ends a line too."""
    lines = data.split(b"\n")
    return lines[:-1] if not lines[-1] else lines
