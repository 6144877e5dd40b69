"""Commitments to inputs and to integers (protocol R3).

An input has two commitments side by side. The Pedersen commitment C = vG + rH (Pedersen, CRYPTO 1991) hides without
condition and carries the ownership proof; v is a 64-byte output of (salt, input), reduced, so that all of the input is
bound. The salted BLAKE3 commitment still binds when discrete logarithms are computed. H comes from hashing to the
group: nobody knows its logarithm to G.

The blinding r is derived from the secret salt under a domain of its own and not from the input: whoever is given the
salt (the executors) can open C, and to everybody else r is as good as random. A salt is drawn for one seal and never
used for two inputs.

Integers: every committed integer is 0 to 2^63 - 1. Commitments add up: the sum of n of them opens to the sum of the
integers and of the blindings, never modulo 2^63, because the group order is above 2^252. A sum above 2^63 - 1 does not
open: it is refused as out of range. There is no range proof: that a committed integer is in range is only known once it
is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quorate.crypto.digests import digest
from quorate.crypto.ristretto import (
    Point,
    Scalar,
    add,
    base_times,
    check_point,
    check_scalar,
    hash_to_point,
    hash_to_scalar,
    scalar,
    scalar_add,
    times,
)
from quorate.errors import BadCommitment, InvalidField
from quorate.model.units import AMOUNT_MAX, Digest

H: Point = hash_to_point("pedersen H")
"""The second generator."""


@dataclass(frozen=True)
class Opening:
    """What opens a Pedersen commitment: the value v and the blinding r, as scalars."""

    value: Scalar = field(repr=False)
    blinding: Scalar = field(repr=False)


@dataclass(frozen=True)
class InputCommitment:
    """Both commitments to one input."""

    pedersen: Point
    salted: Digest


def commit(opening: Opening) -> Point:
    """vG + rH."""
    return add(base_times(opening.value), times(opening.blinding, H))


def check(point: bytes, opening: Opening, name: str = "commitment") -> None:
    """Raises BadCommitment unless `point` is the commitment that `opening` opens."""
    check_point(point, name)
    check_scalar(opening.value, "value")
    check_scalar(opening.blinding, "blinding")
    if commit(opening) != point:
        raise BadCommitment("the opening is of another commitment", field=name)


def input_opening(salt: bytes, plaintext: bytes) -> Opening:
    """The opening of the commitment to an input under its secret salt."""
    return Opening(hash_to_scalar("pedersen value", salt, plaintext), hash_to_scalar("pedersen blinding", salt))


def commit_input(salt: bytes, plaintext: bytes) -> InputCommitment:
    return InputCommitment(commit(input_opening(salt, plaintext)), _salted(salt, plaintext))


def check_input(commitment: InputCommitment, salt: bytes, plaintext: bytes) -> None:
    """Raises BadCommitment unless both commitments are to this input under this salt."""
    check(commitment.pedersen, input_opening(salt, plaintext), "pedersen")
    if _salted(salt, plaintext) != commitment.salted:
        raise BadCommitment("not of this input", field="salted")


def _salted(salt: bytes, plaintext: bytes) -> Digest:
    return digest("salted input", salt, plaintext)


def integer_opening(number: int, salt: bytes, label: str) -> Opening:
    """The opening of a declared integer: `label` names the field, so that each has a blinding of its own under one
    salt."""
    _check_range(number)
    return Opening(scalar(number), hash_to_scalar("integer blinding", salt, label.encode()))


def check_integer(point: bytes, number: int, blinding: bytes) -> None:
    """Raises BadCommitment unless `point` commits to `number`, which is in range, under `blinding`."""
    if not 0 <= number <= AMOUNT_MAX:
        raise BadCommitment("out of range", field="integer", limit=f"0 to {AMOUNT_MAX}")
    check(point, Opening(scalar(number), blinding), "integer")


def add_commitments(points: Sequence[bytes]) -> Point:
    """The commitment to the sum. Raises BadCommitment when one of `points` is none."""
    for point in points:
        check_point(point, "commitment")
    total = points[0]
    for point in points[1:]:
        total = add(total, point)
    return total


def add_blindings(blindings: Sequence[bytes]) -> Scalar:
    """The blinding that opens the sum."""
    total = scalar(0)
    for blinding in blindings:
        check_scalar(blinding, "blinding")
        total = scalar_add(total, blinding)
    return total


def _check_range(number: int) -> None:
    if not 0 <= number <= AMOUNT_MAX:
        raise InvalidField(str(number), field="integer", limit=f"0 to {AMOUNT_MAX}")
