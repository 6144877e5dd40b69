"""The table of imports in `docs/spec/contract-wasm.md`, from the code; `python -m tests.support.import_table` writes it
again."""

from __future__ import annotations

import re

from tests.support.repository import ROOT

from quorate.execute.bytecode.opcodes import STATE_LOADED, STATE_STORED, TABLE, Op
from quorate.execute.contract_wasm import abi

PAGE = ROOT / "docs" / "spec" / "contract-wasm.md"
BEGIN, END = "<!-- imports: from the code -->", "<!-- end of imports -->"
STATE = {Op.LOAD: STATE_LOADED, Op.STORE: STATE_STORED}


def table() -> str:
    rows = ["| import | type | opcode | cycles |", "| --- | --- | --- | --- |"]
    for name, (op, signature) in abi.IMPORTS.items():
        surcharge = STATE.get(op, TABLE[op].surcharge)
        price = f"{TABLE[op].cycles} + {surcharge}" if surcharge else str(TABLE[op].cycles)
        rows.append(f"| `{name}` | `{signature}` | {op.name}{' state' if op in STATE else ''} | {price} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """`page` with the table as the code says it."""
    return re.sub(f"{BEGIN}.*?{END}", f"{BEGIN}\n\n{table()}\n\n{END}", page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
