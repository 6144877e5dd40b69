"""The `Transport` port in front of the simulated network: one asyncio loop, virtual time, no waiting.

Time stands still while tasks run and jumps to the next event once they had a few turns of the loop; a task that needs
more turns between a message and its answer sees time jump. The simulation suite drives machines straight from
`simulated.Network` and has no such limit.
"""

from __future__ import annotations

import asyncio
import heapq
import struct
from collections.abc import Iterator

from quorate.adapters.transport.inbox import Inbox
from quorate.adapters.transport.limits import check_message, check_node, check_range
from quorate.adapters.transport.simulated import Network
from quorate.errors import QuorateError, WorldError
from quorate.model.units import Digest, Millis, NodeId
from quorate.ports import BlobSource, Handler

_MESSAGE, _REQUEST, _FOUND, _ABSENT, _FAILED = (bytes([kind]) for kind in range(5))
_RANGE = struct.Struct(">Q32sQI")
_TICKET = struct.Struct(">Q")
_TURNS_BETWEEN_EVENTS = 8

_Reply = asyncio.Future[tuple[bytes, bytes]]


class SimulatedMesh:
    """The virtual clock and the nodes on one network. It runs while at least one transport is open."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.now_ms = Millis(0)
        self._nodes: dict[NodeId, SimulatedTransport] = {}
        self._timers: list[tuple[Millis, int, _Reply]] = []
        self._timer_order = 0
        self._work = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def join(self, node: NodeId, transport: SimulatedTransport) -> None:
        if node in self._nodes:
            raise WorldError("a node of that id is already on this mesh", field="node", fix="close the other one first")
        self._nodes[node] = transport
        self.network.restart(node)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run(), name="simulated-mesh")

    async def leave(self, node: NodeId) -> None:
        self._nodes.pop(node, None)
        self.network.crash(node)
        if self._nodes or self._pump is None:
            return
        pump, self._pump = self._pump, None
        pump.cancel()
        if pump is not asyncio.current_task():
            await asyncio.gather(pump, return_exceptions=True)

    def has(self, node: NodeId, transport: SimulatedTransport) -> bool:
        return self._nodes.get(node) is transport

    def reachable(self, node: NodeId) -> Iterator[NodeId]:
        for other in self._nodes:
            if other != node and self.network.reaches(node, other) and self.network.reaches(other, node):
                yield other

    def send(self, source: NodeId, target: NodeId, envelope: bytes) -> None:
        self.network.send(self.now_ms, source, target, envelope)
        self._work.set()

    def arm(self, after_ms: Millis, reply: _Reply) -> None:
        """Gives a reply its deadline on the virtual clock."""
        self._timer_order += 1
        heapq.heappush(self._timers, (Millis(self.now_ms + after_ms), self._timer_order, reply))
        self._work.set()

    async def _run(self) -> None:
        while True:
            for _ in range(_TURNS_BETWEEN_EVENTS):
                await asyncio.sleep(0)
            if not self._step():
                self._work.clear()
                await self._work.wait()

    def _step(self) -> bool:
        """Carries out the next event; False when there is none."""
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)
        due_ms, timer_ms = self.network.next_at(), self._timers[0][0] if self._timers else None
        if due_ms is not None and (timer_ms is None or due_ms <= timer_ms):
            self.now_ms = due_ms
            delivery = next(self.network.deliveries(due_ms), None)
            target = self._nodes.get(delivery.target) if delivery else None
            if delivery and target:
                target.receive(delivery.source, delivery.message)
            return True
        if timer_ms is None:
            return False
        self.now_ms = timer_ms
        heapq.heappop(self._timers)[2].set_exception(TimeoutError())
        return True


class SimulatedTransport:
    """One node's end of a simulated mesh."""

    def __init__(self, mesh: SimulatedMesh, node: NodeId) -> None:
        check_node(node, "node")
        self._mesh = mesh
        self._node = node
        self._inbox: Inbox | None = None
        self._blobs: BlobSource | None = None
        self._replies: dict[int, _Reply] = {}
        self._tickets = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, handler: Handler, blobs: BlobSource) -> None:
        if self._inbox is not None:
            raise WorldError("the transport is already started", fix="start it once")
        self._mesh.join(self._node, self)
        self._inbox, self._blobs = Inbox(handler), blobs

    async def send(self, peer: NodeId, message: bytes) -> None:
        self._require_open()
        check_message(peer, message)
        self._mesh.send(self._node, peer, _MESSAGE + message)

    async def fetch(self, peer: NodeId, digest: Digest, offset: int, size: int, timeout_ms: Millis) -> bytes | None:
        self._require_open()
        check_range(peer, digest, offset, size, timeout_ms)
        self._tickets += 1
        ticket = self._tickets
        reply: _Reply = asyncio.get_running_loop().create_future()
        self._replies[ticket] = reply
        self._mesh.send(self._node, peer, _REQUEST + _RANGE.pack(ticket, digest, offset, size))
        self._mesh.arm(timeout_ms, reply)
        try:
            kind, data = await reply
        except TimeoutError:
            raise WorldError(f"the peer did not answer within {timeout_ms} ms", field="peer", fix="try again") from None
        finally:
            del self._replies[ticket]
        if kind == _FAILED:
            raise WorldError("the peer could not read the blob", field="peer", fix="ask another peer")
        return data if kind == _FOUND else None

    def peers(self) -> frozenset[NodeId]:
        return frozenset(self._mesh.reachable(self._node)) if self._mesh.has(self._node, self) else frozenset()

    async def close(self) -> None:
        if not self._mesh.has(self._node, self):
            return
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(WorldError("the transport was closed", fix="start it again"))
        for task in self._serving:
            task.cancel()
        assert self._inbox is not None
        await self._inbox.close()
        await self._mesh.leave(self._node)

    def receive(self, sender: NodeId, envelope: bytes) -> None:
        """One message off the network."""
        kind, body = envelope[:1], envelope[1:]
        if kind == _MESSAGE:
            assert self._inbox is not None
            self._inbox.post(sender, body)
        elif kind == _REQUEST and len(body) == _RANGE.size:
            task = asyncio.get_running_loop().create_task(self._serve(sender, body), name="simulated-blob")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        elif kind in (_FOUND, _ABSENT, _FAILED) and len(body) >= _TICKET.size:
            reply = self._replies.get(_TICKET.unpack_from(body)[0])
            if reply is not None and not reply.done():  # a copy of an answer finds nobody waiting
                reply.set_result((kind, body[_TICKET.size :]))

    async def _serve(self, sender: NodeId, body: bytes) -> None:
        assert self._blobs is not None
        ticket, digest, offset, size = _RANGE.unpack(body)
        try:
            data = await self._blobs(Digest(digest), offset, size)
        except (QuorateError, OSError):
            kind, data = _FAILED, b""
        else:
            kind = _ABSENT if data is None else _FOUND
        self._mesh.send(self._node, sender, kind + _TICKET.pack(ticket) + (data or b""))

    def _require_open(self) -> None:
        if not self._mesh.has(self._node, self):
            raise WorldError("the transport is closed", fix="start it first")
