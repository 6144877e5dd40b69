"""Contracts translated to WebAssembly, with exact cycles, against the same algorithms in C by the system's compiler at
-O2: an arithmetic loop, a sieve and a recursion, in one run. And against revm, through pyrevm, with the three
programs of `contracts.py`.

Both sides run in this process and alternate; each pair gives a ratio of processor time of this thread, and the median
ratio is the figure. A run of a contract includes its fresh store. Without a C compiler the ratios are left out with the
reason, and the speeds of the contracts are still printed; likewise without pyrevm. Both sides of `revm_ratio` are the
least processor time of several runs, and a run of ours includes its fresh store.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from _contract_programs import PROGRAMS as PROGRAMS_FOR_REVM
from _machine import facts
from _peers import Missing, installed

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.host import Call, Context, Outcome, Status
from quorate.execute.bytecode.opcodes import CELL_MAX
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.translate.engine import TranslationEngine
from quorate.execute.bytecode.verify import load
from quorate.execute.wasm.wasmtime_engine import wasmtime_version

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "bench" / "peers" / "kernels.c"
PAIRS = 9
REVM_RUNS, REVM_GOAL = 5, 10.0
REVM_ARGUMENTS = {"loop": 3_000_000, "sieve": 60_000, "fib": 29}
NOWHERE = Context.of(bytes(16), bytes(16))

LOOP = """
.func loop(rounds: int) -> 1 locals 3
    PUSH 1
    STORE local 2
again:
    LOAD local 2
    LOAD local 1
    LOAD local 2
    ADD
    PUSH 1000000007
    MOD
    STORE local 2
    STORE local 1
    LOAD local 0
    PUSH 1
    SUB
    DUP
    STORE local 0
    JNZ again
    LOAD local 1
    RET
"""
SIEVE = """
.memory 60000
.func sieve(rounds: int) -> 1 locals 5
    PUSH 1
    STORE local 4
next_round:
    PUSH 0
    STORE local 3
    PUSH 2
    STORE local 1
next_number:
    LOAD local 1
    LOAD u8
    LOAD local 4
    EQ
    JNZ marked
    LOAD local 3
    PUSH 1
    ADD
    STORE local 3
    LOAD local 1
    DUP
    ADD
    STORE local 2
multiples:
    LOAD local 2
    PUSH 60000
    LT
    JZ marked
    LOAD local 2
    LOAD local 4
    STORE u8
    LOAD local 2
    LOAD local 1
    ADD
    STORE local 2
    JMP multiples
marked:
    LOAD local 1
    PUSH 1
    ADD
    DUP
    STORE local 1
    PUSH 60000
    LT
    JNZ next_number
    LOAD local 4
    PUSH 1
    ADD
    DUP
    STORE local 4
    LOAD local 0
    LTE
    JNZ next_round
    LOAD local 3
    RET
"""
RECURSION = """
.func recursion(n: int) -> 1
    LOAD local 0
    PUSH 2
    LT
    JNZ small
    LOAD local 0
    PUSH 1
    SUB
    CALL recursion
    LOAD local 0
    PUSH 2
    SUB
    CALL recursion
    ADD
    RET
small:
    LOAD local 0
    RET
"""


class Kernel(NamedTuple):
    """A contract, how often or how deep it runs, and the most time it may take, as a multiple of C."""

    source: str
    argument: int
    goal_ratio: float


KERNELS_HERE = {
    "loop": Kernel(LOOP, 20_000_000, 1.5),
    "sieve": Kernel(SIEVE, 200, 5.0),
    "recursion": Kernel(RECURSION, 32, 5.0),
}


def native(folder: Path) -> tuple[ctypes.CDLL, str]:
    """The kernels in C, and the compiler's name for itself. Raises Missing."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("no C compiler: there is no cc")
    library = folder / "kernels.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(KERNELS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Missing(f"cc fails: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    named = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return ctypes.CDLL(str(library)), named


def translated(engine: TranslationEngine, name: str, kernel: Kernel) -> Callable[[], Outcome]:
    text = f".cycles {CELL_MAX}\n{kernel.source}"
    program = engine.compile(load(assemble(text)))
    call = Call(name, (kernel.argument,))
    return lambda: engine.run(program, call, State(), NOWHERE)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.thread_time_ns()
    answer = work()
    return (time.thread_time_ns() - began) / 1e9, answer


def in_c(library: ctypes.CDLL, name: str, argument: int) -> Callable[[], int]:
    function = library[name]
    function.argtypes, function.restype = [ctypes.c_int64], ctypes.c_int64
    return lambda: int(function(argument))


def measured(name: str, kernel: Kernel, library: ctypes.CDLL | None) -> dict[str, Any]:
    run = translated(TranslationEngine(), name, kernel)
    outcome = run()
    assert outcome.status is Status.OK, outcome
    pairs = []
    for _ in range(PAIRS):
        took, _ = timed(run)
        beside = 0.0
        if library is not None:
            beside, value = timed(in_c(library, name, kernel.argument))
            assert (value,) == outcome.results, "the two sides disagree"
        pairs.append((took, beside))
    figures: dict[str, Any] = {
        f"{name}_s": round(statistics.median(took for took, _ in pairs), 4),
        f"{name}_mcycles_per_s": round(outcome.cycles / 1e6 / statistics.median(took for took, _ in pairs)),
    }
    if library is not None:
        ratio = statistics.median(took / beside for took, beside in pairs)
        figures[f"{name}_ratio_to_c"] = round(ratio, 2)
        figures[f"{name}_ratio_goal_max"] = kernel.goal_ratio
        figures[f"{name}_goal_met"] = ratio <= kernel.goal_ratio
    return figures


def beside_revm() -> tuple[dict[str, Any], str]:
    """revm's time by ours, and pyrevm's version. Raises Missing."""
    peers = installed()
    words = [f"{name}={argument}" for name, argument in REVM_ARGUMENTS.items()]
    theirs = peers.run("revm_contracts", REVM_RUNS, *words)
    figures: dict[str, Any] = {}
    for name, argument in REVM_ARGUMENTS.items():
        run = translated(TranslationEngine(), name, Kernel(PROGRAMS_FOR_REVM[name][0], argument, 0))
        least = min(timed(run)[0] for _ in range(REVM_RUNS))
        assert run().results == (theirs[f"{name}_answer"],), "the two sides disagree"
        figures[f"{name}_beside_revm_ms"] = round(1000 * least, 3)
        figures[f"{name}_revm_ms"] = round(1000 * theirs[f"{name}_s"], 3)
        figures[f"{name}_revm_ratio"] = round(theirs[f"{name}_s"] / least, 1)
        figures[f"{name}_revm_ratio_goal_min"] = REVM_GOAL
    return figures, peers.versions["pyrevm"]


def main() -> None:
    (ROOT / "build").mkdir(exist_ok=True)
    missing: dict[str, str] = {}
    library, compiler = None, ""
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="t") as folder:
        try:
            library, compiler = native(Path(folder))
        except Missing as reason:
            missing["c"] = str(reason)
        figures: dict[str, Any] = {}
        for name, kernel in KERNELS_HERE.items():
            figures |= measured(name, kernel, library)
        machine = facts(Path(folder))
    peers = {"wasmtime": wasmtime_version()} | ({"cc": compiler} if compiler else {})
    try:
        beside, peers["pyrevm"] = beside_revm()
        figures |= beside
    except Missing as reason:
        missing["pyrevm"] = str(reason)
    print(json.dumps({"figures": figures, "machine": machine, "peers": peers, "missing": missing}))


if __name__ == "__main__":
    main()
