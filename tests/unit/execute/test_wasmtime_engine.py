"""The engine by behaviour: limits, endings, fuel, determinism settings, and nothing left from one run to the next."""

import struct

import pytest
import wasmtime

from quorate.errors import InvalidField, MalformedModule
from quorate.execute.engine import COMMAND, DEFAULT, FULL, LIGHT, Limits, Task, module_digest
from quorate.execute.wasm import wasmtime_engine
from quorate.execute.wasm.linear_memory import MemoryRefused
from quorate.execute.wasm.wasmtime_engine import (
    SETTINGS,
    HostFault,
    WasmtimeEngine,
    engine_version,
    wasmtime_version,
    wat_to_wasm,
)
from quorate.model.trap import Status
from quorate.model.units import MIB

BUFFER = '(memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) i32.const 1024)'


@pytest.fixture(scope="module")
def engine():
    return WasmtimeEngine()


@pytest.fixture
def run(engine):
    def run(wat: str, **fields):
        module = wat_to_wasm(wat)
        task = Task(id=b"t", module=module, digest=module_digest(module), **fields)
        return engine.run(engine.compile(module), task)

    return run


def body(code: str, result: str = "", extra: str = "") -> str:
    return f'(module {extra} (func (export "run") {result} {code}))'


# ---- limits and tiers


def test_defaults_and_tiers():
    assert (DEFAULT.memory_bytes, DEFAULT.fuel, DEFAULT.run_ms) == (64 * MIB, 10**9, 30_000)
    assert (LIGHT.memory_bytes, LIGHT.fuel, LIGHT.run_ms) == (16 * MIB, 10**8, 5_000)
    assert (FULL.memory_bytes, FULL.fuel, FULL.run_ms) == (256 * MIB, 10**10, 30_000)


@pytest.mark.parametrize(
    "fields",
    [{"memory_bytes": 0}, {"memory_bytes": 2**32}, {"fuel": 0}, {"fuel": 2**63}, {"run_ms": 0}, {"output_bytes": -1}],
)
def test_limits_outside_their_domain_are_refused(fields):
    with pytest.raises(InvalidField) as caught:
        Limits(**fields)
    assert caught.value.field in fields


@pytest.mark.parametrize("limits", [LIGHT, DEFAULT, FULL], ids=["light", "default", "full"])
def test_memory_grows_to_the_limit_and_not_one_page_further(run, limits):
    pages = limits.memory_bytes // 65_536
    memory = '(memory (export "memory") 1)'
    assert (
        run(body(f"(memory.grow (i32.const {pages - 1}))", "(result i32)", memory), limits=limits).output == b"\1\0\0\0"
    )
    refused = run(body(f"(memory.grow (i32.const {pages}))", "(result i32)", memory), limits=limits)
    assert (refused.status, refused.output) == (Status.SUCCESS, b"\xff\xff\xff\xff")


def test_a_65_mib_growth_under_the_default_is_refused_and_the_trap_says_memory(run):
    ended = run(
        body("(if (i32.eq (memory.grow (i32.const 1040)) (i32.const -1)) (then unreachable))", extra="(memory 1)")
    )
    assert ended.status is Status.MEMORY_LIMIT
    assert ended.guest_memory_bytes == 65_536


def test_the_memory_rule_needs_both_a_refusal_and_a_memory_trap(run):
    refuse = "(drop (memory.grow (i32.const 2000)))"
    use = "(drop (i32.load (i32.const 100000)))"
    divide = "(drop (i32.div_u (i32.const 1) (i32.const 0)))"
    memory = "(memory 1)"
    assert run(body("unreachable", extra=memory)).status is Status.UNREACHABLE
    assert run(body(use, extra=memory)).status is Status.OUT_OF_BOUNDS
    assert run(body(refuse + "unreachable", extra=memory)).status is Status.MEMORY_LIMIT
    assert run(body(refuse + use, extra=memory)).status is Status.MEMORY_LIMIT
    assert run(body(refuse + divide, extra=memory)).status is Status.DIVISION_BY_ZERO
    assert run(body(refuse, extra=memory)).status is Status.SUCCESS


def test_a_growth_beyond_the_modules_own_maximum_is_no_matter_of_the_limit(run):
    code = "(drop (memory.grow (i32.const 5))) unreachable"
    assert run(body(code, extra="(memory 1 2)")).status is Status.UNREACHABLE


def test_a_declared_minimum_above_the_limit(run):
    ended = run(body("", extra="(memory 257)"), limits=LIGHT)
    assert (ended.status, ended.fuel_used) == (Status.MEMORY_LIMIT, 0)
    assert run(body("", extra="(memory 256)"), limits=LIGHT).status is Status.SUCCESS


