"""The negative table: each way of falsifying a receipt is caught by the step that is meant for it.

A row is (step, who cheats and how). Forgeries are signed by whoever cheats and made canonical again, so that no earlier
step meets them by accident. At the end every single leaf of a receipt is altered once, by someone without keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support.job_town import POLICY, Stream, Town, quorum
from tests.support.receipt_forge import Forge, altered

from quorate.crypto.digests import body_digest, digest, value_digest
from quorate.crypto.ownership import OwnershipKey
from quorate.crypto.signing import Identity
from quorate.jobs.receipts import STEPS, check
from quorate.model.agreement import Agreement, EscrowOpened, LedgerTrust
from quorate.model.assignment import Ack, Assignment
from quorate.model.claim import Commit, DeliveryAck, RoundAbort, RoundClose
from quorate.model.codec import decode
from quorate.model.identity import Suite
from quorate.model.job import Job
from quorate.model.offer import Offer
from quorate.model.outcome import Receipt
from quorate.model.policy import Proof
from quorate.model.resources import asked
from quorate.model.settlement import Payment, Settlement

Receipts = dict[str, Receipt]
Cheat = Callable[[Forge, Receipts], Receipt]
replace = msgspec.structs.replace
TABLE: list[tuple[int, Cheat]] = []


def caught_by(step: str) -> Callable[[Cheat], Cheat]:
    number = [name for name, _ in STEPS].index(step)

    def row(cheat: Cheat) -> Cheat:
        TABLE.append((number, cheat))
        return cheat

    return row


# 0 form


@caught_by("form")
def rounds_are_not_numbered_from_one(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, round=2)


@caught_by("form")
def stamps_are_not_sorted(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], stamps=some["plain"].stamps[::-1])


@caught_by("form")
def a_key_bundle_is_there_twice(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].bundles
    return replace(some["plain"], bundles=(first, first, *rest))


@caught_by("form")
def a_field_is_out_of_its_domain(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], trust=("x" * 513,))


# 1 network


@caught_by("network")
def the_genesis_is_another(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], genesis=replace(some["plain"].genesis, name="elsewhere"))


@caught_by("network")
def the_genesis_names_another_ledger(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], genesis=replace(some["plain"].genesis, ledger=(forge.town.stranger.bundle,)))


# 2 keys


@caught_by("keys")
def a_key_bundle_is_missing(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], bundles=some["plain"].bundles[1:])


@caught_by("keys")
def a_key_bundle_signs_nothing(forge: Forge, some: Receipts) -> Receipt:
    bundles = (*some["plain"].bundles, forge.town.stranger.bundle)
    return replace(some["plain"], bundles=tuple(sorted(bundles, key=value_digest)))


@caught_by("keys")
def a_signer_has_another_key(forge: Forge, some: Receipts) -> Receipt:
    bundles = (*some["plain"].bundles[1:], forge.town.stranger.bundle)
    return replace(some["plain"], bundles=tuple(sorted(bundles, key=value_digest)))


@caught_by("keys")
def a_signer_uses_a_suite_that_the_network_refuses(forge: Forge, some: Receipts) -> Receipt:
    other = Identity.generate(Suite.ML_DSA_44, Stream("another suite"))
    forge.town.identities[other.node_id] = other
    return forge.put(some["plain"], job=forge.said(some["plain"].job, Job, other))


# 3 signatures


@caught_by("signatures")
def the_job_is_altered(forge: Forge, some: Receipts) -> Receipt:
    job = some["plain"].job
    return replace(some["plain"], job=replace(job, body=job.body.replace(b"_start", b"_stArt")))


@caught_by("signatures")
def a_statement_is_passed_off_as_another_signers(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].acks
    stolen = replace(first, signer=forge.town.node.node_id)
    return replace(some["plain"], rounds=(replace(some["plain"].rounds[0], acks=(stolen, *rest)),))


@caught_by("signatures")
def a_statement_is_passed_off_as_another_noun(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], job=replace(some["plain"].job, noun="agreement"))


@caught_by("signatures")
def a_stamp_is_missing(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], stamps=some["plain"].stamps[1:])


@caught_by("signatures")
def a_stamp_signs_nothing(forge: Forge, some: Receipts) -> Receipt:
    (idle,) = forge.town.sign(forge.town.node, decode(some["plain"].job.body, Job))
    stamps = (*some["plain"].stamps, forge.town.stamps[idle.stamp])
    return replace(some["plain"], stamps=tuple(sorted(stamps, key=value_digest)))


@caught_by("signatures")
def a_leaf_stands_beyond_its_batch(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], job=replace(some["plain"].job, index=70_000))


@caught_by("signatures")
def a_signature_is_of_another_key(forge: Forge, some: Receipts) -> Receipt:
    """A stamp that names its signer, with the signature bytes of somebody else."""
    receipt = some["plain"]
    place = next(n for n, stamp in enumerate(receipt.stamps) if value_digest(stamp) == receipt.job.stamp)
    other = next(stamp for stamp in receipt.stamps if stamp.signer != receipt.job.signer)
    forged = replace(receipt.stamps[place], signature=other.signature)
    stamps = sorted((*receipt.stamps[:place], *receipt.stamps[place + 1 :], forged), key=value_digest)
    return replace(receipt, stamps=tuple(stamps), job=replace(receipt.job, stamp=value_digest(forged)))


# 4 job


def with_job(forge: Forge, receipt: Receipt, **core: Any) -> Receipt:
    """Requester and node together give the agreement another job."""
    job = decode(receipt.job.body, Job)
    signed = forge.said(receipt.job, Job, core=replace(job.core, **core))
    agreement = forge.said(receipt.agreement, Agreement, job=body_digest("job", signed.body))
    return forge.put(receipt, job=signed, agreement=agreement)


@caught_by("job")
def the_job_is_signed_by_its_node(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], job=forge.said(some["plain"].job, Job, forge.town.node))


@caught_by("job")
def the_job_is_another_noun(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], job=some["plain"].agreement)


@caught_by("job")
def the_job_is_above_the_caps(forge: Forge, some: Receipts) -> Receipt:
    limits = replace(decode(some["plain"].job.body, Job).core.limits, fuel=10**10 + 1)
    return with_job(forge, some["plain"], limits=limits)


@caught_by("job")
def the_job_is_of_another_network(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["plain"], network=b"\1" * 32)


@caught_by("job")
def the_ownership_proof_is_another_jobs(forge: Forge, some: Receipts) -> Receipt:
    other = forge.town.job(quorum(3), private=True).job
    return forge.put(some["private"], job=forge.said(some["private"].job, Job, ownership_proof=other.ownership_proof))


@caught_by("job")
def the_owner_is_another(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["private"], ownership_key=OwnershipKey(b"thief").public)


# 5 agreement


def with_terms(forge: Forge, receipt: Receipt, who: Identity | None = None, **changes: Any) -> Receipt:
    return forge.put(receipt, agreement=forge.said(receipt.agreement, Agreement, who, **changes))


@caught_by("agreement")
def the_agreement_is_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], agreement=some["other"].agreement)


@caught_by("agreement")
def the_job_is_replayed_under_another_agreement(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], job=some["other"].job)


@caught_by("agreement")
def a_stranger_signs_the_agreement(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], forge.town.stranger)


@caught_by("agreement")
def the_agreement_weakens_the_proof(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], proof=Proof(method="quorum", replicas=3, threshold=2, one_in=1))


@caught_by("agreement")
def the_agreement_has_other_clocks(forge: Forge, some: Receipts) -> Receipt:
    clocks = replace(decode(some["plain"].agreement.body, Agreement).timeouts, run_ms=1)
    return with_terms(forge, some["plain"], timeouts=clocks)


@caught_by("agreement")
def the_bond_is_not_the_networks(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], bond_micro=0)


@caught_by("agreement")
def the_agreement_exceeds_the_budget(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], price_max_micro=10_000_000)


@caught_by("agreement")
def the_agreement_trusts_a_stranger_with_the_ledger(forge: Forge, some: Receipts) -> Receipt:
    trust = LedgerTrust(kind="sequencer", sequencer=forge.town.stranger.node_id)
    return with_terms(forge, some["plain"], ledger_trust=trust)


@caught_by("agreement")
def the_agreement_trusts_validators_that_do_not_exist(forge: Forge, some: Receipts) -> Receipt:
    trust = LedgerTrust(kind="validators", sequencer=forge.town.sequencer.node_id)
    return with_terms(forge, some["plain"], ledger_trust=trust)


@caught_by("agreement")
def the_requesters_node_is_the_sequencer(forge: Forge, some: Receipts) -> Receipt:
    own = forge.town.sequencer
    job = decode(some["plain"].job.body, Job)
    signed = forge.said(some["plain"].job, Job, core=replace(job.core, node=own.node_id))
    terms = {"job": body_digest("job", signed.body), "node": own.node_id}
    return forge.put(some["plain"], job=signed, agreement=forge.said(some["plain"].agreement, Agreement, own, **terms))


# 6 roster


def with_roster(forge: Forge, receipt: Receipt, *entries: Any) -> Receipt:
    """The node agrees to another roster."""
    roster = replace(receipt.roster, entries=entries)
    agreement = forge.said(receipt.agreement, Agreement, roster=value_digest(roster))
    return forge.put(receipt, roster=roster, agreement=agreement)


@caught_by("roster")
def the_roster_has_other_weights(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].roster.entries
    roster = replace(some["plain"].roster, entries=(replace(first, weight=1), *rest))
    return replace(some["plain"], roster=roster)


@caught_by("roster")
def the_roster_names_one_twice(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].roster.entries
    return with_roster(forge, some["plain"], first, first, *rest)


@caught_by("roster")
def the_roster_is_empty(forge: Forge, some: Receipts) -> Receipt:
    return with_roster(forge, some["plain"])


@caught_by("roster")
def the_roster_lies_about_an_operator(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].roster.entries
    return with_roster(forge, some["plain"], replace(first, operator="somebody else"), *rest)


@caught_by("roster")
def an_offer_is_not_the_one_in_the_roster(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].offers
    return forge.put(some["plain"], offers=(forge.said(first, Offer, slots=9), *rest))


@caught_by("roster")
def an_offer_is_signed_by_another(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].offers
    return forge.put(some["plain"], offers=(forge.said(first, Offer, forge.town.stranger), *rest))


def with_offer(forge: Forge, receipt: Receipt, **changes: Any) -> Receipt:
    """A provider makes another offer, and the node a roster of it."""
    first, *rest = receipt.offers
    offer = forge.said(first, Offer, **changes)
    entries = [
        replace(entry, offer=body_digest("offer", offer.body)) if entry.provider == first.signer else entry
        for entry in receipt.roster.entries
    ]
    return with_roster(forge, replace(receipt, offers=(offer, *rest)), *entries)


@caught_by("roster")
def a_member_runs_another_engine(forge: Forge, some: Receipts) -> Receipt:
    return with_offer(forge, some["plain"], engine="wasmtime 49")


@caught_by("roster")
def a_member_asks_for_more_than_agreed(forge: Forge, some: Receipts) -> Receipt:
    prices = replace(decode(some["plain"].offers[0].body, Offer).prices, base_micro=101)
    return with_offer(forge, some["plain"], prices=prices)


@caught_by("roster")
def a_member_offers_less_fuel_than_the_job_may_use(forge: Forge, some: Receipts) -> Receipt:
    return with_offer(forge, some["plain"], fuel_max=10)


@caught_by("roster")
def a_member_offers_less_memory_than_the_job_may_use(forge: Forge, some: Receipts) -> Receipt:
    return with_offer(forge, some["plain"], memory_bytes_max=10)


@caught_by("roster")
def a_member_has_fewer_cores_than_the_job_asks_for(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["plain"], resources=asked({"cpu_cores": 3}))


@caught_by("roster")
def a_member_is_where_the_job_may_not_run(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["plain"], regions=("elsewhere",))


@caught_by("roster")
def a_member_simulates_what_the_job_refuses(forge: Forge, some: Receipts) -> Receipt:
    return with_offer(forge, some["plain"], simulated=("sim-enclave",))


@caught_by("roster")
def a_member_lacks_a_jail_layer_that_the_job_demands(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["plain"], policy=replace(POLICY, jail_layers_min=("apparmor",)))


@caught_by("roster")
def a_member_is_classical_where_the_job_refuses_it(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["plain"], policy=replace(POLICY, require_post_quantum=True))


@caught_by("roster")
def the_agreement_has_more_rounds_than_the_roster_allows(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], rounds=3)


@caught_by("roster")
def the_agreement_has_more_reserves_than_the_roster_allows(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], reserves=2)


# 7 escrow


def with_escrow(forge: Forge, receipt: Receipt, who: Identity | None = None, **changes: Any) -> Receipt:
    """The sequencer (or `who`) signs a log in which the escrow was opened otherwise."""
    event = replace(decode(receipt.escrow.event, EscrowOpened), **changes)
    return forge.put(receipt, escrow=forge.proven(event, receipt.escrow, who))


@caught_by("escrow")
def the_escrow_is_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], escrow=some["other"].escrow)


@caught_by("escrow")
def the_beacon_is_chosen_by_the_requester(forge: Forge, some: Receipts) -> Receipt:
    opened = replace(decode(some["plain"].escrow.event, EscrowOpened), beacon=b"\1" * 32)
    escrow = replace(some["plain"].escrow, event=forge.proven(opened, some["plain"].escrow).event)
    return forge.put(some["plain"], escrow=escrow)


@caught_by("escrow")
def the_checkpoint_is_signed_by_the_requesters_node(forge: Forge, some: Receipts) -> Receipt:
    return with_escrow(forge, some["plain"], forge.town.node)


@caught_by("escrow")
def the_event_stands_elsewhere_in_the_log(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], escrow=replace(some["plain"].escrow, index=some["plain"].escrow.index + 1))


@caught_by("escrow")
def the_checkpoint_is_of_another_network(forge: Forge, some: Receipts) -> Receipt:
    event = some["plain"].escrow.event
    return forge.put(some["plain"], escrow=forge.proven(event, some["plain"].escrow, network=b"\1" * 32))


@caught_by("escrow")
def the_escrow_is_younger_than_its_checkpoint(forge: Forge, some: Receipts) -> Receipt:
    event = some["plain"].escrow.event
    return forge.put(some["plain"], escrow=forge.proven(event, some["plain"].escrow, height=1))


@caught_by("escrow")
def the_escrow_holds_less(forge: Forge, some: Receipts) -> Receipt:
    return with_escrow(forge, some["plain"], escrow_micro=1)


@caught_by("escrow")
def the_escrow_was_opened_for_an_expired_job(forge: Forge, some: Receipts) -> Receipt:
    return with_job(forge, some["plain"], expires_ms=1)


@caught_by("escrow")
def the_agreement_was_changed_after_the_escrow(forge: Forge, some: Receipts) -> Receipt:
    return with_terms(forge, some["plain"], settle_by_ms=2**40 + 2**40)


def test_a_checkpoint_that_an_expired_offer_predates_is_caught(forge: Forge, receipts: Receipts) -> None:
    """The chain binds the escrow to the agreement, so that the requester's node and the ledger must both cheat."""
    late = with_offer(forge, receipts["plain"], expires_ms=1)
    opened = decode(late.escrow.event, EscrowOpened)
    event = replace(opened, agreement=body_digest("agreement", late.agreement.body))
    forged = forge.put(late, escrow=forge.proven(event, late.escrow))
    report = check(forged, network=forge.town.network)
    assert (report.step, "had expired" in report.line) == (7, True)


