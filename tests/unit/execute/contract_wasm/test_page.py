"""docs/spec/contract-wasm.md says what the code does, and the contract in C that it shows is one."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from tests.support.contracts import Contracted
from tests.support.import_table import PAGE, with_table
from tests.support.repository import ROOT
from tests.support.wasm_contracts import SELF, compiled, declaration, engine

from quorate.execute.bytecode import host
from quorate.execute.bytecode.host import Argument, Call, Context
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Trap
from quorate.execute.bytecode.state import KEY_BYTES_MAX, State
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.declaration import declare
from quorate.execute.wasm.guard import DEFAULT
from quorate.model.declaration import Declaration
from quorate.model.units import KIB, MIB

TEXT = PAGE.read_text(encoding="utf-8")
VOTES = """
from mhr import buffer, emit, export, limits, sender, state
limits(state=4096, arguments=1024)
WHO = buffer(16)

@export
def vote(weight: int) -> int:
    sender(WHO)
    total = state.number(WHO, 0)
    if weight > 0:
        assert total <= 9223372036854775807 - weight, 1
    total += weight
    assert total >= 0, 1
    if total:
        state.set_number(WHO, total)
    else:
        del state[WHO]
    return total

@export
def votes(who: bytes) -> int:
    emit(who)
    return state.number(who, 0)
"""


def test_the_table_of_imports_is_that_of_the_code() -> None:
    assert "| `mehr_balance` | `(i32) -> (i64)` | BALANCE | 10 |" in TEXT
    assert with_table(TEXT) == TEXT
    assert with_table(TEXT.replace("| BALANCE | 10 |", "| BALANCE | 11 |")) == TEXT


def test_the_numbers_are_those_of_the_code() -> None:
    for said in (
        f"keys of {KEY_BYTES_MAX} bytes, {host.LOG_RECORDS_MAX} records and {host.LOG_BYTES_MAX:,} bytes of LOG",
        f"{host.TRANSFERS_MAX} transfers",
        f"more than {host.EMIT_BYTES_MAX:,} bytes OUTPUT_LIMIT",
        f"{abi.DONE} is the end of HALT",
        f"2 to {max(Trap):d} is the trap of that number",
        f"{DEFAULT.module_bytes // MIB} MiB, {DEFAULT.body_bytes // KIB} KiB for one function",
        f"{DEFAULT.depth:,} nested blocks, {DEFAULT.functions:,} functions",
        f"in {abi.ANSWER_FORM.size} bytes at `{abi.ANSWER}`",
        f"`{abi.ARGUMENTS}`",
        f"`{abi.SECTION}`",
    ):
        assert said in " ".join(TEXT.split()), said
    fields = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## 5.")[2].partition("## 6.")[0], re.MULTILINE)
    assert fields == list(Declaration.__struct_fields__)


def test_the_answer_lies_as_the_table_says() -> None:
    offsets = {
        "code": abi.CODE_AT,
        "end": abi.END_AT,
        "emitted_at": abi.EMITTED_AT,
        "emitted_size": abi.EMITTED_SIZE_AT,
    }
    rows = dict(re.findall(r"^\| (\d+) \| [iu]\d+ \| `(\w+)` \|$", TEXT, re.MULTILINE))
    assert {name: int(at) for at, name in rows.items()} == offsets
    for name, at in offsets.items():
        form = bytes(at) + (7).to_bytes(4, "little") + bytes(abi.ANSWER_FORM.size - at - 4)
        assert getattr(abi.Answer(*abi.ANSWER_FORM.unpack(form)), name) == 7


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_guests", ROOT / "examples" / "guests" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.guests
@pytest.mark.timeout(240)
def test_the_contract_in_c_does_what_the_same_contract_in_python_does(tmp_path: Path) -> None:
    """Random calls of both, by three callers; the state keys are compared after each."""
    builder = _builder()
    if not builder.compiler_is_present():
        pytest.skip(f"ziglang {builder.ZIG_VERSION} is not installed for {sys.executable}: sh scripts/setup guests")
    source = tmp_path / "votes.c"
    source.write_text(TEXT.partition("```c\n")[2].partition("```")[0])
    flags = (*builder.PURE, "-Wl,--export=quorate_arguments", "-Wl,--export=quorate_answer")
    declared = declaration("vote(weight: int)", "votes(who: bytes)", max_memory_bytes=2 * 65_536)
    module = declare(builder.build_c(source, flags), declared)
    python, state, random = Contracted(VOTES), State(), Random(7)
    callers = [bytes([letter]) * 16 for letter in b"abc"]
    seen = set()
    for _ in range(300):
        context = Context(SELF, random.choice(callers))
        weight = random.choice((1, 2, -1, -2, 5, 0, CELL_MAX, CELL_MIN, CELL_MAX - 3))
        asked: tuple[str, Argument] = random.choice(
            (("vote", weight), ("vote", weight), ("votes", random.choice(callers)))
        )
        expected = python.call(*asked, context=context)
        found = engine().run(compiled(module), Call(asked[0], asked[1:]), state, context)
        state = state.updated(found.changes)
        assert (found.status, found.trap, found.code) == (expected.status, expected.trap, expected.code), asked
        assert (found.results, found.emitted, found.changes) == (expected.results, expected.emitted, expected.changes)
        assert state.key == python.state.key
        seen.add((asked[0], expected.trap))
    assert seen == {("vote", Trap.NONE), ("vote", Trap.ABORTED), ("votes", Trap.NONE)}
