"""Reads the outline of a WebAssembly module without compiling it: sections, imports, exports, types, memory.

Source: WebAssembly core specification 2.0, chapter 5 (binary format). It reads what the guard and the profiles ask
about; full validation is the engine's. Every size is checked against the bytes at hand, so that no count in a hostile
header costs memory.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.errors import MalformedModule, NotWasm

MAGIC = b"\0asm\x01\0\0\0"
VALUE_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
NUMBERS_FORMAT = {"i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d"}
KINDS = ("func", "table", "memory", "global", "tag")
# Section ids in the order in which the specification demands them; 0 (custom) may stand anywhere.
ORDER = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 9, 12: 10, 10: 11, 11: 12}
TYPE, IMPORT, FUNCTION, TABLE, MEMORY, EXPORT, START, CODE = 1, 2, 3, 4, 5, 7, 8, 10


class Signature(NamedTuple):
    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


class Import(NamedTuple):
    module: str
    name: str
    kind: str
    signature: Signature | None


class Outline(NamedTuple):
    """What a module says about itself. `bodies` are the (start, end) of function bodies in its bytes."""

    size_bytes: int
    imports: tuple[Import, ...]
    exports: dict[str, tuple[str, int]]
    functions: tuple[Signature, ...]
    memory_pages_min: int
    tables: int
    table_elements_min: int
    bodies: tuple[tuple[int, int], ...]

    def function_named(self, name: str) -> Signature | None:
        kind, index = self.exports.get(name, ("", 0))
        return self.functions[index] if kind == "func" and index < len(self.functions) else None


class Reader:
    """A cursor over bytes [at, end) that raises MalformedModule instead of running past the end."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def byte(self) -> int:
        if self.at >= self.end:
            raise MalformedModule("a section ends too early", field="module")
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """An unsigned 32-bit LEB128 integer, at most five bytes."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 32:
                    break
                return value
        raise MalformedModule("an integer is too long", field="module")

    def wide_number(self) -> int:
        """An unsigned LEB128 integer of at most ten bytes (limits of 64-bit memories, which the engine then
        refuses).
        """
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise MalformedModule("an integer is too long", field="module")

    def count(self) -> int:
        """The length of a vector: never more than the bytes left, since each item takes at least one."""
        value = self.number()
        if value > self.end - self.at:
            raise MalformedModule("a vector is longer than its section", field="module")
        return value

    def skip(self, size: int) -> int:
        """Moves on by `size` bytes and returns where they began."""
        if size > self.end - self.at:
            raise MalformedModule("a section ends too early", field="module")
        self.at += size
        return self.at - size

    def text(self) -> str:
        size = self.number()
        start = self.skip(size)
        try:
            return self.data[start : start + size].decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedModule("a name is not UTF-8", field="module") from None

    def limits(self) -> int:
        """A size range; returns its minimum."""
        flags = self.byte()
        minimum = self.wide_number()
        if flags & 1:
            self.wide_number()
        if flags & 8:
            self.number()
        return minimum


def sections_of(data: bytes) -> dict[int, tuple[int, int]]:
    """Where each section's contents stand. Raises NotWasm or MalformedModule (order, repetition, sizes)."""
    if data[:4] != MAGIC[:4]:
        raise NotWasm("the bytes are not a WebAssembly module", field="module", fix="give a .wasm file")
    if data[:8] != MAGIC:
        raise NotWasm("not a core module of version 1", field="module", fix="build a core module, not a component")
    reader = Reader(data, 8, len(data))
    found: dict[int, tuple[int, int]] = {}
    latest = 0
    while reader.at < reader.end:
        section = reader.byte()
        size = reader.number()
        start = reader.skip(size)
        if section == 0:
            continue
        if ORDER.get(section, 0) <= latest:
            raise MalformedModule(f"section {section} is unknown, repeated or out of order", field="module")
        latest = ORDER[section]
        found[section] = (start, start + size)
    return found


