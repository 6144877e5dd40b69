"""Programs of several modules on the engine: one instance each, the limits for all of them, a fresh store each run."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from tests.support.linked_guests import (
    ADD,
    MULTIPLY,
    SUM_OF_SQUARES,
    TALLY,
    Linked,
    made,
    marker,
    reader,
    sum_of_squares,
)

from quorate.crypto.digests import blob_digest
from quorate.errors import (
    DependencyCycle,
    ForbiddenImport,
    MissingDependency,
    TooLarge,
    UnlinkedImport,
    UnusedDependency,
)
from quorate.execute.engine import COMMAND, WASM_PAGE_BYTES, Limits, Task, module_digest
from quorate.execute.wasm.linking import IMPORT_FUEL, LIBRARY_FUEL
from quorate.execute.wasm.wasmtime_engine import Ended, WasmtimeEngine, wat_to_wasm
from quorate.model.trap import Status
from quorate.model.units import Digest

Run = Callable[..., Ended]
KEEPER = made(
    """(module (memory (export "memory") 1)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "pages") (result i32) (memory.size)))"""
)
SPIN = made('(module (func (export "spin") (loop (br 0))))')


@pytest.fixture(scope="module")
def engine() -> WasmtimeEngine:
    return WasmtimeEngine()


def task_of(program: Linked, **fields: object) -> Task:
    return Task(id=b"t", module=program.module, digest=program.digest, **fields)  # type: ignore[arg-type]


@pytest.fixture
def run(engine: WasmtimeEngine) -> Run:
    def run(program: Linked, **fields: object) -> Ended:
        libraries = {blob_digest(code): engine.compile(code) for code in program.libraries}
        return engine.run(engine.compile(program.module), task_of(program, **fields), libraries)

    return run


def numbers(ended: Ended) -> tuple[int, ...]:
    assert ended.status is Status.SUCCESS
    return struct.unpack(f"<{len(ended.output) // 4}i", ended.output)


# ---- running


def test_a_program_over_three_levels(run: Run) -> None:
    data = bytes(range(20))
    ended = run(SUM_OF_SQUARES, stdin=data)
    assert (ended.status, ended.output) == (Status.SUCCESS, sum_of_squares(data))
    assert ended.guest_memory_bytes == 2 * WASM_PAGE_BYTES, "its own memory and that of one dependency"


def test_a_command_may_have_dependencies(run: Run) -> None:
    program = made(
        """(module (import "{0}" "multiply" (func $multiply (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (i32.store (i32.const 64) (call $multiply (i32.const 6) (i32.const 7)))
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 4))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))""",
        MULTIPLY,
    )
    ended = run(program, profile=COMMAND)
    assert (ended.status, ended.output) == (Status.SUCCESS, struct.pack("<i", 42)), "read from the command's memory"


def test_a_function_may_be_exported_again(run: Run) -> None:
    answer = made('(module (func (export "answer") (result i32) (i32.const 42)))')
    assert numbers(
        run(made('(module (import "{0}" "answer" (func (result i32))) (export "run" (func 0)))', answer))
    ) == (42,)


def test_each_is_there_once_however_often_it_is_imported(run: Run) -> None:
    """Two that share a third see each other's marks in it."""
    assert sorted(str(numbers(run(reader(marker(1), marker(2))))[0])) == ["1", "2"]


def test_they_come_to_life_in_the_order_of_the_graph(run: Run) -> None:
    sisters = [marker(digit) for digit in (1, 2, 3)]
    expected = int("".join(str(1 + sisters.index(one)) for one in sorted(sisters, key=lambda item: item.digest)))
    assert numbers(run(reader(*sisters))) == numbers(run(reader(*reversed(sisters)))) == (expected,)
    low = marker(1)
    assert numbers(run(reader(marker(2, needs=[low])))) == (12,), "what is needed comes first"


def test_initialize_is_called_where_it_is_exported(run: Run) -> None:
    low = marker(1, how="_initialize")
    assert numbers(run(reader(marker(2, needs=[low])))) == (12,)
    other = made(
        """(module (import "{0}" "mark" (func (param i32)))
      (func (export "_initialize") (param i32)) (func (export "ok")))""",
        TALLY,
    )
    assert numbers(run(reader(other))) == (0,), "a function of another type is only called so"


def test_nothing_of_a_run_is_there_for_the_next(engine: WasmtimeEngine) -> None:
    program = reader(marker(1))
    libraries = {blob_digest(code): engine.compile(code) for code in program.libraries}
    compiled = engine.compile(program.module)
    ends = {engine.run(compiled, task_of(program), libraries) for _ in range(5)}
    ends |= set(engine.run_each(compiled, task_of(program), [b""] * 5, libraries))
    assert {numbers(ended) for ended in ends} == {(1,)}


