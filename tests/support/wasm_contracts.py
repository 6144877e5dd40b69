"""Contracts in WebAssembly for tests: WAT with the imports and what it declares, and the engine that runs them."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from quorate.execute.bytecode.host import Argument, Call, Context, Outcome
from quorate.execute.bytecode.state import State
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.declaration import declare
from quorate.execute.contract_wasm.engine import Compiled, ContractEngine
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm
from quorate.model.contract import FunctionSignature, Parameter
from quorate.model.declaration import Declaration
from quorate.model.units import MIB

SELF, SENDER = b"\xaa" * 16, b"\xbb" * 16
CONTEXT = Context(SELF, SENDER)
CYCLES = 10**6
EMPTY = State()


def signature(text: str) -> FunctionSignature:
    """`register(name: bytes, epochs: int)` as a signature."""
    name, _, rest = text.partition("(")
    parts = [part.split(":") for part in rest.rstrip(")").split(",") if part]
    kinds = tuple(Parameter(name=label.strip(), kind=kind.strip()) for label, kind in parts)  # type: ignore[arg-type]
    return FunctionSignature(name=name, parameters=kinds)


def declaration(*functions: str, **fields: Any) -> Declaration:
    """What a small contract with these functions declares."""
    small = Declaration(
        schedule=1,
        wasm_tier="light",
        max_memory_bytes=MIB,
        max_cycles=CYCLES,
        max_state_bytes=4096,
        argument_bytes=1024 if any("bytes" in text for text in functions) else 0,
        state=State().key,  # type: ignore[arg-type]
        functions=tuple(sorted(map(signature, functions or ("run()",)), key=lambda function: function.name)),
    )
    return msgspec.structs.replace(small, **fields)


def imports() -> str:
    """All ten, by their names without `mehr_`."""
    lines = []
    for name, (_, (parameters, results)) in abi.IMPORTS.items():
        kinds = f"(param {' '.join(parameters)}) (result {' '.join(results)})".replace("(result )", "")
        lines.append(f'(import "mehr" "{name}" (func ${name.removeprefix("mehr_")} {kinds.replace("(param ) ", "")}))')
    return "\n".join(lines)


ARGUMENTS_AT, ANSWER_AT = 1024, 512
PLACES = f"""(memory (export "memory") 1)
(global (export "quorate_arguments") i32 (i32.const {ARGUMENTS_AT}))
(global (export "quorate_answer") i32 (i32.const {ANSWER_AT}))"""


def contract(body: str, *functions: str, places: str = PLACES, **fields: Any) -> bytes:
    """The contract of `body`, in WAT, with all imports and the usual places."""
    return declare(wat_to_wasm(f"(module {imports()} {places} {body})"), declaration(*functions, **fields))


def one(code: str, result: str = "", **fields: Any) -> bytes:
    """The contract whose `run()` is `code`."""
    return contract(f'(func (export "run") {f"(result {result})" if result else ""} {code})', **fields)


@cache
def engine() -> ContractEngine:
    return ContractEngine(WasmtimeEngine())


@cache
def compiled(module: bytes) -> Compiled:
    return engine().compile(module)


def call(
    module: bytes,
    function: str = "run",
    *arguments: Argument,
    state: State | None = EMPTY,
    context: Context = CONTEXT,
    cycles: int = CYCLES,
) -> Outcome:
    return engine().run(compiled(module), Call(function, arguments, cycles), state, context)
