"""What every Blobs and Downloads promises (`quorate.ports`), run for each adapter."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from quorate.adapters.blobs import BLOB_KIND, RANGE_BYTES_MAX, ROW_BLOB_BYTES_MAX, FileBlobs, MemoryBlobs
from quorate.adapters.storage.memory import MemoryStore
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.errors import InvalidField, TooLarge, WorldError
from quorate.model.units import Digest
from quorate.ports import Blobs, Downloads, Row, Store

LIMIT = 8 << 20
SIZES = (0, 1, 100, ROW_BLOB_BYTES_MAX, ROW_BLOB_BYTES_MAX + 1, 300_000, 5 << 20)


class Shelf:
    """Blobs under test, and a way to spoil what they keep."""

    def __init__(self, kind: str, folder: Path) -> None:
        stores: dict[str, Store] = {"files+memory": MemoryStore(), "files+sqlite": SqliteStore(folder / "s.sqlite")}
        self.folder = folder / "blobs"
        self.rows = stores.get(kind)
        self.blobs: Any = (
            MemoryBlobs(blob_bytes_max=LIMIT)
            if kind == "memory"
            else FileBlobs(self.folder, rows=self.rows, blob_bytes_max=LIMIT)
        )
        self._stores = stores.values()

    async def spoil(self, digest: Digest, data: bytes) -> None:
        name = digest.hex()
        if isinstance(self.blobs, MemoryBlobs):
            self.blobs._blobs[digest] = data
        elif self.rows is not None and self.rows.load(BLOB_KIND, digest) is not None:
            await self.rows.save([Row(BLOB_KIND, digest, data)])
        else:
            (self.folder / name[:2] / name[2:]).write_bytes(data)

    async def close(self) -> None:
        await self.blobs.close()
        for store in self._stores:
            await store.close()


@pytest.fixture(params=["memory", "files", "files+memory", "files+sqlite"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    opened = Shelf(request.param, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def blobs(shelf: Shelf) -> Blobs:
    return shelf.blobs


@pytest.fixture
def downloads(shelf: Shelf) -> Downloads:
    return shelf.blobs


def address(data: bytes) -> Digest:
    return Digest(blake3(data).digest())


@pytest.mark.parametrize("size", SIZES)
async def test_a_blob_is_found_by_its_plain_blake3_digest(blobs: Blobs, size: int) -> None:
    data = os.urandom(size)
    assert not blobs.has(address(data))
    assert await blobs.put(data) == address(data)
    assert blobs.has(address(data))
    assert await blobs.get(address(data)) == data


async def test_what_is_not_here_is_none(blobs: Blobs) -> None:
    await blobs.put(b"something else")
    assert await blobs.get(address(b"x")) is None
    assert blobs.read_range(address(b"x"), 0, 10) is None
    await blobs.remove(address(b"x"))


@pytest.mark.parametrize("size", [100, 300_000])
async def test_ranges(blobs: Blobs, size: int) -> None:
    data = os.urandom(size)
    digest = await blobs.put(data)
    assert blobs.read_range(digest, 0, 10) == data[:10]
    assert blobs.read_range(digest, size - 5, 10) == data[-5:]
    assert blobs.read_range(digest, size + 1, 10) == b""
    assert blobs.read_range(digest, 7, 0) == b""


async def test_one_range_is_bounded(blobs: Blobs) -> None:
    data = bytes(RANGE_BYTES_MAX + 10)
    part = blobs.read_range(await blobs.put(data), 5, LIMIT)
    assert part is not None
    assert len(part) == RANGE_BYTES_MAX


async def test_many_at_once_and_twice_the_same(shelf: Shelf) -> None:
    many = [os.urandom(size) for size in (10, 50_000, 10_000, 70_000) for _ in range(50)]
    many[20] = many[0]
    many[60] = many[70]
    assert await shelf.blobs.put_many(many) == [address(data) for data in many]
    await asyncio.gather(*(shelf.blobs.put(data) for data in many))
    for data in many:
        assert await shelf.blobs.get(address(data)) == data
    assert await shelf.blobs.put_many([]) == []


@pytest.mark.parametrize("size", [100, 300_000])
async def test_removed_is_gone_and_can_come_back(blobs: Blobs, size: int) -> None:
    data = os.urandom(size)
    digest = await blobs.put(data)
    await blobs.remove(digest)
    assert not blobs.has(digest)
    assert await blobs.get(digest) is None
    await blobs.put(data)
    assert await blobs.get(digest) == data


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("fault", ["flipped bit", "cut short", "emptied", "longer"])
async def test_a_corrupt_blob_is_absent_and_removed(shelf: Shelf, size: int, fault: str) -> None:
    data = os.urandom(size)
    digest = await shelf.blobs.put(data)
    flipped = data[:50] + bytes([data[50] ^ 1]) + data[51:]
    spoilt = {"flipped bit": flipped, "cut short": data[:-1], "emptied": b"", "longer": data + b"\0"}[fault]
    await shelf.spoil(digest, spoilt)
    assert shelf.blobs.has(digest), "nobody has looked yet"
    assert await shelf.blobs.get(digest) is None
    assert not shelf.blobs.has(digest)
    await shelf.blobs.put(data)
    assert await shelf.blobs.get(digest) == data


@pytest.mark.parametrize("size", [100, 300_000])
async def test_putting_again_mends_a_corrupt_blob(shelf: Shelf, size: int) -> None:
    data = os.urandom(size)
    digest = await shelf.blobs.put(data)
    await shelf.spoil(digest, b"rot")
    await shelf.blobs.put(data)
    assert await shelf.blobs.get(digest) == data


async def test_a_read_beside_a_mending_put_does_not_remove_the_good_copy(shelf: Shelf) -> None:
    async def get_after(steps: int, digest: Digest) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        await shelf.blobs.get(digest)

    for size in (100, 300_000):
        data = os.urandom(size)
        digest = await shelf.blobs.put(data)
        for _ in range(10):
            await shelf.spoil(digest, b"rot")
            await asyncio.gather(shelf.blobs.put(data), *(get_after(steps, digest) for steps in range(8)))
            assert await shelf.blobs.get(digest) == data


async def test_over_the_limit_is_refused(shelf: Shelf) -> None:
    with pytest.raises(TooLarge, match="limit: 8388608 bytes"):
        await shelf.blobs.put_many([b"fine", bytes(LIMIT + 1)])
    assert not shelf.blobs.has(address(b"fine"))
    with pytest.raises(TooLarge):
        await shelf.blobs.append(address(b"x"), LIMIT - 1, b"ab")


async def test_what_is_not_a_blob_digest_or_range_is_refused(shelf: Shelf) -> None:
    with pytest.raises(InvalidField):
        await shelf.blobs.put(bytearray(b"can change"))
    for wrong in (b"", b"x" * 31, b"x" * 33, "x" * 32, b"../../../../../../../../etc/passwd"):
        for look in (shelf.blobs.has, shelf.blobs.received, lambda name: shelf.blobs.read_range(name, 0, 1)):
            with pytest.raises(InvalidField):
                look(wrong)
        for ask in (shelf.blobs.get, shelf.blobs.remove, shelf.blobs.finish, shelf.blobs.discard):
            with pytest.raises(InvalidField):
                await ask(wrong)
    for offset, size in ((-1, 1), (0, -1)):
        with pytest.raises(InvalidField):
            shelf.blobs.read_range(address(b""), offset, size)


async def test_a_download_in_ranges(shelf: Shelf) -> None:
    data = os.urandom(1_000_000)
    digest = address(data)
    assert shelf.blobs.received(digest) == 0
    offset = 0
    while offset < len(data):
        offset = await shelf.blobs.append(digest, offset, data[offset : offset + 70_000])
        assert shelf.blobs.received(digest) == offset
        assert not shelf.blobs.has(digest), "a part is not a blob"
    assert await shelf.blobs.finish(digest)
    assert await shelf.blobs.get(digest) == data
    assert shelf.blobs.received(digest) == 0


async def test_a_range_out_of_place_changes_nothing(downloads: Downloads) -> None:
    digest = address(b"0123456789")
    assert await downloads.append(digest, 0, b"01234") == 5
    assert await downloads.append(digest, 0, b"again") == 5
    assert await downloads.append(digest, 7, b"789") == 5
    assert await downloads.append(digest, 5, b"56789") == 10
    assert await downloads.finish(digest)


async def test_two_sources_of_one_download(shelf: Shelf) -> None:
    data = os.urandom(400_000)

    async def fetch() -> None:
        offset = shelf.blobs.received(address(data))
        while offset < len(data):
            offset = await shelf.blobs.append(address(data), offset, data[offset : offset + 9_999])

    await asyncio.gather(fetch(), fetch(), fetch())
    assert await shelf.blobs.finish(address(data))
    assert await shelf.blobs.get(address(data)) == data


@pytest.mark.parametrize("fault", ["wrong bytes", "missing end", "too much", "nothing"])
async def test_a_bad_download_is_discarded_whole(shelf: Shelf, fault: str) -> None:
    data = os.urandom(100_000)
    digest = address(data)
    came = {"wrong bytes": bytes(100_000), "missing end": data[:-1], "too much": data + b"x", "nothing": b""}[fault]
    if came:
        await shelf.blobs.append(digest, 0, came)
    assert not await shelf.blobs.finish(digest)
    assert not shelf.blobs.has(digest)
    assert shelf.blobs.received(digest) == 0, "the next attempt starts at the beginning"


async def test_a_discarded_download_starts_anew(downloads: Downloads) -> None:
    digest = address(b"0123456789")
    await downloads.append(digest, 0, b"01234")
    await downloads.discard(digest)
    await downloads.discard(digest)
    assert downloads.received(digest) == 0


async def test_closed_blobs_refuse(shelf: Shelf) -> None:
    digest = await shelf.blobs.put(b"x")
    await asyncio.gather(shelf.blobs.close(), shelf.blobs.close())
    await shelf.blobs.close()
    asked = (
        lambda: shelf.blobs.put(b"y"),
        lambda: shelf.blobs.get(digest),
        lambda: shelf.blobs.append(digest, 0, b"y"),
        lambda: shelf.blobs.finish(digest),
    )
    for ask in asked:
        with pytest.raises(WorldError, match="closed"):
            await ask()
    with pytest.raises(WorldError, match="closed"):
        shelf.blobs.has(digest)
