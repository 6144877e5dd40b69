"""Tests of the wiki: `quorate contract test contracts/wiki/wiki.py`."""

from contextlib import suppress

import cbor2
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quorate.execute.bytecode.replica import Refused, Replica, account

BAD_TITLE, BAD_EDITORS, UNKNOWN, BAD_PLACE, BAD_TEXT, NO_EDITOR, BAD_SIGNATURE = range(1, 8)
START = bytes(8)


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def keys(*seeds: int) -> list[Ed25519PrivateKey]:
    """Private keys in the order of their public keys, as a page lists its editors."""
    return sorted((Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in seeds), key=public)


EDITORS = keys(1, 2, 3)
STRANGER = keys(4)[0]


class Page:
    """What an editor's program does: signs pieces, as README.md describes them."""

    def __init__(self, replica: Replica, title: bytes = b"Bread") -> None:
        self.self_id = replica.self_id
        self.address = replica.call("create", title, b"".join(map(public, EDITORS))).emitted

    def write(self, editor: int, time: int, before: bytes, text: bytes, key: Ed25519PrivateKey | None = None) -> bytes:
        """One new piece, for `merge`."""
        name = time.to_bytes(7, "big") + bytes([editor])
        message = b"quorate wiki write v1".ljust(24) + self.self_id + self.address + name + before + text
        return cbor2.dumps({name: [0, before, (key or EDITORS[editor]).sign(message) + text]}, canonical=True)

    def strike(self, editor: int, name: bytes, before: bytes) -> bytes:
        """What removes a piece."""
        message = b"quorate wiki strike v1".ljust(24) + self.self_id + self.address + name + before
        return cbor2.dumps({name: [1, before, bytes([editor]) + EDITORS[editor].sign(message)]}, canonical=True)


def named(time: int, editor: int) -> bytes:
    return time.to_bytes(7, "big") + bytes([editor])


def text_of(replica: Replica, page: Page) -> list[bytes]:
    return replica.call("read", page.address).emitted.splitlines()


def hash_of(replica: Replica, page: Page) -> bytes:
    return replica.call("page_hash", page.address).emitted


def test_a_page_is_made_written_and_read(replica):
    page = Page(replica)
    assert text_of(replica, page) == []
    replica.call("merge", page.address, page.write(0, 1, START, b"Flour"))
    replica.call("merge", page.address, page.write(1, 2, named(1, 0), b"Salt"))
    replica.call("merge", page.address, page.write(0, 3, named(1, 0), b"Water"))
    assert text_of(replica, page) == [b"Flour", b"Water", b"Salt"]
    shown = replica.call("pieces", page.address)
    assert shown.value == 3
    assert shown.emitted.startswith(named(1, 0) + b"\0\5Flour" + named(3, 0))
    about = replica.call("about", page.address).emitted
    assert about == b"\5Bread" + b"".join(map(public, EDITORS))


def test_two_offline_editors_merge_to_the_same_page_hash(replica):
    page = Page(replica)
    replica.call("merge", page.address, page.write(0, 1, START, b"Flour"))
    east, west = replica.fork(), replica.fork()
    east.call("merge", page.address, page.write(1, 2, named(1, 0), b"from the east"))
    east.call("merge", page.address, page.strike(1, named(1, 0), START))
    west.call("merge", page.address, page.write(2, 2, named(1, 0), b"from the west"))
    west.call("merge", page.address, page.write(2, 3, named(2, 2), b"and more"))
    assert hash_of(east, page) != hash_of(west, page)
    from_east, from_west = east.call("whole", page.address).emitted, west.call("whole", page.address).emitted
    east.call("merge", page.address, from_west)
    west.call("merge", page.address, from_east)
    assert hash_of(east, page) == hash_of(west, page) == blake3(east.call("whole", page.address).emitted).digest()
    assert text_of(east, page) == text_of(west, page) == [b"from the west", b"and more", b"from the east"]
    east.call("merge", page.address, from_west)
    assert east.state == west.state


def test_what_is_struck_stays_struck(replica):
    page = Page(replica)
    piece = page.write(0, 1, START, b"Flour")
    replica.call("merge", page.address, piece)
    replica.call("merge", page.address, page.strike(2, named(1, 0), START))
    replica.call("merge", page.address, piece)
    assert text_of(replica, page) == []
    assert b"Flour" not in replica.call("whole", page.address).emitted


def test_a_stranger_and_an_editor_in_anothers_name_are_refused(replica):
    page = Page(replica)
    replica.refuses(BAD_SIGNATURE, "merge", page.address, page.write(0, 1, START, b"x", key=STRANGER))
    replica.refuses(BAD_SIGNATURE, "merge", page.address, page.write(0, 1, START, b"x", key=EDITORS[1]))
    replica.refuses(NO_EDITOR, "merge", page.address, page.write(3, 1, START, b"x", key=STRANGER))
    assert text_of(replica, page) == []


def test_no_altered_piece_is_taken(replica):
    page = Page(replica)
    before = replica.state
    for good in (page.write(0, 1, START, b"Flour"), page.strike(0, named(1, 0), START)):
        for at in range(len(good)):
            altered = bytearray(good)
            altered[at] ^= 1
            with suppress(Refused):
                replica.call("merge", page.address, bytes(altered))
                raise AssertionError(f"byte {at} was altered and nobody minded")
    assert replica.state == before


