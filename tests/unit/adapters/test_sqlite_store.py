"""What the sqlite store adds to the contract of a Store: files, other processes, crashes, full disks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from quorate.adapters.storage.sqlite import SCHEMA_VERSION, SqliteStore
from quorate.errors import DiskFull, WorldError
from quorate.ports import Row

KILLS = 6

SAVER = """
import asyncio, itertools, os, sys
from pathlib import Path
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.ports import Row

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    numbers = itertools.count(int(sys.argv[2]))
    async def keep_saving():
        for count in numbers:
            await store.save([Row(kind, b"%08d" % count, bytes(100)) for kind in ("left", "right")])
            os.write(1, b"%08d\\n" % count)
    await asyncio.gather(*(keep_saving() for _ in range(16)))

asyncio.run(main())
"""

OPENER = """
import sys
from pathlib import Path
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.errors import QuorateError
try:
    SqliteStore(Path(sys.argv[1]))
except QuorateError as fault:
    print(type(fault).__name__, fault)
"""

LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.errors import QuorateError
from quorate.ports import Row

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.save([Row("job", b"before", b"v")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    saves = [store.save([Row("job", b"%d" % n, bytes(60_000))]) for n in range(10)]
    for answer in await asyncio.gather(*saves, return_exceptions=True):
        print(type(answer).__name__ if isinstance(answer, QuorateError) else answer)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "node" / "store.sqlite"


def python(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_rows_outlive_the_store(path: Path) -> None:
    store = SqliteStore(path)
    await store.save([Row("job", b"%d" % count, b"v") for count in range(1000)])
    await store.close()
    again = SqliteStore(path)
    assert len(list(again.scan("job"))) == 1000
    await again.close()


async def test_files_are_the_owners_alone(path: Path) -> None:
    loose = os.umask(0)
    try:
        store = SqliteStore(path)
        await store.save([Row("job", b"a", b"b")])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(loose)
    assert set(modes) == {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.sqlite.lock"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    await store.close()
    path.chmod(0o644)
    again = SqliteStore(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await again.close()


async def test_a_second_process_is_refused_and_told_who_has_it(path: Path) -> None:
    store = SqliteStore(path)
    answer = python(OPENER, path)
    assert answer.startswith("WorldError store: ")
    assert f"in use by process {os.getpid()}" in answer
    assert "QUORATE_HOME" in answer
    with pytest.raises(WorldError, match="in use"):
        SqliteStore(path.parent / ".." / "node" / "store.sqlite")
    await store.save([Row("job", b"a", b"b")])
    await store.close()
    assert python(OPENER, path) == "", "a closed store can be opened"


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    await SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE schema SET version = ?", (SCHEMA_VERSION + 1,))
    database.close()
    before = path.read_bytes()
    with pytest.raises(WorldError, match=f"schema version {SCHEMA_VERSION + 1}.*fix: upgrade quorate"):
        SqliteStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, None, "text"])
async def test_an_impossible_schema_is_refused(path: Path, version: Any) -> None:
    await SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other AS SELECT ? AS version", (version,))
        database.execute("DROP TABLE schema")
        database.execute("ALTER TABLE other RENAME TO schema")
    database.close()
    with pytest.raises(WorldError, match="schema version"):
        SqliteStore(path)


async def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE rows (kind, key, value)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(WorldError, match="not a store of Quorate"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(random.Random(1).randbytes(9000))
    with pytest.raises(WorldError, match="damaged"):
        SqliteStore(path)
    with pytest.raises(WorldError, match="damaged"):
        SqliteStore(path)  # and its lock was given back


async def test_a_damaged_page_is_a_typed_error(path: Path) -> None:
    store = SqliteStore(path)
    await store.save([Row("job", b"%06d" % count, bytes(500)) for count in range(5000)])
    await store.close()
    data = bytearray(path.read_bytes())
    for page in range(4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = bytes(100)
    path.write_bytes(data)
    store = SqliteStore(path)
    with pytest.raises(WorldError, match="damaged"):
        list(store.scan("job"))
    await store.close()


async def test_a_full_store_refuses_what_does_not_fit_and_saves_what_does(path: Path) -> None:
    store = SqliteStore(path, store_bytes_max=400_000)
    sizes = [1000, 300_000, 2000, 900_000, 3000]
    saves = [store.save([Row("half", b"%d" % size, b""), Row("job", b"%d" % size, bytes(size))]) for size in sizes]
    answers: list[Any] = await asyncio.gather(*saves, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None)] * 3 + [DiskFull] + [type(None)]
    assert {key for key, _ in store.scan("half")} == {b"1000", b"300000", b"2000", b"3000"}
    with pytest.raises(DiskFull, match="fix: free some space"):
        await store.save([Row("job", b"x", bytes(200_000))])
    await store.save([Row("job", b"300000", None)])
    await store.save([Row("job", b"x", bytes(200_000))])
    await store.close()


async def test_a_file_that_may_not_grow_is_a_typed_error(path: Path) -> None:
    answers = python(LIMITED, path).split()
    assert set(answers) == {"None", "WorldError"}
    store = SqliteStore(path)
    assert len(list(store.scan("job"))) == answers.count("None") + 1
    await store.close()


async def test_the_log_is_folded_in_while_the_store_is_open(path: Path) -> None:
    store = SqliteStore(path)
    for _ in range(30):
        await store.save([Row("job", os.urandom(8), bytes(1 << 20))])
    log_bytes = path.with_name("store.sqlite-wal").stat().st_size
    await store.close()
    assert log_bytes < 20 << 20, "the log does not grow with everything ever written"


async def test_saves_from_two_event_loops(path: Path) -> None:
    store = SqliteStore(path)

    async def save(kind: str) -> None:
        await asyncio.gather(*(store.save([Row(kind, b"%d" % count, b"v")]) for count in range(500)))

    await asyncio.gather(asyncio.to_thread(asyncio.run, save("there")), save("here"))
    assert len(list(store.scan("here"))) == len(list(store.scan("there"))) == 500
    await store.close()


async def test_the_event_loop_is_free_while_rows_are_saved(path: Path) -> None:
    store = SqliteStore(path)
    rows = [Row("job", os.urandom(16), bytes(1000)) for _ in range(20_000)]
    saving = asyncio.ensure_future(store.save(rows))
    gaps, last = [], time.monotonic()
    while not saving.done():
        await asyncio.sleep(0)
        now = time.monotonic()
        gaps.append(now - last)
        last = now
    await saving
    await store.close()
    assert len(gaps) > 10
    assert sorted(gaps)[len(gaps) // 2] < 0.01


async def test_a_killed_process_loses_nothing_acknowledged(path: Path) -> None:
    """Many times over one store, with saves under way. That syncs happen is for the power-cut tests to show."""
    draw = random.Random(3)
    first = 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", SAVER, str(path), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            head = child.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.25))
            child.send_signal(signal.SIGKILL)
            told = (head + child.stdout.read()).split(b"\n")[:-1]
        store = SqliteStore(path)
        left, right = dict(store.scan("left")), dict(store.scan("right"))
        await store.close()
        assert left.keys() == right.keys(), "a save is whole or absent"
        assert set(told) <= left.keys()
        assert sorted(left) == [b"%08d" % count for count in range(len(left))], "no later save without an earlier one"
        first = len(left)
    assert first > KILLS
