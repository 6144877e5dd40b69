"""Matching: each rule removes whom it is about and nobody else; the roster and terms that are left are what the ledger
accepts (S-D26, S-D27, S-D32)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.job_town import POLICY, PRICES, TRUST, Town, quorum, rerun

from quorate.cohort import selection
from quorate.crypto.digests import digest, value_digest
from quorate.market import matching
from quorate.market.book import Listing
from quorate.market.matching import RULES, Match, NoMatch, Standing, match, weight
from quorate.market.pricing import spend_at_most
from quorate.model.agreement import Roster, RosterEntry
from quorate.model.identity import Suite
from quorate.model.offer import Prices
from quorate.model.policy import Proof
from quorate.model.transaction import OpenEscrow

replace = msgspec.structs.replace


@pytest.fixture
def town() -> Town:
    return Town(providers=4, gate=200)


def found(town: Town, proof: Proof, first: dict[str, Any] | None = None, **core: Any) -> Match | NoMatch:
    """The match when the first provider's offer is changed."""
    listings = [*town.listings()]
    changed = replace(listings[0].offer, **(first or {}))
    listings[0] = Listing(value_digest(changed), changed, listings[0].signed)
    return match(town.request(town.job(proof, **core).job), listings, town.standing())


def removed(result: Match | NoMatch) -> list[str]:
    return [item.rule for item in result.removed]


BY_OFFER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("expired", {"expires_ms": 1}, {}),
    ("network", {"network": b"\1" * 32}, {}),
    ("capability", {"capabilities": ("wasm:pure", "tier:full")}, {}),
    ("size", {"memory_bytes_max": 1}, {}),
    ("size", {"fuel_max": 1}, {}),
    ("region", {"region": "far"}, {"regions": ("local",)}),
    ("jail", {"isolation": ("rlimits",)}, {"policy": replace(POLICY, jail_layers_min=("seccomp",))}),
    ("simulated", {"simulated": ("sim-enclave",)}, {}),
    ("simulated", {"simulated": ("sim-a", "sim-b")}, {"policy": replace(POLICY, allow=("sim-a",))}),
    ("engine", {"engine": "wasmtime 51"}, {}),
]


@pytest.mark.parametrize(("rule", "offer", "core"), BY_OFFER, ids=[f"{row[0]}-{n}" for n, row in enumerate(BY_OFFER)])
def test_a_rule_removes_the_one_it_is_about(town: Town, rule: str, offer: dict[str, Any], core: dict[str, Any]) -> None:
    result = found(town, quorum(3), offer, **core)
    assert isinstance(result, Match)
    assert removed(result) == [rule]
    first = town.listings()[0].offer.provider
    assert result.removed[0].provider == first
    assert first not in {entry.provider for entry in result.roster.entries}
    assert result.removed[0].sentence
    assert removed(found(town, quorum(3))) == []


def test_tiers_are_asked_for_by_name(town: Town) -> None:
    program = replace(town.job(TRUST).job.core.program, wasm_tier="full")
    lacking = {"capabilities": ("wasm:command", "tier:light")}
    assert removed(found(town, quorum(3), lacking, program=program)) == ["capability"]
    assert removed(found(town, quorum(3), lacking)) == []


def test_a_privacy_tier_that_nobody_offers_removes_everyone(town: Town) -> None:
    result = found(town, quorum(3), privacy=("enclave",))
    assert isinstance(result, NoMatch)
    assert removed(result) == ["privacy"] * 4


def test_a_private_job_needs_a_key_to_seal_to(town: Town) -> None:
    job = town.job(quorum(3), private=True).job
    listings = [*town.listings()]
    bare = replace(listings[0].offer, seal_key=b"")
    listings[0] = Listing(value_digest(bare), bare, listings[0].signed)
    assert removed(match(town.request(job), listings, town.standing())) == ["privacy"]


