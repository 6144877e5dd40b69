"""Outcome: the result for its recipient, and the Receipt that verifies offline (protocol message 12, R11)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.agreement import Roster
from quorate.model.claim import Opening
from quorate.model.codec import Part, Value
from quorate.model.evidence import Proven, Signed
from quorate.model.identity import KeyBundle
from quorate.model.network import Genesis
from quorate.model.signature import Stamp
from quorate.model.transaction import POSTED_RESULT_BYTES_MAX
from quorate.model.units import MIB, Count, Word
from quorate.model.verdict import Verdict

Many = msgspec.Meta(max_length=4096)


class RoundRecord(Part, frozen=True):
    """One round as it was: every signed message about it and the openings that arrived."""

    round: Count
    assignments: Annotated[tuple[Signed, ...], Many]
    acks: Annotated[tuple[Signed, ...], Many]
    commits: Annotated[tuple[Signed, ...], Many]
    close: Signed | None
    abort: Signed | None
    openings: Annotated[tuple[Opening, ...], Many]


class Receipt(Value, frozen=True, tag="receipt"):
    """The chain job, offers, agreement, escrow, rounds, verdict, settlement; the stamps and key bundles that verify it;
    every trust assumption in words; every simulated part by name (first, so that no reader can miss it). `outcome` is
    the agreed output of a call of a contract, empty for any other job and when no copy is here."""

    size_max = 16 * MIB
    simulated: Annotated[tuple[Word, ...], Many]
    trust: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=512)], ...], Many]
    genesis: Genesis
    job: Signed
    offers: Annotated[tuple[Signed, ...], Many]
    roster: Roster
    agreement: Signed
    escrow: Proven
    rounds: Annotated[tuple[RoundRecord, ...], Many]
    delivery: Signed | None
    verdict: Verdict
    outcome: Annotated[bytes, msgspec.Meta(max_length=POSTED_RESULT_BYTES_MAX)]
    settlement: Proven | None
    bundles: Annotated[tuple[KeyBundle, ...], Many]
    stamps: Annotated[tuple[Stamp, ...], Many]
