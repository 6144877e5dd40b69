"""The prime-order group ristretto255 (RFC 9496), through libsodium's `rbcl` binding, with the checks that the binding
leaves out.

Measured traps of rbcl 1.1.2: it leaves a copy of libsodium behind at every import. Its `allow_scalar_zero`
multiplications and its addition answer an invalid point with the identity instead of an error, and scalars above the
group order are reduced without a word. So points and scalars from outside pass `check_point` and `check_scalar` first,
and only what passed is computed with.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path

import rbcl

from quorate.crypto.digests import xof
from quorate.errors import BadCommitment

# Each import of rbcl writes its libsodium, 2.7 MB, to a new temporary file, loads it and leaves the file behind. What
# is loaded stays loaded without its name (not on Windows, where a file in use cannot go).
with contextlib.suppress(OSError):
    Path(import_module("rbcl._sodium").lib_path).unlink()

ORDER = 2**252 + 27742317777372353535851937790883648493
POINT_BYTES = 32
SCALAR_BYTES = 32
IDENTITY = bytes(POINT_BYTES)

Point = bytes
Scalar = bytes


def scalar(number: int) -> Scalar:
    """The scalar of an integer, reduced."""
    return (number % ORDER).to_bytes(SCALAR_BYTES, "little")


def hash_to_scalar(domain: str, *parts: bytes) -> Scalar:
    """64 bytes of output, reduced: the bias is below 2^-259."""
    reduced: bytes = rbcl.crypto_core_ristretto255_scalar_reduce(xof(domain, 64, *parts))
    return reduced


def hash_to_point(domain: str, *parts: bytes) -> Point:
    """The one-way map of RFC 9496, section 4.3.4: nobody knows a discrete logarithm of the result."""
    point: bytes = rbcl.crypto_core_ristretto255_from_hash(xof(domain, 64, *parts))
    return point


def base_times(factor: Scalar) -> Point:
    """The generator times `factor`, zero included."""
    point: bytes = rbcl.crypto_scalarmult_ristretto255_base_allow_scalar_zero(factor)
    return point


def times(factor: Scalar, point: Point) -> Point:
    """A checked point times `factor`, zero included."""
    product: bytes = rbcl.crypto_scalarmult_ristretto255_allow_scalar_zero(factor, point)
    return product


def add(left: Point, right: Point) -> Point:
    total: bytes = rbcl.crypto_core_ristretto255_add(left, right)
    return total


def subtract(left: Point, right: Point) -> Point:
    difference: bytes = rbcl.crypto_core_ristretto255_sub(left, right)
    return difference


def scalar_add(left: Scalar, right: Scalar) -> Scalar:
    total: bytes = rbcl.crypto_core_ristretto255_scalar_add(left, right)
    return total


def scalar_times(left: Scalar, right: Scalar) -> Scalar:
    product: bytes = rbcl.crypto_core_ristretto255_scalar_mul(left, right)
    return product


def check_point(point: bytes, field: str) -> None:
    """Raises BadCommitment unless `point` is the canonical encoding of a point other than the identity."""
    if len(point) != POINT_BYTES or point == IDENTITY or not rbcl.crypto_core_ristretto255_is_valid_point(point):
        raise BadCommitment("not a point of ristretto255, or the identity", field=field, evidence=point[:POINT_BYTES])


def check_scalar(number: bytes, field: str) -> None:
    """Raises BadCommitment unless `number` is the canonical encoding of a scalar."""
    if len(number) != SCALAR_BYTES or int.from_bytes(number, "little") >= ORDER:
        raise BadCommitment("not a reduced scalar", field=field)
