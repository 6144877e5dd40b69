"""Dask distributed on one machine: the same no-op as tasks. Peer of `durable_jobs.py`; keeps nothing over a crash.

Runs in the peers' own environment: `python dask_local.py JOBS FOLDER`. One worker process with as many threads as there
are cores, no dashboard, loopback only.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

import dask
from distributed import Client, LocalCluster

SINGLE_JOBS = 50
WARM_UP_JOBS = 50


def noop(number: int) -> int:
    return 7


def drained(client: Client, first: int, jobs: int) -> float:
    """Keys are by argument, so each number is a task of its own."""
    began = time.perf_counter()
    assert set(client.gather(client.map(noop, range(first, first + jobs), pure=False))) == {7}
    return jobs / (time.perf_counter() - began)


def one_at_a_time_ms(client: Client) -> float:
    took = []
    for number in range(SINGLE_JOBS):
        began = time.perf_counter()
        assert client.submit(noop, number, pure=False).result() == 7
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def main(jobs: int, folder: str) -> None:
    dask.config.set({"temporary-directory": folder, "distributed.admin.tick.interval": "1s"})
    threads = len(os.sched_getaffinity(0))
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=threads, host="127.0.0.1", dashboard_address=None, processes=True
        ) as cluster,
        Client(cluster) as client,
    ):
        drained(client, 0, WARM_UP_JOBS)
        print(json.dumps({"dask": drained(client, WARM_UP_JOBS, jobs), "dask_p50_ms": one_at_a_time_ms(client)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
