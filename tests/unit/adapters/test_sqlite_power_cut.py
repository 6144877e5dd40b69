"""The sqlite store on a disk that forgets: a SQLite VFS (through APSW) that keeps unsynced writes apart.

At random moments a power cut is taken: of the writes that were never synced each survives, is lost or is torn at a
sector, in any order. The store is opened again on what survived. FULL must lose nothing that was acknowledged; the
same checker must catch the weaker settings, else it proves nothing. The same disk also runs full.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from quorate.adapters.storage import sqlite as under_test
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.errors import DiskFull, WorldError
from quorate.ports import Row

apsw = pytest.importorskip("apsw", reason="the power-cut tests need the package apsw")

SECTOR_BYTES = 512
SAVES = 1500
CUTS = 200
IN_FLIGHT = 12


class Medium:
    """One file as the disk has it: what was synced, and the writes since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []  # (offset, bytes), or (size, None) for a truncation

    def sync(self) -> None:
        for write in self.pending:
            apply(self.synced, write)
        self.pending.clear()

    def after_a_cut(self, draw: random.Random) -> bytes:
        image = bytearray(self.synced)
        survivors = [write for write in self.pending if draw.random() < 0.5]
        draw.shuffle(survivors)
        for offset, data in survivors:
            if data is not None and draw.random() < 0.3:
                data = data[: draw.randrange(len(data) // SECTOR_BYTES + 1) * SECTOR_BYTES]
            apply(image, (offset, data))
        return bytes(image)


def apply(image: bytearray, write: tuple[int, bytes | None]) -> None:
    offset, data = write
    if data is None:
        del image[offset:]
        return
    image.extend(bytes(max(0, offset - len(image))))
    image[offset : offset + len(data)] = data


class Disk:
    """All files, the cuts taken so far, and by how many bytes the files may still grow."""

    def __init__(self, seed: int, cut_odds: float = 0.0) -> None:
        self.files: dict[str, Medium] = {}
        self.cuts: list[tuple[dict[str, bytes], int]] = []
        self.acknowledged = 0
        self.left = 1 << 40
        self.syncs = 0
        self._draw = random.Random(seed)
        self._cut_odds = cut_odds

    def moment(self) -> None:
        """Called before and after every write and sync: the power may fail here."""
        if self._draw.random() < self._cut_odds and len(self.cuts) < CUTS:
            image = {name: medium.after_a_cut(self._draw) for name, medium in self.files.items()}
            self.cuts.append((image, self.acknowledged))


class DiskFile(apsw.VFSFile):  # type: ignore[misc,name-defined]
    """Writes go to the real file (the page cache, which readers see) and to the medium (what a cut leaves)."""

    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        plain = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._medium = disk.files.setdefault(Path(plain).name, Medium())

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        growth = max(0, offset + len(data) - self.xFileSize())
        if self._disk.left < growth:
            raise apsw.FullError("no space left on the simulated disk")
        self._disk.left -= growth
        self._disk.moment()
        super().xWrite(data, offset)
        self._medium.pending.append((offset, bytes(data)))
        self._disk.moment()

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._medium.pending.append((size, None))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.moment()
        super().xSync(flags)
        self._medium.sync()
        self._disk.syncs += 1
        self._disk.moment()


class DiskVfs(apsw.VFS):  # type: ignore[misc,name-defined]
    def __init__(self, disk: Disk, name: str) -> None:
        super().__init__(name, "")
        self._disk = disk

    def xOpen(self, name: Any, flags: Any) -> DiskFile:  # noqa: N802
        return DiskFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._disk.files.pop(Path(filename).name, None)


class ApswConnection:
    """APSW under the calls that the store makes. `synchronous` takes the place of the store's own setting."""

    def __init__(self, path: Path, vfs: str, synchronous: str) -> None:
        self._database = apsw.Connection(str(path), vfs=vfs)
        self._synchronous = synchronous

    @property
    def in_transaction(self) -> bool:
        return bool(self._database.in_transaction)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if sql == "PRAGMA synchronous=FULL":
            sql = f"PRAGMA synchronous={self._synchronous}"
        try:
            return self._database.execute(sql, parameters)
        except apsw.Error as fault:
            named = sqlite3.OperationalError(str(fault))
            named.sqlite_errorcode = sqlite3.SQLITE_FULL if isinstance(fault, apsw.FullError) else fault.extendedresult
            raise named from None

    def close(self) -> None:
        self._database.close()


@contextlib.contextmanager
def opened_on(disk: Disk, folder: Path, synchronous: str) -> Iterator[SqliteStore]:
    vfs = DiskVfs(disk, f"disk-{id(disk)}")
    store = SqliteStore(
        folder / "store.sqlite", connect=lambda path: ApswConnection(path, f"disk-{id(disk)}", synchronous)
    )
    yield store
    vfs.unregister()


def rows_of(count: int) -> list[Row]:
    """A save of two rows that belong together; from the 40th on each also deletes an older pair's half."""
    body = random.Random(count).randbytes(random.Random(count).choice((20, 300, 300, 5000)))
    rows = [Row("left", b"%06d" % count, body), Row("right", b"%06d" % count, body[::-1])]
    return [*rows, Row("spare", b"%06d" % count, b"x"), Row("spare", b"%06d" % (count - 40), None)]


async def save_many(store: SqliteStore, disk: Disk) -> None:
    """Saves number 0, 1, 2, ... with a dozen under way; `acknowledged` is the highest prefix that was acknowledged."""
    numbers = iter(range(SAVES))
    done: set[int] = set()

    async def keep_saving() -> None:
        for count in numbers:
            await store.save(rows_of(count))
            done.add(count)
            while disk.acknowledged in done:
                disk.acknowledged += 1

    await asyncio.gather(*(keep_saving() for _ in range(IN_FLIGHT)))


async def faults_after(image: dict[str, bytes], acknowledged: int, folder: Path) -> list[str]:
    """What is wrong with the store that the cut left, as one who was told `acknowledged` saves sees it."""
    folder.mkdir()
    for name, data in image.items():
        if not name.endswith("-shm"):
            (folder / name).write_bytes(data)
    try:
        store = SqliteStore(folder / "store.sqlite")
        left, right = dict(store.scan("left")), dict(store.scan("right"))
        spare = [key for key, _ in store.scan("spare")]
        await store.close()
    except WorldError as fault:
        return [f"damaged: {fault}"]
    whole = len(left)
    faults = ["lost"] * max(0, acknowledged - whole)
    expected = {row.key: (row.value, rows_of(count)[1].value) for count in range(whole) for row in rows_of(count)[:1]}
    if {key: (value, right.get(key)) for key, value in left.items()} != expected or len(right) != whole:
        faults.append("damaged: a save is half there, or a later one is there without an earlier one")
    if spare != [b"%06d" % count for count in range(max(0, whole - 40), whole)]:
        faults.append("damaged: a delete was not applied with its save")
    return faults


async def cut_often(folder: Path, synchronous: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Disk, list[list[str]]]:
    monkeypatch.setattr(under_test, "CHECKPOINT_BYTES", 400_000)  # so that cuts fall into checkpoints too
    disk = Disk(seed=7, cut_odds=0.05)
    with opened_on(disk, folder / "run", synchronous) as store:
        await save_many(store, disk)
        await store.close()
    found = [
        await faults_after(image, acknowledged, folder / f"cut-{place}")
        for place, (image, acknowledged) in enumerate(disk.cuts)
    ]
    return disk, found


async def test_full_loses_nothing_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, found = await cut_often(tmp_path, "FULL", monkeypatch)
    assert len(disk.cuts) == CUTS
    assert disk.cuts[-1][1] > SAVES // 10, "the cuts are spread over the run"
    assert [faults for faults in found if faults] == []


async def test_the_checker_sees_what_normal_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = await cut_often(tmp_path, "NORMAL", monkeypatch)
    assert sum(faults.count("lost") for faults in found) > 20
    assert not any("damaged" in fault for faults in found for fault in faults), "NORMAL keeps the order, SQLite says"


async def test_the_checker_sees_what_off_destroys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = await cut_often(tmp_path, "OFF", monkeypatch)
    assert any("damaged" in fault for faults in found for fault in faults)


async def test_a_full_disk_refuses_whole_saves_and_keeps_the_rest(tmp_path: Path) -> None:
    disk = Disk(seed=1)
    with opened_on(disk, tmp_path, "FULL") as store:
        await store.save([Row("job", b"before", b"v")])
        disk.left = 300_000
        saves = [store.save([Row("job", b"%d" % n, bytes(50_000)), Row("pair", b"%d" % n, b"")]) for n in range(20)]
        answers: list[Any] = await asyncio.gather(*saves, return_exceptions=True)
        refused = [n for n, answer in enumerate(answers) if isinstance(answer, DiskFull)]
        assert 0 < len(refused) < 20, "what fits is saved, although its group as a whole did not fit"
        assert all(answer is None or isinstance(answer, DiskFull) for answer in answers)
        assert "free some space" in str(answers[refused[0]])
        disk.left = 1 << 40
        await store.save([Row("job", b"after", b"v")])
        await store.close()
    again = SqliteStore(tmp_path / "store.sqlite")
    saved = {b"before", b"after"} | {b"%d" % n for n in range(20) if n not in refused}
    assert {key for key, _ in again.scan("job")} == saved
    assert {key for key, _ in again.scan("pair")} == saved - {b"before", b"after"}
    await again.close()


async def test_saves_under_way_together_share_syncs(tmp_path: Path) -> None:
    disk = Disk(seed=1)
    with opened_on(disk, tmp_path, "FULL") as store:
        before = disk.syncs
        for count in range(20):
            await store.save([Row("job", b"%d" % count, b"v")])
        alone = disk.syncs - before
        await asyncio.gather(*(store.save([Row("many", b"%d" % count, b"v")]) for count in range(500)))
        together = disk.syncs - before - alone
        await store.close()
    assert alone >= 20, "each acknowledged save was synced"
    assert together <= 50
