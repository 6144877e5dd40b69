"""The worker pool with real workers: order, clocks, cancellation, replacement, accounting, and nothing left behind."""

import asyncio
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from tests.support.meshes import until

from quorate.errors import (
    AboveCap,
    BadContract,
    ForbiddenImport,
    InvalidField,
    MalformedBytes,
    MalformedModule,
    MissingEntry,
    NotWasm,
    TooLarge,
    UnsupportedMachine,
    WorldError,
)
from quorate.execute import jail
from quorate.execute.engine import FULL, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm
from quorate.model.trap import Status
from quorate.model.units import MIB

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)

ANSWER = wat_to_wasm('(module (func (export "run") (result i32) i32.const 42))')
SPIN = wat_to_wasm('(module (func (export "run") (loop (br 0))))')
# Spins for as many units of 10^7 rounds as its input has bytes, then returns nothing.
COUNTDOWN = wat_to_wasm(
    """(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) i32.const 64)
    (func (export "run") (param i32 i32) (result i64) (local $left i64)
      (local.set $left (i64.mul (i64.extend_i32_u (local.get 1)) (i64.const 10000000)))
      (block $done (loop $next (br_if $done (i64.eqz (local.get $left)))
        (local.set $left (i64.sub (local.get $left) (i64.const 1))) (br $next)))
      (i64.const 0)))"""
)
FOREVER = Limits(fuel=10**15, run_ms=20_000)
_serial = 0


def task(module=ANSWER, **fields):
    global _serial
    _serial += 1
    return Task(id=fields.pop("id", b"task-%d" % _serial), module=module, digest=module_digest(module), **fields)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.fixture
async def pool_of():
    pools = []

    async def make(artefacts=None, **settings):
        pool = WorkerPool(PoolSettings(**settings), artefacts)
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        pids = pool.pids
        await pool.close()
        assert not [pid for pid in pids if alive(pid)]


async def test_runs_and_reports(pool_of):
    pool = await pool_of(slots=1)
    done = await pool.run(task())
    assert (done.status, done.output, done.exit_code) == (Status.SUCCESS, b"\x2a\0\0\0", 0)
    assert done.fuel_used == 2
    assert done.engine_version == pool.engine_version
    assert done.layers == pool.layers
    assert not jail.missing(done.layers)
    assert done.memory_peak_bytes > 10 * MIB
    assert done.wall_ms >= 1


async def test_all_layers_of_this_machine_hold(pool_of):
    pool = await pool_of(slots=1)
    assert pool.layers == tuple(jail.layers())


# ---- refusals


@pytest.mark.parametrize(
    ("module", "fields", "fault"),
    [
        (b"\x7fELF" + bytes(60), {}, NotWasm),
        (ANSWER[:-1], {}, MalformedModule),
        (ANSWER + bytes(5 * MIB), {}, TooLarge),
        (wat_to_wasm('(module (import "env" "f" (func)) (func (export "run")))'), {}, ForbiddenImport),
        (ANSWER, {"entry": "other"}, MissingEntry),
        (ANSWER, {"stdin": b"x"}, InvalidField),
        (ANSWER, {"profile": "contract"}, BadContract),
        (ANSWER, {"profile": "nonsense"}, InvalidField),
        (ANSWER, {"limits": Limits(memory_bytes=FULL.memory_bytes + 65_536)}, AboveCap),
    ],
)
async def test_what_can_never_run_is_refused_with_its_reason(pool_of, module, fields, fault):
    pool = await pool_of(slots=1)
    with pytest.raises(fault) as caught:
        await pool.run(task(module, **fields))
    assert caught.value.field
    assert (await pool.run(task())).status is Status.SUCCESS
    assert len(pool.pids) == 1


async def test_one_flipped_byte_is_refused_before_anything_is_read(pool_of):
    pool = await pool_of(slots=1)
    flipped = ANSWER[:-2] + bytes([ANSWER[-2] ^ 1]) + ANSWER[-1:]
    with pytest.raises(MalformedBytes, match="digest"):
        await pool.run(Task(id=b"x", module=flipped, digest=module_digest(ANSWER)))
    assert (await pool.run(task())).status is Status.SUCCESS
    with pytest.raises(MalformedBytes, match="digest"):
        await pool.run(Task(id=b"x", module=flipped, digest=module_digest(ANSWER)))


