"""The ledger as an outsider finds it in the sequencer's file: replayed from the first block, then asked who was paid.

The file is read while the sequencer writes it, by SQLite's own rules. Nothing is believed: the replay checks that each
block leads where it says, and `check` that no money was made or lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cbor2

from quorate.ledger.blocks import Block, replay
from quorate.ledger.invariants import check
from quorate.ledger.state import State
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import decode
from quorate.model.ledger_events import Slashed
from quorate.model.network import Genesis
from quorate.model.settlement import Payment, Settlement
from quorate.model.units import JobId, NodeId


class Book:
    """What the ledger says, event by event."""

    def __init__(self, state: State, events: Iterable[bytes]) -> None:
        self.state = state
        by_kind: dict[str, list[bytes]] = {}
        for event in events:
            plain: Any = cbor2.loads(event)
            by_kind.setdefault(plain["type"], []).append(event)
        self.opened = [decode(event, EscrowOpened) for event in by_kind.get("escrow_opened", [])]
        self.settlements = [decode(event, Settlement) for event in by_kind.get("settlement", [])]
        self.slashed = [decode(event, Slashed) for event in by_kind.get("slashed", [])]

    def escrows_of(self, job: str) -> list[EscrowOpened]:
        return [event for event in self.opened if event.job.hex() == job]

    def settlements_of(self, job: str) -> list[Settlement]:
        return [event for event in self.settlements if event.job.hex() == job]

    def settlement(self, job: str) -> Settlement:
        """The one settlement of a job: two would be billing twice."""
        (found,) = self.settlements_of(job)
        return found

    def paid(self, job: str, *reasons: str) -> dict[NodeId, int]:
        """Who got how much of the job's escrow, for `reasons` (default: price and attempt)."""
        wanted = reasons or ("price", "attempt")
        found: dict[NodeId, int] = {}
        for payment in self.settlement(job).payments:
            if payment.reason in wanted:
                found[payment.account] = found.get(payment.account, 0) + payment.amount_micro
        return found

    def slashes(self) -> list[Payment]:
        """Every bond that anyone ever lost."""
        settled = [item for event in self.settlements for item in event.payments if item.reason == "slash"]
        return settled + [item for event in self.slashed for item in event.payments]

    def balance_micro(self, node: NodeId) -> int:
        return self.state.accounts[node].balance_micro

    def stake_micro(self, node: NodeId) -> int:
        return self.state.accounts[node].stake_micro

    def agreement_of(self, job: str) -> bytes:
        return self.state.jobs[JobId(bytes.fromhex(job))].agreement


def rows_of(store: Path, kind: str) -> list[bytes]:
    """The rows of one kind in a node's store, in the order of their keys."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5)
    try:
        found = connection.execute("SELECT value FROM rows WHERE kind = ? ORDER BY key", (kind,))
        return [bytes(value) for (value,) in found]
    finally:
        connection.close()


def read_book(store: Path, genesis: Genesis) -> Book:
    """Raises MalformedBytes for a ledger that does not follow from its own blocks, InvalidField for one that does not
    add up."""
    events: list[bytes] = []

    def seen(block: Block, fresh: tuple[bytes, ...]) -> None:
        events.extend(fresh)

    state, _ = replay(genesis, rows_of(store, "block"), seen=seen)
    check(state)
    return Book(state, events)
