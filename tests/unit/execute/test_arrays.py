"""Arrays on real workers: order, fresh stores, one clock per element and one for all, cancellation, fairness, lies."""

import asyncio
import time

import pytest
from tests.support.guests import MANY

from quorate.errors import InvalidField, WorldError
from quorate.execute import jail
from quorate.execute.arrays import BATCH_BYTES, Arrays
from quorate.execute.engine import TURN_BYTES, Batch, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm
from quorate.model.job import ELEMENT_FUEL_MIN
from quorate.model.trap import Status
from quorate.model.units import MIB

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)

MODULE = wat_to_wasm(MANY)
DIGEST = module_digest(MODULE)
LIMITS = Limits(memory_bytes=MIB, fuel=10**9, run_ms=20_000, output_bytes=MIB)
CLOCK_MS = 60_000
SPINS = b"s\xc8"
"""About a tenth of a second."""


def array(*inputs: bytes, name: bytes = b"array", limits: Limits = LIMITS) -> Batch:
    return Batch(id=name, module=MODULE, digest=DIGEST, inputs=inputs, limits=limits)


def one(stdin: bytes, name: bytes = b"one") -> Task:
    return Task(id=name, module=MODULE, digest=DIGEST, stdin=stdin, limits=LIMITS)


@pytest.fixture
async def arrays_of():
    pools = []

    async def make(**settings):
        pool = WorkerPool(PoolSettings(**settings))
        pools.append(pool)
        await pool.start()
        return Arrays(pool, pool.slots), pool

    yield make
    for pool in pools:
        await pool.close()


async def test_a_thousand_elements_in_order_each_in_a_fresh_store(arrays_of):
    arrays, pool = await arrays_of(slots=2)
    inputs = [b"c" if number % 3 else b"x%d" % number for number in range(1000)]
    done = await arrays.run(array(*inputs), CLOCK_MS)
    assert done.status is Status.SUCCESS
    assert [end.output for end in done.ends] == [b"c\x01" if item == b"c" else item for item in inputs]
    assert done.fuel_used == 1000 * ELEMENT_FUEL_MIN
    assert done.engine_version == pool.engine_version
    assert done.layers == pool.layers
    assert not jail.missing(done.layers)
    assert done.memory_peak_bytes > 10 * MIB
    assert done.guest_memory_bytes == 2 * 65_536
    assert not arrays.is_running(b"array")


