"""Transport over Zenoh peers (eclipse-zenoh 1.10) with mutual TLS.

Each node subscribes to its own inbox keys, one for each sender, answers blob ranges on its own blob key and shows that
it is up with a liveliness token. A message is a version byte and the bytes; who sent it is in its key, which the access
rules of `mesh_settings` tie to the certificate of the connection it came over. While
two nodes are connected their messages arrive once and in order; a broken link loses what was under way and is made
again within a second. Zenoh calls from its own threads: one reader thread takes messages off, everything crosses to
the event loop over one `Bridge`, and everything that may wait (bulk, a peer that stopped reading) is done by worker
threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

import zenoh

from quorate.adapters.transport.bridge import Bridge
from quorate.adapters.transport.inbox import Inbox
from quorate.adapters.transport.lane import Lane
from quorate.adapters.transport.limits import (
    BLOB_OFFSET_MAX,
    BLOB_RANGE_BYTES_MAX,
    INBOX_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    check_message,
    check_range,
)
from quorate.adapters.transport.mesh_settings import MEMBERS_MAX, Keys, MeshSettings, check_settings, session_options
from quorate.errors import PortTaken, WorldError
from quorate.model.units import DIGEST_BYTES, Digest, Millis, NodeId
from quorate.ports import BlobSource, Handler

Observer = Callable[[bytes], None]
"""Sees every payload that is handed to Zenoh, in plain."""

_LOG = logging.getLogger(__name__)
_VERSION = b"\x01"
_HEADER_BYTES = 1 + DIGEST_BYTES
_RANGE = struct.Struct(">32sQI")
_REQUEST_BYTES = _HEADER_BYTES + _RANGE.size
_FOUND, _ABSENT, _FAILED, _BUSY, _NO_ANSWER = b"found", b"absent", b"failed", b"busy", b"no answer"
_SERVED_AT_ONCE_MAX = 16
_READ_AHEAD_MESSAGES = 64
_SENDER_THREADS, _BULK_THREADS = 4, 2
_FULL_PAUSE_S = 0.005
_CLOSE_PATIENCE_S = 2.0

_SOURCE_PLACE = re.compile(r" at \S+\.rs:\d+\.?")
"""Where in its own source an error of Zenoh arose, which tells a user nothing."""

_Answer = tuple[bytes, bytes]
_T = TypeVar("_T")


class ZenohTransport:
    """One node on a Zenoh mesh. Started once, closed once."""

    def __init__(self, settings: MeshSettings, observer: Observer | None = None) -> None:
        self._settings = settings
        self._observer = observer
        self._link: _Link | None = None
        self._started = False

    async def start(self, handler: Handler, blobs: BlobSource) -> None:
        if self._started:
            raise WorldError("the transport is already started", fix="start it once")
        check_settings(self._settings, Millis(time.time_ns() // 1_000_000))
        self._started = True
        try:
            session = await _in_thread(lambda: _open_session(self._settings))
        except BaseException:
            self._started = False
            raise
        self._link = _Link(self._settings, session, Inbox(handler), blobs, self._observer)

    async def send(self, peer: NodeId, message: bytes) -> None:
        link = self._open_link()
        check_message(peer, message)
        link.send(peer, message)

    async def fetch(self, peer: NodeId, digest: Digest, offset: int, size: int, timeout_ms: Millis) -> bytes | None:
        link = self._open_link()
        check_range(peer, digest, offset, size, timeout_ms)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await link.fetch(peer, digest, offset, size, timeout_ms)
        except TimeoutError:
            raise WorldError(f"the peer did not answer within {timeout_ms} ms", field="peer", fix="try again") from None

    def peers(self) -> frozenset[NodeId]:
        return frozenset(self._link.up) if self._link else frozenset()

    @property
    def shed(self) -> int:
        """Messages that were not sent because their peer's queue was full or the peer is not there."""
        return self._link.shed if self._link else 0

    @property
    def refused(self) -> int:
        """Messages that came in and were not of this network's form or members."""
        return self._link.refused if self._link else 0

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _open_link(self) -> _Link:
        if self._link is None:
            raise WorldError("the transport is closed", fix="start it first")
        return self._link


