"""A job in which everyone is alive and one thing never comes, until it is let go."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.job_town import LIMITS, Play, Sealed, Town, quorum

from quorate.crypto.digests import value_digest
from quorate.jobs.state import Matched, Opened, Tick
from quorate.market.matching import Match, match
from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Ack, Assignment, Started
from quorate.model.claim import Commit, Delivery, Opening
from quorate.model.effects import Post
from quorate.model.evidence import Proven, Signed
from quorate.model.policy import Timeouts
from quorate.model.transaction import OpenEscrow
from quorate.model.units import Millis, NodeId

CLOCKS = Timeouts(match_ms=2_000, transfer_ms=3_000, run_ms=4_000, verify_ms=5_000)
"""Four that differ, so that each shows which one ran."""
LONG_RUN = msgspec.structs.replace(LIMITS, run_ms=60_000)
"""A run limit above the run clock, so that the clock comes first."""


class Halted(Play):
    """A job in which everyone is alive and one thing never comes: `lacks` names it. With `stall` its settlement waits,
    so that the ledger's time stands still."""

    def __init__(self, town: Town, sealed: Sealed, lacks: str, stall: bool) -> None:
        self.lacks = lacks
        self.held: list[tuple[NodeId, Any]] = []
        super().__init__(town, sealed, {}, "", stall)

    def begin(self) -> None:
        """Goes as far as it can in no time."""
        if self.lacks == "match":
            return
        found = match(self.town.request(self.job, self.state.audit_seed), self.town.listings(), self.town.standing())
        assert isinstance(found, Match), found
        self.feed(Matched(found.agreement, found.roster))

    def wait(self, until_ms: int) -> None:
        """Time passes; every member gives signs of life."""
        self.town.now = until_ms
        self.feed(Tick({who.node_id: Millis(until_ms) for who in self.town.providers}))

    def _post(self, wish: Post) -> None:
        if self.lacks != "escrow" or not isinstance(wish.transaction, OpenEscrow):
            super()._post(wish)

    def _opened(self, event: EscrowOpened, proven: Proven, agreement: Signed) -> None:
        if self.lacks == "wraps":
            self.feed(Opened(event, proven, agreement))
        else:
            super()._opened(event, proven, agreement)

    def _assigned(self, member: NodeId, value: Assignment) -> None:
        if self.lacks not in ("start", "commit"):
            super()._assigned(member, value)
            return
        place = self._place(member, value.round)
        self.hear(member, Ack(**place, assignment=value_digest(value), refusal=""))
        if self.lacks == "commit":
            self.hear(member, Started(**place))

    def hear(self, member: NodeId, value: Any) -> None:
        kinds = {"commitment": (Commit,), "opening": (Opening, Delivery), "delivery": (Delivery,)}
        if isinstance(value, kinds.get(self.lacks, ())):
            self.held.append((member, value))
        else:
            super().hear(member, value)

    def let_go(self) -> None:
        """What was held back arrives after all."""
        self.lacks, held = "", self.held
        for member, value in held:
            self.hear(member, value)


def halted(town: Town, lacks: str, stall: bool = False, **changes: Any) -> Halted:
    made = {"timeouts": CLOCKS, "limits": LONG_RUN} | changes
    play = Halted(town, town.job(quorum(3), private=lacks == "wraps", **made), lacks, stall)
    play.begin()
    return play
