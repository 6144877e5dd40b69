"""Which offers fit a job, which rule removes the others, and the terms that follow."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_world import LIMITS, World
from tests.support.value_types import samples

from quorate.cohort.selection import reserves_for, rounds_allowed
from quorate.crypto.digests import digest, value_digest
from quorate.ledger.state import THRESHOLD
from quorate.market.book import Listing
from quorate.market.matching import (
    OPENING_MARGIN_MS,
    RULES,
    SETTLING_MARGIN_MS,
    Match,
    NoMatch,
    Request,
    Standing,
    match,
    term_ms,
    weight,
)
from quorate.market.pricing import escrow_micro, places, spend_at_most, term_ms_least
from quorate.model.evidence import Signed
from quorate.model.identity import Suite
from quorate.model.job import Job
from quorate.model.offer import Prices
from quorate.model.policy import Proof
from quorate.model.resources import asked
from quorate.model.units import ROSTER_MAX, ROUNDS_MAX, Digest, JobId, Millis, NodeId
from quorate.verify.quorum import threshold

WORLD = World(providers=0)
NOW = WORLD.now
EXACT = 100 + 10 * 10
"""The price of a run at most: base, and ten million of fuel."""
SIGNED = samples(Signed)["least"]
assert isinstance(SIGNED, Signed)


def node(at: int) -> NodeId:
    return NodeId(bytes([at % 256, at // 256]) * 16)


def quorum(replicas: int) -> Proof:
    return Proof(method="quorum", replicas=replicas, threshold=0, one_in=1)


def listing(at: int, **changes: Any) -> Listing:
    made: dict[str, Any] = {
        "provider": node(at), "operator": f"operator {at}", "capabilities": ("wasm:pure", "tier:light"),
        "isolation": ("seccomp",), "region": "north",
    }  # fmt: skip
    offer = msgspec.structs.replace(WORLD.offer(WORLD.node), **(made | changes))
    return Listing(value_digest(offer), offer, SIGNED)


def request(**changes: Any) -> Request:
    job = WORLD.job(**changes)
    return Request(
        job=job,
        job_id=JobId(value_digest(job)),
        genesis=msgspec.structs.replace(WORLD.genesis, reputation_gate=200),
        network=WORLD.network,
        node=WORLD.node.node_id,
        sequencer=WORLD.sequencer.node_id,
        audit_seed=Digest(b"\7" * 32),
        now_ms=Millis(NOW),
    )


def standing(listings: list[Listing]) -> Standing:
    known = {item.offer.provider: 5_000 for item in listings}
    return Standing(reputation=known, load_per_mille={})


def found(asked: Request, listings: list[Listing], known: Standing | None = None) -> Match:
    answer = match(asked, listings, known or standing(listings))
    assert isinstance(answer, Match), answer
    return answer


def refused(asked: Request, listings: list[Listing], known: Standing | None = None) -> NoMatch:
    answer = match(asked, listings, known or standing(listings))
    assert isinstance(answer, NoMatch)
    return answer


LARGE = {"cpu_cores": 8, "storage_bytes": 1 << 40, "stated_bandwidth_bytes_per_s": 1 << 30, "gpu_units": 1}


def asking(**amounts: int) -> dict[str, Any]:
    return {"resources": asked(amounts)}


# Rules: each removes the one offer that it is about

REMOVALS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("expired", {}, {"expires_ms": NOW + OPENING_MARGIN_MS}, "10000 ms only"),
    ("expired", {}, {"expires_ms": NOW - 5}, "0 ms only"),
    ("network", {}, {"network": Digest(b"\x09" * 32)}, "another network"),
    ("capability", {}, {"capabilities": ("wasm:command", "tier:light")}, "does not offer wasm:pure"),
    ("capability", {}, {"capabilities": ("wasm:pure",)}, "does not offer tier:light"),
    (
        "capability",
        {"program": msgspec.structs.replace(WORLD.job().core.program, dependencies=(b"\1" * 32,))},
        {"capabilities": ("wasm:pure", "tier:light")},
        "does not offer wasm:linked",
    ),
    ("size", {}, {"memory_bytes_max": LIMITS.memory_bytes - 1}, f"the job may use {LIMITS.memory_bytes}"),
    ("size", {}, {"fuel_max": LIMITS.fuel - 1}, f"offers {LIMITS.fuel - 1} fuel"),
    ("resources", asking(cpu_cores=3), {"cpu_cores": 2}, "has 2 cores, the job asks for 3"),
    (
        "resources",
        asking(storage_bytes=1 << 20),
        {"storage_bytes": 0},
        "has 0 bytes of storage, the job asks for 1048576",
    ),
    (
        "resources",
        asking(bandwidth_bytes_per_s=10),
        {"stated_bandwidth_bytes_per_s": 9},
        "has 9 bytes per second as stated, the job asks for 10",
    ),
    ("resources", asking(gpu_units=1), {"gpu_units": 0}, "has 0 GPUs, the job asks for 1"),
    ("region", {"regions": ("north", "west")}, {"region": "south"}, "is in south, the job allows north, west"),
    ("privacy", {"privacy": ("enclave",)}, {}, "does not offer privacy tier enclave"),
    ("simulated", {}, {"simulated": ("sim-enclave",)}, "sim-enclave"),
]


@pytest.mark.parametrize(("rule", "job", "offer", "words"), REMOVALS, ids=[f"{item[0]}-{item[3]}" for item in REMOVALS])
def test_a_rule_removes_the_one_offer_that_breaks_it(
    rule: str, job: dict[str, Any], offer: dict[str, Any], words: str
) -> None:
    fitting = {"capabilities": ("wasm:pure", "wasm:linked", "tier:light", "privacy:enclave"), **LARGE}
    listings = [listing(at, **fitting) for at in range(1, 4)] + [listing(9, **offer)]
    answer = found(request(**job), listings)
    assert [(item.provider, item.rule) for item in answer.removed] == [(node(9), rule)]
    assert words in answer.removed[0].sentence
    assert answer.removed[0].line == f"rule {rule} removed {node(9).hex()[:8]}: it {answer.removed[0].sentence}"
    assert [entry.provider for entry in answer.roster.entries] == [node(1), node(2), node(3)]


def test_the_edge_of_each_bound_still_fits() -> None:
    edge = {
        "expires_ms": NOW + OPENING_MARGIN_MS + 1,
        "memory_bytes_max": LIMITS.memory_bytes,
        "fuel_max": LIMITS.fuel,
        "cpu_cores": 8,
        "storage_bytes": 1 << 40,
        "stated_bandwidth_bytes_per_s": 1 << 30,
        "gpu_units": 1,
    }
    most = asking(cpu_cores=8, storage_bytes=1 << 40, bandwidth_bytes_per_s=1 << 30, gpu_units=1)
    assert found(request(**most), [listing(at, **edge) for at in range(3)]).removed == ()


def test_a_private_job_needs_a_key_to_seal_to() -> None:
    asked = request()
    core = msgspec.structs.replace(asked.job.core, privacy_level="private", result_key=b"k", ownership_key=b"o")
    proven = dict.fromkeys(("pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof"), b"p")
    job = Job(core=core, input_digest=asked.job.input_digest, input_bytes=10, **proven)
    listings = [listing(at, seal_key=b"key") for at in range(3)] + [listing(9)]
    (removed,) = found(asked._replace(job=job), listings).removed
    assert (removed.provider, removed.rule) == (node(9), "privacy")
    assert "no key to seal" in removed.sentence


@pytest.mark.parametrize(("layers", "fits"), [((), True), (("seccomp",), True), (("seccomp", "landlock"), False)])
def test_a_policy_on_jail_layers_is_kept(layers: tuple[str, ...], fits: bool) -> None:
    policy = msgspec.structs.replace(WORLD.job().core.policy, jail_layers_min=layers)
    listings = [listing(at, isolation=("landlock", "seccomp")) for at in range(3)] + [listing(9)]
    removed = found(request(policy=policy), listings).removed
    assert [(item.provider, item.rule) for item in removed] == ([] if fits else [(node(9), "jail")])


def test_simulated_parts_are_allowed_by_name_only() -> None:
    listings = [listing(at, simulated=("sim-enclave",)) for at in range(3)]
    policy = WORLD.job().core.policy
    assert refused(request(), listings).error == "CohortTooLarge"
    assert found(request(policy=msgspec.structs.replace(policy, allow=("sim-enclave",))), listings).removed == ()
    other = msgspec.structs.replace(policy, allow=("sim-other",))
    assert {item.rule for item in refused(request(policy=other), listings).removed} == {"simulated"}


@pytest.mark.parametrize(
    ("score", "own", "fits"), [(199, 0, False), (200, 0, True), (499, 500, False), (500, 500, True)]
)
def test_the_reputation_gate_at_its_edge(score: int, own: int, fits: bool) -> None:
    """The network's gate is 200 of 10,000; a job may ask for more, never for less."""
    listings = [listing(at) for at in range(4)]
    known = Standing({node(at): 10_000 for at in range(3)} | {node(3): score}, {})
    policy = msgspec.structs.replace(WORLD.job().core.policy, reputation_min=own)
    removed = found(request(policy=policy), listings, known).removed
    assert [item.rule for item in removed] == ([] if fits else ["reputation"])
    if not fits:
        assert removed[0].sentence == f"has reputation {score}, the gate is {max(200, own)}"


