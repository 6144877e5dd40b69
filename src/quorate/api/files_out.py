"""Files that a command writes: whole or not at all, under the name the user gave."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from quorate.errors import DiskFull, InvalidField

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_whole(path: Path, data: bytes, *, secret: bool, field: str = "out") -> None:
    """The file holds `data`, or what it held before. Raises DiskFull or InvalidField naming `field`."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a pipe or a device: there is nothing to replace
            return
        _replace(path, data, SECRET_MODE if secret else PUBLIC_MODE)
    except OSError as fault:
        if fault.errno in FULL:
            raise DiskFull(f"{path}: {fault.strerror}", field=field, fix="free some space and ask again") from None
        raise InvalidField(
            f"{path}: {fault.strerror}", field=field, fix="name a file in a folder that you may write to"
        ) from None


def _replace(path: Path, data: bytes, mode: int) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
