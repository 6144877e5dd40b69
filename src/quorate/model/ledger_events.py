"""What the ledger says beside EscrowOpened and Settlement: an account was registered, windows opened, a bond was
lost."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.model.codec import Value
from quorate.model.settlement import Payment, ReputationEvent
from quorate.model.units import Count, Hash, Ms, Node, Word


class Registered(Value, frozen=True, tag="registered"):
    """Ledger event: the key bundle whose digest is `account` is in the registry."""

    network: Hash
    account: Node
    role: Word
    height: Count
    time_ms: Ms


class Deployed(Value, frozen=True, tag="deployed"):
    """Ledger event: the contract with the id `contract` has its first head."""

    network: Hash
    contract: Hash
    deployer: Node
    height: Count
    time_ms: Ms


class WindowsOpened(Value, frozen=True, tag="windows_opened"):
    """Ledger event: the agreement ends after `reveal_by_ms` at the earliest. For `force` members commit until
    `commit_by_ms` and open after it; for `cancel` and `settle` both are one moment, until which a member may show its
    commitment or force its round."""

    network: Hash
    agreement: Hash
    cause: Literal["force", "cancel", "settle"]
    round: Count
    commit_by_ms: Ms
    reveal_by_ms: Ms
    height: Count
    time_ms: Ms


class Slashed(Value, frozen=True, tag="slashed"):
    """Ledger event: `offender` signed two contradictory statements about one agreement and loses its bond (protocol
    R8)."""

    network: Hash
    agreement: Hash
    offender: Node
    payments: Annotated[tuple[Payment, ...], msgspec.Meta(max_length=1024)]
    reputation: Annotated[tuple[ReputationEvent, ...], msgspec.Meta(max_length=1024)]
    height: Count
    time_ms: Ms
