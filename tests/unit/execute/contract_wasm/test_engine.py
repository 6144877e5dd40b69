"""The engine of WebAssembly contracts: arguments and results, endings, limits, and nothing left from run to run."""

from __future__ import annotations

import pytest
from tests.support import wasm_contracts
from tests.support.wasm_contracts import ANSWER_AT, ARGUMENTS_AT, CONTEXT, CYCLES, PLACES, call, contract, one

from quorate.errors import TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode.host import Argument, Call, Status
from quorate.execute.bytecode.journal import Journal
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Trap
from quorate.execute.bytecode.state import State
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.engine import ContractEngine, NativeStackOverflow
from quorate.execute.engine import Task, module_digest
from quorate.execute.wasm.wasmtime_engine import HostFault, WasmtimeEngine, wat_to_wasm
from quorate.model.trap import Status as RunStatus
from quorate.model.units import MIB

# ---- arguments and results

ECHO = contract(
    """(func (export "ints") (param i64 i64) (result i64 i64) (local.get 1) (local.get 0))
    (func (export "places") (param i32 i32 i64 i32 i32) (result i64 i64 i64 i64)
      (i64.extend_i32_u (local.get 0)) (i64.extend_i32_u (local.get 1))
      (i64.extend_i32_u (local.get 3)) (i64.extend_i32_u (local.get 4)))
    (func (export "bytes") (param i32 i32)
      (i32.store (i32.const 524) (local.get 0)) (i32.store (i32.const 528) (local.get 1)))""",
    "ints(a: int, b: int)",
    "places(a: bytes, n: int, b: bytes)",
    "bytes(data: bytes)",
)


def test_numbers_of_all_64_bits_go_in_and_come_out() -> None:
    assert call(ECHO, "ints", CELL_MIN, CELL_MAX).results == (CELL_MAX, CELL_MIN)


def test_bytes_lie_one_after_the_other_from_the_area_on_each_at_a_multiple_of_eight() -> None:
    outcome = call(ECHO, "places", b"123", 7, b"four")
    assert outcome.results == (ARGUMENTS_AT, 3, ARGUMENTS_AT + 8, 4)
    assert call(ECHO, "bytes", b"these").emitted == b"these"
    assert call(ECHO, "bytes", b"").emitted == b""


def test_arguments_fill_their_area_and_not_a_byte_more() -> None:
    assert call(ECHO, "bytes", bytes(1024)).status is Status.OK
    with pytest.raises(WrongArguments, match="do not fit"):
        call(ECHO, "bytes", bytes(1025))
    with pytest.raises(WrongArguments, match="do not fit"):
        call(ECHO, "places", bytes(1017), 0, b"1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1,), "exactly 2"),
        ((1, 2, 3), "exactly 2"),
        ((1, b"2"), "b: not of kind int"),
        ((1, CELL_MAX + 1), "b: does not fit"),
    ],
)
def test_arguments_of_another_count_or_kind_are_refused(arguments: tuple[Argument, ...], said: str) -> None:
    with pytest.raises(WrongArguments) as caught:
        call(ECHO, "ints", *arguments)
    assert said in str(caught.value)
    with pytest.raises(WrongArguments, match="data: not of kind bytes"):
        call(ECHO, "bytes", 5)


def test_only_what_is_declared_can_be_called() -> None:
    module = contract('(func (export "run")) (func (export "hidden"))')
    for name in ("hidden", "memory", "none"):
        with pytest.raises(UnknownFunction, match=name):
            call(module, name)


def test_a_state_larger_than_declared_is_refused_and_one_that_fits_is_not() -> None:
    module = one("", max_state_bytes=10)
    assert call(module, state=State.of({b"key": b"1234567"})).status is Status.OK
    with pytest.raises(TooLarge, match="11 bytes"):
        call(module, state=State.of({b"key": b"12345678"}))


# ---- what a contract says of itself

CODE, END = f"(i64.store (i32.const {ANSWER_AT})", f"(i32.store (i32.const {ANSWER_AT + abi.END_AT})"


def ending(end: int, code: int = 0) -> str:
    return f"{CODE} (i64.const {code})) {END} (i32.const {end})) unreachable"


