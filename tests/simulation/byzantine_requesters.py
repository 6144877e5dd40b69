"""Requesters' nodes that do not keep to the protocol, one class for each way."""

from __future__ import annotations

import msgspec
from tests.simulation.checkers import needed
from tests.simulation.machine import Turn
from tests.simulation.requester import SimulatedRequester
from tests.simulation.world import Letter

from quorate.crypto.digests import digest
from quorate.jobs.moves import with_round, with_slot
from quorate.jobs.state import JobState
from quorate.model.claim import DeliveryAck, RoundClose
from quorate.model.effects import Effect, Send
from quorate.model.units import NodeId


class Byzantine(SimulatedRequester):
    """`read` holds the results that members delivered, whatever the node says about them."""

    honest = False

    def forget(self) -> None:
        super().forget()
        self.read: dict[bytes, set[NodeId]] = {}

    def letter(self, letter: Letter, turn: Turn) -> None:
        if letter.signed.noun == "delivery":
            self.reads(letter)
        super().letter(letter, turn)

    def reads(self, letter: Letter) -> None:
        self.read.setdefault(letter.value.agreement, set()).add(letter.signed.signer)  # type: ignore[attr-defined]


def _closed_now(before: JobState, state: JobState) -> RoundClose | None:
    if not state.rounds or state.current.close is None:
        return None
    known = before.rounds and before.current.number == state.current.number and before.current.close
    return None if known else state.current.close


class OmitsACommit(Byzantine):
    """Leaves out a commitment that stands, as often as the threshold allows, so as to owe less."""

    omitted: NodeId | None = None

    def tampered(
        self, before: JobState, state: JobState, effects: tuple[Effect, ...]
    ) -> tuple[JobState, tuple[Effect, ...]]:
        close = _closed_now(before, state)
        if close is None or len(close.members) <= needed(state.terms.proof, state.current.width):
            return state, effects
        victim = close.members[-1]
        less = msgspec.structs.replace(close, members=close.members[:-1], commits=close.commits[:-1])
        slots = {slot.member: slot for slot in state.current.slots}
        gone = msgspec.structs.replace(slots[victim], commit=None, commitment=b"", gone="left out")
        state = with_round(state, msgspec.structs.replace(with_slot(state.current, gone), close=less))
        self.omitted = victim
        kept = (effect for effect in effects if not (isinstance(effect, Send) and effect.to == victim))
        return state, tuple(_with_close(effect, less) for effect in kept)


def _with_close(effect: Effect, close: RoundClose) -> Effect:
    if isinstance(effect, Send) and isinstance(effect.value, RoundClose):
        return Send(effect.to, close, effect.after_save)
    return effect


class ClosesTwice(Byzantine):
    """Closes each round twice, and shows both closings to everyone."""

    def tampered(
        self, before: JobState, state: JobState, effects: tuple[Effect, ...]
    ) -> tuple[JobState, tuple[Effect, ...]]:
        close = _closed_now(before, state)
        if close is None:
            return state, effects
        other = msgspec.structs.replace(close, salt=digest("another salt", close.salt))
        return state, (*effects, *(Send(member, other) for member in close.members))


class ClosesApart(Byzantine):
    """Closes each round twice, and shows each closing to one half of the members only."""

    def tampered(
        self, before: JobState, state: JobState, effects: tuple[Effect, ...]
    ) -> tuple[JobState, tuple[Effect, ...]]:
        close = _closed_now(before, state)
        if close is None:
            return state, effects
        other = msgspec.structs.replace(close, salt=digest("another salt", close.salt))
        second = set(close.members[1::2])
        shown = tuple(
            Send(effect.to, other, effect.after_save)
            if isinstance(effect, Send) and isinstance(effect.value, RoundClose) and effect.to in second
            else effect
            for effect in effects
        )
        return state, shown


class ClosesItsEyes(Byzantine):
    """Reads the results that members deliver and says that no opening ever came."""

    def letter(self, letter: Letter, turn: Turn) -> None:
        if letter.signed.noun == "delivery":
            self.reads(letter)
        elif letter.signed.noun != "opening":
            super().letter(letter, turn)


class NeverAcknowledges(Byzantine):
    """Takes the result and goes away: no acknowledgement, no settlement."""

    def carry_out(self, job, effects, turn):  # type: ignore[no-untyped-def]
        kept = tuple(
            effect
            for effect in effects
            if not (isinstance(effect, Send) and isinstance(effect.value, DeliveryAck))
            and type(getattr(effect, "transaction", None)).__name__ not in ("Settle", "Cancel", "CloseForced")
        )
        super().carry_out(job, kept, turn)


KINDS: dict[str, type[SimulatedRequester]] = {
    "omits_a_commit": OmitsACommit,
    "closes_twice": ClosesTwice,
    "closes_apart": ClosesApart,
    "closes_its_eyes": ClosesItsEyes,
    "never_acknowledges": NeverAcknowledges,
}