# 8 members


@caught_by("members")
def a_member_was_passed_over(forge: Forge, some: Receipts) -> Receipt:
    record = some["silent"].rounds[0]
    return forge.put_round(some["silent"], 1, assignments=(record.assignments[0], *record.assignments[2:]))


@caught_by("members")
def members_were_asked_out_of_order(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, assignments=some["plain"].rounds[0].assignments[::-1])


@caught_by("members")
def a_stranger_was_asked(forge: Forge, some: Receipts) -> Receipt:
    asked = some["plain"].rounds[0].assignments
    other = forge.said(asked[2], Assignment, member=forge.town.stranger.node_id)
    return forge.put_round(some["plain"], 1, assignments=(*asked[:2], other))


@caught_by("members")
def a_member_was_asked_twice(forge: Forge, some: Receipts) -> Receipt:
    asked = some["plain"].rounds[0].assignments
    return forge.put_round(some["plain"], 1, assignments=(*asked, asked[0]))


@caught_by("members")
def a_former_member_was_asked_again(forge: Forge, some: Receipts) -> Receipt:
    former = decode(some["split"].rounds[0].assignments[0].body, Assignment).member
    first, *rest = some["split"].rounds[1].assignments
    return forge.put_round(some["split"], 2, assignments=(forge.said(first, Assignment, member=former), *rest))