def test_unreachable_is_an_abort_with_the_code_that_was_left() -> None:
    outcome = call(one(ending(0, -5)))
    assert (outcome.status, outcome.trap, outcome.code, outcome.pc) == (Status.TRAP, Trap.ABORTED, -5, 0)
    assert call(one("unreachable")).code == 0
    without = PLACES.replace("quorate_answer", "another")
    assert (call(one(ending(0, 7), places=without)).trap, call(one(ending(0, 7), places=without)).code) == (
        Trap.ABORTED,
        0,
    )


@pytest.mark.parametrize("trap", [trap for trap in Trap if trap not in (Trap.NONE, Trap.OUT_OF_CYCLES)])
def test_a_contract_names_the_trap_that_it_ends_with(trap: Trap) -> None:
    outcome = call(one(ending(trap, 9)))
    assert (outcome.trap, outcome.code) == (trap, 9 if trap is Trap.ABORTED else 0)
    assert outcome.cycles < 20


@pytest.mark.parametrize("end", [Trap.OUT_OF_CYCLES, max(Trap) + 1, 254, 256, -1])
def test_a_contract_cannot_say_that_cycles_ran_out_nor_name_what_is_no_trap(end: int) -> None:
    outcome = call(one(ending(end, 3)))
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, 3)


SAVE = (
    "(call $store_save (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)) (call $log (i32.const 0) (i32.const 1))"
)
EMIT = "(i32.store (i32.const 524) (i32.const 8)) (i32.store (i32.const 528) (i32.const 2))"


def test_done_ends_a_run_well_from_any_depth_and_without_results() -> None:
    deep = f"(func $deep {SAVE} {EMIT} {ending(abi.DONE)})"
    outcome = call(contract(f'{deep} (func (export "run") (result i64) (call $deep) (i64.const 5))'))
    assert (outcome.status, outcome.results, outcome.emitted) == (Status.OK, (), bytes(2))
    assert (outcome.changes, outcome.logs) == (((b"\0", b"\0"),), (b"\0",))


def test_after_a_trap_nothing_of_the_run_remains() -> None:
    for end in (
        "unreachable",
        "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
        "(call $log (i32.const 0) (i32.const 65537))",
    ):
        outcome = call(one(f"{SAVE} {EMIT} {end}"))
        assert outcome.status is Status.TRAP
        assert (outcome.changes, outcome.logs, outcome.emitted, outcome.results, outcome.transfers) == (
            (),
            (),
            b"",
            (),
            (),
        )


def emitting(at: int, size: int) -> bytes:
    code = f"(i32.store (i32.const 524) (i32.const {at})) (i32.store (i32.const 528) (i32.const {size}))"
    return one(code, places=PLACES.replace('"memory") 1', '"memory") 2'))


def test_emitted_bytes_have_the_price_the_range_and_the_limit_of_emit() -> None:
    nothing, few, most = (call(emitting(0, size)) for size in (0, 33, 65_536))
    assert (len(few.emitted), few.cycles - nothing.cycles) == (33, 10 + 2)
    assert (len(most.emitted), most.cycles - nothing.cycles) == (65_536, 10 + 2048)
    assert call(emitting(0, 65_537)).trap is Trap.OUTPUT_LIMIT
    assert call(emitting(65_536, 65_536)).status is Status.OK
    assert call(emitting(65_537, 65_536)).trap is Trap.MEMORY_RANGE
    assert call(emitting(-1, 1)).trap is Trap.MEMORY_RANGE
    assert call(emitting(0, 33), cycles=few.cycles).status is Status.OK
    assert call(emitting(0, 33), cycles=few.cycles - 1).trap is Trap.OUT_OF_CYCLES


# ---- traps of WebAssembly itself


