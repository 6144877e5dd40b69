"""Compiled code on disk, under a MAC.

An artefact is native code; the engine loads one without checking what it does. So it never comes from another party,
and what comes back from the disk must carry a keyed BLAKE3 over its kind (engine version, memory layout, machine),
the module's digest and the code. Anything else is removed and compiled again. The key belongs to the node (a file of
mode 0600) and never reaches a worker.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import stat
from pathlib import Path

import blake3

from quorate.errors import WorldError
from quorate.model.units import MIB

KEY_BYTES = 32
MAC_BYTES = 32
ARTEFACT_BYTES_MAX = 64 * MIB
STORE_BYTES_MAX = 512 * MIB
_DOMAIN = b"quorate artefact v1"


def seal(key: bytes, kind: str, digest: bytes, artefact: bytes) -> bytes:
    """The artefact with its MAC in front."""
    return _mac(key, kind, digest, artefact) + artefact


def unseal(key: bytes, kind: str, digest: bytes, sealed: bytes) -> bytes | None:
    """The artefact in `sealed`, or None when the MAC is not for exactly this kind, module and code."""
    mac, artefact = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
    return artefact if hmac.compare_digest(mac, _mac(key, kind, digest, artefact)) else None


def _mac(key: bytes, kind: str, digest: bytes, artefact: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError("an artefact key has 32 bytes")
    label = kind.encode()
    head = _DOMAIN + len(label).to_bytes(4, "little") + label + len(digest).to_bytes(4, "little") + digest
    return blake3.blake3(head + artefact, key=key).digest()


class ArtefactStore:
    """A folder of sealed artefacts, mode 0700, bounded in size: the oldest go first."""

    def __init__(self, folder: Path, key: bytes, bytes_max: int = STORE_BYTES_MAX) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise WorldError(
                f"{folder} must be a folder that only its owner can write to", field="artefacts", fix="chmod 700"
            )
        self._folder, self._key, self._bytes_max = folder, key, bytes_max

    def read(self, digest: bytes, kind: str) -> bytes | None:
        """The artefact of module `digest`, or None when there is none that is ours and whole."""
        path = self._path(digest, kind)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            sealed = file.read(ARTEFACT_BYTES_MAX + MAC_BYTES + 1)
        artefact = unseal(self._key, kind, digest, sealed)
        if artefact is None:
            path.unlink(missing_ok=True)
        return artefact

    def write(self, digest: bytes, kind: str, artefact: bytes) -> bool:
        """Keeps `artefact`. False when it is too large or the disk would not take it: a cache may forget."""
        if not artefact or len(artefact) > min(ARTEFACT_BYTES_MAX, self._bytes_max):
            return False
        path = self._path(digest, kind)
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            self._make_room(len(artefact) + MAC_BYTES)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(seal(self._key, kind, digest, artefact))
            os.replace(draft, path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            return False
        return True

    def _path(self, digest: bytes, kind: str) -> Path:
        return self._folder / f"{blake3.blake3(kind.encode()).hexdigest()[:16]}-{digest.hex()}.artefact"

    def _make_room(self, size: int) -> None:
        files = [(item.stat(), item) for item in self._folder.iterdir() if item.is_file()]
        total = sum(found.st_size for found, _ in files) + size
        for found, path in sorted(files, key=lambda pair: pair[0].st_mtime_ns):
            if total <= self._bytes_max:
                return
            path.unlink(missing_ok=True)
            total -= found.st_size
