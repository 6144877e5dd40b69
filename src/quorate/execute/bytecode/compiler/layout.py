"""Where constant bytes and static buffers lie in memory: constants first, then buffers, then arguments of a call.

Only what the linked code names is placed. A constant that lies inside another one is not stored twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quorate.errors import CompileError
from quorate.execute.bytecode.container import ALIGNMENT

DATA_BYTES_MAX: Final = 0xFFFF


class Layout:
    """Symbols by name. `place` gives them addresses."""

    def __init__(self) -> None:
        self.constants: dict[str, bytes] = {}
        self.buffers: dict[str, int] = {}

    def constant(self, value: bytes) -> str:
        """The symbol of constant bytes."""
        name = f"constant:{value.hex()}"
        self.constants[name] = value
        return name

    def buffer(self, name: str, size: int) -> str:
        """The symbol of a static buffer."""
        self.buffers[name] = size
        return name

    def place(self, used: Iterable[str]) -> tuple[bytes, dict[str, int], int]:
        """Data, the address of each used symbol, and where arguments begin. Raises CompileError."""
        names = set(used)
        data, places = bytearray(), {}
        values = {name: value for name, value in self.constants.items() if name in names}
        for name, value in sorted(values.items(), key=lambda pair: (-len(pair[1]), pair[1])):
            at = data.find(value)
            places[name] = at if at >= 0 else len(data)
            data += value if at < 0 else b""
        if len(data) > DATA_BYTES_MAX:
            raise CompileError(f"{len(data)} bytes of constants", field="source", limit=f"{DATA_BYTES_MAX} bytes")
        end = _aligned(len(data))
        for name, size in self.buffers.items():
            if name in names:
                places[name] = end
                end = _aligned(end + size)
        return bytes(data), places, end


def _aligned(at: int) -> int:
    return at + -at % ALIGNMENT
