"""A thousand jobs leave no more in a provider's memory than its bounded caches take (the long run is in bench/)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.support import guests
from tests.support.network import Network, children

from quorate import Job, Quorate
from quorate.node.localnet import memory_kib

NODES = 1
JOBS = 1_000
PROVIDER_KIB_MAX = 10 * 1024
"""Caches of decoded values and verified stamps fill up in the first thousands of jobs; ten bytes a job would not show,
ten kilobytes a job do."""
WORKERS_KIB_MAX = 1024


class Size(NamedTuple):
    provider_kib: int
    workers_kib: int
    open_files: int
    threads: int
    processes: int


def size(network: Network, name: str) -> Size:
    pid = network.process(name).pid
    workers = children(pid)
    return Size(
        memory_kib(pid),
        sum(memory_kib(worker) for worker in workers),
        len(os.listdir(f"/proc/{pid}/fd")),
        len(os.listdir(f"/proc/{pid}/task")),
        len(workers),
    )


def run(client: Quorate, count: int) -> None:
    draft = Job.builder().wasm(guests.ANSWER).public_input(b"").proof("trust").build()
    views = client.wait_all(client.submit_many([draft] * count))
    assert {view.state for view in views} == {"completed"}


def test_a_thousand_jobs_leave_no_growth(network: Network, client: Quorate) -> None:
    run(client, JOBS)
    shared_before = set(Path("/dev/shm").iterdir())
    before = size(network, "provider-1")
    run(client, JOBS)
    after = size(network, "provider-1")
    assert after.provider_kib - before.provider_kib < PROVIDER_KIB_MAX
    assert after.workers_kib - before.workers_kib < WORKERS_KIB_MAX
    assert after.open_files <= before.open_files + 2
    assert after.threads <= before.threads + 2
    assert after.processes == before.processes
    assert not {path for path in Path("/dev/shm").iterdir() if "quorate" in path.name} - shared_before
    assert len(network.book().settlements) == 2 * JOBS, "each of them billed, once"