def test_an_offer_that_does_not_stand_on_the_ledger_is_left_out(town: Town) -> None:
    standing = town.standing()
    gone = town.listings()[0].offer.provider
    fewer = standing._replace(reputation={key: score for key, score in standing.reputation.items() if key != gone})
    result = match(town.request(town.job(quorum(3)).job), town.listings(), fewer)
    assert removed(result) == ["standing"]


@pytest.mark.parametrize(("score", "fits"), [(200, True), (199, False), (0, False)])
def test_the_reputation_gate_at_its_edge(town: Town, score: int, fits: bool) -> None:
    """S-D32: the gate of 200 in 10,000."""
    standing = town.standing()
    first = town.listings()[0].offer.provider
    result = match(
        town.request(town.job(quorum(3)).job),
        town.listings(),
        standing._replace(reputation={**standing.reputation, first: score}),
    )
    assert removed(result) == ([] if fits else ["reputation"])


def test_a_job_may_ask_for_more_reputation_than_the_network(town: Town) -> None:
    high = replace(POLICY, reputation_min=5_001)
    assert removed(found(town, quorum(3), policy=high)) == ["reputation"] * 4
    low = replace(POLICY, reputation_min=5_000)
    assert removed(found(town, quorum(3), policy=low)) == []


def test_suites(town: Town) -> None:
    listings, request = town.listings(), town.request(town.job(quorum(3)).job)
    first = listings[0].offer.provider
    other = town.standing(suites={first: Suite.ML_DSA_44})
    assert removed(match(request, listings, other)) == ["suite"]
    strict = replace(POLICY, require_post_quantum=True)
    asked = town.request(town.job(quorum(3), policy=strict).job)
    assert removed(match(asked, listings, town.standing())) == ["suite"] * 4
    unknown = match(asked, listings, town.standing(suites={}))
    assert removed(unknown) == ["suite"] * 4
    assert "not shown its keys" in unknown.removed[0].sentence


def test_a_post_quantum_network_needs_no_look_at_each_key() -> None:
    town = Town(providers=3, suite=Suite.ML_DSA_44)
    asked = town.request(town.job(quorum(3), policy=replace(POLICY, require_post_quantum=True)).job)
    assert isinstance(match(asked, town.listings(), town.standing(suites={})), Match)


@pytest.mark.parametrize("party", ["requester", "node", "sequencer"])
def test_a_party_of_the_job_is_never_drawn(town: Town, party: str) -> None:
    first = town.providers[0].node_id
    request = town.request(town.job(quorum(3)).job)
    if party == "requester":
        core = replace(request.job.core, requester=first)
        request = request._replace(job=replace(request.job, core=core))
    else:
        request = request._replace(**{party: first})
    assert removed(match(request, town.listings(), town.standing())) == ["party"]


def test_the_first_rule_that_fails_is_the_one_that_is_named(town: Town) -> None:
    result = found(town, quorum(3), {"expires_ms": 1, "region": "far", "simulated": ("sim-x",)}, regions=("local",))
    assert removed(result) == ["expired"]
    assert [name for name, _ in RULES][:3] == ["expired", "network", "capability"]


def test_the_engine_of_most_operators_is_chosen(town: Town) -> None:
    for who in town.providers[:2]:
        town.stand(who, engine="wasmtime 51", operator="one operator", issued_ms=town.now + 1)
    result = match(town.request(town.job(TRUST).job), town.listings(), town.standing())
    assert isinstance(result, Match)
    assert result.agreement.engine == "wasmtime 50"
    assert removed(result) == ["engine", "engine"]


@pytest.mark.parametrize("k", [1, 3, 5, 7])
def test_k_members_for_k_of_one_three_five_and_seven(k: int) -> None:
    """S-D27."""
    town = Town(providers=7)
    state = town.run(town.job(quorum(k)))
    assert len(state.verdict.rounds[0].agreed) == k


def test_k_above_the_fleet_is_a_typed_refusal_with_the_numbers(town: Town) -> None:
    result = found(town, quorum(5))
    assert isinstance(result, NoMatch)
    assert result.error == "CohortTooLarge"
    assert "5 replicas need 5 independent operators, 4 offer this" in result.detail


