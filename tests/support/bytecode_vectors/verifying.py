"""Cases of HASH VERIFY_SIG VERIFY_VRF: official vectors, small-order points, tampered bytes, prices by length."""

from __future__ import annotations

import json

from tests.support.bytecode_vectors.computing import LEAST, MOST
from tests.support.bytecode_vectors.form import FOLDER, Case, Json
from tests.support.bytecode_vectors.probes import Probe
from tests.support.vrf_prover import forge, prove, public_key, sign

from quorate.crypto.edwards25519 import L, P, decode_any, decode_canonical
from quorate.execute.bytecode.assembler import assemble

STANDARDS = FOLDER.parent / "crypto"
SEED = bytes(range(32))
PATTERN = """
; fills n bytes with i modulo 251, eight at once as soon as there are 2008 = 8 * 251 of them
.memory 103000
.func main(n: int) -> 0 locals 2
first:
    LOAD local 1
    DUP
    PUSH 251
    MOD
    STORE u8
    LOAD local 1
    PUSH 1
    ADD
    DUP
    STORE local 1
    PUSH 2008
    LT
    JNZ first
next:
    LOAD local 1
    DUP
    PUSH 2008
    SUB
    LOAD i64
    STORE i64
    LOAD local 1
    PUSH 8
    ADD
    DUP
    STORE local 1
    LOAD local 0
    LT
    JNZ next
    PUSH 0
    LOAD local 0
    PUSH 102900
    HASH
    PUSH 102900
    PUSH 32
    EMIT
    RET
"""
SIGNED = """
.memory 4096
.func main(message: bytes, key: bytes, signature: bytes) -> 1
    LOAD local 0
    LOAD local 1
    LOAD local 2
    LOAD local 4
    VERIFY_SIG
    RET
"""
PROVEN = """
.memory 4096
.func main(alpha: bytes, key: bytes, proof: bytes) -> 1
    PUSH 4032
    PUSH -1
    STORE i64
    LOAD local 0
    LOAD local 1
    LOAD local 2
    LOAD local 4
    PUSH 4032
    VERIFY_VRF
    PUSH 4032
    PUSH 64
    EMIT
    RET
"""


def _standard(name: str) -> Json:
    file: Json = json.loads((STANDARDS / f"{name}.json").read_text())
    return file


def hashing() -> list[Case]:
    code = assemble(PATTERN)
    cases = [
        Case(f"HASH/official_{one['input_len']}", code, {"emitted": one["hash"][:64]}, arguments=(one["input_len"],))
        for name in ("blake3_official", "blake3_official_lengths")
        for one in _standard(name)["cases"]
    ]
    probe = Probe("HASH", 3, 0, head=".memory 5000", tail="PUSH 0\nPUSH 32\nEMIT", tail_cycles=1 + 1 + 11)
    empty = _standard("blake3_official")["cases"][0]["hash"][:64]
    cases.append(probe.ok("empty", (0, 0, 0), [], stated={"emitted": empty}))
    cases.append(probe.ok("empty_at_the_end", (5000, 0, 0), [], stated={"emitted": empty}))
    for length, extra in ((1, 0), (1024, 0), (1025, 12), (1088, 12), (1089, 24), (2048, 192), (4968, 744), (5000, 756)):
        cases.append(probe.ok(f"price_{length}", (0, length, 0), [], extra))
    for arguments in ((-1, 1, 0), (0, -1, 0), (0, 5001, 0), (5000, 1, 0), (0, 1, 4969), (0, 1, -1), (LEAST, 0, 0)):
        cases.append(probe.trap("_".join(map(str, arguments)), arguments, "MEMORY_RANGE"))
    cases.append(probe.trap("range_before_price", (0, MOST, 0), "MEMORY_RANGE"))
    return cases + probe.starved((0, 1025, 0), 12)


def small_order() -> list[bytes]:
    """All 14 encodings of the eight points of small order, six of them not canonical."""
    order8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
    values = [(y, sign) for y in (0, 1, P - 1, P, P + 1, order8, P - order8) for sign in (0, 1)]
    return [(y | sign << 255).to_bytes(32, "little") for y, sign in values]


def _signature(label: str, message: bytes, key: bytes, signature: bytes, holds: bool) -> Case:
    stated: Json = {"status": "ok", "results": [str(int(holds))], "cycles": str(12 + 1000 + 3)}
    return Case(f"VERIFY_SIG/{label}", assemble(SIGNED), stated, arguments=(message, key, signature))


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def ordinary_signatures() -> list[Case]:
    cases = []
    for one in _standard("ed25519_rfc8032")["cases"]:
        message, key, signature = (bytes.fromhex(one[name]) for name in ("message", "public", "signature"))
        name = "rfc8032_" + one["name"].lower().replace(" ", "_").replace("(", "").replace(")", "")
        cases.append(_signature(name, message, key, signature, True))
        cases.append(_signature(f"{name}_other_message", message + b"!", key, signature, False))
        for at in (0, 31, 32, 62):
            cases.append(_signature(f"{name}_flipped_{at}", message, key, _flipped(signature, at), False))
        cases.append(_signature(f"{name}_other_key", message, _flipped(key, 0), signature, False))
    key, signature = sign(SEED, b"scalar")
    response = int.from_bytes(signature[32:], "little")
    for name, value in (("plus_l", response + L), ("l", L), ("all_ones", 2**256 - 1), ("zero", 0)):
        forged = signature[:32] + (value % 2**256).to_bytes(32, "little")
        cases.append(_signature(f"s_{name}", b"scalar", key, forged, False))
    return cases


