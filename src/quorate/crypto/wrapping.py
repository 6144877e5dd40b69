"""Keys wrapped for one recipient: HPKE (RFC 9180, base mode) with X-Wing (ML-KEM-768 and X25519,
draft-connolly-cfrg-xwing-kem), HKDF-SHA-256 and AES-256-GCM.

A wrap stays secret as long as one of the two key agreements holds. What it is for (protocol R2) goes into HPKE's info
as one canonical value, so that a wrap moved to another job, sender, recipient or role does not open. Encapsulation
draws its randomness inside the library. HPKE's base mode does not say who sealed: wraps sit inside signed messages.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_256
from hmac import compare_digest
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from quorate.crypto.digests import KEY_BYTES, digest
from quorate.crypto.signing import Draw
from quorate.errors import BadSeal, InvalidField, MalformedBytes
from quorate.model.codec import Value, decode, encode
from quorate.model.units import Bytes32, Digest, Hash, Node

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_ML_KEM_PUBLIC_BYTES = 1184
SEAL_PUBLIC_BYTES = _ML_KEM_PUBLIC_BYTES + 32
WRAP_OVERHEAD = 1120 + 16
"""The encapsulation and the tag."""
WRAPPED_SECRET_MAX = 256

Role = Literal["input", "result", "log"]


class WrapInfo(Value, frozen=True, tag="wrap_info"):
    """What a wrap is for. `key` is the digest of the recipient's seal key, `agreement` that of the agreement (of the
    job, before there is one)."""

    size_max = 1024

    network: Hash
    job: Hash
    agreement: Hash
    sender: Node
    recipient: Node
    key: Hash
    role: Role


class _SecretSeed(Value, frozen=True, tag="secret_seal_key"):
    """The file form of a seal key: the seed, and a digest over it, because a damaged seed is still a seed."""

    size_max = 256

    seed: Bytes32
    check: Hash

    def __repr__(self) -> str:
        return "_SecretSeed()"


def _seed_check(seed: bytes) -> Digest:
    return digest("secret seal key check", seed)


class SealKey:
    """A private key that opens wraps, kept as the 32-byte seed of X-Wing. One per job for results, one short-lived one
    per Offer."""

    __slots__ = ("_private", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        expanded = shake_256(seed).digest(96)
        quantum = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        classical = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._seed = seed
        self._private = hpke.MLKEM768X25519PrivateKey(quantum, classical)
        self.public = quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, draw: Draw) -> SealKey:
        return cls(draw(KEY_BYTES))

    @classmethod
    def from_bytes(cls, data: bytes) -> SealKey:
        """The key in `data`. The error shows nothing of the file's content."""
        try:
            secret = decode(data, _SecretSeed)
        except MalformedBytes:
            secret = None
        if secret is None or not compare_digest(secret.check, _seed_check(secret.seed)):
            raise InvalidField("not a seal key file, or damaged", field="seal key", fix="restore it from a copy")
        return cls(secret.seed)

    def to_bytes(self) -> bytes:
        return encode(_SecretSeed(seed=self._seed, check=_seed_check(self._seed)))

    def __repr__(self) -> str:
        return f"SealKey({seal_key_digest(self.public).hex()[:16]})"

    def __reduce__(self) -> str:
        raise TypeError("a seal key is not pickled")


def seal_key_digest(public: bytes) -> Digest:
    """The digest that names a public seal key in `WrapInfo` and in Offers."""
    return digest("seal key", public)


def wrap_info(info: WrapInfo) -> bytes:
    """HPKE's info: the canonical bytes, which begin with noun and version and name every field."""
    return encode(info)


def check_seal_public(public: bytes) -> None:
    """Raises BadSeal unless `public` is a public seal key."""
    _public_key(public)


def wrap(public: bytes, secret: bytes, info: bytes) -> bytes:
    """`secret` sealed to `public` for the use that `info` names."""
    if len(secret) > WRAPPED_SECRET_MAX:
        raise InvalidField(
            f"{len(secret)} bytes", field="secret", limit=f"{WRAPPED_SECRET_MAX} bytes", fix="wrap a key"
        )
    key = _public_key(public)
    try:
        return _SUITE.encrypt(secret, key, info=info)
    except ValueError:
        raise BadSeal("of small order", field="seal key", evidence=public) from None


def unwrap(private: SealKey, wrapped: bytes, info: bytes) -> bytes:
    """The secret. Raises BadSeal for another recipient, another use, or altered bytes, without saying which."""
    if not WRAP_OVERHEAD <= len(wrapped) <= WRAP_OVERHEAD + WRAPPED_SECRET_MAX:
        raise BadSeal(f"{len(wrapped)} bytes", field="wrap", limit=f"{WRAP_OVERHEAD + WRAPPED_SECRET_MAX} bytes")
    try:
        return _SUITE.decrypt(wrapped, private._private, info=info)
    except (InvalidTag, ValueError):
        raise BadSeal("does not open with this key for this use", field="wrap") from None


@lru_cache(maxsize=256)
def _public_key(public: bytes) -> hpke.MLKEM768X25519PublicKey:
    if len(public) != SEAL_PUBLIC_BYTES:
        raise BadSeal(f"{len(public)} bytes", field="seal key", limit=f"{SEAL_PUBLIC_BYTES} bytes")
    try:
        return hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_ML_KEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(public[_ML_KEM_PUBLIC_BYTES:]),
        )
    except ValueError:
        raise BadSeal("not a public key", field="seal key", evidence=public) from None
