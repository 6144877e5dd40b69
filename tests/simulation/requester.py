"""The simulated requester's node: the glue of `quorate.node.requester` around the real machines and market."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from tests.simulation.machine import POST_TIMER, PostingNode, Turn
from tests.simulation.suite import Keyring, Party
from tests.simulation.world import Letter, World

from quorate.crypto.digests import blob_digest, body_digest
from quorate.jobs import lifecycle
from quorate.jobs.admission import admit
from quorate.jobs.state import (
    CancelAsked,
    Event,
    JobState,
    Opened,
    Received,
    Refused,
    Restarted,
    Settled,
    Stored,
    Tick,
    Wrap,
    Wrapped,
)
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import Value, decode, noun
from quorate.model.effects import Effect, Fetch, Keep, Match, Post, Send
from quorate.model.evidence import Proven, Signed
from quorate.model.job import Job
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.settlement import Settlement
from quorate.model.transaction import Answer, Standing
from quorate.model.units import Digest, JobId, NodeId
from quorate.node.trade import Trade

MEMBER_NOUNS = frozenset({"ack", "started", "commit", "opening", "delivery", "cancel_ack"})
STANDING = b"\0standing"
FETCH_TRIES = 3
FETCH_RETRY_MS = 1_000
ANSWERS_WITHOUT_EVENT = frozenset({"ok", "already_settled", "already_open"})

_decoder = msgspec.msgpack.Decoder(JobState)


class SimulatedRequester(PostingNode):
    """Runs the life cycle of its users' jobs. `blobs` are durable when they are put. A Byzantine one overrides `letter`
    and `tampered`."""

    honest = True

    def __init__(self, world: World, known: Party, keyring: Keyring, genesis: Genesis, ledger: NodeId) -> None:
        self.genesis = genesis
        self.ledger = ledger
        self.blobs: dict[Digest, bytes] = {}
        super().__init__(world, known, keyring)

    def forget(self) -> None:
        self.jobs: dict[JobId, JobState] = {}
        self.by_agreement: dict[bytes, JobId] = {}
        self._done: dict[JobId, JobState] = {}
        self.trade = Trade(self.genesis, self.keyring.network, self.node_id, self.ledger)

    def restore(self, turn: Turn) -> None:
        self._ask_standing(turn)
        rows = list(self.disk.items())
        for (kind, _), row in rows:
            if kind == "offer":
                self.trade.learn(*row)
        for (kind, key), row in rows:
            if kind == "job" and row.stage != "done":
                self._live(_decoder.decode(msgspec.msgpack.encode(row)))
                self.step(JobId(key), Restarted(), turn)

    def know(self, signed: Signed, offer: Offer) -> None:
        """An offer that was heard of before the simulation begins."""
        self.disk[("offer", offer.provider)] = (signed, offer)
        self.trade.learn(signed, offer)

    def _live(self, state: JobState) -> None:
        self.jobs[state.job_id] = state
        if state.agreement:
            self.by_agreement[state.agreement_id] = state.job_id

    def state(self, job: JobId) -> JobState | None:
        state: JobState | None = self.jobs.get(job) or self._done.get(job) or self.disk.get(("job", job))
        return state

    # Letters

    def letter(self, letter: Letter, turn: Turn) -> None:
        name = letter.signed.noun
        if name in ("answer", "proven"):
            self.ledger_letter(letter, turn)
        elif name in MEMBER_NOUNS:
            job = self.by_agreement.get(letter.value.agreement)  # type: ignore[attr-defined]
            if job is not None:
                self.step(job, Received(letter.signed.signer, letter.value, letter.signed), turn)
        elif isinstance(letter.value, Standing):
            self.trade.standing(letter.signed.signer, letter.signed.body)

    # Machines

    def step(self, job: JobId, event: Event, turn: Turn) -> None:
        before = self.jobs.get(job)
        if before is None:
            return
        state, effects = self.tampered(before, *lifecycle.step(before, event, self.now()))
        if state is not before:
            self._became(before, state, turn, save=lifecycle.must_save(before, state))
        self.carry_out(job, effects, turn)

    def tampered(
        self, before: JobState, state: JobState, effects: tuple[Effect, ...]
    ) -> tuple[JobState, tuple[Effect, ...]]:
        return state, effects

    def saved(self, turn: Turn) -> None:
        for (kind, _), state in turn.rows.items():
            if kind == "job":
                self.world.told(self.node_id, "job saved", state)

    def _became(self, before: JobState | None, state: JobState, turn: Turn, *, save: bool = True) -> None:
        if save:
            turn.save("job", state.job_id, state)
        self._live(state)
        self.world.told(self.node_id, "job", (before, state))
        self.wake(state.job_id, lifecycle.deadline(state))
        if state.stage == "done":
            del self.jobs[state.job_id]
            self._done[state.job_id] = state
            if state.agreement:
                self.by_agreement.pop(state.agreement_id, None)

    def _ask_standing(self, turn: Turn) -> None:
        turn.send(self.ledger, self.trade.question(), after_save=False)
        self.wake(STANDING, self.now() + self.trade.ask_again_ms)

    def tick(self, key: bytes, turn: Turn) -> None:
        if key == POST_TIMER:
            self.resend(turn)
            return
        if key == STANDING:
            self._ask_standing(turn)
            return
        self.step(JobId(key), Tick(self.heard), turn)
        state = self.jobs.get(JobId(key))
        if state is not None:
            due = lifecycle.deadline(state)
            self.wake(key, max(due, self.now() + 50) if due is not None else None)

    def carry_out(self, job: JobId, effects: tuple[Effect, ...], turn: Turn) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                turn.send(effect.to, effect.value, after_save=effect.after_save)
            elif isinstance(effect, Post):
                self.post(job, effect, turn)
            elif isinstance(effect, Match):
                self._match(job, turn)
            elif isinstance(effect, Keep):
                self.blobs[blob_digest(effect.data)] = effect.data
            elif isinstance(effect, Fetch):
                turn.after.append(lambda wish=effect: self.soon(1, lambda then: self._bring(job, wish, 1, then)))  # type: ignore[misc]

    def _match(self, job: JobId, turn: Turn) -> None:
        self.step(job, self.trade.match(self.jobs[job], self.jobs.values(), self.now()), turn)

    def _bring(self, job: JobId, wish: Fetch, tries: int, turn: Turn) -> None:
        source = self.world.nodes[wish.sources[0]]
        for digest in wish.digests:
            held = getattr(source, "blobs", {}).get(digest)
            if (
                digest not in self.blobs
                and held is not None
                and self.world.network.reaches(self.node_id, source.node_id)
            ):
                self.blobs[digest] = held
        have = tuple(digest for digest in wish.digests if digest in self.blobs)
        if len(have) < len(wish.digests) and tries < FETCH_TRIES:
            self.soon(FETCH_RETRY_MS, lambda then: self._bring(job, wish, tries + 1, then))
        else:
            self.step(job, Stored(have), turn)

    # Ledger

    def answered(self, owner: bytes, transaction: Value, answer: Answer, turn: Turn) -> None:
        if answer.status not in ANSWERS_WITHOUT_EVENT:
            self.step(JobId(owner), Refused(noun(transaction), answer.status, answer.detail), turn)

    def happened(self, proven: Proven, event: Value, turn: Turn) -> None:
        if isinstance(event, EscrowOpened):
            job = self.by_agreement.get(event.agreement)
            state = self.jobs.get(job) if job else None
            if job is not None and state is not None and state.stage == "escrow":
                self.step(job, Opened(event, proven, self.sign(state.terms)), turn)
        elif isinstance(event, Settlement):
            job = self.by_agreement.get(event.agreement)
            if job is not None:
                self.step(job, Settled(event, proven), turn)

    # The door

    def submit(self, order: Signed, done: Callable[[JobId], None]) -> None:
        """`done` is called when the job is durable; the same order again is the same job (R14)."""

        def inside(turn: Turn) -> None:
            job = JobId(body_digest("job", order.body))
            if self.state(job) is None:
                admit(decode(order.body, Job), self.genesis, self.now())
                state, effects = lifecycle.begin(order, job, self.entropy(32), self.now())
                self._became(None, state, turn)
                self.carry_out(job, effects, turn)
            turn.after.append(lambda: done(job))

        self.turn(inside)

    def wrap(self, job: JobId, wraps: tuple[Wrap, ...], done: Callable[[], None]) -> None:
        def inside(turn: Turn) -> None:
            self.step(job, Wrapped(wraps), turn)
            turn.after.append(done)

        self.turn(inside)

    def cancel(self, job: JobId) -> None:
        self.turn(lambda turn: self.step(job, CancelAsked(), turn))
