"""Blobs as the nodes of a network keep them in files, and what they asked each other for. Those of a few kilobytes lie
in the node's store instead."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.support.capture import read_wire_log
from tests.support.network import Network

from quorate.model.units import DIGEST_BYTES

REQUEST = struct.Struct(">32sQI")


def asked_for(network: Network, name: str, digest: bytes, after: int = 0) -> list[int]:
    """The offsets at which a node asked its peers for this blob, in order; `after` leaves out earlier payloads."""
    offsets = []
    for payload in read_wire_log(network.home / name / "wire.log")[after:]:
        if len(payload) == 1 + DIGEST_BYTES + REQUEST.size:
            wanted, offset, _ = REQUEST.unpack_from(payload, 1 + DIGEST_BYTES)
            if wanted == digest:
                offsets.append(offset)
    return offsets


def blob_path(network: Network, name: str, digest: bytes) -> Path:
    return network.home / name / "blobs" / digest.hex()[:2] / digest.hex()[2:]


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
