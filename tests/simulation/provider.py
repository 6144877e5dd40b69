"""The simulated provider: the glue of `quorate.node.provider` around the real lease machine and the real checks."""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from tests.simulation.guests import Claimed, claimed, execution, failure, wrap_for
from tests.simulation.machine import POST_TIMER, PostingNode, Turn
from tests.simulation.requester import FETCH_RETRY_MS, FETCH_TRIES
from tests.simulation.suite import Keyring, Party
from tests.simulation.world import Letter, World

from quorate.crypto.digests import blob_digest, body_digest
from quorate.jobs import lease
from quorate.jobs.lease import LeaseState
from quorate.jobs.lease_statements import nothing_runs
from quorate.model.assignment import Assignment, Brief, CancelOrder
from quorate.model.claim import Commit, Delivery
from quorate.model.codec import Value, noun
from quorate.model.effects import Check, Effect, Fetch, Post, Run, Send, Stop
from quorate.model.evidence import Hello, Proven, Signed
from quorate.model.ledger_events import WindowsOpened
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.settlement import Settlement
from quorate.model.transaction import Answer, ForceReveal
from quorate.model.trap import Status
from quorate.model.units import Digest, NodeId
from quorate.node.checking import refusal_of
from quorate.node.shell import HEARTBEAT_MS

BEAT = b"\0beat"
LETTERS = frozenset({"round_close", "round_abort", "opening", "delivery_ack", "cancel_order"})

_decoder = msgspec.msgpack.Decoder(LeaseState)


