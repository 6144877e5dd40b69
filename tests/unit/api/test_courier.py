"""The client's side of the door's socket, against doors that answer oddly, late or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from quorate.api import courier as couriers
from quorate.api.courier import Courier
from quorate.errors import NoNetwork, QuorateError, WorldError

Heard = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """A socket whose every connection is served by `heard`; `connections` counts them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self._server: asyncio.Server | None = None

    async def open(self, heard: Heard) -> None:
        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                await heard(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the client went away
            finally:
                writer.close()

        self._server = await asyncio.start_unix_server(counted, self.path)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    door = Door(tmp_path / "door.sock")
    yield door
    door.close()


@pytest.fixture
async def courier(door: Door) -> AsyncIterator[Courier]:
    courier = Courier(door.path)
    yield courier
    await courier.close()


def says(answer: bytes, *, times: int = 1000) -> Heard:
    """Answers each question with the same bytes, `times` times on one connection."""

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return heard


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"


async def test_one_connection_serves_question_after_question(door: Door, courier: Courier) -> None:
    await door.open(says(GOOD))
    assert [await courier.send("GET", "/x") for _ in range(20)] == [b"good"] * 20
    assert door.connections == 1
    assert await asyncio.gather(*(courier.send("GET", "/x") for _ in range(40))) == [b"good"] * 40
    assert door.connections <= couriers.CONNECTIONS_MAX


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\ngo\r\n2\r\nod\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngood",
    ],
)
async def test_answers_in_chunks_and_answers_that_are_the_last(door: Door, courier: Courier, answer: bytes) -> None:
    await door.open(says(answer))
    assert [await courier.send("GET", "/x") for _ in range(3)] == [b"good"] * 3


async def test_a_connection_that_was_closed_meanwhile_is_opened_anew(door: Door, courier: Courier) -> None:
    await door.open(says(GOOD, times=1))
    for _ in range(5):
        assert await courier.send("POST", "/x", b"") == b"good"
        await asyncio.sleep(0.02)
    assert door.connections == 5


@pytest.mark.parametrize(
    "answer",
    [b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", b"HTTP/1.1 200 OK\r\nbad"],
)
async def test_what_is_no_answer_is_asked_for_once_more_and_no_more(
    door: Door, courier: Courier, answer: bytes
) -> None:
    await door.open(says(answer, times=1))
    with pytest.raises(NoNetwork):
        await courier.send("GET", "/x")
    assert door.connections == 2


async def test_a_door_that_does_not_answer_in_time(
    door: Door, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "ANSWER_S", 0.1)
    await door.open(says(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngo"))
    with pytest.raises(WorldError, match="in time"):
        await courier.send("GET", "/x")
    with pytest.raises(WorldError, match="in time"):
        async for _ in courier.events("/x"):
            pass


async def test_events_come_as_they_are_said_and_problems_instead_of_them_are_raised(
    door: Door, courier: Courier
) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    await door.open(says(head + b"8\r\ndata: o\n\r\n8\r\n\ndata: t\r\n4\r\nwo\n\n\r\n0\r\n\r\n"))
    assert [data async for data in courier.events("/x")] == [b"o", b"two"]
    door.close()
    door.path.unlink(missing_ok=True)
    await door.open(says(b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}"))
    with pytest.raises(QuorateError, match="status 500"):
        async for _ in courier.events("/x"):
            pass
    with pytest.raises(QuorateError, match="status 500"):
        await courier.send("GET", "/x")


async def test_an_answer_to_a_question_that_was_given_up_is_nobodys(door: Door, courier: Courier) -> None:
    """The next question goes out on another connection, so that it is never given the answer to this one."""
    release = asyncio.Event()

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        if asked == b"/slow":
            await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + asked.ljust(5))

    await door.open(heard)
    slow = asyncio.create_task(courier.send("GET", "/slow"))
    await asyncio.sleep(0.05)
    slow.cancel()
    await asyncio.wait([slow])
    release.set()
    assert await courier.send("GET", "/next") == b"/next"