def test_another_engine_with_artefacts_gives_the_same(engine: WasmtimeEngine, run: Run) -> None:
    other = WasmtimeEngine()
    program = SUM_OF_SQUARES
    loaded = {code: other.load(code, engine.artefact(engine.compile(code))) for code in program.libraries}
    libraries = {blob_digest(code): found for code, found in loaded.items()}
    task = task_of(program, stdin=b"abc")
    assert other.run(other.compile(program.module), task, libraries) == run(program, stdin=b"abc")


# ---- limits


def test_memory_is_limited_for_all_together(run: Run) -> None:
    program = made(
        """(module (import "{0}" "grow" (func $grow (param i32) (result i32)))
      (import "{0}" "pages" (func $pages (result i32))) (memory 1)
      (func (export "run") (result i32 i32 i32 i32)
        (call $grow (i32.const 2)) (memory.grow (i32.const 1)) (call $pages) (memory.size)))""",
        KEEPER,
    )
    limits = Limits(memory_bytes=4 * WASM_PAGE_BYTES)
    ended = run(program, limits=limits)
    assert numbers(ended) == (1, -1, 3, 1)
    assert ended.guest_memory_bytes == 4 * WASM_PAGE_BYTES
    assert numbers(run(program, limits=Limits(memory_bytes=5 * WASM_PAGE_BYTES))) == (1, 1, 3, 2)


def test_declared_minimums_count_together(run: Run) -> None:
    fits = made('(module (import "{0}" "pages" (func $f (result i32))) (memory 1) (export "run" (func $f)))', KEEPER)
    assert numbers(run(fits, limits=Limits(memory_bytes=2 * WASM_PAGE_BYTES))) == (1,)
    ended = run(fits, limits=Limits(memory_bytes=WASM_PAGE_BYTES))
    assert (ended.status, ended.fuel_used) == (Status.MEMORY_LIMIT, 0)


def test_a_start_function_takes_no_memory_that_another_declares(run: Run) -> None:
    greedy = made(
        """(module (memory 1) (start $take) (func (export "ok"))
      (func $take (loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))))"""
    )
    program = made(
        '(module (import "{0}" "ok" (func)) (memory 3) (func (export "run") (result i32) (memory.size)))', greedy
    )
    ended = run(program, limits=Limits(memory_bytes=8 * WASM_PAGE_BYTES))
    assert numbers(ended) == (3,)
    assert ended.guest_memory_bytes == 8 * WASM_PAGE_BYTES


def test_a_growth_refused_in_one_is_blamed_for_the_trap_of_another(run: Run) -> None:
    program = made(
        """(module (import "{0}" "grow" (func $grow (param i32) (result i32)))
      (func (export "run") (if (i32.eq (call $grow (i32.const 2000)) (i32.const -1)) (then unreachable))))""",
        KEEPER,
    )
    assert run(program).status is Status.MEMORY_LIMIT


def test_each_has_a_memory_that_the_others_do_not_see(run: Run) -> None:
    """The dependency writes at the address where the program has its input."""
    writer = made(
        """(module (memory 1) (func (export "write") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536))))"""
    )
    echo = made(
        """(module (import "{0}" "write" (func $write)) (memory (export "memory") 1)
      (func (export "alloc") (param i32) (result i32) (call $write) (i32.const 1024))
      (func (export "run") (param i32 i32) (result i64) (call $write)
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))""",
        writer,
    )
    assert run(echo, stdin=b"untouched").output == b"untouched"


def test_fuel_is_one_tank_for_all(run: Run) -> None:
    program = made('(module (import "{0}" "spin" (func $spin)) (func (export "run") (call $spin)))', SPIN)
    ended = run(program, limits=Limits(fuel=10**6))
    assert (ended.status, ended.fuel_used) == (Status.OUT_OF_FUEL, 10**6)
    used = run(SUM_OF_SQUARES, stdin=b"fuel").fuel_used
    assert used == run(SUM_OF_SQUARES, stdin=b"fuel").fuel_used
    assert run(SUM_OF_SQUARES, stdin=b"fuel", limits=Limits(fuel=used)).status is Status.SUCCESS
    assert run(SUM_OF_SQUARES, stdin=b"fuel", limits=Limits(fuel=used - 1)).status is Status.OUT_OF_FUEL


def test_linking_itself_has_a_price(run: Run) -> None:
    """For each further module and for each import from one, whatever their code does."""
    ok = made('(module (func (export "ok")) (func (export "also")))')
    alone = run(made('(module (func (export "run")))')).fuel_used
    one = run(made('(module (import "{0}" "ok" (func)) (func (export "run")))', ok))
    two = run(made('(module (import "{0}" "ok" (func)) (import "{0}" "also" (func)) (func (export "run")))', ok))
    assert one.fuel_used - alone == LIBRARY_FUEL + IMPORT_FUEL
    assert two.fuel_used - one.fuel_used == IMPORT_FUEL
    deeper = made('(module (import "{0}" "ok" (func)) (func (export "run")))', marker(1))
    price = 2 * LIBRARY_FUEL + 2 * IMPORT_FUEL
    assert price < run(deeper).fuel_used < price + 100
    for fuel in (1, price - 1, price):
        ended = run(deeper, limits=Limits(fuel=fuel))
        assert (ended.status, ended.fuel_used) == (Status.OUT_OF_FUEL, fuel)


