"""Private files: modes, syncs, the lock of one process, and how the operating system's refusals are named.

A file is durable when its bytes and the folder entry that names it have both been synced (POSIX says so of neither
alone).
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from quorate.errors import DiskFull, WorldError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive's cache


def world_error(fault: OSError, path: Path, doing: str) -> WorldError:
    """`fault` as a typed error: DiskFull where more space would help, WorldError otherwise."""
    reason = fault.strerror or type(fault).__name__
    if fault.errno in _DISK_FULL:
        return DiskFull(f"{doing} {path} failed: {reason}", field="disk", fix="free some space, then try again")
    return WorldError(f"{doing} {path} failed: {reason}", field="disk")


def make_private_folder(folder: Path) -> None:
    """Create `folder` and its missing parents with mode 0700, durably. Folders that exist keep their mode."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(place.parent)


def create_private_file(path: Path) -> int:
    """A descriptor open for writing on a new file of mode 0600. Raises FileExistsError when the name is taken."""
    descriptor = os.open(path, _CREATE | os.O_NOFOLLOW, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)  # a umask may take bits away from the owner too
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """One write call may take fewer bytes than it was given."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_descriptor(descriptor: int) -> None:
    if _FULL_SYNC is not None:
        fcntl.fcntl(descriptor, _FULL_SYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ProcessLock:
    """At most one holder of a file, over all processes and within this one.

    A POSIX record lock: the kernel drops it when the process dies in whatever way, and a forked child does not
    inherit it. Such locks do not exclude their own process, hence the register. The file itself stays: removing it
    would let two holders in.
    """

    _held: set[Path] = set()  # noqa: RUF012 - one register for the process

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        if self._path in ProcessLock._held:
            raise self._taken(os.getpid())
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            holder = os.pread(self._descriptor, 20, 0)
            os.close(self._descriptor)
            if fault.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise self._taken(int(holder) if holder.isdigit() else 0) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        ProcessLock._held.add(self._path)

    def _taken(self, holder: int) -> WorldError:
        who = f"process {holder}" if holder else "another process"
        return WorldError(
            f"{self._path.parent} is in use by {who}",
            field="store",
            limit="one process at a time",
            fix="stop that process, or choose another QUORATE_HOME",
        )

    def release(self) -> None:
        if self._path in ProcessLock._held:
            ProcessLock._held.discard(self._path)
            os.close(self._descriptor)
