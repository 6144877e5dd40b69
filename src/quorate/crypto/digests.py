"""Digests with a domain in each: BLAKE3-256 in derive-key mode, keyed mode and as an extendable output (BLAKE3
specification, 2.3 and 2.6).

The context string is `quorate v1 <domain>`, so that a digest made for one noun is never the digest of another; every
part is preceded by its length in eight bytes, so that no two lists of parts run together. `blob_digest` alone has no
domain: it is the address of content that other tools can compute. HKDF-SHA-256 is RFC 5869.
"""

from __future__ import annotations

from functools import lru_cache

from blake3 import blake3
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quorate.model.codec import Value, encode, noun
from quorate.model.units import DIGEST_BYTES, Digest

KEY_BYTES = 32


@lru_cache(maxsize=1024)
def _prepared(domain: str) -> blake3:
    """A hasher that has taken in the domain. Copying it is cheaper than deriving the context key again."""
    return blake3(derive_key_context=f"quorate v1 {domain}")


_LENGTHS = [size.to_bytes(8, "big") for size in range(1024)]
"""The prefixes of short parts, made once: most parts are digests, names and small values."""


def _framed(parts: tuple[bytes, ...]) -> bytes:
    """The parts with the length of each in front, in one piece: one update costs less than two for each part."""
    pieces: list[bytes] = []
    for part in parts:
        size = len(part)
        pieces += (_LENGTHS[size] if size < 1024 else size.to_bytes(8, "big"), part)
    return b"".join(pieces)


def _absorb(hasher: blake3, parts: tuple[bytes, ...]) -> blake3:
    hasher.update(_framed(parts))
    return hasher


def digest(domain: str, *parts: bytes) -> Digest:
    """The 32-byte digest of `parts` under `domain`."""
    hasher = _prepared(domain).copy()
    hasher.update(_framed(parts))
    return Digest(hasher.digest())


def xof(domain: str, size: int, *parts: bytes) -> bytes:
    """`size` bytes of output for `parts` under `domain`. Not prefixed by `size`: outputs of two sizes share their
    beginning."""
    return _absorb(_prepared(domain).copy(), parts).digest(length=size)


def keyed(key: bytes, domain: str, *parts: bytes) -> Digest:
    """The keyed digest (a MAC and a PRF) of `parts` under `domain`; `key` is 32 bytes."""
    return Digest(_absorb(blake3(key=key), (domain.encode(), *parts)).digest())


def value_digest(value: Value) -> Digest:
    """The digest of a value: its noun is the domain, its canonical bytes the only part."""
    return digest(noun(value), encode(value))


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
