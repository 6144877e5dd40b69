"""What of a module's bytes only contracts need: custom sections by name, and constants that it exports.

Source: WebAssembly core specification 2.0, sections 5.5.3 (custom sections), 5.5.9 (globals) and 5.4.9 (expressions).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.errors import MalformedModule
from quorate.execute.bytecode.translate.writer import uleb
from quorate.execute.wasm.sections import MAGIC, Outline, Reader, sections_of

_GLOBAL: Final = 6
_I32, _END = 0x7F, 0x0B
_I32_CONST, _I64_CONST, _GLOBAL_GET, _REF_NULL, _REF_FUNC, _VECTOR = 0x41, 0x42, 0x23, 0xD0, 0xD2, 0xFD
_FIXED: Final = {0x43: 4, 0x44: 8, 0x6A: 0, 0x6B: 0, 0x6C: 0, 0x7C: 0, 0x7D: 0, 0x7E: 0, _REF_NULL: 1}
"""Operators of constant expressions with operands of a fixed size, in bytes."""


class Custom(NamedTuple):
    """A custom section: where all of it stands in the module, and its contents."""

    start: int
    end: int
    contents: bytes


def custom_sections(module: bytes, name: str) -> list[Custom]:
    """Those called `name`, in order. `module` has passed the guard."""
    reader = Reader(module, len(MAGIC), len(module))
    found = []
    while reader.at < reader.end:
        start, number = reader.at, reader.byte()
        size = reader.number()
        contents = reader.skip(size)
        inner = Reader(module, contents, contents + size)
        if number == 0 and inner.text() == name:
            found.append(Custom(start, inner.end, module[inner.at : inner.end]))
    return found


def with_section(module: bytes, name: str, contents: bytes) -> bytes:
    """`module` with one custom section of that name, at its end."""
    kept, at = b"", 0
    for section in custom_sections(module, name):
        kept, at = kept + module[at : section.start], section.end
    body = uleb(len(name)) + name.encode() + contents
    return kept + module[at:] + b"\0" + uleb(len(body)) + body


def constant(module: bytes, outline: Outline, name: str) -> int | None:
    """The unsigned value of the exported constant `name`, a 32-bit global that never changes; None if there is no
    export of that name. Raises MalformedModule for an export that is anything else. Globals that are imported are not
    expected."""
    if name not in outline.exports:
        return None
    kind, index = outline.exports[name]
    constants = _constants(module) if kind == "global" else []
    value = constants[index] if index < len(constants) else None
    if value is None:
        limit = "a global of type i32 that never changes, given as a number"
        raise MalformedModule(f"export {name} is something else", field="module", limit=limit)
    return value


def _constants(module: bytes) -> list[int | None]:
    """The values of all globals; None where one may change, is of another type, or is not given as a number."""
    start, end = sections_of(module).get(_GLOBAL, (0, 0))
    reader = Reader(module, start, end)
    values = []
    for _ in range(reader.count() if start else 0):
        fixed = (reader.byte(), reader.byte()) == (_I32, 0)
        value = _expression(reader)
        values.append(value if fixed else None)
    return values


def _expression(reader: Reader) -> int | None:
    """Steps over a constant expression; its value if it is one number of 32 bits."""
    values: list[int | None] = []
    while (operator := reader.byte()) != _END:
        if operator == _I32_CONST:
            values.append(_signed(reader) & 0xFFFF_FFFF)
        else:
            values.append(None)
            _step_over(reader, operator)
    return values[0] if len(values) == 1 else None


def _step_over(reader: Reader, operator: int) -> None:
    if operator in (_I64_CONST, _GLOBAL_GET, _REF_FUNC):
        reader.wide_number()
    elif operator == _VECTOR:
        reader.number()
        reader.skip(16)
    elif operator in _FIXED:
        reader.skip(_FIXED[operator])
    else:
        raise MalformedModule(f"operator 0x{operator:02x} in a constant expression", field="module")


def _signed(reader: Reader) -> int:
    """A signed LEB128 integer of 32 bits."""
    value = shift = 0
    while shift < 35:
        byte = reader.byte()
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value - (1 << shift) if byte & 0x40 else value
    raise MalformedModule("an integer is too long", field="module")