async def test_an_id_under_way_is_refused(pool_of):
    pool = await pool_of(slots=1)
    first = asyncio.create_task(pool.run(task(SPIN, id=b"same", limits=FOREVER)))
    await asyncio.sleep(0)
    with pytest.raises(InvalidField, match="id"):
        await pool.run(task(id=b"same"))
    await pool.cancel(b"same")
    assert (await first).status is Status.CANCELLED


async def test_a_pool_that_is_not_running_refuses(pool_of):
    with pytest.raises(WorldError, match="not running"):
        await WorkerPool().run(task())
    pool = await pool_of(slots=1)
    await pool.close()
    with pytest.raises(WorldError, match="not running"):
        await pool.run(task())


# ---- clocks


async def test_wall_clock_kills_within_half_a_second_of_its_time(pool_of):
    pool = await pool_of(slots=1)
    await pool.run(task())
    (pid,) = pool.pids
    before = time.monotonic()
    ended = await pool.run(task(SPIN, limits=Limits(fuel=10**15, run_ms=400)))
    took = time.monotonic() - before
    assert ended.status is Status.WALL_CLOCK
    assert 0.4 <= took < 0.9
    assert not alive(pid)
    assert (await pool.run(task())).status is Status.SUCCESS


async def test_one_jobs_clock_never_shortens_anothers(pool_of):
    pool = await pool_of(slots=2, warm=2)
    long = asyncio.create_task(pool.run(task(SPIN, limits=Limits(fuel=10**15, run_ms=1500))))
    before = time.monotonic()
    for _ in range(3):
        assert (await pool.run(task(SPIN, limits=Limits(fuel=10**15, run_ms=200)))).status is Status.WALL_CLOCK
    ended = await long
    assert ended.status is Status.WALL_CLOCK
    assert 1.4 <= time.monotonic() - before < 2.0


async def test_a_jobs_clock_starts_when_its_guest_starts(pool_of):
    """Four jobs wait for one worker; with clocks that started at submission the last two would be over time."""
    pool = await pool_of(slots=1)
    await pool.run(task(COUNTDOWN))
    one = time.monotonic()
    await pool.run(task(COUNTDOWN, stdin=bytes(40), limits=FOREVER))
    each = time.monotonic() - one
    limits = Limits(fuel=10**15, run_ms=int(each * 1000 * 2) + 50)
    ended = await asyncio.gather(*(pool.run(task(COUNTDOWN, stdin=bytes(40), limits=limits)) for _ in range(4)))
    assert {item.status for item in ended} == {Status.SUCCESS}


async def test_the_alarm_behind_the_pool_is_a_wall_clock(pool_of):
    """SIGALRM is what a worker gets from the kernel when the pool itself was stopped beyond the deadline."""
    import signal

    pool = await pool_of(slots=1)
    running = asyncio.create_task(pool.run(task(SPIN, limits=FOREVER)))
    await asyncio.sleep(0.3)
    os.kill(pool.pids[0], signal.SIGALRM)
    assert (await running).status is Status.WALL_CLOCK


# ---- order


async def test_tasks_start_in_order_and_the_fifth_waits(pool_of):
    pool = await pool_of(slots=4, warm=4)
    await asyncio.sleep(0.5)
    order = []

    async def one(number):
        ended = await pool.run(task(SPIN, limits=Limits(fuel=10**15, run_ms=400 + 50 * number)))
        order.append(number)
        return ended

    running = [asyncio.create_task(one(number)) for number in range(6)]
    await asyncio.sleep(0.2)
    assert pool.waiting == 2
    await asyncio.gather(*running)
    assert order == list(range(6))


async def test_results_of_one_worker_come_in_the_order_of_submission(pool_of):
    pool = await pool_of(slots=1)
    order = []

    async def one(number):
        await pool.run(task())
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(200)))
    assert order == list(range(200))


