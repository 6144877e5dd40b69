"""A network as a pure scheduler: what is sent goes in with the time, what arrives comes out in order of virtual time.

No clock, no sockets, no await. Every fault comes from the dice passed in, drawn once per copy of a message whatever the
state of the links is, so that one seed gives one run. `trace` is a running hash over all that happened: two runs are
equal when it is. Faults are ratios per thousand messages; times are milliseconds of the virtual clock. Bytes are never
altered: the real transport is authenticated, so alteration shows up as loss.
Method: deterministic simulation as in FoundationDB (Zhou et al., SIGMOD 2021, section 4).
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blake3 import blake3

from quorate.errors import InvalidField
from quorate.model.units import Digest, Millis, NodeId

_DELIVERED, _DROPPED, _CUT, _DOWN, _TOPOLOGY = range(5)
_HEAD = struct.Struct(">BQHHI")
_ONE_MS = Millis(1)


class Dice(Protocol):
    """The seeded source of faults; `random.Random(seed)` fits."""

    def getrandbits(self, k: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad the network is. The default is a perfect one with a delay of 1 ms."""

    drop_per_mille: int = 0
    duplicate_per_mille: int = 0
    reorder_per_mille: int = 0
    """Messages freed from the order of their link; the others never overtake."""
    delay_ms_min: Millis = _ONE_MS
    delay_ms_max: Millis = _ONE_MS

    def __post_init__(self) -> None:
        for field in ("drop_per_mille", "duplicate_per_mille", "reorder_per_mille"):
            ratio = getattr(self, field)
            if not 0 <= ratio <= 1000:
                raise InvalidField(f"{ratio}", field=field, limit="0 to 1000", fix="give a ratio per mille")
        if not 0 <= self.delay_ms_min <= self.delay_ms_max:
            limit = "0 <= delay_ms_min <= delay_ms_max"
            raise InvalidField(f"{self.delay_ms_min}", field="delay_ms_min", limit=limit, fix="order the delays")


class Delivery(NamedTuple):
    """One message at its destination."""

    at_ms: Millis
    order: int
    source: NodeId
    target: NodeId
    message: bytes


@dataclass(slots=True)
class Counts:
    """What the faults did; a test that asks for faults checks here that it had some."""

    sent: int = 0
    delivered: int = 0
    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    cut: int = 0
    down: int = 0


class Network:
    """Links between nodes, all alike, with one fault model; cuts and crashes are told to it."""

    def __init__(self, faults: Faults, dice: Dice) -> None:
        self._faults = faults
        self._delay_ms_span = faults.delay_ms_max - faults.delay_ms_min + 1
        self._dice = dice
        self._due: list[Delivery] = []
        self._order = 0
        self._last_at: dict[tuple[NodeId, NodeId], Millis] = {}
        self._cuts: set[tuple[NodeId, NodeId]] = set()
        self._crashed: set[NodeId] = set()
        self._hash = blake3()
        self._now = Millis(0)
        self.counts = Counts()

    def send(self, now_ms: Millis, source: NodeId, target: NodeId, message: bytes) -> None:
        """Takes one message. Time never runs backwards: `now_ms` is at least the time of the last delivery."""
        if now_ms < self._now:
            raise InvalidField(f"{now_ms} ms", field="now_ms", limit=f"{self._now} ms or later", fix="send in order")
        self.counts.sent += 1
        bits = self._dice.getrandbits(64)
        if source == target:
            self._schedule(now_ms, source, target, message)
        elif (source, target) in self._cuts:
            self.counts.cut += 1
            self._note(_CUT, now_ms, source, target, message)
        elif (bits & 0xFFFF) * 1000 >> 16 < self._faults.drop_per_mille:
            self.counts.dropped += 1
            self._note(_DROPPED, now_ms, source, target, message)
        else:
            self._route(now_ms, source, target, message, bits)

    def _route(self, now_ms: Millis, source: NodeId, target: NodeId, message: bytes, bits: int) -> None:
        at = self._arrival(now_ms, bits)
        if (bits >> 16 & 0xFFFF) * 1000 >> 16 < self._faults.reorder_per_mille:
            self.counts.reordered += 1
        else:
            at = max(at, self._last_at.get((source, target), at))
            self._last_at[source, target] = at
        self._schedule(at, source, target, message)
        if (bits >> 32 & 0xFFFF) * 1000 >> 16 < self._faults.duplicate_per_mille:
            self.counts.duplicated += 1
            again = self._arrival(now_ms, self._dice.getrandbits(64))
            self._schedule(again, source, target, message)

    def _arrival(self, now_ms: Millis, bits: int) -> Millis:
        return Millis(now_ms + self._faults.delay_ms_min + ((bits >> 48) * self._delay_ms_span >> 16))

    def _schedule(self, at_ms: Millis, source: NodeId, target: NodeId, message: bytes) -> None:
        self._order += 1
        heapq.heappush(self._due, Delivery(at_ms, self._order, source, target, message))

    def next_at(self) -> Millis | None:
        """When the next message is due, or None when nothing is under way."""
        return self._due[0].at_ms if self._due else None

    def deliveries(self, until_ms: Millis) -> Iterator[Delivery]:
        """What arrives up to and including `until_ms`, in order. Sending while iterating is allowed and seen."""
        while self._due and self._due[0].at_ms <= until_ms:
            delivery = heapq.heappop(self._due)
            at_ms, _, source, target, message = delivery
            self._now = at_ms
            if target in self._crashed:
                self.counts.down += 1
                self._note(_DOWN, at_ms, source, target, message)
            elif (source, target) in self._cuts:
                self.counts.cut += 1
                self._note(_CUT, at_ms, source, target, message)
            else:
                self.counts.delivered += 1
                self._note(_DELIVERED, at_ms, source, target, message)
                yield delivery

    def cut(self, source: NodeId, target: NodeId) -> None:
        """One direction of one link goes dark, for what is under way too."""
        self._cuts.add((source, target))
        self._note(_TOPOLOGY, self._now, source, target, b"cut")

    def partition(self, left: Iterable[NodeId], right: Iterable[NodeId]) -> None:
        """Both directions of every link between two groups go dark. Sets are fine: groups are sorted first."""
        there = sorted(right)
        for one in sorted(left):
            for other in there:
                self.cut(one, other)
                self.cut(other, one)

    def heal(self) -> None:
        """Every link works again. What was lost stays lost."""
        self._cuts.clear()
        self._note(_TOPOLOGY, self._now, NodeId(b""), NodeId(b""), b"heal")

    def crash(self, node: NodeId) -> None:
        """Messages that fall due while the node is down are lost; what it sent before is under way still."""
        self._crashed.add(node)
        self._note(_TOPOLOGY, self._now, node, node, b"crash")

    def restart(self, node: NodeId) -> None:
        self._crashed.discard(node)
        self._note(_TOPOLOGY, self._now, node, node, b"restart")

    def reaches(self, source: NodeId, target: NodeId) -> bool:
        """Whether a message sent now could arrive, apart from chance."""
        return source not in self._crashed and target not in self._crashed and (source, target) not in self._cuts

    def trace(self) -> Digest:
        """The hash of everything that happened so far, in order."""
        return Digest(self._hash.digest())

    def _note(self, kind: int, at_ms: Millis, source: NodeId, target: NodeId, message: bytes) -> None:
        head = _HEAD.pack(kind, at_ms, len(source), len(target), len(message))
        self._hash.update(head + source + target + message)
