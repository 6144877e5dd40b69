"""A real network for a benchmark: separate processes, its own folder on the disk under the checkout, stopped and
removed at the end. And what each of its processes uses: processor time, commits, memory.

Processor time is the kernel's count of a process and of the workers it started (proc(5), schedstat: nanoseconds, live
threads), so threads that ended and workers that were replaced in between are missing from it. Commits are read from
the index of each store's write-ahead log, which counts transactions (sqlite.org/walformat.html, iChange); with
`synchronous=FULL` each is one sync of the disk.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import quorate
from quorate.api.builder import Draft, Job
from quorate.node import localnet

ROOT = Path(__file__).resolve().parent.parent
ECHO = """(module (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func (export "run") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"""
"""The no-op: gives back its input."""
INPUT_BYTES = 8
ARRAY_ELEMENTS = 500
WAL_CHANGES_AT = 8


class Use(NamedTuple):
    """What one process of the network has used since it began."""

    cpu_s: float
    workers_cpu_s: float
    commits: int


class Network:
    """A running network and its processes by name. `bench` is this process, the client among them."""

    def __init__(self, home: Path, processes: Sequence[localnet.Process]) -> None:
        self.home = home
        self.pids = {process.name: process.pid for process in processes}

    def use(self) -> dict[str, Use]:
        used = {
            name: Use(processor_s(pid), sum(map(processor_s, descendants(pid))), self._commits(name))
            for name, pid in self.pids.items()
        }
        return used | {"client": Use(time.process_time(), 0.0, 0)}

    def memory_kib(self) -> dict[str, int]:
        """Proportional set size of each process with its workers, KiB."""
        return {
            name: localnet.memory_kib(pid) + sum(map(localnet.memory_kib, descendants(pid)))
            for name, pid in self.pids.items()
        }

    def _commits(self, name: str) -> int:
        try:
            index = (self.home / name / "store.db-shm").read_bytes()[: WAL_CHANGES_AT + 4]
            return int(struct.unpack_from("=I", index, WAL_CHANGES_AT)[0])
        except (OSError, struct.error):
            return 0


@contextlib.contextmanager
def network(providers: int) -> Iterator[Network]:
    """Starts one and, whatever happens, stops it and removes its keys and stores."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="n", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        try:
            yield Network(home, localnet.up(home, nodes=providers).processes)
        finally:
            localnet.down(home, purge=True)


def trust_drafts(count: int) -> list[Draft]:
    """Public no-ops for one provider, taken on its word."""
    return [Job.builder().wasm(ECHO).public_input(os.urandom(INPUT_BYTES)).proof("trust").build() for _ in range(count)]


def quorum_drafts(count: int) -> list[Draft]:
    """Private no-ops for three providers, all of whom must agree."""
    return [
        Job.builder().wasm(ECHO).private_input(os.urandom(INPUT_BYTES)).with_ownership_proof().replication(3).build()
        for _ in range(count)
    ]


def trust_array(inputs: Sequence[bytes]) -> Draft:
    """The same no-ops as elements of one job."""
    return Job.builder().wasm(ECHO).array(inputs).proof("trust").build()


def quorum_array(inputs: Sequence[bytes]) -> Draft:
    return Job.builder().wasm(ECHO).private_array(inputs).with_ownership_proof().replication(3).build()


def arrays_of(make: Callable[[Sequence[bytes]], Draft], elements: int) -> list[Draft]:
    """Arrays of at most ARRAY_ELEMENTS, `elements` in all."""
    inputs = [os.urandom(INPUT_BYTES) for _ in range(elements)]
    return [make(inputs[at : at + ARRAY_ELEMENTS]) for at in range(0, elements, ARRAY_ELEMENTS)]


def drained_s(client: quorate.Quorate, drafts: Sequence[Draft]) -> float:
    """Seconds from the submission of the first job until all are settled. A job that is not completed ends the
    benchmark."""
    began = time.perf_counter()
    views = client.wait_all(client.submit_many(drafts))
    took_s = time.perf_counter() - began
    failed = [view for view in views if view.state != "completed"]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(views)} jobs ended otherwise: {failed[0].state}: {failed[0].detail}")
    return took_s


def per_job(before: dict[str, Use], after: dict[str, Use], jobs: int) -> dict[str, Any]:
    """Where the time went: milliseconds of processor time and commits for each job, process by process."""
    spent: dict[str, Any] = {}
    for name, use in after.items():
        spent[f"{name}_cpu_ms"] = round(1000 * (use.cpu_s - before[name].cpu_s) / jobs, 3)
        if name.startswith("provider"):
            spent[f"{name}_workers_cpu_ms"] = round(1000 * (use.workers_cpu_s - before[name].workers_cpu_s) / jobs, 3)
        if name != "client":
            spent[f"{name}_commits"] = round((use.commits - before[name].commits) / jobs, 3)
    spent["total_cpu_ms"] = round(sum(value for key, value in spent.items() if key.endswith("_cpu_ms")), 3)
    return spent


def processor_s(pid: int) -> float:
    """What the threads of a process have used, in seconds."""
    with contextlib.suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    return 0.0


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and those they started (proc(5), children of each thread)."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