def test_what_does_not_stand_on_the_ledger_is_left_out() -> None:
    listings = [listing(at) for at in range(4)]
    known = Standing({node(at): 10_000 for at in range(3)}, {})
    assert [(item.provider, item.rule) for item in found(request(), listings, known).removed] == [(node(3), "standing")]


@pytest.mark.parametrize("name", ["requester", "node", "sequencer"])
def test_nobody_runs_a_job_of_its_own(name: str) -> None:
    """Who pays, orders or judges does not vote."""
    own = getattr(WORLD, name).node_id
    listings = [listing(at) for at in range(3)] + [listing(9, provider=own)]
    (removed,) = found(request(), listings).removed
    assert (removed.provider, removed.rule) == (own, "party")


def test_classical_signatures_are_refused_where_the_job_demands_more() -> None:
    policy = msgspec.structs.replace(WORLD.job().core.policy, require_post_quantum=True)
    asked = request(policy=policy)
    genesis = msgspec.structs.replace(asked.genesis, suites=(Suite.ED25519, Suite.ED25519_ML_DSA_65))
    asked = asked._replace(genesis=genesis)
    listings = [listing(at) for at in range(5)]
    suites = {node(at): Suite.ED25519_ML_DSA_65 for at in range(3)} | {node(3): Suite.ED25519}
    answer = found(asked, listings, standing(listings)._replace(suites=suites))
    assert [(item.provider, item.rule) for item in answer.removed] == [(node(3), "suite"), (node(4), "suite")]
    assert "ed25519" in answer.removed[0].sentence
    assert "not shown its keys" in answer.removed[1].sentence
    easy = found(request(), listings, standing(listings)._replace(suites={node(3): Suite.ED25519}))
    assert easy.removed == ()
    banned = standing(listings)._replace(suites={node(3): Suite.ML_DSA_44})
    assert [item.rule for item in found(request(), listings, banned).removed] == ["suite"]


