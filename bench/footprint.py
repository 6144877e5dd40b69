"""What Quorate takes when it does little: the start of the command, an idle provider, and memory after many jobs.

* `quorate --help`: wall time, median of ten, files in the page cache.
* An idle provider with one warm worker: proportional set size of its process tree (proc(5), smaps_rollup), which
  counts shared pages by share. Other processes of the network share libraries with it, as they would on one machine.
* Growth: the same figure for every process of the network after each block of jobs, 10,000 in all after a first block
  that fills caches. The last half is fitted by a straight line; noise is what is left over. And what is added by jobs
  that come one at a time: each of them brings signatures of its own, where a batch shares one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _machine import facts
from _network import Network, drained_s, network, trust_drafts

import quorate

HELP_RUNS = 10
HELP_GOAL_S = 0.3
IDLE_GOAL_MIB = 150
SETTLE_S = 3.0
BLOCK_JOBS, BLOCKS = 1_000, 11
BATCH_JOBS = 500
ALONE_JOBS = 400


def help_s() -> float:
    command = [str(Path(sys.executable).parent / "quorate"), "--help"]
    subprocess.run(command, capture_output=True, check=True)
    took = []
    for _ in range(HELP_RUNS):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def memory_after(net: Network, blocks: int) -> list[dict[str, int]]:
    """KiB of each process before the first block and after each one."""
    with quorate.connect(net.home) as client:
        seen = [net.memory_kib()]
        for _ in range(blocks):
            for _ in range(BLOCK_JOBS // BATCH_JOBS):
                drained_s(client, trust_drafts(BATCH_JOBS))
            time.sleep(SETTLE_S / 3)
            seen.append(net.memory_kib())
    return seen


def growth_alone(net: Network) -> dict[str, float]:
    """KiB that each process grows by in a thousand jobs that come one after another."""
    before = net.memory_kib()
    with quorate.connect(net.home) as client:
        for draft in trust_drafts(ALONE_JOBS):
            drained_s(client, [draft])
    return {name: (kib - before[name]) * 1000 / ALONE_JOBS for name, kib in net.memory_kib().items()}


def growth(values: list[int]) -> tuple[float, float]:
    """KiB for each thousand jobs over the second half of the run, and the noise around that line."""
    late = values[len(values) // 2 :]
    places = range(len(late))
    slope, start = statistics.linear_regression(places, late)
    noise = statistics.pstdev(value - start - slope * place for place, value in zip(places, late, strict=True))
    return slope * 1000 / BLOCK_JOBS, noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=BLOCKS, help=f"blocks of {BLOCK_JOBS} jobs")
    options = parser.parse_args()
    started_s = help_s()
    with network(1) as net:
        time.sleep(SETTLE_S)
        idle = net.memory_kib()
        machine = facts(net.home)
        seen = memory_after(net, options.blocks)
        alone = growth_alone(net)
    figures: dict[str, Any] = {
        "help_s": round(started_s, 3),
        "help_goal_max_s": HELP_GOAL_S,
        "help_to_goal": round(started_s / HELP_GOAL_S, 3),
        "idle_provider_mib": round(idle["provider-1"] / 1024, 1),
        "idle_provider_goal_max_mib": IDLE_GOAL_MIB,
        "idle_provider_to_goal": round(idle["provider-1"] / 1024 / IDLE_GOAL_MIB, 3),
        "jobs": options.blocks * BLOCK_JOBS,
    }
    series = {}
    for name in idle:
        values = [memory[name] for memory in seen]
        slope, noise = growth(values)
        figures[f"{name}_growth_kib_per_1000_jobs"] = round(slope, 1)
        figures[f"{name}_noise_kib"] = round(noise, 1)
        figures[f"{name}_growth_one_at_a_time_kib_per_1000_jobs"] = round(alone[name], 1)
        series[name] = " ".join(str(value // 1024) for value in values)
    print(json.dumps({"figures": figures, "MiB after each block": series, "machine": machine, "peers": {}}))


if __name__ == "__main__":
    main()