@pytest.mark.parametrize(
    ("code", "trap"),
    [
        ("(drop (i64.div_s (i64.const 1) (i64.const 0)))", Trap.DIVISION_BY_ZERO),
        ("(drop (i32.rem_u (i32.const 1) (i32.const 0)))", Trap.DIVISION_BY_ZERO),
        ("(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))", Trap.OVERFLOW),
        ("(drop (i32.trunc_f64_s (f64.const 3e9)))", Trap.OVERFLOW),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", Trap.OVERFLOW),
        ("(drop (i32.load (i32.const -4)))", Trap.MEMORY_RANGE),
        ("(i64.store (i32.const 65529) (i64.const 1))", Trap.MEMORY_RANGE),
        ("(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))", Trap.MEMORY_RANGE),
        ("(call_indirect (i32.const 9))", Trap.MEMORY_RANGE),
        ("(call_indirect (i32.const 1))", Trap.INDIRECT_CALL),
        ("(call_indirect (param i32) (i32.const 1) (i32.const 0))", Trap.INDIRECT_CALL),
    ],
)
def test_a_trap_of_the_engine_has_its_name_and_costs_the_whole_limit(code: str, trap: Trap) -> None:
    module = one(code, places=f"{PLACES} (table 2 funcref) (elem (i32.const 0) $epoch)")
    outcome = call(module, cycles=5000)
    assert (outcome.status, outcome.trap, outcome.cycles, outcome.code) == (Status.TRAP, trap, 5000, 0)


def test_data_outside_of_the_memory_is_a_trap_of_every_call() -> None:
    module = one("", places=f'{PLACES} (data (i32.const 65535) "ab")')
    assert call(module).trap is Trap.MEMORY_RANGE


def test_too_deep_a_recursion_is_a_failure_and_no_outcome() -> None:
    module = contract(
        """(func $deep (param i64) (result i64)
          (i64.add (i64.const 1) (call $deep (i64.add (local.get 0) (i64.const 1)))))
        (func (export "run") (result i64) (call $deep (i64.const 0)))"""
    )
    with pytest.raises(NativeStackOverflow):
        call(module)
    assert call(one("(i64.const 1)", "i64")).results == (1,)


# ---- cycles

SPIN = one("(loop (br 0))")


def test_an_endless_loop_stops_at_the_limit_of_the_call_and_of_the_contract() -> None:
    assert (call(SPIN, cycles=777).trap, call(SPIN, cycles=777).cycles) == (Trap.OUT_OF_CYCLES, 777)
    assert call(SPIN, cycles=CELL_MAX).cycles == CYCLES
    assert call(one("(loop (br 0))", max_cycles=50), cycles=CELL_MAX).cycles == 50


def test_every_limit_below_what_a_run_takes_stops_it() -> None:
    code = f"{SAVE} (drop (call $epoch)) (call $hash (i32.const 0) (i32.const 8) (i32.const 64))"
    needed = call(one(code)).cycles
    for cycles in range(1, needed):
        outcome = call(one(code), cycles=cycles)
        assert (outcome.trap, outcome.cycles, outcome.changes) == (Trap.OUT_OF_CYCLES, cycles, ())
    assert call(one(code), cycles=needed).status is Status.OK


def test_data_is_paid_before_the_function_begins() -> None:
    module = one("", places=f'{PLACES} (data (i32.const 0) "{"a" * 100}")')
    paid = call(module).cycles
    assert paid > 100
    assert call(module, cycles=paid).status is Status.OK
    for cycles in (1, 50, paid - 1):
        assert (call(module, cycles=cycles).trap, call(module, cycles=cycles).cycles) == (Trap.OUT_OF_CYCLES, cycles)


def test_a_straight_end_beyond_the_limit_is_no_end() -> None:
    """The engine looks at its fuel in loops and calls only."""
    module, ended = (
        one("nop" + "(drop (i32.eqz (i32.const 1)))" * 40),
        one("(drop (i32.eqz (i32.const 1)))" * 40 + ending(0)),
    )
    for made in (module, ended):
        assert call(made, cycles=5).trap is Trap.OUT_OF_CYCLES
        assert call(made, cycles=5).cycles == 5


# ---- memory


def growing(pages: int, then: str = "", **fields: object) -> bytes:
    return one(f"(memory.grow (i32.const {pages})) (i64.extend_i32_s) {then}", "i64", **fields)


def test_memory_grows_to_what_is_declared_and_not_one_page_further() -> None:
    assert call(growing(15)).results == (1,)
    assert wasm_contracts.engine().guest_memory_bytes == MIB
    assert call(growing(16)).results == (-1,)
    assert wasm_contracts.engine().guest_memory_bytes == 65_536
    odd = {"max_memory_bytes": 3 * 65_536 - 1}
    assert (call(growing(1, **odd)).results, call(growing(2, **odd)).results) == ((1,), (-1,))


