"""From openings to a verdict: who counts, how wide a round is, which claims are re-executed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_world import World
from tests.support.value_types import samples

from quorate.crypto.digests import digest
from quorate.model.agreement import Agreement
from quorate.model.claim import Opening, Vote
from quorate.model.policy import Proof
from quorate.model.trap import FAILURES, VOTABLE, Status
from quorate.model.units import Digest, NodeId
from quorate.model.verdict import Verdict
from quorate.verify.verdicts import audited, count_openings, needed, tally, verdict_of, vote_of, width_of

QUORUM = Proof(method="quorum", replicas=3, threshold=0, one_in=1)
TWO_OF_THREE = Proof(method="quorum", replicas=3, threshold=2, one_in=1)
TRUST = Proof(method="trust", replicas=1, threshold=0, one_in=1)
SEED = b"\x07" * 32


def rerun(one_in: int) -> Proof:
    return Proof(method="rerun", replicas=1, threshold=0, one_in=one_in)


def node(at: int) -> NodeId:
    return NodeId(bytes([at]) * 32)


MEMBERS = tuple(node(at) for at in range(1, 4))
OPENING = samples(Opening)["full"]
assert isinstance(OPENING, Opening)


def opening(at: int, tag: bytes = b"right", status: str = "success", **vote: object) -> Opening:
    made = Vote(status=status, tag=digest("tag", tag), log_tag=digest("log"), fuel_bucket=1_000_000)  # type: ignore[arg-type]
    body = msgspec.structs.replace(OPENING.body, vote=msgspec.structs.replace(made, **vote))
    return msgspec.structs.replace(OPENING, member=node(at), body=body)


def openings(*items: Opening) -> dict[NodeId, Opening]:
    return {item.member: item for item in items}


# Votes


@pytest.mark.parametrize("status", sorted(VOTABLE))
def test_deterministic_outcomes_are_votes(status: str) -> None:
    given_openings = openings(*(opening(at, status=status) for at in (1, 2, 3)))
    assert vote_of(given_openings[MEMBERS[0]]) is not None
    assert tally(1, MEMBERS, given_openings, QUORUM, 3).outcome == "accepted"


@pytest.mark.parametrize("status", [*sorted(FAILURES), "", "SUCCESS", "timeout"])
def test_failures_never_agree_not_even_with_one_another(status: str) -> None:
    found = tally(1, MEMBERS, openings(*(opening(at, status=status) for at in (1, 2, 3))), QUORUM, 3)
    assert (found.outcome, found.failed, found.agreed) == ("split", MEMBERS, ())


@pytest.mark.parametrize(
    "change",
    [
        {"status": Status.OUT_OF_FUEL.value},
        {"tag": b"\1" * 32},
        {"log_tag": b"\1" * 32},
        {"fuel_bucket": 2_000_000},
    ],
)
def test_votes_agree_only_if_all_of_them_is_equal(change: dict[str, object]) -> None:
    found = tally(1, MEMBERS, openings(opening(1), opening(2), opening(3, **change)), TWO_OF_THREE, 3)  # type: ignore[arg-type]
    assert (found.outcome, found.agreed, found.dissented) == ("accepted", MEMBERS[:2], MEMBERS[2:])
    assert tally(1, MEMBERS, openings(opening(1), opening(2), opening(3, **change)), QUORUM, 3).outcome == "split"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["result_digest", "log_digest", "result_bytes", "memory_bucket_bytes", "isolation"])
def test_what_differs_between_honest_members_is_no_part_of_a_vote(name: str) -> None:
    """Each seals with fresh keys and measures its own machine."""
    other = {"isolation": ("none",), "result_bytes": 1, "memory_bucket_bytes": 5}.get(name, b"\1" * 32)
    third = opening(3)
    third = msgspec.structs.replace(third, body=msgspec.structs.replace(third.body, **{name: other}))
    assert tally(1, MEMBERS, openings(opening(1), opening(2), third), QUORUM, 3).outcome == "accepted"


# Rounds


def test_silence_is_not_dissent() -> None:
    found = tally(1, MEMBERS, openings(opening(1), opening(3)), TWO_OF_THREE, 3)
    assert (found.outcome, found.silent, found.dissented) == ("accepted", (MEMBERS[1],), ())
    short = tally(2, MEMBERS, openings(opening(1)), TWO_OF_THREE, 3)
    assert (short.round, short.outcome, short.silent, short.agreed) == (2, "short", MEMBERS[1:], ())
    nobody = tally(1, MEMBERS, {}, QUORUM, 3)
    assert (nobody.outcome, nobody.silent) == ("short", MEMBERS)


def test_an_opening_of_a_stranger_does_not_count() -> None:
    given_openings = openings(opening(1), opening(2), opening(9), opening(8))
    found = tally(1, MEMBERS, given_openings, QUORUM, 3)
    assert (found.outcome, found.silent) == ("short", (MEMBERS[2],))
    assert node(9) not in (*found.agreed, *found.dissented, *found.failed, *found.silent)


def test_the_denominator_is_k_however_few_are_listed() -> None:
    """A RoundClose that lists two of three cannot make two unanimous votes of them."""
    two = MEMBERS[:2]
    assert tally(1, two, openings(opening(1), opening(2)), QUORUM, 3).outcome == "short"
    assert tally(1, two, openings(opening(1), opening(2)), TWO_OF_THREE, 3).outcome == "accepted"


@given(st.lists(st.sampled_from(["right", "wrong", "failure", "silent"]), min_size=3, max_size=3))
def test_every_member_has_one_place_in_the_tally(kinds: list[str]) -> None:
    made = [
        opening(at, b"right" if kind == "right" else b"wrong", "worker_death" if kind == "failure" else "success")
        for at, kind in enumerate(kinds, 1)
        if kind != "silent"
    ]
    found = tally(1, MEMBERS, openings(*made), TWO_OF_THREE, 3)
    placed = (*found.agreed, *found.dissented, *found.failed, *found.silent)
    assert sorted(placed) == sorted(MEMBERS)
    assert (found.outcome == "accepted") == (max(kinds.count("right"), kinds.count("wrong")) >= 2)
    assert len(found.failed) == kinds.count("failure")
    assert len(found.silent) == kinds.count("silent")


def test_votes_in_another_order_count_the_same() -> None:
    made = [opening(3), opening(1), opening(2)]
    assert count_openings(openings(*made), QUORUM, 3).outcome == "accepted"
    assert tally(1, MEMBERS, openings(*made), QUORUM, 3).agreed == MEMBERS


# Widths and re-runs


def test_how_many_must_agree() -> None:
    assert needed(QUORUM, 3) == 3
    assert needed(TWO_OF_THREE, 3) == 2
    assert needed(TRUST, 1) == 1
    assert (needed(rerun(10), 1), needed(rerun(10), 2)) == (1, 2)


def test_width_by_method_and_round() -> None:
    assert width_of(QUORUM, 1, SEED, SEED) == width_of(QUORUM, 3, b"", b"") == 3
    assert width_of(TRUST, 1, SEED, SEED) == 1
    assert width_of(rerun(1), 1, SEED, SEED) == 2
    assert width_of(rerun(1_000_000), 2, SEED, SEED) == 2
    chosen = [width_of(rerun(4), 1, SEED, digest("claim", bytes([at]))) for at in range(100)]
    assert set(chosen) == {1, 2}


@pytest.mark.parametrize("one_in", [2, 5, 20])
def test_one_claim_in_n_is_re_executed(one_in: int) -> None:
    tried = 4_000
    hits = sum(audited(rerun(one_in), SEED, digest("claim", at.to_bytes(4, "big"))) for at in range(tried))
    expected = tried / one_in
    spread = (expected * (1 - 1 / one_in)) ** 0.5
    assert abs(hits - expected) < 4 * spread


def test_the_choice_needs_both_seed_and_commitment() -> None:
    """Neither the requester, who has committed to the seed, nor the member can choose it alone."""
    claims = [digest("claim", bytes([at])) for at in range(64)]
    by_seed = [[audited(rerun(2), bytes([seed]) * 32, claim) for claim in claims] for seed in range(8)]
    assert all(0 < sum(row) < 64 for row in by_seed)
    assert len({tuple(row) for row in by_seed}) == 8


@pytest.mark.parametrize("proof", [TRUST, QUORUM], ids=["trust", "quorum"])
def test_other_methods_re_execute_nothing(proof: Proof) -> None:
    assert not any(audited(proof, SEED, bytes([at]) * 32) for at in range(50))


def test_a_re_run_that_differs_is_a_split() -> None:
    two = MEMBERS[:2]
    assert tally(1, two, openings(opening(1), opening(2)), rerun(1), 2).outcome == "accepted"
    differs = tally(1, two, openings(opening(1), opening(2, b"wrong")), rerun(1), 2)
    assert (differs.outcome, differs.agreed, differs.dissented) == ("split", (), two)
    assert tally(1, two[:1], openings(opening(1)), rerun(10), 1).outcome == "accepted"
    assert tally(1, two[:1], openings(opening(1, status="wall_clock")), rerun(10), 1).outcome == "split"


# Verdicts


@pytest.mark.parametrize(
    ("proof", "rule"),
    [
        (QUORUM, "quorum: 3 of 3 equal claims"),
        (TWO_OF_THREE, "quorum: 2 of 3 equal claims"),
        (rerun(20), "rerun: 1 claim, 1 in 20 re-executed"),
        (TRUST, "trust: 1 signed claim"),
    ],
)
def test_a_verdict_states_its_rule(proof: Proof, rule: str) -> None:
    agreement = samples(Agreement)["least"]
    assert isinstance(agreement, Agreement)
    found = verdict_of(msgspec.structs.replace(agreement, proof=proof), Digest(SEED), (), None, False)
    assert (found.rule, found.accepted, found.reason) == (rule, False, "no outcome reached the threshold")


def test_the_ledger_computes_the_verdict_that_anyone_computes() -> None:
    deal = World().open()
    claims = [deal.claim(member) for member in deal.members[:3]]
    given_openings = {claim.member: claim.opening for claim in claims}
    proof = deal.agreement.proof
    ended = tally(1, [claim.member for claim in claims], given_openings, proof, 3)
    verdict = verdict_of(deal.agreement, deal.id, [ended], claims[0].opening.body.vote, False)
    assert isinstance(verdict, Verdict)
    assert (verdict.accepted, verdict.vote, verdict.reason) == (True, claims[0].opening.body.vote, "")
    assert verdict.rounds[0].agreed == tuple(claim.member for claim in claims)
