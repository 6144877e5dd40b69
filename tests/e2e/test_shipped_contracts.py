"""The contracts that are shipped, on a local network: parties with keys of their own, three executors that agree on
every call, and the ledger's word on what became of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.book import Book
from tests.support.deployed import Deployed, id_of
from tests.support.network import Network, until
from tests.support.shipped import compiled, program_beside

from quorate import Job, Quorate, aconnect
from quorate.api.client import Client
from quorate.crypto.digests import value_digest
from quorate.errors import InvalidField, MissingKey
from quorate.execute.bytecode.replica import Replica
from quorate.jobs.receipts import check
from quorate.model.units import Digest, NodeId

USERS = 3
EPOCH_MS = 3_000
NAME = b"maryam@tehran-mesh"
PRICE = 100_001
TAKEN, UNKNOWN, HAS_DEED, BAD_SIGNATURE = 2, 3, 7, 9


@pytest.fixture(scope="module")
def parties(network: Network) -> tuple[Quorate, ...]:
    """Three users, each with a key and an account of its own."""
    return tuple(network.client(user) for user in ("client", "client-2", "client-3"))


def deploy(name: str, parties: tuple[Quorate, ...]) -> Deployed:
    return Deployed(parties[0].deploy(compiled(name).container), parties)


def offline(deployed: Deployed, name: str) -> Replica:
    """What somebody takes along who goes offline: the deployed contract as it stands."""
    replica = Replica(compiled(name))
    replica.self_id, replica.state, replica.epoch = deployed.self_id, deployed.state, deployed.epoch
    return replica


def assert_receipt(network: Network, deployed: Deployed, said: str, place: int = -1) -> None:
    """The receipt of one of the calls holds, offline, and the ledger says this of the call."""
    who, job = deployed.jobs[place]
    report = check(deployed.parties[who].receipt(job), network=value_digest(network.genesis))
    assert report.outcome == "valid", report
    assert f"the call is {said}" in report.steps[12].sentence
    assert "3 equal claim(s)" in report.line


def test_the_parties_are_different_users(network: Network, parties: tuple[Quorate, ...]) -> None:
    assert len({party.parties.requester for party in parties}) == USERS
    with pytest.raises(MissingKey):
        network.client("client-4")


# Naming


def test_a_name_is_its_owners_until_its_term_is_over(network: Network, parties: tuple[Quorate, ...]) -> None:
    naming = deploy("naming", parties)
    maryam, other, _ = map(id_of, parties)
    naming.call("register", NAME, b"her node", 1_000, sender=maryam)
    assert_receipt(network, naming, "applied")
    naming.refuses(TAKEN, "register", NAME, b"his node", 5, sender=other)
    assert_receipt(network, naming, "failed")
    read = naming.call("resolve", NAME, sender=other)
    assert (read.emitted, naming.call("owner", NAME, sender=other).emitted) == (b"her node", maryam)
    over = naming.call("register", NAME, b"her node", 1, sender=maryam).value
    # The ledger has nothing to do meanwhile, and makes no blocks: time goes on all the same.
    until(lambda: naming.epoch >= over, 30, pause_s=0.2)
    naming.refuses(UNKNOWN, "resolve", NAME, sender=maryam)
    naming.call("register", NAME, b"his node", 1_000, sender=other)
    naming.refuses(TAKEN, "register", NAME, b"her node", 1, sender=maryam)
    assert naming.call("resolve", NAME, sender=maryam).emitted == b"his node"


def test_deeds_of_two_offline_replicas_meet_in_the_deployed_contract(
    network: Network, parties: tuple[Quorate, ...]
) -> None:
    naming, deed = deploy("naming", parties), program_beside("naming")["deed"]
    maryam, other, stranger = map(id_of, parties)
    own, foreign = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2))
    east, west = offline(naming, "naming"), offline(naming, "naming")
    now = east.epoch
    east.call("merge", deed(east, own, maryam, now - 9, now + 1_000, b"east"))
    west.call("merge", deed(west, foreign, other, now - 5, now + 2_000, b"west"))
    assert (east.call("resolve", NAME).emitted, west.call("resolve", NAME).emitted) == (b"east", b"west")
    naming.call("merge", west.call("deeds", NAME).emitted, sender=other)
    naming.call("merge", east.call("deeds", NAME).emitted, sender=maryam)
    met = naming.call("deeds", NAME, sender=stranger).emitted
    assert_receipt(network, naming, "read")
    for replica in (east, west):
        replica.call("merge", met)
        assert replica.state.key == naming.head.state
    assert naming.call("resolve", NAME).emitted == b"east"
    naming.refuses(HAS_DEED, "register", NAME, b"mine now", 5, sender=other)
    forged = deed(east, foreign, other, now - 20, now + 3_000, b"x").replace(b"\1x", b"\1y")
    naming.refuses(BAD_SIGNATURE, "merge", forged, sender=other)
    naming.call("register", NAME, b"east", 1_000, sender=maryam)


# Forum


def test_a_forum_is_appended_to_and_moderated(network: Network, parties: tuple[Quorate, ...]) -> None:
    forum, chain = deploy("forum", parties), program_beside("forum")["chain"]
    owner, moderator, troll = map(id_of, parties)
    not_allowed, banned, written, hidden = 4, 5, 6, 9
    forum.call("found", b"garden", sender=owner)
    forum.call("appoint", b"garden", moderator, sender=owner)
    posts = [(owner, b"When do tomatoes go out?"), (troll, b"rude")]
    for number, (who, text) in enumerate(posts):
        assert forum.call("post", b"garden", number, text, sender=who).value == number + 1
    assert_receipt(network, forum, "applied")
    for who in (owner, troll):
        forum.refuses(written, "post", b"garden", 0, b"edited", sender=who)
    forum.refuses(not_allowed, "ban", b"garden", moderator, sender=troll)
    forum.call("ban", b"garden", troll, sender=moderator)
    forum.refuses(banned, "post", b"garden", 2, b"ruder", sender=troll)
    assert_receipt(network, forum, "failed")
    epochs = [forum.call("read", b"garden", number).value for number in range(2)]
    forum.call("hide", b"garden", 1, 1, sender=moderator)
    forum.refuses(hidden, "read", b"garden", 1, sender=troll)
    assert forum.call("author", b"garden", 1).emitted == troll
    log = [(epoch, who, text) for epoch, (who, text) in zip(epochs, posts, strict=True)]
    assert forum.call("head", b"garden").emitted == chain(log)


# Marketplace


class Market:
    """The marketplace with what its parties had on the ledger before their calls."""

    def __init__(self, network: Network, parties: tuple[Quorate, ...]) -> None:
        self.contract = deploy("marketplace", parties)
        self.seller, self.buyer, self.arbiter = map(id_of, parties)
        self._network = network
        self._names = {id_of(party): party.parties.requester for party in parties}
        self._before = self._balances(network.book())

    def bought(self) -> int:
        """The number of something that was listed and bought."""
        call = self.contract.call
        number = call("list_item", self.arbiter, PRICE, b"bicycle", b"blue", sender=self.seller).value
        call("buy", number, sender=self.buyer, deposit=PRICE)
        assert self.held() == PRICE
        return number

    def held(self) -> int:
        """What the contract's account has, by the ledger replayed from its first block, which adds up."""
        return self._network.book().state.contracts[Digest(bytes.fromhex(self.contract.contract))].balance_micro

    def assert_gained(self, seller: int, buyer: int) -> None:
        """What came of it for each, beside what each has paid for runs; nothing is left in the contract."""
        book, gains = self._network.book(), {self.seller: seller, self.buyer: buyer, self.arbiter: 0}
        after = self._balances(book)
        for who, gained in gains.items():
            assert after[who] + self.contract.fees_micro(book, who) - self._before[who] == gained
        assert self.held() == 0
        self.contract.refuses(1, "show", 0)

    def _balances(self, book: Book) -> dict[bytes, int]:
        return {short: book.balance_micro(name) for short, name in self._names.items()}


