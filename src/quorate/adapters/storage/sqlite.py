"""Rows in one SQLite file: write-ahead log, `synchronous=FULL`, group commit (sqlite.org/wal.html).

One thread writes, over one connection; the event loop's thread reads, over another. So nobody waits for a lock inside
this process, only the writer ever checkpoints, and a lock file keeps other processes out.

What a reader sees: every save that was acknowledged, and perhaps saves that are durable but not yet acknowledged;
never one that a power cut could still undo (SQLite publishes a commit to readers after its sync), never half of one.
A save that is still queued is not seen: await it before reading it back.

Under a busy event loop each return from SQLite into Python costs up to one switch interval of the interpreter (5 ms),
so a group is written with as few calls as possible: usually one statement, which is its own transaction and takes the
write lock at its start, as BEGIN IMMEDIATE does for the larger groups.

Rows lie in the order in which they were first saved, and an index leads to them. Keys are digests: in the order of
their keys each row would dirty a page of its own, while those of jobs that are under way together share pages
(measured: a third fewer writes, a fifth of the reads, 0.15 to 0.25 ms less processor time a job in each node).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from quorate.adapters.files import (
    FILE_MODE,
    ProcessLock,
    create_private_file,
    make_private_folder,
    sync_folder,
    world_error,
)
from quorate.adapters.group_writer import GroupWriter
from quorate.adapters.storage import check_rows
from quorate.errors import DiskFull, QuorateError, WorldError
from quorate.ports import Row

SCHEMA_VERSION = 1
APPLICATION_ID = 0x51554F52  # "QUOR", so that another program's database is not taken for ours
STATEMENT_ROWS_MAX = 512
SCAN_ROWS_MAX = 256
SCAN_BYTES_MAX = 1 << 20
CHECKPOINT_BYTES = 8 << 20
BUSY_MS_MAX = 5000

_SETTINGS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",  # macOS only: a plain fsync stops at the drive's cache there
    "PRAGMA checkpoint_fullfsync=ON",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_MS_MAX}",
    "PRAGMA wal_autocheckpoint=0",  # checkpoints run after the callers were told, see `_tidy`
)
_SCHEMA = (
    f"PRAGMA application_id={APPLICATION_ID}",
    "CREATE TABLE schema (version INTEGER NOT NULL)",
    f"INSERT INTO schema VALUES ({SCHEMA_VERSION})",
    "CREATE TABLE rows (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key))",
)
_LOAD = "SELECT value FROM rows WHERE kind = ? AND key = ?"
_SCAN = "SELECT key, value FROM rows WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"


class Cursor(Protocol):
    def __iter__(self) -> Iterator[Any]: ...
    def fetchone(self) -> Any: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """The part of `sqlite3.Connection` in use here, so that a test can put its own disk under the same code."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...
    def close(self) -> None: ...


Connect = Callable[[Path], Connection]
Answer = TypeVar("Answer")


def connect_sqlite(path: Path) -> Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


