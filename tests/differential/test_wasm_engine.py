"""The host's engine for contracts: every conformance vector, one instance for run after run, damaged answers."""

from __future__ import annotations

import importlib.util
import struct
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from tests.support.bytecode_vectors.form import vectors
from tests.support.contract_programs import churn
from tests.support.repository import ROOT

from quorate.errors import TooLarge, WrongArguments
from quorate.execute.bytecode import flat
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engine import AREA_BYTES_FIRST, KEPT_BYTES_MAX, MODULE, MachineEngine
from quorate.execute.bytecode.engines import machine_engine
from quorate.execute.bytecode.host import Call, Context, EngineFault, Outcome, Status, Transfer
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.reference import run as reference_run
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.vectors import observe
from quorate.execute.bytecode.verify import load

CONTEXT = Context.of(b"\xaa" * 16, b"\xbb" * 16, 7, {b"\xaa" * 16: 100})
FILL = """
.memory {memory}
.func main() -> 0
    PUSH {last}
    PUSH -1
    STORE i64
    RET
"""
PEEK = """
.memory {memory}
.func main(at: int) -> 1
    LOAD local 0
    LOAD i64
    RET
"""
KEEP = """
.memory 1048576
.state 16777216
.cycles 100000000
.func main(times: int) -> 0
again:
    LOAD local 0
    PUSH 0
    SWAP
    STORE i64
    PUSH 0
    PUSH 8
    PUSH 0
    PUSH {size}
    STORE state
    LOAD local 0
    PUSH 1
    SUB
    DUP
    STORE local 0
    JNZ again
    RET
"""


@pytest.fixture(scope="module")
def engine() -> MachineEngine:
    return MachineEngine()


def both(engine: MachineEngine, code: bytes, call: Call, state: State | None = None) -> Outcome:
    """The outcome on the engine, which must be that of the reference."""
    outcome = engine.run(code, call, state, CONTEXT)
    assert outcome == reference_run(load(code), call, state, CONTEXT)
    return outcome


def test_every_vector_is_answered_as_expected() -> None:
    engine, known = machine_engine(), vectors()
    assert len(known) > 1000
    seen = [(vector["name"], observe(vector, containers, engine)) for vector, containers in known]
    assert seen == [(vector["name"], vector["expect"]) for vector, _ in known]


def test_nothing_of_a_run_is_there_for_the_next(engine: MachineEngine) -> None:
    for size in (64, 65536):
        assert both(engine, assemble(FILL.format(memory=size, last=size - 8)), Call("main")).status is Status.OK
        for at in (0, 8, size - 8):
            assert both(engine, assemble(PEEK.format(memory=size)), Call("main", (at,))).results == (0,)


def test_a_run_that_needs_more_room_gets_it(engine: MachineEngine) -> None:
    code = assemble(KEEP.format(size=100_000))
    outcome = both(engine, code, Call("main", (100,)), State())
    assert len(outcome.changes) == 100
    assert sum(len(value or b"") for _, value in outcome.changes) > 8 * AREA_BYTES_FIRST


def test_many_changes_of_state(engine: MachineEngine) -> None:
    one = churn(3, 10_000)
    outcome = engine.run(one.container, one.call, one.state, one.context)
    assert outcome == reference_run(load(one.container), one.call, one.state, one.context)
    assert {value is None for _, value in outcome.changes} == {True, False}


def test_a_large_instance_is_not_kept(engine: MachineEngine) -> None:
    code = assemble(KEEP.format(size=1_000_000))
    assert len(both(engine, code, Call("main", (16,)), State()).changes) == 16
    assert engine.memory_bytes <= KEPT_BYTES_MAX


def test_a_state_that_is_too_large_and_a_number_that_is_no_cell_do_not_start(engine: MachineEngine) -> None:
    code = assemble(".state 4\n.func main(n: int) -> 0\nRET")
    with pytest.raises(TooLarge):
        engine.run(code, Call("main", (1,)), State.of({b"key": b"value"}), CONTEXT)
    with pytest.raises(WrongArguments):
        engine.run(code, Call("main", (2**63,)), None, CONTEXT)


