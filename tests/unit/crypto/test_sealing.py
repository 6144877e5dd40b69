"""Sealed content: round trips of every size, every way to tamper, keys that are committed, tags that tell nothing."""

from __future__ import annotations

import inspect

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.crypto import sealing
from quorate.crypto.digests import blob_digest, digest, xof
from quorate.crypto.sealing import (
    CHUNK_BYTES,
    TAG_BYTES,
    InputSecret,
    check_out_key,
    open_from,
    open_input,
    out_key,
    result_tag,
    seal_input,
    seal_to,
    sealed_bytes,
)
from quorate.crypto.wrapping import SealKey
from quorate.errors import BadSeal

CORE = digest("test job core")
STRIDE = CHUNK_BYTES + TAG_BYTES
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 17]


def opened(sealed, ciphertext=None, core=CORE, secret=None, committed=None):
    return open_input(
        sealed.ciphertext if ciphertext is None else ciphertext,
        secret or sealed.secret,
        core,
        committed or sealed.key_commitment,
    )


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_opens(draw, size):
    plaintext = xof("plaintext", size)
    sealed = seal_input(plaintext, CORE, draw)
    assert opened(sealed) == plaintext
    assert len(sealed.ciphertext) == sealed_bytes(size)
    assert sealed.ciphertext_digest == blob_digest(sealed.ciphertext)


@settings(max_examples=30)
@given(st.integers(0, 40), st.data())
def test_no_altered_ciphertext_opens(size: int, data: st.DataObject):
    """With chunks of 8 bytes, so that hypothesis reaches every arrangement of them."""
    chunk, stride = 8, 8 + TAG_BYTES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "CHUNK_BYTES", chunk)
        plaintext = xof("plaintext", size)
        sealed = seal_input(plaintext, CORE, lambda size: xof("entropy", size))
        assert opened(sealed) == plaintext
        pieces = [sealed.ciphertext[at : at + stride] for at in range(0, len(sealed.ciphertext), stride)]
        kind = data.draw(st.sampled_from(["cut", "reorder", "repeat", "drop", "extend", "flip"]))
        at = data.draw(st.integers(0, len(pieces) - 1))
        altered = {
            "cut": lambda: sealed.ciphertext[: data.draw(st.integers(0, len(sealed.ciphertext) - 1))],
            "reorder": lambda: b"".join(data.draw(st.permutations(pieces))),
            "repeat": lambda: b"".join([*pieces[: at + 1], *pieces[at:]]),
            "drop": lambda: b"".join(pieces[:at] + pieces[at + 1 :]),
            "extend": lambda: sealed.ciphertext + data.draw(st.binary(min_size=1, max_size=50)),
            "flip": lambda: flipped(sealed.ciphertext, data.draw(st.integers(0, len(sealed.ciphertext) * 8 - 1))),
        }[kind]()
        if altered == sealed.ciphertext:
            return
        with pytest.raises(BadSeal):
            opened(sealed, altered)


def flipped(data: bytes, bit: int) -> bytes:
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def test_truncation_at_a_chunk_boundary_is_refused(draw):
    sealed = seal_input(bytes(3 * CHUNK_BYTES), CORE, draw)
    for count in (0, 1, 2):
        with pytest.raises(BadSeal):
            opened(sealed, sealed.ciphertext[: count * STRIDE])


def test_an_extension_by_an_empty_last_chunk_is_refused(draw):
    """The key's owner can make it: full chunks without the flag, then an empty last one. One content has one form."""
    sealed = seal_input(b"", CORE, draw)
    cipher = AESGCM(sealed.content_key)
    body = cipher.encrypt(bytes(12), bytes(CHUNK_BYTES), CORE)
    tail = cipher.encrypt(b"\0" * 10 + b"\1\1", b"", CORE)
    with pytest.raises(BadSeal, match="cut short"):
        opened(sealed, body + tail)


def test_swapped_chunks_are_refused(draw):
    sealed = seal_input(xof("plaintext", 3 * CHUNK_BYTES), CORE, draw)
    first, second = sealed.ciphertext[:STRIDE], sealed.ciphertext[STRIDE : 2 * STRIDE]
    with pytest.raises(BadSeal, match="chunk 0"):
        opened(sealed, second + first + sealed.ciphertext[2 * STRIDE :])


