"""Sealed content: who holds the key reads it, anyone sees when it was altered, and one ciphertext has one key (protocol
R1, R2).

Content is AES-256-GCM in 64 KiB chunks under a key drawn for it alone. The nonce of a chunk is its number (11 bytes)
and a flag that is 1 on the last chunk (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizar, CRYPTO 2015),
so that dropped, moved, repeated or added chunks do not open. The digest of the job core is associated data of every
chunk. GCM does not commit to its key, hence the key commitment, which whoever opens an input checks first. Keys travel
in wraps (see `wrapping`).

Tags stand for outputs and logs in votes: keyed, so that a small output cannot be guessed from its tag without the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quorate.crypto.digests import KEY_BYTES, blob_digest, digest, hkdf, keyed
from quorate.crypto.signing import Draw
from quorate.crypto.wrapping import WRAP_OVERHEAD, SealKey, unwrap, wrap
from quorate.errors import BadSeal
from quorate.model.units import Digest

CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SALT_BYTES = 32
_WRAPPED_KEY_BYTES = KEY_BYTES + WRAP_OVERHEAD


@dataclass(frozen=True)
class InputSecret:
    """What an executor needs to open an input and its commitments. It travels wrapped and is never shown."""

    content_key: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        return self.content_key + self.salt

    @classmethod
    def from_bytes(cls, data: bytes) -> InputSecret:
        if len(data) != KEY_BYTES + SALT_BYTES:
            raise BadSeal(f"{len(data)} bytes", field="wrapped secret", limit=f"{KEY_BYTES + SALT_BYTES} bytes")
        return cls(data[:KEY_BYTES], data[KEY_BYTES:])


@dataclass(frozen=True)
class SealedInput:
    """An input ready to be stored anywhere, and the secret that opens it. Retries send this same ciphertext."""

    ciphertext: bytes = field(repr=False)
    ciphertext_digest: Digest
    key_commitment: Digest
    out_key_commitment: Digest
    secret: InputSecret

    @property
    def content_key(self) -> bytes:
        return self.secret.content_key

    @property
    def salt(self) -> bytes:
        return self.secret.salt


def seal_input(plaintext: bytes, job_core: Digest, draw: Draw) -> SealedInput:
    """Seals `plaintext` to a job under a fresh key. There is no way to pass the key in: a key used twice would break
    GCM."""
    secret = InputSecret(draw(KEY_BYTES), draw(SALT_BYTES))
    ciphertext = _seal(secret.content_key, plaintext, job_core)
    return SealedInput(
        ciphertext=ciphertext,
        ciphertext_digest=blob_digest(ciphertext),
        key_commitment=key_commitment(secret.content_key, job_core),
        out_key_commitment=out_key_commitment(out_key(secret.content_key)),
        secret=secret,
    )


def open_input(ciphertext: bytes, secret: InputSecret, job_core: Digest, committed: Digest) -> bytes:
    """The input. Raises BadSeal when the key is not the committed one, or the ciphertext is not whole and in order for
    this job."""
    check_key_commitment(secret.content_key, job_core, committed)
    return _open(secret.content_key, ciphertext, job_core)


def seal_to(public: bytes, plaintext: bytes, info: bytes, draw: Draw) -> bytes:
    """Results and logs: a fresh key wrapped for `public`, then the chunks under it. `info` (see `wrap_info`) binds both
    parts."""
    key = draw(KEY_BYTES)
    return wrap(public, key, info) + _seal(key, plaintext, digest("sealed to", info))


def open_from(private: SealKey, sealed: bytes, info: bytes) -> bytes:
    """The plaintext of `seal_to`. Raises BadSeal."""
    key = unwrap(private, sealed[:_WRAPPED_KEY_BYTES], info)
    if len(key) != KEY_BYTES:
        raise BadSeal(f"a key of {len(key)} bytes", field="wrapped secret", limit=f"{KEY_BYTES} bytes")
    return _open(key, sealed[_WRAPPED_KEY_BYTES:], digest("sealed to", info))


def sealed_bytes(plaintext_bytes: int) -> int:
    """The size of a sealed input of that size: a tag for each chunk, and at least one chunk."""
    return plaintext_bytes + TAG_BYTES * max(1, -(-plaintext_bytes // CHUNK_BYTES))


def key_commitment(content_key: bytes, job_core: Digest) -> Digest:
    """kc: binds the job to one content key."""
    return keyed(content_key, "kc", job_core)


def check_key_commitment(content_key: bytes, job_core: Digest, committed: Digest) -> None:
    if not compare_digest(key_commitment(content_key, job_core), committed):
        raise BadSeal("not the committed key", field="key_commitment")


def out_key(content_key: bytes) -> bytes:
    """K_out, the key of result and log tags. Disclosing it lets a third party check the output and opens nothing."""
    return hkdf(content_key, "out")


def out_key_commitment(tag_key: bytes) -> Digest:
    return digest("out key", tag_key)


def check_out_key(tag_key: bytes, committed: Digest) -> None:
    if not compare_digest(out_key_commitment(tag_key), committed):
        raise BadSeal("not the committed key", field="out_key_commitment")


def result_tag(tag_key: bytes, job: bytes, agreement: bytes, output: bytes) -> Digest:
    """The vote for a private output. Equal outputs of two jobs have unequal tags."""
    return keyed(tag_key, "result", job, agreement, output)


def log_tag(tag_key: bytes, job: bytes, agreement: bytes, log: bytes) -> Digest:
    """The tag of a private log."""
    return keyed(tag_key, "log", job, agreement, log)


def public_result_tag(output: bytes) -> Digest:
    """The vote for a public output: its plain digest, so that it is also the address of the result."""
    return blob_digest(output)


def public_log_tag(log: bytes) -> Digest:
    return blob_digest(log)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _slices(data: bytes, size: int) -> Iterator[tuple[int, bool, memoryview]]:
    """Chunks with their number and whether they are the last. Empty data is one empty chunk."""
    view = memoryview(data)
    count = max(1, -(-len(data) // size))
    for number in range(count):
        yield number, number == count - 1, view[number * size : (number + 1) * size]


def _seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    cipher = AESGCM(key)
    return b"".join(
        cipher.encrypt(_nonce(number, last), chunk, associated)
        for number, last, chunk in _slices(plaintext, CHUNK_BYTES)
    )


def _open(key: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    cipher = AESGCM(key)
    chunks = []
    for number, last, chunk in _slices(ciphertext, CHUNK_BYTES + TAG_BYTES):
        # An empty last chunk after full ones would be a second form of the same content.
        if len(chunk) < TAG_BYTES or (number and len(chunk) == TAG_BYTES):
            raise BadSeal("cut short", field="ciphertext")
        try:
            chunks.append(cipher.decrypt(_nonce(number, last), chunk, associated))
        except InvalidTag:
            raise BadSeal(f"chunk {number} does not open", field="ciphertext") from None
    return b"".join(chunks)
