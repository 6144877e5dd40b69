"""The metered price rule, to the unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.market.pricing import attempt_pay, member_pay, places, price, price_at_most
from quorate.model.offer import Prices
from quorate.model.policy import Proof

PRICES = Prices(base_micro=7, per_mega_fuel_micro=3, attempt_micro=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(("fuel", "expected"), [(0, 7), (1, 10), (10**6, 10), (10**6 + 1, 13), (10**9, 3_007)])
def test_every_million_begun_counts(fuel: int, expected: int) -> None:
    assert price(PRICES, fuel) == expected


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_no_run_costs_more_than_its_limit(used: int, limit: int) -> None:
    if used <= limit:
        assert price(PRICES, used) <= price_at_most(PRICES, limit)


def test_caps_hold() -> None:
    assert member_pay(PRICES, 10**9, 100) == 100
    assert member_pay(PRICES, 0, 100) == 7
    assert (attempt_pay(PRICES, 1), attempt_pay(PRICES, 9)) == (1, 2)


def test_a_rerun_has_two_places() -> None:
    assert places(Proof(method="rerun", replicas=1, threshold=0, one_in=10)) == 2
    assert places(Proof(method="trust", replicas=1, threshold=0, one_in=1)) == 1
    assert places(Proof(method="quorum", replicas=5, threshold=0, one_in=1)) == 5
