"""Which type a noun stands for, for letters and for ledger events; and which letters are signed.

A statement is signed when somebody other than its receiver may have to believe it: it is evidence, and stands in
receipts and settlements. All others are said over a channel whose two ends are known by their certificates, and carry
their own proof where one is needed (docs/adr/0021)."""

from __future__ import annotations

from typing import ClassVar

from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Ack, Assignment, Brief, CancelAck, CancelOrder, Started
from quorate.model.claim import Commit, Delivery, DeliveryAck, Opening, RoundAbort, RoundClose
from quorate.model.codec import Value, noun, noun_in
from quorate.model.evidence import Hello, Proven
from quorate.model.ledger_events import Registered, WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import (
    Answer,
    AskStanding,
    CloseForced,
    Equivocation,
    Expire,
    ForceCommit,
    ForceReveal,
    ForceRound,
    OpenEscrow,
    PostOffer,
    Settle,
    Standing,
)

_LETTERS: tuple[type[Value], ...] = (
    Ack,
    Assignment,
    Brief,
    CancelAck,
    CancelOrder,
    Commit,
    Delivery,
    DeliveryAck,
    Opening,
    RoundAbort,
    RoundClose,
    Started,
)
VALUES: dict[str, type[Value]] = {noun(kind): kind for kind in _LETTERS}
_PLAIN: tuple[type[Value], ...] = (
    Answer,
    AskStanding,
    Brief,
    CloseForced,
    Delivery,
    Equivocation,
    Expire,
    ForceCommit,
    ForceReveal,
    ForceRound,
    Hello,
    OpenEscrow,
    Opening,
    PostOffer,
    Proven,
    Settle,
    Standing,
    Started,
)
PLAIN: frozenset[str] = frozenset(noun(kind) for kind in _PLAIN)
"""The nouns of statements that are not signed."""


class Events:
    """Ledger events carry their noun inside: it is read before they are decoded as that type."""

    _kinds: ClassVar[dict[str, type[Value]]] = {
        noun(kind): kind for kind in (EscrowOpened, Registered, Settlement, WindowsOpened)
    }

    def of(self, event: bytes) -> type[Value] | None:
        return self._kinds.get(noun_in(event))


EVENTS = Events()
