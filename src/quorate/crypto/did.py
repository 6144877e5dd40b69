"""did:key identifiers of identities: the whole public key bundle in text form (W3C did:key method; multicodec table;
base58btc).

A classical identity has the standard code for an Ed25519 public key (0xed) and a pure ML-DSA one the standard codes
0x1210 to 0x1212. No standard code exists for a hybrid: its canonical bundle stands under a code of the private-use
range (0x300000 to 0x3fffff), so that other tools refuse it instead of reading half of it, and the identifier of one
component never resolves to the hybrid.
"""

from __future__ import annotations

from quorate.crypto.signing import check_bundle
from quorate.errors import InvalidField, MalformedBytes
from quorate.model.codec import decode, encode
from quorate.model.identity import KeyBundle, Suite

PREFIX = "did:key:z"
DID_CHARS_MAX = 5000
HYBRID_CODE = 0x300001
_CODES = {Suite.ED25519: 0xED, Suite.ML_DSA_44: 0x1210, Suite.ML_DSA_65: 0x1211, Suite.ML_DSA_87: 0x1212}
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {letter: value for value, letter in enumerate(_ALPHABET)}


def did_key(bundle: KeyBundle) -> str:
    """The did:key of a bundle."""
    code = _CODES.get(bundle.suite, HYBRID_CODE)
    payload = encode(bundle) if code == HYBRID_CODE else bundle.ed25519 or bundle.ml_dsa
    return PREFIX + _base58(_varint(code) + payload)


def parse_did_key(text: str) -> KeyBundle:
    """The bundle in a did:key. Raises MalformedBytes for another form, BadSignature for a key that is none."""
    if len(text) > DID_CHARS_MAX or not text.startswith(PREFIX):
        raise MalformedBytes("not a did:key of a known size", field="did", limit=f"{DID_CHARS_MAX} characters")
    data = _unbase58(text[len(PREFIX) :])
    bundle = _bundle(data)
    if did_key(bundle) != text:
        raise MalformedBytes("not the canonical form", field="did")
    check_bundle(bundle)
    return bundle


def _bundle(data: bytes) -> KeyBundle:
    if data.startswith(_varint(HYBRID_CODE)):
        return decode(data[len(_varint(HYBRID_CODE)) :], KeyBundle)
    for suite, code in _CODES.items():
        prefix = _varint(code)
        if data.startswith(prefix):
            return _plain_bundle(suite, data[len(prefix) :])
    raise MalformedBytes("no known key code", field="did")


def _plain_bundle(suite: Suite, key: bytes) -> KeyBundle:
    classical, quantum = (key, b"") if suite is Suite.ED25519 else (b"", key)
    try:
        return KeyBundle(suite=suite, ed25519=classical, ml_dsa=quantum)
    except InvalidField as fault:
        raise MalformedBytes(str(fault), field="did") from None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _base58(data: bytes) -> str:
    letters = []
    number = int.from_bytes(data, "big")
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def _unbase58(text: str) -> bytes:
    number = 0
    for letter in text:
        if letter not in _DIGITS:
            raise MalformedBytes("not base58", field="did")
        number = number * 58 + _DIGITS[letter]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
