"""HASH VERIFY_SIG VERIFY_VRF over bytes in memory. All ranges are checked before the length is paid for."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from quorate.crypto.vrf import verify_vrf
from quorate.crypto.zip215 import verify_zip215
from quorate.execute.bytecode.machine import Machine
from quorate.execute.bytecode.opcodes import (
    BETA_BYTES,
    DIGEST_BYTES,
    PROOF_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    TABLE,
    Op,
)


def hash_bytes(m: Machine) -> None:
    """BLAKE3-256. The digest may overwrite what it is of."""
    # stack
    pointer, length, destination = m.pop_many(3)
    # cost
    m.charge(Op.HASH)
    data, out = m.span(pointer, length), m.span(destination, DIGEST_BYTES)
    m.charge_length(TABLE[Op.HASH].surcharge, length)
    # operation
    m.memory[out] = blake3(m.memory[data]).digest()
    # program counter
    m.advance()


def verify_signature(m: Machine) -> None:
    """Ed25519 by the rules of ZIP-215; 1 or 0, never a trap for what the bytes are."""
    # stack
    message, length, key, signature = m.pop_many(4)
    # cost
    m.charge(Op.VERIFY_SIG)
    data, public = m.span(message, length), m.span(key, PUBLIC_KEY_BYTES)
    signed = m.span(signature, SIGNATURE_BYTES)
    m.charge_length(TABLE[Op.VERIFY_SIG].surcharge, length)
    # operation
    m.push(int(verify_zip215(bytes(m.memory[public]), bytes(m.memory[data]), bytes(m.memory[signed]))))
    # program counter
    m.advance()


def verify_random(m: Machine) -> None:
    """ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381). The output is written only if the proof holds."""
    # stack
    alpha, length, key, proof, output = m.pop_many(5)
    # cost
    m.charge(Op.VERIFY_VRF)
    data, public = m.span(alpha, length), m.span(key, PUBLIC_KEY_BYTES)
    proven, out = m.span(proof, PROOF_BYTES), m.span(output, BETA_BYTES)
    m.charge_length(TABLE[Op.VERIFY_VRF].surcharge, length)
    # operation
    beta = verify_vrf(bytes(m.memory[public]), bytes(m.memory[data]), bytes(m.memory[proven]))
    if beta is not None:
        m.memory[out] = beta
    m.push(int(beta is not None))
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.HASH: hash_bytes,
    Op.VERIFY_SIG: verify_signature,
    Op.VERIFY_VRF: verify_random,
}
