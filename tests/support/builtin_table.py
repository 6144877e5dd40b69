"""The table of builtins in `docs/spec/contract-python.md`, from the code; `python -m tests.support.builtin_table`
writes it again."""

from __future__ import annotations

import re

from tests.support.repository import ROOT

from quorate.execute.bytecode.compiler.names import BUILTINS

PAGE = ROOT / "docs" / "spec" / "contract-python.md"
BEGIN, END = "<!-- builtins: from the code -->", "<!-- end of builtins -->"


def table() -> str:
    rows = ["| builtin | gives | is |", "| --- | --- | --- |"]
    for name, builtin in BUILTINS.items():
        taken = ", ".join(builtin.parameters)
        given = "nat" if builtin.result.natural and builtin.result.kind == "int" else builtin.result.kind
        rows.append(f"| `{name}({taken})` | {given} | {builtin.about} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """`page` with the table as the code says it."""
    return re.sub(f"{BEGIN}.*?{END}", f"{BEGIN}\n\n{table()}\n\n{END}", page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
