"""The seeded simulation: every scenario, with several seeds, without a broken rule.

`QUORATE_SIM_EVENTS` sets how many events happen in all scenarios together (a million by default);
`QUORATE_SIM_SEED` the first seed. A failing run prints its seed: `python -m tests.simulation.scenario NAME --first-seed
SEED --seeds 1 --events N` is the same run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from tests.simulation import scenario
from tests.simulation.scenario import Report, load, names, read
from tests.support.repository import ROOT

EVENTS = int(os.environ.get("QUORATE_SIM_EVENTS", "1000000"))
FIRST_SEED = int(os.environ.get("QUORATE_SIM_SEED", "1"))
EVENTS_OF_A_RUN = 80_000
RUNS = max(len(names()), EVENTS // EVENTS_OF_A_RUN)
WORK = [(names()[place % len(names())], FIRST_SEED + place // len(names())) for place in range(RUNS)]


@pytest.fixture(scope="module")
def reports() -> dict[tuple[str, int], Report]:
    return {}


@pytest.mark.parametrize(("name", "seed"), WORK)
def test_no_rule_breaks(name: str, seed: int, reports: dict[tuple[str, int], Report]) -> None:
    events = EVENTS // RUNS
    try:
        report = scenario.run(load(name), seed, events)
    except Exception:
        print(f"again: python -m tests.simulation.scenario {name} --first-seed {seed} --seeds 1 --events {events}")
        raise
    print(report)
    reports[name, seed] = report
    assert report.events >= events


def test_there_was_something_to_see(reports: dict[tuple[str, int], Report]) -> None:
    """The worlds are neither empty nor all alike: jobs end in every way, liars lose bonds, colluders win where they
    can."""
    if len(reports) < len(WORK):
        pytest.skip("needs all runs of this file")
    assert sum(report.events for report in reports.values()) >= EVENTS
    ends: Counter[str] = Counter()
    for report in reports.values():
        ends.update(report.outcomes)
    assert set(ends) >= {"completed", "cancelled", "rejected", "failed"}
    assert ends["completed"] > 10 * ends["failed"]
    assert sum(report.slashed for report in reports.values()) > 0
    assert sum(report.wrong_accepted for report in reports.values()) > 0
    assert all(report.slashed == 0 for (name, _), report in reports.items() if name in ("fair_weather", "storm"))


def test_one_seed_gives_one_run_in_any_process() -> None:
    """Also under another salt of Python's hashes."""
    code = "from tests.simulation.scenario import load, run; print(run(load('liars_in_a_storm'), 3, 6000).trace.hex())"
    traces = set()
    for salt in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": salt, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout.strip())
    assert len(traces) == 1
    other = scenario.run(load("liars_in_a_storm"), 4, 6_000).trace.hex()
    assert other not in traces


def test_the_ledger_of_a_stormy_run_replays() -> None:
    stormy = load("liars_in_a_storm")._replace(replayed=True)
    assert scenario.run(stormy, 5, 15_000).events >= 15_000


def test_faults_that_are_asked_for_happen() -> None:
    fleet, customers, _ = scenario.build(load("storm"), 1)
    customers.begin()
    fleet.world.begin_faults()
    fleet.world.run(1 << 60, 15_000)
    counts = fleet.world.network.counts
    assert min(counts.dropped, counts.duplicated, counts.reordered, counts.cut, counts.down) > 0


def test_a_scenario_with_an_unknown_word_is_refused() -> None:
    text = {"fleet": {"providers": 3, "requesters": 1}, "work": {"jobs_per_second": 1, "proofs": ["trust"]}}
    assert read("known", text).size.providers == 3
    with pytest.raises(ValueError, match="frost"):
        read("unknown", text | {"frost": {}})
    with pytest.raises(ValueError, match="wrong_bit"):
        read("unknown", text | {"byzantine_members": {"wrong_bit": 1}})
