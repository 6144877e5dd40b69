"""From the Python subset to a WebAssembly contract."""

from __future__ import annotations

from quorate.errors import BadContract, CompileError
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.verify import load
from quorate.execute.contract_wasm.from_bytecode.module import contract_module


def build(source: str, name: str) -> bytes:
    """The contract that `source`, a file called `name`, describes. Raises CompileError with file and line, TooLarge,
    and InvalidField for limits that no tier has."""
    compiled = compile_contract(source, name)
    try:
        return contract_module(load(compiled.container))
    except BadContract as error:
        line = compiled.lines[error.at]
        raise CompileError(error.message, field=f"{line.file}:{line.line}", limit=error.limit, fix=error.fix) from None