def test_what_a_dependency_does_first_is_metered(run: Run) -> None:
    busy = made('(module (start $spin) (func $spin (loop (br 0))) (func (export "ok")))')
    program = made('(module (import "{0}" "ok" (func)) (func (export "run")))', busy)
    assert run(program, limits=Limits(fuel=10**6)).status is Status.OUT_OF_FUEL


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unreachable", Status.UNREACHABLE),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", Status.DIVISION_BY_ZERO),
        ("(call $f)", Status.NATIVE_STACK_OVERFLOW),
    ],
)
@pytest.mark.parametrize("when", ["called", "started"])
def test_a_trap_in_a_dependency_ends_the_run_with_its_own_status(
    run: Run, code: str, status: Status, when: str
) -> None:
    start = "(start $f)" if when == "started" else ""
    low = made(f'(module (func $f {code}) (func (export "go") (call $f)) {start})')
    assert run(made('(module (import "{0}" "go" (func $go)) (func (export "run") (call $go)))', low)).status is status


def test_tables_are_limited_for_all_together(engine: WasmtimeEngine, run: Run) -> None:
    six = made("(module " + "(table 1 funcref)" * 6 + ' (func (export "ok")))')
    text = '(module (import "{0}" "ok" (func)) %s (func (export "run")))'
    assert run(made(text % ("(table 1 funcref)" * 4), six)).status is Status.SUCCESS
    with pytest.raises(TooLarge, match="11 tables together"):
        run(made(text % ("(table 1 funcref)" * 5), six))


def test_one_module_with_too_many_tables_is_refused_before_it_is_compiled(engine: WasmtimeEngine) -> None:
    with pytest.raises(TooLarge, match="11 tables"):
        engine.compile(wat_to_wasm("(module " + "(table 1 funcref)" * 11 + ' (func (export "run")))'))


def test_sixteen_dependencies(run: Run) -> None:
    row = [made(f'(module (memory 1) (func (export "ok")) (global i32 (i32.const {number})))') for number in range(16)]
    others = "".join(f'(import "{{{at}}}" "ok" (func))' for at in range(16))
    # Longest names first: {1} is also how {10} begins, but for its brace.
    ended = run(made(f'(module {others} (memory 1) (func (export "run") (result i32) (i32.const 5)))', *row))
    assert numbers(ended) == (5,)
    assert ended.guest_memory_bytes == 17 * WASM_PAGE_BYTES


# ---- refusals


def test_a_program_whose_dependencies_are_not_given_does_not_run(engine: WasmtimeEngine, run: Run) -> None:
    compiled = engine.compile(SUM_OF_SQUARES.module)
    with pytest.raises(MissingDependency):
        engine.run(compiled, task_of(SUM_OF_SQUARES))
    with pytest.raises(MissingDependency):
        list(engine.run_each(compiled, task_of(SUM_OF_SQUARES), [b"x"]))
    with pytest.raises(UnusedDependency):
        run(Linked(wat_to_wasm('(module (func (export "run")))'), (TALLY.module,)))


def test_what_does_not_fit_together_does_not_run(run: Run) -> None:
    with pytest.raises(UnlinkedImport):
        run(made('(module (import "{0}" "add" (func (param i64))) (func (export "run")))', ADD))
    with pytest.raises(ForbiddenImport, match="memory"):
        run(made('(module (import "{0}" "memory" (memory 1)) (func (export "run")))', KEEPER))


def test_a_profile_grants_a_program_with_dependencies_nothing_more(run: Run) -> None:
    imports = '(import "{0}" "ok" (func)) (import "env" "now" (func))'
    text = f'(module {imports} (memory (export "memory") 1) (func (export "%s")))'
    ok = made('(module (func (export "ok")))')
    with pytest.raises(ForbiddenImport, match=r"env\.now"):
        run(made(text % "run", ok))
    with pytest.raises(ForbiddenImport, match=r"env\.now"):
        run(made(text % "_start", ok), profile=COMMAND)


def test_the_digest_of_the_task_stands_for_the_program(engine: WasmtimeEngine) -> None:
    """A dependency that imports from the program would close a circle."""
    digest = module_digest(SUM_OF_SQUARES.module)
    libraries = {Digest(digest): engine.compile(SUM_OF_SQUARES.module)}
    with pytest.raises(DependencyCycle):
        engine.run(engine.compile(SUM_OF_SQUARES.module), task_of(SUM_OF_SQUARES), libraries)
