"""A network authority for tests, and PEM files of nodes that it certifies."""

from __future__ import annotations

import os
import time
from pathlib import Path

from quorate.adapters.transport.mesh_settings import Credentials
from quorate.crypto.credentials import Authority, Lifetime, TlsKey
from quorate.model.units import Millis, NodeId

DAY_MS = 86_400_000


def lifetime(*, begins_ms_from_now: int = 0, valid_ms: int = DAY_MS) -> Lifetime:
    return Lifetime(Millis(time.time_ns() // 1_000_000 + begins_ms_from_now), Millis(valid_ms))


class Network:
    """One authority and the folder it writes to."""

    def __init__(self, folder: Path, name: str = "test") -> None:
        self.folder = folder
        self.authority = Authority.create(
            name, lifetime(begins_ms_from_now=-30 * DAY_MS, valid_ms=60 * DAY_MS), os.urandom
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.authority_path = folder / "authority.pem"
        self.authority_path.write_bytes(self.authority.certificate_pem)

    def certify(self, node: NodeId, valid: Lifetime | None = None) -> Credentials:
        """Writes a fresh key and its certificate and returns their paths."""
        key = TlsKey.generate(os.urandom)
        certificate = self.authority.issue(node, key.public_pem, valid or lifetime(), os.urandom)
        certificate_path = self.folder / f"{node.hex()[:8]}.crt.pem"
        key_path = self.folder / f"{node.hex()[:8]}.key.pem"
        certificate_path.write_bytes(certificate)
        key_path.touch(0o600)
        key_path.write_bytes(key.to_pem())
        return Credentials(self.authority_path, certificate_path, key_path)
