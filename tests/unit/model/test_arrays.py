"""Jobs of several elements: their bounds, and what all of them together may use."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_world import LIMITS, TIMEOUTS, World

from quorate.errors import InvalidField, MalformedBytes
from quorate.execute.engine import Execution
from quorate.model.codec import decode, encode
from quorate.model.job import (
    ARRAY_FUEL_MAX,
    ARRAY_LOG_BYTES_MAX,
    ARRAY_OUTPUT_BYTES_MAX,
    ELEMENT_FUEL_MIN,
    ELEMENTS_MAX,
    JobCore,
)
from quorate.model.output import ArrayInput, ArrayLog, ArrayOutcome, ElementOutcome, Output
from quorate.model.trap import Status
from quorate.model.units import AMOUNT_MAX, LOG_BYTES_MAX, MIB
from quorate.privacy.claims import claim, element_inputs, plain_outcome
from quorate.privacy.tier import FUEL_BUCKET_MIN, bucket

CORE = World(providers=0).job().core
SMALL = msgspec.structs.replace(LIMITS, output_bytes=1_000)


def core(**changes: Any) -> JobCore:
    return msgspec.structs.replace(CORE, **({"limits": SMALL} | changes))


def arriving(elements: Any) -> JobCore:
    plain = msgspec.to_builtins(core(), builtin_types=(bytes,)) | {"v": 1, "elements": elements}
    from tests.support.byte_surgery import canonical

    return decode(canonical(plain), JobCore)


@pytest.mark.parametrize("elements", [0, -1, ELEMENTS_MAX + 1, 1 << 63, "2", None, True])
def test_other_counts_do_not_arrive(elements: Any) -> None:
    with pytest.raises(MalformedBytes) as caught:
        arriving(elements)
    assert caught.value.field == "elements"


@pytest.mark.parametrize("elements", [1, 2, ELEMENTS_MAX])
def test_these_arrive(elements: int) -> None:
    assert arriving(elements).elements == elements


def test_an_ordinary_job_counts_as_it_did() -> None:
    plain = core(elements=1, limits=msgspec.structs.replace(LIMITS, fuel=5))
    assert not plain.is_array
    assert (plain.fuel_most, plain.fuel_least, plain.run_ms_most) == (5, 1, LIMITS.run_ms)
    assert plain.log_bytes == LOG_BYTES_MAX


def test_limits_count_for_each_element_and_clocks_for_all() -> None:
    many = core(elements=10, limits=msgspec.structs.replace(SMALL, fuel=10**6, run_ms=7))
    assert (many.fuel_most, many.fuel_least) == (10**7, 10 * ELEMENT_FUEL_MIN)
    assert many.run_ms_most == min(70, TIMEOUTS.run_ms)
    assert core(elements=10, limits=msgspec.structs.replace(SMALL, run_ms=TIMEOUTS.run_ms)).run_ms_most == (
        TIMEOUTS.run_ms
    )
    little = core(elements=10, limits=msgspec.structs.replace(SMALL, fuel=5))
    assert little.fuel_most == 10 * ELEMENT_FUEL_MIN, "a store costs its executor something whatever runs in it"


@given(st.integers(2, ELEMENTS_MAX), st.integers(1, AMOUNT_MAX))
def test_no_sum_overflows_whatever_the_limits(elements: int, fuel: int) -> None:
    limits = msgspec.structs.replace(SMALL, fuel=fuel)
    if elements * fuel > ARRAY_FUEL_MAX:
        with pytest.raises(InvalidField, match="fuel"):
            core(elements=elements, limits=limits)
        return
    made = core(elements=elements, limits=limits)
    assert made.fuel_least <= made.fuel_most <= ARRAY_FUEL_MAX
    assert bucket(made.fuel_most, FUEL_BUCKET_MIN) <= AMOUNT_MAX


@given(st.integers(2, ELEMENTS_MAX))
def test_outputs_and_logs_of_all_fit_their_values(elements: int) -> None:
    most = ARRAY_OUTPUT_BYTES_MAX // elements
    made = core(elements=elements, limits=msgspec.structs.replace(SMALL, output_bytes=most))
    with pytest.raises(InvalidField, match="output_bytes"):
        core(elements=elements, limits=msgspec.structs.replace(SMALL, output_bytes=most + 1))
    heads = elements * 96
    assert elements * most + heads < ArrayOutcome.size_max
    assert elements * made.log_bytes <= ARRAY_LOG_BYTES_MAX
    assert ARRAY_LOG_BYTES_MAX + elements * 9 < ArrayLog.size_max


def test_the_largest_outcome_encodes() -> None:
    each = ElementOutcome(status=str(Status.DIVISION_BY_ZERO), exit_code=-(1 << 31), output=bytes(16 << 10))
    whole = ArrayOutcome(outcomes=(each,) * ELEMENTS_MAX)
    assert decode(encode(whole), ArrayOutcome) == whole


def test_inputs_are_as_many_as_the_job_says() -> None:
    packed = encode(ArrayInput(items=(b"a", b"")))
    assert element_inputs(core(elements=2), packed) == (b"a", b"")
    assert element_inputs(core(elements=1), packed) == (packed,)
    with pytest.raises(MalformedBytes, match="2 items") as caught:
        element_inputs(core(elements=3), packed)
    assert caught.value.field == "items"
    for bad in (packed + b"\0", b"", b"a", encode(ArrayLog(logs=(b"a", b"")))):
        with pytest.raises(MalformedBytes):
            element_inputs(core(elements=2), bad)


def test_more_items_than_elements_may_be_do_not_decode() -> None:
    with pytest.raises(MalformedBytes, match="4096"):
        decode(encode(ArrayInput(items=(b"",) * (ELEMENTS_MAX + 1))), ArrayInput)


def test_more_bytes_than_an_input_may_have_do_not_encode() -> None:
    with pytest.raises(MalformedBytes, match="size"):
        encode(ArrayInput(items=(bytes(33 * MIB),) * 2))


def test_an_array_that_failed_votes_for_nothing_and_is_still_told() -> None:
    ended = Execution(status=Status.WALL_CLOCK)
    output, log = plain_outcome(ended)
    assert decode(output, Output).status == "wall_clock"
    assert claim(ended, (bytes(32), bytes(32)), (output, log)).vote.status == "wall_clock"  # type: ignore[arg-type]
