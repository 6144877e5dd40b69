"""Deterministic WASI: what a command sees, and that hostile operands meet error codes and nothing else."""

from pathlib import Path

import pytest
import wasmtime._func

from quorate.execute.engine import COMMAND, LIGHT, Limits, Task, module_digest
from quorate.execute.wasm.wasi import CALL_FUEL, CALL_SIGNATURES, FAULT, INVAL, NOTCAPABLE, SPIPE
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm
from quorate.model.trap import Status

EXAMPLES = Path(__file__).parents[3] / "examples"
ALL_CAPABILITIES = frozenset({"fixed_clock", "seeded_random", "absent_files"})


@pytest.fixture(scope="module")
def engine():
    return WasmtimeEngine()


@pytest.fixture
def run(engine):
    def run(source, **fields):
        module = wat_to_wasm(source) if isinstance(source, str) else source
        task = Task(id=b"t", module=module, digest=module_digest(module), profile=COMMAND, **fields)
        return engine.run(engine.compile(module), task)

    return run


def importing(*names: str) -> str:
    kinds = []
    for name in names:
        params, results = CALL_SIGNATURES[name]
        kind = f"(param {' '.join(params)}) (result {' '.join(results)})"
        kinds.append(f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {kind}))')
    return " ".join(kinds)


def program(names: tuple[str, ...], code: str, data: str = "") -> str:
    return f'(module {importing(*names)} (memory (export "memory") 1) {data} (func (export "_start") {code}))'


def answer(names: tuple[str, ...], call: str, data: str = "") -> str:
    """A command that exits with the answer of `call`."""
    return program((*names, "proc_exit"), f"(call $proc_exit {call})", data)


# ---- what a command sees


def test_aggregation_of_the_example(run):
    module = (EXAMPLES / "aggregation/aggregation.wasm").read_bytes()
    ended = run(module, stdin=(EXAMPLES / "aggregation/input.json").read_bytes(), limits=LIGHT)
    assert ended.status is Status.SUCCESS
    assert ended.output == b'{"count":12,"sum":752200,"mean":62683.33,"min":44900,"max":91200}\n'


@pytest.mark.parametrize(
    ("stdin", "output"),
    [
        (b"[1,2,2]", b'{"count":3,"sum":5,"mean":1.67,"min":1,"max":2}\n'),
        (b" [ -1 ,\n0 ] ", b'{"count":2,"sum":-1,"mean":-0.50,"min":-1,"max":0}\n'),
        (b"[-1,-2,-2]", b'{"count":3,"sum":-5,"mean":-1.67,"min":-2,"max":-1}\n'),
        (b"[0]", b'{"count":1,"sum":0,"mean":0.00,"min":0,"max":0}\n'),
        (
            b'[{"name":"\\u00e9 \\"x","salary":5},{"salary":-1,"age":3}]',
            b'{"count":2,"sum":4,"mean":2.00,"min":-1,"max":5}\n',
        ),
        (
            b'{"salaries":[{"salary":1000000000000}]}',
            b'{"count":1,"sum":1000000000000,"mean":1000000000000.00,"min":1000000000000,"max":1000000000000}\n',
        ),
        (b"[" + b"1," * 300 + b"1]", b'{"count":301,"sum":301,"mean":1.00,"min":1,"max":1}\n'),
    ],
)
def test_aggregation_results(run, stdin, output):
    module = (EXAMPLES / "aggregation/aggregation.wasm").read_bytes()
    assert run(module, stdin=stdin, limits=LIGHT).output == output


@pytest.mark.parametrize(
    ("stdin", "reason"),
    [
        (b"", b"expected an array"),
        (b"[]", b"no salaries"),
        (b"[1,]", b"expected an integer"),
        (b"[1", b"comma"),
        (b"[01]", b"leading zero"),
        (b"[1.5]", b"integers"),
        (b"[1e3]", b"integers"),
        (b"[-]", b"expected an integer"),
        (b"[1000000000001]", b"10^12"),
        (b"[1] 2", b"follow"),
        (b'{"salaries":[1],"salaries":[2]}', b"end of the object"),
        (b'{"wages":[1]}', b"salaries"),
        (b'[{"name":"x"}]', b"no salary"),
        (b'[{"salary":1,"salary":2}]', b"second salary"),
        (b'[{"salary":"1"}]', b"expected an integer"),
        (b'[{"name":"x]', b"does not end"),
        (b'[{"a":"\\x","salary":1}]', b"bad escape"),
        (b"\xff\xfe", b"expected an array"),
    ],
)
def test_aggregation_refuses_bad_input_with_exit_code_2(run, stdin, reason):
    module = (EXAMPLES / "aggregation/aggregation.wasm").read_bytes()
    ended = run(module, stdin=stdin, limits=LIGHT)
    assert (ended.status, ended.exit_code, ended.output) == (Status.NONZERO_EXIT, 2, b"")
    assert ended.log.startswith(b"aggregation: byte ")
    assert reason in ended.log


