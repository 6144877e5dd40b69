"""Tests of the names: `quorate contract test contracts/naming/naming.py`."""

from contextlib import suppress
from itertools import permutations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quorate.execute.bytecode.replica import Refused, Replica, account

BAD_NAME, TAKEN, UNKNOWN, BAD_TARGET, BAD_TERM, NOT_OWNER, HAS_DEED, CUT_OFF, BAD_SIGNATURE = range(1, 10)
MARYAM, OTHER = account("maryam"), account("other")
NAME = b"maryam@tehran-mesh"
OWN, FOREIGN = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2))


def deed(replica: Replica, key: Ed25519PrivateKey, owner: bytes, since: int, until: int, target: bytes) -> bytes:
    """A deed to NAME, as README.md describes it, signed by `key`."""
    body = until.to_bytes(8, "big") + since.to_bytes(8, "big") + key.public_key().public_bytes_raw() + owner
    body += bytes([len(NAME)]) + NAME + bytes([len(target)]) + target
    return body + key.sign(b"quorate naming deed v1  " + replica.self_id + body)


def test_a_name_is_registered_and_resolved(replica):
    replica.epoch = 5
    assert replica.call("register", NAME, b"here", 10, sender=MARYAM).value == 15
    replica.epoch = 14
    resolved = replica.call("resolve", NAME, sender=OTHER)
    assert (resolved.emitted, resolved.value) == (b"here", 15)
    assert replica.call("owner", NAME).emitted == MARYAM


def test_a_taken_name_is_refused_until_its_term_is_over(replica):
    replica.epoch = 5
    replica.call("register", NAME, b"here", 10, sender=MARYAM)
    replica.epoch = 14
    replica.refuses(TAKEN, "register", NAME, b"there", 1, sender=OTHER)
    replica.epoch = 15
    replica.refuses(UNKNOWN, "resolve", NAME)
    replica.call("register", NAME, b"there", 1, sender=OTHER)
    assert replica.call("resolve", NAME).emitted == b"there"
    replica.refuses(TAKEN, "register", NAME, b"here", 1, sender=MARYAM)


def test_an_owner_renews_moves_and_gives_back(replica):
    replica.epoch = 5
    replica.call("register", NAME, b"a longer target", 10, sender=MARYAM)
    replica.epoch = 9
    assert replica.call("register", NAME, b"short", 10, sender=MARYAM).value == 19
    assert replica.call("resolve", NAME).emitted == b"short"
    replica.refuses(NOT_OWNER, "release", NAME, sender=OTHER)
    replica.call("release", NAME, sender=MARYAM)
    assert replica.state.entries == ()
    replica.refuses(UNKNOWN, "owner", NAME)


def test_what_is_not_a_name_is_refused(replica):
    names = [b"", b"a" * 65, b"Maryam", b"a b", b"@mesh", b"maryam@", b"a@b@c", "maryám".encode(), b"a\0", b"?a"]
    for name in names:
        replica.refuses(BAD_NAME, "register", name, b"here", 1)


def test_targets_and_terms_have_bounds(replica):
    for target in (b"", b"x" * 129):
        replica.refuses(BAD_TARGET, "register", NAME, target, 1)
    for epochs in (0, 10_001, 2**63 - 1):
        replica.refuses(BAD_TERM, "register", NAME, b"x", epochs)
    replica.refuses(-3, "register", NAME, b"x", -1)


def test_the_longest_of_everything_fits(replica):
    replica.epoch = 1
    replica.call("register", b"n" * 64, b"t" * 128, 10_000)
    replica.epoch = 10_000
    assert replica.call("resolve", b"n" * 64).emitted == b"t" * 128


def test_two_offline_replicas_that_meet_settle_on_the_deed_that_began_first(replica):
    replica.epoch = 20
    east, west = replica.fork(), replica.fork()
    east.call("merge", deed(replica, OWN, MARYAM, 12, 100, b"east"))
    west.call("merge", deed(replica, FOREIGN, OTHER, 15, 200, b"west"))
    assert (east.call("resolve", NAME).emitted, west.call("resolve", NAME).emitted) == (b"east", b"west")
    from_east, from_west = east.call("deeds", NAME).emitted, west.call("deeds", NAME).emitted
    east.call("merge", from_west)
    west.call("merge", from_east)
    assert east.state == west.state
    assert west.call("resolve", NAME).emitted == b"east"
    west.epoch = 100
    assert west.call("resolve", NAME).emitted == b"west"


