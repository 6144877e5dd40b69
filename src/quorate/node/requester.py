"""A requester's node: runs the life cycle of its users' jobs, holds ciphertext and claims, never a user's key.

What the door asks of it is `quorate.api.commands.Desk`. Decisions are in the machines (`jobs/`), the market and the
ledger; here they are carried out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from quorate.cohort.selection import wrapped_members
from quorate.crypto.digests import EMPTY_BLOB, blob_digest, body_digest
from quorate.crypto.signing import Identity
from quorate.errors import ClockSkew, IdempotencyConflict, InvalidField, QuorateError, UnknownJob
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
    Returned,
    Settled,
    Stored,
    Tick,
    Wrap,
    Wrapped,
    job_of,
)
from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Brief
from quorate.model.codec import Value, decode, noun
from quorate.model.effects import Effect, Fetch, Keep, Match, Post, Send
from quorate.model.evidence import PARCEL_BYTES_MAX, Proven, Signed
from quorate.model.job import Job
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.outcome import Receipt
from quorate.model.settlement import Settlement
from quorate.model.submission import (
    Accepted,
    Await,
    DeployOrder,
    Draws,
    JobIds,
    Order,
    QuoteRequest,
    ResultView,
    Submission,
    Wraps,
)
from quorate.model.transaction import Answer, AskContract, ContractHead
from quorate.model.units import Digest, JobId, Millis, NodeId
from quorate.node import requester_views as views
from quorate.node.contract_desk import ContractDesk
from quorate.node.fetching import Shelf
from quorate.node.nouns import EVENTS, VALUES
from quorate.node.postbox import Letter
from quorate.node.posting import POST_TIMER, PostingShell
from quorate.node.shell import CLOCK_SKEW_MS_MAX, Turn, World, pack
from quorate.node.trade import Trade
from quorate.node.waiting import Waiting

log = logging.getLogger("quorate.node")

DONE_IN_MEMORY_MAX = 1_000
"""More than the saves under way hold: what is not saved yet must be found here."""
STANDING_TIMER = b"\0standing"
CANCEL_MS = 60_000
"""Longest that a question to cancel is kept waiting for the guests to be gone."""
KEPT = frozenset({"ack", "commit", "cancel_ack"})
MEMBER_NOUNS = frozenset({"ack", "started", "commit", "opening", "delivery", "cancel_ack"})


class RequesterNode(PostingShell):
    """`Desk` for the door, shell for the machines of `jobs/lifecycle`."""

    role = "requester"

    def __init__(self, genesis: Genesis, network: Digest, identity: Identity, world: World) -> None:
        super().__init__(genesis, network, identity, world)
        self.prepare()
        self.jobs: dict[JobId, JobState] = {}
        self.by_agreement: dict[bytes, JobId] = {}
        self.trade = Trade(genesis, network, self.node_id, self.ledger, self._kept_offer)
        self._done: OrderedDict[JobId, JobState] = OrderedDict()
        self._agreements: dict[JobId, Signed] = {}
        self._client_keys: OrderedDict[bytes, bytes] = OrderedDict()
        self._decoder = msgspec.msgpack.Decoder(JobState)
        self._waiting = Waiting()
        self.contracts = ContractDesk(self)

    def restore(self, turn: Turn) -> None:
        for _, row in self.world.store.scan("offer"):
            self.trade.restore_offer(msgspec.msgpack.decode(row, type=Signed))
        for key, row in self.world.store.scan("job"):
            state = self._decoder.decode(row)
            if state.stage != "done":
                self._live(state)
                self._step(JobId(key), Restarted(), turn)

    def _live(self, state: JobState) -> None:
        self.jobs[state.job_id] = state
        if state.agreement:
            self.by_agreement[state.agreement_id] = state.job_id

    # Letters

    def letter(self, letter: Letter, turn: Turn) -> None:
        name = letter.noun
        if name in ("answer", "proven"):
            self.ledger_letter(letter, turn)
        elif name == "standing":
            self.trade.standing(letter.sender, letter.body)
        elif name == "contract_head":
            self.contracts.answered_head(letter.sender, letter.body)
        elif name == "offer":
            self._offer(letter, turn)
        elif name in MEMBER_NOUNS:
            value: Any = decode(letter.body, VALUES[name])
            job_id = self.by_agreement.get(value.agreement)
            if job_id is None:
                return
            if name in KEPT:
                self.keep_stamps((letter.evidence,))
            self._step(job_id, Received(letter.sender, value, letter.signed), turn)

    def _offer(self, letter: Letter, turn: Turn) -> None:
        offer, key = decode(letter.body, Offer), body_digest("offer", letter.body)
        if offer.provider == letter.sender and offer.network == self.network and not self.trade.knows(key):
            self.keep_stamps((letter.evidence,))
            turn.save("offer", key, msgspec.msgpack.encode(letter.evidence))
            self.trade.learn(letter.evidence, offer)

    def _kept_offer(self, offer: Digest) -> Signed | None:
        row = self.world.store.load("offer", offer)
        return msgspec.msgpack.decode(row, type=Signed) if row else None

    # Machines

    def _step(self, job_id: JobId, event: Event, turn: Turn) -> None:
        before = self.jobs.get(job_id)
        if before is None:
            return
        state, effects = lifecycle.step(before, event, self.now())
        if state is not before:
            self._became(state, turn, save=lifecycle.must_save(before, state))
        self._carry_out(job_id, effects, turn)

    def _became(self, state: JobState, turn: Turn, *, save: bool = True) -> None:
        if save:
            turn.save("job", state.job_id, pack(state))
        self._live(state)
        turn.due[state.job_id] = partial(lifecycle.deadline, state)
        if state.stage == "done":
            self.jobs.pop(state.job_id, None)
            self._agreements.pop(state.job_id, None)
            if state.agreement:
                self.by_agreement.pop(state.agreement_id, None)
            self._done[state.job_id] = state
            if state.value.core.call:
                turn.after.append(partial(self.contracts.keep_state, state))
            if len(self._done) > DONE_IN_MEMORY_MAX:
                self._done.popitem(last=False)
        turn.after.append(partial(self._waiting.changed, state))

    def met(self, peer: NodeId, turn: Turn) -> None:
        if peer == self.ledger:
            self.timers.set(STANDING_TIMER, self.now())
        for job_id in list(self.jobs):
            self._step(job_id, Returned(peer), turn)

    def tick(self, key: bytes, turn: Turn) -> None:
        if key == POST_TIMER:
            self.resend(turn)
            return
        if key == STANDING_TIMER:
            turn.send(self.ledger, self.trade.question(), after_save=False)
            self.timers.set(STANDING_TIMER, Millis(self.now() + self.trade.ask_again_ms))
            return
        job_id = JobId(key)
        self._step(job_id, Tick(self.heard), turn)
        state = self.jobs.get(job_id)
        if state is not None:
            turn.due[key] = partial(self._not_at_once, state)

    def _not_at_once(self, state: JobState) -> Millis | None:
        due = lifecycle.deadline(state)
        return Millis(max(due, self.now() + 50)) if due is not None else None

    def _carry_out(self, job_id: JobId, effects: tuple[Effect, ...], turn: Turn) -> None:
        kept = {EMPTY_BLOB}
        briefs = [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.value, Brief)]
        if briefs:
            self._send_along(job_id, briefs, turn)
        for effect in effects:
            if isinstance(effect, Send):
                turn.send(effect.to, effect.value, after_save=effect.after_save)
            elif isinstance(effect, Post) and self.jobs[job_id].value.core.call:
                turn.after.append(lambda wish=effect: self._post_call(job_id, wish))  # type: ignore[misc]
            elif isinstance(effect, Post):
                self.post(job_id, effect)
            elif isinstance(effect, Match):
                self._match(job_id, turn)
            elif isinstance(effect, Keep):
                turn.blobs.append(effect.data)
                kept.add(blob_digest(effect.data))
            elif isinstance(effect, Fetch) and kept.issuperset(effect.digests):
                # The turn saves its blobs with its rows or before them: what it brought it may already count on.
                self._step(job_id, Stored(effect.digests), turn)
            elif isinstance(effect, Fetch):
                turn.after.append(lambda wish=effect: self._bring(job_id, wish))  # type: ignore[misc]

    async def _post_call(self, job_id: JobId, wish: Post) -> None:
        state = self.jobs.get(job_id)
        if state is not None:
            filled = await self.contracts.filled(state, wish)
            self.put(lambda turn: self.post(job_id, filled))

    def _send_along(self, job_id: JobId, briefs: Iterable[Send], turn: Turn) -> None:
        """A small input travels with the brief."""
        job = self.jobs[job_id].value
        data = self.world.blobs.read_range(job.input_digest, 0, PARCEL_BYTES_MAX + 1)
        if data is not None and len(data) <= PARCEL_BYTES_MAX:
            for brief in briefs:
                turn.send_along(brief.to, data, after_save=brief.after_save)

    def _match(self, job_id: JobId, turn: Turn) -> None:
        state = self.jobs[job_id]
        event = self.trade.match(state, self.jobs.values(), self.world.clock.now_ms())
        self._step(job_id, event, turn)

    async def _bring(self, job_id: JobId, wish: Fetch) -> None:
        wanted = tuple(digest for digest in wish.digests if digest != EMPTY_BLOB)
        missing = await self.fetcher.bring(wanted, wish.sources)
        self._stored(job_id, tuple(digest for digest in wish.digests if digest not in missing))

    def _stored(self, job_id: JobId, digests: tuple[Digest, ...]) -> None:
        self.put(lambda turn: self._step(job_id, Stored(digests), turn))

    # Ledger

    def spoke(self, owner: bytes, own: tuple[Signed, ...]) -> None:
        if own[0].noun == "agreement":
            self._agreements[JobId(owner)] = own[0]

    def answered(self, owner: bytes, transaction: Value, answer: Answer, turn: Turn) -> None:
        if self.contracts.answered(owner, transaction, answer):
            return
        if answer.status not in ("ok", "already_settled", "already_open"):
            self.timers.set(STANDING_TIMER, self.now())
            self._step(JobId(owner), Refused(noun(transaction), answer.status, answer.detail), turn)

    def happened(self, event: bytes, proven: Proven, turn: Turn) -> None:
        kind = EVENTS.of(event)
        if kind is EscrowOpened:
            self._escrow_opened(decode(event, EscrowOpened), proven, turn)
        elif kind is Settlement:
            settlement = decode(event, Settlement)
            job_id = self.by_agreement.get(settlement.agreement)
            if job_id is not None:
                self.keep_stamps((proven.checkpoint,))
                self._step(job_id, Settled(settlement, proven), turn)

    def _escrow_opened(self, event: EscrowOpened, proven: Proven, turn: Turn) -> None:
        job_id = self.by_agreement.get(event.agreement)
        state = self.jobs.get(job_id) if job_id else None
        if job_id is None or state is None or state.stage != "escrow":
            return
        # After a restart the agreement is signed once more: the same body, so the same agreement.
        signed = self._agreements.pop(job_id, None) or self.postbox.sign([state.terms])[0]
        self.keep_stamps((proven.checkpoint, signed))
        self._step(job_id, Opened(event, proven, signed), turn)

    # Desk

    @property
    def blobs(self) -> Shelf:
        return self.world.blobs

    async def submit(self, submission: Submission) -> Accepted:
        """Admits, saves, begins: all jobs or none. The same client key with the same body returns the first job
        (R14)."""
        self._require_true_clock()
        for bundle in submission.bundles:
            self.postbox.directory.add(bundle)
        for stamp in submission.stamps:
            self.stamps.add(stamp)
        jobs = [self._admitted(order) for order in submission.orders]
        if submission.blobs:
            await self.world.blobs.put_many(submission.blobs)
        self._require_blobs(jobs, {blob_digest(data) for data in submission.blobs})
        begun = await self._in_turn(lambda turn: self._begin_all(submission.orders, turn))
        return Accepted(jobs=tuple(begun), draws=views.NO_DRAWS)

    def _require_true_clock(self) -> None:
        """Jobs and agreements are dated: with another civil time than the ledger's they would be refused one by one,
        or end before their time."""
        skew_ms = self.skewed.get(self.ledger)
        if skew_ms is not None:
            raise ClockSkew(
                f"this node and the ledger read times that are {abs(skew_ms)} ms apart",
                field="clock",
                limit=f"{CLOCK_SKEW_MS_MAX} ms",
                fix="set the clocks, then restart the network",
            )

    def _admitted(self, order: Order) -> Job:
        self.postbox.verify(order.job)
        job = job_of(order.job.body)
        if order.job.noun != "job" or order.job.signer != job.core.requester:
            raise InvalidField("not signed by the requester it names", field="requester")
        if job.core.node != self.node_id:
            raise InvalidField("names another node", field="node", limit=self.node_id.hex()[:16])
        admit(job, self.genesis, self.world.clock.now_ms())
        return job

    def _require_blobs(self, jobs: Iterable[Job], fresh: set[Digest]) -> None:
        for job in jobs:
            program = job.core.program
            needed = [("program", program.digest), *(("dependencies", digest) for digest in program.dependencies)]
            head = (("state", job.core.call.state),) if job.core.call else ()
            for field, digest in (*needed, ("input", job.input_digest), *head):
                if digest not in fresh and not self.world.blobs.has(digest):
                    raise InvalidField("its bytes are not here", field=field, fix="send the blob first")

    def _begin_all(self, orders: Sequence[Order], turn: Turn) -> list[JobId]:
        for order in orders:
            self._already(order)  # a conflict anywhere leaves nothing begun
        return [self._already(order) or self._begin(order, turn) for order in orders]

    def _already(self, order: Order) -> JobId | None:
        job_id = JobId(body_digest("job", order.job.body))
        if order.key:
            key = self._client_key(order)
            row = self._client_keys.get(key) or self.world.store.load("client_key", key)
            if row is not None and row != job_id:
                raise IdempotencyConflict("this key was used for another job", field="key", fix="choose another key")
            if row is not None:
                return job_id
        known = job_id in self.jobs or job_id in self._done or self.world.store.load("job", job_id) is not None
        return job_id if known else None

    def _client_key(self, order: Order) -> bytes:
        return order.job.signer + order.key.encode()

    def _begin(self, order: Order, turn: Turn) -> JobId:
        job_id = JobId(body_digest("job", order.job.body))
        self.keep_stamps((order.job,))
        if order.key:
            turn.save("client_key", self._client_key(order), job_id)
            self._client_keys[self._client_key(order)] = job_id
            if len(self._client_keys) > DONE_IN_MEMORY_MAX:
                self._client_keys.popitem(last=False)
        state, effects = lifecycle.begin(order.job, job_id, self.world.entropy.draw(32), self.now())
        self._became(state, turn)
        self._carry_out(job_id, effects, turn)
        return job_id

    async def contract(self, ask: AskContract) -> ContractHead:
        """See `ContractDesk.head`."""
        return await self.contracts.head(ask)

    async def deploy(self, order: DeployOrder) -> ContractHead:
        """See `ContractDesk.deploy`."""
        return await self.contracts.deploy(order)

    async def _in_turn(self, work: Any) -> Any:
        """Runs `work` in the next turn and returns its result once that turn is durable; its exception reaches the
        caller."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def inside(turn: Turn) -> None:
            try:
                result = work(turn)
            except QuorateError as fault:
                if not done.done():
                    done.set_exception(fault)
                return
            turn.after.append(lambda: None if done.done() else done.set_result(result))
            turn.failed.append(lambda fault: None if done.done() else done.set_exception(fault))

        self.put(inside)
        return await done

    async def draws(self, ask: JobIds) -> Draws:
        """Draws of those jobs that wait for wraps, as soon as there is one."""
        early = [job for job in ask.jobs if job in self.jobs and not _past_draw(self.jobs[job])]
        if len(early) == len(ask.jobs):
            await self._waiting.until(_past_draw, early, least=1, timeout_ms=ask.wait_ms)
        found = (self.jobs[job] for job in ask.jobs if job in self.jobs)
        return views.draws([state for state in found if state.stage == "wraps"], self.postbox, self.trade)

    async def wrap(self, wraps: Wraps) -> None:
        """The client's wraps, for exactly the members that may be asked."""
        for entry in wraps.jobs:
            state = self.state(JobId(entry.job))
            if state.stage != "wraps" and not state.wraps:
                raise InvalidField("waits for no keys", field="wraps", fix="ask for the draw first")
            if state.stage == "wraps":
                places = 2 if state.terms.proof.method == "rerun" else state.terms.proof.replicas
                expected = wrapped_members(state.order, places, state.terms.rounds, state.terms.reserves)
                if {wrap.member for wrap in entry.wraps} != set(expected):
                    raise InvalidField("not for the members of the draw", field="wraps")

        def inside(turn: Turn) -> None:
            for entry in wraps.jobs:
                given = tuple(Wrap(wrap.member, wrap.sealed) for wrap in entry.wraps)
                self._step(JobId(entry.job), Wrapped(given), turn)

        await self._in_turn(inside)

    def state(self, job: JobId) -> JobState:
        state = self.jobs.get(job) or self._done.get(job)
        if state is None:
            row = self.world.store.load("job", job)
            if row is None:
                raise UnknownJob(f"no job {job.hex()[:16]} here", field="job", fix="quorate compute list")
            state = self._decoder.decode(row)
        return state

    def states(self) -> Iterable[JobState]:
        """Newest first, each as it stands now; those that ended long ago come from the store."""
        live = {**self._done, **self.jobs}
        rows = (live.get(JobId(key)) or self._decoder.decode(row) for key, row in self.world.store.scan("job"))
        return sorted(rows, key=lambda state: (state.submitted_ms, state.job_id), reverse=True)

    async def wait(self, ask: Await) -> list[JobState]:
        reached = _settled if ask.final else _ended
        going_on = {job for job in ask.jobs if not reached(self.state(job))}
        await self._waiting.until(reached, going_on, least=len(going_on), timeout_ms=ask.wait_ms)
        return [self.state(job) for job in ask.jobs]

    async def cancel(self, job: JobId) -> JobState:
        """Returns when the job has ended: its guests are gone then."""
        if not self.state(job).ended_ms:
            await self._in_turn(lambda turn: self._step(job, CancelAsked(), turn))
        if not self.state(job).ended_ms:
            await self._waiting.until(_ended, (job,), least=1, timeout_ms=CANCEL_MS)
        return self.state(job)

    async def receipt(self, job: JobId) -> Receipt:
        state = self.state(job)
        outcome = await self.contracts.agreed_output(state) if state.value.core.call else b""
        return views.receipt(state, self.genesis, self.postbox, self.trade, outcome)

    def result(self, job: JobId) -> ResultView:
        return views.result(self.state(job))

    def quote(self, request: QuoteRequest) -> dict[str, object]:
        return self.trade.quote(request, self.jobs.values(), self.world.clock.now_ms())

    def overview(self) -> dict[str, object]:
        return views.overview(self, self.ledger, self.trade, len(self.jobs))


def _past_draw(state: JobState) -> bool:
    return state.stage not in ("matching", "escrow")


def _ended(state: JobState) -> bool:
    return bool(state.ended_ms)


def _settled(state: JobState) -> bool:
    return state.stage == "done"