def _answer(
    verdict: int = 0, trap: int = 0, count: int = 0, cycles: int = 1, records: bytes = b"", pc: int = 0
) -> bytes:
    head = struct.pack("<IIiIQqII", verdict, trap, pc, count, cycles, 0, len(records), 0)
    return head + bytes(128) + records


def _record(kind: int, key: bytes = b"", value: bytes = b"", more: int = 0) -> bytes:
    return (
        struct.pack("<IIBB", 10 + len(key) + len(value) + more, len(value), kind, len(key)) + key + value + bytes(more)
    )


def test_a_sound_answer_is_read() -> None:
    records = [_record(1, value=b"a"), _record(0, value=b"?"), _record(2, value=b"bc"), _record(4, b"z", b"1", more=3)]
    records += [_record(4, b"kk", b"2"), _record(2, value=b"d"), _record(3, b"t" * 16, struct.pack("<q", 5))]
    removed = struct.pack("<IIBB", 14, 0xFFFFFFFF, 4, 1) + b"gold"
    seen = flat.decode_answer(_answer(records=b"".join([*records, removed])))
    changes = ((b"g", None), (b"z", b"1"), (b"kk", b"2"))
    assert seen == Outcome(Status.OK, Trap.NONE, 0, 1, 0, (), (b"a",), b"bcd", changes, (Transfer(b"t" * 16, 5),))


DAMAGED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "short": lambda: _answer()[:-1],
    "long": lambda: _answer() + b"\0",
    "verdict": lambda: _answer(verdict=10),
    "malformed request": lambda: _answer(verdict=9),
    "malformed state": lambda: _answer(verdict=7),
    "unknown fault": lambda: _answer(verdict=8, trap=40),
    "no fault": lambda: _answer(verdict=8, trap=0),
    "trap of a success": lambda: _answer(trap=1),
    "no trap": lambda: _answer(verdict=1),
    "unknown trap": lambda: _answer(verdict=1, trap=13),
    "results": lambda: _answer(count=17),
    "results of a trap": lambda: _answer(verdict=1, trap=2, count=1),
    "records of a trap": lambda: _answer(verdict=1, trap=2, records=_record(1)),
    "cycles": lambda: _answer(cycles=2**63),
    "pc": lambda: _answer(pc=-1),
    "kind": lambda: _answer(records=_record(5)),
    "cut head": lambda: _answer(records=_record(1)[:9]),
    "cut value": lambda: _answer(records=_record(1, value=b"abc")[:-1]),
    "value beyond": lambda: _answer(records=struct.pack("<IIBB", 10, 1, 1, 0)),
    "no size": lambda: _answer(records=struct.pack("<IIBB", 0, 0, 0, 0)),
    "key twice": lambda: _answer(records=_record(4, b"k") * 2),
    "long key": lambda: _answer(records=_record(4, b"k" * 129)),
    "records": lambda: _answer(records=_record(1) * 257),
    "bytes": lambda: _answer(records=_record(2, value=bytes(65537))),
    "transfers": lambda: _answer(records=_record(3, bytes(16), bytes(8)) * 257),
    "receiver": lambda: _answer(records=_record(3, bytes(15), bytes(8))),
    "amount": lambda: _answer(records=_record(3, bytes(16), b"\xff" * 8)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_answer_is_no_outcome(name: str) -> None:
    with pytest.raises(EngineFault):
        flat.decode_answer(DAMAGED[name]())


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_wasm", ROOT / "device" / "build_wasm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_module_is_what_its_sources_give() -> None:
    builder = _builder()
    if not builder.compiler_is_present():
        pytest.skip(f"ziglang {builder.ZIG_VERSION} is not installed for {sys.executable}: sh scripts/setup guests")
    assert builder.build() == MODULE.read_bytes()