def test_two_nodes_of_one_operator_count_once(town: Town) -> None:
    for who in town.providers[:2]:
        town.stand(who, operator="one operator", issued_ms=town.now + 1)
    result = match(town.request(town.job(quorum(4)).job), town.listings(), town.standing())
    assert isinstance(result, NoMatch)
    assert "3 offer this" in result.detail
    assert isinstance(match(town.request(town.job(quorum(3)).job), town.listings(), town.standing()), Match)


def test_a_re_run_needs_two_operators() -> None:
    town = Town(providers=1)
    result = match(town.request(town.job(rerun(10)).job), town.listings(), town.standing())
    assert isinstance(result, NoMatch)
    assert result.detail.startswith("a re-run needs 2")
    assert isinstance(match(town.request(town.job(TRUST).job), town.listings(), town.standing()), Match)


def test_nobody_at_all(town: Town) -> None:
    result = match(town.request(town.job(TRUST).job), (), Standing({}, {}))
    assert isinstance(result, NoMatch)
    assert result.removed == ()


# Money


def test_the_dearest_offers_leave_first(town: Town) -> None:
    dear = Prices(base_micro=10_000, per_mega_fuel_micro=10, attempt_micro=20)
    result = found(town, quorum(3), {"prices": dear}, budget_micro=5_000)
    assert isinstance(result, Match)
    assert removed(result) == ["price"]
    assert result.agreement.price_max_micro == 200
    assert result.agreement.rounds == 1


@pytest.mark.parametrize("proof", [TRUST, rerun(4), quorum(3)])
def test_the_needed_sum_is_enough_and_one_less_is_not(town: Town, proof: Proof) -> None:
    short = found(town, proof, budget_micro=0)
    assert isinstance(short, NoMatch)
    assert short.error == "UnaffordableJob"
    assert str(short.needed_micro) in short.detail
    enough = found(town, proof, budget_micro=short.needed_micro)
    assert isinstance(enough, Match)
    assert spend_at_most(enough.agreement) <= short.needed_micro
    assert isinstance(found(town, proof, budget_micro=short.needed_micro - 1), NoMatch)


def test_a_small_budget_buys_fewer_rounds_before_it_costs_members() -> None:
    town = Town(providers=9)
    one = 3 * 200
    for budget, rounds in ((one + 3 * 20 * 3, 3), (one + 3 * 20 * 3 - 1, 2), (one + 3 * 20, 1)):
        result = match(town.request(town.job(quorum(3), budget_micro=budget).job), town.listings(), town.standing())
        assert isinstance(result, Match)
        assert (result.agreement.rounds, len(result.roster.entries)) == (rounds, 9)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50)), min_size=3, max_size=8), st.integers(0, 9_000))
def test_the_worst_case_never_exceeds_the_budget(tariffs: list[tuple[int, int]], budget: int) -> None:
    town = TEN
    listings = []
    for listing, (base, attempt) in zip(town.listings(), tariffs, strict=False):
        prices = replace(PRICES, base_micro=base, attempt_micro=attempt)
        offer = replace(listing.offer, prices=prices)
        listings.append(Listing(value_digest(offer), offer, listing.signed))
    result = match(town.request(town.job(quorum(3), budget_micro=budget).job), listings, town.standing())
    if isinstance(result, Match):
        assert spend_at_most(result.agreement) <= budget
    else:
        assert result.needed_micro > budget


TEN = Town(providers=8)


# Terms


