"""What a rule of the ledger is given and what it answers: a transaction whose signer is known, the block, a way to
check quoted signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from quorate.crypto.digests import body_digest
from quorate.errors import MalformedBytes
from quorate.ledger.ballots import Verify
from quorate.ledger.state import State
from quorate.model.codec import Value, decode, noun
from quorate.model.transaction import (
    Cancel,
    CloseForced,
    Deploy,
    DepositStake,
    Equivocation,
    Expire,
    ForceCommit,
    ForceReveal,
    ForceRound,
    OpenEscrow,
    PostOffer,
    Register,
    Settle,
    TransferCredits,
)
from quorate.model.units import Digest, NodeId

Transaction: TypeAlias = (
    Register
    | TransferCredits
    | DepositStake
    | Deploy
    | PostOffer
    | OpenEscrow
    | Settle
    | Cancel
    | Expire
    | ForceRound
    | ForceCommit
    | ForceReveal
    | CloseForced
    | Equivocation
)
KINDS: dict[str, type[Transaction]] = {noun(kind): kind for kind in Transaction.__args__}


class AuthenticatedTx(NamedTuple):
    """A transaction and who posted it, of which the caller is sure. `id` is the digest of its body."""

    id: Digest
    signer: NodeId
    noun: str
    body: bytes
    value: Transaction


def read_transaction(noun_of_body: str, body: bytes, signer: NodeId) -> AuthenticatedTx:
    """The transaction that `signer` posted. Raises MalformedBytes for another noun or another
    form."""
    kind = KINDS.get(noun_of_body)
    if kind is None:
        raise MalformedBytes("not a transaction", field="noun", evidence=body[:256])
    return AuthenticatedTx(body_digest(noun_of_body, body), signer, noun_of_body, body, decode(body, kind))


class BlockContext(NamedTuple):
    """The block that a transaction is part of. `entropy32` was drawn when the block was made: nobody knew it before."""

    height: int
    time_ms: int
    entropy32: bytes


T = TypeVar("T", bound=Transaction)


class Call(NamedTuple, Generic[T]):
    """One transaction on its way through its rule."""

    value: T
    signer: NodeId
    block: BlockContext
    verify: Verify


class Done(NamedTuple):
    """A rule's answer when nothing was refused. Not `fresh`: the events were said before and nothing changes."""

    state: State
    events: tuple[Value, ...] = ()


Rule: TypeAlias = Callable[[State, Call[T]], Done]
