"""Rows that left memory: a ledger that keeps them on disk answers, pays and punishes as one that keeps everything."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_world import BOND, Claim, Deal, World

from quorate.errors import InvalidField, MalformedBytes
from quorate.ledger.blocks import replay
from quorate.ledger.invariants import check
from quorate.ledger.journal import TILE_NODES, Journal
from quorate.ledger.state import HOUR_MS, RETAIN_MS
from quorate.model.transaction import Equivocation, Settle, TransferCredits

PLACES = [False, True]


def settled(archived: bool) -> tuple[World, Deal, list[Claim], Settle]:
    world = World(archived=archived)
    for who in world.providers:
        world.stand(who, expires_ms=world.now + 20 * RETAIN_MS)
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    settle = deal.settle(claims)
    assert world.status(world.node, settle) == "ok"
    return world, deal, claims, settle


def transfer(world: World, amount: int) -> TransferCredits:
    expires = world.now + RETAIN_MS
    to = world.node.node_id
    return TransferCredits(
        network=world.network, to=to, amount_micro=amount, expires_ms=expires, nonce=amount.to_bytes(32, "big")
    )  # type: ignore[arg-type]


def two_commitments(world: World, deal: Deal, claims: list[Claim]) -> Equivocation:
    other = deal.claim(claims[0].member, tag="b").commit
    return Equivocation(network=world.network, first=claims[0].commit, second=other)


def history(archived: bool) -> tuple[World, list[object]]:
    """Transactions of every kind that looks back, through a crash and two days."""
    world, deal, claims, settle = settled(archived)
    money, proof = transfer(world, 500), two_commitments(world, deal, claims)
    seen: list[object] = []
    for step, (who, value) in enumerate(
        [
            (world.requester, money),
            (world.requester, money),
            (world.node, settle),
            (world.providers[0], settle),
            (world.providers[0], proof),
            (world.providers[1], proof),
            (world.requester, money),
            (world.providers[0], proof),
            (world.node, settle),
        ]
    ):
        reply = world.post(who, value)
        seen += [reply, world.state.digest, world.journal.root()]
        if step == 5:
            world.crash()
        if step == 6:
            world.wait(RETAIN_MS + 2 * HOUR_MS)
    return world, seen


def test_nothing_is_different_for_who_asks() -> None:
    everything, expected = history(archived=False)
    world, seen = history(archived=True)
    assert seen == expected
    assert dict(world.state.accounts.items()) == dict(everything.state.accounts.items())
    check(world.state)


def test_what_is_final_is_not_in_memory() -> None:
    world, deal, _, settle = settled(archived=True)
    assert (len(world.state.escrows), len(world.state.jobs)) == (0, 0)
    assert len(world.state.answered) == len(world.providers), "the answers about an escrow lie with it"
    assert world.state.escrows[deal.id].settlement is not None
    assert world.state.jobs[deal.opened.job].agreement == deal.id
    again = world.post(world.node, settle)
    assert (again.answer.status, again.fresh) == ("ok", False)
    still_open = world.open(k=3)
    assert [*dict(world.state.escrows.items())] == [still_open.id]


@pytest.mark.parametrize("archived", PLACES)
def test_a_member_is_slashed_after_the_settlement_and_once_only(archived: bool) -> None:
    world, deal, claims, _ = settled(archived)
    world.wait(HOUR_MS)
    proof, liar = two_commitments(world, deal, claims), claims[0].member
    assert world.status(world.providers[1], proof) == "ok"
    assert world.stake(liar) == 20_000 - BOND
    world.crash()
    assert world.status(world.providers[2], proof) == "already_slashed"
    assert world.stake(liar) == 20_000 - BOND


@pytest.mark.parametrize("archived", PLACES)
def test_a_row_counts_no_longer_than_a_day(archived: bool) -> None:
    world, deal, claims, settle = settled(archived)
    world.wait(RETAIN_MS + 2 * HOUR_MS)
    assert world.status(world.requester, transfer(world, 1)) == "ok"
    assert deal.id not in world.state.escrows
    assert world.status(world.node, settle) == "unknown_agreement"
    assert world.status(world.providers[1], two_commitments(world, deal, claims)) == "unknown_agreement"


@pytest.mark.parametrize("archived", PLACES)
def test_a_job_has_one_escrow_also_when_its_first_is_forgotten(archived: bool) -> None:
    world = World(archived=archived)
    for who in world.providers:
        world.stand(who, expires_ms=world.now + 20 * RETAIN_MS)
    job, roster = world.job(expires_ms=world.now + 10 * RETAIN_MS), world.roster()
    order = world.order(job, world.agreement(job, roster), roster)
    assert world.status(world.node, order) == "ok"
    world.wait(3 * RETAIN_MS)
    other = world.order(job, world.agreement(job, roster), roster)
    assert world.status(world.node, other) == "job_taken"
    world.wait(8 * RETAIN_MS)
    last = world.order(job, world.agreement(job, roster), roster)
    assert world.status(world.node, last) == "job_expired"


def test_rows_of_later_blocks_do_not_change_a_replay() -> None:
    """The same bytes, refused twice with days between: the second row has taken the place of the first."""
    world = World(archived=True)
    poor = transfer(world, 10**9)
    assert world.status(world.node, poor) == "balance_too_low"
    world.wait(RETAIN_MS + 2 * HOUR_MS)
    assert world.status(world.node, poor) == "too_late"
    world.crash()
    assert world.status(world.node, poor) == "too_late"


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_replay_keeps_in_memory_what_the_archive_does_not_hold(damage: str) -> None:
    world, deal, _, settle = settled(archived=True)
    for kind, key in [*world.disk]:
        height, until_ms, value = msgspec.msgpack.decode(world.disk.pop((kind, key)))
        if damage == "altered":
            world.disk[kind, key] = msgspec.msgpack.encode((height, until_ms + 1, value))
    world.crash()
    assert world.state.escrows[deal.id].settlement is not None
    assert (len(world.state.escrows), len(world.state.jobs)) == (1, 1)
    assert world.post(world.node, settle).fresh is False


def test_a_row_that_cannot_be_read_is_reported() -> None:
    world, _, _, settle = settled(archived=True)
    for name in world.disk:
        world.disk[name] = world.disk[name][:-1]
    with pytest.raises(MalformedBytes, match="damaged"):
        world.post(world.node, settle)
    with pytest.raises(MalformedBytes, match="damaged"):
        world.crash()


def test_blocks_alone_lead_to_the_same_ledger() -> None:
    world, _ = history(archived=True)
    state, journal = replay(world.genesis, world.rows)
    assert (state.digest, journal.root()) == (world.state.digest, world.journal.root())


def events(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


SIZE = 5 * TILE_NODES + 3


def test_a_log_whose_tiles_were_put_away_has_the_same_paths() -> None:
    disk: dict[tuple[int, int], bytes] = {}
    whole, journal = Journal(), Journal(lambda level, number: disk[level, number])
    for start in range(0, SIZE, 100):
        new = events(SIZE)[start : start + 100]
        whole.extend(new)
        journal.extend(new)
        for tile in journal.full_tiles():
            disk[tile.level, tile.number] = tile.nodes
        journal.put_away(len(journal))
        assert not [*journal.full_tiles()]
    assert journal.root() == whole.root()
    for index in (0, 1, TILE_NODES - 1, TILE_NODES, 2 * TILE_NODES + 5, SIZE - 1):
        assert journal.path(index) == whole.path(index)


def test_tiles_of_what_is_not_durable_stay() -> None:
    journal, whole = Journal(), Journal()
    for log in (journal, whole):
        log.extend(events(SIZE))
    journal.put_away(TILE_NODES + 10)
    assert min(tile.number for tile in journal.full_tiles() if tile.level == 0) == 1
    journal.truncate(TILE_NODES + 10)
    journal.extend(events(SIZE)[TILE_NODES + 10 :])
    assert journal.root() == whole.root()
    with pytest.raises(InvalidField):
        journal.truncate(TILE_NODES - 1)
    with pytest.raises(InvalidField):
        journal.path(0)