async def test_nobody_starves_behind_a_guest_that_turns_out_slow(pool_of):
    """A program known to be quick is prefetched; when one run of it is slow, those behind it go to the other worker."""
    pool = await pool_of(slots=2, warm=2)
    for _ in range(20):
        await asyncio.gather(*(pool.run(task(COUNTDOWN)) for _ in range(4)))
    before = time.monotonic()
    slow = asyncio.create_task(pool.run(task(COUNTDOWN, stdin=bytes(250), limits=FOREVER)))
    quick = [asyncio.create_task(pool.run(task(COUNTDOWN))) for _ in range(12)]
    await asyncio.gather(*quick)
    took_quick = time.monotonic() - before
    assert not slow.done()
    assert (await slow).status is Status.SUCCESS
    assert took_quick < (time.monotonic() - before) / 2


async def test_tasks_prefetched_by_a_killed_worker_run_elsewhere(pool_of):
    pool = await pool_of(slots=1)
    for _ in range(20):
        await asyncio.gather(*(pool.run(task(COUNTDOWN)) for _ in range(4)))
    slow = asyncio.create_task(pool.run(task(COUNTDOWN, stdin=bytes(250), limits=FOREVER)))
    quick = [asyncio.create_task(pool.run(task(COUNTDOWN))) for _ in range(3)]
    await asyncio.sleep(0.005)
    pool._children[0].kill(Status.WORKER_DEATH)
    assert (await slow).status is Status.WORKER_DEATH
    assert {(await item).status for item in quick} == {Status.SUCCESS}


# ---- cancellation


async def test_cancel_answers_once_the_guest_process_is_gone(pool_of):
    pool = await pool_of(slots=1)
    running = asyncio.create_task(pool.run(task(SPIN, id=b"x", limits=FOREVER)))
    await asyncio.sleep(0.3)
    (pid,) = pool.pids
    assert alive(pid)
    assert await pool.cancel(b"x")
    assert not alive(pid)
    assert (await running).status is Status.CANCELLED
    assert (await pool.run(task())).status is Status.SUCCESS


async def test_cancel_of_a_waiting_task_touches_nobody_else(pool_of):
    pool = await pool_of(slots=1)
    first = asyncio.create_task(pool.run(task(COUNTDOWN, stdin=bytes(60), limits=FOREVER)))
    await asyncio.sleep(0)
    second = asyncio.create_task(pool.run(task(SPIN, id=b"second", limits=FOREVER)))
    await asyncio.sleep(0.05)
    assert await pool.cancel(b"second")
    assert (await second).status is Status.CANCELLED
    assert (await first).status is Status.SUCCESS


async def test_cancel_of_a_prefetched_task_touches_nobody_else(pool_of):
    pool = await pool_of(slots=1)
    for _ in range(20):
        await asyncio.gather(*(pool.run(task(COUNTDOWN)) for _ in range(4)))
    first = asyncio.create_task(pool.run(task(COUNTDOWN, stdin=bytes(60), limits=FOREVER)))
    second = asyncio.create_task(pool.run(task(COUNTDOWN, id=b"second", stdin=bytes(250), limits=FOREVER)))
    third = asyncio.create_task(pool.run(task(COUNTDOWN)))
    await asyncio.sleep(0.001)
    assert await pool.cancel(b"second")
    assert (await second).status is Status.CANCELLED
    assert (await first).status is Status.SUCCESS
    assert (await third).status is Status.SUCCESS


async def test_cancel_of_nothing_is_false(pool_of):
    pool = await pool_of(slots=1)
    await pool.run(task(id=b"done"))
    assert not await pool.cancel(b"done")
    assert not await pool.cancel(b"never")


async def test_cancelling_the_waiting_coroutine_ends_the_guest(pool_of):
    pool = await pool_of(slots=1)
    running = asyncio.create_task(pool.run(task(SPIN, limits=FOREVER)))
    await asyncio.sleep(0.3)
    (pid,) = pool.pids
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(pid)


async def test_close_ends_everything_and_answers_everyone(pool_of):
    pool = await pool_of(slots=1)
    running = [asyncio.create_task(pool.run(task(SPIN, limits=FOREVER))) for _ in range(3)]
    await asyncio.sleep(0.3)
    pids = pool.pids
    await pool.close()
    await pool.close()
    assert not [pid for pid in pids if alive(pid)]
    assert [(await item).status for item in running] == [Status.CANCELLED] * 3


# ---- workers


