"""A scenario is a small file that reads as a sentence: so many providers of such kinds, so much work, such weather.

`python -m tests.simulation.scenario [--events N] [--seeds N] [--first-seed N] [NAME ...]` runs scenarios for as long as
one likes and prints the seed of a run that breaks a rule.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.simulation import byzantine_members, byzantine_requesters
from tests.simulation.checkers import Rules
from tests.simulation.customers import Customers, Habits
from tests.simulation.fleet import TRUST, Fleet, Size, assemble, quorum, rerun
from tests.simulation.provider import SimulatedProvider
from tests.simulation.requester import SimulatedRequester
from tests.simulation.weather import Weather
from tests.simulation.world import World

from quorate.model.policy import Proof
from quorate.model.units import Digest

FOLDER = Path(__file__).parent / "scenarios"
DRAIN_MS = 900_000
"""After the faults stop: every clock of three rounds with replacements, then the windows of the ledger."""
DRAIN_STEP_MS = 5_000
DRAIN_EVENTS_MAX = 5_000_000


class Scenario(NamedTuple):
    """`members` and `requesters` say how many are of which Byzantine kind; all others are honest."""

    name: str
    size: Size
    habits: Habits
    weather: Weather
    members: Mapping[str, int]
    requesters: Mapping[str, int]
    replayed: bool = False


class Report(NamedTuple):
    """What came of a run."""

    name: str
    seed: int
    events: int
    virtual_ms: int
    seconds: float
    outcomes: Mapping[str, int]
    wrong_accepted: int
    slashed: int
    trace: Digest

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {word}" for word, count in sorted(self.outcomes.items()))
        return (
            f"{self.name} seed {self.seed}: {self.events} events, {self.virtual_ms / 1000:.0f} simulated s in "
            f"{self.seconds:.1f} s ({self.events / self.seconds:.0f}/s); {ended}; {self.slashed} slashed; "
            f"{self.wrong_accepted} wrong by collusion; trace {self.trace.hex()[:16]}"
        )


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Scenario:
    text = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return read(name, text)


def read(name: str, text: Mapping[str, Any]) -> Scenario:
    """A scenario from its tables. A word that is not known is an error, so that no fault is planned in vain."""
    known = {"title", "fleet", "work", "weather", "byzantine_members", "byzantine_requesters", "replayed"}
    unknown = (set(text) - known) | (set(text.get("byzantine_members", {})) - set(byzantine_members.KINDS))
    unknown |= set(text.get("byzantine_requesters", {})) - set(byzantine_requesters.KINDS)
    if unknown:
        raise ValueError(f"{name}: unknown words {sorted(unknown)}")
    work = dict(text["work"])
    proofs = tuple(proof(word) for word in work.pop("proofs"))
    return Scenario(
        name=name,
        size=Size(**text["fleet"]),
        habits=Habits(proofs=proofs, **work),
        weather=Weather(**text.get("weather", {})),
        members=text.get("byzantine_members", {}),
        requesters=text.get("byzantine_requesters", {}),
        replayed=text.get("replayed", False),
    )


def proof(word: str) -> Proof:
    """`trust`, `rerun 1 in 4`, `quorum of 3`, `quorum 2 of 3`."""
    if word == "trust":
        return TRUST
    numbers = [int(part) for part in word.split() if part.isdigit()]
    if word.startswith("rerun"):
        return rerun(numbers[-1])
    if word.startswith("quorum"):
        return quorum(numbers[-1], numbers[0] if len(numbers) > 1 else 0)
    raise ValueError(word)


def _kinds(counts: Mapping[str, int], table: Mapping[str, type], honest: type, total: int) -> list[type]:
    """Byzantine ones first; the draw does not know about places."""
    kinds = [table[name] for name, count in counts.items() for _ in range(count)]
    return kinds + [honest] * (total - len(kinds))


def build(scenario: Scenario, seed: int) -> tuple[Fleet, Customers, Rules]:
    world = World(seed, scenario.weather)
    size = scenario.size
    members = _kinds(scenario.members, byzantine_members.KINDS, SimulatedProvider, size.providers)
    nodes = _kinds(scenario.requesters, byzantine_requesters.KINDS, SimulatedRequester, size.requesters)
    fleet = assemble(world, size, lambda index: members[index], lambda index: nodes[-1 - index])
    customers = Customers(fleet, scenario.habits)
    return fleet, customers, Rules(fleet, customers)


def run(scenario: Scenario, seed: int, events: int) -> Report:
    """Runs until `events` have happened, then lets the world calm down. Raises Violation when a rule breaks."""
    began = time.process_time()
    gc.freeze()
    gc.disable()  # a run makes hardly any cycles, and has many live objects to look through
    try:
        return _run(scenario, seed, events, began)
    finally:
        gc.enable()


def _run(scenario: Scenario, seed: int, events: int, began: float) -> Report:
    fleet, customers, rules = build(scenario, seed)
    world = fleet.world
    start_ms = world.now
    customers.begin()
    world.begin_faults()
    world.run(1 << 60, events)
    customers.close()
    world.calm()
    drain(fleet, customers)
    rules.finish()
    if scenario.replayed:
        rules.replayed()
    return Report(
        name=scenario.name,
        seed=seed,
        events=world.events,
        virtual_ms=world.now - start_ms,
        seconds=max(time.process_time() - began, 1e-9),
        outcomes=rules.jobs.outcomes,
        wrong_accepted=rules.jobs.wrong_accepted,
        slashed=len(rules.money.slashed),
        trace=world.trace(),
    )


def drain(fleet: Fleet, customers: Customers) -> None:
    """Lets the world go on without faults until nothing is under way, or the bound has passed."""
    world = fleet.world
    end_ms = world.now + DRAIN_MS
    while world.now < end_ms and not _idle(fleet, customers):
        world.run(min(world.now + DRAIN_STEP_MS, end_ms), DRAIN_EVENTS_MAX)


def _idle(fleet: Fleet, customers: Customers) -> bool:
    busy = any(node.jobs or node.pending for node in fleet.requesters if node.honest)
    busy |= any(node.leases for node in fleet.providers if node.honest)
    if busy or len(customers.acknowledged) < len(customers.placed):
        return False
    return all(escrow.settlement is not None for escrow in fleet.sequencer.state.escrows.values())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.scenario", description=__doc__)
    parser.add_argument("scenario", nargs="*", default=names())
    parser.add_argument("--events", type=int, default=200_000, help="of each run before the calm")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    wanted = parser.parse_args(arguments)
    for seed in range(wanted.first_seed, wanted.first_seed + wanted.seeds):
        for name in wanted.scenario:
            try:
                print(run(load(name), seed, wanted.events), flush=True)
            except Exception:
                print(f"{name} breaks with seed {seed} at {wanted.events} events", flush=True)
                raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
