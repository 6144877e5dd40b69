"""What the doors show of a job: a plain view of its state, the same for REST, command line and Python.

A view says nothing that the state does not; it holds no key, no ciphertext, no signature.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quorate.crypto.digests import digest
from quorate.jobs.clocks import running_clock
from quorate.jobs.state import TERMINAL, JobState, Slot
from quorate.model.agreement import Agreement
from quorate.model.units import Millis

PAID = ("price", "attempt")
VERIFYING = "verifying"


class NoteView(msgspec.Struct, frozen=True):
    """One line of the job's own history."""

    time_ms: int
    text: str


class JobView(msgspec.Struct, frozen=True):
    """One job as it stands. `state` is one of eight words; `phase` says what goes on now in words for people; `replied`
    of `replicas` members have committed or, later, opened their claims in `round`; `clock` is the phase clock that
    runs. `settled` says that nothing about the job moves any more. `needs_wraps`: the node waits for the client to wrap
    the input key for the members drawn."""

    job: str
    state: str
    phase: str
    round: int
    rounds_max: int
    replied: int
    replicas: int
    elapsed_ms: int
    submitted_ms: int
    ended_ms: int
    clock: str
    error: str
    detail: str
    private: bool
    proof: str
    program: str
    price_max_micro: int
    paid_micro: int
    settled: bool
    needs_wraps: bool
    notes: tuple[NoteView, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    @property
    def line(self) -> str:
        """The state in one line, as the command line prints it: `executing (2/3 validators replied)`."""
        if self.ended or not self.round:
            return self.phase
        what = "claims opened" if self.phase == VERIFYING else "validators replied"
        return f"{self.phase} ({self.replied}/{self.replicas} {what})"


class Ids(msgspec.Struct, frozen=True):
    """Digests in hexadecimal, as questions and answers about blobs carry them."""

    digests: tuple[str, ...]


class Ready(msgspec.Struct, frozen=True):
    """A result that came along with the state of its job: the canonical bytes of the `result` value, and the first
    copy it names (empty: to be fetched)."""

    result: bytes
    copy: bytes


class Listing(msgspec.Struct, frozen=True):
    """Jobs without their notes: newest first, or in the order of the question. `results` are those that were asked
    for."""

    jobs: tuple[JobView, ...]
    results: tuple[Ready, ...] = ()


def view_of(state: JobState, now_ms: Millis, *, notes: bool = True) -> JobView:
    """The view of `state` at `now_ms`."""
    job = state.value
    terms = state.terms if state.agreement else None
    ended = state.condition in TERMINAL
    return JobView(
        job=state.job_id.hex(),
        state=state.condition,
        phase=phase_of(state),
        round=len(state.rounds),
        rounds_max=terms.rounds if terms else 0,
        replied=replied_in(state),
        replicas=state.current.width if state.rounds else job.core.proof.replicas,
        elapsed_ms=max(0, (state.ended_ms if ended else now_ms) - state.submitted_ms),
        submitted_ms=state.submitted_ms,
        ended_ms=state.ended_ms,
        clock="none" if ended else running_clock(state),
        error=state.error,
        detail=state.detail,
        private=job.private,
        proof=job.core.proof.method,
        program=job.core.program.digest.hex(),
        price_max_micro=price_max_micro(terms),
        paid_micro=paid_micro(state),
        settled=state.stage == "done",
        needs_wraps=state.stage == "wraps" and job.private and not state.wraps,
        notes=tuple(NoteView(line.time_ms, line.text) for line in state.notes) if notes else (),
    )


def phase_of(state: JobState) -> str:
    """What goes on now, in words for people."""
    if state.condition in TERMINAL:
        return state.condition.replace("_", " ")
    if state.stage == "wraps":
        return "waiting for the input key" if state.value.private and not state.wraps else "assigning"
    if state.stage == "round":
        return "executing" if any(slot.started_ms or slot.commit for slot in state.current.live) else "distributing"
    words = {"escrow": "opening escrow", "opening": VERIFYING, "done": state.condition}
    return words.get(state.stage, state.stage)


def replied_in(state: JobState) -> int:
    """Members of the present round that have said what is due: their commitment, and after the round's closing its
    opening."""
    if not state.rounds:
        return 0
    opened = state.current.close is not None
    return sum(_replied(slot, opened) for slot in state.current.live)


def _replied(slot: Slot, opened: bool) -> bool:
    return (slot.opening if opened else slot.commit) is not None


def price_max_micro(terms: Agreement | None) -> int:
    """The most that the agreeing members of one round are paid together; zero before there is an agreement."""
    return terms.proof.replicas * terms.price_max_micro if terms else 0


def paid_micro(state: JobState) -> int:
    """What was paid out of the escrow to members: prices and attempt fees; refunds and bonds are left out."""
    settled = state.settled
    return sum(payment.amount_micro for payment in settled.payments if payment.reason in PAID) if settled else 0


def version_of(view: JobView) -> str:
    """Changes whenever the view does, other than by time passing."""
    steady = msgspec.structs.replace(view, elapsed_ms=0)
    return digest("job view", msgspec.json.encode(steady)).hex()[:16]


def json_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema of a view, for the description of the REST interface, without references to other schemas."""
    (schema,), parts = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    found: dict[str, Any] = _inlined(schema, parts)
    return found


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(parts[schema["$ref"].rsplit("/", 1)[1]], parts)
        return {key: _inlined(item, parts) for key, item in schema.items()}
    return [_inlined(item, parts) for item in schema] if isinstance(schema, list) else schema
