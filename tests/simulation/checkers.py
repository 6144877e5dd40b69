"""What must hold in every run, whatever goes wrong. A broken rule ends the run at the moment it breaks.

The rules are written down once more here, without the code they check: the threshold, the order of states, what a
settlement may pay. Each is caught in the act by a planted bug in `negative/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.simulation.customers import Customers
from tests.simulation.fleet import Fleet
from tests.simulation.guests import honest_vote
from tests.simulation.machine import event_of, short
from tests.simulation.world import Letter, Watcher

from quorate.crypto.digests import value_digest
from quorate.jobs.state import JobState
from quorate.ledger.blocks import Produced, encode_block, replay
from quorate.ledger.invariants import faults
from quorate.model.agreement import EscrowOpened
from quorate.model.claim import Commit, DeliveryAck, RoundAbort, RoundClose
from quorate.model.ledger_events import Slashed
from quorate.model.policy import Proof
from quorate.model.settlement import Settlement
from quorate.model.units import Digest, JobId, Millis, NodeId
from quorate.model.verdict import Verdict

RANK = {"pending": 0, "assigned": 1, "running": 2}
TERMINAL_RANK = 3
LEDGER_CHECK_EVERY = 500
FAILURES = {"wall_clock", "compile_clock", "native_stack_overflow", "worker_death", "cancelled"}


class Violation(AssertionError):
    """A rule was broken. The message names the rule."""


def must(holds: bool, rule: str, detail: str = "") -> None:
    if not holds:
        raise Violation(f"{rule}: {detail}" if detail else rule)


def needed(proof: Proof, width: int) -> int:
    """T, written down once more: the job's own, or seven tenths of K rounded up; a re-run needs all of its one or
    two."""
    if proof.method != "quorum":
        return width
    return proof.threshold or (7 * proof.replicas + 9) // 10


class Statements(Watcher):
    """An honest party says one thing in one place, crashes or not (R4, R8). Assignments are not among them: they leave
    before the save, so a node that crashes in that moment may assign the same member anew; that is no equivocation."""

    def __init__(self, honest: Callable[[NodeId], bool]) -> None:
        self._honest = honest
        self._said: dict[tuple[Any, ...], bytes] = {}
        self._closings: dict[Digest, set[bytes]] = {}
        self._kinds: dict[str, Callable[[Any], tuple[Any, ...]]] = {
            "commit": self._commit,
            "round_close": self._round_end,
            "round_abort": self._round_end,
            "delivery_ack": self._ack,
        }

    def _commit(self, value: Commit) -> tuple[Any, ...]:
        return ("commit", value.agreement)

    def _round_end(self, value: RoundClose | RoundAbort) -> tuple[Any, ...]:
        return ("round end", value.agreement, value.round)

    def _ack(self, value: DeliveryAck) -> tuple[Any, ...]:
        return ("delivery ack", value.agreement, value.round)

    def closings(self, agreement: Digest) -> int:
        """How many different closings of one round were shown."""
        return len(self._closings.get(agreement, ()))

    def said(self, now: Millis, source: NodeId, target: NodeId, letter: Letter) -> None:
        if letter.signed.noun == "round_close":
            value: Any = letter.value
            shown = self._closings.setdefault(value.agreement, set())
            if value.round == 1:
                shown.add(letter.signed.body)
        place = self._kinds.get(letter.signed.noun)
        if place is not None and self._honest(source):
            key = (source, *place(letter.value))
            first = self._said.setdefault(key, letter.signed.body)
            must(first == letter.signed.body, "one statement for one place", f"{short(source)} said two of {key[1]}")


class Jobs(Watcher):
    """States move along the allowed graph; a result that is accepted is right unless enough colluders sat in the
    round."""

    def __init__(self, byzantine: frozenset[NodeId], honest: Callable[[NodeId], bool]) -> None:
        self._byzantine = byzantine
        self._honest = honest
        self._durable: dict[JobId, str] = {}
        self.wrong_accepted = 0
        self.outcomes: dict[str, int] = {}

    def happened(self, now: Millis, node: NodeId, what: str, thing: Any) -> None:
        if what == "job" and self._honest(node):
            before, state = thing
            self._moved(before, state)
        elif what == "job saved" and self._honest(node):
            self._saved(thing)

    def _moved(self, before: JobState | None, state: JobState) -> None:
        if before is None:
            must(state.condition == "pending", "a job begins as pending")
            return
        if before.condition != state.condition:
            self._step(before.condition, state.condition)
            if state.condition == "completed":
                self._accepted(state)
        if before.stage != "done" and state.stage == "done":
            self._done(state)

    def _step(self, before: str, after: str) -> None:
        ranks = RANK.get(before, TERMINAL_RANK), RANK.get(after, TERMINAL_RANK)
        must(ranks[0] < ranks[1], "states move along the allowed graph", f"{before} to {after}")

    def _saved(self, state: JobState) -> None:
        before = self._durable.get(state.job_id)
        if before is not None and before != state.condition:
            self._step(before, state.condition)
        self._durable[state.job_id] = state.condition

    def _accepted(self, state: JobState) -> None:
        verdict = state.verdict
        must(verdict is not None and verdict.accepted, "a completed job has an accepted verdict")
        assert verdict is not None
        assert verdict.vote is not None
        proof, last = state.terms.proof, verdict.rounds[-1]
        twice = proof.method == "rerun" and (verdict.reexecuted or last.round > 1)
        width = 2 if twice else proof.replicas
        agreed = set(last.agreed)
        must(verdict.vote.status not in FAILURES, "a failure is no vote", verdict.vote.status)
        must(
            len(agreed) == len(last.agreed) >= needed(proof, width), "the threshold is met", f"{len(agreed)} of {width}"
        )
        self._votes_as_counted(state, verdict, agreed)
        if verdict.vote != honest_vote(state.value, state.agreement_id):
            self.wrong_accepted += 1
            must(agreed <= self._byzantine, "no wrong result without enough colluders", f"{len(agreed)} agreed")

    def _votes_as_counted(self, state: JobState, verdict: Verdict, agreed: set[NodeId]) -> None:
        opened = {slot.member: slot.opening for slot in state.current.slots if slot.opening}
        for member in agreed:
            opening = opened.get(member)
            must(
                opening is not None and opening.body.vote == verdict.vote,
                "agreement is an equal opening",
                short(member),
            )
        delivered = {opening.body.result_digest for member, opening in opened.items() if member in agreed and opening}
        must(state.result_digest in delivered, "the result is an agreeing member's")

    def _done(self, state: JobState) -> None:
        self.outcomes[state.condition] = self.outcomes.get(state.condition, 0) + 1
        settled, verdict = state.settled, state.verdict
        if state.escrow is None:
            must(settled is None, "nothing is settled that was not opened")
            return
        must(settled is not None, "an opened escrow is settled")
        assert settled is not None
        if verdict is None or settled.cause != "settle":
            return
        must(settled.verdict == value_digest(verdict), "ledger and node count the same", f"{state.condition}")
        if verdict.accepted:
            paid = {item.account for item in settled.payments if item.reason == "price"}
            must(paid == set(verdict.rounds[-1].agreed), "exactly the agreeing members earn the price")


class Money(Watcher):
    """Nobody is paid twice, nothing is made or lost, nobody honest loses a bond, one end for each agreement."""

    def __init__(self, byzantine: frozenset[NodeId]) -> None:
        self._byzantine = byzantine
        self._escrow: dict[Digest, int] = {}
        self._jobs: set[JobId] = set()
        self._ended: set[Digest] = set()
        self._bond_lost: dict[Digest, int] = {}
        self._blocks = 0
        self.slashed: set[NodeId] = set()
        self.lost: set[tuple[Digest, NodeId]] = set()
        self.settlements: dict[Digest, Settlement] = {}

    def happened(self, now: Millis, node: NodeId, what: str, thing: Any) -> None:
        if what != "block":
            return
        produced: Produced = thing
        for reply in produced.replies:
            if reply.fresh:
                for logged in reply.events:
                    self._event(event_of(logged))
        self._blocks += 1
        if self._blocks % LEDGER_CHECK_EVERY == 0:
            self.audit(produced.state)

    def audit(self, state: Any) -> None:
        found = faults(state)
        must(not found, "the ledger's invariants", "; ".join(found[:3]))

    def _event(self, event: Any) -> None:
        if isinstance(event, EscrowOpened):
            must(event.agreement not in self._escrow, "one escrow for each agreement")
            must(event.job not in self._jobs, "one escrow for each job")
            self._escrow[event.agreement] = event.escrow_micro
            self._jobs.add(event.job)
        elif isinstance(event, Settlement):
            self._settled(event)
        elif isinstance(event, Slashed):
            self._slashed(event)

    def _settled(self, event: Settlement) -> None:
        must(event.agreement not in self._ended, "one terminal transaction for each agreement")
        self._ended.add(event.agreement)
        self.settlements[event.agreement] = event
        earned = [item.account for item in event.payments if item.reason in ("price", "attempt")]
        must(len(earned) == len(set(earned)), "nobody is paid twice")
        out = sum(item.amount_micro for item in event.payments if item.reason != "slash")
        held = self._escrow[event.agreement] - self._bond_lost.get(event.agreement, 0)
        must(out == held, "an escrow pays out what it holds", f"{out} of {held}")
        for item in event.payments:
            if item.reason == "slash":
                self._lost(event.agreement, item.source)

    def _slashed(self, event: Slashed) -> None:
        self._lost(event.agreement, event.offender)
        for item in event.payments:
            if event.agreement not in self._ended and item.source == event.offender and self._of_escrow(event):
                lost = self._bond_lost.get(event.agreement, 0)
                self._bond_lost[event.agreement] = lost + item.amount_micro

    def _of_escrow(self, event: Slashed) -> bool:
        """A requester's bond lies in the escrow, a member's in its stake."""
        return all(item.account != event.offender for item in event.payments) and event.offender in self.customers

    customers: frozenset[NodeId] = frozenset()

    def _lost(self, agreement: Digest, offender: NodeId) -> None:
        self.slashed.add(offender)
        self.lost.add((agreement, offender))
        must(offender in self._byzantine, "no honest party is slashed", short(offender))


class Rules:
    """All checkers of one run, and what must hold at its end."""

    def __init__(self, fleet: Fleet, customers: Customers) -> None:
        self.fleet = fleet
        self.customers = customers
        self.byzantine = byzantine_parties(fleet)
        self.statements = Statements(self.honest)
        self.jobs = Jobs(self.byzantine, self.honest)
        self.money = Money(self.byzantine)
        self.money.customers = frozenset(customer.node_id for customer in fleet.customers)
        fleet.world.watchers += [self.statements, self.jobs, self.money]

    def honest(self, node: NodeId) -> bool:
        return node not in self.byzantine

    def finish(self) -> None:
        """After the calm: everything has come to its end."""
        self._orders()
        self._leases()
        ledger = self.fleet.sequencer
        self.money.audit(ledger.state)
        open_escrows = [key for key, escrow in ledger.state.escrows.items() if escrow.settlement is None]
        must(not open_escrows, "every escrow is settled", f"{len(open_escrows)} open")

    def _orders(self) -> None:
        for key, placed in self.customers.placed.items():
            node = self.fleet.requesters[placed.place]
            if not self.honest(node.node_id):
                continue
            must(key in self.customers.acknowledged, "every order is acknowledged", short(key))
            state = node.state(key)
            must(state is not None, "an acknowledged job is never lost", short(key))
            assert state is not None
            where = f"{short(key)} is {state.condition} in {state.stage}"
            must(state.condition not in RANK and bool(state.ended_ms), "every job ends", where)
            must(state.stage == "done", "every job is settled", where)
            must(not node.pending, "every transaction is answered", f"{len(node.pending)} are not")

    def _leases(self) -> None:
        for provider in self.fleet.providers:
            if self.honest(provider.node_id):
                left = [state.stage for state in provider.leases.values()]
                must(not left, "every honest lease ends", f"{provider.party.name}: {left[:3]}")

    def replayed(self) -> None:
        """The ledger's blocks lead to the same state again."""
        ledger = self.fleet.sequencer
        rows: Iterable[bytes] = (encode_block(ledger.blocks[height]) for height in sorted(ledger.blocks))
        state, _ = replay(ledger.genesis, rows)
        must(state.digest == ledger.state.digest, "a replay leads to the same ledger")


def byzantine_parties(fleet: Fleet) -> frozenset[NodeId]:
    """Members and requesters' nodes that do not keep to the protocol, and the customers of such nodes."""
    members = {provider.node_id for provider in fleet.providers if not provider.honest}
    pairs = zip(fleet.requesters, fleet.customers, strict=True)
    for node, customer in pairs:
        if not node.honest:
            members |= {node.node_id, customer.node_id}
    return frozenset(members)
