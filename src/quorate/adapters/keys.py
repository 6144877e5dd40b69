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
_OPEN_AT_ONCE = 64
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Without O_NONBLOCK, opening a FIFO in the place of a key would wait for ever.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def write_secret(path: Path, secret: bytes) -> None:
    """Store `secret` in a new file of mode 0600. Raises PolicyRefused when the file exists, DiskFull or WorldError."""
    write_secrets(path.parent, {path.name: secret})


def write_secrets(folder: Path, secrets: Mapping[str, bytes]) -> None:
    """The same for several files of one folder, whose names are synced at once. After an error some of them may be
    there."""
    names = list(secrets)
    try:
        make_private_folder(folder)
        for at in range(0, len(names), _OPEN_AT_ONCE):
            _place({name: secrets[name] for name in names[at : at + _OPEN_AT_ONCE]}, folder)
        sync_folder(folder)
    except OSError as fault:
        raise world_error(fault, folder, "writing") from None


def _place(secrets: Mapping[str, bytes], folder: Path) -> None:
    """All are written before the first is synced: the file system then has most of its work for all of them at once."""
    written: list[tuple[Path, Path, int]] = []
    try:
        for name, secret in secrets.items():
            if not 0 < len(secret) <= SECRET_BYTES_MAX:
                raise InvalidField(f"{len(secret)} bytes", field="secret", limit=f"1 to {SECRET_BYTES_MAX} bytes")
            beside = folder / f".{name}.{os.urandom(8).hex()}"
            written.append((folder / name, beside, create_private_file(beside)))
            write_all(written[-1][2], secret)
        for path, beside, descriptor in written:
            os.fsync(descriptor)
            _name(beside, path)
    finally:
        for _, beside, descriptor in written:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                beside.unlink()


def _name(beside: Path, path: Path) -> None:
    try:
        os.link(beside, path, follow_symlinks=False)
    except FileExistsError:
        raise PolicyRefused(
            f"{path} exists and a key is never overwritten",
            field="key",
            fix="move the old key away, or choose a new name",
        ) from None


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