def test_a_piece_for_one_page_or_contract_does_not_pass_in_another(replica):
    page, other = Page(replica), Page(replica, b"Soup")
    piece = page.write(0, 1, START, b"Flour")
    replica.refuses(BAD_SIGNATURE, "merge", other.address, piece)
    elsewhere = replica.fork()
    elsewhere.self_id = account("another wiki")
    elsewhere.refuses(BAD_SIGNATURE, "merge", page.address, piece)


def test_one_bad_piece_refuses_all_that_came_with_it(replica):
    page = Page(replica)
    good, bad = page.write(0, 1, START, b"x"), page.write(1, 2, START, b"y", key=STRANGER)
    replica.refuses(BAD_SIGNATURE, "merge", page.address, b"\xa2" + good[1:] + bad[1:])
    assert text_of(replica, page) == []


def test_a_piece_is_later_than_the_one_before_it(replica):
    page = Page(replica)
    for time, before in [(1, named(1, 0)), (1, named(2, 0)), (0, START), (1, b"short")]:
        replica.refuses(BAD_PLACE, "merge", page.address, page.write(1, time, before, b"x"))
    replica.refuses(BAD_PLACE, "merge", page.address, cbor2.dumps({b"short": [0, START, bytes(65)]}))
    replica.refuses(BAD_TEXT, "merge", page.address, page.write(1, 1, START, b"x" * 1025))
    replica.refuses(BAD_TEXT, "merge", page.address, cbor2.dumps({named(1, 0): [0, START, bytes(63)]}))
    replica.call("merge", page.address, page.write(1, 2**55 - 1, named(2**55 - 2, 0), b"x" * 1024))
    assert text_of(replica, page) == [b"x" * 1024]


def test_pages_have_titles_and_editors_in_one_order(replica):
    first, second = map(public, EDITORS[:2])
    for title in (b"", b"x" * 129):
        replica.refuses(BAD_TITLE, "create", title, first)
    for editors in (b"", first[:31], second + first, first + first, b"".join(bytes([n]) * 32 for n in range(17))):
        replica.refuses(BAD_EDITORS, "create", b"Bread", editors)
    made = replica.call("create", b"Bread", first + second).emitted
    assert made == blake3(b"quorate wiki page v1".ljust(24) + b"\5Bread" + first + second).digest()
    assert replica.call("create", b"Bread", first).emitted != made


def test_a_page_that_is_not_there_is_unknown(replica):
    for function in ("read", "pieces", "whole", "about", "page_hash"):
        replica.refuses(UNKNOWN, function, bytes(32))
        replica.refuses(UNKNOWN, function, b"short")
    replica.refuses(UNKNOWN, "merge", bytes(32), b"\xa0")


def test_making_a_page_again_leaves_it_as_it_is(replica):
    page = Page(replica)
    replica.call("merge", page.address, page.write(0, 1, START, b"Flour"))
    assert Page(replica).address == page.address
    assert text_of(replica, page) == [b"Flour"]


def test_two_pieces_of_one_id_leave_the_same_one_everywhere(replica):
    """An editor that contradicts itself parts nobody."""
    page = Page(replica)
    one, other = page.write(0, 1, START, b"one"), page.write(0, 1, START, b"other")
    forth, back = replica.fork(), replica.fork()
    for first, second, place in ((one, other, forth), (other, one, back)):
        place.call("merge", page.address, first)
        place.call("merge", page.address, second)
    assert hash_of(forth, page) == hash_of(back, page)
    assert len(text_of(forth, page)) == 1


def test_a_piece_behind_one_that_is_missing_stands_at_the_beginning(replica):
    page = Page(replica)
    replica.call("merge", page.address, page.write(0, 1, START, b"first"))
    replica.call("merge", page.address, page.write(1, 3, named(2, 1), b"orphan"))
    assert text_of(replica, page) == [b"orphan", b"first"]
    replica.call("merge", page.address, page.write(1, 2, named(1, 0), b"second"))
    assert text_of(replica, page) == [b"first", b"second", b"orphan"]


def test_a_page_has_room_for_so_much_and_no_more(replica):
    page, before = Page(replica), START
    for time in range(1, 30):
        replica.call("merge", page.address, page.write(0, time, before, b"x" * 1020))
        before = named(time, 0)
    replica.refuses(-16, "merge", page.address, page.write(0, 30, before, b"x" * 1020))
    assert len(text_of(replica, page)) == 29


def test_a_page_of_many_short_pieces_is_read(replica):
    page, pieces, before = Page(replica), {}, START
    for time in range(1, 377):
        pieces |= cbor2.loads(page.write(time % 3, time, before, b"%d" % (time % 10)))
        before = named(time, time % 3)
    whole = cbor2.dumps(pieces, canonical=True)
    answer = replica.call("merge", page.address, whole)
    assert len(whole) > 32_000
    assert answer.cycles < 5_000_000
    replica.call("merge", page.address, whole)
    assert text_of(replica, page) == [b"%d" % (time % 10) for time in range(1, 377)]
