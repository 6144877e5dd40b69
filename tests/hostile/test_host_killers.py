"""The ways to kill or corrupt a host that embeds wasmtime, found by running it. One test for each, numbered as found.

Each shows that what the engine and its workers do survives what would have ended a naive host.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest
import wasmtime

from quorate.errors import TooLarge, UnsupportedMachine
from quorate.execute import jail
from quorate.execute.engine import COMMAND, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm import wasmtime_engine
from quorate.execute.wasm.guard import inspect
from quorate.execute.wasm.wasmtime_engine import MAX_WASM_STACK_BYTES, WasmtimeEngine, wat_to_wasm
from quorate.execute.worker import STACK_BYTES_MIN
from quorate.model.trap import Status
from quorate.model.units import MIB

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)

DEEP = wat_to_wasm('(module (func $deep (export "run") (call $deep)))')
OUTSIDE = wat_to_wasm('(module (memory 1) (func (export "run") (drop (i32.load (i32.const -8)))))')
SPIN = wat_to_wasm('(module (func (export "run") (loop (br 0))))')
ANSWER = wat_to_wasm('(module (func (export "run") (result i32) i32.const 42))')


def task(module, **fields):
    return Task(id=os.urandom(8), module=module, digest=module_digest(module), **fields)


@pytest.fixture
async def pool_of():
    pools = []

    async def make(**settings):
        pool = WorkerPool(PoolSettings(slots=1, **settings))
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        await pool.close()


def worker_after(code: str) -> tuple[str, ...]:
    """A worker whose process first does something to itself."""
    worker = "os.execv(sys.executable, [sys.executable, '-I', '-B', '-m', 'quorate.execute.worker'])"
    return (sys.executable, "-I", "-c", f"import os, sys, resource; {code}; {worker}")


def ends_with(code: str) -> int:
    """The exit status of an interpreter that runs a guest after `code` has set a switch of ours to the deadly value."""
    source = f"""
from quorate.execute.engine import Task, module_digest
from quorate.execute.wasm import wasmtime_engine as w
{code}
engine = w.WasmtimeEngine()
module = w.wat_to_wasm('(module (memory 1) (data (i32.const 0) "x") (func (export "run")))')
engine.run(engine.compile(module), Task(id=b"", module=module, digest=module_digest(module)))
"""
    return subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=30, check=False).returncode


async def survives(pool, module, status):
    pids = pool.pids
    assert (await pool.run(task(module))).status is status
    assert (await pool.run(task(ANSWER))).output == b"\x2a\0\0\0"
    assert pool.pids == pids


async def test_1_a_wasm_stack_above_two_mebibytes_aborts(pool_of):
    assert MAX_WASM_STACK_BYTES <= MIB
    assert ends_with("") == 0
    assert ends_with("w.SETTINGS['max_wasm_stack'] = 3 << 20") == -signal.SIGABRT
    await survives(await pool_of(), DEEP, Status.NATIVE_STACK_OVERFLOW)


async def test_2_a_wasm_stack_above_the_threads_own_crashes(pool_of):
    """A worker started under a small soft limit raises it; under a small hard limit it refuses to start."""
    assert STACK_BYTES_MIN >= 4 * MAX_WASM_STACK_BYTES
    small = "h = resource.getrlimit(resource.RLIMIT_STACK)[1]; resource.setrlimit(resource.RLIMIT_STACK, (524288, h))"
    await survives(await pool_of(command=worker_after(small)), DEEP, Status.NATIVE_STACK_OVERFLOW)
    smaller = "resource.setrlimit(resource.RLIMIT_STACK, (1048576, 1048576))"
    with pytest.raises(UnsupportedMachine, match="stack"):
        await pool_of(command=worker_after(smaller))


async def test_3_a_late_faulthandler_makes_every_trap_fatal(pool_of):
    """Nothing can switch it on: the worker takes no environment, and does not import it."""
    asked = (("PYTHONFAULTHANDLER", "1"), ("PYTHONDEVMODE", "1"))
    await survives(await pool_of(environment=asked), OUTSIDE, Status.OUT_OF_BOUNDS)
    code = "import quorate.execute.worker, faulthandler, sys; sys.exit(faulthandler.is_enabled())"
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0


def test_4_compiling_after_a_fork_deadlocks():
    """With parallel compilation off a child can compile; the pool starts workers afresh and never forks one anyway."""
    assert wasmtime_engine.HOST_SETTINGS["parallel_compilation"] is False
    code = """
