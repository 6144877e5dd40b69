"""Verdict: the accepted vote or the reason for none; anyone recomputes it from the openings (protocol message 9)."""

from __future__ import annotations

from typing import Literal

from quorate.model.claim import Vote
from quorate.model.codec import Part, Value
from quorate.model.units import Count, Hash, Members, Word


class Tally(Part, frozen=True):
    """How one round ended. `outcome`: accepted, split (no vote can reach the threshold), short (too few openings)."""

    round: Count
    outcome: Literal["accepted", "split", "short"]
    agreed: Members
    dissented: Members
    failed: Members
    silent: Members


class Verdict(Value, frozen=True, tag="verdict"):
    """`rule` states method, K and T in words; `reason` is empty when a vote was accepted."""

    network: Hash
    agreement: Hash
    accepted: bool
    vote: Vote | None
    rule: Word
    reason: Word
    reexecuted: bool
    rounds: tuple[Tally, ...]