class _Link:
    """An open session and all that hangs on it. Methods run on the event loop unless they say otherwise."""

    def __init__(
        self, settings: MeshSettings, session: zenoh.Session, inbox: Inbox, blobs: BlobSource, observer: Observer | None
    ) -> None:
        self.up: dict[NodeId, set[str]] = {}
        self.refused = 0
        self._lost = 0
        self._node, self._members = settings.node, settings.members
        self._keys = Keys.of(settings.network)
        self._session, self._inbox, self._blobs, self._observer = session, inbox, blobs, observer
        self._wire_log = _open_wire_log(settings)
        self._header = _VERSION + settings.node
        self._lanes: dict[NodeId, Lane] = {}
        self._senders: dict[str, NodeId] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._bridge = Bridge(self._loop)
        self._sender = ThreadPoolExecutor(_SENDER_THREADS, "zenoh-send")
        self._bulk = ThreadPoolExecutor(_BULK_THREADS, "zenoh-bulk")
        self._read_bytes = self._received_bytes = 0
        self._closing = False
        self._declare()

    def _declare(self) -> None:
        """The token comes last: whoever sees it can reach the inbox and the blobs already."""
        session, node = self._session, self._node
        messages = session.declare_subscriber(
            self._keys.inbox(node),
            zenoh.handlers.FifoChannel(_READ_AHEAD_MESSAGES),
            allowed_origin=zenoh.Locality.REMOTE,
        )
        self._declared: list[Any] = [
            messages,
            session.declare_queryable(
                self._keys.blob(node), _direct(self._on_query), allowed_origin=zenoh.Locality.REMOTE
            ),
            session.liveliness().declare_subscriber(self._keys.all_up(), _direct(self._on_up), history=True),
            session.liveliness().declare_token(self._keys.up(node, secrets.token_hex(8))),
        ]
        self._reader = threading.Thread(target=self._read, args=(messages.handler,), name="zenoh-read", daemon=True)
        self._reader.start()

    # -- messages out ---------------------------------------------------------------------------------------------

    def send(self, peer: NodeId, message: bytes) -> None:
        if peer == self._node:
            self._inbox.post(peer, message)
            return
        lane = self._lanes.get(peer)
        if lane is None:
            if peer not in self.up:
                self._lost += 1
                return
            lane = self._open_lane(peer)
        payload = _VERSION + message
        self._observe(payload)
        lane.send(payload)

    def _open_lane(self, peer: NodeId) -> Lane:
        publisher = self._session.declare_publisher(
            self._keys.inbox(peer, self._node),
            congestion_control=zenoh.CongestionControl.BLOCK,
            reliability=zenoh.Reliability.RELIABLE,
            express=False,  # measured: same latency, ten times the throughput
            allowed_destination=zenoh.Locality.REMOTE,
        )

        def put(payload: bytes) -> None:
            try:
                publisher.put(payload)
            except zenoh.ZError:
                self._lost += 1

        lane = self._lanes[peer] = Lane(put, self._submit)
        return lane

    def _submit(self, work: Callable[[], None]) -> None:
        if not self._closing:
            self._sender.submit(work)

    @property
    def shed(self) -> int:
        return self._lost + sum(lane.shed for lane in self._lanes.values())

    def _observe(self, payload: bytes) -> None:
        if self._observer is not None:
            self._observer(payload)
        if self._wire_log is not None:
            self._wire_log.write(struct.pack(">I", len(payload)) + payload)

    # -- messages in ----------------------------------------------------------------------------------------------

    def _read(self, messages: zenoh.Handler[zenoh.Sample]) -> None:
        """The reader thread. Takes all that is there between two waits; pauses while the inbox is full."""
        try:
            while True:
                sample: zenoh.Sample | None = messages.recv()
                while sample is not None:
                    self._hand_over(str(sample.key_expr), sample.payload.to_bytes())
                    sample = messages.try_recv()
        except zenoh.ZError:
            return  # undeclared: the session is closing

    def _hand_over(self, key: str, payload: bytes) -> None:
        self._read_bytes += len(payload)
        self._bridge.post(self._receive, key, payload)
        while self._is_full() and not self._closing:
            time.sleep(_FULL_PAUSE_S)

    def _is_full(self) -> bool:
        return self._read_bytes - self._received_bytes + self._inbox.waiting_bytes > INBOX_BYTES_MAX

    def _receive(self, key: str, payload: bytes) -> None:
        self._received_bytes += len(payload)
        sender = self._sender_of(key)
        fits = 1 <= len(payload) <= 1 + MESSAGE_BYTES_MAX and payload[:1] == _VERSION
        if not fits or sender is None or not self._is_member(sender):
            self.refused += 1
            return
        lane = self._lanes.get(sender)
        if lane is not None:
            lane.heard()
        self._inbox.post(sender, payload[1:])

    def _sender_of(self, key: str) -> NodeId | None:
        """Each key is read once: there are as many as there are members."""
        sender = self._senders.get(key)
        if sender is None:
            try:
                sender = self._keys.sender(key)
            except ValueError:
                return None
            if self._is_member(sender) and len(self._senders) < MEMBERS_MAX:
                self._senders[key] = sender
        return sender

    def _is_member(self, node: NodeId) -> bool:
        return node != self._node and (self._members is None or node in self._members)

    # -- who is there ---------------------------------------------------------------------------------------------

    def _on_up(self, sample: zenoh.Sample) -> None:
        """On a thread of Zenoh."""
        self._bridge.post(self._note_up, str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT)

    def _note_up(self, key: str, is_up: bool) -> None:
        parsed = self._keys.node_up(key)
        if parsed is None or not self._is_member(parsed[0]):
            return
        node, start = parsed
        if is_up:
            self.up.setdefault(node, set()).add(start)
            return
        self.up.get(node, set()).discard(start)
        if not self.up.get(node):
            self.up.pop(node, None)
            lane = self._lanes.pop(node, None)
            self._lost += lane.shed if lane else 0

    # -- blobs ----------------------------------------------------------------------------------------------------

    async def fetch(self, peer: NodeId, digest: Digest, offset: int, size: int, timeout_ms: Millis) -> bytes | None:
        if peer == self._node:
            return await self._blobs(digest, offset, size)
        if peer not in self.up:
            raise WorldError("no such peer is connected", field="peer", fix="try again or ask another peer")
        request = self._header + _RANGE.pack(digest, offset, size)
        self._observe(request)
        answer: asyncio.Future[_Answer] = self._loop.create_future()
        await self._loop.run_in_executor(self._bulk, self._ask, peer, request, timeout_ms, answer)
        kind, data = await answer
        if kind == _FOUND and len(data) <= size:
            return data
        if kind == _ABSENT:
            return None
        told = {
            _BUSY: "the peer is busy",
            _FAILED: "the peer could not read the blob",
            _FOUND: "the peer sent more than was asked for",
        }
        raise WorldError(told.get(kind, "the peer gave no answer"), field="peer", fix="try again or ask another peer")

    def _ask(self, peer: NodeId, request: bytes, timeout_ms: Millis, answer: asyncio.Future[_Answer]) -> None:
        """On a bulk thread. The two callbacks come on a thread of Zenoh: one a reply, then the end of replies."""
        post = self._bridge.post

        def on_reply(reply: zenoh.Reply) -> None:
            if reply.ok is not None:
                post(_settle, answer, _FOUND, reply.ok.payload.to_bytes())
            elif reply.err is not None:
                post(_settle, answer, reply.err.payload.to_bytes(), b"")

        try:
            self._session.get(
                self._keys.blob(peer),
                zenoh.handlers.Callback(on_reply, lambda: post(_settle, answer, _NO_ANSWER, b""), indirect=False),
                payload=request,
                timeout=timeout_ms / 1000,
                consolidation=zenoh.ConsolidationMode.NONE,
                congestion_control=zenoh.CongestionControl.BLOCK,
                priority=zenoh.Priority.DATA_LOW,
                allowed_destination=zenoh.Locality.REMOTE,
            )
        except zenoh.ZError:
            post(_settle, answer, _NO_ANSWER, b"")

    def _on_query(self, query: zenoh.Query) -> None:
        """On a thread of Zenoh."""
        payload = query.payload
        request = payload.to_bytes() if payload is not None and len(payload) == _REQUEST_BYTES else b""
        self._bridge.post(self._serve, query, request)

    def _serve(self, query: zenoh.Query, request: bytes) -> None:
        task = self._loop.create_task(self._answer(query, request), name="zenoh-blob")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _answer(self, query: zenoh.Query, request: bytes) -> None:
        kind, data = await self._look_up(request)
        self._observe(data)
        await self._loop.run_in_executor(self._bulk, self._reply, query, kind, data)

    async def _look_up(self, request: bytes) -> _Answer:
        if len(self._serving) > _SERVED_AT_ONCE_MAX:
            return _BUSY, b""
        if not request.startswith(_VERSION) or not self._is_member(NodeId(request[1:_HEADER_BYTES])):
            self.refused += 1
            return _FAILED, b""
        digest, offset, size = _RANGE.unpack_from(request, _HEADER_BYTES)
        if size > BLOB_RANGE_BYTES_MAX or offset > BLOB_OFFSET_MAX:
            self.refused += 1
            return _FAILED, b""
        try:
            data = await self._blobs(Digest(digest), offset, size)
        except Exception as fault:  # the boundary between the world and the node
            _LOG.error("blob source failed: %s", type(fault).__name__)
            return _FAILED, b""
        return (_ABSENT, b"") if data is None else (_FOUND, data)

    def _reply(self, query: zenoh.Query, kind: bytes, data: bytes) -> None:
        """On a bulk thread: a large reply waits for room on the wire."""
        with query:
            try:
                if kind == _FOUND:
                    query.reply(self._keys.blob(self._node), data)
                else:
                    query.reply_err(kind)
            except zenoh.ZError:
                self._lost += 1

    # -- the end --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        self._closing = True
        self._bridge.close()
        for task in self._serving:
            task.cancel()
        for lane in self._lanes.values():
            lane.close()
        closed = asyncio.Event()
        ending = Bridge(self._loop)
        threading.Thread(target=self._close_session, args=(ending, closed), name="zenoh-close", daemon=True).start()
        try:
            await asyncio.wait_for(closed.wait(), _CLOSE_PATIENCE_S)
        except TimeoutError:
            _LOG.warning("a peer does not read; its connection is left to time out")
        await self._inbox.close()
        if self._wire_log is not None:
            self._wire_log.close()

    def _close_session(self, ending: Bridge, closed: asyncio.Event) -> None:
        """On a thread of its own, because a peer that stopped reading holds it up for some ten seconds."""
        for pool in (self._sender, self._bulk):
            pool.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(zenoh.ZError):
            self._session.close()  # type: ignore[no-untyped-call]
        self._reader.join()
        for pool in (self._sender, self._bulk):
            pool.shutdown()
        ending.post(closed.set)


