"""The tables of docs/spec/bytecode.md that come from the code: opcodes, modes, traps, faults."""

from __future__ import annotations

from quorate.execute.bytecode.faults import Fault
from quorate.execute.bytecode.opcodes import (
    LOAD_EFFECT,
    STATE_LOADED,
    STATE_STORED,
    STORE_EFFECT,
    TABLE,
    Mode,
    Op,
    Trap,
)


def _rows(head: str, rows: list[str]) -> str:
    rule = "|" + " --- |" * (head.count("|") - 1)
    return "\n".join([head, rule, *rows])


def _cycles(op: Op) -> str:
    row = TABLE[op]
    extra = {Op.LOAD: f"state: {STATE_LOADED}", Op.STORE: f"state: {STATE_STORED}"}.get(op, str(row.surcharge or ""))
    return f"{row.cycles} + {extra}" if extra else str(row.cycles)


def opcodes() -> str:
    rows = [
        f"| {op.name} | {op:#04x} | {row.immediate} | `{row.effect}` | {_cycles(op)} | "
        f"{', '.join(trap.name for trap in row.traps)} |"
        for op, row in TABLE.items()
    ]
    return _rows("| opcode | byte | immediate | stack | cycles | traps |", rows)


def modes() -> str:
    rows = []
    for mode in Mode:
        place = f"{mode:#04x} + i" if mode is Mode.LOCAL else f"{mode:#04x}"
        rows.append(f"| {mode.name.lower()} | {place} | `{LOAD_EFFECT[mode]}` | `{STORE_EFFECT[mode]}` |")
    return _rows("| mode | byte | LOAD | STORE |", rows)


def traps() -> str:
    return _rows("| number | trap |", [f"| {trap:d} | {trap.name} |" for trap in Trap if trap])


def faults() -> str:
    return ", ".join(f"`{fault.value}`" for fault in Fault)


SECTIONS = {"opcodes": opcodes, "modes": modes, "traps": traps, "faults": faults}


def replaced(document: str) -> str:
    """The document with each marked section as the code has it now."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- {name}: from the code -->", f"<!-- end of {name} -->"
        first, last = document.index(begin) + len(begin), document.index(end)
        document = f"{document[:first]}\n\n{make()}\n\n{document[last:]}"
    return document
