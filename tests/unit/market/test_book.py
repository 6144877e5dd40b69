"""The book: the newest offer of each provider for matching, every offer by digest, and a bound on both."""

from __future__ import annotations

import msgspec
from tests.support.job_town import Town

from quorate.crypto.digests import value_digest
from quorate.market.book import HELD_PER_PROVIDER_MAX, Book
from quorate.model.evidence import Signed
from quorate.model.offer import Offer

TOWN = Town(providers=4)


def made(place: int = 0, **changes: object) -> tuple[Signed, Offer]:
    who = TOWN.providers[place]
    offer = msgspec.structs.replace(TOWN.offer(who), **changes)
    return TOWN.sign(who, offer)[0], offer


def standing(*offers: Offer) -> dict[bytes, int]:
    return {value_digest(offer): 0 for offer in offers}


def test_the_newest_is_matched_and_the_older_still_found_by_digest() -> None:
    book = Book()
    old, new = made(issued_ms=10), made(issued_ms=20)
    assert book.learn(*old)
    assert book.learn(*new)
    both = standing(old[1], new[1])
    assert [listing.offer for listing in book.live(0, both)] == [new[1]]
    assert book.get(new[1].provider).signed == new[0]
    assert book.named(value_digest(old[1])).signed == old[0]
    assert len(book) == 1


def test_an_older_one_that_comes_late_does_not_take_the_place() -> None:
    book = Book()
    old, new = made(issued_ms=10), made(issued_ms=20)
    assert book.learn(*new)
    assert not book.learn(*old)
    assert book.get(new[1].provider).offer == new[1]
    assert book.named(value_digest(old[1])) is not None


def test_the_same_offer_again_changes_nothing() -> None:
    book = Book()
    first = made(issued_ms=10)
    assert book.learn(*first)
    assert not book.learn(*first)
    assert book.drop_expired(first[1].expires_ms) == 1


def test_two_of_one_millisecond_are_decided_alike_whatever_comes_first() -> None:
    one, two = made(issued_ms=10, slots=1), made(issued_ms=10, slots=2)
    books = [Book(), Book()]
    for book, order in zip(books, ((one, two), (two, one)), strict=True):
        for item in order:
            book.learn(*item)
    assert books[0].get(one[1].provider).digest == books[1].get(one[1].provider).digest


def test_what_has_expired_or_does_not_stand_is_not_matched() -> None:
    book = Book()
    signed, offer = made(expires_ms=100)
    book.learn(signed, offer)
    assert [*book.live(99, standing(offer))]
    assert not [*book.live(100, standing(offer))]
    assert not [*book.live(99, {})]


def test_expired_offers_are_dropped_and_nothing_else() -> None:
    book = Book()
    late, alive = made(0, expires_ms=100), made(1, expires_ms=200)
    book.learn(*late)
    book.learn(*alive)
    assert book.drop_expired(100) == 1
    assert len(book) == 1
    assert book.named(value_digest(late[1])) is None
    assert book.get(late[1].provider) is None
    assert book.named(value_digest(alive[1])) is not None


def test_a_full_book_gives_the_place_of_the_first_to_expire_to_one_that_lasts_longer() -> None:
    book = Book(providers_max=2)
    for place, expires in enumerate((300, 200)):
        book.learn(*made(place, expires_ms=expires))
    short, longer = made(2, expires_ms=200), made(3, expires_ms=400)
    assert not book.learn(*short)
    assert book.learn(*longer)
    assert len(book) == 2
    assert book.get(TOWN.providers[1].node_id) is None
    assert book.get(TOWN.providers[0].node_id) is not None


def test_one_provider_cannot_fill_the_book() -> None:
    book = Book()
    offers = [made(issued_ms=place) for place in range(HELD_PER_PROVIDER_MAX + 5)]
    for item in offers:
        book.learn(*item)
    held = [offer for _, offer in offers if book.named(value_digest(offer))]
    assert held == [offer for _, offer in offers[-HELD_PER_PROVIDER_MAX:]]
    ancient = made(issued_ms=0, slots=9)
    assert not book.learn(*ancient)
    assert book.named(value_digest(ancient[1])) is None
