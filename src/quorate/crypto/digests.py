"""Digests with a domain in each: BLAKE3-256 in derive-key mode, keyed mode and as an extendable output (BLAKE3
specification, 2.3 and 2.6).

The context string is `quorate v1 <domain>`, so that a digest made for one noun is never the digest of another; every
part is preceded by its length in eight bytes, so that no two lists of parts run together. `blob_digest` alone has no
domain: it is the address of content that other tools can compute. HKDF-SHA-256 is RFC 5869.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quorate.model.codec import Value, encode, noun
from quorate.model.units import DIGEST_BYTES, Digest

KEY_BYTES = 32


_DOMAINS_MAX = 1024


class _Hashers(dict[str, list[blake3]]):
    """For each domain hashers that have taken it in and nothing else. Whoever takes one out has it alone, and puts it
    back as it was: that is cheaper than to copy one, and much cheaper than to derive the context key again."""

    def __missing__(self, domain: str) -> list[blake3]:
        if len(self) >= _DOMAINS_MAX:  # peers name domains too
            self.clear()
        return self.setdefault(domain, [])


class _Lengths(dict[int, bytes]):
    """What stands in front of a part: its length in eight bytes. Those of short parts are made once: most parts are
    digests, names and small values."""

    def __missing__(self, size: int) -> bytes:
        return size.to_bytes(8, "big")


_HASHERS = _Hashers()
_LENGTHS = _Lengths({size: size.to_bytes(8, "big") for size in range(4096)})
_LENGTH_OF_DIGEST = _LENGTHS[DIGEST_BYTES]


def _fresh(domain: str) -> blake3:
    return blake3(derive_key_context=f"quorate v1 {domain}")


def _framed(parts: tuple[bytes, ...]) -> bytes:
    """The parts with the length of each in front, in one piece: one update costs less than two for each part."""
    match parts:
        case (one,):
            return _LENGTHS[len(one)] + one
        case (one, two):
            return b"".join((_LENGTHS[len(one)], one, _LENGTHS[len(two)], two))
        case (one, two, three):
            return b"".join((_LENGTHS[len(one)], one, _LENGTHS[len(two)], two, _LENGTHS[len(three)], three))
    pieces: list[bytes] = []
    for part in parts:
        pieces += (_LENGTHS[len(part)], part)
    return b"".join(pieces)


def digest(domain: str, *parts: bytes) -> Digest:
    """The 32-byte digest of `parts` under `domain`."""
    hashers = _HASHERS[domain]
    try:
        hasher = hashers.pop()
    except IndexError:
        hasher = _fresh(domain)
    found: Any = hasher.update(_framed(parts)).digest()  # `Digest(...)` would be one call more
    hasher.reset()
    hashers.append(hasher)
    return found  # type: ignore[no-any-return]


def digest_of_pairs(domain: str) -> Callable[[bytes, bytes], Digest]:
    """`digest` under `domain` for two parts, cheaper when both are digests themselves: trees are made of such."""
    hashers = [_fresh(domain)]

    def digest_of_pair(one: bytes, two: bytes) -> Digest:
        if not len(one) == len(two) == DIGEST_BYTES:
            return digest(domain, one, two)
        try:
            hasher = hashers.pop()
        except IndexError:
            hasher = _fresh(domain)
        found: Any = hasher.update(b"".join((_LENGTH_OF_DIGEST, one, _LENGTH_OF_DIGEST, two))).digest()
        hasher.reset()
        hashers.append(hasher)
        return found  # type: ignore[no-any-return]

    return digest_of_pair


def xof(domain: str, size: int, *parts: bytes) -> bytes:
    """`size` bytes of output for `parts` under `domain`. Not prefixed by `size`: outputs of two sizes share their
    beginning."""
    return _fresh(domain).update(_framed(parts)).digest(length=size)


def keyed(key: bytes, domain: str, *parts: bytes) -> Digest:
    """The keyed digest (a MAC and a PRF) of `parts` under `domain`; `key` is 32 bytes."""
    return Digest(blake3(_framed((domain.encode(), *parts)), key=key).digest())


def value_digest(value: Value) -> Digest:
    """The digest of a value: its noun is the domain, its canonical bytes the only part."""
    return digest(noun(value), encode(value))


@lru_cache(maxsize=1024)
def remembered_digest(value: Value) -> Digest:
    """The same for a value that is asked for again and again while its job is under way."""
    return value_digest(value)


def body_digest(noun_of_body: str, body: bytes) -> Digest:
    """The digest of a value that is at hand as received bytes; equal to `value_digest` of what they decode to."""
    return digest(noun_of_body, body)


def blob_digest(data: bytes) -> Digest:
    """Plain BLAKE3-256, the address of content."""
    return Digest(blake3(data).digest())


EMPTY_BLOB = blob_digest(b"")
"""The address of no bytes at all. They need no place in a store and are never fetched."""


def hkdf(key: bytes, domain: str, size: int = DIGEST_BYTES) -> bytes:
    """A key for another use, `size` bytes from a uniform `key`. The salt is empty because the input is already
    uniform."""
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=f"quorate v1 {domain}".encode()).derive(key)