def test_an_escrow_is_released(network: Network, parties: tuple[Quorate, ...]) -> None:
    market = Market(network, parties)
    call, refuses = market.contract.call, market.contract.refuses
    number = call("list_item", market.arbiter, PRICE, b"bicycle", b"blue", sender=market.seller).value
    too_little, not_allowed, too_early = 4, 2, 8
    refuses(too_little, "buy", number, sender=market.buyer, deposit=PRICE - 1)
    refuses(not_allowed, "buy", number, sender=market.seller, deposit=PRICE)
    call("buy", number, sender=market.buyer, deposit=PRICE + 7)
    assert_receipt(network, market.contract, "applied")
    assert market.held() == PRICE
    for who in (market.seller, market.arbiter):
        refuses(not_allowed, "release", number, sender=who)
    refuses(too_early, "collect", number, sender=market.seller)
    assert market.held() == PRICE
    call("release", number, sender=market.buyer)
    assert_receipt(network, market.contract, "applied")
    market.assert_gained(PRICE, -PRICE)


def test_an_escrow_is_refunded(network: Network, parties: tuple[Quorate, ...]) -> None:
    market = Market(network, parties)
    number = market.bought()
    market.contract.refuses(2, "refund", number, sender=market.buyer)
    market.contract.call("refund", number, sender=market.seller)
    market.assert_gained(0, 0)