def zip215() -> list[Case]:
    encodings = small_order()
    cases = [
        _signature(f"zip215_{a}_{r}", b"Zcash", key, commitment + bytes(32), True)
        for a, key in enumerate(encodings)
        for r, commitment in enumerate(encodings)
    ]
    for at, encoding in enumerate(encodings):
        point = decode_any(encoding)
        assert point is not None
        key, signature = sign(SEED, b"mixed", twist_key=point)
        cases.append(_signature(f"mixed_key_{at}", b"mixed", key, signature, True))
        key, signature = sign(SEED, b"mixed", twist_nonce=point)
        cases.append(_signature(f"mixed_nonce_{at}", b"mixed", key, signature, True))
        cases.append(_signature(f"small_key_s_one_{at}", b"x", encoding, encoding + (1).to_bytes(32, "little"), False))
    off_curve = (2).to_bytes(32, "little")
    assert decode_any(off_curve) is None
    key, signature = sign(SEED, b"off")
    cases.append(_signature("key_off_the_curve", b"off", off_curve, signature, False))
    cases.append(_signature("nonce_off_the_curve", b"off", key, off_curve + signature[32:], False))
    return cases


def signing_shape() -> list[Case]:
    probe = Probe("VERIFY_SIG", 4, 1, head=".memory 3000")
    # all zero bytes: key and R are the point with y = 0, of order 4, and S = 0, which holds by ZIP-215
    cases = []
    for length, extra in ((0, 0), (1024, 0), (1025, 12), (2048, 192), (3000, 372)):
        cases.append(probe.ok(f"price_{length}", (0, length, 0, 0), [1], extra))
    for arguments in (
        (0, -1, 0, 0), (-1, 0, 0, 0), (0, 3001, 0, 0), (0, 0, 2969, 0), (0, 0, 0, 2937), (0, 0, -1, 0), (0, 0, 0, LEAST)
    ):  # fmt: skip
        cases.append(probe.trap("_".join(map(str, arguments)), arguments, "MEMORY_RANGE"))
    return cases + probe.starved((0, 1025, 0, 0), 12)


def _proof(label: str, alpha: bytes, key: bytes, proof: bytes, beta: bytes | None) -> Case:
    results = ["1" if beta else "0"]
    stated: Json = {"results": results, "cycles": str(1 + 1 + 3 + 12 + 1 + 2000 + 1 + 1 + 12 + 3)}
    stated["emitted"] = (beta or b"\xff" * 8 + bytes(56)).hex()
    return Case(f"VERIFY_VRF/{label}", assemble(PROVEN), stated, arguments=(alpha, key, proof))


def proving() -> list[Case]:
    cases = []
    for one in _standard("ecvrf_rfc9381")["cases"]:
        alpha, key, proof, beta = (bytes.fromhex(one[name]) for name in ("alpha", "public", "proof", "beta"))
        name = "rfc9381_" + one["name"].lower().replace(" ", "_")
        cases.append(_proof(name, alpha, key, proof, beta))
        cases.append(_proof(f"{name}_other_alpha", alpha + b"\x00", key, proof, None))
        for at in (0, 31, 32, 47, 48, 78):
            cases.append(_proof(f"{name}_flipped_{at}", alpha, key, _flipped(proof, at), None))
        cases.append(_proof(f"{name}_other_key", alpha, public_key(SEED), proof, None))
        response = int.from_bytes(proof[48:], "little") + L
        cases.append(_proof(f"{name}_s_plus_l", alpha, key, proof[:48] + response.to_bytes(32, "little"), None))
    proof = prove(SEED, b"alpha")
    for at, encoding in enumerate(small_order()):
        cases.append(_proof(f"small_key_{at}", b"alpha", encoding, proof, None))
        cases.append(_proof(f"small_gamma_{at}", b"alpha", public_key(SEED), encoding + proof[32:], None))
    for at, encoding in enumerate(encoding for encoding in small_order() if decode_canonical(encoding)):
        cases.append(_proof(f"forged_for_small_key_{at}", b"alpha", encoding, forge(encoding, b"alpha"), None))
    probe = Probe("VERIFY_VRF", 5, 1, head=".memory 3000")
    for length, extra in ((0, 0), (1024, 0), (1025, 12), (3000, 372)):
        cases.append(probe.ok(f"price_{length}", (0, length, 0, 0, 0), [0], extra))
    for arguments in (
        (0, -1, 0, 0, 0), (-1, 0, 0, 0, 0), (0, 3001, 0, 0, 0), (0, 0, 2969, 0, 0), (0, 0, 0, 2921, 0),
        (0, 0, 0, 0, 2937), (0, 0, 0, 0, -1),
    ):  # fmt: skip
        cases.append(probe.trap("_".join(map(str, arguments)), arguments, "MEMORY_RANGE"))
    return cases + probe.starved((0, 1025, 0, 0, 0), 12)


def verifying() -> list[Case]:
    return hashing() + ordinary_signatures() + zip215() + signing_shape() + proving()
