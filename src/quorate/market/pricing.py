"""The metered price rule, and what an agreement costs at most: integers in micro-credits, the same for quote, ledger
and receipt.

A run costs `base` and `per_mega_fuel` for each 10^6 fuel begun; all elements of an array are one run, with their fuel
added up. A member that agreed is paid by its own offer, never
above the agreement's `price_max_micro`; a valid opening in a round without a quorum earns the offer's attempt fee,
never above `attempt_max_micro` (protocol R6). The escrow holds the worst case, so that nobody who is owed anything
finds it empty.
"""

from __future__ import annotations

from quorate.model.agreement import Agreement
from quorate.model.network import Windows
from quorate.model.offer import Prices
from quorate.model.policy import Proof, Timeouts
from quorate.model.units import Fuel, MicroCredits, Millis

MEGA_FUEL = 10**6
RERUN_PLACES = 2


def price(prices: Prices, fuel_bucket: int) -> MicroCredits:
    """What a run that used `fuel_bucket` costs: every 10^6 fuel begun counts."""
    return MicroCredits(prices.base_micro + prices.per_mega_fuel_micro * -(-fuel_bucket // MEGA_FUEL))


def price_at_most(prices: Prices, fuel_limit: int) -> MicroCredits:
    """What a run limited to `fuel_limit` can cost."""
    return price(prices, Fuel(fuel_limit))


def member_pay(prices: Prices, fuel_bucket: int, price_max_micro: int) -> MicroCredits:
    """What one agreeing member is paid."""
    return MicroCredits(min(price(prices, fuel_bucket), price_max_micro))


def attempt_pay(prices: Prices, attempt_max_micro: int) -> MicroCredits:
    """What one valid opening earns in a round without a quorum."""
    return MicroCredits(min(prices.attempt_micro, attempt_max_micro))


def places(proof: Proof) -> int:
    """Most members of one round that can be owed something: K, and two for a re-run, whose claim may be re-executed."""
    return RERUN_PLACES if proof.method == "rerun" else proof.replicas


def spend_at_most(terms: Agreement) -> MicroCredits:
    """What the requester can be made to pay: every place at its price, and the attempt fees of all rounds. A budget
    must cover it."""
    width = places(terms.proof)
    return MicroCredits(width * terms.price_max_micro + width * terms.rounds * terms.attempt_max_micro)


def escrow_micro(terms: Agreement) -> MicroCredits:
    """What the ledger takes from the requester's balance: `spend_at_most` and the requester's own bond, which comes
    back."""
    return MicroCredits(spend_at_most(terms) + terms.bond_micro)


def term_ms_least(timeouts: Timeouts, rounds: int, windows: Windows) -> Millis:
    """How long an escrow stays open at least, so that no member can be run out of time: every clock of every round,
    then the windows of a forced one. `settle_by_ms` of an agreement lies at least so far behind the block that opens
    its escrow."""
    clocks = timeouts.transfer_ms + timeouts.run_ms + timeouts.verify_ms
    return Millis(rounds * clocks + windows.commit_ms + windows.reveal_ms)