@caught_by("members")
def a_member_assigned_itself(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].assignments
    own = forge.town.identities[decode(first.body, Assignment).member]
    return forge.put_round(some["plain"], 1, assignments=(forge.said(first, Assignment, own), *rest))


@caught_by("members")
def an_assignment_is_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, assignments=some["other"].rounds[0].assignments)


@caught_by("members")
def an_assignment_of_a_public_job_has_a_wrap(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].assignments
    return forge.put_round(some["plain"], 1, assignments=(forge.said(first, Assignment, wrap=b"key"), *rest))


@caught_by("members")
def an_assignment_of_a_private_job_has_no_wrap(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["private"].rounds[0].assignments
    return forge.put_round(some["private"], 1, assignments=(forge.said(first, Assignment, wrap=b""), *rest))


@caught_by("members")
def the_cohort_root_is_of_others(forge: Forge, some: Receipts) -> Receipt:
    asked = [forge.said(item, Assignment, cohort=b"\1" * 32) for item in some["plain"].rounds[0].assignments]
    return forge.put_round(some["plain"], 1, assignments=tuple(asked))


@caught_by("members")
def members_were_told_of_two_cohorts(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["cancelled"].rounds[0].assignments
    return forge.put_round(some["cancelled"], 1, assignments=(forge.said(first, Assignment, cohort=b"\1" * 32), *rest))


@caught_by("members")
def a_round_asked_nobody(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, assignments=(), acks=(), commits=(), openings=(), close=None)


@caught_by("members")
def an_acknowledgement_is_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, acks=some["other"].rounds[0].acks)


@caught_by("members")
def an_acknowledgement_is_signed_by_another(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].acks
    return forge.put_round(some["plain"], 1, acks=(forge.said(first, Ack, forge.town.node), *rest))


@caught_by("members")
def offers_are_not_in_the_order_of_the_draw(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], offers=some["plain"].offers[::-1])


