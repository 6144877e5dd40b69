"""Registry, transfers, stakes, offers."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_world import BOND, World, seeded

from quorate.crypto.digests import value_digest
from quorate.errors import InvalidField
from quorate.ledger.invariants import check
from quorate.ledger.reputation import START, moved
from quorate.ledger.state import HOUR_MS, RETAIN_MS, genesis_state
from quorate.model.codec import decode
from quorate.model.ledger_events import Registered
from quorate.model.settlement import ReputationEvent
from quorate.model.transaction import DepositStake, Register, TransferCredits


def transfer(world: World, to: bytes, amount: int, nonce: int = 0) -> TransferCredits:
    return TransferCredits(
        network=world.network,
        to=to,
        amount_micro=amount,
        expires_ms=world.now + 3_600_000,
        nonce=nonce.to_bytes(32, "big"),
    )  # type: ignore[arg-type]


def test_a_registration_proves_itself() -> None:
    world = World()
    reply = world.post(world.stranger, Register(network=world.network, bundle=world.stranger.bundle, role="node"))
    event = decode(reply.events[0].event, Registered)
    assert event.account == world.stranger.node_id
    assert world.balance(world.stranger) == 0
    assert world.state.bundle(world.stranger.node_id) == world.stranger.bundle


def test_a_transfer_moves_money_once_however_often_it_is_posted() -> None:
    """Its answer is kept for longer than it is valid: a copy gets the answer, or is too late."""
    world = World()
    value = transfer(world, world.providers[0].node_id, 500)
    before = world.balance(world.requester), world.balance(world.providers[0])
    assert world.status(world.requester, value) == "ok"
    digest = world.state.digest
    for wait in (0, RETAIN_MS // 2, RETAIN_MS // 2 - 1):
        world.wait(wait)
        assert world.status(world.requester, value) == "ok"
    assert world.state.digest == digest
    world.wait(2 * HOUR_MS)
    assert world.status(world.requester, value) == "too_late"
    assert (world.balance(world.requester), world.balance(world.providers[0])) == (before[0] - 500, before[1] + 500)
    assert world.status(world.requester, transfer(world, world.providers[0].node_id, 500, nonce=1)) == "ok"
    assert world.balance(world.requester) == before[0] - 1000


def test_a_refused_transfer_stays_refused_when_money_comes_later() -> None:
    world = World()
    value = transfer(world, world.requester.node_id, 1_500)
    assert world.status(world.providers[0], value) == "balance_too_low"
    assert world.status(world.requester, transfer(world, world.providers[0].node_id, 5_000)) == "ok"
    world.wait(RETAIN_MS + 2 * HOUR_MS)
    assert world.status(world.requester, transfer(world, world.providers[1].node_id, 1)) == "ok"
    assert world.status(world.providers[0], value) == "too_late"


@pytest.mark.parametrize("term_ms", [1, RETAIN_MS // 3, RETAIN_MS - 1, RETAIN_MS])
def test_a_copy_of_a_transfer_moves_nothing_at_any_time(term_ms: int) -> None:
    world = World()
    value = msgspec.structs.replace(transfer(world, world.providers[0].node_id, 500), expires_ms=world.now + term_ms)
    assert world.status(world.requester, value) == "ok"
    before = world.balance(world.requester)
    for _ in range(60):
        world.wait(HOUR_MS // 2)
        assert world.status(world.requester, value) in ("ok", "too_late")
        assert world.balance(world.requester) == before
    world.wait(RETAIN_MS + 2 * HOUR_MS)
    assert world.status(world.node, transfer(world, world.node.node_id, 1)) == "ok"
    assert len(world.state.answered) == 1, "nothing of it is kept"


@pytest.mark.parametrize(("term_ms", "status"), [(0, "too_late"), (RETAIN_MS + 1, "term_too_long")])
def test_a_transfer_and_a_deposit_have_a_term(term_ms: int, status: str) -> None:
    world = World()
    value = transfer(world, world.providers[0].node_id, 500)
    assert world.status(world.requester, msgspec.structs.replace(value, expires_ms=world.now + term_ms)) == status
    stake = DepositStake(network=world.network, amount_micro=1, expires_ms=world.now + term_ms, nonce=b"\0" * 32)  # type: ignore[arg-type]
    assert world.status(world.requester, stake) == status


def test_another_signer_of_the_same_bytes_is_another_transaction() -> None:
    world = World()
    value = transfer(world, world.node.node_id, 10)
    assert world.status(world.stranger, value) == "signer_unregistered"
    assert world.status(world.requester, value) == "ok"
    assert world.status(world.providers[0], value) == "ok"


def test_a_transfer_to_oneself_changes_nothing() -> None:
    world = World()
    assert world.status(world.node, transfer(world, world.node.node_id, 10)) == "ok"
    assert world.balance(world.node) == 10_000_000


def test_a_deposit_becomes_stake() -> None:
    world = World()
    value = DepositStake(network=world.network, amount_micro=300, expires_ms=world.now + 3_600_000, nonce=b"\0" * 32)  # type: ignore[arg-type]
    assert world.status(world.node, value) == "ok"
    assert (world.balance(world.node), world.stake(world.node)) == (10_000_000 - 300, 20_300)


def test_an_offer_stands_until_it_expires_and_its_place_becomes_free() -> None:
    world = World()
    offer = world.stand(world.providers[0], expires_ms=world.now + 1_000)
    key = value_digest(offer)
    assert key in world.state.offers
    world.wait(2 * HOUR_MS)
    world.stand(world.providers[0])
    assert key not in world.state.offers
    assert len(world.state.accounts[world.providers[0].node_id].offers) == 1
    check(world.state)


def test_the_gate_is_exact() -> None:
    world = World(gate=START)
    world.stand(world.providers[0])
    assert world.state.genesis.reputation_gate == START


def test_scores_move_as_documented() -> None:
    node = seeded("node").node_id
    kinds = {"agreed": START + 79, "withheld": START // 2, "equivocated": 0, "attempted": START, "dissented": START}
    for kind, after in kinds.items():
        assert moved(START, ReputationEvent(node, kind)) == after  # type: ignore[arg-type]
    score = START
    for _ in range(2_000):
        score = moved(score, ReputationEvent(node, "agreed"))
    assert score == 10_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"threshold": (2, 3)}, "threshold"), ({"suites": ("ml-dsa-65",)}, "accounts")],
)
def test_a_genesis_that_no_network_can_start_from_is_refused(changes: dict[str, object], field: str) -> None:
    genesis = msgspec.structs.replace(World().genesis, **changes)
    with pytest.raises(InvalidField) as caught:
        genesis_state(genesis)
    assert caught.value.field == field


def test_a_genesis_with_one_key_twice_is_refused() -> None:
    genesis = World().genesis
    with pytest.raises(InvalidField):
        genesis_state(msgspec.structs.replace(genesis, accounts=(*genesis.accounts, genesis.accounts[0])))
    rich = msgspec.structs.replace(genesis.accounts[0], balance_micro=2**63 - 1)
    with pytest.raises(InvalidField):
        genesis_state(msgspec.structs.replace(genesis, accounts=(rich, *genesis.accounts[1:])))


def test_the_stake_backs_offers() -> None:
    world = World()
    assert world.stake(world.providers[0]) >= BOND