def test_a_contract_that_fails_for_want_of_memory_says_so() -> None:
    failing = "(if (i64.eq (i64.const -1)) (then unreachable)) (i64.const 0)"
    assert call(growing(15, failing)).status is Status.OK
    assert call(growing(16, failing)).trap is Trap.MEMORY_RANGE
    assert call(growing(16, f"drop {ending(Trap.SHIFT_RANGE)}")).trap is Trap.SHIFT_RANGE


def test_ranges_are_those_of_the_memory_as_it_is_at_the_time() -> None:
    log = "(call $log (i32.const 65530) (i32.const 7))"
    assert call(one(log)).trap is Trap.MEMORY_RANGE
    assert call(one(f"(drop (memory.grow (i32.const 1))) {log}")).logs == (bytes(7),)


def test_nothing_is_left_from_one_run_to_the_next() -> None:
    module = contract(
        """(global $calls (mut i64) (i64.const 0))
        (func (export "run") (result i64 i64 i64)
          (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
          (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
          (global.get $calls) (i64.load (i32.const 0)) (i64.extend_i32_u (memory.size))
          (drop (memory.grow (i32.const 1))))"""
    )
    assert [call(module).results for _ in range(3)] == [(1, 1, 1)] * 3


# ---- world


def test_what_is_not_at_hand_is_unresolved_and_what_was_paid_is_exact() -> None:
    outcome = call(one("(drop (call $balance (i32.const 0)))"), context=CONTEXT)
    assert (outcome.status, outcome.trap, outcome.cycles) == (Status.UNRESOLVED, Trap.NONE, 10 + 3)
    for code in (SAVE, "(drop (call $store_load (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))"):
        assert call(one(code), state=None).status is Status.UNRESOLVED
    assert call(one("(drop (call $epoch))"), state=None).status is Status.OK


def test_floats_are_the_same_bits_everywhere() -> None:
    nan = "(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0)))"
    assert call(one(nan, "i64")).results == (0x7FF8_0000_0000_0000,)


# ---- the engine itself


def test_a_contract_comes_back_from_its_artefact() -> None:
    engine = ContractEngine(WasmtimeEngine())
    compiled = engine.compile(ECHO)
    loaded = engine.load(ECHO, engine.artefact(compiled))
    assert loaded.interface == compiled.interface
    asked = Call("ints", (1, 2)), State(), CONTEXT
    assert engine.run(loaded, *asked) == engine.run(compiled, *asked)


def test_contracts_and_other_programs_take_turns_on_one_engine() -> None:
    shared = WasmtimeEngine()
    engine = ContractEngine(shared)
    module = wat_to_wasm('(module (memory 1) (func (export "run") (result i32) (memory.grow (i32.const 20))))')
    task, program = Task(id=b"t", module=module, digest=module_digest(module)), shared.compile(module)
    compiled = engine.compile(growing(16))
    for _ in range(2):
        assert engine.run(compiled, Call("run"), State(), CONTEXT).results == (-1,)
        ended = shared.run(program, task)
        assert (ended.status, ended.output) == (RunStatus.SUCCESS, b"\1\0\0\0")


def test_a_host_that_fails_is_no_outcome_and_does_not_outlast_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(journal: Journal, record: bytes) -> None:
        raise MemoryError  # what a machine without memory does, wherever it strikes

    module = one("(call $log (i32.const 0) (i32.const 1))")
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "log", fail)
        with pytest.raises(HostFault):
            call(module)
    assert call(module).logs == (b"\0",)


def test_memory_that_this_machine_cannot_deliver_is_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = WasmtimeEngine()
    contracts = ContractEngine(engine)
    compiled = contracts.compile(growing(15))
    commit = type(engine.memory)._commit

    def starved(memory: object, size: int) -> None:
        commit(memory, min(size, 65_536))  # type: ignore[arg-type]
        if size > 65_536:
            engine.memory.host_failed = True

    monkeypatch.setattr(type(engine.memory), "_commit", starved)
    with pytest.raises(HostFault):
        contracts.run(compiled, Call("run"), State(), CONTEXT)
