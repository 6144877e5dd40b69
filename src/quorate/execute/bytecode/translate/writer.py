"""Bytes of WebAssembly: integers, instructions, and the sections of a module with one memory. Branches that are hardly
ever taken are named in the section of the branch hinting proposal; hints change no result."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from quorate.execute.bytecode.decoding import encode_sleb


class W(IntEnum):
    """The instructions that a translation uses (WebAssembly core specification, 5.4)."""

    UNREACHABLE = 0x00
    BLOCK = 0x02
    LOOP = 0x03
    IF = 0x04
    ELSE = 0x05
    END = 0x0B
    BR = 0x0C
    BR_IF = 0x0D
    BR_TABLE = 0x0E
    RETURN = 0x0F
    CALL = 0x10
    SELECT = 0x1B
    LOCAL_GET = 0x20
    LOCAL_SET = 0x21
    LOCAL_TEE = 0x22
    I32_LOAD = 0x28
    I64_LOAD = 0x29
    I64_LOAD8_U = 0x31
    I64_LOAD16_U = 0x33
    I64_LOAD32_U = 0x35
    I32_STORE = 0x36
    I64_STORE = 0x37
    I64_STORE8 = 0x3C
    I64_STORE16 = 0x3D
    I64_STORE32 = 0x3E
    I32_CONST = 0x41
    I64_CONST = 0x42
    I32_EQZ = 0x45
    I32_GT_S = 0x4A
    I32_GE_S = 0x4E
    I64_EQZ = 0x50
    I64_EQ = 0x51
    I64_NE = 0x52
    I64_LT_S = 0x53
    I64_GT_S = 0x55
    I64_GT_U = 0x56
    I64_LE_S = 0x57
    I64_GE_S = 0x59
    I32_GT_U = 0x4B
    I32_ADD = 0x6A
    I32_AND = 0x71
    I32_OR = 0x72
    I64_ADD = 0x7C
    I64_SUB = 0x7D
    I64_MUL = 0x7E
    I64_DIV_S = 0x7F
    I64_REM_S = 0x81
    I64_AND = 0x83
    I64_OR = 0x84
    I64_XOR = 0x85
    I64_SHL = 0x86
    I64_SHR_U = 0x88
    I32_WRAP_I64 = 0xA7
    I64_EXTEND_I32_S = 0xAC
    I64_EXTEND_I32_U = 0xAD


I32: Final = 0x7F
I64: Final = 0x7E
_EMPTY: Final = 0x40
_FUNCTION_TYPE: Final = 0x60
_MAGIC: Final = b"\0asm\x01\0\0\0"
_HINTS: Final = "metadata.code.branch_hint"


def uleb(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Code:
    """Instructions, one after the other. `depth` counts the blocks that are open."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.depth = 0
        self.unlikely: list[int] = []
        """Where the branches stand that are hardly ever taken."""

    def raw(self, *instructions: W) -> None:
        self.out += bytes(instructions)

    def get(self, local: int) -> None:
        self.out += bytes([W.LOCAL_GET]) + uleb(local)

    def set(self, local: int) -> None:
        self.out += bytes([W.LOCAL_SET]) + uleb(local)

    def tee(self, local: int) -> None:
        self.out += bytes([W.LOCAL_TEE]) + uleb(local)

    def i32(self, value: int) -> None:
        self.out += bytes([W.I32_CONST]) + encode_sleb(value)

    def i64(self, value: int) -> None:
        self.out += bytes([W.I64_CONST]) + encode_sleb(value)

    def access(self, instruction: W, offset: int) -> None:
        """A load or store at the address on the stack plus `offset`; nothing is promised about alignment."""
        self.out += bytes([instruction, 0]) + uleb(offset)

    def copy(self) -> None:
        """Copies bytes of the memory: target, source and size are on the stack."""
        self.out += bytes([0xFC, 10, 0, 0])

    def call(self, function: int) -> None:
        self.out += bytes([W.CALL]) + uleb(function)

    def open(self, instruction: W) -> int:
        """Begins a block, loop or if without values, and answers its depth."""
        self.out += bytes([instruction, _EMPTY])
        self.depth += 1
        return self.depth

    def open_unlikely(self) -> None:
        """Begins an if whose way the compiler moves out of the path."""
        self.unlikely.append(len(self.out))
        self.open(W.IF)

    def open_choice(self) -> None:
        """Begins an if whose two ways leave a 32-bit number each."""
        self.out += bytes([W.IF, I32])
        self.depth += 1

    def end(self) -> None:
        self.raw(W.END)
        self.depth -= 1

    def branch(self, instruction: W, depth: int) -> None:
        """BR or BR_IF to the block that was opened at `depth`."""
        self.out += bytes([instruction]) + uleb(self.depth - depth)

    def table(self, count: int) -> None:
        """Branches to the open block that the index on the stack says, the innermost being 0."""
        self.out += bytes([W.BR_TABLE]) + uleb(count - 1) + b"".join(map(uleb, range(count)))


