"""A provider: offers, checks assignments, runs guests in the jail, claims (protocol messages 1 and 5 to 10)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from quorate.crypto.digests import blob_digest, body_digest
from quorate.crypto.signing import Identity
from quorate.crypto.wrapping import SealKey
from quorate.errors import BadCommitment, BadSeal, MalformedBytes, QuorateError, TooLarge, UserError
from quorate.execute.arrays import Arrays
from quorate.execute.engine import Engine, Module
from quorate.execute.wasm.guard import DEFAULT as GUARD
from quorate.jobs import lease
from quorate.jobs.lease import LeaseState
from quorate.jobs.lease_state import brief_of
from quorate.jobs.lease_statements import nothing_runs
from quorate.model.assignment import Assignment
from quorate.model.claim import INLINE_BYTES_MAX, Commit, Delivery
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.effects import Check, Effect, Fetch, Post, Run, Send, Stop
from quorate.model.evidence import Proven, Signed
from quorate.model.ledger_events import WindowsOpened
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.settlement import Settlement
from quorate.model.transaction import POSTED_RESULT_BYTES_MAX, Answer, ForceReveal, PostOffer, Settle
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.checking import refusal_of
from quorate.node.nouns import EVENTS, VALUES
from quorate.node.postbox import Letter
from quorate.node.posting import POST_TIMER, PostingShell
from quorate.node.shell import Turn, World, pack
from quorate.node.tasks import Guest, state_after, task_of
from quorate.privacy.claims import element_inputs
from quorate.privacy.tier import Place, tier_for

log = logging.getLogger("quorate.node")

OFFER_TIMER = b"\0offer"
BRIEFS_MAX = 4096
HELD_MAX = 1024
STARTED_AFTER_S = 0.1
QUEUED_LOOK_S = 0.5
DONE_IN_MEMORY_MAX = 512
"""More than one save holds: what is not saved yet must be found here."""
KEPT = ("assignment", "round_close", "delivery_ack")


class Duty(NamedTuple):
    """What makes a node a provider."""

    engine: Engine
    seal_key: SealKey
    measure: Callable[[Engine], Awaitable[Offer]]


class ProviderNode(PostingShell):
    """Runs what it is assigned. `measure` makes the Offer from a self-test of the started engine; `seal_key` is the
    private half of the key in it."""

    role = "provider"

    def __init__(self, genesis: Genesis, network: Digest, identity: Identity, world: World, duty: Duty) -> None:
        super().__init__(genesis, network, identity, world)
        self.prepare()
        self.engine, self.seal_key, self._measure = duty
        self.offer: Offer
        self.arrays: Arrays
        self.leases: dict[bytes, LeaseState] = {}
        self._briefs: OrderedDict[bytes, bytes] = OrderedDict()
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._done: OrderedDict[bytes, LeaseState] = OrderedDict()
        self._tellings: dict[bytes, asyncio.TimerHandle] = {}
        self._decoder = msgspec.msgpack.Decoder(LeaseState)

    async def start(self) -> None:
        await self.engine.start()
        self.offer = self._still_true(await self._measure(self.engine))
        self.arrays = Arrays(self.engine, self.offer.slots)
        await super().start()

    async def close(self) -> None:
        await super().close()
        await self.engine.close()

    def _still_true(self, measured: Offer) -> Offer:
        """The offer of the last start, if it says the same and half of its term is left: only so many offers stand on
        the ledger at a time, and a restart is no new promise."""
        row = self.world.store.load("own_offer", b"offer")
        last = decode(row, Offer) if row else measured
        dated = msgspec.structs.replace(last, issued_ms=measured.issued_ms, expires_ms=measured.expires_ms)
        left_ms = last.expires_ms - measured.issued_ms
        return last if dated == measured and 2 * left_ms > last.expires_ms - last.issued_ms else measured

    def _promise(self, turn: Turn) -> None:
        """Has the offer stand on the ledger, and renews it in time."""
        turn.save("own_offer", b"offer", encode(self.offer))
        signed = self.postbox.sign([self.offer])[0]
        self.post(b"offer", Post(PostOffer(network=self.network, offer=signed)))
        half_ms = (self.offer.expires_ms - self.offer.issued_ms) // 2
        self.timers.set(OFFER_TIMER, Millis(self.now() + max(half_ms - self._offer_age_ms(), 1_000)))

    def _offer_age_ms(self) -> int:
        return self.world.clock.now_ms() - self.offer.issued_ms

    def _renew(self, turn: Turn) -> None:
        age_ms = self._offer_age_ms()
        issued, expires = self.offer.issued_ms + age_ms, self.offer.expires_ms + age_ms
        self.offer = msgspec.structs.replace(self.offer, issued_ms=Millis(issued), expires_ms=Millis(expires))
        self._promise(turn)
        for peer in self.world.transport.peers():
            self.met(peer, turn)

    def restore(self, turn: Turn) -> None:
        self._promise(turn)
        for key, row in self.world.store.scan("lease"):
            state = self._decoder.decode(row)
            if state.stage != "done":
                self.leases[key] = state
                self._step(key, lease.Restarted(), turn)

    def met(self, peer: NodeId, turn: Turn) -> None:
        turn.send(peer, self.offer, after_save=False)

    # Letters

    def letter(self, letter: Letter, turn: Turn) -> None:
        name = letter.noun
        if name in ("answer", "proven"):
            self.ledger_letter(letter, turn)
        elif name == "brief":
            self._remember(letter.body)
        elif name == "assignment":
            self._assigned(letter, decode(letter.body, Assignment), turn)
        elif name in ("round_close", "round_abort", "opening", "delivery_ack", "cancel_order"):
            value: Any = decode(letter.body, VALUES[name])
            if name == "cancel_order" and self._lease(value.agreement) is None:
                turn.send(letter.sender, nothing_runs(value, self.node_id), after_save=False)
            self._received(value.agreement, letter, value, turn)

    def parcel(self, data: bytes) -> None:
        self._hold(blob_digest(data), data)

    def _remember(self, body: bytes) -> None:
        brief = brief_of(body)
        self._briefs[body_digest("agreement", brief.agreement.body)] = body
        if len(self._briefs) > BRIEFS_MAX:
            self._briefs.popitem(last=False)

    def _assigned(self, letter: Letter, value: Assignment, turn: Turn) -> None:
        if value.member != self.node_id or value.network != self.network:
            return
        if self._lease(value.agreement) is not None:
            self._received(value.agreement, letter, value, turn)
            return
        brief = self._briefs.pop(value.agreement, None)
        if brief is None:
            return
        state, effects = lease.begin(letter.evidence, brief, self.now())
        context = state.context
        evidence = (letter.evidence, context.job, context.agreement, context.escrow.checkpoint)
        self.keep_stamps(item for item in evidence if item.stamp in self._known(item))
        self._became(value.agreement, state, turn)
        self._carry_out(value.agreement, effects, turn)

    def _known(self, signed: Signed) -> tuple[Digest, ...]:
        """The stamp of quoted evidence, when it came along; what did not come is refused by the check that needs it."""
        try:
            self.stamps.get(signed.stamp)
        except QuorateError:
            return ()
        return (signed.stamp,)

    def _lease(self, key: bytes) -> LeaseState | None:
        """The lease of an agreement. Those done long ago are read from the store: memory does not grow with the jobs
        served."""
        state = self.leases.get(key) or self._done.get(key)
        if state is None:
            row = self.world.store.load("lease", key)
            state = self._decoder.decode(row) if row else None
        return state

    def _received(self, key: bytes, letter: Letter, value: Value, turn: Turn) -> None:
        if letter.noun in KEPT:
            self.keep_stamps((letter.evidence,))
        self._step(key, lease.Received(letter.sender, value, letter.signed), turn)

    def _step(self, key: bytes, event: lease.Event, turn: Turn) -> None:
        before = self._lease(key)
        if before is None:
            return
        state, effects = lease.step(before, event, self.now())
        if state is not before:
            self._became(key, state, turn, save=lease.must_save(before, state))
        self._carry_out(key, effects, turn)

    def _became(self, key: bytes, state: LeaseState, turn: Turn, *, save: bool = True) -> None:
        if save:
            turn.save("lease", key, pack(state))
        if state.stage == "done":
            self.leases.pop(key, None)
            self._done[key] = state
            if len(self._done) > DONE_IN_MEMORY_MAX:
                self._done.popitem(last=False)
        else:
            self.leases[key] = state
        turn.due[key] = partial(lease.deadline, state)

    def tick(self, key: bytes, turn: Turn) -> None:
        if key == POST_TIMER:
            self.resend(turn)
        elif key == OFFER_TIMER:
            self._renew(turn)
        else:
            self._step(key, lease.Tick(), turn)
            state = self.leases.get(key)
            if state is not None:
                turn.due[key] = partial(lease.deadline, state)

    # Effects

    def _carry_out(self, key: bytes, effects: tuple[Effect, ...], turn: Turn) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._send(key, effect, turn)
            elif isinstance(effect, Post) and isinstance(effect.transaction, ForceReveal):
                turn.after.append(lambda reveal=effect.transaction: self._post_result(key, reveal))  # type: ignore[misc]
            elif isinstance(effect, Post) and isinstance(effect.transaction, Settle) and self.leases[key].job.core.call:
                turn.after.append(lambda wish=effect: self._post_call(key, wish))  # type: ignore[misc]
            elif isinstance(effect, Post):
                self.post(key, effect)
            elif isinstance(effect, Check):
                self._check(key, turn)
            elif isinstance(effect, Fetch):
                self._fetch(key, effect, turn)
            elif isinstance(effect, Run):
                # While the lease is being saved: what comes of the run is saved by a later turn.
                self.spawn(self._run(key))
            elif isinstance(effect, Stop):
                turn.after.append(lambda: self._stop(key))

    def _send(self, key: bytes, effect: Send, turn: Turn) -> None:
        value = effect.value
        if isinstance(value, Delivery):
            self.spawn(self._deliver_result(effect.to, value))
            return
        if isinstance(value, Commit) and effect.after_save:
            turn.signed.append(lambda signed: self._own_commit(key, signed[id(value)]))
        turn.send(effect.to, value, after_save=effect.after_save)

    def _own_commit(self, key: bytes, signed: Signed) -> None:
        def keep(turn: Turn) -> None:
            state = self.leases.get(key)
            if state is not None and state.commit is None:
                self.keep_stamps((signed,))
                self._step(key, lease.OwnCommit(signed), turn)

        self.put(keep)

    async def _deliver_result(self, to: NodeId, value: Delivery) -> None:
        """Small results travel inside the delivery; larger ones are fetched by digest."""
        parts = {}
        for field, digest in (("result", value.result_digest), ("log", value.log_digest)):
            data = await self._blob(digest)
            if data is not None and len(data) <= INLINE_BYTES_MAX:
                parts[field] = data
        filled = msgspec.structs.replace(value, **parts)
        self.put(lambda turn: turn.send(to, filled, after_save=False))

    async def _post_result(self, key: bytes, reveal: ForceReveal) -> None:
        """An opening for the ledger with the ciphertext that stands for a DeliveryAck, if it is small enough for a
        ledger."""
        data = await self._blob(reveal.opening.body.result_digest)
        if data is not None and len(data) <= POSTED_RESULT_BYTES_MAX:
            reveal = msgspec.structs.replace(reveal, result=data)
        self.put(lambda turn: self.post(key, Post(reveal)))

    async def _post_call(self, key: bytes, wish: Post) -> None:
        """The settlement of a call, with its own output, which the ledger takes the effects from."""
        state = self._lease(key)
        data = await self._blob(state.body.result_digest) if state and state.body else None
        shown = msgspec.structs.replace(wish.transaction, outcome=data or b"")
        self.put(lambda turn: self.post(key, Post(shown, wish.own)))

    def _check(self, key: bytes, turn: Turn) -> None:
        state = self.leases[key]
        refusal = refusal_of(state, self.offer, self.genesis, self.postbox, self.world.clock.now_ms())
        if refusal:
            log.info("refused %s: %s", key.hex()[:8], refusal)
        self._step(key, lease.Checked(refusal), turn)

    def _fetch(self, key: bytes, effect: Fetch, turn: Turn) -> None:
        lacking = tuple(d for d in effect.digests if d not in self._held and not self.world.blobs.has(d))
        if lacking:
            self._step(key, lease.Lingering(), turn)
            turn.after.append(lambda: self._bring(key, lacking, effect.sources))
        else:
            self._step(key, lease.Fetched(()), turn)

    async def _bring(self, key: bytes, digests: tuple[Digest, ...], sources: tuple[NodeId, ...]) -> None:
        others = tuple(peer for peer in self.world.transport.peers() if peer not in sources)
        missing = await self.fetcher.bring(digests, (*sources, *others))
        self.put(lambda turn: self._step(key, lease.Fetched(missing), turn))

    async def _blob(self, digest: Digest) -> bytes | None:
        held = self._held.get(digest)
        if held is not None:
            self._held.move_to_end(digest)
            return held
        data = await self.world.blobs.get(digest)
        if data is not None:
            self._hold(digest, data)
        return data

    async def _sound(self, state: LeaseState, digest: Digest) -> bytes | None:
        """The blob; fetched again when the copy here has become corrupt, which reading it found out and removed."""
        data = await self._blob(digest)
        if data is None:
            await self.fetcher.bring((digest,), (state.node, *self.world.transport.peers()))
            data = await self._blob(digest)
        return data

    async def _run(self, key: bytes) -> None:
        state = self.leases.get(key)
        if state is None or state.stage != "running":
            return
        event, blobs = await self._execute(key, state)
        if event is None:
            return

        def ran(turn: Turn) -> None:
            turn.blobs.extend(blob for blob in blobs if blob)
            self._step(key, event, turn)

        self.put(ran)

    def _tell_started(self, key: bytes) -> None:
        """The requester's side starts the run clock with this, so it is said once the guest has a slot."""
        if self.arrays.is_running(key):
            self.put(lambda turn: self._step(key, lease.Running(), turn))
        else:
            self.put(lambda turn: self._step(key, lease.Lingering(), turn))
            self._tellings[key] = asyncio.get_running_loop().call_later(QUEUED_LOOK_S, self._tell_started, key)

    async def _execute(self, key: bytes, state: LeaseState) -> tuple[lease.Event | None, tuple[bytes, ...]]:
        """The claim and its blobs, which become durable together: result, log, and the state that a call led to."""
        job, tier = state.job, tier_for(state.job)
        try:
            modules, blob = await self._modules(state), await self._sound(state, job.input_digest)
        except TooLarge as fault:
            return lease.Unopenable(_named(fault)), ()
        head = await self._sound(state, job.core.call.state) if job.core.call else b""
        if modules is None or blob is None or head is None:
            return lease.Unopenable("blob_missing"), ()
        place = Place(self.node_id, state.agreement_id, self.seal_key)
        try:
            opened = tier.open(job, place, state.order.wrap, blob)
            inputs = element_inputs(job.core, opened.plaintext)
        except (BadSeal, BadCommitment, MalformedBytes) as fault:
            log.info("input of %s is not as committed: %s", key.hex()[:8], fault)
            return lease.Unopenable("array_mismatch" if isinstance(fault, MalformedBytes) else "input_unopenable"), ()
        # A run that is over at once says so by its claim; one that waits for a slot has not begun.
        loop = asyncio.get_running_loop()
        self._tellings[key] = loop.call_later(STARTED_AFTER_S, self._tell_started, key)
        try:
            task = task_of(key, job.core, Guest(modules, inputs, head))
            execution = await self.arrays.run(task, job.core.run_ms_most)
            after = state_after(job.core, head, execution)
        except (UserError, MalformedBytes) as fault:
            return lease.Unopenable(_named(fault)), ()
        finally:
            self._tellings.pop(key).cancel()
        if execution.status == "cancelled":
            return None, ()
        sealed = tier.seal(job, place, opened, execution, self.world.entropy.draw)
        self._hold(sealed.body.result_digest, sealed.result)
        self._hold(sealed.body.log_digest, sealed.log)
        return lease.Ran(sealed.body, self.world.entropy.draw(32)), (sealed.result, sealed.log, after)

    async def _modules(self, state: LeaseState) -> tuple[Module, ...] | None:
        """The program's module and those it depends on; None when one is missing. Raises TooLarge instead of holding
        more bytes than the guard of a worker would let through."""
        program, found, left = state.job.core.program, [], GUARD.module_bytes
        for digest in (program.digest, *program.dependencies):
            code = await self._sound(state, digest)
            if code is None:
                return None
            found.append(Module(digest, code))
            left -= len(code)
            if left < 0 and program.dependencies:
                raise TooLarge("more bytes than one program may have", field="dependencies")
        return tuple(found)

    def _hold(self, digest: bytes, data: bytes) -> None:
        """Small blobs of jobs under way and programs in use, at hand without a look into the store."""
        if len(data) <= INLINE_BYTES_MAX and digest not in self._held:
            self._held[digest] = data
            if len(self._held) > HELD_MAX:
                self._held.popitem(last=False)

    async def _stop(self, key: bytes) -> None:
        await self.arrays.cancel(key)
        self.put(lambda turn: self._step(key, lease.Stopped(), turn))

    # Ledger

    def answered(self, owner: bytes, transaction: Value, answer: Answer, turn: Turn) -> None:
        if answer.status != "ok":
            log.info("ledger on %s: %s %s", owner.hex()[:8], answer.status, answer.detail)
            self._step(owner, lease.Refused(noun(transaction), answer.status), turn)

    def happened(self, event: bytes, proven: Proven, turn: Turn) -> None:
        kind = EVENTS.of(event)
        if kind is Settlement:
            settlement = decode(event, Settlement)
            state = self._lease(settlement.agreement)
            if state is not None and state.stage != "done":
                self.keep_stamps((proven.checkpoint,))
                self._step(settlement.agreement, lease.Settled(settlement, proven), turn)
        elif kind is WindowsOpened:
            opened = decode(event, WindowsOpened)
            self._step(opened.agreement, lease.Windows(opened), turn)


def _named(fault: QuorateError) -> str:
    """A refusal as the requester's side hears of it."""
    return f"{type(fault).__name__} {fault.field}"[:120]
