"""The published score: an integer from 0 to 10,000 that anyone recomputes from settlements and slashings.

Everyone starts at 5,000. A claim that agreed closes 1/64 of the distance to 10,000, rounded up; a commitment that was
withheld halves the score; proven equivocation sets it to zero. An attempt without a quorum and a dissent change
nothing: silence and dissent are not guilt (R7).
"""

from __future__ import annotations

from quorate.model.settlement import ReputationEvent

START = 5_000
SCORE_MAX = 10_000
AGREED_SHARE = 64


def moved(score: int, event: ReputationEvent) -> int:
    """The score after `event`."""
    if event.kind == "agreed":
        return score + -(-(SCORE_MAX - score) // AGREED_SHARE)
    if event.kind == "withheld":
        return score // 2
    if event.kind == "equivocated":
        return 0
    return score
