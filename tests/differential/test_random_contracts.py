"""Random contracts on the reference and on the host's engine: equal outcomes, equal refusals, to the last cycle.

QUORATE_DIFFERENTIAL_PROGRAMS says how many, some 800 a second, and QUORATE_DIFFERENTIAL_SEED the first, so that several
processes share a long run. A number in a failure is the argument of `contract_programs.request` that shows the
difference.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from tests.support.bytecode_vectors.form import reference
from tests.support.contract_programs import Seen, request, seen_by

from quorate.execute.bytecode.engine import MachineEngine
from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.host import Outcome

COUNT = int(os.environ.get("QUORATE_DIFFERENTIAL_PROGRAMS", "10000"))
FIRST = int(os.environ.get("QUORATE_DIFFERENTIAL_SEED", "0"))
ENDINGS_MIN = 30
"""So many different endings, traps, refusals and rejections together, a batch of this size must show."""


def ending_of(seen: Seen) -> str:
    if isinstance(seen, Outcome):
        return f"{seen.status} {seen.trap.name}"
    return seen if isinstance(seen, str) else seen[1]


@pytest.mark.timeout(100 + COUNT // 10)
def test_reference_and_engine_never_differ() -> None:
    engine = MachineEngine()

    def wasm(one: Request) -> Outcome:
        return engine.run(one.container, one.call, one.state, one.context, one.address)

    endings: Counter[str] = Counter()
    for number in range(FIRST, FIRST + COUNT):
        one = request(number)
        expected = seen_by(reference, one)
        assert seen_by(wasm, one) == expected, number
        endings[ending_of(expected)] += 1
    if COUNT >= 2000:
        assert len(endings) >= ENDINGS_MIN, endings
        assert endings["ok NONE"] > COUNT // 10, endings


def test_a_difference_of_one_cycle_is_noticed() -> None:
    one = next(one for one in map(request, range(1000)) if ending_of(seen_by(reference, one)) == "ok NONE")
    outcome = reference(one)
    short = one._replace(call=one.call.__class__(one.call.function, one.call.arguments, outcome.cycles - 1))
    engine = MachineEngine()
    assert engine.run(short.container, short.call, short.state, short.context, short.address) != outcome