def test_a_chunk_of_another_input_is_refused(draw):
    one, two = (seal_input(bytes(2 * CHUNK_BYTES), CORE, draw) for _ in range(2))
    with pytest.raises(BadSeal):
        opened(one, one.ciphertext[:STRIDE] + two.ciphertext[STRIDE:])


def test_a_ciphertext_of_another_job_is_refused(draw):
    sealed = seal_input(b"input", CORE, draw)
    other = digest("another job core")
    with pytest.raises(BadSeal) as caught:
        opened(sealed, core=other)
    assert caught.value.field == "key_commitment"
    with pytest.raises(BadSeal) as caught:
        opened(sealed, core=other, committed=sealing.key_commitment(sealed.content_key, other))
    assert caught.value.field == "ciphertext"


def test_a_key_that_is_not_committed_is_refused_before_anything_is_opened(draw):
    sealed = seal_input(b"input", CORE, draw)
    with pytest.raises(BadSeal) as caught:
        opened(sealed, secret=InputSecret(draw(32), sealed.salt))
    assert caught.value.field == "key_commitment"


def ghash_collision(keys, lengths):
    """One AES-GCM ciphertext that opens under two keys, after Dodis, Grubbs, Ristenpart and Woodage (CRYPTO 2018)."""

    def times(x: int, y: int) -> int:
        total = 0
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                total ^= x
            x = (x >> 1) ^ (0xE1 << 120 if x & 1 else 0)
        return total

    def inverse(x: int) -> int:
        result, power = 1 << 127, x
        for _ in range(127):
            power = times(power, power)
            result = times(result, power)
        return result

    nonce, blocks = lengths
    hashes, masks = [], []
    for key in keys:
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        hashes.append(int.from_bytes(encryptor.update(bytes(16)), "big"))
        masks.append(int.from_bytes(encryptor.update(nonce + b"\0\0\0\1"), "big"))
    associated, body = blocks
    size = (len(associated) * 8 << 64) | (len(body) + 16) * 8
    padded = associated + bytes(-len(associated) % 16)
    words = [int.from_bytes((padded + body)[at : at + 16], "big") for at in range(0, len(padded + body), 16)]

    def tag_without_last(subkey: int, mask: int) -> int:
        state = 0
        for word in words:
            state = times(state ^ word, subkey)
        return times(times(state, subkey) ^ size, subkey) ^ mask

    difference = tag_without_last(hashes[0], masks[0]) ^ tag_without_last(hashes[1], masks[1])
    squares = times(hashes[0], hashes[0]) ^ times(hashes[1], hashes[1])
    last = times(difference, inverse(squares))
    tag = tag_without_last(hashes[0], masks[0]) ^ times(last, times(hashes[0], hashes[0]))
    return body + last.to_bytes(16, "big") + tag.to_bytes(16, "big")


def test_a_ciphertext_that_opens_under_two_keys_is_refused_for_all_but_the_committed_one(draw):
    """GCM alone accepts both keys: two honest executors would run two inputs. The key commitment lets one in."""
    one, two = draw(32), draw(32)
    ciphertext = ghash_collision((one, two), (bytes(11) + b"\1", (CORE, bytes(16))))
    for key in (one, two):
        assert AESGCM(key).decrypt(bytes(11) + b"\1", ciphertext, CORE)
    committed = sealing.key_commitment(one, CORE)
    inputs = open_input(ciphertext, InputSecret(one, bytes(32)), CORE, committed)
    assert len(inputs) == 32
    with pytest.raises(BadSeal) as caught:
        open_input(ciphertext, InputSecret(two, bytes(32)), CORE, committed)
    assert caught.value.field == "key_commitment"


def test_the_key_is_drawn_and_cannot_be_given(draw):
    assert list(inspect.signature(seal_input).parameters) == ["plaintext", "job_core", "draw"]
    sealed = [seal_input(b"same", CORE, draw) for _ in range(2)]
    assert sealed[0].content_key != sealed[1].content_key
    assert sealed[0].salt != sealed[1].salt
    assert sealed[0].ciphertext != sealed[1].ciphertext


