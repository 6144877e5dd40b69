"""What a job would cost, who would see what, and how it could go wrong, before anything is spent (design 4.2, 4.4).

The quote is made from the same match that the job would get now, so its numbers are those of the actual roster. Both
dials are shown whole: what is not built says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

import msgspec

from quorate.cohort.selection import operators
from quorate.jobs.trust import CLASSICAL_COMMITMENTS, OPERATORS, TLS, dispute, machine, rerun_shows, who_sees
from quorate.market.matching import Match, NoMatch
from quorate.market.pricing import escrow_micro, places, price, price_at_most, spend_at_most
from quorate.model.job import Job, JobCore
from quorate.model.offer import Offer
from quorate.model.policy import Proof
from quorate.model.units import NodeId
from quorate.verify.quorum import Odds, odds
from quorate.verify.verdicts import needed

PARTS = 10**9
OTHERS_SEE_PRIVATE = "Network, ledger and the requester's node see ciphertext, commitments, sizes and timing."
PROGRAM_SEEN = "Program and arguments are not sealed: the requester's node and everyone who is asked may read them."


class OfferLine(msgspec.Struct, frozen=True):
    """One offer of the roster: its tariff (for a run, and for each 10^6 of fuel begun), the least and the most that one
    run costs there, and its fee for an attempt."""

    provider: str
    operator: str
    device_class: str
    region: str
    base_micro: int
    per_mega_fuel_micro: int
    least_micro: int
    most_micro: int
    attempt_micro: int
    simulated: tuple[str, ...]


class Risk(msgspec.Struct, frozen=True):
    """The odds on this roster, in parts per 10^9, if that many of its operators collude and weights are equal."""

    operators: int
    colluders: int
    colluders_per_mille: int
    wrong_ppb: int
    stall_ppb: int
    sentence: str


class Setting(msgspec.Struct, frozen=True):
    """One position of a dial. `state` is `chosen`, `available` or `not built`."""

    name: str
    state: str
    meaning: str


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is empty when the job could be matched now; otherwise amounts and odds are missing and `needed_micro` may
    say what budget would do."""

    error: str
    detail: str
    needed_micro: int
    least_micro: int
    most_micro: int
    attempts_micro: int
    bond_micro: int
    escrow_micro: int
    budget_micro: int
    replicas: int
    elements: int
    needed: int
    rounds: int
    reserves: int
    engine: str
    offers: tuple[OfferLine, ...]
    who_sees: tuple[str, ...]
    risk: Risk | None
    privacy: tuple[Setting, ...]
    proof: tuple[Setting, ...]
    sentences: tuple[str, ...]
    removed: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def quote(
    job: Job, found: Match | NoMatch, offers: Mapping[NodeId, Offer], colluders_per_mille: int
) -> dict[str, object]:
    """`quoted` as plain data, for the doors."""
    return quoted(job, found, offers, colluders_per_mille).to_dict()


def quoted(job: Job, found: Match | NoMatch, offers: Mapping[NodeId, Offer], colluders_per_mille: int) -> Quote:
    """The quote for `job` as matched; `offers` by provider, at least those of the roster. `colluders_per_mille` is the
    share of operators to reckon with."""
    core = job.core
    common: dict[str, Any] = {
        "budget_micro": core.budget_micro,
        "replicas": core.proof.replicas,
        "elements": core.elements,
        "needed": needed(core.proof, core.proof.replicas),
        "who_sees": _who_sees(core),
        "privacy": privacy_dial(core),
        "proof": proof_dial(core.proof),
        "sentences": tuple(line for line in _sentences(core) if line),
        "removed": tuple(removal.line for removal in found.removed),
    }
    if isinstance(found, NoMatch):
        return _unmatched(found, common)
    terms, listed = found.agreement, [offers[entry.provider] for entry in found.roster.entries]
    least, most = _prices(core, listed)
    spend = spend_at_most(terms)
    return Quote(
        error="",
        detail="",
        needed_micro=0,
        least_micro=least,
        most_micro=min(most, places(terms.proof) * terms.price_max_micro),
        attempts_micro=spend - places(terms.proof) * terms.price_max_micro,
        bond_micro=terms.bond_micro,
        escrow_micro=escrow_micro(terms),
        rounds=terms.rounds,
        reserves=terms.reserves,
        engine=terms.engine,
        offers=tuple(_line(core, offer) for offer in listed),
        risk=_risk(terms.proof, operators(found.roster), colluders_per_mille, terms.rounds),
        **common,
    )


def _unmatched(found: NoMatch, common: Mapping[str, Any]) -> Quote:
    names = ("least_micro", "most_micro", "attempts_micro", "bond_micro", "escrow_micro", "rounds", "reserves")
    amounts: dict[str, Any] = dict.fromkeys(names, 0)
    return Quote(
        error=found.error,
        detail=found.detail,
        needed_micro=found.needed_micro,
        engine="",
        offers=(),
        risk=None,
        **amounts,
        **common,
    )