async def test_a_trap_is_that_of_its_element_alone(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    limits = Limits(memory_bytes=MIB, fuel=10**7, run_ms=20_000, output_bytes=4)
    done = await arrays.run(array(b"a", b"t", b"f", b"m", b"xxxxx", b"b", limits=limits), CLOCK_MS)
    assert done.status is Status.SUCCESS
    assert [str(end.status) for end in done.ends] == [
        "success", "unreachable", "out_of_fuel", "memory_limit", "output_limit", "success",
    ]  # fmt: skip
    assert [end.output for end in done.ends] == [b"a", b"", b"", b"", b"", b"b"]
    assert done.fuel_used == sum(max(end.fuel_used, ELEMENT_FUEL_MIN) for end in done.ends)
    assert done.ends[2].fuel_used == 10**7


def test_a_batch_gives_what_single_runs_give():
    engine = WasmtimeEngine()
    program, inputs = engine.compile(MODULE), (b"", b"c", b"t", b"m", b"c", b"x" * 1000, b"s\x01")
    singly = [engine.run(program, one(item)) for item in inputs]
    assert list(engine.run_each(program, one(b""), inputs)) == singly
    assert len({ended.fuel_used for ended in singly}) > 3


async def test_an_end_that_is_a_failure_ends_the_array(arrays_of):
    arrays, pool = await arrays_of(slots=1)
    done = await arrays.run(array(b"a", b"d", *[SPINS] * 50), CLOCK_MS)
    assert (done.status, done.ends, done.fuel_used) == (Status.NATIVE_STACK_OVERFLOW, (), 0)
    assert (await arrays.run(one(b"still"), CLOCK_MS)).output == b"still"
    assert pool.waiting == 0


async def test_each_element_has_its_wall_clock(arrays_of):
    arrays, pool = await arrays_of(slots=1)
    (pid,) = pool.pids
    limits = Limits(fuel=10**15, run_ms=400, output_bytes=100)
    began = time.monotonic()
    done = await arrays.run(array(*[b"x"] * 200, b"f", *[b"x"] * 200, limits=limits), CLOCK_MS)
    assert done.status is Status.WALL_CLOCK
    assert 0.4 <= time.monotonic() - began < 5
    assert pid not in pool.pids
    assert (await arrays.run(one(b"next"), CLOCK_MS)).output == b"next"


async def test_elements_that_are_slow_each_are_not_cut_short_by_their_number(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    limits = Limits(fuel=10**15, run_ms=2_000, output_bytes=100)
    done = await arrays.run(array(*[SPINS] * 25, limits=limits), CLOCK_MS)
    assert done.status is Status.SUCCESS
    assert done.wall_ms > 400


async def test_the_clock_of_the_array_covers_its_elements(arrays_of):
    arrays, pool = await arrays_of(slots=1)
    began = time.monotonic()
    done = await arrays.run(array(*[SPINS] * 400), 500)
    assert (done.status, done.ends) == (Status.WALL_CLOCK, ())
    assert time.monotonic() - began < 10
    assert not any(child.steps for child in pool._children)


async def test_cancel_in_the_middle_leaves_no_guest(arrays_of):
    arrays, pool = await arrays_of(slots=2)
    before = pool.pids
    running = asyncio.create_task(arrays.run(array(*[SPINS] * 4096), CLOCK_MS))
    while not arrays.is_running(b"array"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert await arrays.cancel(b"array")
    assert not any(child.steps for child in pool._children)
    assert pool.waiting == 0
    done = await asyncio.wait_for(running, 1)
    assert (done.status, done.ends) == (Status.CANCELLED, ())
    assert not set(before) <= set(pool.pids)
    assert not await arrays.cancel(b"array")
    assert (await arrays.run(one(b"next"), CLOCK_MS)).output == b"next"


async def test_whoever_waits_for_an_array_may_be_cancelled(arrays_of):
    arrays, pool = await arrays_of(slots=1)
    running = asyncio.create_task(arrays.run(array(*[SPINS] * 100), CLOCK_MS))
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(child.steps for child in pool._children)
    assert (await arrays.run(array(b"a", b"b"), CLOCK_MS)).status is Status.SUCCESS


async def test_other_tasks_get_their_turn(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    running = asyncio.create_task(arrays.run(array(*[SPINS] * 100), CLOCK_MS))
    await asyncio.sleep(0.5)
    assert (await asyncio.wait_for(arrays.run(one(b"quick"), CLOCK_MS), 3)).output == b"quick"
    assert not running.done()
    await arrays.cancel(b"array")
    await running


async def test_two_arrays_at_once_share(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    first, second = (
        asyncio.create_task(arrays.run(array(*[b"s\x14"] * 60, name=name), CLOCK_MS)) for name in (b"1", b"2")
    )
    done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    assert len((await (second if first in done else first)).ends) == 60


async def test_large_inputs_and_outputs_go_in_several_frames(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    size = 3 * max(BATCH_BYTES, TURN_BYTES) // 4
    limits = Limits(fuel=10**9, memory_bytes=16 * MIB, output_bytes=2 * MIB)
    large = """(module (memory (export "memory") 32) (func (export "alloc") (param i32) (result i32) (i32.const 0))
      (func (export "run") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))"""
    module = wat_to_wasm(large)
    inputs = tuple(bytes([number]) * (size + number) for number in range(12))
    task = Batch(id=b"large", module=module, digest=module_digest(module), inputs=inputs, limits=limits)
    done = await arrays.run(task, CLOCK_MS)
    assert tuple(end.output for end in done.ends) == inputs


async def test_what_can_never_run_is_refused_with_its_reason(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    module = wat_to_wasm('(module (func (export "run") (result i32) i32.const 42))')
    task = Batch(id=b"v", module=module, digest=module_digest(module), inputs=(b"", b"x", b""))
    with pytest.raises(InvalidField, match="takes no input"):
        await arrays.run(task, CLOCK_MS)
    done = await arrays.run(Batch(id=b"v", module=module, digest=module_digest(module), inputs=(b"",) * 3), CLOCK_MS)
    assert [end.output for end in done.ends] == [b"\x2a\0\0\0"] * 3


async def test_an_id_under_way_is_refused(arrays_of):
    arrays, _ = await arrays_of(slots=1)
    running = asyncio.create_task(arrays.run(array(*[SPINS] * 20), CLOCK_MS))
    await asyncio.sleep(0)
    with pytest.raises(InvalidField, match="id"):
        await arrays.run(array(b"a"), CLOCK_MS)
    await arrays.cancel(b"array")
    assert (await running).status is Status.CANCELLED


async def test_a_pool_that_closes_ends_the_array(arrays_of):
    arrays, pool = await arrays_of(slots=1)
    running = asyncio.create_task(arrays.run(array(*[SPINS] * 50), CLOCK_MS))
    await asyncio.sleep(0.3)
    await pool.close()
    assert (await asyncio.wait_for(running, 5)).status is Status.CANCELLED
    with pytest.raises(WorldError):
        await arrays.run(array(b"a", b"b"), CLOCK_MS)


LYING = """
import quorate.execute.worker as worker, quorate.execute.frames as frames
from quorate.execute.engine import End
def lie(self, order):
    worker.send({answer})
worker.Worker._run = lie
worker.main()
"""
TRUE_END = "End('success', 0, b'', b'', 1, 0)"


@pytest.mark.parametrize(
    "answer",
    [
        "frames.DoneBatch(order.number, (), 0, 0, 0)",
        f"frames.DoneBatch(order.number, ({TRUE_END},) * 3, 0, 0, 0)",
        "frames.DoneBatch(order.number, (End('success', 0, bytes(2 << 20), b'', 1, 0),), 0, 0, 0)",
        "frames.DoneBatch(order.number, (End('success', 0, b'', bytes(70000), 1, 0),), 0, 0, 0)",
        "frames.DoneBatch(order.number, (End('won', 0, b'', b'', 1, 0),), 0, 0, 0)",
        f"frames.DoneBatch(order.number + 1, ({TRUE_END},), 0, 0, 0)",
        "frames.Done(order.number, 'success', 0, b'', b'', 0, 0, 0, 0, 0)",
    ],
)
async def test_a_worker_that_lies_about_a_batch_is_killed(arrays_of, answer):
    from tests.unit.execute.test_pool import wrapped

    arrays, _ = await arrays_of(slots=1, command=wrapped(LYING.format(answer=answer)))
    done = await asyncio.wait_for(arrays.run(array(b"a", b"b"), CLOCK_MS), 5)
    assert (done.status, done.ends) == (Status.WORKER_DEATH, ())


async def test_a_single_task_is_not_answered_like_a_batch(arrays_of):
    from tests.unit.execute.test_pool import wrapped

    answer = f"frames.DoneBatch(order.number, ({TRUE_END},), 0, 0, 0)"
    arrays, _ = await arrays_of(slots=1, command=wrapped(LYING.format(answer=answer)))
    done = await asyncio.wait_for(arrays.run(one(b"a"), CLOCK_MS), 5)
    assert done.status is Status.WORKER_DEATH
