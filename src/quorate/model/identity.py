"""Who signs: the suites and the public key bundle whose digest is a NodeId (protocol R9).

A suite belongs to the bundle, never to a single message: whoever knows the NodeId knows which components must verify.
Sizes are those of RFC 8032 (Ed25519) and FIPS 204 (ML-DSA).
"""

from __future__ import annotations

from enum import StrEnum

from quorate.errors import InvalidField
from quorate.model.codec import Value
from quorate.model.units import KeyBytes


class Suite(StrEnum):
    """The signature suites. The hybrid is the default: both components sign and both must verify."""

    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    ED25519_ML_DSA_65 = "ed25519+ml-dsa-65"

    @property
    def post_quantum(self) -> bool:
        """Whether a signature still binds when Ed25519 is broken."""
        return self is not Suite.ED25519


DEFAULT_SUITE = Suite.ED25519_ML_DSA_65

PUBLIC_BYTES: dict[Suite, tuple[int, int]] = {
    Suite.ED25519: (32, 0),
    Suite.ML_DSA_44: (0, 1312),
    Suite.ML_DSA_65: (0, 1952),
    Suite.ML_DSA_87: (0, 2592),
    Suite.ED25519_ML_DSA_65: (32, 1952),
}
"""Sizes of the Ed25519 and the ML-DSA public key of each suite."""

SIGNATURE_BYTES: dict[Suite, tuple[int, int]] = {
    Suite.ED25519: (64, 0),
    Suite.ML_DSA_44: (0, 2420),
    Suite.ML_DSA_65: (0, 3309),
    Suite.ML_DSA_87: (0, 4627),
    Suite.ED25519_ML_DSA_65: (64, 3309),
}
"""Sizes of the Ed25519 and the ML-DSA part of a signature of each suite."""


class KeyBundle(Value, frozen=True, tag="key_bundle"):
    """All public keys of one identity; a component that the suite does not have is empty. Its digest is the NodeId."""

    size_max = 4096

    suite: Suite
    ed25519: KeyBytes
    ml_dsa: KeyBytes

    def __post_init__(self) -> None:
        for name, size in zip(("ed25519", "ml_dsa"), PUBLIC_BYTES[Suite(self.suite)], strict=True):
            if len(getattr(self, name)) != size:
                raise InvalidField(
                    f"{len(getattr(self, name))} bytes", field=name, limit=f"{size} bytes for {self.suite}"
                )
