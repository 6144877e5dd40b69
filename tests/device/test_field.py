"""Field arithmetic of the device at the limits that its header states, against Python's integers."""

from __future__ import annotations

import ctypes
import random

from tests.device.engines import Native

P = 2**255 - 19
FIRST_BITS = [-(-51 * i // 2) for i in range(10)]
UNIT = [int(1.01 * 2 ** (25 - i % 2)) for i in range(10)]
"""The size of a limb of a tight value."""
Limbs = ctypes.c_int32 * 10


def value(limbs: Limbs) -> int:
    return sum(limb << bit for limb, bit in zip(limbs, FIRST_BITS, strict=True)) % P


def drawn(draw: random.Random, units: int) -> Limbs:
    """Limbs within `units`: often all at one end, where sums of products are largest."""
    ends = draw.choice([(1,), (-1,), (1, -1), None])
    return Limbs(*(draw.choice(ends) * units * u if ends else draw.randint(-units * u, units * u) for u in UNIT))


def is_tight(limbs: Limbs) -> bool:
    return all(abs(limb) <= unit for limb, unit in zip(limbs, UNIT, strict=True))


def test_products_and_squares_at_the_limits(native: Native) -> None:
    draw = random.Random(1)
    for _ in range(2000):
        a, b, result = drawn(draw, 8), drawn(draw, 3), Limbs()
        native.library.field25519_multiply(result, a, b)
        assert value(result) == value(a) * value(b) % P
        assert is_tight(result)
        native.library.field25519_square(result, b)
        assert value(result) == value(b) ** 2 % P
        assert is_tight(result)


def test_stored_values_are_the_least(native: Native) -> None:
    draw = random.Random(2)
    stored = ctypes.create_string_buffer(32)
    for _ in range(2000):
        a = drawn(draw, draw.choice([1, 3, 8]))
        native.library.field25519_store(stored, a)
        assert int.from_bytes(stored.raw, "little") == value(a)


def test_values_around_zero_and_the_prime(native: Native) -> None:
    """Loading takes any 255 bits; storing gives what is below p; zero is known in each of its forms."""
    stored = ctypes.create_string_buffer(32)
    for number in [*range(40), *range(P - 40, 1 << 255)]:
        limbs = Limbs()
        native.library.field25519_load(limbs, number.to_bytes(32, "little"))
        assert is_tight(limbs)
        native.library.field25519_store(stored, limbs)
        assert int.from_bytes(stored.raw, "little") == number % P
        assert native.library.field25519_is_zero(limbs) == (number % P == 0)


def test_inverses(native: Native) -> None:
    draw = random.Random(3)
    for _ in range(50):
        a, result = drawn(draw, 3), Limbs()
        native.library.field25519_invert(result, a)
        assert value(result) == pow(value(a), -1, P)
    native.library.field25519_invert(result, Limbs())
    assert value(result) == 0


def test_scalars_are_reduced_modulo_the_order(native: Native) -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    draw = random.Random(4)
    reduced = ctypes.create_string_buffer(32)
    wide = [0, order - 1, order, order + 1, 2 * order, 2**512 - 1, *(draw.getrandbits(512) for _ in range(300))]
    for number in wide:
        native.library.scalar25519_reduce(reduced, number.to_bytes(64, "little"))
        assert int.from_bytes(reduced.raw, "little") == number % order
        low = number % 2**256
        assert native.library.scalar25519_is_reduced(low.to_bytes(32, "little")) == (low < order)
