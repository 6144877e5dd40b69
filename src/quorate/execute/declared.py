"""What a contract declares, whichever form it has."""

from __future__ import annotations

from quorate.execute.bytecode import declaration as bytecode
from quorate.execute.bytecode.container import MAGIC
from quorate.execute.contract_wasm import declaration as wasm
from quorate.model.contract import Contract


def contract_of(program: bytes) -> Contract:
    """The declaration in a container, or in a module's section. Raises BadContract, and for what is no container what
    `contract_wasm.declaration.interface_of` raises."""
    return bytecode.contract_of(program) if program.startswith(MAGIC) else wasm.contract_of(program)
