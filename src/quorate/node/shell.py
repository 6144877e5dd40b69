"""The loop that every node runs: drain the inbox, step machines, save, then carry out what was wished for.

One turn takes everything that has arrived. Its new states are saved in one durable step, its statements are signed with
one signature and leave in one envelope for each peer; so the busier a node is, the less each job costs. Turns overlap
by one: while a turn is being saved the next is stepped. A statement that must not be lost leaves after its state is
durable; one that can be said again from the state may leave at once.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import msgspec

from quorate.crypto.signing import Identity
from quorate.errors import QuorateError
from quorate.model.codec import Value, decode, encode
from quorate.model.effects import Post
from quorate.model.evidence import Hello, Signed
from quorate.model.network import Genesis
from quorate.model.signature import Stamp
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.fetching import Fetcher, Shelf
from quorate.node.postbox import Directory, Letter, Outgoing, Postbox, StampBook
from quorate.ports import Clock, Entropy, Row, Store, Transport

log = logging.getLogger("quorate.node")

SAVES_IN_FLIGHT_MAX = 2
PEER_POLL_MS = 200
HEARTBEAT_MS = 1_000
CLOCK_SKEW_MS_MAX = 300_000
INBOX_MAX = 50_000
STALE_TIMERS_MAX = 1_000
KEPT_STAMPS_MAX = 2_000
TURN_ITEMS_MAX = 32
STALL_MS = 1_000
"""Later than this the clockwork was held up by this process itself."""


class World(NamedTuple):
    """The ports of one node."""

    clock: Clock
    entropy: Entropy
    transport: Transport
    store: Store
    blobs: Shelf


class Turn:
    """What one turn gathers: blobs and rows to save, letters to send now and after the save, wishes of machines to post
    to the ledger, and work to begin after it. `signed` listeners are given the evidence by the identity of its value;
    `due` says when a machine that moved wants its next tick, asked once the turn is over."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes], bytes | None] = {}
        self.now: list[Outgoing] = []
        self.parcels_now: dict[NodeId, list[bytes]] = {}
        self.parcels_later: dict[NodeId, list[bytes]] = {}
        self.later: list[Outgoing] = []
        self.posts: list[tuple[bytes, Post]] = []
        self.signed: list[Callable[[dict[int, Signed]], None]] = []
        self.after: list[Callable[[], Awaitable[None] | None]] = []
        self.blobs: list[bytes] = []
        self.failed: list[Callable[[QuorateError], None]] = []
        self.due: dict[bytes, Callable[[], Millis | None]] = {}

    def save(self, kind: str, key: bytes, value: bytes | None) -> None:
        self.rows[(kind, key)] = value

    def send(self, peer: NodeId, value: Value, *, after_save: bool) -> None:
        (self.later if after_save else self.now).append(Outgoing(peer, value))

    def send_along(self, peer: NodeId, data: bytes, *, after_save: bool) -> None:
        """A small blob ahead of the letters to `peer` of the same kind."""
        (self.parcels_later if after_save else self.parcels_now).setdefault(peer, []).append(data)


