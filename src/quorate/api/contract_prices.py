"""What cycles cost in micro-credits: the metered rule of jobs, with a cycle for a unit of fuel, under any number of
tariffs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.market.pricing import price
from quorate.model.offer import Prices
from quorate.model.units import MicroCredits


class Tariff(NamedTuple):
    """What one provider asks. `provider` is what the column is called."""

    provider: str
    prices: Prices


def tariff(provider: str, base_micro: int, per_mega_cycle_micro: int) -> Tariff:
    """`base_micro` for each run, `per_mega_cycle_micro` for each 10^6 cycles begun."""
    return Tariff(provider, Prices(MicroCredits(base_micro), MicroCredits(per_mega_cycle_micro), MicroCredits(0)))


def prices_of(cycles: int | None, tariffs: Sequence[Tariff]) -> list[int | None]:
    """What a run of so many cycles costs under each; None for a run that cannot be."""
    return [None if cycles is None else price(one.prices, cycles) for one in tariffs]
