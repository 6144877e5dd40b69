"""A simulated node: the shell of `quorate.node.shell` in virtual time.

What the shell promises is kept to the letter: a turn's rows are saved in one step and in order; letters marked
`after_save`, and work that follows a turn, leave only when that save and every earlier one is done; a crash loses what
was not saved and what was not sent, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.simulation.suite import Keyring, Party
from tests.simulation.world import Letter, World

from quorate.crypto.digests import body_digest
from quorate.errors import PeerError
from quorate.ledger.blocks import Logged
from quorate.model.assignment import Brief
from quorate.model.codec import Value, decode
from quorate.model.effects import Post
from quorate.model.evidence import Proven, Signed
from quorate.model.ledger_events import Slashed
from quorate.model.transaction import Answer
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.ledger_view import RESEND_MS, Pending, built
from quorate.node.nouns import EVENTS

POST_TIMER = b"\0ledger"


class Turn:
    """What one turn gathers."""

    __slots__ = ("after", "later", "now", "rows", "signed")

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes], Any] = {}
        self.now: list[tuple[NodeId, Value]] = []
        self.later: list[tuple[NodeId, Value]] = []
        self.signed: list[tuple[int, Callable[[Signed], None]]] = []
        self.after: list[Callable[[], None]] = []

    def save(self, kind: str, key: bytes, value: Any) -> None:
        self.rows[(kind, key)] = value

    def send(self, peer: NodeId, value: Value, *, after_save: bool) -> None:
        (self.later if after_save else self.now).append((peer, value))


class SimulatedNode:
    """Base of the three roles. A subclass handles letters and ticks, forgets everything in `forget` and goes on from
    `disk` in `restore`."""

    def __init__(self, world: World, known: Party, keyring: Keyring) -> None:
        self.world = world
        self.party = known
        self.node_id = known.node_id
        self.keyring = keyring
        self.disk: dict[tuple[str, bytes], Any] = {}
        self.up = True
        self.dice = world.dice(known.name)
        self._life = 0
        self._saved_at = 0
        self._turn: Turn | None = None
        self._body_of_brief: dict[bytes, bytes] = {}
        self._signed_before: dict[int, Letter] = {}
        """Statements that were signed already; each keeps its value alive, so that no other takes its id."""
        self._clear()
        world.add(self)
        keyring.add(known)

    def _clear(self) -> None:
        self.heard: dict[NodeId, Millis] = {}
        self._due: dict[bytes, int] = {}
        self._saved_at = 0
        self._saves_under_way = 0
        self.forget()

    # What a subclass does

    def forget(self) -> None:
        """Memory is gone."""

    def restore(self, turn: Turn) -> None:
        """Loads what was saved and has every machine go on."""

    def letter(self, letter: Letter, turn: Turn) -> None:
        """A verified letter."""

    def tick(self, key: bytes, turn: Turn) -> None:
        """The timer of machine `key` ran out."""

    def end_of_turn(self, turn: Turn) -> None:
        """After everything that had arrived was stepped."""

    def saved(self, turn: Turn) -> None:
        """The rows of `turn` are durable."""

    # Life and death

    def crash(self) -> None:
        self.up = False
        self._life += 1
        self._clear()

    def restart(self) -> None:
        self.up = True
        self.turn(self.restore)

    # Turns

    def now(self) -> Millis:
        return self.world.now

    def entropy(self, size: int) -> bytes:
        return self.dice.randbytes(size)

    def turn(self, work: Callable[[Turn], None]) -> None:
        if not self.up:
            return
        turn = Turn()
        work(turn)
        self.end_of_turn(turn)
        if turn.now:
            self._mail(turn.now)
        if turn.rows or turn.later or turn.after:
            self._save(turn)

    def _save(self, turn: Turn) -> None:
        weather, dice = self.world.weather, self.dice
        took = dice.randint(weather.save_ms_min, weather.save_ms_max) if turn.rows else 0
        if turn.rows and dice.randrange(1000) < weather.slow_save_per_mille:
            took += weather.slow_save_ms
        self._saved_at = max(self._saved_at, self.world.now + took)
        if not turn.rows and not self._saves_under_way:
            self._finish(turn)
            return
        self._saves_under_way += 1
        self.world.at(self._saved_at, self._saved, self._life, turn)

    def _saved(self, life: int, turn: Turn) -> None:
        if life == self._life:
            self._saves_under_way -= 1
            self.disk.update(turn.rows)
            self.saved(turn)
            self._finish(turn)

    def _finish(self, turn: Turn) -> None:
        if turn.later:
            signed = self._mail(turn.later)
            for place, listener in turn.signed:
                listener(signed[place])
        for work in turn.after:
            work()

    def soon(self, after_ms: int, work: Callable[[Turn], None]) -> None:
        """A turn later, unless the node dies before."""
        self.world.at(self.world.now + after_ms, self._soon, self._life, work)

    def _soon(self, life: int, work: Callable[[Turn], None]) -> None:
        if life == self._life:
            self.turn(work)

    # Timers

    def wake(self, key: bytes, due: int | None) -> None:
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            if due < 1 << 61:
                self.world.at(due, self._ring, self._life, key, due)

    def _ring(self, life: int, key: bytes, due: int) -> None:
        if life == self._life and self._due.get(key) == due:
            del self._due[key]
            self.turn(lambda turn: self.tick(key, turn))

    # Mail

    def arrived(self, letters: Iterable[Letter]) -> None:
        self.turn(lambda turn: self._open(letters, turn))

    def _open(self, letters: Iterable[Letter], turn: Turn) -> None:
        for letter in letters:
            try:
                self.keyring.verify(letter.signed)
            except PeerError:
                return
            self.heard[letter.signed.signer] = self.world.now
            self.letter(letter, turn)

    def sign(self, value: Value) -> Signed:
        if isinstance(value, Brief):
            return self._sign_brief(value)
        return self.keyring.sign(self.node_id, value)

    def _sign_brief(self, value: Brief) -> Signed:
        """A brief is large and the same for all members of a job: its bytes are made once."""
        key = value.agreement.body
        body = self._body_of_brief.get(key)
        if body is None:
            signed = self.keyring.sign(self.node_id, value)
            self._body_of_brief[key] = signed.body
            return signed
        return self.keyring.sign_body(self.node_id, "brief", body)

    def _mail(self, letters: Sequence[tuple[NodeId, Value]]) -> list[Signed]:
        made: dict[int, Letter] = {}
        by_peer: dict[NodeId, list[Letter]] = {}
        signed = []
        for peer, value in letters:
            letter = made.get(id(value)) or self._signed_before.get(id(value))
            if letter is None:
                letter = made[id(value)] = Letter(value, self.sign(value))
            by_peer.setdefault(peer, []).append(letter)
            signed.append(letter.signed)
        for peer, mail in by_peer.items():
            self.world.send(self.node_id, peer, tuple(mail))
        return signed


class PostingNode(SimulatedNode):
    """The twin of `quorate.node.posting`: transactions under way until they are answered."""

    ledger: NodeId

    def _clear(self) -> None:
        self.pending: dict[Digest, Pending] = {}
        super()._clear()

    def answered(self, owner: bytes, transaction: Value, answer: Answer, turn: Turn) -> None:
        """The ledger's word on a transaction of machine `owner`."""

    def happened(self, proven: Proven, event: Value, turn: Turn) -> None:
        """A ledger event that concerns this node."""

    def post(self, owner: bytes, wish: Post, turn: Turn) -> None:
        own = tuple(self.sign(value) for value in wish.own)
        transaction = built(wish.transaction, own)
        signed = self.sign(transaction)
        self._signed_before[id(transaction)] = Letter(transaction, signed)
        key = body_digest(signed.noun, signed.body)
        self.pending[key] = Pending(transaction, signed.body, owner, Millis(self.world.now + RESEND_MS))
        turn.send(self.ledger, transaction, after_save=True)
        self.wake(POST_TIMER, self._post_due())

    def _post_due(self) -> int | None:
        first = next(iter(self.pending.values()), None)
        return first.resend_ms if first else None

    def resend(self, turn: Turn) -> None:
        now = self.world.now
        for key, waiting in list(self.pending.items()):
            if waiting.resend_ms > now:
                break
            del self.pending[key]
            self.pending[key] = waiting._replace(resend_ms=Millis(now + RESEND_MS))
            turn.send(self.ledger, waiting.transaction, after_save=False)
        self.wake(POST_TIMER, self._post_due())

    def ledger_letter(self, letter: Letter, turn: Turn) -> None:
        if letter.signed.signer != self.ledger:
            return
        value = letter.value
        if isinstance(value, Answer):
            waiting = self.pending.pop(value.transaction, None)
            if waiting is not None:
                self._signed_before.pop(id(waiting.transaction), None)
                self.answered(waiting.owner, waiting.transaction, value, turn)
            self.wake(POST_TIMER, self._post_due())
        elif isinstance(value, Proven):
            self.happened(value, event_of(value), turn)


_EVENTS: dict[bytes, Value] = {}


def remember_event(body: bytes, event: Value) -> None:
    """So that a receiver need not decode what the sequencer has just encoded."""
    if len(_EVENTS) > 20_000:
        _EVENTS.clear()
    _EVENTS[body] = event


def event_of(proven: Proven | Logged) -> Value:
    event = _EVENTS.get(proven.event)
    if event is None:
        event = _decoded(proven.event)
        remember_event(proven.event, event)
    return event


def _decoded(event: bytes) -> Value:
    for kind in (EVENTS.of(event), Slashed):
        if kind is not None:
            return decode(event, kind)
    raise AssertionError("an event of no kind")


def short(node: bytes) -> str:
    return node.hex()[:8]