import os
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm
engine = WasmtimeEngine()
functions = " ".join(f'(func (export "f{n}") (result i32) i32.const {n})' for n in range(50))
engine.compile(wat_to_wasm(f"(module {functions})"))
pid = os.fork()
if pid == 0:
    WasmtimeEngine().compile(wat_to_wasm(f"(module {functions} (memory 1))"))
    os._exit(7)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
    assert done.returncode == 7


async def test_5_little_address_space_refuses_every_memory(pool_of):
    """Under RLIMIT_AS the memories are laid out compactly; outcomes, fuel and version are the same."""
    grow = wat_to_wasm(
        """(module (memory 1) (func (export "run") (result i32) (drop (memory.grow (i32.const 900)))
        (i32.store (i32.const 50000000) (i32.const 7)) (i32.load (i32.const 50000000))))"""
    )
    cramped = await pool_of(command=worker_after("resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))"))
    wide = await pool_of()
    ended = [await pool.run(task(grow)) for pool in (cramped, wide)]
    assert [item.output for item in ended] == [b"\7\0\0\0"] * 2
    assert ended[0].fuel_used == ended[1].fuel_used
    assert ended[0].engine_version == ended[1].engine_version
    assert cramped._artefact_kind != wide._artefact_kind
    await survives(cramped, OUTSIDE, Status.OUT_OF_BOUNDS)


def nested(depth: int, functions: int = 1) -> bytes:
    body = "(if (local.get 0) (then " * depth + "))" * depth
    return wat_to_wasm('(module (func (export "run")) ' + f"(func (param i32) {body})" * functions + ")")


async def test_6_small_modules_that_take_seconds_to_compile(pool_of):
    with pytest.raises(TooLarge, match="nested"):
        inspect(nested(2000))
    pool = await pool_of(compile_s=0.4)
    with pytest.raises(TooLarge, match="nested"):
        await pool.run(task(nested(2000)))
    bomb = nested(1000, 250)
    assert inspect(bomb)
    (pid,) = pool.pids
    gaps, before = await longest_gap(pool.run(task(bomb)))
    assert before[0].status is Status.COMPILE_CLOCK
    assert before[1] < 0.9
    assert gaps < 0.5
    assert pool.pids != (pid,)
    assert (await pool.run(task(ANSWER))).status is Status.SUCCESS


async def longest_gap(work):
    """Awaits `work` and says how long the event loop was ever held up meanwhile, the result, and how long it took."""
    running, longest, start = asyncio.ensure_future(work), 0.0, time.monotonic()
    while not running.done():
        before = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - before - 0.005)
    return longest, (await running, time.monotonic() - start)


