"""Opening an escrow: what is taken, the beacon, idempotency, rosters that change."""

from __future__ import annotations

import msgspec
from tests.support.ledger_world import BALANCE, BOND, LIMITS, Deal, World

from quorate.crypto.digests import digest, value_digest
from quorate.crypto.merkle import verify
from quorate.ledger.escrow import OWN_SEQUENCER
from quorate.ledger.invariants import check
from quorate.ledger.journal import event_leaf
from quorate.ledger.state import HOUR_MS, RETAIN_MS, genesis_state
from quorate.market.pricing import escrow_micro
from quorate.model.agreement import EscrowOpened, LedgerTrust
from quorate.model.codec import decode
from quorate.model.policy import Proof
from quorate.model.transaction import DepositStake, Equivocation


def test_the_escrow_holds_the_worst_case_and_the_bond() -> None:
    world = World()
    deal = world.open(k=3, terms={"rounds": 2})
    assert deal.opened.escrow_micro == 3 * 200 + 3 * 2 * 20 + BOND == escrow_micro(deal.agreement)
    assert world.balance(world.requester) == BALANCE - deal.opened.escrow_micro
    check(world.state)


def test_a_rerun_holds_two_places() -> None:
    world = World()
    deal = world.open("rerun", terms={"rounds": 1})
    assert deal.opened.escrow_micro == 2 * 200 + 2 * 20 + BOND


def test_the_beacon_comes_from_the_block_and_the_agreement() -> None:
    world = World()
    deal = world.open()
    entropy = digest("test entropy", (len(world.rows) - 1).to_bytes(8, "big"))
    assert deal.opened.beacon == digest("beacon", entropy, deal.id)


def test_the_event_proves_itself_under_the_root() -> None:
    world = World()
    for who in world.providers:
        world.stand(who)
    job, roster = world.job(), world.roster()
    reply = world.post(world.node, world.order(job, world.agreement(job, roster), roster))
    (event,) = reply.events
    verify(world.journal.root(), event_leaf(event.event), event.place, len(world.journal), event.path)


def test_one_job_has_one_escrow_and_the_first_event_is_said_again() -> None:
    world = World()
    for who in world.providers:
        world.stand(who)
    job, roster = world.job(), world.roster()
    agreement = world.agreement(job, roster)
    first = world.post(world.node, world.order(job, agreement, roster))
    balance, digest_before = world.balance(world.requester), world.state.digest
    again = world.post(world.node, world.order(job, agreement, roster))
    assert (again.answer.status, again.fresh, again.events[0].event) == ("ok", False, first.events[0].event)
    without = world.post(world.node, world.order(job, agreement, None))
    assert (without.answer.status, without.events[0].event) == ("already_open", first.events[0].event)
    other = world.post(world.node, world.order(job, world.agreement(job, roster, rounds=1), roster))
    assert other.answer.status == "job_taken"
    assert world.balance(world.requester) == balance
    assert digest_before != world.state.digest  # the refusal of the second agreement is remembered
    assert len(world.state.escrows) == 1


def test_a_roster_serves_many_jobs_and_is_posted_once() -> None:
    world = World()
    world.open()
    job, roster = world.job(), world.roster()
    reply = world.post(world.node, world.order(job, world.agreement(job, roster), None))
    assert reply.answer.status == "ok"
    assert decode(reply.events[0].event, EscrowOpened).agreement in world.state.escrows


def test_a_roster_is_checked_again_when_an_offer_ceased_to_stand() -> None:
    world = World()
    deal = world.open()
    liar = deal.cohort()[0]
    proof = Equivocation(network=world.network, first=deal.claim(liar).commit, second=deal.claim(liar, tag="b").commit)
    for _ in range(4):  # the stake of four bonds is gone after four agreements
        assert world.status(world.node, proof) == "ok"
        if world.stake(liar) < BOND:
            break
        deal = world.open()
        proof = Equivocation(
            network=world.network, first=deal.claim(liar).commit, second=deal.claim(liar, tag="b").commit
        )
        if liar not in deal.members:
            break
    job, roster = world.job(), world.roster()
    reply = world.post(world.node, world.order(job, world.agreement(job, roster), roster))
    assert world.state.accounts[liar].score == 0
    assert (reply.answer.status == "offer_not_standing") == (world.stake(liar) < BOND)


def test_a_roster_expires_with_its_first_offer() -> None:
    world = World()
    world.stand(world.providers[0], expires_ms=world.now + 10)
    for who in world.providers[1:]:
        world.stand(who)
    world.open(k=2)
    world.wait(10)
    job, roster = world.job(), world.roster()
    assert world.status(world.node, world.order(job, world.agreement(job, roster), roster)) == "offer_expired"


