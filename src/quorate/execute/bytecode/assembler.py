"""Contracts as text, to be read by people and to write tests in; `disassembler` is the way back.

    .memory 1024                 also .cycles .state .cells .reserved .state_key (hexadecimal) .machine (its name)
    .data "text" 0x0102          bytes from address 0
    .func total(xs: bytes, from: int) -> 1 locals 4     may be called from outside
        LOAD local 0             ; modes: u8 u16 u32 i64 state, local N
        CALL step
    again:
        JNZ again
        RET
    .func step/2 -> 1            only called from inside; two cells of arguments

The stack that each function needs is computed. Labels belong to their function.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from quorate.errors import InvalidField
from quorate.execute.bytecode import container as containers
from quorate.execute.bytecode.container import ALIGNMENT, Container, Export, Function, Kind, Parameter
from quorate.execute.bytecode.decoding import encode
from quorate.execute.bytecode.opcodes import (
    CELL_MAX,
    CELL_MIN,
    LOCALS_MAX,
    MACHINE_NAMES,
    TABLE,
    Immediate,
    Mode,
    Op,
)
from quorate.execute.bytecode.verify import decode_function, walk_function

_NAME = r"[A-Za-z_]\w*"
_EXPORTED: Final = re.compile(rf"({_NAME})\((.*)\)\s*->\s*(\d+)(?:\s+locals\s+(\d+))?")
_INNER: Final = re.compile(rf"({_NAME})/(\d+)\s*->\s*(\d+)(?:\s+locals\s+(\d+))?")
_PARAMETER: Final = re.compile(rf"({_NAME})\s*:\s*(int|bytes)")
_LABEL: Final = re.compile(rf"({_NAME}):")
_SAID: Final = re.compile(r'((?:[^";]|"[^"]*")*)(?:;.*)?')
"""A line and the comment behind it, which begins at the first semicolon outside of quotes."""
_DATA: Final = re.compile(r'"([^"]*)"|0x((?:[0-9a-fA-F]{2})+)')
_NUMBERS: Final = {
    ".memory": "max_memory",
    ".cycles": "max_cycles",
    ".state": "max_state_size",
    ".cells": "max_cells",
    ".reserved": "reserved",
}


class _Body:
    """A function being put together. `jumps` and `calls` are places in the code that wait for an address or index."""

    def __init__(self, name: str, parameters: int, results: int, slots: int) -> None:
        self.name, self.parameters, self.results, self.slots = name, parameters, results, slots
        self.code = bytearray()
        self.labels: dict[str, int] = {}
        self.jumps: list[tuple[int, str]] = []
        self.calls: list[tuple[int, str]] = []


def _number(word: str) -> int:
    value = int(word, 0)
    if not CELL_MIN <= value <= CELL_MAX:
        raise ValueError(f"{word} does not fit a cell")
    return value


def _mode(words: list[str]) -> int:
    if words[0] == "local" and len(words) == 2 and 0 <= int(words[1]) < LOCALS_MAX:
        return Mode.LOCAL + int(words[1])
    if len(words) == 1 and words[0] != "local":
        return Mode[words[0].upper()]
    raise ValueError("not a mode")


class _Assembly:
    """What the lines read so far have said."""

    def __init__(self) -> None:
        self.fields: dict[str, int] = {"max_memory": 0, "max_cycles": 1_000_000, "max_state_size": 0}
        self.state_key = containers.EMPTY_STATE_KEY
        self.data = b""
        self.bodies: list[_Body] = []
        self.exports: list[Export] = []

    def line(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if word in _NUMBERS:
            self.fields[_NUMBERS[word]] = _number(rest)
        elif word.startswith("."):
            self._directive(word, rest.strip())
        elif match := _LABEL.fullmatch(text):
            self._label(match.group(1))
        else:
            self._instruction(word, rest.split())

    def _directive(self, word: str, rest: str) -> None:
        if word == ".func":
            self._function(rest)
        elif word == ".data":
            if _DATA.sub("", rest).strip():
                raise ValueError('data is "text" or 0x and pairs of digits')
            found = [text.encode() + bytes.fromhex(digits) for text, digits in _DATA.findall(rest)]
            self.data += b"".join(found)
        elif word == ".state_key":
            self.state_key = bytes.fromhex(rest)
        elif word != ".machine" or rest not in MACHINE_NAMES:
            raise ValueError(f"{word} {rest}: not known here")

    def _function(self, text: str) -> None:
        if match := _EXPORTED.fullmatch(text):
            name, listed, results, slots = match.groups()
            found = [_PARAMETER.fullmatch(part.strip()) for part in listed.split(",")] if listed.strip() else []
            parameters = tuple(Parameter(one.group(1), Kind[one.group(2).upper()]) for one in found if one)
            if len(parameters) != len(found):
                raise ValueError("a parameter is `name: int` or `name: bytes`")
            export = Export(len(self.bodies), name, parameters)
            self.exports.append(export)
            cells = export.cells
        elif match := _INNER.fullmatch(text):
            name, count, results, slots = match.groups()
            cells = int(count)
        else:
            raise ValueError("a function is `name(x: int) -> 1 locals 2` or `name/1 -> 1 locals 2`")
        self.bodies.append(_Body(name, cells, int(results), int(slots) if slots else cells))

    @property
    def _open(self) -> _Body:
        if not self.bodies:
            raise ValueError("stands before the first .func")
        return self.bodies[-1]

    def _label(self, name: str) -> None:
        if name in self._open.labels:
            raise ValueError(f"{name} is there already")
        self._open.labels[name] = len(self._open.code)

    def _instruction(self, word: str, words: list[str]) -> None:
        body, op = self._open, Op[word]
        kind = TABLE[op].immediate
        if (len(words) == 0) != (kind is Immediate.NONE) or (len(words) > 1 and kind is not Immediate.MODE):
            raise ValueError(f"{word} takes {kind or 'nothing'}")
        value = 0
        if kind is Immediate.CELL:
            value = _number(words[0])
        elif kind is Immediate.MODE:
            value = _mode(words)
        elif kind is Immediate.TARGET:
            body.jumps.append((len(body.code) + 1, words[0]))
        elif kind is Immediate.FUNCTION:
            body.calls.append((len(body.code) + 1, words[0]))
        body.code += encode(op, value)

    def _linked(self) -> tuple[bytes, tuple[Function, ...]]:
        """The code with targets and indices filled in; the stack of each function is not known yet."""
        indices = {body.name: index for index, body in enumerate(self.bodies)}
        if len(indices) != len(self.bodies):
            raise InvalidField("two functions of one name", field="source")
        code, functions = bytearray(), []
        for body in self.bodies:
            start = len(code)
            functions.append(Function(start, body.parameters, body.results, body.slots, 0))
            code += body.code
            for at, name in body.jumps:
                target = start + _known(body.labels, name, body)
                code[start + at : start + at + 2] = target.to_bytes(2, "little")
            for at, name in body.calls:
                code[start + at] = _known(indices, name, body)
        return bytes(code), tuple(functions)

    def container(self) -> Container:
        code, functions = self._linked()
        reserved = self.fields.pop("reserved", len(self.data) + -len(self.data) % ALIGNMENT)
        draft = Container(
            functions=functions,
            exports=tuple(self.exports),
            code=code,
            data=self.data,
            reserved=reserved,
            state_key=self.state_key,
            **self.fields,
        )
        return with_stacks(draft)


def _known(places: dict[str, int], name: str, body: _Body) -> int:
    if name not in places:
        raise InvalidField(f"{name} is named in {body.name} and is nowhere", field="source")
    return places[name]


def with_stacks(draft: Container) -> Container:
    """`draft` with the stack that each function needs. Raises BadContract where the code has a fault."""
    functions = []
    for index, function in enumerate(draft.functions):
        _, highest = walk_function(draft, index, decode_function(draft, index))
        functions.append(function._replace(stack=highest))
    return msgspec.structs.replace(draft, functions=tuple(functions))


def parse(source: str) -> Container:
    """The contract that `source` describes. Raises InvalidField with the line, BadContract with the address."""
    assembly = _Assembly()
    for number, line in enumerate(source.splitlines(), 1):
        said = _SAID.fullmatch(line)
        text = said[1].strip() if said else line.strip()
        try:
            if text:
                assembly.line(text)
        except (ValueError, KeyError, OverflowError) as error:
            raise InvalidField(str(error), field=f"line {number}", fix="see docs/spec/bytecode.md") from None
    return assembly.container()


def assemble(source: str) -> bytes:
    """The container's bytes; they load, or BadContract says why not."""
    data = containers.encode(parse(source))
    containers.decode(data)
    return data
