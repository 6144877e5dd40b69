"""BLAKE3 and SHA-512 of the device against the official vectors and against other libraries."""

from __future__ import annotations

import hashlib
import random

from blake3 import blake3
from tests.device.engines import Engine

PATTERN = bytes(i % 251 for i in range(102_400))
"""The input of the official vectors of BLAKE3."""
# Where a block, a chunk or a subtree ends, and beside it.
BLAKE3_LENGTHS = [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4096, 4097, 5120]
BLAKE3_LENGTHS += [5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 65536, 65537, 102_400]


def test_blake3_gives_the_official_digests(engine: Engine, official) -> None:
    cases = official("blake3_official") + official("blake3_official_lengths")
    assert len(cases) >= 29
    for case in cases:
        assert engine.blake3(PATTERN[: case["input_len"]]).hex() == case["hash"][:64], case["input_len"]


def test_blake3_at_every_seam(engine: Engine) -> None:
    for length in BLAKE3_LENGTHS:
        assert engine.blake3(PATTERN[:length]) == blake3(PATTERN[:length]).digest(), length


def test_blake3_agrees_with_the_library_on_random_input(engine: Engine) -> None:
    draw = random.Random(3)
    for _ in range(300):
        data = draw.randbytes(draw.choice([draw.randrange(200), draw.randrange(2000), draw.randrange(20_000)]))
        assert engine.blake3(data) == blake3(data).digest(), len(data)


def test_a_flipped_bit_changes_the_digest(engine: Engine) -> None:
    digests = {engine.blake3(PATTERN[:100])}
    for at in range(100):
        changed = bytearray(PATTERN[:100])
        changed[at] ^= 1
        digests.add(engine.blake3(bytes(changed)))
    assert len(digests) == 101


def test_sha512_of_every_short_length(engine: Engine) -> None:
    for length in range(260):
        assert engine.sha512([PATTERN[:length]]) == hashlib.sha512(PATTERN[:length]).digest(), length


def test_sha512_does_not_see_the_seams_between_parts(engine: Engine) -> None:
    draw = random.Random(512)
    for _ in range(100):
        parts = [draw.randbytes(draw.choice([0, 1, 127, 128, 129, draw.randrange(600)])) for _ in range(4)]
        assert engine.sha512(parts) == hashlib.sha512(b"".join(parts)).digest()
