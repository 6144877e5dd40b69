"""Refuses modules that would cost the compiler too much, before the compiler sees them.

Compilation cannot be metered or interrupted, and its cost grows faster than its input: an 88 kB function of nested
blocks takes seconds. The guard bounds what drives that cost: size of module and bodies, number of functions, depth of
nesting, tables. It is a first filter; the compile clock of the worker pool is the last one.

Nesting is found by walking the instructions. Runs of instructions without structure are skipped by one regular
expression, so that a megabyte of code costs milliseconds. Opcodes: WebAssembly core specification 2.0, section 5.4,
with tail calls and relaxed SIMD; an opcode outside these belongs to a proposal that the engine has switched off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from quorate.errors import MalformedModule, TooLarge
from quorate.execute.wasm.sections import Outline, Reader, outline
from quorate.model.units import MIB


class GuardLimits(NamedTuple):
    module_bytes: int = 4 * MIB
    body_bytes: int = 256 * 1024
    functions: int = 20_000
    depth: int = 1_024
    imports: int = 256
    exports: int = 2_000
    tables: int = 10
    table_elements: int = 100_000


DEFAULT = GuardLimits()

_LEB = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
# Each alternative starts with its own byte, so that there is nothing to backtrack into; the atomic group says so to
# the matcher.
_PLAIN = re.compile(
    rb"(?>[\x00\x01\x05\x0f\x1a\x1b\x45-\xc4\xd1]"
    rb"|[\x0c\x0d\x10\x12\x20-\x26\x3f-\x42\xd2]"
    + _LEB
    + rb"|[\x11\x13\x28-\x3e]"
    + _LEB
    + _LEB
    + rb"|\xd0"
    + _LEB
    + rb"|\x43.{4}"
    rb"|\x44.{8})++",
    re.DOTALL,
)
_BLOCK = re.compile(rb"[\x02-\x04]" + _LEB, re.DOTALL)
_BULK_OPERANDS = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}
_SIMD_LAST = 0x113
_END, _BR_TABLE, _SELECT_TYPED, _BULK, _SIMD = 0x0B, 0x0E, 0x1C, 0xFC, 0xFD


def inspect(module: bytes, limits: GuardLimits = DEFAULT) -> Outline:
    """The outline of `module`. Raises TooLarge, NotWasm or MalformedModule."""
    _refuse_above("bytes", len(module), limits.module_bytes)
    found = outline(module)
    _refuse_above("functions", len(found.bodies), limits.functions)
    _refuse_above("imports", len(found.imports), limits.imports)
    _refuse_above("exports", len(found.exports), limits.exports)
    _refuse_above("tables", found.tables, limits.tables)
    _refuse_above("table elements", found.table_elements_min, limits.table_elements)
    for start, end in found.bodies:
        _refuse_above("bytes in one function", end - start, limits.body_bytes)
        _walk(module, start, end, limits.depth)
    return found


def inspect_together(outlines: Sequence[Outline], limits: GuardLimits = DEFAULT) -> None:
    """Holds all modules of a program to what one module may have, so that nothing is gained by cutting it into parts.
    Raises TooLarge."""
    for what, sizes, limit in (
        ("bytes", [found.size_bytes for found in outlines], limits.module_bytes),
        ("functions", [len(found.bodies) for found in outlines], limits.functions),
        ("imports", [len(found.imports) for found in outlines], limits.imports),
        ("exports", [len(found.exports) for found in outlines], limits.exports),
        ("tables", [found.tables for found in outlines], limits.tables),
        ("table elements", [found.table_elements_min for found in outlines], limits.table_elements),
    ):
        if sum(sizes) > limit:
            raise TooLarge(
                f"the {len(sizes)} modules have {sum(sizes)} {what} together",
                field="dependencies",
                limit=f"{limit} {what}",
                fix="give fewer or smaller modules",
            )


def _refuse_above(what: str, value: int, limit: int) -> None:
    if value > limit:
        raise TooLarge(f"the module has {value} {what}", field="module", limit=f"{limit} {what}")


def _walk(module: bytes, start: int, end: int, depth_max: int) -> None:
    """One function body: its locals, then its instructions down to the `end` that closes it at its very last byte."""
    reader = Reader(module, start, end)
    for _ in range(reader.count()):
        reader.number()
        reader.byte()
    depth = 1
    while depth:
        plain = _PLAIN.match(module, reader.at, end)
        if plain is not None:
            reader.at = plain.end()
        block = _BLOCK.match(module, reader.at, end)
        if block is not None:
            reader.at = block.end()
            depth += 1
            _refuse_above("nested blocks", depth - 1, depth_max)
            continue
        opcode = reader.byte()
        if opcode == _END:
            depth -= 1
        else:
            _step_over(reader, opcode)
    if reader.at != end:
        raise MalformedModule("bytes follow the end of a function", field="module")


def _step_over(reader: Reader, opcode: int) -> None:
    if opcode == _BR_TABLE:
        for _ in range(reader.count() + 1):
            reader.number()
    elif opcode == _SELECT_TYPED:
        reader.skip(reader.count())
    elif opcode == _BULK:
        for _ in range(_BULK_OPERANDS.get(reader.number(), 0)):
            reader.number()
    elif opcode == _SIMD:
        _step_over_simd(reader)
    else:
        raise MalformedModule(f"opcode 0x{opcode:02x} is not granted", field="module")


def _step_over_simd(reader: Reader) -> None:
    operation = reader.number()
    if operation > _SIMD_LAST:
        raise MalformedModule(f"vector operation {operation} is not granted", field="module")
    if operation <= 11 or 84 <= operation <= 93:
        reader.number()
        reader.wide_number()
    if operation in (12, 13):
        reader.skip(16)
    elif 21 <= operation <= 34 or 84 <= operation <= 91:
        reader.byte()
