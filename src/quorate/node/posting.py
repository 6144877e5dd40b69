"""The part of a node that has business with the ledger: transactions under way, their answers, and events with their
proofs."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from quorate.crypto.digests import body_digest
from quorate.errors import QuorateError
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.effects import Post
from quorate.model.evidence import Proven, Signed
from quorate.model.transaction import Answer
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.ledger_view import RESEND_MS, Pending, built, check_proven, sequencer_of
from quorate.node.postbox import Letter, Outgoing
from quorate.node.shell import Shell, Turn

log = logging.getLogger("quorate.node")

POST_TIMER = b"\0ledger"
ACCEPTED = "ok"


class PostingShell(Shell):
    """Adds to the shell: `post`, and the two callbacks `answered` and `happened`."""

    def prepare(self) -> None:
        self.ledger: NodeId = sequencer_of(self.genesis)
        self.pending: dict[Digest, Pending] = {}
        self._wishes: list[tuple[bytes, Post]] = []

    def answered(self, owner: bytes, transaction: Value, answer: Answer, turn: Turn) -> None:
        """The ledger's word on a transaction of machine `owner`."""

    def happened(self, event: bytes, proven: Proven, turn: Turn) -> None:
        """A ledger event that concerns this node; its proof was checked."""

    def post(self, owner: bytes, wish: Post) -> None:
        """Signed with everything else of this turn, sent after its save, then again until the ledger answers."""
        self._wishes.append((owner, wish))

    def spoke(self, owner: bytes, own: tuple[Signed, ...]) -> None:
        """This node's own statements inside a transaction of machine `owner`, as they were signed."""

    def end_of_turn(self, turn: Turn) -> None:
        turn.posts, self._wishes = self._wishes, []

    def posted(self, posts: Iterable[tuple[bytes, Post]], signed: dict[int, Signed]) -> Iterable[Outgoing]:
        for owner, wish in posts:
            own = tuple(signed[id(value)] for value in wish.own)
            if own:
                self.spoke(owner, own)
            transaction = built(wish.transaction, own)
            body = encode(transaction)
            key = body_digest(noun(transaction), body)
            self.pending[key] = Pending(transaction, body, owner, Millis(self.now() + RESEND_MS))
            yield Outgoing(self.ledger, transaction, body)
        self.timers.set(POST_TIMER, self._post_due())

    def _post_due(self) -> Millis | None:
        # All wait equally long, so the oldest is the first in order of insertion.
        first = next(iter(self.pending.values()), None)
        return first.resend_ms if first else None

    def resend(self, turn: Turn) -> None:
        now = self.now()
        for key, waiting in list(self.pending.items()):
            if waiting.resend_ms > now:
                break
            del self.pending[key]
            self.pending[key] = waiting._replace(resend_ms=Millis(now + RESEND_MS))
            turn.now.append(Outgoing(self.ledger, waiting.transaction, waiting.body))
        self.timers.set(POST_TIMER, self._post_due())

    def ledger_letter(self, letter: Letter, turn: Turn) -> None:
        """An answer or an event. Only the ledger's own key is believed for an answer, only a proof for an event."""
        if letter.noun == "answer":
            if letter.sender != self.ledger:
                return
            answer = decode(letter.body, Answer)
            waiting = self.pending.pop(answer.transaction, None)
            if waiting is not None:
                self.answered(waiting.owner, waiting.transaction, answer, turn)
            self.timers.set(POST_TIMER, self._post_due())
            return
        proven = decode(letter.body, Proven)
        try:
            check_proven(proven, self.genesis, self.postbox)
        except QuorateError as fault:
            log.warning("an event without a valid proof: %s", fault)
            return
        self.happened(proven.event, proven, turn)
