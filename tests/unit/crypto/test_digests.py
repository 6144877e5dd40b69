"""Digests: the official BLAKE3 vectors, domains that keep apart, framing without collisions."""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from quorate.crypto import digests
from quorate.crypto.digests import blob_digest, body_digest, digest, digest_of_pairs, hkdf, keyed, value_digest, xof
from quorate.model.codec import encode
from quorate.model.identity import Suite


def frame(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def test_blake3_official_vectors(vector):
    vectors = vector("blake3_official")
    for case in vectors["cases"]:
        data = bytes(at % 251 for at in range(case["input_len"]))
        size = len(case["hash"]) // 2
        assert blob_digest(data).hex() == case["hash"][:64]
        assert blake3(data).hexdigest(length=size) == case["hash"]
        assert blake3(data, key=vectors["key"].encode()).hexdigest(length=size) == case["keyed_hash"]
        assert blake3(data, derive_key_context=vectors["context"]).hexdigest(length=size) == case["derive_key"]


def test_digest_is_derive_key_mode_over_framed_parts():
    expected = blake3(frame(b"one", b"", b"three"), derive_key_context="quorate v1 some noun")
    assert digest("some noun", b"one", b"", b"three") == expected.digest()
    assert xof("some noun", 100, b"one", b"", b"three") == expected.digest(length=100)


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("size", [0, 1, 32, 4095, 4096, 70_000])
def test_any_number_of_parts_of_any_size_is_framed_alike(count: int, size: int):
    parts = [bytes([at]) * size for at in range(count)]
    assert digest("counted", *parts) == blake3(frame(*parts), derive_key_context="quorate v1 counted").digest()


@pytest.mark.parametrize("left", [0, 31, 32, 33])
@pytest.mark.parametrize("right", [0, 31, 32, 33])
def test_a_digest_of_a_pair_is_that_of_two_parts(left: int, right: int):
    of_pair = digest_of_pairs("pair")
    for _ in range(2):  # the second finds what the first put back
        assert of_pair(b"l" * left, b"r" * right) == digest("pair", b"l" * left, b"r" * right)


def test_threads_do_not_share_a_hasher():
    """Large parts are hashed without the interpreter's lock, so that another thread runs meanwhile."""
    parts = [bytes([at]) * (1 << 20) for at in range(16)]
    expected = [blake3(frame(part), derive_key_context="quorate v1 threads").digest() for part in parts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda part: digest("threads", part), parts)) == expected


def test_a_part_that_is_no_bytes_spoils_nothing():
    with pytest.raises(TypeError):
        digest("spoilt", "text")  # type: ignore[arg-type]
    assert digest("spoilt", b"a") == blake3(frame(b"a"), derive_key_context="quorate v1 spoilt").digest()


def test_domains_named_by_peers_do_not_pile_up():
    for number in range(5000):
        assert digest(f"named by a peer {number}") != digest("ours")
    assert len(digests._HASHERS) <= 1024


def test_keyed_is_keyed_mode_over_domain_and_parts():
    key = bytes(range(32))
    assert keyed(key, "kc", b"part") == blake3(frame(b"kc", b"part"), key=key).digest()


def test_a_digest_is_the_same_when_asked_twice():
    assert digest("cached", b"a") == digest("cached", b"a")
    assert digest("cached", b"b") != digest("cached", b"a")


def test_a_key_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError):
        keyed(b"short", "kc", b"part")


def test_value_digest_takes_the_noun_as_domain(identities):
    bundle = identities[Suite.ED25519].bundle
    assert value_digest(bundle) == digest("key_bundle", encode(bundle)) == body_digest("key_bundle", encode(bundle))


def test_hkdf_depends_on_key_and_domain():
    keys = {hkdf(bytes(32), "out"), hkdf(bytes(32), "in"), hkdf(b"\1" * 32, "out")}
    assert len(keys) == 3
    assert len(hkdf(bytes(32), "out", 48)) == 48


def test_hkdf_is_rfc_5869_with_empty_salt():
    extracted = hmac.digest(bytes(32), b"\7" * 32, hashlib.sha256)
    assert hkdf(b"\7" * 32, "out") == hmac.digest(extracted, b"quorate v1 out\1", hashlib.sha256)


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_two_lists_of_parts_have_one_digest_only_when_equal(left: list[bytes], right: list[bytes]):
    assert (digest("property", *left) == digest("property", *right)) == (left == right)


def test_domains_keep_apart():
    assert digest("one", b"part") != digest("two", b"part")
    assert keyed(bytes(32), "one", b"part") != keyed(bytes(32), "two", b"part")
    assert digest("one", b"part") != digest("one part")
