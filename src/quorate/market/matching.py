"""Job -> Agreement: which standing offers fit, and the terms that follow (protocol message 3, design 4.5).

One round, no counter-offers. Every offer passes the rules in `RULES` in their order; the first that it fails removes it
and is what `explain` prints. Then come the rules for all of them together: one engine version (that of most operators),
the size of a roster, and the budget, from which the dearest offers fall out. What is left is the roster, sorted by
provider, each with its weight in the draw; rounds and reserves are what roster and budget allow (R7).

A re-run counts as two places: its claim may be re-executed by another operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from quorate.crypto.digests import digest, remembered_digest
from quorate.market.book import Listing
from quorate.market.pricing import places, price_at_most, term_ms_least
from quorate.model.agreement import Agreement, LedgerTrust, Roster, RosterEntry
from quorate.model.identity import Suite
from quorate.model.job import Job
from quorate.model.network import Genesis, Windows
from quorate.model.policy import Timeouts
from quorate.model.units import ROSTER_MAX, ROUNDS_MAX, Digest, JobId, MicroCredits, Millis, NodeId

OPENING_MARGIN_MS = 10_000
"""An offer must last this much longer than now, so that it still stands when the escrow opens."""
SETTLING_MARGIN_MS = 60_000
"""Room between the last clock and `settle_by_ms`, for clocks that differ and for the posting itself."""
SCORE_MAX = 10_000


class Request(NamedTuple):
    """What is to be matched. `audit_seed` is the node's secret for the re-run choice: only its digest goes into the
    agreement (R13)."""

    job: Job
    job_id: JobId
    genesis: Genesis
    network: Digest
    node: NodeId
    sequencer: NodeId
    audit_seed: Digest
    now_ms: Millis


class Standing(NamedTuple):
    """What is known of providers beside their offers: published reputation (of those whose offer stands on the
    ledger), load as seen from here in thousandths, and the suite of their keys."""

    reputation: Mapping[NodeId, int]
    load_per_mille: Mapping[NodeId, int]
    suites: Mapping[NodeId, Suite] = MappingProxyType({})


class Removal(NamedTuple):
    """An offer that was left out: by which rule, and why, as the rest of a sentence about its provider."""

    provider: NodeId
    rule: str
    sentence: str

    @property
    def line(self) -> str:
        """As it stands in a job's notes."""
        return f"rule {self.rule} removed {self.provider.hex()[:8]}: it {self.sentence}"


class Match(NamedTuple):
    agreement: Agreement
    roster: Roster
    removed: tuple[Removal, ...]


class NoMatch(NamedTuple):
    """No agreement is possible now. `error` is the name of an error class, `detail` one sentence with the numbers;
    `needed_micro` the budget that would do, where that is what is missing."""

    error: str
    detail: str
    removed: tuple[Removal, ...]
    needed_micro: MicroCredits = MicroCredits(0)


def match(request: Request, listings: Sequence[Listing], standing: Standing) -> Match | NoMatch:
    """The terms on which this job can run now, or why it cannot."""
    fitting: list[Listing] = []
    removed: list[Removal] = []
    for listing in sorted(listings, key=_provider):
        removal = _removal(request, listing, standing)
        if removal:
            removed.append(removal)
        else:
            fitting.append(listing)
    fitting, others = _one_engine(fitting)
    removed += others
    fitting, others = _largest_roster(fitting, standing)
    removed += others
    if operators(fitting) < places(request.job.core.proof):
        return NoMatch("CohortTooLarge", _too_few(request, operators(fitting)), tuple(removed))
    found = _within_budget(request, fitting)
    removed += found.removed
    if found.terms is None:
        return NoMatch("UnaffordableJob", found.detail, tuple(removed), found.needed_micro)
    roster = Roster(network=request.network, entries=tuple(_entry(item, standing) for item in found.roster))
    return Match(_agreement(request, found.roster, roster, found.terms), roster, tuple(removed))