def test_secrets_are_not_shown(draw):
    sealed = seal_input(b"input", CORE, draw)
    shown = repr(sealed) + str(sealed) + repr(sealed.secret)
    for secret in (sealed.content_key, sealed.salt):
        assert secret.hex() not in shown
        assert repr(secret)[2:20] not in shown


def test_a_wrapped_secret_comes_back_and_has_one_size(draw):
    sealed = seal_input(b"input", CORE, draw)
    assert InputSecret.from_bytes(sealed.secret.to_bytes()) == sealed.secret
    for size in (0, 63, 65):
        with pytest.raises(BadSeal):
            InputSecret.from_bytes(bytes(size))


@pytest.mark.parametrize("size", SIZES[:5])
def test_a_result_sealed_to_a_key_opens_with_it(draw, size):
    private = SealKey.generate(draw)
    output = xof("output", size)
    sealed = seal_to(private.public, output, b"info", draw)
    assert open_from(private, sealed, b"info") == output
    for altered, info in ((sealed, b"other"), (sealed[:-1], b"info"), (sealed[:100], b"info"), (b"", b"info")):
        with pytest.raises(BadSeal):
            open_from(private, altered, info)
    with pytest.raises(BadSeal):
        open_from(SealKey.generate(draw), sealed, b"info")


def test_a_result_under_a_wrap_of_another_result_does_not_open(draw):
    private = SealKey.generate(draw)
    one, two = (seal_to(private.public, b"output", b"info", draw) for _ in range(2))
    with pytest.raises(BadSeal):
        open_from(private, one[:1168] + two[1168:], b"info")


def test_neither_ciphertext_nor_commitments_hold_a_window_of_the_input(draw):
    plaintext = xof("plaintext", 4096)
    sealed = seal_input(plaintext, CORE, draw)
    seen = b"".join((sealed.ciphertext, sealed.key_commitment, sealed.out_key_commitment, sealed.ciphertext_digest))
    assert not any(plaintext[at : at + 8] in seen for at in range(len(plaintext) - 7))


def test_tags_of_equal_outputs_differ_between_jobs_and_agree_within_one(draw):
    jobs = [seal_input(b"input", CORE, draw) for _ in range(2)]
    keys = [out_key(job.content_key) for job in jobs]
    job, agreement = digest("job"), digest("agreement")
    assert result_tag(keys[0], job, agreement, b"yes") == result_tag(keys[0], job, agreement, b"yes")
    tags = {
        result_tag(keys[0], job, agreement, b"yes"),
        result_tag(keys[1], job, agreement, b"yes"),
        result_tag(keys[0], digest("other job"), agreement, b"yes"),
        result_tag(keys[0], job, digest("other agreement"), b"yes"),
        result_tag(keys[0], job, agreement, b"no"),
        sealing.log_tag(keys[0], job, agreement, b"yes"),
        sealing.public_result_tag(b"yes"),
    }
    assert len(tags) == 7
    assert sealing.public_result_tag(b"yes") == sealing.public_log_tag(b"yes") == blob_digest(b"yes")


def test_a_small_output_is_not_guessed_from_its_tag_without_the_key(draw):
    sealed = seal_input(b"input", CORE, draw)
    job, agreement = digest("job"), digest("agreement")
    tag = result_tag(out_key(sealed.content_key), job, agreement, b"yes")
    public = [
        CORE,
        job,
        agreement,
        sealed.key_commitment,
        sealed.out_key_commitment,
        sealed.ciphertext_digest,
        bytes(32),
    ]
    guesses = {result_tag(key, job, agreement, output) for key in public for output in (b"yes", b"no")}
    assert tag not in guesses | {sealing.public_result_tag(b"yes")}


def test_the_out_key_is_committed_and_opens_nothing(draw):
    sealed = seal_input(b"input", CORE, draw)
    disclosed = out_key(sealed.content_key)
    check_out_key(disclosed, sealed.out_key_commitment)
    with pytest.raises(BadSeal):
        check_out_key(draw(32), sealed.out_key_commitment)
    with pytest.raises(BadSeal):
        opened(sealed, secret=InputSecret(disclosed, sealed.salt))
