"""The three transports behind one small interface, so that a test can be run over each."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.support import certificates
from tests.support.ports import free_ports

from quorate.adapters.transport.inproc import Hub, InprocTransport
from quorate.adapters.transport.mesh_settings import MeshSettings
from quorate.adapters.transport.simulated import Faults, Network
from quorate.adapters.transport.simulated_mesh import SimulatedMesh, SimulatedTransport
from quorate.adapters.transport.zenoh import ZenohTransport
from quorate.model.units import Digest, NodeId
from quorate.ports import Transport

NETWORK_ID = bytes(range(32))
NODES_MAX = 6


def node(number: int) -> NodeId:
    return NodeId(bytes([0xA0 + number]) * 32)


class Mesh(Protocol):
    """Makes transports that can reach one another. `make` twice for one number stands for a restart."""

    def make(self, number: int) -> Transport: ...


class InprocMesh:
    def __init__(self) -> None:
        self.hub = Hub()

    def make(self, number: int) -> Transport:
        return InprocTransport(self.hub, node(number))


class CalmSimulatedMesh:
    """Without faults the simulated network keeps the same promises as the others."""

    def __init__(self) -> None:
        self.mesh = SimulatedMesh(Network(Faults(), random.Random(1)))

    def make(self, number: int) -> Transport:
        return SimulatedTransport(self.mesh, node(number))


class ZenohMesh:
    def __init__(self, folder: Path, *, members: bool = True) -> None:
        self.network = certificates.Network(folder)
        self.ports = free_ports(NODES_MAX)
        self.endpoints = tuple(f"127.0.0.1:{port}" for port in self.ports)
        self.members = frozenset(node(number) for number in range(NODES_MAX)) if members else None

    def settings(self, number: int, **changes: Any) -> MeshSettings:
        values: dict[str, Any] = {
            "network": NETWORK_ID,
            "node": node(number),
            "listen": self.endpoints[number],
            "credentials": changes.pop("credentials", None) or self.network.certify(node(number)),
            "connect": self.endpoints,
            "members": self.members,
        }
        return MeshSettings(**(values | changes))

    def make(self, number: int) -> ZenohTransport:
        return ZenohTransport(self.settings(number))


class Receiver:
    """A handler that keeps what it is given, and a blob source over a dictionary."""

    def __init__(self) -> None:
        self.messages: list[tuple[NodeId, bytes]] = []
        self.blobs: dict[Digest, bytes] = {}

    async def handle(self, sender: NodeId, message: bytes) -> None:
        self.messages.append((sender, message))

    async def source(self, digest: Digest, offset: int, size: int) -> bytes | None:
        data = self.blobs.get(digest)
        return None if data is None else data[offset : offset + size]


async def started(transport: Transport) -> Receiver:
    receiver = Receiver()
    await transport.start(receiver.handle, receiver.source)
    return receiver


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Waits for a condition, or fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.002)