def test_arguments_and_libc(run):
    module = (EXAMPLES / "guests/csv_total.wasm").read_bytes()
    assert run(module, stdin=b"1,2\n3,-4\n", limits=LIGHT).output == b"4,-2\n"
    assert run(module, stdin=b"1;2\n3;-4\n", args=(";",), limits=LIGHT).output == b"4;-2\n"
    ended = run(module, stdin=b"1,2\n3\n", limits=LIGHT)
    assert (ended.exit_code, ended.log) == (2, b"csv_total: line 2: too few columns\n")


def test_the_environment_is_empty(run):
    code = """(drop (call $environ_sizes_get (i32.const 8) (i32.const 12)))
      (drop (call $environ_get (i32.const 64) (i32.const 96)))"""
    check = "(if (i32.or (i32.load (i32.const 8)) (i32.load (i32.const 12))) (then unreachable))"
    assert run(program(("environ_sizes_get", "environ_get"), code + check)).status is Status.SUCCESS


def test_seeking_and_foreign_descriptors(run):
    seek = "(call $fd_seek (i32.const {}) (i64.const 0) (i32.const 0) (i32.const 64))"
    assert run(answer(("fd_seek",), seek.format(1))).exit_code == SPIPE
    assert run(answer(("fd_seek",), seek.format(3))).exit_code == 8
    assert run(answer(("fd_close",), "(call $fd_close (i32.const 3))")).exit_code == 8
    assert run(answer(("fd_prestat_get",), "(call $fd_prestat_get (i32.const 3) (i32.const 64))")).exit_code == 8


def test_exit_codes(run):
    for code, status in ((0, Status.SUCCESS), (1, Status.NONZERO_EXIT), (255, Status.NONZERO_EXIT)):
        ended = run(program(("proc_exit",), f"(call $proc_exit (i32.const {code}))"))
        assert (ended.status, ended.exit_code) == (status, code)


def test_nothing_happens_after_exit(run):
    names = ("proc_exit", "fd_write")
    write = "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))"
    data = '(data (i32.const 0) "\\20\\00\\00\\00\\05\\00\\00\\00") (data (i32.const 32) "hello")'
    ended = run(program(names, write + "(call $proc_exit (i32.const 3))" + write + "(loop (br 0))", data))
    assert (ended.status, ended.exit_code, ended.output) == (Status.NONZERO_EXIT, 3, b"hello")
    assert ended.fuel_used < 20_000


def test_a_trap_keeps_the_log_and_drops_the_output(run):
    write = "(drop (call $fd_write (i32.const {}) (i32.const 0) (i32.const 1) (i32.const 64)))"
    data = '(data (i32.const 0) "\\20\\00\\00\\00\\05\\00\\00\\00") (data (i32.const 32) "hello")'
    ended = run(program(("fd_write",), write.format(1) + write.format(2) + "unreachable", data))
    assert (ended.status, ended.output, ended.log) == (Status.UNREACHABLE, b"", b"hello")


# ---- limits


def test_output_limit_and_log_cut(run):
    write = "(loop (drop (call $fd_write (i32.const {}) (i32.const 0) (i32.const 1) (i32.const 64))) (br 0))"
    data = '(data (i32.const 0) "\\20\\00\\00\\00\\05\\00\\00\\00") (data (i32.const 32) "hello")'
    limits = Limits(output_bytes=12, log_bytes=12, fuel=10**6)
    assert run(program(("fd_write",), write.format(1), data), limits=limits).status is Status.OUTPUT_LIMIT
    logged = run(program(("fd_write",), write.format(2), data), limits=limits)
    assert (logged.status, logged.log) == (Status.OUT_OF_FUEL, b"hellohellohe")


