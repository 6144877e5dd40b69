"""The files under `blobs`: one folder, changed by one thread.

ab/cdef...     a blob, under the first two hex characters of its digest
staging/       blobs being written; emptied when the folder is opened
partial/       downloads, named by the digest they should have when they are whole
lock           held by the process that has the folder open
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from blake3 import blake3

from quorate.adapters.files import (
    FILE_MODE,
    ProcessLock,
    create_private_file,
    make_private_folder,
    sync_descriptor,
    sync_folder,
    world_error,
    write_all,
)
from quorate.errors import WorldError
from quorate.model.units import Digest

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_HASH_BYTES = 1 << 20

Answer = TypeVar("Answer")


class Put(NamedTuple):
    digest: Digest
    data: bytes


class BlobFolder:
    """`path`, `read`, `read_range` and `received` are safe from any thread; all else belongs to the writer's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._staging = folder / "staging"
        self._partial = folder / "partial"
        try:
            for place in (folder, self._staging, self._partial):
                make_private_folder(place)
            self._lock = ProcessLock(folder / "lock")
            for leftover in self._staging.iterdir():
                leftover.unlink()
        except OSError as fault:
            raise world_error(fault, folder, "opening") from None

    def close(self) -> None:
        self._lock.release()

    def attempt(self, work: Callable[..., Answer], *given: Any) -> Answer | WorldError:
        """What `work` answers; a refusal of the operating system is an answer too, so that it spoils no other work."""
        try:
            return work(*given)
        except OSError as fault:
            return world_error(fault, self._folder, "writing under")

    def path(self, digest: Digest) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name[2:]

    def read(self, digest: Digest) -> bytes | None:
        try:
            with open(self.path(digest), "rb", opener=_open) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise world_error(fault, self.path(digest), "reading") from None

    def read_range(self, digest: Digest, offset: int, size: int) -> bytes | None:
        try:
            with open(self.path(digest), "rb", buffering=0, opener=_open) as file:
                return os.pread(file.fileno(), size, offset)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise world_error(fault, self.path(digest), "reading") from None

    def put(self, puts: Sequence[Put], pool: ThreadPoolExecutor) -> list[WorldError | None]:
        """Make blobs durable together. One that is here already is written anew: it may be corrupt, or never synced."""
        unique = list({put.digest: put for put in puts}.values())
        each = pool.map if len(unique) > 1 else map  # one file alone is not worth the change of threads
        faults = dict(
            zip((put.digest for put in unique), each(partial(self.attempt, self._stage), unique), strict=True)
        )
        for digest in [digest for digest, fault in faults.items() if fault is None]:
            faults[digest] = self.attempt(self._publish, digest)
        shards = list({self.path(digest).parent for digest, fault in faults.items() if fault is None})
        unsynced = dict(zip(shards, each(partial(self.attempt, sync_folder), shards), strict=True))
        return [faults[put.digest] or unsynced[self.path(put.digest).parent] for put in puts]

    def remove(self, digest: Digest) -> None:
        self.path(digest).unlink(missing_ok=True)

    def remove_corrupt(self, digest: Digest) -> None:
        if not _matches(self.path(digest), digest):
            self.remove(digest)

    def received(self, digest: Digest) -> int:
        try:
            return (self._partial / digest.hex()).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, digest: Digest, offset: int, data: bytes) -> int:
        here = self.received(digest)
        if offset != here:
            return here
        descriptor = os.open(self._partial / digest.hex(), _APPEND, FILE_MODE)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            write_all(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, offset)  # half a range would pass for more progress than was promised
            raise
        finally:
            os.close(descriptor)
        return offset + len(data)

    def finish(self, digest: Digest) -> bool:
        whole = self._partial / digest.hex()
        if not _matches(whole, digest):
            whole.unlink(missing_ok=True)
            return False
        with open(whole, "rb+", opener=_open) as file:
            sync_descriptor(file.fileno())
        self._make_shard(digest)
        whole.rename(self.path(digest))
        sync_folder(self.path(digest).parent)
        return True

    def discard(self, digest: Digest) -> None:
        (self._partial / digest.hex()).unlink(missing_ok=True)

    def _stage(self, put: Put) -> None:
        beside = self._staging / put.digest.hex()
        descriptor = create_private_file(beside)
        try:
            write_all(descriptor, put.data)
            sync_descriptor(descriptor)
        except OSError:
            beside.unlink()
            raise
        finally:
            os.close(descriptor)

    def _publish(self, digest: Digest) -> None:
        beside = self._staging / digest.hex()
        try:
            self._make_shard(digest)
            beside.rename(self.path(digest))
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _make_shard(self, digest: Digest) -> None:
        make_private_folder(self.path(digest).parent)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _matches(path: Path, digest: Digest) -> bool:
    hasher = blake3()
    try:
        with open(path, "rb", buffering=0, opener=_open) as file:
            while part := file.read(_HASH_BYTES):
                hasher.update(part)
    except FileNotFoundError:
        return False
    return bool(hasher.digest() == digest)