def test_every_rule_is_tried_here() -> None:
    tried = {item[0] for item in REMOVALS} | {"jail", "suite", "standing", "reputation", "party"}
    assert {name for name, _ in RULES} == tried


def test_the_first_rule_that_an_offer_fails_is_the_one_named() -> None:
    listings = [listing(at) for at in range(3)]
    listings.append(listing(9, expires_ms=NOW, network=Digest(b"\x09" * 32), capabilities=(), region="x"))
    assert [item.rule for item in found(request(regions=("north",)), listings).removed] == ["expired"]


def test_criteria_that_only_one_node_meets_find_that_node() -> None:
    """Each criterion in a fleet where just one node satisfies it."""
    fleet = [listing(at) for at in range(6)]
    one = {
        "region": ({"regions": ("west",)}, {"region": "west"}),
        "resources": (asking(cpu_cores=4, gpu_units=1), {"cpu_cores": 4, "gpu_units": 1}),
        "privacy": ({"privacy": ("split",)}, {"capabilities": ("wasm:pure", "tier:light", "privacy:split")}),
    }
    for rule, (job, offer) in one.items():
        asked = request(proof=Proof(method="trust", replicas=1, threshold=0, one_in=1), **job)
        answer = found(asked, [*fleet, listing(9, **offer)])
        assert [entry.provider for entry in answer.roster.entries] == [node(9)]
        assert {item.rule for item in answer.removed} == {rule}
    contradictory = request(proof=quorum(1), regions=("west",), privacy=("split",))
    removed = refused(contradictory, [listing(1, region="west"), listing(2, **one["privacy"][1])]).removed
    assert [(item.provider, item.rule) for item in removed] == [(node(1), "privacy"), (node(2), "region")]


# Rules for all together


