"""The byte form of a contract: header, functions, exports, data, code, check. All integers are little-endian.

    header     68 bytes, see `_HEADER`
    functions  6 bytes each: start u16, parameters u8, results u8, locals u8, stack u8
    exports    function u8, name, count of parameters u8, each: kind u8, name. A name is its length u8 and its letters
    data       copied to memory from address 0 when a run starts
    code       function i spans from its start to the start of the next
    check      the first 4 bytes of the BLAKE3-256 of everything before

There is one byte form for each contract. Its address is the BLAKE3-256 of the whole container. Fields are checked in
the order of `Fault`.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from quorate.execute.bytecode.faults import Fault, refusal
from quorate.execute.bytecode.opcodes import CELL_MAX, LOCALS_MAX

MAGIC: Final = b"MHRB"
VERSION: Final = 1
SCHEDULE: Final = 1
CONTAINER_BYTES_MAX: Final = 1 << 18
CELLS_MAX: Final = 1024
MEMORY_MAX: Final = 1 << 24
STATE_MAX: Final = 1 << 24
FUNCTIONS_MAX: Final = 256
EXPORTS_MAX: Final = 64
PARAMETERS_MAX: Final = 16
RESULTS_MAX: Final = 16
NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{0,31}")
CHECK_BYTES: Final = 4
ALIGNMENT: Final = 8
EMPTY_STATE_KEY: Final = blake3(b"\xa0").digest()
"""The key of the state without entries, an empty CBOR map."""

_HEADER = struct.Struct("<4sBBHIIQIHH32sHH")
# magic, version, schedule, max_cells, max_memory, max_state_size, max_cycles, reserved, data bytes, code bytes,
# state_key, count of functions, count of exports
_FUNCTION = struct.Struct("<HBBBB")


class Kind(IntEnum):
    """What an argument is: one cell, or bytes in memory given as two cells, address and length."""

    INT = 1
    BYTES = 2

    @property
    def cells(self) -> int:
        return 1 if self is Kind.INT else 2


class Parameter(NamedTuple):
    name: str
    kind: Kind


class Function(NamedTuple):
    """`locals` counts the parameters too; `stack` is the greatest height of the operand stack."""

    start: int
    parameters: int
    results: int
    locals: int
    stack: int


class Export(NamedTuple):
    """A function that may be called from outside, with its name and typed parameters."""

    function: int
    name: str
    parameters: tuple[Parameter, ...]

    @property
    def cells(self) -> int:
        return sum(parameter.kind.cells for parameter in self.parameters)


class Container(msgspec.Struct, frozen=True):
    """What a contract declares. `reserved` is the address from which bytes arguments are placed; `state_key` is the key
    of the state it is born with."""

    max_memory: int
    max_cycles: int
    max_state_size: int
    functions: tuple[Function, ...]
    exports: tuple[Export, ...]
    code: bytes
    data: bytes = b""
    reserved: int = 0
    max_cells: int = CELLS_MAX
    state_key: bytes = EMPTY_STATE_KEY

    def end_of(self, index: int) -> int:
        """Where the code of function `index` ends."""
        return self.functions[index + 1].start if index + 1 < len(self.functions) else len(self.code)


def address_of(container: bytes) -> bytes:
    """The name of a contract."""
    return blake3(container).digest()


def declared_memory(container: bytes) -> int:
    """The memory that a container asks for, in bytes, read before anything of it is checked; 0 for one that is cut
    off."""
    return int(_HEADER.unpack_from(container)[4]) if len(container) >= _HEADER.size else 0


def check_of(body: bytes) -> bytes:
    return blake3(body).digest()[:CHECK_BYTES]


def _named(name: str) -> bytes:
    return bytes([len(name)]) + name.encode("ascii")


def _encode_export(export: Export) -> bytes:
    parameters = b"".join(bytes([kind]) + _named(name) for name, kind in export.parameters)
    return bytes([export.function]) + _named(export.name) + bytes([len(export.parameters)]) + parameters


def encode(container: Container) -> bytes:
    """The byte form. Values that do not fit their field raise ValueError or struct.error; other faults are found when
    the bytes are loaded."""
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        SCHEDULE,
        container.max_cells,
        container.max_memory,
        container.max_state_size,
        container.max_cycles,
        container.reserved,
        len(container.data),
        len(container.code),
        container.state_key,
        len(container.functions),
        len(container.exports),
    )
    functions = b"".join(_FUNCTION.pack(*function) for function in container.functions)
    exports = b"".join(map(_encode_export, container.exports))
    body = header + functions + exports + container.data + container.code
    return body + check_of(body)


class _Reader:
    """A cursor over the container up to its check."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise refusal(Fault.TRUNCATED, "the container ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def name(self) -> str:
        raw = self.take(self.byte())
        if not NAME.fullmatch(raw):
            raise refusal(Fault.EXPORT_NAME, "not a name", limit="a letter or _, then letters, digits, _; 32 in all")
        return raw.decode("ascii")


def _read_parameter(reader: _Reader) -> Parameter:
    kind = reader.byte()
    if kind not in (Kind.INT, Kind.BYTES):
        raise refusal(Fault.EXPORT_KIND, f"{kind} is not a kind of argument")
    return Parameter(reader.name(), Kind(kind))


def _read_export(reader: _Reader) -> Export:
    function, name, count = reader.byte(), reader.name(), reader.byte()
    if count > PARAMETERS_MAX:
        raise refusal(Fault.EXPORT_CELLS, f"{count} parameters", limit=f"{PARAMETERS_MAX}")
    return Export(function, name, tuple(_read_parameter(reader) for _ in range(count)))


