"""The simulated world: one virtual clock, one seed, the pure network core, nodes that crash and come back.

An event is one letter delivered, one timer, one save done, one answer of a node's own world, or one fault. Events of
one moment happen in the order in which they were planned, so one seed gives one run, whatever the salt of Python's
hashes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.simulation.weather import Weather

from quorate.adapters.transport.simulated import Faults, Network
from quorate.crypto.digests import digest
from quorate.model.codec import Value
from quorate.model.evidence import Signed
from quorate.model.units import Digest, Millis, NodeId

if TYPE_CHECKING:
    from tests.simulation.machine import SimulatedNode

START_MS = 1_700_000_000_000


class Letter(NamedTuple):
    """A signed statement under way, with the value that its bytes decode to."""

    value: Value
    signed: Signed


class Watcher:
    """Sees everything that is said and happens; the checkers and the transcript are watchers."""

    def said(self, now: Millis, source: NodeId, target: NodeId, letter: Letter) -> None:
        """A letter leaves."""

    def happened(self, now: Millis, node: NodeId, what: str, thing: Any) -> None:
        """A node's own news: a state it came to, an event the ledger made."""


class World:
    """Time, links, nodes and faults."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.seed = seed
        self.weather = weather
        self.now = Millis(START_MS)
        self.events = 0
        self.network = Network(weather.network, self.dice("network"))
        self.nodes: dict[NodeId, SimulatedNode] = {}
        self.watchers: list[Watcher] = []
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0
        self._mail: list[tuple[Letter, ...]] = []
        self._fault_dice = self.dice("faults")
        self._calm = False

    def dice(self, name: str) -> Random:
        """An own stream of chance for each purpose, so that one more draw here changes nothing there."""
        return Random(f"{self.seed}/{name}")

    def add(self, node: SimulatedNode) -> None:
        self.nodes[node.node_id] = node

    # Time

    def at(self, due_ms: int, work: Callable[..., None], *arguments: Any) -> None:
        self._planned += 1
        heapq.heappush(self._heap, (max(due_ms, self.now), self._planned, work, arguments))

    def run(self, until_ms: int, events_max: int) -> bool:
        """Goes on until a time or a number of events; False when the events ran out first."""
        heap, network, last = self._heap, self.network, self.events + events_max
        while self.events < last:
            mail_at = network.next_at()
            planned_at = heap[0][0] if heap else until_ms + 1
            if min(planned_at, mail_at if mail_at is not None else planned_at) > until_ms:
                self.now = Millis(max(self.now, until_ms))
                return True
            if mail_at is not None and mail_at <= planned_at:
                self._deliver(mail_at)
            else:
                due, _, work, arguments = heapq.heappop(heap)
                self.now = Millis(due)
                self.events += 1
                work(*arguments)
        return False

    # Mail

    def send(self, source: NodeId, target: NodeId, letters: tuple[Letter, ...]) -> None:
        """One envelope: its letters arrive together or not at all."""
        for watcher in self.watchers:
            for letter in letters:
                watcher.said(self.now, source, target, letter)
        ticket = len(self._mail).to_bytes(8, "big")
        self._mail.append(letters)
        marks = b"".join(letter.signed.salt for letter in letters)
        self.network.send(self.now, source, target, ticket + marks)

    def _deliver(self, due: Millis) -> None:
        self.now = due
        delivery = next(self.network.deliveries(due), None)
        if delivery is None:
            self.events += 1
            return
        letters = self._mail[int.from_bytes(delivery.message[:8], "big")]
        self.events += len(letters)
        self.nodes[delivery.target].arrived(letters)

    def told(self, node: NodeId, what: str, thing: Any) -> None:
        for watcher in self.watchers:
            watcher.happened(self.now, node, what, thing)

    # Faults

    def begin_faults(self) -> None:
        self._next("crashes_per_minute", self._crash_one)
        self._next("partitions_per_minute", self._part)

    def _next(self, ratio: str, work: Callable[[], None]) -> None:
        often = getattr(self.weather, ratio)
        if often:
            wait = self._fault_dice.expovariate(often / 60_000)
            self.at(self.now + int(wait) + 1, self._strike, ratio, work)

    def _strike(self, ratio: str, work: Callable[[], None]) -> None:
        if not self._calm:
            work()
            self._next(ratio, work)

    def _crash_one(self) -> None:
        up = [node for node in self.nodes.values() if node.up]
        victim = self._fault_dice.choice(up)
        down_ms = self._fault_dice.randint(self.weather.down_ms_min, self.weather.down_ms_max)
        self.crash(victim.node_id, down_ms)

    def crash(self, node: NodeId, down_ms: int) -> None:
        """What the node had not saved, and had not sent, is gone."""
        if self.nodes[node].up:
            self.network.crash(node)
            self.nodes[node].crash()
            self.at(self.now + down_ms, self.restart, node)

    def restart(self, node: NodeId) -> None:
        if not self.nodes[node].up:
            self.network.restart(node)
            self.nodes[node].restart()

    def _part(self) -> None:
        names = sorted(self.nodes)
        self._fault_dice.shuffle(names)
        cut = self._fault_dice.randint(1, max(1, len(names) // 3))
        self.network.partition(names[:cut], names[cut:])
        length = self._fault_dice.randint(self.weather.partition_ms_min, self.weather.partition_ms_max)
        self.at(self.now + length, self._heal)

    def _heal(self) -> None:
        self.network.heal()

    def calm(self) -> None:
        """All faults stop: links work, nodes are up, nothing is lost from now on."""
        self._calm = True
        self.network.heal()
        self.network._faults = Faults(
            delay_ms_min=self.weather.network.delay_ms_min, delay_ms_max=self.weather.network.delay_ms_max
        )
        for node in list(self.nodes):
            self.restart(node)

    def trace(self) -> Digest:
        """The hash of all that was sent, lost and delivered, and of how many events there were."""
        return digest("simulated run", self.network.trace(), self.events.to_bytes(8, "big"))
