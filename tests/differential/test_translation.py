"""The translation against the reference over random contracts: every outcome is the same, field by field.

A batch for every run of the tests; QUORATE_DIFFERENTIAL_PROGRAMS and QUORATE_DIFFERENTIAL_SEED ask for more and others.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import msgspec
import pytest
from tests.differential.programs import requests
from tests.support import random_contracts

from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.host import Outcome, Status
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.translate.bounds import called
from quorate.execute.bytecode.translate.engine import Program, TranslationEngine
from quorate.execute.bytecode.translate.flow import graph_of
from quorate.execute.bytecode.translate.function import INSIDE_CODE_BYTES_MAX
from quorate.execute.bytecode.verify import Contract, load

PROGRAMS = int(os.environ.get("QUORATE_DIFFERENTIAL_PROGRAMS", "2500"))
SEED = int(os.environ.get("QUORATE_DIFFERENTIAL_SEED", "0"))
BATCH = 250
CYCLES = 4000
ENGINE = TranslationEngine()


def same(program: Program, request: Request) -> Outcome:
    """The outcome of both engines."""
    ask = (request.call, request.state, request.context)
    expected = run(program.translation.contract, *ask)
    assert ENGINE.run(program, *ask) == expected, request
    return expected


def irreducible(contract: Contract) -> int:
    """How many functions have a loop of several entries."""
    return sum(not graph_of(contract, at).flow.reducible for at in range(len(contract.container.functions)))


def written_inside(contract: Contract) -> bool:
    """Whether a function is small enough to be written inside those that call it."""
    container = contract.container
    sizes = {at: container.end_of(at) - container.functions[at].start for at in called(contract)}
    return any(size <= INSIDE_CODE_BYTES_MAX and graph_of(contract, at).flow.reducible for at, size in sizes.items())


def shortened(request: Request, cycles: int) -> Request:
    return request._replace(call=msgspec.structs.replace(request.call, cycles_max=cycles))


@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
def test_random_contracts_end_alike(batch: int) -> None:
    seen: Counter[str] = Counter()
    first = SEED + batch * BATCH
    for seed in range(first, first + BATCH):
        asked = requests(seed, 2, CYCLES)
        program = ENGINE.compile(load(asked[0].container))
        seen["irreducible"] += irreducible(program.translation.contract)
        seen["inside"] += written_inside(program.translation.contract)
        for request in asked:
            outcome = same(program, request)
            seen[outcome.status] += 1
            seen[outcome.trap.name] += 1
            # once more with fewer cycles than it took: it stops in the middle, wherever that is
            cycles = Random(seed).randint(1, outcome.cycles)
            again = same(program, shortened(request, cycles))
            seen["cut short"] += again.trap is Trap.OUT_OF_CYCLES
    assert seen["irreducible"] > BATCH // 50
    assert seen["inside"] > BATCH // 10
    assert seen[Status.OK] > BATCH // 4
    assert seen["cut short"] > BATCH // 2
    assert len([trap for trap in Trap if seen[trap.name]]) >= 8


@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH // 5)))
def test_structured_contracts_end_alike(batch: int) -> None:
    first = SEED + batch * BATCH
    for seed in range(first, first + BATCH):
        request = random_contracts.request(seed, CYCLES)
        same(ENGINE.compile(load(request.container)), request)


@pytest.mark.parametrize("seed", range(12))
def test_every_limit_of_cycles_stops_at_the_same_place(seed: int) -> None:
    request = requests(seed, 1, CYCLES)[0]
    program = ENGINE.compile(load(request.container))
    needed = same(program, request).cycles
    for cycles in range(1, min(needed + 2, 150)):
        same(program, shortened(request, cycles))