def test_every_call_costs_fuel(run):
    calls = run(program(("sched_yield",), "(drop (call $sched_yield))" * 10))
    assert calls.fuel_used >= 10 * CALL_FUEL
    spin = run(program(("sched_yield",), "(loop (drop (call $sched_yield)) (br 0))"), limits=Limits(fuel=10**6))
    assert (spin.status, spin.fuel_used) == (Status.OUT_OF_FUEL, 10**6)


# ---- hostile operands


@pytest.mark.parametrize(
    "call",
    [
        "(call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 64))",
        "(call $fd_write (i32.const 1) (i32.const 65533) (i32.const 1) (i32.const 64))",
        "(call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const -4))",
        "(call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 64))",
        "(call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 64))",
        "(call $fd_read (i32.const 0) (i32.const 0x80000000) (i32.const 1) (i32.const 64))",
        "(call $args_sizes_get (i32.const -1) (i32.const 0))",
        "(call $args_get (i32.const 65534) (i32.const 0))",
        "(call $args_get (i32.const 0) (i32.const -2))",
        "(call $fd_fdstat_get (i32.const 1) (i32.const 65530))",
    ],
)
def test_pointers_outside_the_memory_are_answered_with_a_fault(run, call):
    # The list at 8 names 16 bytes at 0xfffffff0.
    data = '(data (i32.const 0) "\\20\\00\\00\\00\\05\\00\\00\\00\\f0\\ff\\ff\\ff\\10\\00\\00\\00")'
    names = ("fd_write", "fd_read", "args_sizes_get", "args_get", "fd_fdstat_get")
    ended = run(answer(names, call, data), stdin=b"some input", args=("x",))
    assert ended.exit_code == FAULT
    assert wasmtime._func.LAST_EXCEPTION is None


def test_a_list_of_too_many_vectors_is_refused(run):
    call = "(call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 64))"
    assert run(answer(("fd_write",), call)).exit_code == INVAL


def test_a_vector_longer_than_the_memory_is_a_fault_and_costs_its_size(run):
    call = "(call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))"
    data = '(data (i32.const 0) "\\20\\00\\00\\00\\ff\\ff\\ff\\ff")'
    assert run(answer(("fd_write",), call, data)).status is Status.OUT_OF_FUEL
    rich = run(answer(("fd_write",), call, data), limits=Limits(fuel=10**10))
    assert rich.exit_code == FAULT


def test_calls_during_the_start_function_work(run):
    wat = f"""(module {importing("fd_write")} (memory (export "memory") 1)
      (data (i32.const 0) "\\20\\00\\00\\00\\05\\00\\00\\00") (data (i32.const 32) "hello") (start $early)
      (func $early (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))))
      (func (export "_start")))"""
    assert run(wat).output == b"hello"


# ---- stand-ins


def test_stand_ins_are_deterministic_and_no_sources(run):
    names = ("clock_time_get", "random_get", "fd_write")
    code = """(i64.store (i32.const 128) (i64.const 77))
      (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 128)))
      (drop (call $random_get (i32.const 136) (i32.const 16))) (drop (call $random_get (i32.const 152) (i32.const 16)))
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))"""
    data = '(data (i32.const 0) "\\80\\00\\00\\00\\28\\00\\00\\00")'
    wat = program(names, code, data)
    granted = frozenset({"fixed_clock", "seeded_random"})
    first = run(wat, capabilities=granted)
    assert first.output[:8] == bytes(8)
    assert first.output[8:24] != first.output[24:40] != bytes(16)
    assert run(wat, capabilities=granted) == first
    other = run(wat, capabilities=granted, stdin=b"another input")
    assert other.output[8:] != first.output[8:]


def test_absent_files_answer_not_capable(run):
    call = """(call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 64))"""
    assert run(answer(("path_open",), call), capabilities=ALL_CAPABILITIES).exit_code == NOTCAPABLE


def test_a_fault_of_our_own_ends_the_run_as_a_failure_of_the_host(engine, monkeypatch):
    from quorate.execute.wasm import wasi
    from quorate.execute.wasm.wasmtime_engine import HostFault

    def broken(session):
        raise RuntimeError("a bug")

    monkeypatch.setitem(wasi._CALLS, "sched_yield", broken)
    module = wat_to_wasm(program(("sched_yield",), "(drop (call $sched_yield))"))
    task = Task(id=b"t", module=module, digest=module_digest(module), profile=COMMAND)
    with pytest.raises(HostFault):
        engine.run(engine.compile(module), task)
    assert wasmtime._func.LAST_EXCEPTION is None
