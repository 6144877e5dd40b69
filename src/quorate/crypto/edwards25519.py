"""The group edwards25519 (RFC 8032, 5.1) in plain Python: for checks of public data whose exact rules libraries do not
offer. Nothing here is constant-time; no secret may enter.

Points are extended coordinates (X : Y : Z : T) with x = X/Z, y = Y/Z, xy = T/Z. The addition law is complete on this
curve, so there are no special cases.
"""

from __future__ import annotations

from typing import Final

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point."""
COFACTOR: Final = 8
POINT_BYTES: Final = 32
_D: Final = -121665 * pow(121666, -1, P) % P
_SQRT_MINUS_1: Final = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
IDENTITY: Final[Point] = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    minus, plus = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    cross, scale = 2 * _D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = plus - minus, scale - cross, scale + cross, plus + minus
    return e * f % P, g * h % P, f * g % P, e * h % P


def negate(a: Point) -> Point:
    x, y, z, t = a
    return -x % P, y, z, -t % P


def multiply(scalar: int, point: Point) -> Point:
    """`scalar` times `point`, for a scalar of zero or more."""
    total = IDENTITY
    for bit in bin(scalar)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def times_cofactor(point: Point) -> Point:
    return multiply(COFACTOR, point)


def is_identity(point: Point) -> bool:
    x, y, z, _ = point
    return x % P == 0 and (y - z) % P == 0


def encode(point: Point) -> bytes:
    """The canonical 32 bytes."""
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(POINT_BYTES, "little")


def _root(y: int) -> int | None:
    """An x with (x, y) on the curve, or None."""
    u, v = (y * y - 1) % P, (_D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P == 0:
        return x
    x = x * _SQRT_MINUS_1 % P
    return x if (v * x * x - u) % P == 0 else None


def decode_any(data: bytes) -> Point | None:
    """The point that 32 bytes stand for by ZIP-215: y may be above the field's prime, and the sign of x = 0 is free."""
    bits = int.from_bytes(data, "little")
    y, sign = bits % (1 << 255) % P, bits >> 255
    x = _root(y) if len(data) == POINT_BYTES else None
    if x is None:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


def decode_canonical(data: bytes) -> Point | None:
    """The point that 32 bytes stand for by RFC 8032, 5.1.3: only its one encoding is taken."""
    point = decode_any(data)
    return point if point is not None and encode(point) == data else None


_BASE_Y: Final = 4 * pow(5, -1, P) % P
_found = decode_any(_BASE_Y.to_bytes(POINT_BYTES, "little"))
assert _found is not None
BASE: Final[Point] = _found