def test_memory_that_the_host_cannot_deliver_is_a_host_fault_and_no_refusal(engine, monkeypatch):
    module = wat_to_wasm(body("(drop (memory.grow (i32.const 5)))", extra="(memory 1)"))
    program = engine.compile(module)
    task = Task(id=b"t", module=module, digest=module_digest(module))
    real = wasmtime_engine.LinearMemories._commit

    def commit(memory, region, size):
        # What mprotect answers under an exhausted limit of the host.
        if size > 65_536:
            memory.host_failed = True
            raise MemoryRefused("no memory")
        real(memory, region, size)

    monkeypatch.setattr(wasmtime_engine.LinearMemories, "_commit", commit)
    with pytest.raises(HostFault):
        engine.run(program, task)


def test_tables_are_bounded(run):
    grow = "(table.grow (ref.null func) (i32.const 200000))"
    assert run(body(grow, "(result i32)", "(table 1 funcref)")).output == b"\xff\xff\xff\xff"


def test_output_limit_counts_every_byte(run):
    wat = f"""(module {BUFFER} (func (export "run") (param i32 i32) (result i64)
      (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 100))))"""
    assert len(run(wat, limits=Limits(output_bytes=100)).output) == 100
    ended = run(wat, limits=Limits(output_bytes=99))
    assert (ended.status, ended.output) == (Status.OUTPUT_LIMIT, b"")


# ---- endings


@pytest.mark.parametrize(
    ("code", "extra", "status"),
    [
        ("unreachable", "", Status.UNREACHABLE),
        ("(drop (i32.load (i32.const -4)))", "(memory 1)", Status.OUT_OF_BOUNDS),
        ("(drop (i32.load8_u (i32.const 65536)))", "(memory 1)", Status.OUT_OF_BOUNDS),
        ("(drop (table.get (i32.const 9)))", "(table 1 funcref)", Status.OUT_OF_BOUNDS),
        ("(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))", "(memory 1)", Status.OUT_OF_BOUNDS),
        ("(drop (i64.rem_s (i64.const 1) (i64.const 0)))", "", Status.DIVISION_BY_ZERO),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "", Status.INTEGER_OVERFLOW),
        ("(drop (i32.trunc_f32_s (f32.const 3e9)))", "", Status.INTEGER_OVERFLOW),
        ("(drop (i32.trunc_f64_u (f64.const nan)))", "", Status.BAD_CONVERSION),
        ("(call_indirect (i32.const 0))", "(table 1 funcref)", Status.INDIRECT_CALL),
        ("(loop (br 0))", "", Status.OUT_OF_FUEL),
    ],
)
def test_each_trap_has_its_status(run, code, extra, status):
    ended = run(body(code, extra=extra), limits=Limits(fuel=10**6))
    assert (ended.status, ended.output) == (status, b"")


def test_a_call_through_a_table_of_another_type(run):
    extra = "(type $two (func (param i32 i32))) (table 1 funcref) (elem (i32.const 0) $one) (func $one (param i32))"
    code = "(call_indirect (type $two) (i32.const 1) (i32.const 2) (i32.const 0))"
    assert run(body(code, extra=extra)).status is Status.INDIRECT_CALL


def test_deep_recursion_is_a_failure_that_the_process_survives(run):
    deep = '(module (func $deep (export "run") (call $deep)))'
    assert run(deep).status is Status.NATIVE_STACK_OVERFLOW
    assert run(body("i32.const 5", "(result i32)")).output == b"\5\0\0\0"


def test_a_start_function_is_metered(run):
    spin = "(start $spin) (func $spin (loop (br 0)))"
    assert run(body("", extra=spin), limits=Limits(fuel=10**6)).status is Status.OUT_OF_FUEL


def test_a_data_segment_outside_the_memory(run):
    assert run(body("", extra='(memory 1) (data (i32.const 65535) "ab")')).status is Status.OUT_OF_BOUNDS


# ---- fuel


def test_fuel_is_equal_in_repeated_runs_and_in_another_engine(run):
    wat = body(
        "(local $i i32) (loop $next (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
        " (i32.const 1000))))"
    )
    first = run(wat)
    module = wat_to_wasm(wat)
    other = WasmtimeEngine()
    task = Task(id=b"u", module=module, digest=module_digest(module))
    assert first.fuel_used > 1000
    assert {run(wat).fuel_used for _ in range(5)} == {first.fuel_used}
    assert other.run(other.compile(module), task) == first


def test_fuel_ends_the_run_at_the_limit_and_never_beyond(run):
    wat = body(
        "(local $i i32) (loop $next (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
        " (i32.const 1000))))"
    )
    needed = run(wat).fuel_used
    enough = run(wat, limits=Limits(fuel=needed))
    short = run(wat, limits=Limits(fuel=needed - 1))
    assert (enough.status, enough.fuel_used) == (Status.SUCCESS, needed)
    assert (short.status, short.fuel_used) == (Status.OUT_OF_FUEL, needed - 1)


