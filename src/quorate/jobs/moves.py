"""The vocabulary of the job machine's handlers: a step, a changed state, a line for `explain`."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from quorate.jobs.state import NOTES_MAX, JobState, Note, Round, Slot
from quorate.model.effects import Effect
from quorate.model.units import Millis, NodeId

Step: TypeAlias = tuple[JobState, tuple[Effect, ...]]


def replace(state: JobState, **changes: Any) -> JobState:
    return msgspec.structs.replace(state, **changes)


def note(state: JobState, now: Millis, text: str) -> JobState:
    """Adds a line to the job's own history; the first lines and the newest are kept."""
    notes = (*state.notes, Note(now, text))
    if len(notes) > NOTES_MAX:
        notes = (*notes[: NOTES_MAX // 2], *notes[-NOTES_MAX // 2 :])
    return msgspec.structs.replace(state, notes=notes)


def with_round(state: JobState, current: Round) -> JobState:
    return msgspec.structs.replace(state, rounds=(*state.rounds[:-1], current))


def with_slot(current: Round, changed: Slot) -> Round:
    slots = tuple(changed if slot.member == changed.member else slot for slot in current.slots)
    return msgspec.structs.replace(current, slots=slots)


def with_all_probed(state: JobState, now: Millis) -> JobState:
    """Everyone of the round has just been told something: the wait for answers begins anew."""
    slots = tuple(msgspec.structs.replace(slot, probed_ms=now) for slot in state.current.slots)
    return with_round(state, msgspec.structs.replace(state.current, slots=slots))


def slot_of(current: Round, member: NodeId) -> Slot | None:
    return next((slot for slot in current.slots if slot.member == member), None)
