"""Files of cases for the test programs in `device/checking`; their form is in `cases.h`."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from blake3 import blake3
from tests.support.bytecode_vectors.verifying import small_order
from tests.support.vrf_prover import forge, prove, public_key, sign

from quorate.crypto.edwards25519 import L, decode_canonical
from quorate.crypto.vrf import verify_vrf
from quorate.crypto.zip215 import verify_zip215

BLAKE3, SHA512, ED25519, ECVRF = 1, 2, 3, 4
Official = Callable[[str], list[dict[str, Any]]]


class Case(NamedTuple):
    """One operation and whether its operands, which end with the stated output, must be found right."""

    kind: int
    expected: bool
    message: bytes
    operands: bytes

    def encode(self) -> bytes:
        return struct.pack("<BBxxI", self.kind, self.expected, len(self.message)) + self.message + self.operands


def file_of(cases: list[Case]) -> bytes:
    return b"QCAS" + struct.pack("<I", len(cases)) + b"".join(case.encode() for case in cases)


def signature_case(message: bytes, key: bytes, signature: bytes) -> Case:
    return Case(ED25519, verify_zip215(key, message, signature), message, key + signature)


def vrf_case(alpha: bytes, key: bytes, proof: bytes) -> Case:
    beta = verify_vrf(key, alpha, proof)
    return Case(ECVRF, beta is not None, alpha, key + proof + (beta or bytes(64)))


def hash_cases() -> Iterator[Case]:
    pattern = bytes(i % 251 for i in range(31_744))
    for length in (0, 1, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2048, 3073, 5121, 31_744):
        yield Case(BLAKE3, True, pattern[:length], blake3(pattern[:length]).digest())
    for length in (0, 1, 111, 112, 127, 128, 129, 239, 240, 1024):
        yield Case(SHA512, True, pattern[:length], hashlib.sha512(pattern[:length]).digest())
    yield Case(BLAKE3, False, b"a", blake3(b"b").digest())
    yield Case(SHA512, False, b"a", hashlib.sha512(b"b").digest())


def signature_cases(official: Official) -> Iterator[Case]:
    for case in official("ed25519_rfc8032"):
        message, key, signature = (bytes.fromhex(case[name]) for name in ("message", "public", "signature"))
        yield Case(ED25519, True, message, key + signature)
        yield Case(ED25519, False, message + b"\0", key + signature)
    for key in small_order():
        for commitment in small_order():
            yield Case(ED25519, True, b"Zcash", key + commitment + bytes(32))
    key, signature = sign(bytes(32), b"m")
    larger = (int.from_bytes(signature[32:], "little") + L).to_bytes(32, "little")
    yield Case(ED25519, False, b"m", key + signature[:32] + larger)
    draw = random.Random(1)
    for _ in range(12):
        changed = bytearray(key + signature)
        changed[draw.randrange(96)] ^= 1 << draw.randrange(8)
        yield signature_case(b"m", bytes(changed[:32]), bytes(changed[32:]))


def vrf_cases(official: Official) -> Iterator[Case]:
    for case in official("ecvrf_rfc9381"):
        alpha, key, proof, beta = (bytes.fromhex(case[name]) for name in ("alpha", "public", "proof", "beta"))
        yield Case(ECVRF, True, alpha, key + proof + beta)
        yield Case(ECVRF, False, alpha + b"\0", key + proof + beta)
    for key in filter(decode_canonical, small_order()):
        yield Case(ECVRF, False, b"alpha", key + forge(key, b"alpha") + bytes(64))
    draw = random.Random(2)
    for size in (0, 1, 100, 1000):
        seed, alpha = draw.randbytes(32), draw.randbytes(size)
        yield vrf_case(alpha, public_key(seed), prove(seed, alpha))


def all_cases(official: Official) -> list[Case]:
    return [*hash_cases(), *signature_cases(official), *vrf_cases(official)]
