"""How fast contracts run: cycles a second on the host's engine and on the reference, three programs against revm
(through pyrevm), the whole way of a small contract, what compiled Python costs beside assembly, and the machine on two
emulated boards.

A figure is the least processor time of several runs; only through the jail it is the clock's. The peer runs the same
algorithms, written for its own machine. `ratio_to_revm` is its time by ours. A cycle is a microsecond of the machine
that the costs were made for, so that a million cycles a second is its speed, and `mcycles_per_s` is also how many times
faster a host is.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _boards
import _contract_calls
from _contract_programs import PROGRAMS
from _machine import facts
from _peers import Missing, installed

from quorate.execute.bytecode import reference
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engine import MachineEngine
from quorate.execute.bytecode.flat import encode_request
from quorate.execute.bytecode.host import Call, Context, Outcome
from quorate.execute.bytecode.verify import load

ROOT = Path(__file__).resolve().parent.parent
REVM_GOAL, HAND_GOAL = 2.0, 1.25
RUNS, SMALL_RUNS = 5, 2000
SMALL = ".func add(a: int, b: int) -> 1\nLOAD local 0\nLOAD local 1\nADD\nRET"
CONTEXT = Context.of(b"\xaa" * 16, b"\xbb" * 16)


def least_seconds(runs: int, action: Callable[[], Outcome]) -> tuple[Outcome, float]:
    took = []
    for _ in range(runs):
        began = time.process_time()
        outcome = action()
        took.append(time.process_time() - began)
    return outcome, min(took)


def ours(engine: MachineEngine) -> tuple[dict[str, Any], dict[str, int], dict[str, float]]:
    """Figures, the answers, and seconds of the large runs."""
    figures: dict[str, Any] = {}
    answers, seconds = {}, {}
    for name, (text, large, small) in PROGRAMS.items():
        code = assemble(text)
        outcome, took = least_seconds(RUNS, lambda code=code, name=name, n=large: run(engine, code, name, n))  # type: ignore[misc]
        figures[f"{name}_mcycles_per_s"] = round(outcome.cycles / took / 1e6, 1)
        figures[f"{name}_ms"] = round(1000 * took, 3)
        answers[name], seconds[name] = outcome.results[0], took
        contract, call = load(code), Call(name, (small,))
        plain, slow = least_seconds(2, lambda one=contract, call=call: reference.run(one, call, None, CONTEXT))  # type: ignore[misc]
        assert plain == run(engine, code, name, small)
        figures[f"{name}_reference_mcycles_per_s"] = round(plain.cycles / slow / 1e6, 2)
    return figures, answers, seconds


def run(engine: MachineEngine, code: bytes, name: str, argument: int) -> Outcome:
    return engine.run(code, Call(name, (argument,)), None, CONTEXT)


def small_contract(engine: MachineEngine) -> dict[str, Any]:
    """Load, verify and run of the smallest useful contract, from bytes to outcome."""
    code, call = assemble(SMALL), Call("add", (2, 3))

    def many() -> Outcome:
        for _ in range(SMALL_RUNS):
            outcome = engine.run(code, call, None, CONTEXT)
        return outcome

    outcome, took = least_seconds(RUNS, many)
    assert outcome.results == (5,)
    return {"small_contract_bytes": len(code), "small_contract_us": round(1e6 * took / SMALL_RUNS, 1)}


def compared(seconds: dict[str, float], answers: dict[str, int], peer: dict[str, float]) -> dict[str, Any]:
    """The peer's time by ours. The two must agree on the answers."""
    figures = {}
    for name, took in seconds.items():
        assert peer[f"{name}_answer"] == answers[name], f"the two sides disagree about {name}"
        figures[f"{name}_revm_ms"] = round(1000 * peer[f"{name}_s"], 3)
        figures[f"{name}_ratio_to_revm"] = round(peer[f"{name}_s"] / took, 2)
        figures[f"{name}_ratio_to_revm_goal_min"] = REVM_GOAL
    return figures


def compiled() -> dict[str, Any]:
    """Cycles of Python programs by those of the same in assembly. Exact: the five programs are those of the test."""
    sys.path.insert(0, str(ROOT))
    from tests.unit.execute.contracts.test_cycles import PROGRAMS as BOTH_WAYS

    ratios = {name.replace(" ", "_"): both.compiled / both.by_hand for name, both in BOTH_WAYS.items()}
    figures: dict[str, Any] = {f"{name}_compiled_to_hand": round(ratio, 3) for name, ratio in ratios.items()}
    return figures | {"compiled_to_hand_goal_max": HAND_GOAL}


def main() -> None:
    engine = MachineEngine()
    figures, answers, seconds = ours(engine)
    figures |= small_contract(engine) | _contract_calls.figures(engine) | compiled()
    report: dict[str, Any] = {"peers": {}}
    try:
        peers = installed()
        words = [f"{name}={large}" for name, (_, large, _) in PROGRAMS.items()]
        figures |= compared(seconds, answers, peers.run("revm_contracts", RUNS, *words))
        report["peers"] = {"pyrevm": peers.versions["pyrevm"]}
    except Missing as fault:
        report["missing"] = {"pyrevm": str(fault)}
    requests = {
        name: encode_request(assemble(text), Call(name, (small,)), None, CONTEXT)
        for name, (text, _, small) in PROGRAMS.items()
    }
    figures |= _boards.figures(requests)
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="c") as name:
        report["machine"] = facts(Path(name))
    print(json.dumps({"figures": figures, **report}))


if __name__ == "__main__":
    sys.exit(main())
