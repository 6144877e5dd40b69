"""Secret files: written once, readable by their owner alone.

A secret appears under its name complete and synced, or not at all: it is written to a new file beside it and then
linked, because a link, unlike a rename, never replaces what is there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from quorate.adapters.files import create_private_file, make_private_folder, sync_folder, world_error, write_all
from quorate.errors import InvalidField, MissingKey, PolicyRefused, TooLarge, UnreadableFile

SECRET_BYTES_MAX = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Without O_NONBLOCK, opening a FIFO in the place of a key would wait for ever.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def write_secret(path: Path, secret: bytes) -> None:
    """Store `secret` in a new file of mode 0600. Raises PolicyRefused when the file exists, DiskFull or WorldError."""
    write_secrets(path.parent, {path.name: secret})


def write_secrets(folder: Path, secrets: Mapping[str, bytes]) -> None:
    """The same for several files of one folder, whose names are synced at once. After an error some of them may be
    there."""
    path = folder
    try:
        make_private_folder(folder)
        for name, secret in secrets.items():
            path = folder / name
            _place(path, secret)
        sync_folder(folder)
    except FileExistsError:
        raise PolicyRefused(
            f"{path} exists and a key is never overwritten",
            field="key",
            fix="move the old key away, or choose a new name",
        ) from None
    except OSError as fault:
        raise world_error(fault, path, "writing") from None


def _place(path: Path, secret: bytes) -> None:
    if not 0 < len(secret) <= SECRET_BYTES_MAX:
        raise InvalidField(f"{len(secret)} bytes", field="secret", limit=f"1 to {SECRET_BYTES_MAX} bytes")
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    _write_new(beside, secret)
    try:
        os.link(beside, path, follow_symlinks=False)
    finally:
        beside.unlink()


def read_secret(path: Path) -> bytes:
    """The bytes of a secret file. Raises MissingKey, or UnreadableFile when others than its owner can read it."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        raise MissingKey(f"{path} does not exist", field="key", fix="put it back from a copy") from None
    except OSError as fault:
        raise UnreadableFile(f"{path}: {fault.strerror}", field="key", fix="make it a plain file of yours") from None
    try:
        _refuse_exposed(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            secret = file.read(SECRET_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(secret) > SECRET_BYTES_MAX:
        raise TooLarge(f"{path} is too long for a key", field="key", limit=f"{SECRET_BYTES_MAX} bytes")
    return secret


def _write_new(path: Path, secret: bytes) -> None:
    descriptor = create_private_file(path)
    try:
        write_all(descriptor, secret)
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(descriptor)


def _refuse_exposed(path: Path, facts: os.stat_result) -> None:
    # Checked on the open file: a name could be made to point elsewhere between a check and the reading.
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableFile(f"{path} is not a plain file", field="key", fix="put the key in a plain file")
    if facts.st_uid != os.geteuid():
        raise UnreadableFile(f"{path} belongs to another user", field="key", fix=f"chown it to user {os.geteuid()}")
    if facts.st_mode & _OTHERS:
        raise UnreadableFile(
            f"{path} is open to other users (mode {stat.S_IMODE(facts.st_mode):04o})",
            field="key",
            limit="mode 0600",
            fix=f"chmod 600 {path}",
        )
