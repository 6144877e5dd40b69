"""Identities and signatures: Ed25519 (RFC 8032), ML-DSA (FIPS 204) and both at once (protocol R9).

What is signed is one framed statement: domain, network, suite, NodeId, digest. Both components of a hybrid sign the
same statement, so a component signature cannot be cut out and used where another suite, identity, network or noun is
expected. ML-DSA signing is hedged with randomness of the library's own; signatures of one statement differ and their
bytes are never compared.

Public keys are checked once and cached: `cryptography` accepts Ed25519 keys of small order, under which anyone can sign
anything, so every Ed25519 key must also be a point of the prime-order group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from nacl.bindings import crypto_core_ed25519_is_valid_point

from quorate.crypto.digests import KEY_BYTES, digest, value_digest
from quorate.errors import BadSignature, InvalidField, MalformedBytes
from quorate.model.codec import Value, decode, encode
from quorate.model.identity import PUBLIC_BYTES, SIGNATURE_BYTES, KeyBundle, Suite
from quorate.model.units import Digest, Hash, KeyBytes, NodeId

Draw = Callable[[int], bytes]
"""Takes a size and returns that many bytes of entropy."""

MlDsaPublic = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
MlDsaPrivate = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey

_ML_DSA: dict[Suite, tuple[Callable[[bytes], MlDsaPublic], Callable[[bytes], MlDsaPrivate]]] = {
    Suite.ML_DSA_44: (mldsa.MLDSA44PublicKey.from_public_bytes, mldsa.MLDSA44PrivateKey.from_seed_bytes),
    Suite.ML_DSA_65: (mldsa.MLDSA65PublicKey.from_public_bytes, mldsa.MLDSA65PrivateKey.from_seed_bytes),
    Suite.ML_DSA_87: (mldsa.MLDSA87PublicKey.from_public_bytes, mldsa.MLDSA87PrivateKey.from_seed_bytes),
    Suite.ED25519_ML_DSA_65: (mldsa.MLDSA65PublicKey.from_public_bytes, mldsa.MLDSA65PrivateKey.from_seed_bytes),
}


class _PublicKeys(NamedTuple):
    ed25519: ed25519.Ed25519PublicKey | None
    ml_dsa: MlDsaPublic | None


class _SecretKeys(Value, frozen=True, tag="secret_keys"):
    """The file form of an identity: the seeds of its components, and a digest over them, because a damaged seed is
    still a seed, of somebody else.
    """

    size_max = 512

    suite: Suite
    ed25519: KeyBytes
    ml_dsa: KeyBytes
    check: Hash

    def __repr__(self) -> str:
        return f"_SecretKeys({self.suite})"


@lru_cache(maxsize=8192)
def _public_keys(bundle: KeyBundle) -> _PublicKeys:
    try:
        classical = ed25519.Ed25519PublicKey.from_public_bytes(bundle.ed25519) if bundle.ed25519 else None
        quantum = _ML_DSA[bundle.suite][0](bundle.ml_dsa) if bundle.ml_dsa else None
    except ValueError:
        raise BadSignature("not a public key", field="bundle", evidence=encode(bundle)) from None
    if bundle.ed25519 and not crypto_core_ed25519_is_valid_point(bundle.ed25519):
        raise BadSignature("not in the prime-order group", field="ed25519", evidence=bundle.ed25519)
    return _PublicKeys(classical, quantum)


def check_bundle(bundle: KeyBundle) -> None:
    """Raises BadSignature when a key of the bundle is no key, or an Ed25519 key is of small or mixed order."""
    _public_keys(bundle)


@lru_cache(maxsize=8192)
def node_id(bundle: KeyBundle) -> NodeId:
    """The digest of the bundle."""
    return NodeId(value_digest(bundle))


def refuse_shared_component(bundle: KeyBundle, registered: KeyBundle) -> None:
    """For registration: a component key never serves a second identity. Raises InvalidField when `bundle` has a key of
    `registered`."""
    for name in ("ed25519", "ml_dsa"):
        if getattr(bundle, name) and getattr(bundle, name) == getattr(registered, name) and bundle != registered:
            raise InvalidField("already a component of another identity", field=name, fix="make fresh keys")


def _statement(domain: str, network: bytes, suite: Suite, signer: bytes, signed: bytes) -> bytes:
    parts = (b"quorate v1 signature", domain.encode(), network, suite.encode(), signer, signed)
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _seed_check(suite: Suite, ed25519_seed: bytes, ml_dsa_seed: bytes) -> Digest:
    return digest("secret keys check", suite.encode(), ed25519_seed, ml_dsa_seed)


def _bad_key_file(fault: str) -> InvalidField:
    return InvalidField(fault, field="identity key", fix="restore the key file from a copy")


class Identity:
    """Private keys of one node or person. Shows no secret in its repr; `to_bytes` is the only way out, for a file of
    mode 0600."""

    __slots__ = ("_classical", "_quantum", "_seeds", "bundle", "node_id")

    def __init__(self, suite: Suite, ed25519_seed: bytes, ml_dsa_seed: bytes) -> None:
        sizes = tuple(KEY_BYTES if size else 0 for size in PUBLIC_BYTES[suite])
        if (len(ed25519_seed), len(ml_dsa_seed)) != sizes:
            raise _bad_key_file("a seed of the wrong size")
        self._seeds = (ed25519_seed, ml_dsa_seed)
        self._classical = ed25519.Ed25519PrivateKey.from_private_bytes(ed25519_seed) if ed25519_seed else None
        self._quantum = _ML_DSA[suite][1](ml_dsa_seed) if ml_dsa_seed else None
        self.bundle = KeyBundle(
            suite=suite,
            ed25519=self._classical.public_key().public_bytes_raw() if self._classical else b"",
            ml_dsa=self._quantum.public_key().public_bytes_raw() if self._quantum else b"",
        )
        self.node_id = node_id(self.bundle)

    @classmethod
    def generate(cls, suite: Suite, draw: Draw) -> Identity:
        """New keys. Each component's seed is drawn anew and passed through a digest that names suite and component, so
        that even repeated entropy never gives one component key to two suites.
        """
        seeds = [
            digest("identity seed", suite.encode(), name, draw(KEY_BYTES)) if size else b""
            for name, size in zip((b"ed25519", b"ml_dsa"), PUBLIC_BYTES[suite], strict=True)
        ]
        return cls(suite, *seeds)

    @classmethod
    def from_bytes(cls, data: bytes) -> Identity:
        """The identity in `data`. The error shows nothing of the file's content."""
        try:
            secret = decode(data, _SecretKeys)
        except MalformedBytes:
            raise _bad_key_file("not an identity key file") from None
        if not compare_digest(secret.check, _seed_check(secret.suite, secret.ed25519, secret.ml_dsa)):
            raise _bad_key_file("damaged")
        return cls(secret.suite, secret.ed25519, secret.ml_dsa)

    def to_bytes(self) -> bytes:
        suite, (classical, quantum) = self.bundle.suite, self._seeds
        check = _seed_check(suite, classical, quantum)
        return encode(_SecretKeys(suite=suite, ed25519=classical, ml_dsa=quantum, check=check))

    def sign(self, domain: str, network: bytes, signed: Digest) -> bytes:
        """The signature over `signed` as a `domain` of `network`: the Ed25519 part, then the ML-DSA part."""
        statement = _statement(domain, network, self.bundle.suite, self.node_id, signed)
        parts = (key.sign(statement) for key in (self._classical, self._quantum) if key is not None)
        return b"".join(parts)

    def __repr__(self) -> str:
        return f"Identity({self.bundle.suite}, {self.node_id.hex()[:16]})"

    def __reduce__(self) -> str:
        raise TypeError("an identity is not pickled")


def verify(bundle: KeyBundle, domain: str, network: bytes, signed: Digest, signature: bytes) -> None:
    """Raises BadSignature unless every component of the bundle's suite has signed `signed` as a `domain` of
    `network`."""
    keys = _public_keys(bundle)
    classical_size, quantum_size = SIGNATURE_BYTES[bundle.suite]
    if len(signature) != classical_size + quantum_size:
        raise BadSignature(
            f"{len(signature)} bytes",
            field="signature",
            limit=f"{classical_size + quantum_size} bytes for {bundle.suite}",
        )
    statement = _statement(domain, network, bundle.suite, node_id(bundle), signed)
    try:
        if keys.ed25519 is not None:
            keys.ed25519.verify(signature[:classical_size], statement)
        if keys.ml_dsa is not None:
            keys.ml_dsa.verify(signature[classical_size:], statement)
    except InvalidSignature:
        raise BadSignature("does not verify", field="signature", evidence=statement + signature) from None
