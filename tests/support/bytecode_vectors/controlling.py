"""Cases of JMP JZ JNZ CALL RET HALT ABORT."""

from __future__ import annotations

from tests.support.bytecode_vectors.computing import LEAST, MOST
from tests.support.bytecode_vectors.form import Case, Json
from tests.support.bytecode_vectors.probes import Probe

from quorate.execute.bytecode.assembler import assemble

FLAGS = [0, 1, -1, 2, MOST, LEAST, 2**32, 256]
BRANCH = """
.func main(flag: int) -> 1
    LOAD local 0
    {op} taken
    PUSH 7
    RET
taken:
    PUSH 9
    RET
"""
JUMP = """
.func main(n: int) -> 1
    PUSH 1
    JNZ over
back:
    LOAD local 0
    PUSH 1
    ADD
    RET
over:
    JMP back
"""
FOREVER = ".cycles {cycles}\n.func main() -> 0\nagain:\n JMP again"
DEPTH = """
.cells {cells}
.func main(n: int) -> 1
    LOAD local 0
    JNZ deeper
    PUSH 0
    RET
deeper:
    LOAD local 0
    PUSH 1
    SUB
    CALL main
    PUSH 1
    ADD
    RET
"""
WIDE = """
.cells {cells}
.func main(n: int) -> 1 locals 1
    LOAD local 0
    CALL wide
    RET
.func wide/1 -> 1 locals 100
    PUSH 1
    LOAD local 0
    ADD
    RET
"""
ENDING = """
.memory 64
.func main(how: int) -> 1
    PUSH 0
    PUSH 8
    LOG
    PUSH 0
    PUSH 4
    EMIT
    LOAD local 0
    CALL inner
    RET
.func inner/1 -> 1
    LOAD local 0
    JZ well
    LOAD local 0
    {op}
well:
    PUSH 5
    RET
"""


def _out(cycles: int) -> Json:
    return {"status": "trap", "trap": "OUT_OF_CYCLES", "cycles": str(cycles)}


def branching() -> list[Case]:
    cases = []
    for op, taken_by_zero in (("JZ", True), ("JNZ", False)):
        code = assemble(BRANCH.format(op=op))
        for flag in FLAGS:
            taken = (flag == 0) == taken_by_zero
            stated: Json = {"results": ["9" if taken else "7"], "cycles": "9", "pc": 10 if taken else 7}
            cases.append(Case(f"{op}/{flag}", code, stated, arguments=(flag,)))
        for limit, pc in ((2, 0), (3, 2), (4, 2)):
            cases.append(Case(f"{op}/cycles_{limit}", code, _out(limit) | {"pc": pc}, arguments=(0,), cycles_max=limit))
    code = assemble(JUMP)
    for n in (0, 1, -1, 41, -100):
        cases.append(Case(f"JMP/there_and_back_{n}", code, {"results": [str(n + 1)], "cycles": "13"}, arguments=(n,)))
    for limit, pc in ((2, 2), (3, 11), (4, 11), (5, 5), (7, 5)):
        cases.append(Case(f"JMP/cycles_{limit}", code, _out(limit) | {"pc": pc}, arguments=(1,), cycles_max=limit))
    for declared in (1, 2, 999, 10_000):
        code = assemble(FOREVER.format(cycles=declared))
        cases.append(Case(f"JMP/forever_declared_{declared}", code, _out(declared) | {"pc": 0}))
        limit = declared // 2 + 1
        cases.append(Case(f"JMP/forever_limited_{declared}", code, _out(min(limit, declared)), cycles_max=limit))
    return cases


