"""The book of offers: the newest of each provider, older ones by digest, and never more than its room."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.value_types import samples

from quorate.crypto.digests import value_digest
from quorate.market.book import HELD_PER_PROVIDER_MAX, Book, Listing
from quorate.model.codec import encode
from quorate.model.evidence import Signed
from quorate.model.offer import Offer
from quorate.model.units import Digest, Millis, NodeId

OFFER = samples(Offer)["least"]
SIGNED = samples(Signed)["least"]
assert isinstance(OFFER, Offer)
assert isinstance(SIGNED, Signed)


def node(at: int) -> NodeId:
    return NodeId(bytes([at]) * 32)


def offer_of(at: int, issued: int = 1, expires: int = 100, **changes: object) -> Offer:
    made = msgspec.structs.replace(OFFER, provider=node(at), issued_ms=Millis(issued), expires_ms=Millis(expires))
    return msgspec.structs.replace(made, **changes)


def learn(book: Book, offer: Offer) -> bool:
    return book.learn(msgspec.structs.replace(SIGNED, noun="offer", body=encode(offer), signer=offer.provider), offer)


def live(book: Book, now: int = 0, only: set[Digest] | None = None) -> list[Offer]:
    held = {listing.digest for listing in map(book.named, book._by_digest) if listing}
    return [listing.offer for listing in book.live(Millis(now), dict.fromkeys(held if only is None else only, 1))]


def test_a_newer_offer_takes_the_place_and_leaves_the_older_known() -> None:
    book, old, new = Book(), offer_of(1, issued=1), offer_of(1, issued=2)
    assert learn(book, old)
    assert learn(book, new)
    assert live(book) == [new]
    assert book.get(node(1)) == book.named(value_digest(new))
    found = book.named(value_digest(old))
    assert isinstance(found, Listing)
    assert found.offer == old
    assert len(book) == 1


def test_an_older_offer_that_comes_late_does_not() -> None:
    book, old, new = Book(), offer_of(1, issued=1), offer_of(1, issued=2)
    assert learn(book, new)
    assert not learn(book, old)
    assert live(book) == [new]
    assert book.named(value_digest(old)) is not None


def test_the_same_offer_twice_is_one() -> None:
    book, offer = Book(), offer_of(1)
    assert learn(book, offer)
    assert not learn(book, offer)
    assert len(book._by_digest) == 1


def test_what_is_not_there_is_not_found() -> None:
    book = Book()
    assert book.get(node(1)) is None
    assert book.named(Digest(b"\1" * 32)) is None
    assert live(book) == []


def test_only_standing_offers_that_have_not_expired_are_live() -> None:
    book = Book()
    offers = [offer_of(at, expires=at * 10) for at in (3, 1, 2)]
    for offer in offers:
        learn(book, offer)
    assert [offer.provider for offer in live(book)] == [node(1), node(2), node(3)]
    assert [offer.provider for offer in live(book, now=10)] == [node(2), node(3)]
    assert [offer.provider for offer in live(book, now=30)] == []
    assert live(book, only={value_digest(offers[2])}) == [offers[2]]


def test_a_newer_offer_that_does_not_stand_hides_the_older() -> None:
    """What a provider promises last is what it promises."""
    book, old, new = Book(), offer_of(1, issued=1), offer_of(1, issued=2)
    learn(book, old)
    learn(book, new)
    assert live(book, only={value_digest(old)}) == []


def test_a_provider_holds_so_many_and_no_more() -> None:
    book = Book()
    offers = [offer_of(1, issued=at) for at in range(HELD_PER_PROVIDER_MAX + 5)]
    for offer in offers:
        learn(book, offer)
    kept = [offer for offer in offers if book.named(value_digest(offer))]
    assert kept == offers[5:]
    assert len(book._by_digest) == HELD_PER_PROVIDER_MAX


def test_a_full_book_makes_room_for_what_lasts_longer() -> None:
    book = Book(providers_max=2)
    learn(book, offer_of(1, expires=10))
    learn(book, offer_of(2, expires=20))
    assert not learn(book, offer_of(3, expires=10))
    assert not learn(book, offer_of(3, expires=5))
    assert learn(book, offer_of(3, expires=11))
    assert [offer.provider for offer in live(book)] == [node(2), node(3)]
    assert book.get(node(1)) is None
    assert learn(book, offer_of(2, issued=5, expires=1)), "who has a place keeps it"
    assert len(book) == 2


def test_expired_offers_are_forgotten() -> None:
    book = Book()
    for at in (1, 2, 3):
        learn(book, offer_of(at, expires=at * 10))
        learn(book, offer_of(at, issued=2, expires=at * 10 + 5))
    assert book.drop_expired(Millis(15)) == 2
    assert (len(book), book.get(node(1))) == (2, None)
    assert book.drop_expired(Millis(15)) == 0
    assert book.drop_expired(Millis(20)) == 1
    assert book.get(node(2)) is not None
    assert book.drop_expired(Millis(1_000)) == 3
    assert len(book) == len(book._by_digest) == 0


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3), st.integers(1, 9)), max_size=40), st.integers(1, 4))
def test_every_order_of_arrival_leads_to_the_newest(items: list[tuple[int, int, int]], room: int) -> None:
    book = Book(providers_max=room)
    for at, issued, expires in items:
        learn(book, offer_of(at, issued, expires))
        assert len(book) <= room
        assert {listing.digest for held in book._held.values() for listing in held} == set(book._by_digest)
    if room >= 5:
        return
    unlimited = Book()
    for at, issued, expires in items:
        learn(unlimited, offer_of(at, issued, expires))
    for at in range(1, 6):
        newest = unlimited.get(node(at))
        offers = [offer_of(*item) for item in items if item[0] == at]
        expected = max(offers, key=lambda offer: (offer.issued_ms, value_digest(offer)), default=None)
        assert (newest and newest.offer) == expected