@caught_by("members")
def the_offer_of_a_drawn_member_is_left_out(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], offers=some["plain"].offers[:-1])


# 9 ballots


def with_close(forge: Forge, receipt: Receipt, number: int = 1, **changes: Any) -> Receipt:
    close = receipt.rounds[number - 1].close
    assert close is not None
    return forge.put_round(receipt, number, close=forge.said(close, RoundClose, **changes))


@caught_by("ballots")
def a_commitment_is_left_out(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, commits=some["plain"].rounds[0].commits[1:])


@caught_by("ballots")
def the_closing_leaves_out_a_commitment(forge: Forge, some: Receipts) -> Receipt:
    """A node that closes its eyes to an honest claim: the commitment that the member signed convicts it."""
    receipt = some["liar"]
    close = decode(receipt.rounds[0].close.body, RoundClose)
    return with_close(forge, receipt, members=close.members[1:], commits=close.commits[1:])


@caught_by("ballots")
def the_closing_lists_another_commitment(forge: Forge, some: Receipts) -> Receipt:
    close = decode(some["plain"].rounds[0].close.body, RoundClose)
    return with_close(forge, some["plain"], commits=(digest("other"), *close.commits[1:]))


@caught_by("ballots")
def the_closing_is_of_another_round(forge: Forge, some: Receipts) -> Receipt:
    return with_close(forge, some["plain"], round=2)