def test_traps_are_billed_from_the_budget_where_the_engine_has_no_figure(run):
    """After a loop wasmtime reports no fuel used at an out-of-bounds load: a free ride, were it believed."""
    loop = """(local $i i32) (loop $next
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 999))))"""
    limits = Limits(fuel=10**6)
    outside = run(body(loop + "(drop (i32.load (i32.const -8)))", extra="(memory 1)"), limits=limits)
    divided = run(body(loop + "(drop (i32.div_u (i32.const 1) (i32.const 0)))"), limits=limits)
    stopped = run(body(loop + "unreachable"), limits=limits)
    assert outside.fuel_used == divided.fuel_used == 10**6
    assert 999 < stopped.fuel_used < 20_000


def test_bulk_memory_operations_cost_fuel_per_byte(run):
    extra = "(memory 100)"
    small = run(body("(memory.fill (i32.const 0) (i32.const 1) (i32.const 100))", extra=extra))
    large = run(body("(memory.fill (i32.const 0) (i32.const 1) (i32.const 1000100))", extra=extra))
    assert large.fuel_used - small.fuel_used == 1_000_000


# ---- determinism


def test_settings_that_outcomes_depend_on():
    assert SETTINGS["consume_fuel"] is True
    assert SETTINGS["cranelift_nan_canonicalization"] is True
    assert SETTINGS["wasm_relaxed_simd_deterministic"] is True
    for off in ("wasm_threads", "shared_memory", "wasm_gc", "gc_support", "wasm_memory64", "wasm_multi_memory"):
        assert SETTINGS[off] is False


def test_engine_version_names_wasmtime_and_our_settings(monkeypatch):
    before = engine_version()
    assert before.startswith(f"wasmtime-{wasmtime_version()}+")
    monkeypatch.setitem(wasmtime_engine.SETTINGS, "wasm_threads", True)
    assert engine_version() != before
    monkeypatch.undo()
    monkeypatch.setattr(wasmtime_engine.wasi, "CALL_FUEL", 1)
    assert engine_version() != before


NAN_BITS = body("(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0)))", "(result i64)")


def test_nan_bits_are_canonical(run):
    assert run(NAN_BITS).output == struct.pack("<q", 0x7FF8000000000000)
    payload = "(i64.reinterpret_f64 (f64.add (f64.const nan:0x4000000000001) (f64.const 1)))"
    assert run(body(payload, "(result i64)")).output == struct.pack("<q", 0x7FF8000000000000)


def test_without_canonicalisation_the_bits_differ():
    """Why the switch is on: the same module, the engine's default configuration, other bits."""
    config = wasmtime.Config()
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    plain = wasmtime.Instance(store, wasmtime.Module(engine, NAN_BITS), []).exports(store)["run"](store)
    assert plain & (2**64 - 1) != 0x7FF8000000000000


def test_canonicalisation_costs_nothing_where_there_are_no_floats():
    """One engine serves all modules: without floats the compiled code is the same byte for byte."""
    module = wat_to_wasm(body("(i32.mul (i32.const 3) (i32.const 4))", "(result i32)"))
    sizes = []
    for canonical in (True, False):
        config = wasmtime.Config()
        config.cranelift_nan_canonicalization = canonical
        sizes.append(wasmtime.Module(wasmtime.Engine(config), module).serialize())
    assert len(sizes[0]) == len(sizes[1])
    assert sum(left != right for left, right in zip(*sizes, strict=True)) == 1  # the switch itself, in the header


def test_float_results_are_packed_with_canonical_nans(run):
    wat = '(module (func (export "run") (result f32 f64) (f32.const nan:0x200001) (f64.const -1.5)))'
    assert run(wat).output == b"\x00\x00\xc0\x7f" + struct.pack("<d", -1.5)


def test_relaxed_simd_takes_its_deterministic_form(run):
    """An index of 17 is out of range: x86 hardware would answer lane 1, the deterministic form answers 0."""
    swizzle = """(i32x4.extract_lane 0 (i8x16.relaxed_swizzle
        (v128.const i8x16 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9)
        (v128.const i8x16 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17)))"""
    assert run(body(swizzle, "(result i32)")).output == bytes(4)


@pytest.mark.parametrize(
    "wat",
    [
        '(module (memory 1 1 shared) (func (export "run") (drop (i32.atomic.load (i32.const 0)))))',
        '(module (memory i64 1) (func (export "run")))',
        '(module (memory 1) (memory 1) (func (export "run")))',
        '(module (type (struct)) (func (export "run")))',
        '(module (tag) (func (export "run")))',
        '(module (type $f (func)) (func (export "run") (param (ref $f))))',
    ],
    ids=["threads", "memory64", "multi_memory", "gc", "exceptions", "typed_references"],
)
def test_late_proposals_are_refused(engine, wat):
    with pytest.raises(MalformedModule):
        engine.compile(wat_to_wasm(wat))


