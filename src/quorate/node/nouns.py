"""Which type a noun stands for, for letters and for ledger events; and which letters are signed.

A statement is signed when somebody other than its receiver may have to believe it: it is evidence, and stands in
receipts and settlements. All others are said over a channel whose two ends are known by their certificates, and carry
their own proof where one is needed (docs/adr/0021)."""

from __future__ import annotations

from typing import ClassVar

from quorate.ledger.call import KINDS
from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Ack, Assignment, Brief, CancelAck, CancelOrder, Started
from quorate.model.claim import Commit, Delivery, DeliveryAck, Opening, RoundAbort, RoundClose
from quorate.model.codec import Value, noun, noun_in
from quorate.model.evidence import Hello, Proven
from quorate.model.ledger_events import Deployed, Registered, WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import Answer, AskContract, AskStanding, ContractHead, Standing

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
    AskContract,
    AskStanding,
    Brief,
    ContractHead,
    Delivery,
    Hello,
    Opening,
    Proven,
    Standing,
    Started,
)
PLAIN: frozenset[str] = frozenset(noun(kind) for kind in _PLAIN) | frozenset(KINDS)
"""The nouns of statements that are not signed. Transactions are among them: who posts one is known by the channel, and
what it claims is evidence inside it."""


class Events:
    """Ledger events carry their noun inside: it is read before they are decoded as that type."""

    _kinds: ClassVar[dict[str, type[Value]]] = {
        noun(kind): kind for kind in (Deployed, EscrowOpened, Registered, Settlement, WindowsOpened)
    }

    def of(self, event: bytes) -> type[Value] | None:
        return self._kinds.get(noun_in(event))


EVENTS = Events()
