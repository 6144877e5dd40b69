"""Private no-op jobs, each for a quorum of three providers in processes of their own, everything on two cores.

Figures: drained jobs per second of a batch; the median of one job at a time, against six syncs of the same disk plus
15 ms; and where the time goes, process by process. `--profile FOLDER` also leaves a profile of each process there
(`python -m pstats FOLDER/node.prof`) and prints the functions that cost most; the profiler slows everything down, so
those figures count for shares only. `--jobs N` sets the size of the batch.
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import statistics
import time
from pathlib import Path
from typing import Any

from _machine import facts, fdatasync_ms, use_cores
from _network import Network, Use, drained_s, network, per_job, quorum_drafts

import quorate

CORES = 2
PROVIDERS = 3
ROUNDS = 3
WARM_UP_JOBS = 100
BATCH_JOBS = 600
SINGLE_JOBS = 40
GOAL_JOBS_PER_S = 150
GOAL_SYNCS, GOAL_MS = 6, 15
COSTLY_FUNCTIONS = 12


def one_at_a_time_ms(client: quorate.Quorate) -> list[float]:
    """From the call of `submit` until the accepted result is open, for each job; the settlement that follows is waited
    for before the next begins, and not counted."""
    took = []
    for draft in quorum_drafts(SINGLE_JOBS):
        began = time.perf_counter()
        job = client.submit(draft)
        result = client.wait(job, final=False)
        assert result.decrypt() == draft.input
        took.append(1000 * (time.perf_counter() - began))
        client.wait_settled(job)
    return sorted(took)


def processor_s_of(used: dict[str, Use]) -> float:
    return sum(use.cpu_s + use.workers_cpu_s for use in used.values())


def measured(net: Network, jobs: int) -> dict[str, Any]:
    with quorate.connect(net.home) as client:
        drained_s(client, quorum_drafts(WARM_UP_JOBS))
        syncs, alone = [fdatasync_ms(net.home)], net.use()
        single = one_at_a_time_ms(client)
        spent_alone = per_job(alone, net.use(), SINGLE_JOBS)
        syncs.append(fdatasync_ms(net.home))
        before, took_s = net.use(), []
        for _ in range(ROUNDS):
            took_s.append(drained_s(client, quorum_drafts(jobs)))
        after = net.use()
    rate, p50_ms = jobs / statistics.median(took_s), statistics.median(single)
    busy_s = processor_s_of(after) - processor_s_of(before)
    allowed_ms = GOAL_SYNCS * statistics.mean(syncs) + GOAL_MS
    return {
        "drained_jobs_per_s": round(rate, 1),
        "drained_goal_min": GOAL_JOBS_PER_S,
        "drained_to_goal": round(rate / GOAL_JOBS_PER_S, 3),
        "drained_least_per_s": round(jobs / max(took_s), 1),
        "drained_most_per_s": round(jobs / min(took_s), 1),
        "p50_ms": round(p50_ms, 2),
        "p50_goal_max_ms": round(allowed_ms, 2),
        "p50_to_goal": round(p50_ms / allowed_ms, 3),
        "p90_ms": round(single[int(0.9 * len(single))], 2),
        "batch_jobs": jobs,
        "drained": per_job(before, after, ROUNDS * jobs),
        "alone": spent_alone,
        "cores_busy": round(busy_s / sum(took_s), 2),
    }


def costly(folder: Path) -> dict[str, dict[str, str]]:
    """For each process the functions with the most time of their own, with their calls and seconds."""
    found = {}
    for path in sorted(folder.glob("*.prof")):
        rows = pstats.Stats(str(path)).get_stats_profile().func_profiles.items()
        ranked = sorted(rows, key=lambda row: row[1].tottime, reverse=True)[:COSTLY_FUNCTIONS]
        found[f"profile of {path.stem}"] = {
            f"{Path(row.file_name).name}:{row.line_number} {name}": f"{row.tottime} s in {row.ncalls} calls"
            for name, row in ranked
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--jobs", type=int, default=BATCH_JOBS)
    options = parser.parse_args()
    if options.profile is not None:
        options.profile.mkdir(parents=True, exist_ok=True)
        os.environ["QUORATE_PROFILE"] = str(options.profile.absolute())
    cores = use_cores(CORES)
    with network(PROVIDERS) as net:
        machine = facts(net.home) | {"pinned_to": list(cores)}
        figures = measured(net, options.jobs)
    report = {
        "figures": figures,
        "each job of a batch": figures.pop("drained"),
        "each job alone": figures.pop("alone"),
        "machine": machine,
        "peers": {},
    }
    if options.profile is not None:
        report |= costly(options.profile)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