# ---- a fresh store for each run


def test_nothing_of_a_run_is_there_for_the_next(engine):
    module = wat_to_wasm(
        """(module (memory 1 9) (global $g (mut i32) (i32.const 0)) (table 2 9 funcref) (func $f)
        (elem declare func $f)
        (func (export "run") (result i32 i32 i32 i32 i32)
          (global.set $g (i32.add (global.get $g) (i32.const 1)))
          (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
          (drop (memory.grow (i32.const 1))) (drop (table.grow (ref.func $f) (i32.const 1)))
          (global.get $g) (i32.load (i32.const 8)) (memory.size) (table.size) (i32.load (i32.const 70000))
          (i32.store (i32.const 70000) (i32.const 7))))"""
    )
    program = engine.compile(module)
    task = Task(id=b"t", module=module, digest=module_digest(module))
    outputs = {engine.run(program, task).output for _ in range(20)}
    assert outputs == {struct.pack("<5i", 1, 1, 2, 3, 0)}


def test_a_trapped_run_leaves_nothing_for_the_next(run):
    refuse = body("(drop (memory.grow (i32.const 2000))) unreachable", extra="(memory 1)")
    assert run(refuse).status is Status.MEMORY_LIMIT
    assert run(body("unreachable", extra="(memory 1)")).status is Status.UNREACHABLE


# ---- the buffer convention


def echo(pointer: str = "(local.get 0)", length: str = "(local.get 1)") -> str:
    return f"""(module {BUFFER} (func (export "run") (param i32 i32) (result i64)
      (i64.or (i64.shl (i64.extend_i32_u {pointer}) (i64.const 32)) (i64.extend_i32_u {length}))))"""


def test_buffer_in_and_out(run):
    assert run(echo(), stdin=b"hello").output == b"hello"
    assert run(echo()).output == b""


@pytest.mark.parametrize(
    ("pointer", "length"),
    [("-1", "1"), ("-1", "0x7fffffff"), ("65535", "2"), ("0", "65537"), ("0x80000000", "1"), ("65537", "0")],
)
def test_an_output_outside_the_memory_is_out_of_bounds(run, pointer, length):
    ended = run(echo(f"(i32.const {pointer})", f"(i32.const {length})"), limits=Limits(output_bytes=2**26))
    assert ended.status in (Status.OUT_OF_BOUNDS, Status.OUTPUT_LIMIT)
    assert ended.output == b""


@pytest.mark.parametrize("pointer", ["-1", "0x80000000", "65532"])
def test_an_allocation_outside_the_memory_is_out_of_bounds(run, pointer):
    wat = f"""(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) i32.const {pointer})
      (func (export "run") (param i32 i32) (result i64) i64.const 0))"""
    assert run(wat, stdin=b"hello").status is Status.OUT_OF_BOUNDS


def test_an_input_that_does_not_fit_is_the_memory_limit(run):
    wat = """(module (memory (export "memory") 1)
      (func (export "alloc") (param i32) (result i32)
        (if (i32.eq (memory.grow (i32.shr_u (local.get 0) (i32.const 16))) (i32.const -1)) (then unreachable))
        i32.const 65536)
      (func (export "run") (param i32 i32) (result i64) i64.const 0))"""
    assert run(wat, stdin=bytes(2 * MIB), limits=Limits(memory_bytes=MIB)).status is Status.MEMORY_LIMIT
    assert run(wat, stdin=bytes(2 * MIB), limits=LIGHT).status is Status.SUCCESS


def test_a_reactor_is_initialised_first(run):
    wat = """(module (global $g (mut i32) (i32.const 1)) (func (export "_initialize") (global.set $g (i32.const 9)))
      (func (export "run") (result i32) global.get $g))"""
    assert run(wat).output == b"\x09\0\0\0"


# ---- compiled code


def test_an_artefact_runs_like_fresh_code(engine):
    module = wat_to_wasm(echo())
    task = Task(id=b"t", module=module, digest=module_digest(module), stdin=b"abc")
    program = engine.compile(module)
    other = WasmtimeEngine()
    loaded = other.load(module, engine.artefact(program))
    assert other.run(loaded, task) == engine.run(program, task)


def test_a_command_outside_its_profile_is_refused_before_it_runs(engine):
    module = wat_to_wasm('(module (import "env" "x" (func)) (memory (export "memory") 1) (func (export "_start")))')
    program = engine.compile(module)
    assert program.linked is None
    from quorate.errors import ForbiddenImport

    with pytest.raises(ForbiddenImport, match=r"env\.x"):
        engine.run(program, Task(id=b"t", module=module, digest=module_digest(module), profile=COMMAND))
