"""What a bytecode contract declares of itself, from the header and the exports of its container."""

from __future__ import annotations

from quorate.execute.bytecode.container import Container, Kind
from quorate.execute.bytecode.verify import load
from quorate.execute.engine import module_digest
from quorate.model.contract import Contract, FunctionSignature, Parameter
from quorate.model.units import Digest


def signatures_of(container: Container) -> tuple[FunctionSignature, ...]:
    """The functions that may be called, by name."""
    functions = (
        FunctionSignature(
            name=export.name,
            parameters=tuple(
                Parameter(name=name, kind="bytes" if kind is Kind.BYTES else "int") for name, kind in export.parameters
            ),
        )
        for export in container.exports
    )
    return tuple(sorted(functions, key=lambda function: function.name))


def contract_of(data: bytes) -> Contract:
    """What the contract in `data` declares. Raises BadContract."""
    container = load(data).container
    return Contract(
        kind="bytecode",
        program=module_digest(data),
        size_bytes=len(data),
        wasm_tier="none",
        max_memory_bytes=container.max_memory,
        max_cycles=container.max_cycles,
        max_state_bytes=container.max_state_size,
        state=Digest(container.state_key),
        functions=signatures_of(container),
    )