def test_a_dispute_is_resolved_by_the_arbiter_alone(network: Network, parties: tuple[Quorate, ...]) -> None:
    market, share = Market(network, parties), 40_000
    number = market.bought()
    market.contract.call("dispute", number, sender=market.buyer)
    for who in (market.seller, market.buyer):
        market.contract.refuses(2, "resolve", number, PRICE, sender=who)
    market.contract.call("resolve", number, share, sender=market.arbiter)
    market.assert_gained(share, -share)


# Wiki


def test_editors_who_were_offline_have_the_page_hash_of_the_deployed_wiki(
    network: Network, parties: tuple[Quorate, ...]
) -> None:
    wiki, program = deploy("wiki", parties), program_beside("wiki")
    page = program["Page"](wiki)
    named, start, stranger = program["named"], program["START"], program["STRANGER"]
    wiki.call("merge", page.address, page.write(0, 1, start, b"Flour"))
    east, west = offline(wiki, "wiki"), offline(wiki, "wiki")
    east.call("merge", page.address, page.write(1, 2, named(1, 0), b"from the east"))
    east.call("merge", page.address, page.strike(1, named(1, 0), start))
    west.call("merge", page.address, page.write(2, 2, named(1, 0), b"from the west"))
    hashes = {one.call("page_hash", page.address).emitted for one in (east, west, wiki)}
    assert len(hashes) == 3
    ann, ben, _ = map(id_of, parties)
    wiki.call("merge", page.address, west.call("whole", page.address).emitted, sender=ben)
    wiki.call("merge", page.address, east.call("whole", page.address).emitted, sender=ann)
    assert_receipt(network, wiki, "applied")
    wiki.refuses(7, "merge", page.address, page.write(0, 4, start, b"x", key=stranger), sender=ben)
    met = wiki.call("whole", page.address).emitted
    for replica in (east, west):
        replica.call("merge", page.address, met)
        assert replica.state.key == wiki.head.state
    hashes = {one.call("page_hash", page.address).emitted for one in (east, west, wiki)}
    assert len(hashes) == 1
    assert wiki.call("read", page.address, sender=ben).emitted == b"from the west\nfrom the east\n"


# Groups


