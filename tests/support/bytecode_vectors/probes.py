"""Probes: a function that loads its arguments, does one instruction, and returns what is left.

A probe's fixed part is known by heart here, so that pc and cycles can be stated without the reference: an argument is a
LOAD of two bytes and 3 cycles, RET is 3 cycles.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from tests.support.bytecode_vectors.form import Case, Json

from quorate.execute.bytecode.assembler import assemble

LOAD_CYCLES, RET_CYCLES, LOAD_BYTES = 3, 3, 2
# The cycles of docs/spec/bytecode.md once more, by hand, so that a slip in the table shows.
ONE_CYCLE = "PUSH POP DUP SWAP OVER ROT ADD SUB NEG ABS MIN MAX AND OR XOR NOT SHL SHR EQ NEQ LT GT LTE GTE"
COST = dict.fromkeys(re.findall(r"\w+", ONE_CYCLE), 1) | {
    "MUL": 2, "DIV": 3, "MOD": 3,
    "JMP": 2, "JZ": 2, "JNZ": 2, "CALL": 5, "RET": 3, "HALT": 2, "ABORT": 2,
    "HASH": 500, "VERIFY_SIG": 1000, "VERIFY_VRF": 2000,
    "BALANCE": 10, "SENDER": 2, "SELF": 2, "EPOCH": 5, "TRANSFER": 50, "LOG": 10,
    "LOAD": 3, "STORE": 3, "MSIZE": 2, "EMIT": 10,
}  # fmt: skip


@lru_cache(maxsize=512)
def probe(instruction: str, operands: int, results: int, head: str = ".memory 64", tail: str = "") -> bytes:
    """The container of a probe."""
    parameters = ", ".join(f"x{index}: int" for index in range(operands))
    lines = [head, f".func main({parameters}) -> {results}"]
    lines += [f"LOAD local {index}" for index in range(operands)]
    end = [] if instruction in {"HALT", "ABORT"} else [tail, "RET"]
    return assemble("\n".join([*lines, instruction, *end]))


class Probe:
    """Makes the cases of one instruction. `tail_cycles` is what the instructions of `tail` cost."""

    def __init__(self, instruction: str, operands: int, results: int, *, group: str = "", **shape: Any) -> None:
        self.op = instruction.split()[0]
        self.group = group or self.op
        self.operands = operands
        self.tail_cycles = shape.pop("tail_cycles", 0)
        self.container = probe(instruction, operands, results, **shape)
        self.before = operands * LOAD_CYCLES
        self.pc = operands * LOAD_BYTES

    def ok(self, label: str, arguments: tuple[int, ...], results: list[int], extra: int = 0, **rest: Any) -> Case:
        """Ends well; `extra` is the surcharge."""
        stated = {"status": "ok", "trap": "NONE", "cycles": str(self.cycles(extra))} | rest.pop("stated", {})
        stated |= {"results": [str(cell) for cell in results]} if results else {}
        return self.case(label, arguments, stated, **rest)

    def cycles(self, extra: int = 0) -> int:
        return self.before + COST[self.op] + extra + self.tail_cycles + RET_CYCLES

    def trap(self, label: str, arguments: tuple[int, ...], trap: str, extra: int = 0, **rest: Any) -> Case:
        """Traps at the instruction; `extra` is the surcharge if it was paid."""
        cycles = str(self.before + COST[self.op] + extra)
        return self.case(label, arguments, {"status": "trap", "trap": trap, "pc": self.pc, "cycles": cycles}, **rest)

    def starved(self, arguments: tuple[int, ...], extra: int = 0, **rest: Any) -> list[Case]:
        """One cycle too few for the instruction, for its surcharge, and for the end; then exactly enough."""
        fixed = self.before + COST[self.op]
        cases = []
        for limit in sorted({fixed - 1, fixed + extra - 1} - {0}):
            stated: Json = {"status": "trap", "trap": "OUT_OF_CYCLES", "pc": self.pc, "cycles": str(limit)}
            cases.append(self.case(f"cycles_{limit}", arguments, stated, cycles_max=limit, **rest))
        whole = self.cycles(extra)
        late: Json = {"status": "trap", "trap": "OUT_OF_CYCLES", "cycles": str(whole - 1)}
        cases.append(self.case(f"cycles_{whole - 1}", arguments, late, cycles_max=whole - 1, **rest))
        enough: Json = {"status": "ok", "cycles": str(whole)}
        return [*cases, self.case(f"cycles_{whole}", arguments, enough, cycles_max=whole, **rest)]

    def case(self, label: str, arguments: tuple[int, ...], stated: Json, **rest: Any) -> Case:
        return Case(f"{self.group}/{label}", self.container, stated, arguments=arguments, **rest)
