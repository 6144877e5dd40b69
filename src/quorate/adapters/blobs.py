"""Bytes by their BLAKE3 digest: in memory, or in files under two hex characters each, written beside and renamed.

A blob file is synced, renamed, and its folder synced, in groups: one file costs two syncs, many at once share the
file system's journal commits. Small blobs can live in the node's Store instead, where they share the commit of its
rows; measured on ext4, one row of 4 KiB costs a third of one file, 256 of them together a tenth of 256 files.

A whole blob is checked against its digest when it is read. A range is not (plain BLAKE3 of the whole says nothing of
a part): whoever collects ranges checks the whole, as `finish` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from quorate.adapters.blob_folder import BlobFolder, Put
from quorate.adapters.group_writer import GroupWriter
from quorate.crypto.digests import blob_digest
from quorate.errors import InvalidField, TooLarge, WorldError
from quorate.model.units import DIGEST_BYTES, MIB, Digest
from quorate.ports import Row, Store

BLOB_BYTES_MAX = 256 * MIB
ROW_BLOB_BYTES_MAX = 32 * 1024
RANGE_BYTES_MAX = 4 * MIB
BLOB_KIND = "blob"
_INLINE_BYTES_MAX = 256 * 1024  # a larger blob is hashed away from the event loop
_DISK_THREADS = 4

Answer = TypeVar("Answer")


def check_digest(digest: bytes) -> None:
    if type(digest) is not bytes or len(digest) != DIGEST_BYTES:
        raise InvalidField("not a digest", field="digest", limit=f"{DIGEST_BYTES} bytes")


def check_range(digest: bytes, offset: int, size: int) -> int:
    """How many bytes to read: `size`, or as many as one range may have."""
    check_digest(digest)
    if offset < 0 or size < 0:
        raise InvalidField(f"offset {offset}, size {size}", field="range", limit="not negative")
    return min(size, RANGE_BYTES_MAX)


def check_size(size: int, bytes_max: int) -> None:
    if size > bytes_max:
        raise TooLarge(f"{size} bytes", field="blob", limit=f"{bytes_max} bytes", fix="split it")


def check_blob(data: bytes, bytes_max: int) -> None:
    if type(data) is not bytes:  # what can change after its digest was taken is not content
        raise InvalidField(f"a {type(data).__name__}", field="blob", limit="bytes")
    check_size(len(data), bytes_max)


class MemoryBlobs:
    """Blobs in memory, for tests and simulation."""

    row_bytes_max = -1

    def __init__(self, *, blob_bytes_max: int = BLOB_BYTES_MAX) -> None:
        self._blobs: dict[bytes, bytes] = {}
        self._partial: dict[bytes, bytearray] = {}
        self._bytes_max = blob_bytes_max
        self._closed = False

    async def put(self, data: bytes) -> Digest:
        return (await self.put_many([data]))[0]

    async def put_many(self, blobs: Sequence[bytes]) -> list[Digest]:
        self._refuse_closed()
        for data in blobs:
            check_blob(data, self._bytes_max)
        found = [blob_digest(data) for data in blobs]
        self._blobs.update(zip(found, blobs, strict=True))
        return found

    async def get(self, digest: Digest) -> bytes | None:
        check_digest(digest)
        self._refuse_closed()
        data = self._blobs.get(digest)
        if data is not None and blob_digest(data) != digest:
            del self._blobs[digest]
            return None
        return data

    def has(self, digest: Digest) -> bool:
        check_digest(digest)
        self._refuse_closed()
        return digest in self._blobs

    def read_range(self, digest: Digest, offset: int, size: int) -> bytes | None:
        size = check_range(digest, offset, size)
        self._refuse_closed()
        data = self._blobs.get(digest)
        return None if data is None else data[offset : offset + size]

    async def remove(self, digest: Digest) -> None:
        check_digest(digest)
        self._refuse_closed()
        self._blobs.pop(digest, None)

    def received(self, digest: Digest) -> int:
        check_digest(digest)
        self._refuse_closed()
        return len(self._partial.get(digest, b""))

    async def append(self, digest: Digest, offset: int, data: bytes) -> int:
        check_range(digest, offset, 0)
        check_size(offset + len(data), self._bytes_max)
        if offset == self.received(digest):
            self._partial.setdefault(digest, bytearray()).extend(data)
        return self.received(digest)

    async def finish(self, digest: Digest) -> bool:
        check_digest(digest)
        self._refuse_closed()
        data = bytes(self._partial.pop(digest, b""))
        if blob_digest(data) != digest:
            return False
        self._blobs[digest] = data
        return True

    async def discard(self, digest: Digest) -> None:
        check_digest(digest)
        self._refuse_closed()
        self._partial.pop(digest, None)

    async def close(self) -> None:
        self._closed = True

    def _refuse_closed(self) -> None:
        if self._closed:
            raise WorldError("the blobs are closed", field="store")


_Work = Put | Callable[[], Any]


class FileBlobs:
    """Blobs in `folder`; those of at most `row_blob_bytes_max` in `rows` where a Store is given (it stays the
    caller's to close).

    Downloads arrive in ranges through `append`, in order, and survive a restart. They are not synced before `finish`,
    which checks the digest: what a power cut spoilt is discarded there and fetched again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rows: Store | None = None,
        blob_bytes_max: int = BLOB_BYTES_MAX,
        row_blob_bytes_max: int = ROW_BLOB_BYTES_MAX,
    ) -> None:
        self._rows = rows
        self.row_bytes_max = row_blob_bytes_max if rows is not None else -1
        self._bytes_max = blob_bytes_max
        self._files = BlobFolder(folder)
        self._putting: set[Digest] = set()
        self._pool = ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="blobs")
        self._writer: GroupWriter[_Work, Any] = GroupWriter("blobs", self._commit)
        self._closed = False

    async def put(self, data: bytes) -> Digest:
        return (await self.put_many([data]))[0]

    async def put_many(self, blobs: Sequence[bytes]) -> list[Digest]:
        """Their digests, in order, when all are durable. After an error some of them may be here and some not."""
        self._refuse_closed()
        for data in blobs:
            check_blob(data, self._bytes_max)
        puts = [Put(await self._digest(data), data) for data in blobs]
        small = [put for put in puts if len(put.data) <= self.row_bytes_max]
        large = [put for put in puts if len(put.data) > self.row_bytes_max]
        if not large:
            await self._put_rows(small)  # no task of its own: they are queued now, see `Blobs.row_bytes_max`
        else:
            waits = [self._writer.submit(put, len(put.data)) for put in large]
            await asyncio.gather(self._put_rows(small), *waits)
        return [put.digest for put in puts]

    async def get(self, digest: Digest) -> bytes | None:
        check_digest(digest)
        self._refuse_closed()
        data = self._row(digest)
        if data is not None:
            if blob_digest(data) == digest:
                return data
            await self._remove_row(digest)
        data = await self._away(lambda: self._files.read(digest))
        if data is None or await self._digest(data) == digest:
            return data
        # Checked again in the writer's order: a good copy may have been put in its place meanwhile.
        await self._writer.submit(lambda: self._files.remove_corrupt(digest), 0)
        return None

    def has(self, digest: Digest) -> bool:
        check_digest(digest)
        self._refuse_closed()
        return self._row(digest) is not None or self._files.path(digest).exists()

    def read_range(self, digest: Digest, offset: int, size: int) -> bytes | None:
        """At most `size` bytes from `offset`: fewer at the end, and never above RANGE_BYTES_MAX. Not checked."""
        size = check_range(digest, offset, size)
        self._refuse_closed()
        data = self._row(digest)
        return self._files.read_range(digest, offset, size) if data is None else data[offset : offset + size]

    async def remove(self, digest: Digest) -> None:
        check_digest(digest)
        self._refuse_closed()
        if self._rows is not None:
            await self._rows.save([Row(BLOB_KIND, digest, None)])
        await self._writer.submit(
            lambda: self._files.remove(digest), 0
        )  # not synced: a blob that comes back harms nobody

    def received(self, digest: Digest) -> int:
        """How many bytes of a download are here: the offset to go on from."""
        check_digest(digest)
        self._refuse_closed()
        return self._files.received(digest)

    async def append(self, digest: Digest, offset: int, data: bytes) -> int:
        """Add `data` to a download if it starts at `offset`; the offset to go on from, either way."""
        check_range(digest, offset, 0)
        check_size(offset + len(data), self._bytes_max)
        return int(await self._writer.submit(lambda: self._files.append(digest, offset, data), len(data)))

    async def finish(self, digest: Digest) -> bool:
        """True when the download is whole and now a durable blob; otherwise it is discarded, to be started again."""
        check_digest(digest)
        return bool(await self._writer.submit(lambda: self._files.finish(digest), 0))

    async def discard(self, digest: Digest) -> None:
        check_digest(digest)
        await self._writer.submit(lambda: self._files.discard(digest), 0)

    async def close(self) -> None:
        await self._writer.close()
        if not self._closed:
            self._closed = True
            self._pool.shutdown()
            self._files.close()

    async def _digest(self, data: bytes) -> Digest:
        if len(data) <= _INLINE_BYTES_MAX:
            return blob_digest(data)
        return await self._away(lambda: blob_digest(data))

    async def _away(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _row(self, digest: Digest) -> bytes | None:
        return None if self._rows is None else self._rows.load(BLOB_KIND, digest)

    async def _put_rows(self, puts: Sequence[Put]) -> None:
        if self._rows is None or not puts:
            return
        found = {put.digest for put in puts}
        self._putting |= found
        try:
            await self._rows.save([Row(BLOB_KIND, put.digest, put.data) for put in puts])
        finally:
            self._putting -= found

    async def _remove_row(self, digest: Digest) -> None:
        # A put under way repairs the row, and the delete would come after it.
        if self._rows is not None and digest not in self._putting:
            await self._rows.save([Row(BLOB_KIND, digest, None)])

    def _commit(self, works: list[_Work]) -> Sequence[Any]:
        """In the writer's thread: puts that stand together share their syncs, everything else runs one by one."""
        answers: list[Any] = []
        for are_puts, run in groupby(works, lambda work: isinstance(work, Put)):
            group: list[Any] = list(run)
            answers.extend(self._files.put(group, self._pool) if are_puts else map(self._files.attempt, group))
        return answers

    def _refuse_closed(self) -> None:
        if self._closed:
            raise WorldError("the blobs are closed", field="store")