def calling() -> list[Case]:
    cases = []
    code = assemble(DEPTH.format(cells=1024))
    for depth in (0, 1, 2, 10, 62, 63):
        cycles = str(5 + 4 + depth * (5 + 3 + 1 + 1 + 5 + 1 + 1 + 3))
        cases.append(Case(f"CALL/depth_{depth}", code, {"results": [str(depth)], "cycles": cycles}, arguments=(depth,)))
    for depth in (64, 65, 1000, -1):
        stated: Json = {"trap": "CALL_DEPTH", "pc": 13, "cycles": str(63 * 15 + 15)}
        cases.append(Case(f"CALL/depth_{depth}", code, stated, arguments=(depth,)))
    # main holds 1 local; wide, whose argument is taken from main's stack, 100 locals and 2 cells of stack
    for cells, fits in ((102, False), (103, True), (104, True), (1024, True)):
        code = assemble(WIDE.format(cells=cells))
        stated = {"results": ["6"], "cycles": "19"} if fits else {"trap": "STACK_OVERFLOW", "pc": 2, "cycles": "8"}
        cases.append(Case(f"CALL/cells_{cells}", code, stated, arguments=(5,)))
    # each frame: 1 local and, without the argument on top, no cells; the innermost needs its 2 cells of stack
    for cells, deepest in ((3, 0), (4, 1), (10, 7), (64, 61)):
        code = assemble(DEPTH.format(cells=cells))
        cases.append(Case(f"CALL/cells_{cells}_fit", code, {"results": [str(deepest)]}, arguments=(deepest,)))
        cases.append(Case(f"CALL/cells_{cells}_over", code, {"trap": "STACK_OVERFLOW"}, arguments=(deepest + 1,)))
    # 63 calls deep both limits are passed at once: the depth is looked at first
    code = assemble(DEPTH.format(cells=66))
    cases.append(Case("CALL/depth_before_stack", code, {"trap": "CALL_DEPTH"}, arguments=(64,)))
    code = assemble(WIDE.format(cells=1024))
    for limit, pc in ((2, 0), (7, 2), (8, 5), (18, 4)):
        cases.append(Case(f"CALL/cycles_{limit}", code, _out(limit) | {"pc": pc}, arguments=(5,), cycles_max=limit))
    return cases


def _returning(count: int) -> Case:
    """`count` results through a call."""
    pushes = "\n".join(f"PUSH {cell}" for cell in range(count))
    code = assemble(f".func main() -> {count}\nCALL inner\nRET\n.func inner/0 -> {count}\n{pushes}\nRET")
    stated: Json = {"cycles": str(5 + 3 + count + 3)}
    stated["results"] = [str(cell) for cell in range(count)] if count else None
    return Case(f"RET/results_{count}", code, stated)


def ending() -> list[Case]:
    cases = [_returning(count) for count in (0, 1, 2, 3, 8, 16)]
    for limit, pc in ((5, 3), (7, 7), (8, 8), (9, 8), (10, 8), (11, 2), (13, 2)):
        code = assemble(".func main() -> 1\nCALL inner\nRET\n.func inner/0 -> 1\nPUSH 1\nPUSH 2\nADD\nRET")
        stated = _out(limit) | {"pc": pc}
        cases.append(Case(f"RET/cycles_{limit}", code, stated, cycles_max=limit))
    for op in ("HALT", "ABORT"):
        code = assemble(ENDING.format(op=op))
        begun = 1 + 1 + 11 + 1 + 1 + 11 + 3 + 5 + 3 + 2
        for how in (1, -1, 7, MOST, LEAST, 2**40):
            cycles = str(begun + 3 + 2)
            stated = {"status": "ok", "emitted": "00" * 4, "logs": ["00" * 8], "results": None, "cycles": cycles}
            if op == "ABORT":
                stated = {"trap": "ABORTED", "code": str(how), "emitted": None, "logs": None, "cycles": cycles}
            cases.append(Case(f"{op}/inside_{how}", code, stated, arguments=(how,)))
        stated = {"status": "ok", "results": ["5"], "emitted": "00" * 4, "cycles": str(begun + 1 + 3 + 3)}
        cases.append(Case(f"{op}/not_reached", code, stated, arguments=(0,)))
        cases.append(Case(f"{op}/cycles_{begun + 4}", code, _out(begun + 4), arguments=(1,), cycles_max=begun + 4))
        cases.append(Case(f"{op}/cycles_{begun + 5}", code, {}, arguments=(1,), cycles_max=begun + 5))
    plain = Probe("HALT", 2, 0)
    cases.append(plain.case("drops_the_stack", (3, 4), {"status": "ok", "results": None, "cycles": "8"}))
    cases.append(Probe("ABORT", 2, 0).trap("code_zero", (1, 0), "ABORTED"))
    return cases


def controlling() -> list[Case]:
    return branching() + calling() + ending()
