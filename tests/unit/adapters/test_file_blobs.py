"""What blobs in files add to their contract: places, modes, restarts, crashes, disks that refuse."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from quorate.adapters import blob_folder
from quorate.adapters.blobs import ROW_BLOB_BYTES_MAX, FileBlobs
from quorate.adapters.storage.memory import MemoryStore
from quorate.errors import WorldError
from quorate.model.units import Digest
from quorate.ports import Row

PUTTER = """
import asyncio, itertools, os, sys
from pathlib import Path
from quorate.adapters.blobs import FileBlobs

async def main():
    blobs = FileBlobs(Path(sys.argv[1]))
    async def keep_putting():
        while True:
            digest = await blobs.put(os.urandom(70_000))
            os.write(1, digest.hex().encode() + b"\\n")
    await asyncio.gather(*(keep_putting() for _ in range(8)))

asyncio.run(main())
"""

LIMITED = """
import asyncio, os, resource, sys
from pathlib import Path
from quorate.adapters.blobs import FileBlobs
from quorate.errors import QuorateError

async def main():
    blobs = FileBlobs(Path(sys.argv[1]))
    digest = bytes(32)
    await blobs.append(digest, 0, bytes(50_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    puts = [blobs.put(os.urandom(size)) for size in (50_000, 200_000, 60_000)]
    tries = [*puts, blobs.append(digest, 50_000, bytes(80_000))]
    for answer in await asyncio.gather(*tries, return_exceptions=True):
        print(type(answer).__name__)
    print(blobs.received(digest))
    await blobs.close()

asyncio.run(main())
"""


def address(data: bytes) -> Digest:
    return Digest(blake3(data).digest())


def files_under(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


async def test_places_and_modes(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    loose = os.umask(0)
    try:
        blobs = FileBlobs(folder)
        digest = await blobs.put(b"content")
        await blobs.append(address(b"coming"), 0, b"com")
    finally:
        os.umask(loose)
    name = digest.hex()
    assert files_under(folder) == {f"{name[:2]}/{name[2:]}", f"partial/{address(b'coming').hex()}", "lock"}
    for place in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600)
    await blobs.close()


async def test_small_blobs_go_to_the_rows_that_are_given(tmp_path: Path) -> None:
    rows = MemoryStore()
    blobs = FileBlobs(tmp_path / "blobs", rows=rows)
    small, large = await blobs.put_many([bytes(ROW_BLOB_BYTES_MAX), bytes(ROW_BLOB_BYTES_MAX + 1)])
    assert [key for key, _ in rows.scan("blob")] == [small]
    assert files_under(tmp_path / "blobs") == {f"{large.hex()[:2]}/{large.hex()[2:]}", "lock"}
    await blobs.close()
    await rows.save([])  # the rows are the caller's to close


async def test_blobs_and_downloads_outlive_a_restart(tmp_path: Path) -> None:
    data = os.urandom(200_000)
    blobs = FileBlobs(tmp_path / "blobs")
    kept = await blobs.put(b"kept")
    await blobs.append(address(data), 0, data[:120_000])
    await blobs.close()
    again = FileBlobs(tmp_path / "blobs")
    assert await again.get(kept) == b"kept"
    assert again.received(address(data)) == 120_000
    await again.append(address(data), 120_000, data[120_000:])
    assert await again.finish(address(data))
    assert await again.get(address(data)) == data
    assert "partial" not in {place.split("/")[0] for place in files_under(tmp_path / "blobs")}
    await again.close()


async def test_what_a_power_cut_did_to_a_download_is_found_out(tmp_path: Path) -> None:
    data = os.urandom(200_000)
    blobs = FileBlobs(tmp_path / "blobs")
    await blobs.append(address(data), 0, data[:120_000])
    file = tmp_path / "blobs" / "partial" / address(data).hex()
    file.write_bytes(data[:60_000] + bytes(60_000))  # the length was written, some bytes were not
    await blobs.append(address(data), 120_000, data[120_000:])
    assert not await blobs.finish(address(data))
    assert blobs.received(address(data)) == 0
    await blobs.close()


async def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    await FileBlobs(tmp_path / "blobs").close()
    (tmp_path / "blobs" / "staging" / "half").write_bytes(b"x")
    await FileBlobs(tmp_path / "blobs").close()
    assert files_under(tmp_path / "blobs") == {"lock"}


async def test_a_folder_has_one_user(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    with pytest.raises(WorldError, match="in use"):
        FileBlobs(tmp_path / "blobs")
    await blobs.close()


async def test_a_link_in_the_place_of_a_blob_is_not_followed(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    digest = await blobs.put(b"content")
    place = tmp_path / "blobs" / digest.hex()[:2] / digest.hex()[2:]
    place.unlink()
    (tmp_path / "secret").write_bytes(b"content")
    place.symlink_to(tmp_path / "secret")
    with pytest.raises(WorldError):
        await blobs.get(digest)
    with pytest.raises(WorldError):
        blobs.read_range(digest, 0, 5)
    await blobs.put(b"content")
    assert not place.is_symlink()
    assert (tmp_path / "secret").read_bytes() == b"content"
    await blobs.close()


def test_a_file_that_may_not_grow_spoils_no_other(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / "blobs"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["bytes", "WorldError", "bytes", "WorldError", "50000"]
    assert not list((tmp_path / "blobs" / "staging").iterdir()), "nothing half done"


async def test_a_killed_process_loses_no_blob_it_told_of(tmp_path: Path) -> None:
    draw = random.Random(5)
    for _ in range(3):
        command = [sys.executable, "-c", PUTTER, tmp_path / "blobs"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            head = child.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.2))
            child.send_signal(signal.SIGKILL)
            told = (head + child.stdout.read()).split(b"\n")[:-1]
        blobs = FileBlobs(tmp_path / "blobs")
        for name in told:
            assert await blobs.get(Digest(bytes.fromhex(name.decode()))) is not None
        assert not list((tmp_path / "blobs" / "staging").iterdir())
        await blobs.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files in /proc")
async def test_bytes_are_synced_before_the_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No crash of a process shows a missing sync; so the order of the real calls is written down."""
    calls: list[tuple[str, str]] = []

    def noted(kind: str, plain: Callable[..., Any], name_of: Callable[[Any], str]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any) -> Any:
            name = name_of(first)
            answer = plain(first, *rest)
            calls.append((kind, name))
            return answer

        return call

    def name_behind(descriptor: int) -> str:
        return Path(f"/proc/self/fd/{descriptor}").readlink().name

    monkeypatch.setattr(blob_folder, "sync_descriptor", noted("bytes", blob_folder.sync_descriptor, name_behind))
    monkeypatch.setattr(blob_folder, "sync_folder", noted("folder", blob_folder.sync_folder, lambda path: path.name))
    monkeypatch.setattr(Path, "rename", noted("name", Path.rename, lambda path: path.name))
    blobs = FileBlobs(tmp_path / "blobs")
    digests = await blobs.put_many([bytes([number]) * 50_000 for number in range(5)])
    await blobs.append(address(b"download"), 0, b"download")
    assert await blobs.finish(address(b"download"))
    for digest in (*digests, address(b"download")):
        name = digest.hex()
        steps = [calls.index(("bytes", name)), calls.index(("name", name))]
        assert steps[0] < steps[1], "a name never stands for bytes that are not on the disk"
        assert ("folder", name[:2]) in calls[steps[1] :], "and is on the disk itself when put returns"
    await blobs.close()


async def test_small_blobs_are_queued_before_rows_that_are_saved_next(tmp_path: Path) -> None:
    """Both share one sync then, and no row is ever durable before the bytes that it speaks of."""
    order: list[str] = []

    class Queue(MemoryStore):
        async def save(self, rows: Sequence[Row]) -> None:
            order.extend(row.kind for row in rows)
            await asyncio.sleep(0)

    rows = Queue()
    blobs = FileBlobs(tmp_path / "blobs", rows=rows)
    small = [bytes([number]) * ROW_BLOB_BYTES_MAX for number in range(3)]
    assert blobs.row_bytes_max == ROW_BLOB_BYTES_MAX
    await asyncio.gather(blobs.put_many(small), rows.save([Row("lease", b"key", b"value")]))
    assert order == ["blob", "blob", "blob", "lease"]
    await blobs.close()
    without_rows = FileBlobs(tmp_path / "others")
    assert without_rows.row_bytes_max == -1, "nothing of it shares a sync"
    await without_rows.close()