def test_the_terms_follow_the_roster_and_the_ledger_accepts_them(town: Town) -> None:
    job = town.job(quorum(3)).job
    request = town.request(job, seed=b"\x09" * 32)
    result = match(request, town.listings(), town.standing())
    assert isinstance(result, Match)
    terms, roster = result.agreement, result.roster
    assert [entry.provider for entry in roster.entries] == sorted(who.node_id for who in town.providers)
    assert terms.roster == value_digest(roster)
    assert terms.audit_commitment == digest("audit-seed", b"\x09" * 32)
    assert terms.bond_micro == town.genesis.bond_micro
    order = OpenEscrow(
        network=town.network,
        job=town.sign(town.requester, job)[0],
        agreement=town.sign(town.node, terms)[0],
        roster=roster,
    )
    reply, _ = town.post(town.node, order)
    assert reply.answer.status == "ok", reply.answer


@given(st.integers(1, 30), st.sampled_from([TRUST, rerun(3), quorum(2), quorum(3), quorum(7)]))
def test_rounds_and_reserves_are_those_of_the_draw(count: int, proof: Proof) -> None:
    """`cohort` and `market` are siblings and share no code: this holds their arithmetic equal."""
    entries = tuple(
        RosterEntry(offer=bytes(32), provider=n.to_bytes(32, "big"), operator=str(n), weight=1) for n in range(count)
    )
    roster = Roster(network=bytes(32), entries=entries)
    width = matching.places(proof)
    if count < width:
        return
    rounds = selection.rounds_allowed(roster, width)
    assert rounds == min(3, count // width)
    assert selection.reserves_for(roster, width, rounds) == min(width, count - rounds * width)


@pytest.mark.parametrize("proof", [TRUST, rerun(3), quorum(3)])
def test_the_agreement_has_the_rounds_and_reserves_of_the_draw(town: Town, proof: Proof) -> None:
    result = found(town, proof)
    assert isinstance(result, Match)
    width = matching.places(proof)
    rounds = selection.rounds_allowed(result.roster, width)
    assert result.agreement.rounds == rounds
    assert result.agreement.reserves == selection.reserves_for(result.roster, width, rounds)


@given(st.integers(-5, 12_000), st.integers(-5, 1_200))
def test_the_weight_is_the_published_score_of_the_draw(reputation: int, load: int) -> None:
    assert weight(reputation, load) == selection.weight(reputation, load)


def test_load_and_reputation_each_change_the_weights(town: Town) -> None:
    """S-D26."""
    first, second, *_ = sorted(who.node_id for who in town.providers)
    plain = town.standing()
    loaded = plain._replace(load_per_mille={first: 500}, reputation={**plain.reputation, second: 10_000})
    result = match(town.request(town.job(quorum(3)).job), town.listings(), loaded)
    assert isinstance(result, Match)
    weights = {entry.provider: entry.weight for entry in result.roster.entries}
    assert (weights[first], weights[second]) == (2_500, 10_000)
    assert set(weights.values()) == {2_500, 5_000, 10_000}


def test_load_and_reputation_each_change_the_pick(town: Town) -> None:
    """S-D26: over many draws the loaded and the ill reputed come first less often."""
    first, second, *_ = sorted(who.node_id for who in town.providers)
    plain = town.standing()
    uneven = plain._replace(load_per_mille={first: 900}, reputation={**plain.reputation, second: 500})

    def times_first(standing: Standing) -> dict[bytes, int]:
        result = match(town.request(town.job(TRUST).job), town.listings(), standing)
        assert isinstance(result, Match)
        picks = [selection.draw_order(result.roster, digest("try", n.to_bytes(2, "big")))[0] for n in range(400)]
        return {who.node_id: sum(pick.provider == who.node_id for pick in picks) for who in town.providers}

    even, biased = times_first(plain), times_first(uneven)
    assert biased[first] < even[first] / 2
    assert biased[second] < even[second] / 2


def test_a_roster_is_bounded_and_keeps_the_greatest_weights(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "ROSTER_MAX", 3)
    heavy = town.standing()
    light = sorted(who.node_id for who in town.providers)[0]
    standing = heavy._replace(reputation={**heavy.reputation, light: 300})
    result = match(town.request(town.job(quorum(3)).job), town.listings(), standing)
    assert isinstance(result, Match)
    assert removed(result) == ["roster"]
    assert result.removed[0].provider == light
