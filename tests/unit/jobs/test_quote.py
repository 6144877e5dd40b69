"""The quote: price, who sees what, odds on the actual roster, both dials (design 4.2, 4.4; S-A43, S-D45, S-C86)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.job_town import LIMITS, TRUST, Town, quorum, rerun

from quorate.jobs.quote import Quote, odds_of, quote, quoted
from quorate.jobs.receipts import check
from quorate.jobs.trust import RESOURCES
from quorate.market.matching import match
from quorate.model.job import Job
from quorate.model.policy import Proof
from quorate.model.resources import asked
from quorate.model.settlement import Settlement
from quorate.privacy.sealed import EXECUTORS_SEE


def quote_of(town: Town, job: Job, colluders_per_mille: int = 200) -> Quote:
    offers = {listing.offer.provider: listing.offer for listing in town.listings()}
    return quoted(job, match(town.request(job), town.listings(), town.standing()), offers, colluders_per_mille)


def test_prices_come_from_the_offers_and_the_escrow_covers_the_worst_case(town: Town) -> None:
    found = quote_of(town, town.job(quorum(3)).job)
    assert (found.error, found.replicas, found.needed, found.rounds, found.reserves) == ("", 3, 3, 2, 1)
    most = 100 + 10 * LIMITS.fuel // 10**6
    assert {(line.least_micro, line.most_micro, line.attempt_micro) for line in found.offers} == {(110, most, 20)}
    assert (found.least_micro, found.most_micro) == (3 * 110, 3 * most)
    assert found.attempts_micro == 3 * 2 * 20
    assert found.escrow_micro == found.most_micro + found.attempts_micro + found.bond_micro


def test_an_array_is_priced_by_all_of_its_elements(town: Town) -> None:
    limits = msgspec.structs.replace(LIMITS, fuel=2 * 10**6, output_bytes=1_000)
    found = quote_of(town, town.job(quorum(3), limits=limits, elements=50).job)
    assert (found.error, found.elements) == ("", 50)
    assert {(line.least_micro, line.most_micro) for line in found.offers} == {(100 + 10 * 5, 100 + 10 * 100)}
    dear = quote_of(town, town.job(quorum(3), limits=limits, elements=50, budget_micro=1_000).job)
    assert (dear.error, dear.elements) == ("UnaffordableJob", 50)
    assert dear.needed_micro >= 3 * (100 + 10 * 100)


def test_what_is_paid_lies_within_the_quote(town: Town) -> None:
    job = town.job(quorum(3))
    found = quote_of(town, job.job)
    receipt = town.receipt(town.run(job))
    assert check(receipt, network=town.network).outcome == "valid"
    settled = town.run(town.job(quorum(3))).settled
    assert isinstance(settled, Settlement)
    paid = sum(item.amount_micro for item in settled.payments if item.reason == "price")
    assert found.least_micro <= paid <= found.most_micro


def test_it_says_who_sees_what(town: Town) -> None:
    public = quote_of(town, town.job(quorum(3)).job)
    private = quote_of(town, town.job(quorum(3), private=True).job)
    assert public.who_sees[0].startswith("provider sees input and output")
    assert private.who_sees[0] == EXECUTORS_SEE
    assert "The executors you selected see them in plaintext." in private.who_sees[0]
    assert not any("provider sees input and output" in line for line in private.who_sees)


def test_it_says_what_a_private_job_cannot_have(town: Town) -> None:
    """R12 and R13."""
    found = quote_of(town, town.job(rerun(10), private=True).job)
    assert any("cannot be slashed" in line and "R12" in line for line in found.sentences)
    assert any("1 in 10" in line and "one more executor sees the input" in line for line in found.sentences)
    public = quote_of(town, town.job(rerun(10)).job)
    assert not any("R13" in line for line in public.sentences)


def test_it_says_that_resources_are_matched_and_not_enforced(town: Town) -> None:
    found = quote_of(town, town.job(quorum(3), resources=asked({"cpu_cores": 2})).job)
    assert RESOURCES in found.sentences
    assert not found.error
    assert RESOURCES not in quote_of(town, town.job(quorum(3)).job).sentences
    lacking = quote_of(town, town.job(quorum(3), resources=asked({"cpu_cores": 3})).job)
    assert lacking.error == "CohortTooLarge"
    assert all("rule resources removed" in line and "has 2 cores" in line for line in lacking.removed)


def test_both_dials_are_shown_whole(town: Town) -> None:
    found = quote_of(town, town.job(quorum(3), private=True).job)
    assert {row.name: row.state for row in found.privacy} == {
        "none": "available",
        "sealed": "chosen",
        "split": "not built",
        "shares": "not built",
        "enclave": "not built",
    }
    assert {row.name: row.state for row in found.proof} == {
        "trust": "available",
        "spot": "not built",
        "rerun": "available",
        "quorum": "chosen",
        "stark": "not built",
        "attestation": "not built",
    }


def test_odds_are_of_the_stated_share_on_the_actual_roster(town: Town) -> None:
    found = quote_of(town, town.job(quorum(3)).job, colluders_per_mille=300)
    assert found.risk is not None
    assert (found.risk.operators, found.risk.colluders) == (7, 3)
    # 3 of 7 collude: all three in one cohort with 1 in C(7,3) = 35 draws; then 4 members are left over, all honest
    # but those of a mixed first cohort.
    assert found.risk.wrong_ppb >= 10**9 // 35
    assert quote_of(town, town.job(quorum(3)).job, colluders_per_mille=0).risk.wrong_ppb == 0


def test_odds_by_method() -> None:
    assert odds_of(TRUST, 10, 3, 3) == (300_000_000, 0)
    never = odds_of(rerun(1_000_000), 10, 3, 3)
    assert never.wrong_ppb <= 300_000_000
    always = odds_of(rerun(1), 10, 3, 1)
    # Both of the pair collude: 3/10 x 2/9; exactly one does: a split, and no second round.
    assert always == (66_666_667, 466_666_667)
    assert odds_of(rerun(2), 10, 3, 1).wrong_ppb == (300_000_000 + 66_666_667) // 2 + 1


@given(
    st.sampled_from([TRUST, rerun(1), rerun(7), quorum(3), quorum(5, 3)]),
    st.integers(5, 40),
    st.integers(0, 40),
    st.integers(1, 3),
)
def test_odds_are_probabilities_and_grow_with_colluders(proof: Proof, pool: int, colluders: int, rounds: int) -> None:
    bad = min(colluders, pool)
    found = odds_of(proof, pool, bad, rounds)
    assert 0 <= found.wrong_ppb <= 10**9
    assert 0 <= found.stall_ppb <= 10**9
    if bad < pool:
        assert odds_of(proof, pool, bad + 1, rounds).wrong_ppb >= found.wrong_ppb - 1
    if bad == 0:
        assert found == (0, 0)
    if bad == pool:
        assert found.wrong_ppb == 10**9


def test_without_a_match_it_says_why_and_what_would_do(town: Town) -> None:
    poor = quote_of(town, town.job(quorum(3), budget_micro=100).job)
    assert poor.error == "UnaffordableJob"
    assert poor.needed_micro == 3 * 200 + 3 * 20
    assert poor.risk is None
    enough = quote_of(town, town.job(quorum(3), budget_micro=poor.needed_micro).job)
    assert enough.error == ""
    assert enough.rounds == 1
    many = quote_of(town, town.job(quorum(9)).job)
    assert many.error == "CohortTooLarge"
    assert many.removed == ()


def test_removed_nodes_are_named_with_their_rule(town: Town) -> None:
    found = quote_of(town, town.job(quorum(3), regions=("elsewhere",)).job)
    assert len(found.removed) == 7
    assert all("rule region removed" in line for line in found.removed)


def test_simulated_parts_are_in_the_quote() -> None:
    town = Town(providers=3, offer={"simulated": ("sim-enclave",)})
    policy = msgspec.structs.replace(town.job(TRUST).job.core.policy, allow=("sim-enclave",))
    found = quote_of(town, town.job(quorum(3), policy=policy).job)
    assert {line.simulated for line in found.offers} == {("sim-enclave",)}
    refused = quote_of(town, town.job(quorum(3)).job)
    assert refused.error == "CohortTooLarge"


def test_it_is_plain_data_for_the_doors(town: Town) -> None:
    job = town.job(quorum(3)).job
    offers = {listing.offer.provider: listing.offer for listing in town.listings()}
    plain = quote(job, match(town.request(job), town.listings(), town.standing()), offers, 200)
    again = msgspec.json.decode(msgspec.json.encode(plain))
    assert again["risk"]["colluders_per_mille"] == 200
    assert again["escrow_micro"] == quote_of(town, job).escrow_micro


@pytest.mark.parametrize("share", [0, 1, 1000])
def test_the_share_is_rounded_up_to_whole_operators(town: Town, share: int) -> None:
    risk = quote_of(town, town.job(quorum(3)).job, share).risk
    assert risk is not None
    assert risk.colluders == {0: 0, 1: 1, 1000: 7}[share]