def weight(reputation: int, load_per_mille: int) -> int:
    """The published score of the draw: reputation (0 to 10,000) scaled by free capacity, never below 1."""
    free = 1000 - min(max(load_per_mille, 0), 1000)
    return max(1, min(reputation, SCORE_MAX) * free // 1000)


def operators(listings: Sequence[Listing]) -> int:
    """How many independent operators: one cohort takes one node of each."""
    return len({listing.offer.operator for listing in listings})


def term_ms(timeouts: Timeouts, rounds: int, windows: Windows) -> Millis:
    """How long after the escrow opens an agreement asks to be settled: what the ledger demands, and room to spare."""
    return Millis(term_ms_least(timeouts, rounds, windows) + windows.cancel_ms + SETTLING_MARGIN_MS)


# Rules for one offer: each answers why it is left out, or nothing.


def _expired(request: Request, listing: Listing, standing: Standing) -> str:
    left = listing.offer.expires_ms - request.now_ms
    return f"offers this for {max(left, 0)} ms only" if left <= OPENING_MARGIN_MS else ""


def _network(request: Request, listing: Listing, standing: Standing) -> str:
    return "offers this to another network" if listing.offer.network != request.network else ""


def _capability(request: Request, listing: Listing, standing: Standing) -> str:
    return listing.offer.unfit_for(request.job.core.program)


def _size(request: Request, listing: Listing, standing: Standing) -> str:
    limits, offer = request.job.core.limits, listing.offer
    if limits.memory_bytes > offer.memory_bytes_max:
        return f"offers {offer.memory_bytes_max} bytes of memory, the job may use {limits.memory_bytes}"
    return f"offers {offer.fuel_max} fuel, the job may use {limits.fuel}" if limits.fuel > offer.fuel_max else ""


def _resources(request: Request, listing: Listing, standing: Standing) -> str:
    lacking = listing.offer.lacks(request.job.core.resources)
    return f"has {lacking}" if lacking else ""


def _region(request: Request, listing: Listing, standing: Standing) -> str:
    wanted, region = request.job.core.regions, listing.offer.region
    return f"is in {region}, the job allows {', '.join(wanted)}" if wanted and region not in wanted else ""


def _privacy(request: Request, listing: Listing, standing: Standing) -> str:
    lacking = [tier for tier in request.job.core.privacy if f"privacy:{tier}" not in listing.offer.capabilities]
    if lacking:
        return f"does not offer privacy tier {', '.join(lacking)}"
    return "has no key to seal a private input to" if request.job.private and not listing.offer.seal_key else ""


def _jail(request: Request, listing: Listing, standing: Standing) -> str:
    held = set(listing.offer.isolation)
    lacking = [layer for layer in request.job.core.policy.jail_layers_min if layer not in held]
    return f"lacks jail layers {', '.join(lacking)}" if lacking else ""


def _simulated(request: Request, listing: Listing, standing: Standing) -> str:
    refused = sorted(set(listing.offer.simulated) - set(request.job.core.policy.allow))
    return f"has simulated parts that the job does not allow by name: {', '.join(refused)}" if refused else ""


def _suite(request: Request, listing: Listing, standing: Standing) -> str:
    """The ledger lets only suites of the network stand, so the provider's own matters where some are classical."""
    accepted = request.genesis.suites
    suite = standing.suites.get(listing.offer.provider)
    if suite is not None and suite not in accepted:
        return f"signs with {suite}, the network accepts {', '.join(accepted)}"
    if not request.job.core.policy.require_post_quantum or all(name in POST_QUANTUM for name in accepted):
        return ""
    if suite is None:
        return "has not shown its keys yet, the job demands post-quantum signatures"
    return "" if suite.post_quantum else f"signs with {suite}, the job demands post-quantum signatures"


def _standing(request: Request, listing: Listing, standing: Standing) -> str:
    return "" if listing.offer.provider in standing.reputation else "has no standing offer on the ledger"


def _reputation(request: Request, listing: Listing, standing: Standing) -> str:
    gate = max(request.genesis.reputation_gate, request.job.core.policy.reputation_min)
    score = standing.reputation[listing.offer.provider]
    return f"has reputation {score}, the gate is {gate}" if score < gate else ""


def _party(request: Request, listing: Listing, standing: Standing) -> str:
    parties = {
        request.job.core.requester: "the requester",
        request.node: "the requester's node",
        request.sequencer: "the sequencer",
    }
    role = parties.get(listing.offer.provider)
    return f"is {role}" if role else ""


POST_QUANTUM = frozenset(str(suite) for suite in Suite if suite.post_quantum)
Rule = Callable[[Request, Listing, Standing], str]
RULES: tuple[tuple[str, Rule], ...] = (
    ("expired", _expired),
    ("network", _network),
    ("capability", _capability),
    ("size", _size),
    ("resources", _resources),
    ("region", _region),
    ("privacy", _privacy),
    ("jail", _jail),
    ("simulated", _simulated),
    ("suite", _suite),
    ("standing", _standing),
    ("reputation", _reputation),
    ("party", _party),
)


def _removal(request: Request, listing: Listing, standing: Standing) -> Removal | None:
    for name, rule in RULES:
        why = rule(request, listing, standing)
        if why:
            return Removal(listing.offer.provider, name, why)
    return None


# Rules for all offers together


def _provider(listing: Listing) -> NodeId:
    return listing.offer.provider


def _one_engine(listings: Sequence[Listing]) -> tuple[list[Listing], list[Removal]]:
    """Fuel prices differ between engine versions, so that claims of two cannot agree: that of most operators, of two
    equal ones the lesser name."""
    backing: dict[str, list[Listing]] = {}
    for listing in listings:
        backing.setdefault(listing.offer.engine, []).append(listing)
    if not backing:
        return [], []
    chosen = min(backing, key=lambda engine: (-operators(backing[engine]), engine))
    others = [
        Removal(_provider(item), "engine", f"runs {item.offer.engine}, this cohort {chosen}")
        for item in listings
        if item.offer.engine != chosen
    ]
    return backing[chosen], others


def _largest_roster(listings: Sequence[Listing], standing: Standing) -> tuple[list[Listing], list[Removal]]:
    ranked = sorted(listings, key=lambda item: (-_weight(item, standing), _provider(item)))
    others = [
        Removal(_provider(item), "roster", f"is not among the {ROSTER_MAX} of greatest weight")
        for item in ranked[ROSTER_MAX:]
    ]
    return sorted(ranked[:ROSTER_MAX], key=_provider), others


def _weight(listing: Listing, standing: Standing) -> int:
    provider = listing.offer.provider
    return weight(standing.reputation[provider], standing.load_per_mille.get(provider, 0))


def _too_few(request: Request, found: int) -> str:
    proof, width = request.job.core.proof, places(request.job.core.proof)
    what = "a re-run needs 2" if proof.method == "rerun" else f"{width} replicas need {width}"
    return f"{what} independent operators, {found} offer this"


class _WorstCase(NamedTuple):
    """What a roster may cost: per place, per attempt, and in all over `rounds`; equal to `pricing.spend_at_most`."""

    price_micro: int
    attempt_micro: int
    rounds: int
    total_micro: int


class _Affordable(NamedTuple):
    """The roster within the budget and its terms; without terms, what would have been needed."""

    roster: list[Listing]
    terms: _WorstCase | None
    removed: list[Removal]
    detail: str = ""
    needed_micro: MicroCredits = MicroCredits(0)


def _cost(request: Request, listing: Listing) -> int:
    return price_at_most(listing.offer.prices, request.job.core.fuel_most)


def _worst_case(request: Request, roster: Sequence[Listing], rounds: int) -> _WorstCase:
    width = places(request.job.core.proof)
    price = max(_cost(request, item) for item in roster)
    attempt = max(item.offer.prices.attempt_micro for item in roster)
    return _WorstCase(price, attempt, rounds, width * price + width * rounds * attempt)


def _payable(request: Request, roster: Sequence[Listing]) -> _WorstCase | None:
    """With as many rounds as roster and budget allow."""
    allowed = min(ROUNDS_MAX, operators(roster) // places(request.job.core.proof))
    offered = (_worst_case(request, roster, rounds) for rounds in range(allowed, 0, -1))
    return next((terms for terms in offered if terms.total_micro <= request.job.core.budget_micro), None)


def _within_budget(request: Request, fitting: Sequence[Listing]) -> _Affordable:
    """Leaves out the dearest offer until the worst case of one round fits the budget."""
    budget, width = request.job.core.budget_micro, places(request.job.core.proof)
    roster = list(fitting)
    gone: list[Removal] = []
    while (terms := _payable(request, roster)) is None:
        dearest = max(
            roster, key=lambda item: (_cost(request, item) + item.offer.prices.attempt_micro, _provider(item))
        )
        rest = [item for item in roster if item is not dearest]
        if operators(rest) < width:
            needed = _worst_case(request, roster, 1).total_micro
            detail = f"{width} place(s) may cost {needed} micro-credits, the budget is {budget}"
            return _Affordable(roster, None, gone, detail, MicroCredits(needed))
        price = f"{_cost(request, dearest)} and {dearest.offer.prices.attempt_micro} per attempt"
        why = f"may cost {price}, too dear for {width} place(s) and a budget of {budget}"
        gone.append(Removal(_provider(dearest), "price", why))
        roster = rest
    return _Affordable(roster, terms, gone)


def _entry(listing: Listing, standing: Standing) -> RosterEntry:
    offer = listing.offer
    return RosterEntry(
        offer=listing.digest, provider=offer.provider, operator=offer.operator, weight=_weight(listing, standing)
    )


def _agreement(request: Request, listings: Sequence[Listing], roster: Roster, terms: _WorstCase) -> Agreement:
    core, genesis = request.job.core, request.genesis
    width, term = places(core.proof), term_ms(core.timeouts, terms.rounds, genesis.windows)
    return Agreement(
        network=request.network,
        job=request.job_id,
        requester=core.requester,
        node=request.node,
        roster=remembered_digest(roster),
        proof=core.proof,
        rounds=terms.rounds,
        reserves=min(width, operators(listings) - terms.rounds * width),
        timeouts=core.timeouts,
        price_max_micro=MicroCredits(terms.price_micro),
        attempt_max_micro=MicroCredits(terms.attempt_micro),
        bond_micro=genesis.bond_micro,
        engine=listings[0].offer.engine,
        ledger_trust=LedgerTrust(kind="sequencer", sequencer=request.sequencer),
        audit_commitment=digest("audit-seed", request.audit_seed),
        settle_by_ms=Millis(request.now_ms + core.timeouts.match_ms + term),
    )