@caught_by("ballots")
def the_closing_is_signed_by_a_member(forge: Forge, some: Receipts) -> Receipt:
    close, member = some["plain"].rounds[0].close, forge.town.identities[some["plain"].offers[0].signer]
    return forge.put_round(some["plain"], 1, close=forge.said(close, RoundClose, member))


@caught_by("ballots")
def a_round_was_both_closed_and_aborted(forge: Forge, some: Receipts) -> Receipt:
    agreement = body_digest("agreement", some["plain"].agreement.body)
    abort = RoundAbort(network=forge.town.network, agreement=agreement, round=1, reason="regret")
    (signed,) = forge.town.sign(forge.town.node, abort)
    return forge.put_round(some["plain"], 1, abort=signed)


@caught_by("ballots")
def a_commitment_is_signed_by_another(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].commits
    return forge.put_round(some["plain"], 1, commits=(forge.said(first, Commit, forge.town.node), *rest))


@caught_by("ballots")
def a_commitment_is_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, commits=some["other"].rounds[0].commits)


@caught_by("ballots")
def a_commitment_answers_another_assignment(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].commits
    return forge.put_round(some["plain"], 1, commits=(forge.said(first, Commit, assignment=b"\1" * 32), *rest))


@caught_by("ballots")
def a_vote_is_copied(forge: Forge, some: Receipts) -> Receipt:
    """The liar's opening, with the body of an honest member in its place."""
    openings = list(some["liar"].rounds[0].openings)
    openings[1] = replace(openings[1], body=openings[0].body)
    return forge.put_round(some["liar"], 1, openings=tuple(openings))


@caught_by("ballots")
def an_opening_is_passed_off_as_another_members(forge: Forge, some: Receipts) -> Receipt:
    first, second, third = some["plain"].rounds[0].openings
    stolen = replace(second, member=first.member)
    return forge.put_round(some["plain"], 1, openings=(stolen, third))