class Signature(NamedTuple):
    parameters: tuple[int, ...]
    results: tuple[int, ...]


def _vector(items: list[bytes]) -> bytes:
    return uleb(len(items)) + b"".join(items)


def _section(number: int, items: list[bytes]) -> bytes:
    body = _vector(items)
    return bytes([number]) + uleb(len(body)) + body


def _named(name: str) -> bytes:
    return uleb(len(name)) + name.encode("ascii")


class Import(NamedTuple):
    module: str
    name: str
    signature: Signature


def _constant(value: int) -> bytes:
    return bytes([W.I32_CONST]) + encode_sleb(value) + bytes([W.END])


class ModuleWriter:
    """Functions, exports, constants, data and one memory of fixed size. The first functions are the imports."""

    def __init__(self, imports: Sequence[Import], pages: int) -> None:
        self.pages = pages
        self._types: dict[Signature, int] = {}
        self._imports = [
            _named(module) + _named(name) + b"\0" + uleb(self._type(signature)) for module, name, signature in imports
        ]
        self._functions: list[bytes] = []
        self._globals: list[bytes] = []
        self._exports: list[bytes] = [_named("memory") + b"\x02\0"]
        self._codes: list[bytes] = []
        self._data: list[bytes] = []
        self._hints: list[bytes] = []
        self.size = 0

    def _type(self, signature: Signature) -> int:
        return self._types.setdefault(signature, len(self._types))

    def add(self, signature: Signature, groups: list[tuple[int, int]], code: Code) -> int:
        """A function with locals in `groups` of (count, kind). Answers its index."""
        index = len(self._imports) + len(self._functions)
        self._functions.append(uleb(self._type(signature)))
        declared = _vector([uleb(count) + bytes([kind]) for count, kind in groups if count])
        body = declared + bytes(code.out) + bytes([W.END])
        self._codes.append(uleb(len(body)) + body)
        self.size += len(self._codes[-1])
        if code.unlikely:
            hints = [uleb(len(declared) + at) + b"\x01\0" for at in code.unlikely]
            self._hints.append(uleb(index) + _vector(hints))
        return index

    def export(self, name: str, function: int) -> None:
        self._exports.append(_named(name) + b"\0" + uleb(function))

    def constant(self, name: str, value: int) -> None:
        """Exports a 32-bit number."""
        self._exports.append(_named(name) + b"\x03" + uleb(len(self._globals)))
        self._globals.append(bytes([I32, 0]) + _constant(value))

    def data(self, at: int, content: bytes) -> None:
        """What the memory holds at first; zeros elsewhere."""
        self._data.append(b"\0" + _constant(at) + uleb(len(content)) + content)

    def module(self) -> bytes:
        types = [
            bytes([_FUNCTION_TYPE]) + uleb(len(takes)) + bytes(takes) + uleb(len(gives)) + bytes(gives)
            for takes, gives in self._types
        ]
        memory = b"\x01" + uleb(self.pages) * 2
        sections = (
            (1, types),
            (2, self._imports),
            (3, self._functions),
            (5, [memory]),
            (6, self._globals),
            (7, self._exports),
        )
        hints = _named(_HINTS) + _vector(self._hints)
        custom = b"\0" + uleb(len(hints)) + hints
        known = b"".join(_section(number, items) for number, items in sections if items)
        data = _section(11, self._data) if self._data else b""
        return _MAGIC + known + custom + _section(10, self._codes) + data
