"""Guests that want all there is: the node stays responsive, each ends in its own way, and the machine is as before."""

import asyncio
import time

import pytest

from quorate.execute import jail
from quorate.execute.engine import COMMAND, FULL, LIGHT, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.wasmtime_engine import wat_to_wasm
from quorate.model.trap import Status
from quorate.model.units import MIB

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)

SHORT = Limits(fuel=10**15, run_ms=400)
SPIN = '(module (func (export "run") (loop (br 0))))'
HOG = """(module (memory 1) (func (export "run") (loop $more
  (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  (memory.fill (i32.const 0) (i32.const 1) (i32.shl (memory.size) (i32.const 16))) unreachable))"""
DEEP = '(module (func $deep (export "run") (call $deep)))'
FLOOD = """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\00\\00\\00\\00\\00\\00\\01\\00")
  (func (export "_start") (loop
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))))"""
NAGGER = """(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1) (func (export "_start") (loop (drop (call $yield)) (br 0))))"""
TABLES = """(module (table 1 funcref) (func (export "run") (loop $more
  (br_if $more (i32.ne (table.grow (ref.null func) (i32.const 10000)) (i32.const -1)))) unreachable))"""
COMPILE = "(module (func (export \"run\")) " + (
    "(func (param i32) " + "(if (local.get 0) (then " * 900 + "))" * 900 + ")"
) * 300 + ")"  # fmt: skip

CAST = [
    (SPIN, "pure", SHORT, {Status.WALL_CLOCK}),
    (SPIN, "pure", Limits(fuel=10**8), {Status.OUT_OF_FUEL}),
    (HOG, "pure", FULL, {Status.MEMORY_LIMIT}),
    (DEEP, "pure", FULL, {Status.NATIVE_STACK_OVERFLOW}),
    (FLOOD, COMMAND, LIGHT, {Status.OUTPUT_LIMIT}),
    (NAGGER, COMMAND, Limits(fuel=10**8), {Status.OUT_OF_FUEL}),
    (TABLES, "pure", LIGHT, {Status.UNREACHABLE}),
    (COMPILE, "pure", FULL, {Status.COMPILE_CLOCK, Status.SUCCESS}),
]


def tasks():
    made = []
    for number in range(32):
        wat, profile, limits, ends = CAST[number % len(CAST)]
        module = wat_to_wasm(wat)
        made.append(
            (Task(id=b"%d" % number, module=module, digest=module_digest(module), profile=profile, limits=limits), ends)
        )
    return made


async def pings(stop: asyncio.Event) -> float:
    """The longest time that this event loop left a ping unanswered."""
    longest = 0.0
    while not stop.is_set():
        before = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - before)
    return longest


@pytest.mark.timeout(120)
async def test_32_hostile_guests_at_once():
    pool = WorkerPool(PoolSettings(compile_s=0.5))
    await pool.start()
    stop = asyncio.Event()
    ping = asyncio.create_task(pings(stop))
    try:
        cast = tasks()
        ended = await asyncio.gather(*(pool.run(task) for task, _ in cast))
    finally:
        stop.set()
        longest = await ping
        await pool.close()
    for (task, ends), item in zip(cast, ended, strict=True):
        assert item.status in ends, (task.id, item.status)
    assert longest < 1.0
    assert pool.pids == ()


async def test_a_memory_hog_stays_within_its_limit():
    """The kernel's own count of the worker's memory: what it had, and the limit, and not much more."""
    pool = WorkerPool(PoolSettings(slots=1))
    await pool.start()
    try:
        module = wat_to_wasm(HOG)
        idle = wat_to_wasm('(module (func (export "run")))')
        base = (await pool.run(Task(id=b"0", module=idle, digest=module_digest(idle)))).memory_peak_bytes
        for limits in (LIGHT, Limits(), FULL):
            ended = await pool.run(Task(id=b"1", module=module, digest=module_digest(module), limits=limits))
            assert ended.status is Status.MEMORY_LIMIT
            assert ended.guest_memory_bytes <= limits.memory_bytes
            assert ended.memory_peak_bytes < base + limits.memory_bytes + 8 * MIB
    finally:
        await pool.close()


@pytest.mark.parametrize("limits", [LIGHT, FULL], ids=["light", "full"])
async def test_each_limit_of_a_tier_is_hit_by_its_own_module(limits):
    """Three modules, three distinct endings. The clock is shortened: both tiers' own are seconds long."""
    pool = WorkerPool(PoolSettings(slots=1))
    await pool.start()
    clocked = Limits(memory_bytes=limits.memory_bytes, fuel=10**15, run_ms=300)
    try:
        ends = []
        for wat, own in ((HOG, limits), (SPIN, limits), (SPIN, clocked)):
            module = wat_to_wasm(wat)
            ended = await pool.run(Task(id=b"t", module=module, digest=module_digest(module), limits=own))
            ends.append(ended.status)
    finally:
        await pool.close()
    assert ends == [Status.MEMORY_LIMIT, Status.OUT_OF_FUEL, Status.WALL_CLOCK]
