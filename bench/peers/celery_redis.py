"""Celery with Redis as broker and result store: the same no-op as tasks. Peer of `durable_jobs.py`. Redis writes
nothing to disk here, which is to the peer's advantage.

Runs in the peers' own environment: `python celery_redis.py JOBS FOLDER`; starts a `redis-server` on a Unix socket in
the folder, and a worker twice: in one process (`solo`) and with one forked process for each core (`prefork`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from celery import Celery, group

SINGLE_JOBS = 50
WARM_UP_JOBS = 20
START_S = 30

folder = Path(os.environ.get("BENCH_FOLDER", sys.argv[2] if len(sys.argv) > 2 else "."))
address = f"redis+socket://{folder}/redis.sock"
app = Celery("celery_redis", broker=address, backend=address)
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True, task_ignore_result=False)


@app.task(name="noop")
def noop() -> int:
    return 7


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[None]:
    environment = os.environ | {"BENCH_FOLDER": str(folder), "C_FORCE_ROOT": "1"}
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=Path(__file__).parent)
    try:
        yield
    finally:
        process.terminate()
        process.wait(START_S)


def drained(jobs: int) -> float:
    began = time.perf_counter()
    assert set(group(noop.s() for _ in range(jobs)).apply_async().get(timeout=120)) == {7}
    return jobs / (time.perf_counter() - began)


def one_at_a_time_ms() -> float:
    took = []
    for _ in range(SINGLE_JOBS):
        began = time.perf_counter()
        assert noop.delay().get(timeout=START_S) == 7
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def measured(pool: str, jobs: int) -> tuple[float, float]:
    slots = "1" if pool == "solo" else str(len(os.sched_getaffinity(0)))
    worker = [sys.executable, "-m", "celery", "-A", "celery_redis", "worker", "--pool", pool, "--concurrency", slots]
    with running([*worker, "--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]):
        drained(WARM_UP_JOBS)
        return drained(jobs), one_at_a_time_ms()


def main(jobs: int) -> None:
    redis = shutil.which("redis-server")
    if redis is None:
        raise SystemExit("redis-server is not installed (Debian and Ubuntu: apt-get install redis-server)")
    figures = {}
    options = ["--port", "0", "--unixsocket", str(folder / "redis.sock"), "--save", "", "--appendonly", "no"]
    with running([redis, *options]):
        while not (folder / "redis.sock").exists():
            time.sleep(0.05)
        for pool in ("solo", "prefork"):
            rate, p50_ms = measured(pool, jobs)
            figures |= {f"celery_{pool}": rate, f"celery_{pool}_p50_ms": p50_ms}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]))