def test_7_an_artefact_is_not_checked_by_the_engine():
    """Why there is a MAC (test_artefacts, test_pool): the engine takes compiled code with a flipped byte."""
    engine = WasmtimeEngine()
    program = engine.compile(ANSWER)
    artefact = bytearray(engine.artefact(program))
    at = artefact.index(b"\x2a\0\0\0", len(artefact) // 8)  # the constant in the machine code
    artefact[at] ^= 1
    changed = engine.load(ANSWER, bytes(artefact))
    assert engine.run(changed, task(ANSWER)).output != b"\x2a\0\0\0"


def test_8_and_9_host_calls_never_raise_and_check_every_pointer():
    """Host exceptions go through one global of the binding, and its memory reads truncate silently: ours do neither."""
    import wasmtime._func

    engine = WasmtimeEngine()
    call = "(drop (call $write (i32.const 1) (i32.const {}) (i32.const {}) (i32.const {})))"
    hostile = "".join(
        call.format(*operands)
        for operands in [(-1, 1, 0), (0, -1, 0), (0, 1, -1), (65535, 1, 0), (2147483647, 1024, -2147483648), (16, 1, 0)]
    )
    module = wat_to_wasm(
        f"""(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 16) "\\fe\\ff\\00\\00\\08\\00\\00\\00")
        (func (export "_start") {hostile}))"""
    )
    ended = engine.run(engine.compile(module), task(module, profile=COMMAND))
    assert (ended.status, ended.output) == (Status.SUCCESS, b"")
    assert wasmtime._func.LAST_EXCEPTION is None
    memory = wasmtime_engine.LinearMemories()
    memory.begin(MIB, 65_536)
    handle = memory.create(65_536, 0, 65_536)
    assert memory.read(-1, 1) is memory.read(0, -1) is memory.read(65_535, 2) is memory.read(65_537, 0) is None
    assert memory.read(65_536, 0) == b""
    assert not memory.write(-4, b"data")
    assert not memory.write(65_534, b"data")
    memory.release(handle)


def test_10_integers_that_are_too_wide_are_truncated_silently():
    """The binding turns 2^40 into 0: no number of ours reaches it that does not fit, pointers come back masked."""
    engine = WasmtimeEngine()
    module = wat_to_wasm(
        """(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) (i32.const -16))
        (func (export "run") (param i32 i32) (result i64) (i64.const -1)))"""
    )
    program = engine.compile(module)
    assert engine.run(program, task(module, stdin=b"x")).status is Status.OUT_OF_BOUNDS
    assert engine.run(program, task(module)).status is Status.OUT_OF_BOUNDS
    assert wasmtime_engine._signed_32(0xFFFFFFF0) == -16
    assert wasmtime_engine._signed_32(0x7FFFFFFF) == 0x7FFFFFFF


async def test_11_a_signal_handler_waits_for_the_guest(pool_of):
    """So the deadline is a SIGKILL from outside, and no Python handler is in the worker's path."""
    pool = await pool_of()
    await pool.run(task(ANSWER))
    start = time.monotonic()
    ended = await pool.run(task(SPIN, limits=Limits(fuel=10**15, run_ms=300)))
    assert ended.status is Status.WALL_CLOCK
    assert time.monotonic() - start < 0.8


def test_12_falsy_data_of_a_store_is_dropped():
    """Nothing is kept in the store: a run with an empty input does not see the input before it."""
    engine = WasmtimeEngine()
    module = wat_to_wasm(
        """(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
        (data (i32.const 0) "\\40\\00\\00\\00\\08\\00\\00\\00")
        (func (export "_start") (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
          (call $exit (i32.load (i32.const 16)))))"""
    )
    program = engine.compile(module)
    codes = [
        engine.run(program, task(module, profile=COMMAND, stdin=stdin)).exit_code for stdin in (b"abc", b"", b"a", b"")
    ]
    assert codes == [3, 0, 1, 0]


def test_13_copy_on_write_images_abort_on_memories_of_our_own():
    """Found while building the linear memory: the engine panics in a process that it cannot unwind."""
    assert wasmtime_engine.HOST_SETTINGS["memory_init_cow"] is False
    assert ends_with("w.HOST_SETTINGS['memory_init_cow'] = True") == -signal.SIGABRT
    engine = WasmtimeEngine()
    module = wat_to_wasm(
        """(module (memory 2) (data (i32.const 65536) "hello")
        (func (export "run") (result i32) (i32.load8_u (i32.const 65540))))"""
    )
    assert engine.run(engine.compile(module), task(module)).output == b"o\0\0\0"


def test_the_version_that_all_this_was_found_with():
    """A new wasmtime is a new engine: read its release notes, see that all of this still holds, then change it."""
    assert wasmtime_engine.wasmtime_version() == "50.0.1"
    assert hasattr(wasmtime._bindings, "wasmtime_config_host_memory_creator_set")
