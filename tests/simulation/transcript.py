"""A run as text: who said what to whom and when, what the requester's node made of it, what the ledger answered.

Statements of one kind that leave one node at one moment are one line. Heartbeats, questions for standing offers and the
briefs beside assignments are left out.
"""

from __future__ import annotations

from typing import Any

from tests.simulation.fleet import Fleet
from tests.simulation.machine import event_of
from tests.simulation.world import START_MS, Letter, Watcher

from quorate.ledger.blocks import Produced
from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Ack
from quorate.model.claim import Opening, RoundClose
from quorate.model.evidence import Proven
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import Answer
from quorate.model.units import Millis, NodeId

LEFT_OUT = frozenset({"hello", "standing", "ask_standing", "brief"})


class Transcript(Watcher):
    """Collects lines; `text` joins them."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = dict(fleet.keyring.names)
        self._lines: list[tuple[int, str, str, list[str]]] = []
        fleet.world.watchers.append(self)

    def said(self, now: Millis, source: NodeId, target: NodeId, letter: Letter) -> None:
        name = letter.signed.noun
        if name in LEFT_OUT:
            return
        what = f"{name.replace('_', ' ')}{self._detail(letter.value)}"
        key = (now - START_MS, self._names[source], what)
        for line in self._lines[-6:]:
            if line[:3] == key:
                line[3].append(self._names[target])
                return
        self._lines.append((*key, [self._names[target]]))

    def _detail(self, value: Any) -> str:
        if isinstance(value, Ack) and value.refusal:
            return f": {value.refusal}"
        if isinstance(value, Answer):
            return f": {value.status}"
        if isinstance(value, Opening):
            return f" of a vote for {value.body.vote.status} {value.body.vote.tag.hex()[:6]}"
        if isinstance(value, RoundClose):
            return f" of round {value.round}: {', '.join(self._names[member] for member in value.members)}"
        if isinstance(value, Proven):
            return f" {self._event(event_of(value))}"
        return ""

    def _event(self, event: Any) -> str:
        if isinstance(event, EscrowOpened):
            return f"escrow opened: {event.escrow_micro} micro-credits"
        if isinstance(event, WindowsOpened):
            return f"windows opened: {event.cause}"
        assert isinstance(event, Settlement)
        return f"settlement by {event.cause}"

    def happened(self, now: Millis, node: NodeId, what: str, thing: Any) -> None:
        if what == "job":
            before, state = thing
            fresh = state.notes[len(before.notes) :] if before else state.notes
            for line in fresh:
                self._note(now, self._names[node], self._named(line.text))
            if before and before.condition != state.condition:
                self._note(now, self._names[node], f"the job is {state.condition.replace('_', ' ')}")
        elif what == "block":
            self._paid(now, node, thing)

    def _paid(self, now: Millis, node: NodeId, produced: Produced) -> None:
        for reply in produced.replies:
            for logged in reply.events if reply.fresh else ():
                event = event_of(logged)
                if isinstance(event, Settlement):
                    paid = [f"{self._names[item.account]} {item.amount_micro} {item.reason}" for item in event.payments]
                    self._note(now, self._names[node], f"pays {', '.join(paid)}")

    def _named(self, text: str) -> str:
        for key, name in self._names.items():
            text = text.replace(key.hex()[:8], name)
        return text

    def _note(self, now: Millis, name: str, text: str) -> None:
        self._lines.append((now - START_MS, name, f"* {text}", []))

    def text(self) -> str:
        lines = []
        for at, source, what, targets in self._lines:
            arrow = f" -> {', '.join(sorted(targets))}" if targets else ""
            lines.append(f"{at:7d}  {source}{arrow}  {what}")
        return "\n".join(lines) + "\n"