def test_one_engine_version_that_of_most_operators() -> None:
    listings = [listing(at, engine="engine 2") for at in range(3)]
    listings += [listing(at, engine="engine 1", operator="one") for at in range(10, 19)]
    answer = found(request(), listings)
    assert answer.agreement.engine == "engine 2"
    assert {item.rule for item in answer.removed} == {"engine"}
    assert len(answer.removed) == 9
    even = [listing(at, engine=f"engine {at % 2 + 1}") for at in range(6)]
    assert found(request(), even).agreement.engine == "engine 1"


@pytest.mark.parametrize(
    ("proof", "needed"),
    [
        (Proof(method="trust", replicas=1, threshold=0, one_in=1), 1),
        (Proof(method="rerun", replicas=1, threshold=0, one_in=5), 2),
        (quorum(3), 3),
        (quorum(7), 7),
    ],
    ids=["trust", "rerun", "3", "7"],
)
def test_too_few_independent_operators_is_a_typed_refusal(proof: Proof, needed: int) -> None:
    asked = request(proof=proof)
    shared = [listing(at, operator=f"operator {min(at, needed - 2)}") for at in range(needed + 3)]
    if needed > 1:
        answer = refused(asked, shared)
        assert (answer.error, answer.needed_micro) == ("CohortTooLarge", 0)
        assert f"need{'s' if proof.method == 'rerun' else ''} {needed}" in answer.detail
        assert f"{needed - 1} offer this" in answer.detail
    assert refused(asked, []).error == "CohortTooLarge"
    assert found(asked, [listing(at) for at in range(needed)]).agreement.rounds == 1


def test_the_heaviest_fit_into_a_roster() -> None:
    count = ROSTER_MAX + 3
    listings = [listing(at) for at in range(count)]
    known = Standing({node(at): 300 + at for at in range(count)}, {})
    asked = request(budget_micro=10**9)
    answer = found(asked, listings, known)
    assert len(answer.roster.entries) == ROSTER_MAX
    assert {item.provider for item in answer.removed} == {node(0), node(1), node(2)}
    assert {item.rule for item in answer.removed} == {"roster"}


# Terms


@given(st.integers(1, 7), st.integers(0, 20), st.integers(0, 1000))
def test_the_terms_follow_from_roster_and_job(replicas: int, more: int, load: int) -> None:
    listings = [listing(at) for at in range(replicas + more)]
    known = Standing({node(at): 1_000 + at for at in range(replicas + more)}, {node(0): load})
    asked = request(proof=quorum(replicas))
    answer = found(asked, list(reversed(listings)), known)
    terms, roster = answer.agreement, answer.roster
    assert [entry.provider for entry in roster.entries] == sorted(item.offer.provider for item in listings)
    weights = {entry.provider: entry.weight for entry in roster.entries}
    assert weights == {node(at): weight(1_000 + at, load if at == 0 else 0) for at in range(replicas + more)}
    assert {entry.offer for entry in roster.entries} == {item.digest for item in listings}
    assert terms.roster == value_digest(roster)
    assert terms.rounds == rounds_allowed(roster, replicas)
    assert terms.reserves == reserves_for(roster, replicas, terms.rounds)
    assert (terms.price_max_micro, terms.attempt_max_micro) == (EXACT, 20)
    assert spend_at_most(terms) <= asked.job.core.budget_micro
    assert escrow_micro(terms) == spend_at_most(terms) + terms.bond_micro
    assert (terms.job, terms.requester, terms.node) == (asked.job_id, asked.job.core.requester, asked.node)
    assert terms.audit_commitment == digest("audit-seed", asked.audit_seed)
    assert asked.audit_seed not in msgspec.msgpack.encode(terms), "the choice stays secret until the claim is made"
    assert terms.settle_by_ms - NOW > term_ms_least(terms.timeouts, terms.rounds, asked.genesis.windows)
    assert (terms.ledger_trust.kind, terms.ledger_trust.sequencer) == ("sequencer", asked.sequencer)


@pytest.mark.parametrize(
    ("replicas", "rounds", "reserves", "agree"),
    [(1, 3, 1, 1), (3, 3, 3, 3), (5, 3, 1, 4), (7, 2, 2, 5)],
    ids=["K=1", "K=3", "K=5", "K=7"],
)
def test_k_of_1_3_5_and_7_members(replicas: int, rounds: int, reserves: int, agree: int) -> None:
    """Of sixteen operators: at most three rounds, everyone beyond their places up to one cohort in reserve, and seven
    tenths that must agree."""
    asked = request(proof=quorum(replicas), budget_micro=10**9)
    terms = found(asked, [listing(at) for at in range(16)]).agreement
    assert (terms.proof.replicas, terms.rounds, terms.reserves) == (replicas, rounds, reserves)
    assert threshold(terms.proof) == agree
    assert escrow_micro(terms) == replicas * (EXACT + rounds * 20) + terms.bond_micro
    least = found(asked, [listing(at) for at in range(replicas)]).agreement
    assert (least.rounds, least.reserves) == (1, 0)
    short = refused(asked, [listing(at) for at in range(replicas - 1)])
    assert short.error == "CohortTooLarge"
    assert f"{replicas - 1} offer this" in short.detail


