"""The facts of the machine that figures hold for, and how long its disk takes to make a write durable."""

from __future__ import annotations

import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

SYNCS = 100
SYNC_BYTES = 4096
OUR_LIBRARIES = ("wasmtime", "cryptography", "eclipse-zenoh", "msgspec", "fastapi", "uvicorn")


def fdatasync_ms(folder: Path) -> float:
    """The median of appending 4 KiB to a file and syncing it."""
    path, took = folder / "fdatasync", []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(SYNCS):
            os.write(descriptor, bytes(SYNC_BYTES))
            began = time.perf_counter()
            os.fdatasync(descriptor)
            took.append(1000 * (time.perf_counter() - began))
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(took)


def facts(folder: Path) -> dict[str, Any]:
    """What to print beside every figure. `folder` is where the stores lie."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "fdatasync_p50_ms": round(fdatasync_ms(folder), 3),
        "libraries": " ".join(f"{name}={version(name)}" for name in OUR_LIBRARIES),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def use_cores(count: int) -> tuple[int, ...]:
    """Keeps this process, and all that it starts from now on, on the first `count` of its cores."""
    cores = tuple(sorted(os.sched_getaffinity(0)))[:count]
    os.sched_setaffinity(0, cores)
    return cores
