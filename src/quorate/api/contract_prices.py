"""What cycles cost in micro-credits: the metered rule of jobs, with a cycle for a unit of fuel, under any number of
tariffs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.market.pricing import price
from quorate.model.offer import Prices
from quorate.model.units import MicroCredits
from quorate.privacy.tier import FUEL_BUCKET_MIN, bucket


class Tariff(NamedTuple):
    """What one provider asks. `provider` is what the column is called."""

    provider: str
    prices: Prices


def tariff(provider: str, base_micro: int, per_mega_cycle_micro: int) -> Tariff:
    """`base_micro` for each run, `per_mega_cycle_micro` for each 10^6 cycles begun."""
    return Tariff(provider, Prices(MicroCredits(base_micro), MicroCredits(per_mega_cycle_micro), MicroCredits(0)))


def prices_of(cycles: int | None, limit: int, tariffs: Sequence[Tariff]) -> list[int | None]:
    """What a run of so many cycles costs under each: in buckets, as it is billed, and never more than the price of its
    limit. None for a run that cannot be."""
    return [None if cycles is None else _price(one.prices, cycles, limit) for one in tariffs]


def _price(prices: Prices, cycles: int, limit: int) -> int:
    return min(price(prices, bucket(cycles, FUEL_BUCKET_MIN)), price(prices, limit))
