"""Ray on one machine: the same no-op as remote tasks. Peer of `durable_jobs.py`; keeps nothing over a crash.

Runs in the peers' own environment: `python ray_local.py JOBS FOLDER`. No dashboard, no usage report, loopback only. Run
once with one worker process and once with one for each core; the caller takes the better figure.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")

import ray

SINGLE_JOBS = 100
WARM_UP_JOBS = 200
STORE_BYTES = 100 << 20


@ray.remote
def noop() -> int:
    return 7


def drained(jobs: int) -> float:
    began = time.perf_counter()
    assert set(ray.get([noop.remote() for _ in range(jobs)])) == {7}
    return jobs / (time.perf_counter() - began)


def one_at_a_time_ms() -> float:
    took = []
    for _ in range(SINGLE_JOBS):
        began = time.perf_counter()
        assert ray.get(noop.remote()) == 7
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def measured(workers: int, jobs: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # its socket paths are long
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        try:
            drained(WARM_UP_JOBS)
            return drained(jobs), one_at_a_time_ms()
        finally:
            ray.shutdown()


def main(jobs: int) -> None:
    figures = {}
    for workers in sorted({1, len(os.sched_getaffinity(0))}):
        rate, p50_ms = measured(workers, jobs)
        figures |= {f"ray_{workers}_workers": rate, f"ray_{workers}_workers_p50_ms": p50_ms}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]))