async def test_a_worker_that_dies_is_a_failure_and_is_replaced(pool_of):
    pool = await pool_of(slots=1)
    running = asyncio.create_task(pool.run(task(SPIN, limits=FOREVER)))
    await asyncio.sleep(0.3)
    (pid,) = pool.pids
    os.kill(pid, 9)
    assert (await running).status is Status.WORKER_DEATH
    assert (await pool.run(task())).status is Status.SUCCESS
    assert pool.pids != (pid,)


async def test_a_guests_own_trap_does_not_cost_the_worker(pool_of):
    pool = await pool_of(slots=1)
    await pool.run(task())
    pids = pool.pids
    deep = wat_to_wasm('(module (func $deep (export "run") (call $deep)))')
    assert (await pool.run(task(deep))).status is Status.NATIVE_STACK_OVERFLOW
    assert (
        await pool.run(task(wat_to_wasm('(module (func (export "run") unreachable))')))
    ).status is Status.UNREACHABLE
    assert pool.pids == pids


async def test_workers_come_with_the_load_and_leave_after_it(pool_of):
    pool = await pool_of(slots=3, warm=1, idle_s=0.3)
    assert len(pool.pids) == 1
    spin = [asyncio.create_task(pool.run(task(SPIN, limits=Limits(fuel=10**15, run_ms=700)))) for _ in range(3)]
    await asyncio.sleep(0.3)
    assert len(pool.pids) == 3
    await asyncio.gather(*spin)
    for _ in range(30):
        await asyncio.sleep(0.1)
        if len(pool.pids) == 1:
            break
    assert len(pool.pids) == 1


async def test_the_worker_process_has_nothing_of_ours(pool_of):
    pool = await pool_of(slots=1)
    (pid,) = pool.pids
    status = status_of(pid)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert int(status["CapEff"], 16) == 0
    assert "0" not in status["Uid"].split()
    assert status["Threads"] == "1"
    if os.geteuid() != 0:
        return  # The rest of its entries belong to root: the process is not dumpable.
    environment = Path(f"/proc/{pid}/environ").read_text()
    assert {item.split("=")[0] for item in environment.split("\0") if item} == {"LANG", "TZ", "PATH"}
    assert os.readlink(f"/proc/{pid}/cwd").endswith("(deleted)")
    opened = sorted(os.readlink(f"/proc/{pid}/fd/{number}").split(":")[0] for number in os.listdir(f"/proc/{pid}/fd"))
    assert opened == sorted(["socket", "/dev/null", "/dev/null", f"/proc/{pid}/clear_refs", f"/proc/{pid}/status"])


async def test_a_worker_imports_no_heavy_part_of_the_node():
    code = "import quorate.execute.worker, sys; print(' '.join(sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", code, stdout=asyncio.subprocess.PIPE)
    modules = (await process.communicate())[0].decode().split()
    assert "wasmtime" in modules
    for heavy in (
        "asyncio",
        "zenoh",
        "fastapi",
        "cryptography",
        "nacl",
        "h11",
        "rich",
        "cyclopts",
        "numpy",
        "sqlite3",
    ):
        assert heavy not in modules


# ---- machines and workers that will not do


def wrapped(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-B", "-c", code)


async def test_a_missing_layer_is_refused_by_name_and_leaves_nothing():
    no_filter = (
        "import quorate.execute.jail as jail; jail._filter_calls = lambda: False; jail._restrict_files = lambda: False;"
        "import quorate.execute.worker as worker; worker.main()"
    )
    pool = WorkerPool(PoolSettings(slots=1, command=wrapped(no_filter)))
    with pytest.raises(UnsupportedMachine, match="seccomp or landlock"):
        await pool.start()
    assert pool.pids == ()


async def test_the_layers_reported_are_those_that_held(pool_of):
    no_landlock = (
        "import quorate.execute.jail as jail; jail._restrict_files = lambda: False;"
        "import quorate.execute.worker as worker; worker.main()"
    )
    pool = await pool_of(slots=1, command=wrapped(no_landlock))
    assert "landlock" not in pool.layers
    assert "landlock" not in (await pool.run(task())).layers
    with pytest.raises(UnsupportedMachine, match="landlock"):
        await pool_of(slots=1, command=wrapped(no_landlock), minimum=("rlimits", "landlock"))


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(3)",
        "import os; os.write(0, b'\\xff' * 100); os.read(0, 1); os.read(0, 9999)",
        "import nothing_of_this_name",
    ],
    ids=["exits", "talks_garbage", "cannot_import"],
)
async def test_a_worker_that_does_not_get_ready_is_a_typed_error(code):
    pool = WorkerPool(PoolSettings(slots=1, command=wrapped(code)))
    with pytest.raises(WorldError, match="worker"):
        await asyncio.wait_for(pool.start(), 10)
    assert pool.pids == ()