def _check_envelope(data: bytes, address: bytes | None) -> None:
    """Size, magic, version, schedule, and that no byte was changed."""
    if len(data) > CONTAINER_BYTES_MAX:
        raise refusal(Fault.OVERSIZE, f"{len(data)} bytes", limit=f"{CONTAINER_BYTES_MAX} bytes")
    if len(data) < _HEADER.size + CHECK_BYTES:
        raise refusal(Fault.TRUNCATED, "shorter than a header")
    if data[:4] != MAGIC:
        raise refusal(Fault.BAD_MAGIC, "not a contract")
    if data[4] != VERSION:
        raise refusal(Fault.BAD_VERSION, f"version {data[4]}", limit=f"version {VERSION}")
    if data[5] != SCHEDULE:
        raise refusal(Fault.BAD_SCHEDULE, f"cost schedule {data[5]}", limit=f"schedule {SCHEDULE}")
    if data[-CHECK_BYTES:] != check_of(data[:-CHECK_BYTES]):
        raise refusal(Fault.BAD_CHECK, "the bytes were changed: the check at the end differs")
    if address is not None and address_of(data) != address:
        raise refusal(Fault.WRONG_ADDRESS, "another contract: its digest differs from the address asked for")


def _check_limits(container: Container) -> None:
    if not 1 <= container.max_cells <= CELLS_MAX:
        raise refusal(Fault.LIMIT_CELLS, f"max_cells {container.max_cells}", limit=f"1 to {CELLS_MAX}")
    if container.max_memory > MEMORY_MAX:
        raise refusal(Fault.LIMIT_MEMORY, f"max_memory {container.max_memory}", limit=f"{MEMORY_MAX} bytes")
    if container.max_state_size > STATE_MAX:
        raise refusal(Fault.LIMIT_STATE, f"max_state_size {container.max_state_size}", limit=f"{STATE_MAX} bytes")
    if not 1 <= container.max_cycles <= CELL_MAX:
        raise refusal(Fault.LIMIT_CYCLES, f"max_cycles {container.max_cycles}", limit="1 to 2^63 - 1")
    aligned = container.reserved % ALIGNMENT == 0
    if not aligned or container.reserved > container.max_memory:
        raise refusal(Fault.RESERVED_AREA, f"reserved {container.reserved}", limit="a multiple of 8 up to max_memory")


def _check_functions(container: Container) -> None:
    for index, function in enumerate(container.functions):
        first = container.functions[index - 1].start + 1 if index else 0
        if function.start < first or (index == 0 and function.start) or function.start >= len(container.code):
            raise refusal(Fault.FUNCTION_START, f"function {index} starts at {function.start}")
        if function.parameters > function.locals or function.locals > LOCALS_MAX:
            raise refusal(Fault.FUNCTION_LOCALS, f"function {index} has {function.locals} locals")
        if function.results > RESULTS_MAX:
            raise refusal(Fault.FUNCTION_RESULTS, f"function {index} has {function.results} results")
        if function.locals + function.stack > container.max_cells:
            raise refusal(Fault.FRAME_SIZE, f"function {index} needs more cells than max_cells")


def _check_exports(container: Container) -> None:
    previous = -1
    for export in container.exports:
        if not previous < export.function < len(container.functions):
            raise refusal(Fault.EXPORT_ORDER, f"{export.name} names function {export.function} out of order")
        names = [parameter.name for parameter in export.parameters]
        if len(set(names)) != len(names):
            raise refusal(Fault.EXPORT_NAME, f"{export.name} has two parameters of one name")
        if export.cells != container.functions[export.function].parameters:
            raise refusal(Fault.EXPORT_CELLS, f"{export.name} declares {export.cells} cells of arguments")
        previous = export.function
    if len({export.name for export in container.exports}) != len(container.exports):
        raise refusal(Fault.EXPORT_NAME, "two exports of one name")


def decode(data: bytes, address: bytes | None = None) -> Container:
    """The contract in `data`; with `address`, only that contract. Raises BadContract. Code is not looked at."""
    _check_envelope(data, address)
    fields = _HEADER.unpack_from(data)
    cells, memory, state, cycles, reserved, data_size, code_size, state_key, functions, exports = fields[3:]
    declared = Container(memory, cycles, state, (), (), b"", b"", reserved, cells, state_key)
    _check_limits(declared)
    if data_size > reserved:
        raise refusal(Fault.RESERVED_AREA, f"{data_size} bytes of data in {reserved} reserved")
    if not 1 <= functions <= FUNCTIONS_MAX:
        raise refusal(Fault.FUNCTION_COUNT, f"{functions} functions", limit=f"1 to {FUNCTIONS_MAX}")
    if not 1 <= exports <= EXPORTS_MAX:
        raise refusal(Fault.EXPORT_COUNT, f"{exports} exports", limit=f"1 to {EXPORTS_MAX}")
    reader = _Reader(data, _HEADER.size, len(data) - CHECK_BYTES)
    container = msgspec.structs.replace(
        declared,
        functions=tuple(Function(*_FUNCTION.unpack(reader.take(_FUNCTION.size))) for _ in range(functions)),
        exports=tuple(_read_export(reader) for _ in range(exports)),
        data=reader.take(data_size),
        code=reader.take(code_size),
    )
    if reader.at != reader.end:
        raise refusal(Fault.TRAILING_BYTES, f"{reader.end - reader.at} bytes too many")
    _check_functions(container)
    _check_exports(container)
    return container