class SimulatedProvider(PostingNode):
    """Honest. The hooks that a Byzantine member overrides are `claim`, `begins`, `send` and `letter`."""

    honest = True

    def __init__(self, world: World, known: Party, keyring: Keyring, genesis: Genesis, ledger: NodeId) -> None:
        self.genesis = genesis
        self.ledger = ledger
        self.offer: Offer
        self.blobs: dict[Digest, bytes] = {}
        super().__init__(world, known, keyring)

    def forget(self) -> None:
        self.leases: dict[bytes, LeaseState] = {}
        self._done: OrderedDict[bytes, LeaseState] = OrderedDict()
        self._briefs: dict[bytes, bytes] = {}
        self._guests: set[bytes] = set()
        self._hello: Hello | None = None

    def restore(self, turn: Turn) -> None:
        for (kind, key), row in list(self.disk.items()):
            if kind == "lease" and row.stage != "done":
                self.leases[key] = _decoder.decode(msgspec.msgpack.encode(row))
                self.step(key, lease.Restarted(), turn)
                self._wake(key)
        self.wake(BEAT, self.now())

    # Letters

    def letter(self, letter: Letter, turn: Turn) -> None:
        name, value = letter.signed.noun, letter.value
        if isinstance(value, CancelOrder) and self.lease(value.agreement) is None:
            turn.send(letter.signed.signer, nothing_runs(value, self.node_id), after_save=False)
        elif name in LETTERS:
            self._received(value.agreement, letter, turn)  # type: ignore[attr-defined]
        elif name in ("answer", "proven"):
            self.ledger_letter(letter, turn)
        elif isinstance(value, Brief):
            self._briefs[body_digest("agreement", value.agreement.body)] = letter.signed.body
        elif isinstance(value, Assignment):
            self.assigned(letter, value, turn)

    def assigned(self, letter: Letter, value: Assignment, turn: Turn) -> None:
        if value.member != self.node_id:
            return
        if self.lease(value.agreement) is not None:
            self._received(value.agreement, letter, turn)
            return
        brief = self._briefs.get(value.agreement)
        if brief is not None:
            state, effects = lease.begin(letter.signed, brief, self.now())
            self._became(value.agreement, state, turn)
            self.carry_out(value.agreement, effects, turn)

    def lease(self, key: bytes) -> LeaseState | None:
        state: LeaseState | None = self.leases.get(key) or self._done.get(key) or self.disk.get(("lease", key))
        return state

    def _received(self, key: bytes, letter: Letter, turn: Turn) -> None:
        self.step(key, lease.Received(letter.signed.signer, letter.value, letter.signed), turn)

    def step(self, key: bytes, event: lease.Event, turn: Turn) -> None:
        before = self.lease(key)
        if before is None:
            return
        state, effects = lease.step(before, event, self.now())
        if state is not before:
            self._became(key, state, turn, save=lease.must_save(before, state))
        self.carry_out(key, effects, turn)

    def _became(self, key: bytes, state: LeaseState, turn: Turn, *, save: bool = True) -> None:
        if save:
            turn.save("lease", key, state)
        if state.stage == "done":
            self.leases.pop(key, None)
            self._done[key] = state
        else:
            self.leases[key] = state
        self._wake(key)

    def _wake(self, key: bytes) -> None:
        state = self.leases.get(key)
        self.wake(key, lease.deadline(state) if state is not None else None)

    def tick(self, key: bytes, turn: Turn) -> None:
        if key == POST_TIMER:
            self.resend(turn)
        elif key == BEAT:
            self.wake(BEAT, self.now() + HEARTBEAT_MS)
            for node in sorted({state.node for state in self.leases.values()}):
                turn.send(node, self.hello(), after_save=False)
        else:
            self.step(key, lease.Tick(), turn)
            self._wake(key)

    def hello(self) -> Hello:
        if self._hello is None:
            self._hello = Hello(bundle=self.party.bundle, role="provider", now_ms=self.now())
        return self._hello

    # Effects

    def carry_out(self, key: bytes, effects: tuple[Effect, ...], turn: Turn) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.send(key, effect, turn)
            elif isinstance(effect, Post):
                self.post(key, self._filled_post(effect), turn)
            elif isinstance(effect, Check):
                self._check(key, turn)
            elif isinstance(effect, Fetch):
                self._fetch(key, effect, turn)
            elif isinstance(effect, Run):
                self.soon(1, lambda then: self._run(key, then))
            elif isinstance(effect, Stop):
                turn.after.append(lambda: self.soon(3, lambda then: self._stop(key, then)))

    def send(self, key: bytes, effect: Send, turn: Turn) -> None:
        value: Value = effect.value
        if isinstance(value, Delivery):
            value = msgspec.structs.replace(
                value, result=self.blob(value.result_digest), log=self.blob(value.log_digest)
            )
        elif isinstance(value, Commit):
            turn.signed.append((len(turn.later), lambda signed: self._own_commit(key, signed)))
        turn.send(effect.to, value, after_save=effect.after_save)

    def blob(self, digest: bytes) -> bytes:
        return self.blobs.get(Digest(digest), b"")

    def _filled_post(self, wish: Post) -> Post:
        """A posted opening goes with its result."""
        value = wish.transaction
        if isinstance(value, ForceReveal):
            return Post(msgspec.structs.replace(value, result=self.blob(value.opening.body.result_digest)))
        return wish

    def _own_commit(self, key: bytes, signed: Signed) -> None:
        state = self.leases.get(key)
        if state is not None and state.commit is None:
            self.soon(0, lambda turn: self.step(key, lease.OwnCommit(signed), turn))

    def _check(self, key: bytes, turn: Turn) -> None:
        refusal = refusal_of(self.leases[key], self.offer, self.genesis, self.keyring, self.now())  # type: ignore[arg-type]
        self.step(key, lease.Checked(refusal), turn)

    def _fetch(self, key: bytes, effect: Fetch, turn: Turn) -> None:
        if all(digest in self.blobs for digest in effect.digests):
            self.step(key, lease.Fetched(()), turn)
        else:
            self.step(key, lease.Lingering(), turn)
            turn.after.append(lambda: self.soon(2, lambda then: self._bring(key, effect, 1, then)))

    def _bring(self, key: bytes, effect: Fetch, tries: int, turn: Turn) -> None:
        source = self.world.nodes[effect.sources[0]]
        if self.world.network.reaches(self.node_id, source.node_id):
            held: dict[Digest, bytes] = getattr(source, "blobs", {})
            self.blobs.update({digest: held[digest] for digest in effect.digests if digest in held})
        missing = tuple(digest for digest in effect.digests if digest not in self.blobs)
        if missing and tries < 5 * FETCH_TRIES:
            self.soon(FETCH_RETRY_MS, lambda then: self._bring(key, effect, tries + 1, then))
        else:
            self.step(key, lease.Fetched(missing), turn)

    # Guests

    def _run(self, key: bytes, turn: Turn) -> None:
        state = self.leases.get(key)
        if state is None or state.stage != "running" or key in self._guests:
            return
        if state.job.private and state.order.wrap != wrap_for(state.agreement_id, self.node_id):
            self.step(key, lease.Unopenable("input_unopenable"), turn)
            return
        self._guests.add(key)
        self.begins(key, turn)
        limit_ms = state.job.core.limits.run_ms
        took = self.run_ms(limit_ms)
        self.soon(min(took, limit_ms), lambda then: self._ended(key, took > limit_ms, then))

    def begins(self, key: bytes, turn: Turn) -> None:
        self.step(key, lease.Running(), turn)

    def run_ms(self, limit_ms: int) -> int:
        weather = self.world.weather
        if self.dice.randrange(1000) < weather.slow_run_per_mille:
            return self.dice.randint(limit_ms // 2, limit_ms + limit_ms // 20)
        return self.dice.randint(weather.run_ms_min, weather.run_ms_max)

    def _ended(self, key: bytes, late: bool, turn: Turn) -> None:
        state = self.leases.get(key)
        if state is None or state.stage != "running" or key not in self._guests:
            return
        self._guests.discard(key)
        made = self.claim(key, state, late)
        if made is None:
            return
        self.blobs[blob_digest(made.result)] = made.result
        self.blobs[blob_digest(made.log)] = made.log
        self.step(key, lease.Ran(made.body, self.entropy(32)), turn)

    def claim(self, key: bytes, state: LeaseState, late: bool) -> Claimed | None:
        """What this member says its guest did."""
        job = state.job
        if late:
            ended = failure(Status.WALL_CLOCK)
        elif self.dice.randrange(1000) < self.world.weather.worker_deaths_per_mille:
            ended = failure(Status.WORKER_DEATH)
        else:
            ended = execution(job.core.program.digest, job.input_digest)
        return claimed(job, state.agreement_id, self.node_id, ended)

    def _stop(self, key: bytes, turn: Turn) -> None:
        self._guests.discard(key)
        self.step(key, lease.Stopped(), turn)

    # Ledger

    def answered(self, owner: bytes, transaction: Value, answer: Answer, turn: Turn) -> None:
        if answer.status not in ("ok", "already_settled"):
            self.step(owner, lease.Refused(noun(transaction), answer.status), turn)

    def happened(self, proven: Proven, event: Value, turn: Turn) -> None:
        if isinstance(event, Settlement):
            state = self.lease(event.agreement)
            if state is not None and state.stage != "done":
                self.step(event.agreement, lease.Settled(event, proven), turn)
        elif isinstance(event, WindowsOpened):
            self.step(event.agreement, lease.Windows(event), turn)