@caught_by("ballots")
def an_opening_has_another_nonce(forge: Forge, some: Receipts) -> Receipt:
    first, *rest = some["plain"].rounds[0].openings
    return forge.put_round(some["plain"], 1, openings=(replace(first, nonce=b"\1" * 32), *rest))


@caught_by("ballots")
def an_opening_is_there_twice(forge: Forge, some: Receipts) -> Receipt:
    openings = some["plain"].rounds[0].openings
    return forge.put_round(some["plain"], 1, openings=(*openings, openings[0]))


@caught_by("ballots")
def openings_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, openings=some["other"].rounds[0].openings)


@caught_by("ballots")
def openings_stand_without_a_closing(forge: Forge, some: Receipts) -> Receipt:
    return forge.put_round(some["plain"], 1, close=None)


@caught_by("ballots")
def the_re_run_choice_is_opened_otherwise(forge: Forge, some: Receipts) -> Receipt:
    return with_close(forge, some["unaudited"], audit_seed=b"\1" * 32)


@caught_by("ballots")
def a_re_run_that_was_due_is_left_out(forge: Forge, some: Receipts) -> Receipt:
    """The first claim was chosen to be re-executed: a closing with it alone is none."""
    receipt = some["audited"]
    record = receipt.rounds[0]
    close = decode(record.close.body, RoundClose)
    alone = forge.said(record.close, RoundClose, members=close.members[:1], commits=close.commits[:1])
    return forge.put_round(receipt, 1, close=alone, commits=record.commits[:1], openings=record.openings[:1])


# 10 verdict


def with_verdict(forge: Forge, receipt: Receipt, **changes: Any) -> Receipt:
    return replace(receipt, verdict=replace(receipt.verdict, **changes))


@caught_by("verdict")
def a_rejected_job_is_shown_as_accepted(forge: Forge, some: Receipts) -> Receipt:
    vote = some["rejected"].rounds[0].openings[0].body.vote
    return with_verdict(forge, some["rejected"], accepted=True, vote=vote, reason="")


@caught_by("verdict")
def another_vote_is_shown_as_accepted(forge: Forge, some: Receipts) -> Receipt:
    return with_verdict(forge, some["liar"], vote=some["liar"].rounds[0].openings[1].body.vote)


@caught_by("verdict")
def a_dissenting_opening_is_left_out(forge: Forge, some: Receipts) -> Receipt:
    openings = some["liar"].rounds[0].openings
    return forge.put_round(some["liar"], 1, openings=(openings[0], *openings[2:]))


@caught_by("verdict")
def a_re_execution_is_claimed_that_was_none(forge: Forge, some: Receipts) -> Receipt:
    return with_verdict(forge, some["unaudited"], reexecuted=True)


@caught_by("verdict")
def the_liar_is_shown_as_agreeing(forge: Forge, some: Receipts) -> Receipt:
    (ended,) = some["liar"].verdict.rounds
    fair = replace(ended, agreed=(*ended.agreed, *ended.dissented), dissented=())
    return with_verdict(forge, some["liar"], rounds=(fair,))


@caught_by("verdict")
def a_round_follows_an_accepted_one(forge: Forge, some: Receipts) -> Receipt:
    """The node draws once more, in the hope of a result it likes better."""
    plain = some["plain"]
    members = [decode(signed.body, Offer).provider for signed in plain.offers[3:6]]
    asked = decode(plain.rounds[0].assignments[0].body, Assignment)
    again = [replace(asked, round=2, member=member) for member in members]
    record = replace(
        plain.rounds[0],
        round=2,
        assignments=tuple(forge.town.sign(forge.town.node, *again)),
        acks=(),
        commits=(),
        openings=(),
        close=None,
    )
    return forge.put(plain, rounds=(*plain.rounds, record))


@caught_by("verdict")
def an_early_round_is_left_out_of_the_verdict(forge: Forge, some: Receipts) -> Receipt:
    return with_verdict(forge, some["split"], rounds=some["split"].verdict.rounds[1:])


# 11 delivery


@caught_by("delivery")
def what_was_delivered_is_the_liars(forge: Forge, some: Receipts) -> Receipt:
    wrong = some["liar"].rounds[0].openings[1].body.result_digest
    return forge.put(some["liar"], delivery=forge.said(some["liar"].delivery, DeliveryAck, result_digest=wrong))


@caught_by("delivery")
def the_delivery_is_acknowledged_for_another_round(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["split"], delivery=forge.said(some["split"].delivery, DeliveryAck, round=1))