def test_the_order_of_offers_changes_nothing() -> None:
    listings = [listing(at, operator=f"operator {at % 3}") for at in range(9)]
    asked = request()
    assert found(asked, listings) == found(asked, listings[::-1])


def test_the_network_threshold_is_seven_tenths() -> None:
    assert THRESHOLD == (7, 10)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_the_term_leaves_room_for_every_clock(rounds: int) -> None:
    core, windows = WORLD.job().core, WORLD.genesis.windows
    clocks = core.timeouts.transfer_ms + core.timeouts.run_ms + core.timeouts.verify_ms
    assert term_ms_least(core.timeouts, rounds, windows) == rounds * clocks + windows.commit_ms + windows.reveal_ms
    more = windows.cancel_ms + SETTLING_MARGIN_MS
    assert term_ms(core.timeouts, rounds, windows) == term_ms_least(core.timeouts, rounds, windows) + more


# Budget


def priced(at: int, base: int, attempt: int = 20) -> Listing:
    return listing(at, prices=Prices(base_micro=base, per_mega_fuel_micro=0, attempt_micro=attempt))  # type: ignore[arg-type]


def test_a_budget_to_the_unit() -> None:
    listings = [priced(at, 100) for at in range(3)]
    exact = 3 * 100 + 3 * 1 * 20
    assert found(request(budget_micro=exact), listings).agreement.rounds == 1
    short = refused(request(budget_micro=exact - 1), listings)
    assert (short.error, short.needed_micro) == ("UnaffordableJob", exact)
    assert str(exact) in short.detail
    assert str(exact - 1) in short.detail


def test_rounds_are_what_the_budget_allows() -> None:
    listings = [priced(at, 100) for at in range(9)]
    for rounds in range(1, ROUNDS_MAX + 1):
        budget = 3 * 100 + 3 * rounds * 20
        assert found(request(budget_micro=budget), listings).agreement.rounds == rounds
        if rounds > 1:
            assert found(request(budget_micro=budget - 1), listings).agreement.rounds == rounds - 1


def test_the_dearest_falls_out_first_and_the_rest_are_paid_less() -> None:
    listings = [priced(0, 100), priced(1, 5_000), priced(2, 110), priced(3, 900), priced(4, 120)]
    answer = found(request(budget_micro=600), listings)
    assert [(item.provider, item.rule) for item in answer.removed] == [(node(1), "price"), (node(3), "price")]
    assert answer.agreement.price_max_micro == 120
    assert "5000 and 20 per attempt" in answer.removed[0].sentence


def test_a_rerun_is_paid_for_two_places() -> None:
    proof = Proof(method="rerun", replicas=1, threshold=0, one_in=10)
    assert places(proof) == 2
    listings = [priced(at, 100) for at in range(2)]
    assert found(request(proof=proof, budget_micro=240), listings).agreement.rounds == 1
    assert refused(request(proof=proof, budget_micro=239), listings).needed_micro == 240


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50)), min_size=3, max_size=9), st.integers(0, 3_000))
def test_no_agreement_costs_more_than_its_budget(prices: list[tuple[int, int]], budget: int) -> None:
    listings = [priced(at, base, attempt) for at, (base, attempt) in enumerate(prices)]
    answer = match(request(budget_micro=budget), listings, standing(listings))
    if isinstance(answer, Match):
        assert spend_at_most(answer.agreement) <= budget
        paid = [
            item.offer.prices for item in listings if item.digest in {entry.offer for entry in answer.roster.entries}
        ]
        assert answer.agreement.price_max_micro == max(item.base_micro for item in paid)
        assert answer.agreement.attempt_max_micro == max(item.attempt_micro for item in paid)
    else:
        assert answer.error == "UnaffordableJob"
        assert answer.needed_micro > budget
        again = match(request(budget_micro=answer.needed_micro), listings, standing(listings))
        assert isinstance(again, Match)
