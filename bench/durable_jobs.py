"""Durable, signed no-op jobs for one provider on a real local network, beside other systems that run the same no-op.

Ours are public jobs under proof trust: submitted in batches by the Python client, sealed into signed and durable
records by five parties' processes, run as WebAssembly in a jailed worker, settled on the ledger. The others call a
Python function that returns at once. A figure is jobs per second from the first submission to the last result.
Systems take turns, `ROUNDS` times; medians are compared. A system that cannot run here is named with its reason.

They are run in two ways, each compared under its own name: every job under an agreement, a vote and a settlement of its
own; and as elements of arrays, of which ARRAY_ELEMENTS share one agreement, vote and settlement, while each has its own
input, run in a fresh store, outcome and result.

DBOS on SQLite is the durable peer; Ray, Celery with Redis and Dask lose what they hold when the power fails. Where
another system was run in two ways, the better one counts.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from _machine import facts
from _network import Network, arrays_of, drained_s, network, per_job, trust_array, trust_drafts
from _peers import Missing, Peers, installed

import quorate

ROUNDS = 3
WARM_UP_JOBS = 200
OUR_JOBS = 2_000
OUR_ELEMENTS = 20_000
PEER_JOBS = {"ray_local": 2_000, "dask_local": 1_000, "celery_redis": 1_000, "dbos_sqlite": 300}
SYSTEMS = ("ray", "celery", "dask", "dbos")
GOALS = {"dbos": 2.0, "ray": 1.0}


def ours(found: dict[str, list[float]], spent: list[dict[str, Any]]) -> None:
    """One round of ours, on a network of its own so that the others do not share the cores with it."""
    with network(1) as net, quorate.connect(net.home) as client:
        drained_s(client, trust_drafts(WARM_UP_JOBS))
        drafts = trust_drafts(OUR_JOBS)
        before = net.use()
        rate = OUR_JOBS / drained_s(client, drafts)
        spent.append(per_job(before, net.use(), OUR_JOBS))
        found.setdefault("quorate", []).append(rate)
        arrays = arrays_of(trust_array, OUR_ELEMENTS)
        found.setdefault("quorate_array", []).append(OUR_ELEMENTS / drained_s(client, arrays))
        found.setdefault("quorate_p50_ms", []).append(one_at_a_time_ms(net, client))


def one_at_a_time_ms(net: Network, client: quorate.Quorate) -> float:
    return statistics.median(1000 * drained_s(client, [draft]) for draft in trust_drafts(30))


def attempt(peers: Peers | None, missing: dict[str, str], name: str, jobs: int) -> dict[str, float]:
    """The figures, or none once the system has failed: the reason is kept."""
    if peers is None or name in missing:
        return {}
    try:
        return peers.run(name, jobs)
    except Missing as fault:
        missing[name] = str(fault)
        return {}


def measured(peers: Peers | None, missing: dict[str, str]) -> tuple[dict[str, float], dict[str, Any]]:
    """The median of each figure over the rounds, and where our own time went in the last."""
    found: dict[str, list[float]] = {}
    spent: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        ours(found, spent)
        for name, jobs in PEER_JOBS.items():
            for figure, value in attempt(peers, missing, name, jobs).items():
                found.setdefault(figure, []).append(value)
    return {name: statistics.median(values) for name, values in found.items()}, spent[-1]


def compared(medians: dict[str, float]) -> dict[str, Any]:
    """Our rate against the better way of each system, and whether the goals are met."""
    figures: dict[str, Any] = {
        "quorate_jobs_per_s": round(medians["quorate"], 1),
        "quorate_array_jobs_per_s": round(medians["quorate_array"], 1),
    }
    for system in SYSTEMS:
        rates = [value for name, value in medians.items() if name.startswith(system) and not name.endswith("p50_ms")]
        if rates:
            figures[f"{system}_jobs_per_s"] = round(max(rates), 1)
            figures[f"ratio_to_{system}"] = round(medians["quorate"] / max(rates), 3)
            figures[f"array_ratio_to_{system}"] = round(medians["quorate_array"] / max(rates), 3)
            if system in GOALS:
                figures[f"ratio_to_{system}_goal_min"] = GOALS[system]
    if "ray_1_workers" in medians:
        figures["ratio_to_ray_with_one_worker"] = round(medians["quorate"] / medians["ray_1_workers"], 3)
    return figures


def main() -> None:
    missing: dict[str, str] = {}
    peers = None
    try:
        peers = installed()
    except Missing as fault:
        missing["peers"] = str(fault)
    medians, spent = measured(peers, missing)
    with network(1) as net:
        machine = facts(net.home)
    report = {
        "figures": compared(medians),
        "jobs per second, p50 in ms": {name: round(value, 2) for name, value in sorted(medians.items())},
        "each of our jobs": spent,
        "machine": machine,
        "peers": peers.versions if peers is not None else {},
        "missing": missing,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
