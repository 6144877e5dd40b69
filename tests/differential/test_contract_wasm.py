"""Random bytecode contracts against the WebAssembly contracts that they become: every outcome is the same but for what
it cost and where it stood.

QUORATE_DIFFERENTIAL_PROGRAMS and QUORATE_DIFFERENTIAL_SEED ask for more and others.
"""

from __future__ import annotations

import os
from collections import Counter

import msgspec
import pytest
from tests.differential.programs import requests
from tests.support import random_contracts
from tests.support.wasm_contracts import engine

from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.host import Outcome, Status
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.verify import load
from quorate.execute.contract_wasm.from_bytecode.module import contract_module

PROGRAMS = int(os.environ.get("QUORATE_DIFFERENTIAL_PROGRAMS", "500"))
SEED = int(os.environ.get("QUORATE_DIFFERENTIAL_SEED", "0"))
BATCH = 100
CYCLES = 4000
FUEL = 64 * CYCLES
"""More than any of these runs takes for CYCLES of bytecode."""


def said(outcome: Outcome) -> tuple[object, ...]:
    ended = outcome.status, outcome.trap, outcome.code, outcome.results
    return ended, outcome.logs, outcome.emitted, outcome.changes, outcome.transfers


def same(request: Request) -> str:
    """How both forms ended; empty where the bytecode ran out of cycles, which the other does not count."""
    contract = load(request.container)
    compiled = engine().compile(contract_module(contract))
    expected = run(contract, msgspec.structs.replace(request.call, cycles_max=CYCLES), request.state, request.context)
    if expected.trap is Trap.OUT_OF_CYCLES:
        return ""
    call = msgspec.structs.replace(request.call, cycles_max=FUEL)
    found = engine().run(compiled, call, request.state, request.context)
    assert said(found) == said(expected), request
    return expected.trap.name if expected.status is Status.TRAP else expected.status.value


@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
def test_random_contracts_end_alike_in_both_forms(batch: int) -> None:
    seen: Counter[str] = Counter()
    first = SEED + batch * BATCH
    for seed in range(first, first + BATCH):
        seen[same(requests(seed, 1, CYCLES)[0])] += 1
        seen[same(random_contracts.request(seed, CYCLES))] += 1
    assert seen["ok"] > BATCH // 4
    assert len(seen) >= 8
