"""Settlement: ordered transfers out of one escrow, and what they say of reputation. A ledger event, terminal for its
agreement."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.units import Count, Hash, Job32, Micro, Ms, Node, Word

Reason = Literal["price", "attempt", "refund", "slash", "deposit", "transfer"]


class Payment(Part, frozen=True):
    """`amount_micro` to `account` out of the escrow (for a slash, out of the stake of `source`; for a transfer, out of
    the contract `source`). A contract has its id as its account: a deposit goes there."""

    source: Node
    account: Node
    amount_micro: Micro
    reason: Reason


class ReputationEvent(Part, frozen=True):
    """`kind`: agreed, attempted, dissented, withheld, equivocated. Only agreed, withheld and equivocated move the
    score."""

    account: Node
    kind: Literal["agreed", "attempted", "dissented", "withheld", "equivocated"]


class CallSettled(Part, frozen=True):
    """What became of a call. `applied`: the head is now `state` at `version`, the deposit and the transfers are among
    the payments. `read`: the call succeeded and changed nothing. In all other cases nothing of the call remains and
    its deposit went back: `failed` as the members agreed; `conflict`, because another call was settled on its head
    first; `unpayable`, because it transfers to an id that no account has; `unseen`, because nobody showed the ledger
    the outcome; `void`, because there is no accepted and delivered one. `state` and `version` are those of the head
    after the settlement."""

    contract: Hash
    result: Literal["applied", "read", "failed", "conflict", "unpayable", "unseen", "void"]
    state: Hash
    version: Count


class Settlement(Value, frozen=True, tag="settlement"):
    """`verdict` is the digest of the verdict that the ledger computed itself; `cause` is settle, cancel, expire or
    force. `call` says what became of the call, if the job is one."""

    network: Hash
    agreement: Hash
    job: Job32
    cause: Literal["settle", "cancel", "expire", "force"]
    verdict: Hash
    accepted: bool
    call: CallSettled | None
    payments: Annotated[tuple[Payment, ...], msgspec.Meta(max_length=1024)]
    reputation: Annotated[tuple[ReputationEvent, ...], msgspec.Meta(max_length=1024)]
    height: Count
    time_ms: Ms
    note: Word