def test_a_key_moves_renews_and_gives_up_its_deed_in_any_order(replica):
    replica.epoch = 20
    history = [
        deed(replica, OWN, MARYAM, 12, 50, b"first"),
        deed(replica, OWN, MARYAM, 12, 60, b"moved"),
        deed(replica, OWN, MARYAM, 12, 61, b""),
        deed(replica, FOREIGN, OTHER, 13, 40, b"after"),
    ]
    for order in permutations(history):
        other = replica.fork()
        for one in order:
            other.call("merge", one)
        assert other.call("resolve", NAME).emitted == b"after"
        assert other.call("deeds", NAME).emitted == history[2] + history[3]


def test_a_deed_that_its_key_did_not_sign_is_refused(replica):
    replica.epoch = 20
    good = deed(replica, OWN, MARYAM, 12, 50, b"here")
    for at in range(len(good)):
        altered = bytearray(good)
        altered[at] ^= 1
        with suppress(Refused):
            replica.call("merge", bytes(altered))
            raise AssertionError(f"byte {at} was altered and nobody minded")
    assert replica.state.entries == ()
    elsewhere = replica.fork()
    elsewhere.self_id = account("another contract")
    elsewhere.refuses(BAD_SIGNATURE, "merge", good)
    replica.call("merge", good)


def test_a_deed_of_the_future_or_without_an_end_is_refused(replica):
    replica.epoch = 20
    for since, until in [(21, 50), (5, 5), (5, 10_021), (5, 2**63)]:
        replica.refuses(BAD_TERM, "merge", deed(replica, OWN, MARYAM, since, until, b"x"))
    replica.refuses(CUT_OFF, "merge", deed(replica, OWN, MARYAM, 5, 50, b"x")[:-1])
    replica.refuses(BAD_TARGET, "merge", deed(replica, OWN, MARYAM, 5, 50, b"x" * 129))


def test_a_name_that_is_registered_stands_above_every_deed(replica):
    replica.epoch = 20
    replica.call("register", NAME, b"registered", 10, sender=OTHER)
    replica.call("merge", deed(replica, OWN, MARYAM, 1, 5_000, b"backdated"))
    assert replica.call("resolve", NAME).emitted == b"registered"
    assert replica.call("owner", NAME).emitted == OTHER


def test_only_the_claimant_registers_a_claimed_name(replica):
    replica.epoch = 20
    replica.call("merge", deed(replica, OWN, MARYAM, 12, 50, b"here"))
    assert replica.call("owner", NAME).emitted == MARYAM
    replica.refuses(HAS_DEED, "register", NAME, b"mine now", 10, sender=OTHER)
    replica.call("register", NAME, b"here", 100, sender=MARYAM)
    replica.epoch = 50
    replica.refuses(TAKEN, "register", NAME, b"mine now", 10, sender=OTHER)


def test_more_keys_than_there_is_room_for_leave_the_greatest_deeds(replica):
    replica.epoch = 20
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in range(20)]
    deeds = [deed(replica, key, MARYAM, 10, 30 + place, b"x") for place, key in enumerate(keys)]
    forth, back = replica.fork(), replica.fork()
    for one in deeds:
        forth.call("merge", one)
    for one in reversed(deeds):
        back.call("merge", one)
    assert forth.state == back.state
    assert forth.call("deeds", NAME).emitted == b"".join(reversed(deeds[12:]))


def test_the_dearest_calls_fit_the_cap(replica):
    replica.epoch = 100
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in range(1, 56)]
    deeds = [deed(replica, key, MARYAM, 10, 130 + place, b"") for place, key in enumerate(keys)]
    assert 8_000 < len(b"".join(deeds)) <= 8192
    replica.call("merge", b"".join(deeds))
    replica.call("merge", b"".join(reversed(deeds)))
    long = [deed(replica, key, MARYAM, 10, 200 + place, b"x" * 128) for place, key in enumerate(keys[:29])]
    replica.call("merge", b"".join(long))
    assert replica.call("resolve", NAME).emitted == b"x" * 128
