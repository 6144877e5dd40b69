"""The clocks of a job: one per phase (match, transfer, run, verify), and the small patience with peers inside them.

Phase clocks come from the job; patience is the same for all jobs. A clock counts for one job alone.
"""

from __future__ import annotations

from quorate.jobs.state import JobState
from quorate.model.units import Millis

PROBE_MS = 2_000
"""How often an unanswered message is said again."""
PROBES_WITHOUT_WORDS = 4
"""So many probes in five are only looks at the clocks when the member has acknowledged. One that comes back is told at
once."""
SILENCE_MS = 5_000
"""A peer without a sign of life for so long loses its places (a heartbeat is due every second)."""
RUN_GRACE_MS = 3_000
"""Beyond the run limit, for sealing and saving, before a member that has started counts as silent."""
OPEN_GRACE_MS = 1_000
"""After the outcome is decided, how long the others' openings are awaited so that they are paid."""
OPEN_MS = 10_000
"""How long a committed member may take to open."""
STOP_MS = 10_000
"""How long members may take to say that the guest is gone."""

ADVICE = {
    "MatchTimeout": "raise match_ms; quorate compute quote shows who could run it",
    "TransferTimeout": "raise transfer_ms",
    "RunTimeout": "raise run_ms",
    "VerifyTimeout": "raise verify_ms",
    "JobFailed": "quorate compute explain shows why",
    "JobRejected": "quorate compute explain shows who said what",
}
"""What a requester can do about a job that ended without a result."""


def phase_deadline(state: JobState) -> Millis:
    """When the clock of the present phase runs out: match, transfer, run or verify."""
    clocks = state.value.core.timeouts
    if state.stage in ("matching", "escrow"):
        return Millis(state.submitted_ms + clocks.match_ms)
    if state.stage == "wraps":
        return Millis(state.escrow_ms + clocks.transfer_ms)
    if state.stage == "round":
        return _round_deadline(state)
    if state.stage in ("opening", "delivering"):
        return Millis(state.stage_ms + clocks.verify_ms)
    if state.stage == "stopping":
        return Millis(state.stage_ms + STOP_MS)
    return Millis(1 << 62)


def _round_deadline(state: JobState) -> Millis:
    """The transfer clock until every place has started, counted from the last assignment; then the run clock of the
    last to start."""
    live = state.current.live
    waiting = [slot.assigned_ms for slot in live if not slot.started_ms]
    if waiting:
        return Millis(max(waiting) + state.value.core.timeouts.transfer_ms)
    last = max((slot.started_ms for slot in live), default=state.stage_ms)
    return Millis(last + state.value.core.timeouts.run_ms + 2 * RUN_GRACE_MS)


def running_clock(state: JobState) -> str:
    """Which phase clock is running, in one word."""
    if state.stage in ("matching", "escrow"):
        return "match"
    if state.stage == "wraps":
        return "transfer"
    if state.stage == "round":
        return "transfer" if any(not slot.started_ms for slot in state.current.live) else "run"
    return "verify" if state.stage in ("opening", "delivering") else "none"