def test_who_was_removed_reads_nothing_more_and_who_is_new_nothing_of_before(
    network: Network, parties: tuple[Quorate, ...]
) -> None:
    groups, program = deploy("groups", parties), program_beside("groups")
    group, no_wrap, rotate_first = b"orchard", 10, 11
    admin = program["Admin"](groups, "admin", id_of(parties[0]))
    ann, ben = (program["Person"](groups, name, id_of(parties[at])) for at, name in ((1, "ann"), (2, "ben")))
    groups.call("found", group, sender=admin.id)
    groups.call("add", group, ann.id, sender=admin.id)
    admin.rotate(1)
    ann.learn(1)
    before = admin.say(b"before ben")
    assert ann.hear(before) == b"before ben"
    groups.call("remove", group, ann.id, sender=admin.id)
    groups.call("add", group, ben.id, sender=admin.id)
    groups.refuses(rotate_first, "send", group, 1, b"x", sender=admin.id)
    admin.rotate(2)
    assert_receipt(network, groups, "read")
    ben.learn(2)
    after = ben.say(b"without ann")
    assert_receipt(network, groups, "applied")
    assert admin.hear(after) == b"without ann"
    groups.refuses(no_wrap, "wrap", group, 2, sender=ann.id)
    groups.refuses(no_wrap, "wrap", group, 1, sender=ben.id)
    assert_cannot_read(program, ann, after, own=1)
    assert_cannot_read(program, ben, before, own=2)


def assert_cannot_read(program: dict[str, Any], person: Any, record: bytes, own: int) -> None:
    """No key that it has opens the message, and of all wraps in the state, which is public, its key for wraps opens
    only the one that was made for it."""
    assert not person.tries(record)
    wraps = {key: value for key, value in person.replica.state.entries if key[:1] == b"w"}
    assert len(wraps) == 4
    for key, wrapped in wraps.items():
        for number in (1, 2):
            mine = key.endswith(own.to_bytes(8, "little") + person.id) and number == own
            program["opens_for"](person, wrapped, number, expected=mine)


# Access


def test_every_role_may_do_what_it_may_and_nothing_else(network: Network, parties: tuple[Quorate, ...]) -> None:
    access = deploy("access", parties)
    owner, someone, stranger = map(id_of, parties)
    note, forbidden, reader, writer = b"minutes", 3, 1, 2
    access.call("create", note, b"value", sender=owner)
    assert_receipt(network, access, "applied")
    doing = {"read": (note,), "write": (note, 1, b"changed"), "grant": (note, someone, writer), "remove": (note,)}
    for function, arguments in doing.items():
        access.refuses(forbidden, function, *arguments, sender=stranger)
    access.call("grant", note, someone, reader, sender=owner)
    assert access.call("read", note, sender=someone).emitted == b"value"
    for function in ("write", "grant", "remove"):
        access.refuses(forbidden, function, *doing[function], sender=someone)
    access.call("grant", note, someone, writer, sender=owner)
    assert access.call("write", note, 1, b"changed", sender=someone).value == 2
    for function in ("grant", "remove"):
        access.refuses(forbidden, function, *doing[function], sender=someone)
    assert access.call("rights", note, someone, sender=stranger).value == writer
    access.call("remove", note, sender=owner)
    assert access.state.entries == ()


def test_nobody_acts_as_somebody_else(network: Network, parties: tuple[Quorate, ...]) -> None:
    """Whatever its arguments are, a call is its signer's; and a job that names another requester is not taken."""
    access = deploy("access", parties)
    owner, stranger = parties[0].parties.requester, id_of(parties[1])
    note, forbidden, version = b"minutes", 3, 1
    access.call("create", note, b"value", sender=owner[:16])
    for arguments in ((note, owner[:16], 3), (note, stranger, 3), (note, owner[:16] + stranger, 3)):
        access.refuses(forbidden, "grant", *arguments, sender=stranger)
    access.refuses(forbidden, "write", note, version, owner[:16], sender=stranger)

    async def forge() -> None:
        async with await aconnect(network.home, "client-2") as honest:
            forger = as_requester(honest, owner)
            head = await forger.contract(access.contract)
            await forger.submit(Job.builder().call(head, "remove", note).replication(3).build())

    before = access.head
    with pytest.raises(InvalidField) as refused:
        asyncio.run(forge())
    assert refused.value.field == "requester"
    assert access.head == before
    assert access.call("read", note, sender=owner[:16]).emitted == b"value"


def as_requester(client: Client, other: NodeId) -> Client:
    """The client with its own keys, whose jobs say that they are another's."""
    named = client.parties._replace(requester=other)
    return Client(named, client._notary, client._keyring, client._courier)
