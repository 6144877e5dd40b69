"""Frames: whatever arrives in whatever pieces, and nothing that is not one."""

import msgspec
import pytest

from quorate.errors import InvalidField, MalformedBytes
from quorate.execute import frames
from quorate.execute.engine import Limits


def run_frame(number: int = 3) -> frames.Run:
    return frames.Run(number, b"d" * 32, b"id", "pure", "", (), b"in", b"world", Limits(), frozenset(), (b"e" * 32,))


def test_frames_arrive_in_any_pieces():
    batch = frames.RunBatch(*msgspec.structs.astuple(run_frame()), (b"one", b"", b"three"))
    sent = [frames.Setup(1, 2, 3, "machine"), run_frame(), batch, frames.Withdraw(9), frames.Forget(b"d")]
    stream = b"".join(map(frames.encode, sent))
    for step in (1, 2, 3, 7, len(stream)):
        inbox = frames.Inbox(frames.ToWorker)
        got = []
        for at in range(0, len(stream), step):
            got += inbox.feed(stream[at : at + step])
        assert got == sent


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff",
        b"",
        b"\x90",
        b"\x92\xa4None\x01",
        b"\x92\xa8Withdraw\xa1x",
        b"\x93\xa8Withdraw\x01\x02",
        b"\x91" * 2000,
    ],
    ids=["not_msgpack", "empty", "no_tag", "unknown_tag", "wrong_type", "too_many_fields", "deep"],
)
def test_what_is_no_frame_is_refused(body):
    inbox = frames.Inbox(frames.ToWorker)
    with pytest.raises(MalformedBytes):
        list(inbox.feed(len(body).to_bytes(4, "little") + body))


def test_the_pool_takes_no_frame_meant_for_a_worker():
    with pytest.raises(MalformedBytes):
        list(frames.Inbox(frames.FromWorker).feed(frames.encode(frames.Forget(b"d"))))


def test_a_frame_over_size_is_refused_before_its_bytes_arrive():
    inbox = frames.Inbox(frames.FromWorker, size_max=100)
    with pytest.raises(MalformedBytes, match="101 bytes"):
        list(inbox.feed((101).to_bytes(4, "little")))


def test_limits_outside_their_domain_do_not_decode():
    plain = msgspec.msgpack.decode(frames.encode(run_frame())[4:])
    plain[9]["fuel"] = 0
    body = msgspec.msgpack.encode(plain)
    with pytest.raises(InvalidField, match="fuel"):
        list(frames.Inbox(frames.ToWorker).feed(len(body).to_bytes(4, "little") + body))
