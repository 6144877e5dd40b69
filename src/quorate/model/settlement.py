"""Settlement: ordered transfers out of one escrow, and what they say of reputation. A ledger event, terminal for its
agreement."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.units import Count, Hash, Job32, Micro, Ms, Node, Word

Reason = Literal["price", "attempt", "refund", "slash"]


class Payment(Part, frozen=True):
    """`amount_micro` to `account` out of the escrow (or, for a slash, out of the stake of `source`)."""

    source: Node
    account: Node
    amount_micro: Micro
    reason: Reason


class ReputationEvent(Part, frozen=True):
    """`kind`: agreed, attempted, dissented, withheld, equivocated. Only agreed, withheld and equivocated move the
    score."""

    account: Node
    kind: Literal["agreed", "attempted", "dissented", "withheld", "equivocated"]


class Settlement(Value, frozen=True, tag="settlement"):
    """`verdict` is the digest of the verdict that the ledger computed itself; `cause` is settle, cancel, expire or
    force."""

    network: Hash
    agreement: Hash
    job: Job32
    cause: Literal["settle", "cancel", "expire", "force"]
    verdict: Hash
    accepted: bool
    payments: Annotated[tuple[Payment, ...], msgspec.Meta(max_length=1024)]
    reputation: Annotated[tuple[ReputationEvent, ...], msgspec.Meta(max_length=1024)]
    height: Count
    time_ms: Ms
    note: Word
