"""Run as a program: makes and warms the engine and goes into the jail as a worker does, then compiles and runs the
contract on its standard input, and prints what came of each of its functions as JSON.

python contract_probe.py PARENT_PID < contract.wasm
"""

import json
import sys

from quorate.execute import jail
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.state import State
from quorate.execute.contract_wasm.engine import ContractEngine, NativeStackOverflow
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine
from quorate.execute.worker import warm_up

SELF, SENDER = b"\xaa" * 16, b"\xbb" * 16
CONTEXT = Context.of(SELF, SENDER, 7, {SELF: 100})


def ends(engine: ContractEngine, module: bytes) -> dict[str, str]:
    compiled = engine.load(module, engine.artefact(engine.compile(module)))
    found = {}
    for function in compiled.interface.contract.functions:
        try:
            found[function.name] = repr(engine.run(compiled, Call(function.name), State(), CONTEXT))
        except NativeStackOverflow as fault:
            found[function.name] = repr(fault)
    return found


if __name__ == "__main__":
    MODULE = sys.stdin.buffer.read()
    BASE = WasmtimeEngine()
    ENGINE = ContractEngine(BASE)
    warm_up(BASE)
    HELD = jail.apply(jail.JailPolicy(parent=int(sys.argv[1])))
    print(json.dumps({"held": HELD, "ends": ends(ENGINE, MODULE)}))
