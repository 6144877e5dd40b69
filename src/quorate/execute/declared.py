"""What a contract declares, whichever form it has."""

from __future__ import annotations

from quorate.errors import BadContract
from quorate.execute.bytecode import declaration as bytecode
from quorate.execute.bytecode.container import MAGIC
from quorate.execute.contract_wasm import declaration as wasm
from quorate.model.contract import Contract

WASM_MAGIC = b"\0asm"


def contract_of(program: bytes) -> Contract:
    """The declaration in a container, or in a module's section. Raises BadContract, and for a module what
    `contract_wasm.declaration.interface_of` raises."""
    if program.startswith(MAGIC):
        return bytecode.contract_of(program)
    if not program.startswith(WASM_MAGIC):
        raise BadContract(
            "neither a container nor a WebAssembly module",
            field="program",
            fix="build it with `quorate contract build`",
        )
    return wasm.contract_of(program)
