"""Where the next task goes: the settings of a pool, how quick programs have been, and the choice of a worker. No I/O,
no clock.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from quorate.execute import jail
from quorate.execute.child import COMMAND_DEFAULT, ENVIRONMENT_DEFAULT, Child
from quorate.execute.engine import FULL, MACHINE, Batch, Task
from quorate.model.units import MIB

MODULES_PER_WORKER = 32
MODULE_BYTES_PER_WORKER = 64 * MIB
SPEEDS_KEPT = 1_024


class PoolSettings(NamedTuple):
    """`slots` 0 means as many as there are cores, at most four. `warm` workers stand ready when nothing runs.
    `contract_engine` is one of `CONTRACT_ENGINES`."""

    slots: int = 0
    warm: int = 1
    minimum: tuple[str, ...] = jail.MINIMUM_DEFAULT
    memory_bytes_max: int = FULL.memory_bytes
    compile_s: float = 20.0
    start_s: float = 20.0
    idle_s: float = 30.0
    depth: int = 4
    quick_us: int = 5_000
    prefetch_bytes: int = 65_536
    spawn_worth_us: int = 100_000
    niceness: int = 5
    contract_engine: str = MACHINE
    environment: tuple[tuple[str, str], ...] = tuple(ENVIRONMENT_DEFAULT.items())
    command: tuple[str, ...] = COMMAND_DEFAULT


def slots_default() -> int:
    return min(4, len(os.sched_getaffinity(0)))


class Speeds:
    """How long the runs of each program have taken: a moving average that follows a slow run at once and forgets it
    slowly.
    """

    def __init__(self, quick_us: int) -> None:
        self._quick_us = quick_us
        self._average_us: OrderedDict[bytes, int] = OrderedDict()

    def record(self, digest: bytes, wall_us: int) -> None:
        before = self._average_us.pop(digest, wall_us)
        self._average_us[digest] = max(wall_us, (7 * before + wall_us) // 8)
        if len(self._average_us) > SPEEDS_KEPT:
            self._average_us.popitem(last=False)

    def is_quick(self, task: Task) -> bool:
        """False for a program that never ran here."""
        return self._average_us.get(task.digest, self._quick_us) < self._quick_us

    def expected_us(self, task: Task, unknown_us: int) -> int:
        runs = len(task.inputs) if isinstance(task, Batch) else 1
        return runs * self._average_us.get(task.digest, unknown_us)


def pick(children: Iterable[Child], task: Task, speeds: Speeds, settings: PoolSettings) -> Child | None:
    """An idle worker, best one that has the module; else one whose tasks have all been quick and that can take one
    more.
    """
    idle = [child for child in children if child.idle]
    for child in idle:
        if task.digest in child.modules:
            return child
    if idle:
        return idle[0]
    if not speeds.is_quick(task) or _input_bytes(task) > settings.prefetch_bytes:
        return None
    able = [
        child
        for child in children
        if child.ready
        and len(child.steps) < settings.depth
        and all(step.ticket and not step.loads and speeds.is_quick(step.ticket.task) for step in child.steps)
    ]
    return min(able, key=lambda child: len(child.steps), default=None)


def _input_bytes(task: Task) -> int:
    return sum(map(len, task.inputs)) if isinstance(task, Batch) else len(task.stdin)


def to_forget(child: Child, size: int) -> list[bytes]:
    """The modules, used longest ago first, that `child` must give up for one of `size` bytes. Never one that it still
    needs.
    """
    busy = frozenset[bytes]().union(*(step.needs for step in child.steps))
    count, total, leaving = len(child.modules), sum(child.modules.values()) + size, []
    for digest, held in child.modules.items():
        if count < MODULES_PER_WORKER and total <= MODULE_BYTES_PER_WORKER:
            break
        if digest not in busy:
            leaving.append(digest)
            count, total = count - 1, total - held
    return leaving