@caught_by("delivery")
def a_rejected_job_was_delivered(forge: Forge, some: Receipts) -> Receipt:
    result = some["rejected"].rounds[-1].openings[0].body.result_digest
    place = {
        "agreement": body_digest("agreement", some["rejected"].agreement.body),
        "round": 2,
        "result_digest": result,
    }
    return forge.put(some["rejected"], delivery=forge.said(some["plain"].delivery, DeliveryAck, **place))


# 12 settlement


def with_settlement(forge: Forge, receipt: Receipt, who: Identity | None = None, **changes: Any) -> Receipt:
    """The sequencer (or `who`) signs a log with another settlement."""
    proven = receipt.settlement
    assert proven is not None
    event = replace(decode(proven.event, Settlement), **changes)
    return forge.put(receipt, settlement=forge.proven(event, proven, who))


def payments_of(receipt: Receipt) -> tuple[Payment, ...]:
    assert receipt.settlement is not None
    return decode(receipt.settlement.event, Settlement).payments


@caught_by("settlement")
def the_settlement_is_of_another_job(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], settlement=some["other"].settlement)


@caught_by("settlement")
def the_settlement_is_not_in_the_log(forge: Forge, some: Receipts) -> Receipt:
    proven = some["plain"].settlement
    event = replace(decode(proven.event, Settlement), note="forged")
    return forge.put(some["plain"], settlement=replace(proven, event=forge.proven(event, proven).event))


@caught_by("settlement")
def the_requesters_node_signs_the_settlement(forge: Forge, some: Receipts) -> Receipt:
    return with_settlement(forge, some["plain"], forge.town.node)


@caught_by("settlement")
def the_ledger_pays_a_member_less(forge: Forge, some: Receipts) -> Receipt:
    first, *rest, refund = payments_of(some["plain"])
    paid = (replace(first, amount_micro=1), *rest, replace(refund, amount_micro=refund.amount_micro + 1))
    return with_settlement(forge, some["plain"], payments=paid)


@caught_by("settlement")
def the_ledger_pays_the_liar(forge: Forge, some: Receipts) -> Receipt:
    (ended,) = some["liar"].verdict.rounds
    first, *rest = payments_of(some["liar"])
    return with_settlement(forge, some["liar"], payments=(replace(first, account=ended.dissented[0]), *rest))


@caught_by("settlement")
def the_ledger_keeps_the_refund(forge: Forge, some: Receipts) -> Receipt:
    return with_settlement(forge, some["plain"], payments=payments_of(some["plain"])[:-1])


@caught_by("settlement")
def the_ledger_rules_on_another_verdict(forge: Forge, some: Receipts) -> Receipt:
    return with_settlement(forge, some["plain"], verdict=b"\1" * 32)


@caught_by("settlement")
def the_ledger_calls_an_accepted_job_rejected(forge: Forge, some: Receipts) -> Receipt:
    return with_settlement(forge, some["plain"], accepted=False)


@caught_by("settlement")
def the_ledger_punishes_dissent(forge: Forge, some: Receipts) -> Receipt:
    events = decode(some["liar"].settlement.event, Settlement).reputation
    harsh = tuple(replace(event, kind="equivocated") if event.kind == "dissented" else event for event in events)
    return with_settlement(forge, some["liar"], reputation=harsh)


@caught_by("settlement")
def the_ledger_pays_an_expired_job_to_itself(forge: Forge, some: Receipts) -> Receipt:
    out = sum(item.amount_micro for item in payments_of(some["plain"]))
    own = Payment(
        source=forge.town.requester.node_id,
        account=forge.town.sequencer.node_id,
        amount_micro=out,
        reason="refund",
    )
    return with_settlement(forge, some["plain"], cause="expire", accepted=False, payments=(own,), reputation=())


@caught_by("settlement")
def the_settlement_is_older_than_the_escrow(forge: Forge, some: Receipts) -> Receipt:
    return with_settlement(forge, some["plain"], height=1)


@caught_by("settlement")
def the_settlement_is_younger_than_its_checkpoint(forge: Forge, some: Receipts) -> Receipt:
    return with_settlement(forge, some["plain"], time_ms=2**45)


@caught_by("settlement")
def the_ledger_shows_two_logs_of_one_size(forge: Forge, some: Receipts) -> Receipt:
    """Escrow and settlement each in a log of nine events: two histories in one receipt."""
    plain, proven = some["plain"], some["plain"].settlement
    escrow = forge.proven(plain.escrow.event, plain.escrow, size=9)
    return forge.put(plain, escrow=escrow, settlement=forge.proven(proven.event, proven, size=9))


