"""Why a job stands where it stands: which rule removed which node, which clock is running and what is left of it, who
is asked and what they have answered."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from quorate.jobs.clocks import phase_deadline, running_clock
from quorate.jobs.state import TERMINAL, JobState, Note, Round, Slot
from quorate.market.matching import Removal
from quorate.model.units import Millis

REMOVED = re.compile(r"rule (?P<rule>[a-z ]{1,32}) removed (?P<node>[0-9a-f]{8}): it (?P<why>.*)", re.DOTALL)
NEVER = 1 << 61


class RemovedNode(msgspec.Struct, frozen=True):
    """A node that no rule lets take part: the first rule it fails, in the order of `market.matching.RULES`."""

    node: str
    rule: str
    why: str
    time_ms: int


class Member(msgspec.Struct, frozen=True):
    """One place of a round. `said` is the last thing heard of it: nothing, ack, started, commit, opening; or why it
    lost its place."""

    node: str
    round: int
    said: str
    holds: bool


class Line(msgspec.Struct, frozen=True):
    time_ms: int
    text: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`clock` is `none` when nothing runs out; `clock_left_ms` what is left of it."""

    job: str
    state: str
    stage: str
    error: str
    detail: str
    clock: str
    clock_left_ms: int
    round: int
    rounds_max: int
    removed: tuple[RemovedNode, ...]
    members: tuple[Member, ...]
    notes: tuple[Line, ...]

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def removal_note(removal: Removal, now: Millis) -> Note:
    """A removal as a line of the job's notes, in the form that `explain` recognises."""
    return Note(now, removal.line)


def explain(state: JobState, now: Millis) -> Explanation:
    """`now` on the clock of the state's own times."""
    clock = "none" if state.condition in TERMINAL else running_clock(state)
    deadline = phase_deadline(state)
    removed, notes = _sorted(state.notes)
    return Explanation(
        job=state.job_id.hex(),
        state=state.condition,
        stage=state.stage,
        error=state.error,
        detail=state.detail,
        clock=clock,
        clock_left_ms=max(0, deadline - now) if clock != "none" and deadline < NEVER else 0,
        round=len(state.rounds),
        rounds_max=state.terms.rounds if state.agreement else 0,
        removed=removed,
        members=tuple(_member(past, slot) for past in state.rounds for slot in past.slots),
        notes=notes,
    )


def _sorted(notes: tuple[Note, ...]) -> tuple[tuple[RemovedNode, ...], tuple[Line, ...]]:
    """Removals, the latest of each node, and the other lines."""
    removed: dict[str, RemovedNode] = {}
    lines = []
    for note in notes:
        found = REMOVED.fullmatch(note.text)
        if found:
            removed[found["node"]] = RemovedNode(found["node"], found["rule"], found["why"], note.time_ms)
        else:
            lines.append(Line(note.time_ms, note.text))
    return tuple(removed.values()), tuple(lines)


def _member(past: Round, slot: Slot) -> Member:
    heard = (
        ("opening", slot.opening is not None),
        ("commit", slot.commit is not None),
        ("started", bool(slot.started_ms)),
        ("ack", slot.ack is not None),
    )
    said = slot.gone or next((word for word, true in heard if true), "nothing")
    return Member(slot.member.hex(), past.number, said, not slot.gone)
