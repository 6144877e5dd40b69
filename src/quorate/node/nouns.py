"""Which type a noun stands for, for letters and for ledger events."""

from __future__ import annotations

from typing import ClassVar

from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Ack, Assignment, Brief, CancelAck, CancelOrder, Started
from quorate.model.claim import Commit, Delivery, DeliveryAck, Opening, RoundAbort, RoundClose
from quorate.model.codec import Value, noun, noun_in
from quorate.model.ledger_events import Registered, WindowsOpened
from quorate.model.settlement import Settlement

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


class Events:
    """Ledger events carry their noun inside: it is read before they are decoded as that type."""

    _kinds: ClassVar[dict[str, type[Value]]] = {
        noun(kind): kind for kind in (EscrowOpened, Registered, Settlement, WindowsOpened)
    }

    def of(self, event: bytes) -> type[Value] | None:
        return self._kinds.get(noun_in(event))


EVENTS = Events()