@caught_by("settlement")
def the_ledgers_log_shrinks(forge: Forge, some: Receipts) -> Receipt:
    proven = some["other"].settlement
    return forge.put(some["other"], settlement=forge.proven(proven.event, proven, size=1))


@caught_by("settlement")
def a_delivered_result_is_settled_as_undelivered(forge: Forge, some: Receipts) -> Receipt:
    return forge.put(some["plain"], settlement=some["plain"].settlement, delivery=None)


# 13 trust


@caught_by("trust")
def an_assumption_is_left_out(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["private"], trust=some["private"].trust[:1] + some["private"].trust[2:])


@caught_by("trust")
def an_assumption_is_worded_otherwise(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["private"], trust=("Nobody sees anything.", *some["private"].trust[1:]))


@caught_by("trust")
def the_trust_list_is_empty(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], trust=())


# 14 simulated


@caught_by("simulated")
def a_simulated_part_is_invented(forge: Forge, some: Receipts) -> Receipt:
    return replace(some["plain"], simulated=("sim-enclave",))


def test_a_simulated_part_that_is_not_named_is_caught_by_step_14() -> None:
    town = Town(providers=3, offer={"simulated": ("sim-enclave",)})
    job = town.job(quorum(3), policy=replace(POLICY, allow=("sim-enclave",)))
    receipt = replace(town.receipt(town.run(job)), simulated=())
    report = check(receipt, network=town.network)
    assert (report.outcome, report.step) == ("invalid", 14)


@pytest.mark.parametrize(("step", "cheat"), TABLE, ids=[f"{step}-{cheat.__name__}" for step, cheat in TABLE])
def test_a_forgery_is_caught_by_its_step(forge: Forge, receipts: Receipts, step: int, cheat: Cheat) -> None:
    report = check(cheat(forge, receipts), network=forge.town.network)
    assert (report.outcome, report.step) == ("invalid", step), report.line
    assert f"INVALID: step {step}, " in report.line
    assert not report.steps[-1].holds
    assert len(report.steps) == step + 1


def test_every_step_has_a_forgery() -> None:
    assert {step for step, _ in TABLE} == set(range(len(STEPS)))


@pytest.mark.parametrize("part", ["job", "agreement", "roster", "escrow", "rounds", "delivery", "settlement", "offers"])
def test_parts_of_another_job_fail(forge: Forge, receipts: Receipts, part: str) -> None:
    """Replay: each part of one valid receipt in the place of another's."""
    other = getattr(receipts["other"], part)
    mixed = forge.put(receipts["plain"], **{part: other})
    if other == getattr(receipts["plain"], part):
        assert part == "roster"
        return
    assert check(mixed, network=forge.town.network).outcome == "invalid"


def signed_inside(plain: Any) -> int:
    """How many signed statements a plain value holds, wherever they are."""
    if isinstance(plain, dict):
        return (plain.get("type") == "signed") + sum(signed_inside(item) for item in plain.values())
    return sum(signed_inside(item) for item in plain) if isinstance(plain, (list, tuple)) else 0


def test_every_signed_statement_is_verified(town: Town, receipts: Receipts) -> None:
    """Step 3 goes through the fields by name: a statement in a field it does not know would be verified by nobody."""
    for receipt in receipts.values():
        found = signed_inside(msgspec.to_builtins(receipt, builtin_types=(bytes,)))
        report = check(receipt, network=town.network)
        assert report.steps[3].sentence.startswith(f"{found} statements")


HARMLESS = ("acks",)
"""An acknowledgement that is left out harms nobody: the trust list says that this may be."""


@pytest.mark.parametrize("name", ["private", "split"])
def test_no_part_can_be_altered_without_keys(town: Town, receipts: Receipts, name: str) -> None:
    """Each leaf changed, each item of a list dropped, doubled, exchanged: never valid, never an exception."""
    plain = msgspec.to_builtins(receipts[name], builtin_types=(bytes,))
    survivors, tried = [], 0
    for path, other in altered(plain):
        try:
            receipt = msgspec.convert(other, Receipt, strict=True)
        except Exception:
            continue
        tried += 1
        report = check(receipt, network=town.network)
        if report.outcome != "invalid":
            survivors.append((report.outcome, path))
    harmless = [path for _, path in survivors if path[-1] == "dropped" and path[-3] in HARMLESS]
    pending = [path for outcome, path in survivors if outcome == "unauthenticated" and path == ("settlement",)]
    assert [path for _, path in survivors if path not in (*harmless, *pending)] == []
    assert tried > 400