async def test_a_worker_that_hangs_at_the_start_is_killed():
    pool = WorkerPool(PoolSettings(slots=1, start_s=0.5, command=wrapped("import time; time.sleep(60)")))
    with pytest.raises(WorldError, match="ready in time"):
        await asyncio.wait_for(pool.start(), 5)
    assert pool.pids == ()


async def test_a_program_that_is_no_interpreter():
    with pytest.raises(WorldError, match="cannot be started"):
        await WorkerPool(PoolSettings(slots=1, command=("/nonexistent/python",))).start()


LYING = """
import quorate.execute.worker as worker, quorate.execute.frames as frames
def lie(self, order):
    worker.send({answer})
worker.Worker._run = lie
worker.main()
"""


@pytest.mark.parametrize(
    "answer",
    [
        "frames.Done(order.number + 1, 'success', 0, b'', b'', 0, 0, 0, 0, 0)",
        "frames.Done(order.number, 'success', 0, bytes(10**7), b'', 0, 0, 0, 0, 0)",
        "frames.Done(order.number, 'won', 0, b'', b'', 0, 0, 0, 0, 0)",
        "frames.Loaded(order.number, b'native code')",
        "frames.Withdrawn(order.number)",
        "frames.Ready((), 'x', 'y')",
        "frames.Forget(b'')",
    ],
)
async def test_a_worker_that_lies_in_its_frames_is_killed(pool_of, answer):
    pool = await pool_of(slots=1, command=wrapped(LYING.format(answer=answer)))
    ended = await asyncio.wait_for(pool.run(task()), 5)
    assert ended.status is Status.WORKER_DEATH


# ---- accounting


async def test_usage_agrees_with_the_kernels_counters(pool_of):
    pool = await pool_of(slots=1)
    touch = wat_to_wasm(
        """(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) i32.const 64)
        (func (export "run") (param i32 i32) (result i64) (local $left i64)
          (drop (memory.grow (i32.const 800))) (memory.fill (i32.const 0) (i32.const 7) (i32.const 52000000))
          (local.set $left (i64.const 1500000000))
          (loop $next (br_if $next (i64.ne (i64.const 0) (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
          (i64.const 0)))"""
    )
    await pool.run(task(touch, limits=Limits(fuel=1000)))
    (pid,) = pool.pids

    def cpu_ms() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    before = cpu_ms()
    ended = await pool.run(task(touch, limits=FOREVER))
    used = cpu_ms() - before
    assert ended.status is Status.SUCCESS
    assert ended.cpu_ms > 200
    assert abs(ended.cpu_ms - used) <= max(0.1 * used, 25)
    status = status_of(pid)
    peak = int(status["VmHWM"].split()[0]) * 1024
    assert abs(ended.memory_peak_bytes - peak) <= 0.1 * peak
    assert ended.memory_peak_bytes > 52_000_000
    assert ended.guest_memory_bytes == 801 * 65_536
    after = await pool.run(task())
    assert after.memory_peak_bytes < ended.memory_peak_bytes - 40_000_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read what a jailed worker has read and written")
async def test_bytes_in_and_out_agree_with_the_kernels_counters(pool_of):
    """What passes between a worker and the kernel in a run (proc(5), io) is the guest's own input, output and log, but
    for some bytes of framing."""
    pool = await pool_of(slots=1)
    echo = wat_to_wasm(
        """(module (memory (export "memory") 40)
        (func (export "alloc") (param i32) (result i32) i32.const 0)
        (func (export "run") (param i32 i32) (result i64)
          (i64.extend_i32_u (i32.shr_u (local.get 1) (i32.const 1)))))"""
    )
    data = b"x" * 2_000_000
    await pool.run(task(echo, stdin=data))
    (pid,) = pool.pids

    def counted() -> tuple[int, int]:
        fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        return int(fields["rchar"]), int(fields["wchar"])

    before = counted()
    ended = await pool.run(task(echo, stdin=data))
    read, written = (now - then for now, then in zip(counted(), before, strict=True))
    assert ended.status is Status.SUCCESS
    assert ended.in_bytes == 2_000_000
    assert abs(ended.in_bytes - read) <= 0.1 * read
    assert len(ended.output) + len(ended.log) == 1_000_000
    assert abs(1_000_000 - written) <= 0.1 * written
    assert (await pool.run(task())).in_bytes == 0


