"""What the jailed worker pool adds to a WASM kernel of about one second: processor time of the pool and its worker,
against calling wasmtime directly with the same switches. Warm: the module is compiled before the first run.

The kernel mixes integer arithmetic, divisions, loads and stores over 1 MiB, so that the way memory is laid out
counts. Runs of both sides alternate; each pair gives a ratio and the median ratio is the figure. The processor time of
a worker is the kernel's own count for its threads (proc(5), schedstat), start-up left out.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import wasmtime
from _machine import facts

from quorate.execute.engine import Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wasmtime_version
from quorate.model.trap import Status

ROOT = Path(__file__).resolve().parent.parent
PAIRS = 7
GOAL_RATIO = 1.05
FUEL = 10**10
ROUNDS_FIRST, ROUNDS_MAX, KERNEL_S = 30_000_000, 400_000_000, 1.0

KERNEL = """(module (memory (export "memory") 16)
  (func (export "run") (result i32) (local $left i32) (local $x i32) (local $at i32) (local $y i64)
    (local.set $left (i32.const {rounds}))
    (local.set $x (i32.const 2463534242))
    (loop $again
      (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
      (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
      (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
      (local.set $at (i32.and (local.get $x) (i32.const 0xffffc)))
      (i32.store (local.get $at)
        (i32.add (i32.load (local.get $at)) (i32.wrap_i64 (local.get $y))))
      (local.set $y (i64.div_u (i64.const -59) (i64.or (local.get $y) (i64.const 1))))
      (local.set $y (i64.rem_u (i64.const -83) (i64.add (local.get $y) (i64.extend_i32_u (local.get $x)))))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.load (i32.const 1024))))"""


class Sides(NamedTuple):
    """Processor and wall time of one run, in seconds, on each side."""

    pool_cpu_s: float
    pool_wall_s: float
    direct_cpu_s: float


def kernel(rounds: int) -> bytes:
    return bytes(wasmtime.wat2wasm(KERNEL.format(rounds=rounds)))


def one_second_kernel() -> bytes:
    """Sized on this machine, so that it runs for about a second and stays inside the fuel."""
    engine = WasmtimeEngine()
    module = kernel(ROUNDS_FIRST)
    program = engine.compile(module)
    task = Task(id=b"size", module=module, digest=module_digest(module), limits=Limits(fuel=FUEL))
    began = time.process_time()
    ended = engine.run(program, task)
    took = time.process_time() - began
    fuel_rounds_max = FUEL * ROUNDS_FIRST // ended.fuel_used - 1
    return kernel(min(int(ROUNDS_FIRST * KERNEL_S / took), fuel_rounds_max, ROUNDS_MAX))


def processor_s(pid: int) -> float:
    """What the threads of a process have used, in seconds with nanosecond steps."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


async def pool_run(pool: WorkerPool, module: bytes, number: int) -> tuple[float, float, bytes]:
    """One task through the pool: processor seconds of this process and the worker, wall seconds, output."""
    task = Task(
        id=b"run-%d" % number, module=module, digest=module_digest(module), limits=Limits(fuel=FUEL, run_ms=60_000)
    )
    (worker,) = pool.pids
    ours, theirs, began = time.process_time(), processor_s(worker), time.perf_counter()
    execution = await pool.run(task)
    wall_s = time.perf_counter() - began
    cpu_s = time.process_time() - ours + processor_s(worker) - theirs
    assert execution.status is Status.SUCCESS, execution.status
    assert pool.pids == (worker,)
    return cpu_s, wall_s, execution.output


def direct_run(direct: subprocess.Popen[str]) -> tuple[float, bytes]:
    assert direct.stdin is not None
    assert direct.stdout is not None
    direct.stdin.write("run\n")
    direct.stdin.flush()
    answer = json.loads(direct.stdout.readline())
    return answer["cpu_s"], int(answer["value"]).to_bytes(4, "little", signed=True)


async def measured(folder: Path, direct: subprocess.Popen[str], module: bytes) -> list[Sides]:
    pool = WorkerPool(PoolSettings(slots=1), ArtefactStore(folder / "artefacts", bytes(32)))
    await pool.start()
    try:
        await pool.precompile(module)
        while len(pool.pids) > 1:  # the worker that compiled is on its way out
            await asyncio.sleep(0.01)
        runs = []
        for number in range(PAIRS + 1):
            cpu_s, wall_s, output = await pool_run(pool, module, number)
            direct_cpu_s, value = direct_run(direct)
            assert output == value, "the two sides disagree"
            runs.append(Sides(cpu_s, wall_s, direct_cpu_s))
        return runs[1:]  # the first touches memory and code that is still cold
    finally:
        await pool.close()


def main() -> None:
    module = one_second_kernel()
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="w") as name:
        folder = Path(name)
        engine = WasmtimeEngine()
        (folder / "kernel.cwasm").write_bytes(engine.artefact(engine.compile(module)))
        program = [sys.executable, str(ROOT / "bench" / "peers" / "wasmtime_direct.py")]
        command = [*program, str(folder / "kernel.cwasm"), str(FUEL)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as direct:
            runs = asyncio.run(measured(folder, direct, module))
        machine = facts(folder)
    ratios = [run.pool_cpu_s / run.direct_cpu_s for run in runs]
    figures = {
        "cpu_ratio_to_wasmtime": round(statistics.median(ratios), 4),
        "cpu_ratio_goal_max": GOAL_RATIO,
        "goal_met": statistics.median(ratios) <= GOAL_RATIO,
        "cpu_ratio_least": round(min(ratios), 4),
        "cpu_ratio_most": round(max(ratios), 4),
        "pool_cpu_s": round(statistics.median(run.pool_cpu_s for run in runs), 4),
        "direct_cpu_s": round(statistics.median(run.direct_cpu_s for run in runs), 4),
        "pool_wall_s": round(statistics.median(run.pool_wall_s for run in runs), 4),
        "pairs": PAIRS,
    }
    print(json.dumps({"figures": figures, "machine": machine, "peers": {"wasmtime": wasmtime_version()}}))


if __name__ == "__main__":
    main()