class SteadyClock:
    """Milliseconds that never jump within a process: civil time at the start, monotonic from there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now_ms() - clock.monotonic_ms()

    def now(self) -> Millis:
        return Millis(self._offset + self._clock.monotonic_ms())


class Timers:
    """When each machine wants its next tick; a later wish replaces an earlier one."""

    def __init__(self) -> None:
        self._due: dict[bytes, Millis] = {}
        self._heap: list[tuple[Millis, bytes]] = []

    def set(self, key: bytes, due: Millis | None) -> None:
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            if len(self._heap) > STALE_TIMERS_MAX + 2 * len(self._due):
                # Wishes that were replaced or dropped would stay until their time comes, which may be minutes.
                self._heap = [(when, one) for one, when in self._due.items()]
                heapq.heapify(self._heap)

    def next(self) -> Millis | None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: Millis) -> list[bytes]:
        keys = []
        if len(self._heap) > 2 * len(self._due) + 1_000:
            self._heap = sorted((due, key) for key, due in self._due.items())
        while (due := self.next()) is not None and due <= now:
            key = heapq.heappop(self._heap)[1]
            del self._due[key]
            keys.append(key)
        return keys


class Shell:
    """Base of every node. A subclass handles letters, ticks and its own events; all of them run on one event loop, one
    turn at a time."""

    role = "node"

    def __init__(self, genesis: Genesis, network: Digest, identity: Identity, world: World) -> None:
        self.genesis = genesis
        self.network = network
        self.identity = identity
        self.node_id = identity.node_id
        self.world = world
        self.steady = SteadyClock(world.clock)
        self.timers = Timers()
        self.fetcher = Fetcher(world.blobs, world.transport, genesis.caps.input_bytes + (1 << 20))
        self.heard: dict[NodeId, Millis] = {}
        self.skewed: dict[NodeId, int] = {}
        directory = Directory([*genesis.ledger, *(account.bundle for account in genesis.accounts), identity.bundle])
        self.stamps = StampBook(self._load_stamp)
        self.postbox = Postbox(identity, network, directory, self.stamps, world.entropy.draw)
        self._kept_stamps: set[Digest] = set()
        self._riders: dict[tuple[str, bytes], bytes | None] = {}
        self._inbox: list[Callable[[Turn], None]] = []
        self._wake = asyncio.Event()
        self._idle_saves = asyncio.Semaphore(SAVES_IN_FLIGHT_MAX)
        self._background: set[asyncio.Task[None]] = set()
        self._saved: asyncio.Future[None]
        self._known_peers: frozenset[NodeId] = frozenset()
        self._closing = False
        self._failed: BaseException | None = None

    # What a subclass does

    def letter(self, letter: Letter, turn: Turn) -> None:
        """A verified letter."""
        raise TypeError(f"{type(self).__name__} reads no letters")

    def parcel(self, data: bytes) -> None:
        """A small blob that came along."""

    def tick(self, key: bytes, turn: Turn) -> None:
        """The timer of machine `key` ran out."""

    def met(self, peer: NodeId, turn: Turn) -> None:
        """A peer appeared."""

    def end_of_turn(self, turn: Turn) -> None:
        """After everything that had arrived was stepped."""

    def posted(self, posts: Iterable[tuple[bytes, Post]], signed: dict[int, Signed]) -> Iterable[Outgoing]:
        """The transactions of a turn, with this node's own signed statements in them."""
        return ()

    def awaiting(self) -> frozenset[NodeId]:
        """Peers that wait for something from here, and want a sign of life every second."""
        return frozenset()

    def restore(self, turn: Turn) -> None:
        """Loads what was saved and has every machine go on."""

    # Running

    async def start(self) -> None:
        self._saved = asyncio.get_running_loop().create_future()
        self._saved.set_result(None)
        self.put(self.restore)
        await self.world.transport.start(self._arrived, self._blob_range)
        self.spawn(self._turns())
        self.spawn(self._clockwork())

    async def close(self) -> None:
        self._closing = True
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.world.transport.close()
        await self.world.store.close()

    def spawn(self, work: Awaitable[None]) -> None:
        """Work beside the loop. A bug in it ends the node: a node that goes on half alive would be worse."""
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed = task.exception()
            log.error("the node stops: %r", self._failed, exc_info=self._failed)
            self._wake.set()

    async def failed(self) -> BaseException:
        """Returns when a task of the node has failed."""
        while self._failed is None:
            await asyncio.sleep(0.2)
        return self._failed

    def put(self, work: Callable[[Turn], None]) -> None:
        """Something to do in the next turn."""
        self._inbox.append(work)
        self._wake.set()

    async def _turns(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            await self._idle_saves.acquire()
            # A part of a long queue at a time, so that heartbeats and clocks are not held up by it.
            batch, self._inbox = self._inbox[:TURN_ITEMS_MAX], self._inbox[TURN_ITEMS_MAX:]
            if self._inbox:
                self._wake.set()
            turn = Turn()
            for work in batch:
                work(turn)
            self.end_of_turn(turn)
            for key, due in turn.due.items():
                self.timers.set(key, due())
            self._post_now(turn)
            if turn.rows:
                turn.rows = self._riders | turn.rows
                self._riders = {}
            if turn.rows or turn.later or turn.posts or turn.after or turn.blobs:
                self.spawn(self._finish(turn))
            else:
                self._idle_saves.release()
            await asyncio.sleep(0)

    def _post_now(self, turn: Turn) -> None:
        if turn.now:
            signed = self.postbox.sign_evidence(letter.value for letter in turn.now)
            self.spawn(self._deliver(self.postbox.seal(turn.now, signed, turn.parcels_now)))

    async def _finish(self, turn: Turn) -> None:
        earlier, saved = self._saved, asyncio.get_running_loop().create_future()
        self._saved = saved
        try:
            await self._save(turn)
            # A turn may say again what an earlier turn is still saving.
            await earlier
            saved.set_result(None)
        except QuorateError as fault:
            # Whoever waits for this turn is told; then the node stops, because its memory is ahead of its disk.
            for told in turn.failed:
                told(fault)
            raise
        finally:
            self._idle_saves.release()
        if turn.later or turn.posts:
            own = (value for _, wish in turn.posts for value in wish.own)
            signed = self.postbox.sign_evidence((*(letter.value for letter in turn.later), *own))
            for listener in turn.signed:
                listener(signed)
            letters = (*turn.later, *self.posted(turn.posts, signed))
            await self._deliver(self.postbox.seal(letters, signed, turn.parcels_later))
        for work in turn.after:
            pending = work()
            if pending is not None:
                self.spawn(pending)

    async def _save(self, turn: Turn) -> None:
        """A saved row never speaks of bytes that a crash could still take: files come first. What goes into the store
        itself is queued in front of the rows and shares their sync."""
        if any(len(data) > self.world.blobs.row_bytes_max for data in turn.blobs):
            await self._save_blobs(turn)
            await self._save_rows(turn)
        else:
            await asyncio.gather(self._save_blobs(turn), self._save_rows(turn))

    async def _save_blobs(self, turn: Turn) -> None:
        if turn.blobs:
            await self.world.blobs.put_many(turn.blobs)

    async def _save_rows(self, turn: Turn) -> None:
        if turn.rows:
            await self.world.store.save([Row(kind, key, value) for (kind, key), value in turn.rows.items()])

    async def _deliver(self, envelopes: Iterable[tuple[NodeId, bytes]]) -> None:
        for peer, envelope in envelopes:
            try:
                await self.world.transport.send(peer, envelope)
            except QuorateError as fault:
                log.warning("to %s: %s", peer.hex()[:8], fault)

    async def _clockwork(self) -> None:
        """Ticks of machines that are due, and the watch over peers that come and go."""
        beat, pulse = Millis(0), Millis(0)
        while not self._closing:
            now = self.now()
            if beat and now > beat + STALL_MS:
                # This process stood still and could hear nobody: nobody's silence counts against them.
                self.heard = dict.fromkeys(self.heard, now)
            if now >= pulse:
                pulse = Millis(now + HEARTBEAT_MS)
                self._send_heartbeats()
            due = self.timers.pop(now)
            if due:
                self.put(lambda turn, keys=due: self._tick_all(keys, turn))  # type: ignore[misc]
            if now >= beat:
                beat = Millis(now + PEER_POLL_MS)
                self._watch_peers()
            until = min(self.timers.next() or beat, beat)
            await asyncio.sleep(max(0.001, (until - self.now()) / 1000))

    def _send_heartbeats(self) -> None:
        """Past the queue of the inbox: a busy node is not a silent one."""
        awaiting = self.awaiting()
        if awaiting:
            hello = self.hello()
            self.spawn(self._deliver(self.postbox.seal([Outgoing(peer, hello) for peer in awaiting], {})))

    def _tick_all(self, keys: Iterable[bytes], turn: Turn) -> None:
        for key in keys:
            self.tick(key, turn)

    def _watch_peers(self) -> None:
        peers = self.world.transport.peers()
        fresh = peers - self._known_peers
        self._known_peers = peers
        if fresh:
            self.put(lambda turn: self._greet(fresh, turn))

    def _greet(self, peers: Iterable[NodeId], turn: Turn) -> None:
        hello = self.hello()
        for peer in peers:
            turn.send(peer, hello, after_save=False)
            self.met(peer, turn)

    def hello(self) -> Hello:
        return Hello(bundle=self.identity.bundle, role=self.role, now_ms=self.world.clock.now_ms())

    def now(self) -> Millis:
        return self.steady.now()

    # Mail

    async def _arrived(self, sender: NodeId, message: bytes) -> None:
        if len(self._inbox) < INBOX_MAX:
            self.put(lambda turn: self._open(sender, message, turn))

    def _open(self, sender: NodeId, message: bytes, turn: Turn) -> None:
        try:
            mail = self.postbox.open(sender, message)
        except QuorateError as fault:
            log.warning("refused mail of %s: %s", sender.hex()[:8], fault)
            return
        self.heard[sender] = self.now()
        for parcel in mail.parcels:
            self.parcel(parcel)
        for letter in mail.letters:
            try:
                if letter.noun == "hello":
                    self._greeted(letter)
                else:
                    self.letter(letter, turn)
            except QuorateError as fault:
                log.warning("refused %s of %s: %s", letter.noun, letter.sender.hex()[:8], fault)

    def _greeted(self, letter: Letter) -> None:
        """A peer says which time it reads: civil time dates offers and jobs, so clocks must roughly agree."""
        skew = decode(letter.body, Hello).now_ms - self.world.clock.now_ms()
        if abs(skew) > CLOCK_SKEW_MS_MAX and letter.sender not in self.skewed:
            log.warning("the clock of %s differs by %d ms: set the clocks", letter.sender.hex()[:8], skew)
        if abs(skew) > CLOCK_SKEW_MS_MAX:
            self.skewed[letter.sender] = skew
        else:
            self.skewed.pop(letter.sender, None)

    def _load_stamp(self, key: Digest) -> Stamp | None:
        row = self._riders.get(("stamp", key)) or self.world.store.load("stamp", key)
        return decode(row, Stamp) if row is not None else None

    def keep_stamps(self, statements: Iterable[Signed]) -> None:
        """What a saved state quotes must be verifiable after a restart: its stamps are saved with it, each once. They
        are worth no save of their own, and ride along with the next."""
        for statement in statements:
            if statement.stamp not in self._kept_stamps:
                if len(self._kept_stamps) > KEPT_STAMPS_MAX:
                    self._kept_stamps.clear()
                self._kept_stamps.add(statement.stamp)
                self._riders["stamp", statement.stamp] = encode(self.stamps.get(statement.stamp))

    # Blobs

    async def _blob_range(self, digest: Digest, offset: int, size: int) -> bytes | None:
        return self.world.blobs.read_range(digest, offset, size)


def pack(state: msgspec.Struct) -> bytes:
    """The stored form of a machine's state: internal to one node and one version, never sent or hashed."""
    return _encoder.encode(state)


_encoder = msgspec.msgpack.Encoder()