def test_a_sequencer_of_ones_own_is_accepted_by_name_only() -> None:
    world = World()
    world.genesis = msgspec.structs.replace(world.genesis, ledger=(world.node.bundle,))
    world.state = genesis_state(world.genesis)
    world.network = value_digest(world.genesis)
    world.signatures = type(world.signatures)(world.network)
    for who in world.providers:
        world.stand(who)
    trust = LedgerTrust(kind="sequencer", sequencer=world.node.node_id)
    policy = world.job().core.policy
    job, roster = world.job(), world.roster()
    refused = world.order(job, world.agreement(job, roster, ledger_trust=trust), roster)
    assert world.status(world.node, refused) == "ledger_trust_refused"
    job = world.job(policy=msgspec.structs.replace(policy, allow=(OWN_SEQUENCER,)))
    allowed = world.order(job, world.agreement(job, roster, ledger_trust=trust), roster)
    assert world.status(world.node, allowed) == "ok"


def test_what_is_one_above_a_cap_is_refused_and_the_cap_itself_is_not() -> None:
    for field, cap in (("input_bytes", 1 << 20),):
        for above, status in ((0, "ok"), (1, "above_cap")):
            world = World()
            for who in world.providers:
                world.stand(who)
            job, roster = world.job(**{field: cap + above}), world.roster()
            assert world.status(world.node, world.order(job, world.agreement(job, roster), roster)) == status
    world = World(providers=17)
    for who in world.providers:
        world.stand(who)
    for replicas, status in ((17, "above_cap"), (16, "ok")):
        job, roster = world.job(proof=Proof(method="quorum", replicas=replicas, threshold=0, one_in=1)), world.roster()
        assert world.status(world.node, world.order(job, world.agreement(job, roster), roster)) == status


def test_settled_escrows_and_answers_are_swept_and_nothing_can_be_paid_again() -> None:
    world = World()
    for who in world.providers:
        world.stand(who, expires_ms=world.now + 20 * RETAIN_MS)
    job, roster = world.job(expires_ms=world.now + 10 * RETAIN_MS), world.roster()
    order = world.order(job, world.agreement(job, roster), roster)
    reply = world.post(world.node, order)
    deal = Deal(world, world.agreement(job, roster), decode(reply.events[0].event, EscrowOpened))
    settle = deal.settle([deal.claim(member) for member in deal.cohort()])
    assert world.status(world.node, settle) == "ok"
    paid = world.balance(world.requester)
    world.wait(RETAIN_MS + 2 * HOUR_MS)
    tick = DepositStake(network=world.network, amount_micro=1, expires_ms=world.now + 3_600_000, nonce=b"\0" * 32)  # type: ignore[arg-type]
    assert world.status(world.providers[0], tick) == "ok"
    assert (len(world.state.escrows), len(world.state.answered), len(world.state.jobs)) == (0, 1, 1)
    assert world.status(world.node, settle) == "unknown_agreement"
    assert world.status(world.node, order) == "job_taken"
    world.wait(10 * RETAIN_MS)
    assert world.status(world.node, world.order(job, world.agreement(job, roster), roster)) == "job_expired"
    assert len(world.state.jobs) == 0
    assert world.balance(world.requester) == paid
    check(world.state)
    world.crash()


def test_an_array_is_held_for_the_fuel_of_all_its_elements() -> None:
    """Each element may use the whole limit, so the price of one run would leave the others unpaid."""
    world = World()
    for who in world.providers:
        world.stand(who)
    limits = msgspec.structs.replace(LIMITS, output_bytes=1_000, fuel=10**6)
    job, roster = world.job(limits=limits, elements=50, budget_micro=10**9), world.roster()
    agreement = world.agreement(job, roster)
    one = world.agreement(world.job(limits=limits), roster)
    assert agreement.price_max_micro > one.price_max_micro
    low = msgspec.structs.replace(agreement, price_max_micro=agreement.price_max_micro - 1)
    reply = world.post(world.node, world.order(job, low, roster))
    assert (reply.answer.status, reply.answer.detail) == (
        "price_below_offer",
        f"price {agreement.price_max_micro}",
    )
    poor = world.job(limits=limits, elements=50, budget_micro=3 * one.price_max_micro)
    assert world.post(world.node, world.order(poor, world.agreement(poor, roster), roster)).answer.status == (
        "budget_too_low"
    )
    reply = world.post(world.node, world.order(job, agreement, roster))
    assert reply.answer.status == "ok"
    assert decode(reply.events[0].event, EscrowOpened).escrow_micro >= 3 * agreement.price_max_micro
