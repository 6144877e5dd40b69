"""Transport inside one process: a `Hub` knows the nodes, a message is a hand-over to the other node's inbox.

Reliable and in order while both ends are open; a message to a closed or unknown node is lost, a full inbox sheds what
comes.
"""

from __future__ import annotations

import asyncio

from quorate.adapters.transport.inbox import Inbox
from quorate.adapters.transport.limits import INBOX_BYTES_MAX, check_message, check_node, check_range
from quorate.errors import QuorateError, WorldError
from quorate.model.units import Digest, Millis, NodeId
from quorate.ports import BlobSource, Handler


class Hub:
    """The wire of one process. Nodes appear in it while their transport is open."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, InprocTransport] = {}


class InprocTransport:
    """One node's end of a hub."""

    def __init__(self, hub: Hub, node: NodeId) -> None:
        check_node(node, "node")
        self._hub = hub
        self._node = node
        self._inbox: Inbox | None = None
        self._blobs: BlobSource | None = None
        self.shed = 0

    async def start(self, handler: Handler, blobs: BlobSource) -> None:
        if self._inbox is not None:
            raise WorldError("the transport is already started", fix="start it once")
        if self._node in self._hub.nodes:
            raise WorldError("a node of that id is already on this hub", field="node", fix="close the other one first")
        self._inbox = Inbox(handler)
        self._blobs = blobs
        self._hub.nodes[self._node] = self

    async def send(self, peer: NodeId, message: bytes) -> None:
        self._require_open()
        check_message(peer, message)
        target = self._hub.nodes.get(peer)
        if target is not None:
            target._take(self._node, message)

    async def fetch(self, peer: NodeId, digest: Digest, offset: int, size: int, timeout_ms: Millis) -> bytes | None:
        self._require_open()
        check_range(peer, digest, offset, size, timeout_ms)
        target = self._hub.nodes.get(peer)
        if target is None or target._blobs is None:
            raise WorldError("no such peer is connected", field="peer", fix="try again or ask another peer")
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await target._blobs(digest, offset, size)
        except TimeoutError:
            raise WorldError(f"the peer did not answer within {timeout_ms} ms", field="peer", fix="try again") from None
        except (QuorateError, OSError) as fault:
            raise WorldError("the peer could not read the blob", field="peer", fix="ask another peer") from fault

    def peers(self) -> frozenset[NodeId]:
        return frozenset(self._hub.nodes) - {self._node} if self._is_open() else frozenset()

    async def close(self) -> None:
        if self._is_open():
            del self._hub.nodes[self._node]
        if self._inbox is not None:
            await self._inbox.close()

    def _take(self, sender: NodeId, message: bytes) -> None:
        assert self._inbox is not None
        if self._inbox.waiting_bytes + len(message) > INBOX_BYTES_MAX:
            self.shed += 1
        else:
            self._inbox.post(sender, message)

    def _is_open(self) -> bool:
        return self._hub.nodes.get(self._node) is self

    def _require_open(self) -> None:
        if not self._is_open():
            raise WorldError("the transport is closed", fix="start it first")
