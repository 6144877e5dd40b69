"""How long calls of contracts take that no worker has ever seen: on the engine, in the worker's runner, and through the
jail. Every container differs from all others in one number.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engine import MachineEngine
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.state import State
from quorate.execute.contracts.outcomes import arguments_value, balances_of, world_of
from quorate.execute.contracts.runner import CallRunner
from quorate.execute.engine import CONTRACT, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine
from quorate.model.call import CallOutcome, ContractCall
from quorate.model.codec import decode, encode
from quorate.model.trap import Status

ENGINE_GOAL_US, JAIL_GOAL_US = 30.0, 200.0
CALLS, WARM_CALLS, RUNS = 1_000, 200, 5
CONTRACT_ID, SENDER = bytes(range(32)), b"sender of a call"
EMPTY = State()
CONTEXT = Context.of(CONTRACT_ID[:16], SENDER)
# As small as a useful container gets: 68 bytes are its head, 4 its checksum.
TEXT = ".func a() -> 1\n    PUSH {}\n    RET\n"
_numbers = itertools.count(1 << 20)


def unseen(count: int) -> Iterator[tuple[int, bytes]]:
    """Numbers, and contracts that give them."""
    for number in itertools.islice(_numbers, count):
        yield number, assemble(TEXT.format(number))


def task_of(number: int, container: bytes) -> Task:
    own = balances_of({CONTRACT_ID[:16]: 0})
    call = ContractCall(contract=CONTRACT_ID, state=EMPTY.key, version=0, epoch=7, deposit_micro=0, balances=own)
    return Task(
        id=b"call-%d" % number, module=container, digest=module_digest(container), profile=CONTRACT, entry="a",
        stdin=encode(arguments_value(())), world=encode(world_of(call, SENDER, EMPTY.encode())),
        limits=Limits(fuel=10**6, output_bytes=4096),
    )  # fmt: skip


def least_us(action: Callable[[list[Task]], None]) -> float:
    """Processor time of one call, in the best of several runs of fresh contracts."""
    took = []
    for _ in range(RUNS):
        tasks = [task_of(*one) for one in unseen(CALLS)]
        began = time.process_time()
        action(tasks)
        took.append(time.process_time() - began)
    return round(1e6 * min(took) / CALLS, 1)


def on_the_engine(engine: MachineEngine) -> float:
    call = Call("a", ())

    def run(tasks: list[Task]) -> None:
        for task in tasks:
            engine.run(task.module, call, EMPTY, CONTEXT, task.digest)

    return least_us(run)


def in_the_runner() -> float:
    """With what a worker decodes before the run and encodes after it."""
    runner = CallRunner(WasmtimeEngine())

    def run(tasks: list[Task]) -> None:
        for task in tasks:
            runner.run(runner.load(task.module, b"", wants_artefact=False), task)

    return least_us(run)


async def through_the_jail() -> list[float]:
    """Seconds from `run` to the result, one call after another, with the pool warm."""
    pool = WorkerPool(PoolSettings(slots=1))
    await pool.start()
    took = []
    try:
        for number, container in list(unseen(WARM_CALLS + CALLS)):
            task = task_of(number, container)
            began = time.perf_counter()
            done = await pool.run(task)
            took.append(time.perf_counter() - began)
            assert done.status is Status.SUCCESS, done
            assert decode(done.output, CallOutcome).results == (number,)
    finally:
        await pool.close()
    return took[WARM_CALLS:]


def figures(engine: MachineEngine) -> dict[str, Any]:
    jailed = asyncio.run(through_the_jail())
    return {
        "unseen_bytes": len(next(unseen(1))[1]),
        "unseen_on_engine_us": on_the_engine(engine),
        "unseen_on_engine_goal_max_us": ENGINE_GOAL_US,
        "unseen_in_runner_us": in_the_runner(),
        "unseen_through_jail_us": round(1e6 * statistics.median(jailed)),
        "unseen_through_jail_p90_us": round(1e6 * statistics.quantiles(jailed, n=10)[-1]),
        "unseen_through_jail_goal_max_us": JAIL_GOAL_US,
    }