async def test_a_thousand_jobs_leave_no_growth(pool_of):
    pool = await pool_of(slots=1)
    module = wat_to_wasm(
        """(module (memory 1) (global $g (mut i32) (i32.const 0)) (func (export "run") (result i32 i32)
        (drop (memory.grow (i32.const 20))) (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000000))
        (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g) (memory.size)))"""
    )

    def resident() -> int:
        return int(Path(f"/proc/{pool.pids[0]}/statm").read_text().split()[1]) * 4096

    for _ in range(100):
        await pool.run(task(module))
    before = resident()
    ended = await asyncio.gather(*(pool.run(task(module)) for _ in range(1000)))
    assert {item.output for item in ended} == {b"\1\0\0\0\x15\0\0\0"}
    assert resident() - before < 2 * MIB


async def test_many_modules_do_not_fill_a_worker(pool_of):
    pool = await pool_of(slots=1)
    for number in range(80):
        module = wat_to_wasm(f'(module (func (export "run") (result i32) i32.const {number}))')
        assert (await pool.run(task(module))).output[0] == number
    assert len(pool._children[0].modules) <= 32
    assert (await pool.run(task(wat_to_wasm('(module (func (export "run") (result i32) i32.const 0))')))).output[0] == 0


# ---- compiled code on disk


async def test_ahead_of_time_code_runs_alike_and_a_flipped_byte_is_compiled_again(pool_of, tmp_path):
    key = bytes(range(32))
    fresh = await (await pool_of(slots=1)).run(task(COUNTDOWN, stdin=b"x"))

    pool = await pool_of(ArtefactStore(tmp_path / "aot", key), slots=1)
    await pool.precompile(COUNTDOWN)
    (file,) = (tmp_path / "aot").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    loaded = await pool.run(task(COUNTDOWN, stdin=b"x"))
    assert (loaded.output, loaded.fuel_used, loaded.status) == (fresh.output, fresh.fuel_used, fresh.status)
    await until(lambda: len(pool.pids) == 1)  # the worker that compiled is one too many

    good = file.read_bytes()
    file.write_bytes(good[:500] + bytes([good[500] ^ 1]) + good[501:])
    again = await pool_of(ArtefactStore(tmp_path / "aot", key), slots=1)
    ended = await again.run(task(COUNTDOWN, stdin=b"x"))
    assert (ended.output, ended.fuel_used) == (fresh.output, fresh.fuel_used)
    assert file.read_bytes() == good


async def test_code_from_a_worker_that_ran_a_guest_is_not_kept(pool_of, tmp_path):
    pool = await pool_of(ArtefactStore(tmp_path / "aot", bytes(32)), slots=1)
    await pool.run(task(ANSWER))
    kept = len(list((tmp_path / "aot").iterdir()))
    await pool.run(task(COUNTDOWN))
    assert kept == len(list((tmp_path / "aot").iterdir())) == 1


async def test_an_authentic_artefact_of_no_use_is_compiled_again(pool_of, tmp_path):
    store = ArtefactStore(tmp_path / "aot", bytes(32))
    kind = WasmtimeEngine().artefact_kind
    store.write(module_digest(ANSWER), kind, b"not what the engine calls an artefact" * 10)
    pool = await pool_of(store, slots=1)
    assert pool._artefact_kind == kind
    assert (await pool.run(task(ANSWER))).status is Status.SUCCESS


async def test_precompiling_what_does_not_validate_leaves_nothing(pool_of, tmp_path):
    pool = await pool_of(ArtefactStore(tmp_path / "aot", bytes(32)), slots=1)
    await pool.precompile(ANSWER[:-1])
    assert list((tmp_path / "aot").iterdir()) == []