def outline(data: bytes) -> Outline:
    """Reads `data`. Raises NotWasm or MalformedModule."""
    where = sections_of(data)

    def reader(section: int) -> Reader:
        start, end = where.get(section, (0, 0))
        return Reader(data, start, end)

    types = _types(reader(TYPE)) if TYPE in where else ()
    imports = _imports(reader(IMPORT), types) if IMPORT in where else ()
    imported = tuple(item.signature for item in imports if item.signature is not None)
    declared = _functions(reader(FUNCTION), types) if FUNCTION in where else ()
    bodies = _bodies(reader(CODE)) if CODE in where else ()
    if len(bodies) != len(declared):
        raise MalformedModule("functions and bodies differ in number", field="module")
    tables, table_elements_min = _tables(reader(TABLE)) if TABLE in where else (0, 0)
    return Outline(
        size_bytes=len(data),
        imports=imports,
        exports=_exports(reader(EXPORT)) if EXPORT in where else {},
        functions=imported + declared,
        memory_pages_min=_memory_pages(reader(MEMORY)) if MEMORY in where else 0,
        tables=tables,
        table_elements_min=table_elements_min,
        bodies=bodies,
    )


def _value_types(reader: Reader) -> tuple[str, ...]:
    names = []
    for _ in range(reader.count()):
        code = reader.byte()
        if code not in VALUE_TYPES:
            raise MalformedModule(f"value type 0x{code:02x} is not granted", field="module")
        names.append(VALUE_TYPES[code])
    return tuple(names)


def _types(reader: Reader) -> tuple[Signature, ...]:
    types = []
    for _ in range(reader.count()):
        if reader.byte() != 0x60:
            raise MalformedModule("a type is not a function type", field="module")
        types.append(Signature(_value_types(reader), _value_types(reader)))
    return tuple(types)


def _signature(types: tuple[Signature, ...], index: int) -> Signature:
    if index >= len(types):
        raise MalformedModule("a function names a type that is not there", field="module")
    return types[index]


def _imports(reader: Reader, types: tuple[Signature, ...]) -> tuple[Import, ...]:
    imports = []
    for _ in range(reader.count()):
        module, name, code = reader.text(), reader.text(), reader.byte()
        signature = None
        if code == 0:
            signature = _signature(types, reader.number())
        elif code == 1:
            reader.byte()
            reader.limits()
        elif code == 2:
            reader.limits()
        elif code == 3:
            reader.skip(2)
        elif code == 4:
            reader.byte()
            reader.number()
        else:
            raise MalformedModule(f"import kind {code} is unknown", field="module")
        imports.append(Import(module, name, KINDS[code], signature))
    return tuple(imports)


def _functions(reader: Reader, types: tuple[Signature, ...]) -> tuple[Signature, ...]:
    return tuple(_signature(types, reader.number()) for _ in range(reader.count()))


def _exports(reader: Reader) -> dict[str, tuple[str, int]]:
    exports: dict[str, tuple[str, int]] = {}
    for _ in range(reader.count()):
        name, code, index = reader.text(), reader.byte(), reader.number()
        if code >= len(KINDS) or name in exports:
            raise MalformedModule(f"export {name[:40]!r} is unknown or repeated", field="module")
        exports[name] = (KINDS[code], index)
    return exports


def _memory_pages(reader: Reader) -> int:
    return sum(reader.limits() for _ in range(reader.count()))


def _tables(reader: Reader) -> tuple[int, int]:
    """How many tables, and how many elements they have at least together."""
    count, total = reader.count(), 0
    for _ in range(count):
        if reader.byte() not in (0x70, 0x6F):
            raise MalformedModule("a table of this kind is not granted", field="module")
        total += reader.limits()
    return count, total


def _bodies(reader: Reader) -> tuple[tuple[int, int], ...]:
    bodies = []
    for _ in range(reader.count()):
        size = reader.number()
        start = reader.skip(size)
        bodies.append((start, start + size))
    return tuple(bodies)
