"""The capture tools themselves: a search that cannot find is worth nothing."""

from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path

from tests.support.capture import Recorder, Tee, read_wire_log, shared_windows


def test_one_window_is_found_at_every_alignment() -> None:
    secret = os.urandom(256)
    for offset in (0, 1, 100, 248):
        for padding in range(9):
            captured = b"\x00" * padding + secret[offset : offset + 8] + b"\x00" * 5
            assert shared_windows(secret, [b"nothing", captured]) == [offset]


def test_seven_bytes_are_not_a_window() -> None:
    secret = os.urandom(256).replace(b"\x00", b"\x01")  # else a zero might happen to stand beside the seven
    assert shared_windows(secret, [b"\x00" + secret[10:17] + b"\x00", b"", secret[:7]]) == []


def test_every_offset_of_a_whole_secret_is_found() -> None:
    secret = os.urandom(64)
    assert shared_windows(secret, [b"head" + secret + b"tail"]) == list(range(57))


def test_a_wire_log_reads_back_even_when_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(struct.pack(">I", len(part)) + part for part in (b"one", b"", b"three"))[:-2])
    assert read_wire_log(log) == [b"one", b"", b"thr"]


def test_a_recorder_keeps_the_order() -> None:
    recorder = Recorder()
    for part in (b"a", b"b", b"a"):
        recorder(part)
    assert recorder.payloads == [b"a", b"b", b"a"]


async def test_a_tee_relays_and_keeps_both_directions() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(5)).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    tee = Tee(server.sockets[0].getsockname()[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", await tee.start())
    writer.write(b"hello")
    assert await reader.read() == b"HELLO"
    writer.close()
    assert (bytes(tee.upstream), bytes(tee.downstream), tee.connections) == (b"hello", b"HELLO", 1)
    await tee.close()
    server.close()
