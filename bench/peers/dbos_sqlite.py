"""DBOS on SQLite: the same no-op as a durable workflow, started directly and through a queue. A peer of
`durable_jobs.py`.

Runs in the peers' own environment: `python dbos_sqlite.py JOBS FOLDER`. SQLite's own defaults for durability stand: a
rollback journal and `synchronous=FULL`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbos import DBOS

SINGLE_JOBS = 20
WARM_UP_JOBS = 10


@DBOS.workflow()
def noop() -> int:
    return 7


def drained(start: Callable[[], Any], jobs: int) -> float:
    """Jobs per second, from the first start to the last result."""
    began = time.perf_counter()
    handles = [start() for _ in range(jobs)]
    assert all(handle.get_result() == 7 for handle in handles)
    return jobs / (time.perf_counter() - began)


def one_at_a_time_ms() -> float:
    took = []
    for _ in range(SINGLE_JOBS):
        began = time.perf_counter()
        assert noop() == 7
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def main(jobs: int, folder: Path) -> None:
    DBOS(
        config={
            "name": "noop",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "run_admin_server": False,
            "enable_otlp": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    queue = DBOS.register_queue("noops", polling_interval_sec=0.01)
    try:
        drained(lambda: DBOS.start_workflow(noop), WARM_UP_JOBS)
        direct = drained(lambda: DBOS.start_workflow(noop), jobs)
        drained(lambda: DBOS.enqueue_workflow(queue.name, noop), WARM_UP_JOBS)
        queued = drained(lambda: DBOS.enqueue_workflow(queue.name, noop), jobs)
        p50 = one_at_a_time_ms()
    finally:
        DBOS.destroy()
    print(json.dumps({"dbos_direct": direct, "dbos_queue": queued, "dbos_p50_ms": p50}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