def _line(core: JobCore, offer: Offer) -> OfferLine:
    return OfferLine(
        provider=offer.provider.hex(),
        operator=offer.operator,
        device_class=offer.device_class,
        region=offer.region,
        base_micro=offer.prices.base_micro,
        per_mega_fuel_micro=offer.prices.per_mega_fuel_micro,
        least_micro=price(offer.prices, core.fuel_least),
        most_micro=price_at_most(offer.prices, core.fuel_most),
        attempt_micro=offer.prices.attempt_micro,
        simulated=offer.simulated,
    )


def _prices(core: JobCore, offers: Sequence[Offer]) -> tuple[int, int]:
    """What an accepted result costs: at least as many of the cheapest as must agree, at most all places of the
    dearest."""
    least = sorted(price(offer.prices, core.fuel_least) for offer in offers)
    most = sorted(price_at_most(offer.prices, core.fuel_most) for offer in offers)
    return sum(least[: needed(core.proof, core.proof.replicas)]), sum(most[-places(core.proof) :])


# Odds
# ----------------------------------------------------------------------------------------------------------------------


def odds_of(proof: Proof, pool: int, colluders: int, rounds: int) -> Odds:
    """Of a wrong result accepted, and of a job without a result, when colluders vote together; by method.

    trust: the one executor colludes. rerun: it does and is not re-executed, or it is, by another colluder; an audited
    pair that disagrees is followed by rounds of two. quorum: `verify.quorum.odds`.
    """
    if proof.method == "quorum":
        return odds(pool, colluders, proof.replicas, needed(proof, proof.replicas), rounds)
    alone = Fraction(colluders, pool) * PARTS
    if proof.method == "trust":
        return Odds(ceil(alone), 0)
    pair = odds(pool, colluders, 2, 2, rounds)
    wrong = (alone * (proof.one_in - 1) + pair.wrong_ppb) / proof.one_in
    return Odds(ceil(wrong), ceil(Fraction(pair.stall_ppb, proof.one_in)))


def _risk(proof: Proof, pool: int, colluders_per_mille: int, rounds: int) -> Risk:
    colluders = min(pool, -(-pool * colluders_per_mille // 1000))
    found = odds_of(proof, pool, colluders, rounds)
    sentence = (
        f"If {colluders} of the {pool} operators here collude: a wrong result is accepted in {found.wrong_ppb} of 10^9 "
        f"jobs, no result is reached in {found.stall_ppb} of 10^9; weights of the draw are taken as equal."
    )
    return Risk(pool, colluders, colluders_per_mille, found.wrong_ppb, found.stall_ppb, sentence)


# Words
# ----------------------------------------------------------------------------------------------------------------------


def _who_sees(core: JobCore) -> tuple[str, ...]:
    private = core.privacy_level == "private"
    return (who_sees(core), *([OTHERS_SEE_PRIVATE] if private else []), PROGRAM_SEEN)


def _sentences(core: JobCore) -> tuple[str, ...]:
    classical = CLASSICAL_COMMITMENTS if core.privacy_level == "private" else ""
    return dispute(core), rerun_shows(core), machine(core), OPERATORS, TLS, classical


def privacy_dial(core: JobCore) -> tuple[Setting, ...]:
    """Every position of the privacy dial; the tiers that are not built here are refused at admission."""
    level = core.privacy_level
    return (
        Setting("none", _state(level == "public"), "provider sees input and output"),
        Setting("sealed", _state(level == "private"), "the selected executors see input and output, nobody else does"),
        Setting("split", "not built", "the provider would see activations of a part of a model"),
        Setting("shares", "not built", "no single provider would see the data"),
        Setting("enclave", "not built", "the data would be open inside attested hardware only"),
    )


def proof_dial(proof: Proof) -> tuple[Setting, ...]:
    """Every position of the proof dial."""
    method, width = proof.method, proof.replicas
    rule = f"{needed(proof, width)} of {width} equal claims" if method == "quorum" else "7 in 10 equal claims"
    one_in = f"1 in {proof.one_in}" if method == "rerun" else "1 in N"
    return (
        Setting("trust", _state(method == "trust"), "one signed result: catches nothing by itself"),
        Setting("spot", "not built", "known-answer jobs mixed in: statistical"),
        Setting("rerun", _state(method == "rerun"), f"{one_in} re-executed by another provider: statistical"),
        Setting("quorum", _state(method == "quorum"), f"{rule}, committed before revealed"),
        Setting("stark", "not built", "a succinct proof of the run"),
        Setting("attestation", "not built", "a vendor's report binds code and nonce"),
    )


def _state(chosen: bool) -> str:
    return "chosen" if chosen else "available"