def _settle(answer: asyncio.Future[_Answer], kind: bytes, data: bytes) -> None:
    if not answer.done():
        answer.set_result((kind, data))


def _direct(call: Callable[[_T], None]) -> Any:
    """A callback on Zenoh's own thread, which must be short; the default would start a Python thread for each."""
    return zenoh.handlers.Callback(call, indirect=False)


async def _in_thread(work: Callable[[], _T]) -> _T:
    """One call on a thread that is gone afterwards."""
    once = ThreadPoolExecutor(1, "zenoh-once")
    try:
        return await asyncio.get_running_loop().run_in_executor(once, work)
    finally:
        once.shutdown(wait=False)


def _open_session(settings: MeshSettings) -> zenoh.Session:
    config = zenoh.Config()
    for path, value in session_options(settings).items():
        config.insert_json5(path, value)
    try:
        return zenoh.open(config)
    except zenoh.ZError as fault:
        reason = _SOURCE_PLACE.sub("", str(fault))
        if "in use" in reason:
            fix = "choose another port, or end the process that has it"
            raise PortTaken(f"{settings.listen} is taken", field="listen", fix=fix) from None
        raise WorldError(f"Zenoh did not start: {reason[:300]}", field="listen", fix="see the reason") from None


def _open_wire_log(settings: MeshSettings) -> BinaryIO | None:
    if settings.wire_log_path is None:
        return None
    return open(os.open(settings.wire_log_path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "wb", buffering=0)
