"""Blocks: durable rows, replay to the same state, quoted events, and what a changed row leads to."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_world import World

from quorate.crypto.merkle import verify
from quorate.errors import InvalidField, MalformedBytes
from quorate.ledger.blocks import BATCH_BYTES_MAX, Block, batches, encode_block, next_context, produce, replay
from quorate.ledger.call import read_transaction
from quorate.ledger.journal import event_leaf
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import decode, encode
from quorate.model.evidence import Proven
from quorate.model.transaction import Register, TransferCredits

ENTROPY = b"\x0a" * 32


def busy() -> World:
    """A world with a history of every kind of event."""
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    assert world.status(world.node, deal.settle(claims)) == "ok"
    deal = world.open(k=3)
    assert world.status(world.identities[deal.members[0]], deal.force(deal.claim(deal.members[0]))) == "ok"
    assert (
        world.status(world.stranger, Register(network=world.network, bundle=world.stranger.bundle, role="node")) == "ok"
    )
    assert world.status(world.node, deal.settle([deal.claim(deal.members[0])])) != "ok"
    return world


def test_replay_leads_to_the_same_state_and_log() -> None:
    world = busy()
    heights: list[int] = []
    state, journal = replay(world.genesis, world.rows, seen=lambda block, events: heights.append(block.height))
    assert (state.digest, len(journal), journal.root()) == (
        world.state.digest,
        len(world.journal),
        world.journal.root(),
    )
    assert heights == list(range(1, len(world.rows) + 1))
    assert dict(state.accounts.items()) == dict(world.state.accounts.items())
    assert dict(state.escrows.items()) == dict(world.state.escrows.items())
    assert dict(state.answered.items()) == dict(world.state.answered.items())


def test_replay_may_verify_every_quoted_signature_again() -> None:
    world = busy()
    state, _ = replay(world.genesis, world.rows, verify=world.signatures.verify)
    assert state.digest == world.state.digest


def test_blocks_may_be_cut_differently_but_lead_their_own_way() -> None:
    """One block of many is another history than many blocks of one: heights are part of it."""
    world = World()
    transactions = [
        world.tx(
            world.node,
            TransferCredits(
                network=world.network,
                to=world.requester.node_id,
                amount_micro=1,
                expires_ms=world.now + 3_600_000,
                nonce=bytes([n]) * 32,
            ),  # type: ignore[arg-type]
        )
        for n in range(5)
    ]
    context = next_context(world.state, world.now, ENTROPY)
    made = produce(world.state, world.journal, transactions, context, world.signatures.verify)
    assert made.block is not None
    assert made.checkpoint is not None
    assert (made.checkpoint.height, made.checkpoint.state) == (1, made.state.digest)
    assert len(made.block.transactions) == 5
    state, _ = replay(world.genesis, [encode_block(made.block)])
    assert state.digest == made.state.digest
    again = produce(made.state, world.journal, transactions, next_context(made.state, world.now, ENTROPY), refuse_all)
    assert (again.block, again.checkpoint) == (None, None)
    assert again.state is made.state
    assert [reply.answer.status for reply in again.replies] == ["ok"] * 5


def refuse_all(signed: object) -> None:
    raise AssertionError("nothing is verified twice")


def test_a_quoted_event_is_proven_in_the_log_as_it_is_now() -> None:
    world = World()
    deal = world.open()
    job, roster = world.job(), world.roster()
    assert world.status(world.node, world.order(job, world.agreement(job, roster), roster)) == "ok"
    job_again = decode(world.rows[-2], Block).transactions[0]
    tx = read_transaction(job_again.noun, job_again.body, job_again.signer)
    made = produce(world.state, world.journal, [tx], next_context(world.state, world.now, ENTROPY), refuse_all)
    (event,) = made.replies[0].events
    assert decode(event.event, EscrowOpened) == deal.opened
    verify(world.journal.root(), event_leaf(event.event), event.place, len(world.journal), event.path)
    signed = world.signatures.sign(world.sequencer, deal.opened)
    assert decode(encode(event.proven(signed)), Proven).index == event.place


@pytest.mark.parametrize("field", ["time_ms", "entropy", "height", "state", "root", "size", "network"])
def test_a_changed_row_is_reported(field: str) -> None:
    world = busy()
    place = 6  # the block that opens the first escrow
    block = decode(world.rows[place], Block)
    value = getattr(block, field)
    changed = msgspec.structs.replace(block, **{field: value + 1 if isinstance(value, int) else b"\x0b" * 32})
    rows = [*world.rows[:place], encode_block(changed), *world.rows[place + 1 :]]
    with pytest.raises(MalformedBytes):
        replay(world.genesis, rows)


def test_a_left_out_row_and_a_changed_status_are_reported() -> None:
    world = busy()
    with pytest.raises(MalformedBytes):
        replay(world.genesis, world.rows[1:])
    block = decode(world.rows[0], Block)
    posted = msgspec.structs.replace(block.transactions[0], status="too_early")
    with pytest.raises(MalformedBytes):
        replay(world.genesis, [encode_block(msgspec.structs.replace(block, transactions=(posted,)))])
    with pytest.raises(MalformedBytes):
        replay(world.genesis, [world.rows[0] + b"\0"])


def test_time_does_not_go_back() -> None:
    world = busy()
    context = next_context(world.state, 0, ENTROPY)
    assert context.time_ms == world.state.time_ms
    tx = world.tx(world.node, Register(network=world.network, bundle=world.node.bundle, role="cook"))
    with pytest.raises(InvalidField):
        produce(world.state, world.journal, [tx], context._replace(time_ms=world.state.time_ms - 1), refuse_all)


def test_what_was_not_made_durable_is_taken_back() -> None:
    world = World()
    root = world.journal.root()
    tx = world.tx(world.stranger, Register(network=world.network, bundle=world.stranger.bundle, role="node"))
    made = produce(world.state, world.journal, [tx], next_context(world.state, world.now, ENTROPY), refuse_all)
    assert world.journal.root() != root
    world.journal.truncate(made.size_before)
    assert world.journal.root() == root


def test_batches_fit_into_blocks() -> None:
    world = World()
    tx = world.tx(world.stranger, Register(network=world.network, bundle=world.stranger.bundle, role="node"))
    large = tx._replace(body=bytes(BATCH_BYTES_MAX // 3))
    assert [len(batch) for batch in batches([large] * 5)] == [2, 2, 1]
    assert [len(batch) for batch in batches([tx] * 5)] == [5]
    assert list(batches([])) == []


@pytest.mark.parametrize(("noun", "body"), [("offer", b"x"), ("transfer", b"x"), ("transfer", b"\xa0")])
def test_what_is_no_transaction_is_refused(noun: str, body: bytes) -> None:
    with pytest.raises(MalformedBytes):
        read_transaction(noun, body, World().node.node_id)
