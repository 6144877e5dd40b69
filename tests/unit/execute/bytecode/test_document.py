"""docs/spec/bytecode.md says what the code does: its tables, its numbers, its example."""

from __future__ import annotations

import re

import pytest
from tests.support import opcode_table
from tests.support.repository import ROOT

from quorate.execute.bytecode import container, host, machine, opcodes, state, verify
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.reference import run

TEXT = (ROOT / "docs" / "spec" / "bytecode.md").read_text()


def test_generated_tables_are_up_to_date():
    assert opcode_table.replaced(TEXT) == TEXT


@pytest.mark.parametrize("name", opcode_table.SECTIONS)
def test_a_table_that_drifts_is_noticed(name):
    table = opcode_table.SECTIONS[name]()
    drifted = TEXT.replace(table, table.replace("1", "9", 1).replace("oversize", "outsize", 1), 1)
    assert drifted != TEXT
    assert opcode_table.replaced(drifted) == TEXT


def test_47_opcodes_in_seven_categories():
    sizes = [sum(op >> 4 == high for op in opcodes.Op) for high in range(7)]
    assert sizes == [6, 9, 6, 6, 7, 3, 10]
    assert set(opcodes.TABLE) == set(opcodes.Op)


@pytest.mark.parametrize(
    ("row", "number"),
    [
        ("container", container.CONTAINER_BYTES_MAX),
        ("functions, exports", container.FUNCTIONS_MAX),
        ("functions, exports", container.EXPORTS_MAX),
        ("parameters of an export", container.PARAMETERS_MAX),
        ("results of a function", container.RESULTS_MAX),
        ("locals of a function", opcodes.LOCALS_MAX),
        ("operand stack", verify.HEIGHT_MAX),
        ("`max_cells`", container.CELLS_MAX),
        ("active functions", machine.CALL_DEPTH_MAX),
        ("state key", state.KEY_BYTES_MAX),
        ("LOG records", host.LOG_RECORDS_MAX),
        ("LOG records", host.LOG_BYTES_MAX),
        ("EMIT bytes", host.EMIT_BYTES_MAX),
        ("transfers", host.TRANSFERS_MAX),
    ],
)
def test_limits_are_those_of_the_code(row, number):
    limits = TEXT.partition("## 2. Limits")[2].partition("## 3.")[0]
    line = next(line for line in limits.splitlines() if row in line)
    assert str(number) in re.findall(r"\d+", line.replace(",", ""))


def test_limits_that_are_powers():
    assert container.MEMORY_MAX == container.STATE_MAX == 2**24
    assert "| `max_memory` | declared, up to 2^24 |" in TEXT
    assert "| `max_state_size` | declared, up to 2^24 |" in TEXT


def test_the_example_assembles_and_runs():
    example = TEXT.partition("```text\n")[2].partition("```")[0]
    contract = verify.load(assemble(example))
    outcome = run(contract, Call("total", (b"abc", -3)), None, Context(bytes(16), bytes(16)))
    assert outcome.results == (0,)