class SqliteStore:
    """A Store over one file (created with mode 0600). Opening blocks, for the recovery of the log: do it before
    serving.

    `save` may be awaited from any event loop. A save that is cancelled while it waits may still be stored. Scans read
    in pages: a row that is saved or deleted meanwhile may or may not be in them, and every other row is, once, in the
    order of its key. `store_bytes_max` bounds the file; what does not fit is refused as on a full disk. 0 means no
    bound.
    """

    def __init__(self, path: Path, *, store_bytes_max: int = 0, connect: Connect = connect_sqlite) -> None:
        self._path = path
        self._lock = _claim(path)
        try:
            self._write, self._read = self._open(connect, store_bytes_max)
        except BaseException:
            self._lock.release()
            raise
        self._log_bytes = 0
        self._closed = False
        self._writer: GroupWriter[Sequence[Row], None] = GroupWriter("store", self._commit, self._tidy)

    async def save(self, rows: Sequence[Row]) -> None:
        rows = tuple(rows)
        await self._writer.submit(rows, check_rows(rows))

    def load(self, kind: str, key: bytes) -> bytes | None:
        return self._answer(partial(self._value, kind, key))

    def scan(self, kind: str, *, after: bytes = b"", limit: int = 1 << 30) -> Iterable[tuple[bytes, bytes]]:
        self._refuse_closed()
        return self._pages(kind, after, limit)

    async def close(self) -> None:
        await self._writer.close()
        if not self._closed:
            self._closed = True
            self._read.close()
            self._write.close()  # the last connection folds the log into the file
            self._lock.release()

    def _open(self, connect: Connect, store_bytes_max: int) -> tuple[Connection, Connection]:
        opened: list[Connection] = []
        try:
            opened.append(connect(self._path))
            _prepare(opened[0], self._path)
            if store_bytes_max:
                page_bytes = opened[0].execute("PRAGMA page_size").fetchone()[0]
                opened[0].execute(f"PRAGMA max_page_count={max(store_bytes_max // page_bytes, 1)}").fetchone()
            opened.append(connect(self._path))
            for setting in (*_SETTINGS, "PRAGMA query_only=ON"):
                opened[1].execute(setting).close()
        except BaseException as fault:
            for connection in opened:
                connection.close()
            if isinstance(fault, sqlite3.Error):
                raise _named(fault, self._path) from None
            raise
        return opened[0], opened[1]

    def _commit(self, saves: list[Sequence[Row]]) -> Sequence[QuorateError | None]:
        fault = self._try_commit(saves)
        if fault is None or len(saves) == 1:
            return [fault] * len(saves)
        # One save of the group may be at fault, or too large for what space is left: the others must not pay for it.
        return [self._try_commit([save]) for save in saves]

    def _try_commit(self, saves: Sequence[Sequence[Row]]) -> QuorateError | None:
        # Of several values for one key in a group only the last would be seen after the commit.
        final = {(row.kind, row.key): row.value for rows in saves for row in rows}
        upserts = [part for (kind, key), value in final.items() if value is not None for part in (kind, key, value)]
        deletes = [name for name, value in final.items() if value is None]
        try:
            self._write_group(upserts, deletes)
        except Exception as fault:  # not SQLite's alone: the driver has its own (MemoryError, OverflowError)
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                if self._write.in_transaction:
                    self._write.execute("ROLLBACK")
            return _named(fault, self._path)
        self._log_bytes += len(final) * _PAGE_BYTES + sum(len(value) for value in upserts[2::3])
        return None

    def _write_group(self, upserts: list[Any], deletes: list[tuple[str, bytes]]) -> None:
        if not deletes and len(upserts) <= 3 * STATEMENT_ROWS_MAX:
            if upserts:
                self._upsert(upserts)
            return
        self._write.execute("BEGIN IMMEDIATE")
        for start in range(0, len(upserts), 3 * STATEMENT_ROWS_MAX):
            self._upsert(upserts[start : start + 3 * STATEMENT_ROWS_MAX])
        for name in deletes:
            self._write.execute("DELETE FROM rows WHERE kind = ? AND key = ?", name)
        self._write.execute("COMMIT")

    def _upsert(self, parameters: list[Any]) -> None:
        # Sizes are powers of two, filled up by repeating the last row, so that a few prepared statements serve all.
        count = len(parameters) // 3
        size = 1 << (count - 1).bit_length()
        self._write.execute(_UPSERTS[size], parameters + parameters[-3:] * (size - count))

    def _tidy(self) -> None:
        if self._log_bytes >= CHECKPOINT_BYTES:
            self._log_bytes = 0
            self._write.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _value(self, kind: str, key: bytes) -> bytes | None:
        found = self._read.execute(_LOAD, (kind, key)).fetchone()
        return found[0] if found else None

    def _pages(self, kind: str, after: bytes, limit: int) -> Iterator[tuple[bytes, bytes]]:
        while limit > 0:
            page = self._answer(partial(self._page, kind, after, min(limit, SCAN_ROWS_MAX)))
            if not page:
                return
            yield from page
            after, limit = page[-1][0], limit - len(page)

    def _page(self, kind: str, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        # The cursor is closed before the caller sees a row: an open one would keep the log from ever being folded in.
        page: list[tuple[bytes, bytes]] = []
        size = 0
        cursor = self._read.execute(_SCAN, (kind, after, count))
        for key, value in cursor:
            page.append((key, value))
            size += len(value)
            if size >= SCAN_BYTES_MAX:
                break
        cursor.close()
        return page

    def _answer(self, read: Callable[[], Answer]) -> Answer:
        self._refuse_closed()
        try:
            return read()
        except sqlite3.Error as fault:
            raise _named(fault, self._path) from None

    def _refuse_closed(self) -> None:
        if self._closed:
            raise WorldError("the store is closed", field="store")


_PAGE_BYTES = 4096  # a row dirties about one page; pages shared by rows make the estimate high, never low by much


def _upsert_statement(size: int) -> str:
    values = ", ".join(["(?, ?, ?)"] * size)
    return f"INSERT INTO rows VALUES {values} ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"


_UPSERTS = {1 << power: _upsert_statement(1 << power) for power in range(STATEMENT_ROWS_MAX.bit_length())}


def _claim(path: Path) -> ProcessLock:
    """Make the file ours alone: its folder, its mode, and the lock against other processes."""
    try:
        make_private_folder(path.parent)
        lock = ProcessLock(path.with_name(path.name + ".lock"))
        with contextlib.suppress(FileExistsError):
            os.close(create_private_file(path))
            sync_folder(path.parent)
        path.chmod(FILE_MODE)  # SQLite gives its log the mode of the file
    except OSError as fault:
        raise world_error(fault, path, "opening") from None
    return lock


def _prepare(connection: Connection, path: Path) -> None:
    """Check whose file this is before anything is changed in it, then set it up."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != APPLICATION_ID and (application or tables):
        raise WorldError(f"{path} is not a store of Quorate", field="store", fix="choose another QUORATE_HOME")
    if tables:
        _refuse_other_schema(connection, path)
    for setting in _SETTINGS:
        connection.execute(setting).close()
    journal = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if journal != "wal":
        raise WorldError(
            f"{path}: this file system does not carry a write-ahead log", field="store", fix="use a local disk"
        )
    if not tables:
        for statement in ("BEGIN IMMEDIATE", *_SCHEMA, "COMMIT"):
            connection.execute(statement).close()


def _refuse_other_schema(connection: Connection, path: Path) -> None:
    found = connection.execute("SELECT max(version) FROM schema").fetchone()[0]
    if found != SCHEMA_VERSION:
        newer = isinstance(found, int) and found > SCHEMA_VERSION
        raise WorldError(
            f"{path} has schema version {found}",
            field="store",
            limit=f"version {SCHEMA_VERSION}",
            fix="upgrade quorate" if newer else "restore the store from a copy",
        )


def _named(fault: Exception, path: Path) -> WorldError:
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF  # the high bits tell details
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"{path} cannot grow: {fault}", field="disk", fix="free some space, then try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return WorldError(f"{path} is damaged: {fault}", field="store", fix="restore the store from a copy")
    return WorldError(f"{path}: {fault}", field="store")
