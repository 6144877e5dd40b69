"""A whole network in one object, for tests of the door and the client: `BoxedDesk` keeps `quorate.api.commands.Desk`.

It is a small requester's node of its own, not a stand-in that repeats canned answers: jobs are verified and kept,
agreements and checkpoints are signed, the escrow event is proven in a real log, draws follow the beacon, and
"executors" open the input with the wraps they were given, apply a function to it, and seal what comes out. There is no
ledger state, no vote and no transport: every member drawn first agrees at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from quorate.adapters.blobs import MemoryBlobs
from quorate.cohort.selection import draw_order, draw_seed, reserves_for, rounds_allowed, wrapped_members
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import Identity
from quorate.crypto.wrapping import SealKey
from quorate.errors import IdempotencyConflict, InvalidField, NotFinished, UnknownJob
from quorate.execute.engine import End, Execution
from quorate.jobs import lifecycle
from quorate.jobs.moves import note, with_round
from quorate.jobs.state import TERMINAL, JobState, Round, Slot, Wrap
from quorate.ledger.journal import Journal
from quorate.model.agreement import Agreement, EscrowOpened, LedgerTrust, Roster, RosterEntry
from quorate.model.claim import Commit
from quorate.model.codec import decode, encode
from quorate.model.evidence import Proven, Signed
from quorate.model.identity import KeyBundle, Suite
from quorate.model.job import Job, ResourceLimits
from quorate.model.network import Account, Caps, Checkpoint, Genesis, Windows
from quorate.model.offer import Offer, Prices
from quorate.model.outcome import Receipt
from quorate.model.signature import Stamp
from quorate.model.submission import (
    Accepted,
    Await,
    Delivered,
    Draws,
    JobIds,
    QuoteRequest,
    ResultView,
    Submission,
    Wraps,
)
from quorate.model.submission import Draw as DrawOfOne
from quorate.model.trap import Status
from quorate.model.units import MIB, Digest, Fuel, JobId, MicroCredits, Millis, NodeId
from quorate.node.postbox import Directory, Postbox, StampBook
from quorate.privacy.claims import element_inputs
from quorate.privacy.tier import Opened, Place, tier_for

NOW = Millis(1_800_000_000_000)
ENGINE = "wasmtime test"
CREDITS = MicroCredits(10**9)
ECHO = """(module (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) i32.const 0)
  (func (export "run") (param i32 i32) (result i64) local.get 1 i64.extend_i32_u))"""
"""A module that answers with the length of its input's bytes as they came: what a draft needs to be one."""


class Draw(msgspec.Struct, frozen=True):
    """One draw with all that it rests on, so that a test can change any part of it."""

    job: JobId
    agreement: Signed
    escrow: Proven
    roster: Roster
    offers: tuple[Signed, ...]
    bundles: tuple[KeyBundle, ...]
    stamps: tuple[Stamp, ...]

    @property
    def alone(self) -> DrawOfOne:
        return DrawOfOne(job=self.job, agreement=self.agreement, escrow=self.escrow)


def together(draws: Iterable[Draw]) -> Draws:
    """As they travel: what several share is there once."""
    found = tuple(draws)
    return Draws(
        draws=tuple(draw.alone for draw in found),
        rosters=tuple(dict.fromkeys(draw.roster for draw in found)),
        offers=tuple(dict.fromkeys(offer for draw in found for offer in draw.offers)),
        bundles=tuple(dict.fromkeys(bundle for draw in found for bundle in draw.bundles)),
        stamps=tuple(dict.fromkeys(stamp for draw in found for stamp in draw.stamps)),
    )


@dataclass
class Party:
    """An identity, its seal key, and a postbox that knows everyone."""

    identity: Identity
    seal_key: SealKey
    postbox: Postbox

    @property
    def node_id(self) -> NodeId:
        return self.identity.node_id

    def sign(self, value: msgspec.Struct) -> Signed:
        return self.postbox.sign([value])[0]  # type: ignore[list-item]


@dataclass
class Box:
    """Keys and genesis of a network with `providers` providers, each its own operator."""

    genesis: Genesis
    ledger: Party
    node: Party
    client: Identity
    providers: list[Party]
    stamps: StampBook

    @property
    def network(self) -> Digest:
        return value_digest(self.genesis)

    def party(self, identity: Identity, *, stamps: StampBook | None = None) -> Party:
        accounts = [account.bundle for account in self.genesis.accounts]
        directory = Directory([*self.genesis.ledger, *accounts, identity.bundle])
        return _party(self.network, identity, directory, stamps or self.stamps)

    def offer(self, provider: Party, **changes: object) -> Offer:
        offer = Offer(
            network=self.network,
            provider=provider.node_id,
            operator=f"operator {provider.node_id.hex()[:6]}",
            prices=Prices(
                base_micro=MicroCredits(10), per_mega_fuel_micro=MicroCredits(1), attempt_micro=MicroCredits(2)
            ),
            seal_key=provider.seal_key.public,
            engine=ENGINE,
            capabilities=("wasm:command", "wasm:pure"),
            isolation=("seccomp",),
            simulated=(),
            device_class="Gateway",
            region="local",
            memory_bytes_max=256 * MIB,
            fuel_max=Fuel(10**10),
            cpu_cores=2,
            storage_bytes=1 << 30,
            stated_bandwidth_bytes_per_s=0,
            gpu_units=0,
            slots=2,
            issued_ms=NOW,
            expires_ms=Millis(1 << 50),
        )
        return msgspec.structs.replace(offer, **changes)

    def write_home(self, home: Path) -> Path:
        """What `quorate localnet up` leaves for a client under QUORATE_HOME."""
        from quorate.adapters.keys import write_secret

        write_secret(home / "client" / "identity.key", self.client.to_bytes())
        (home / "network.cbor").write_bytes(encode(self.genesis))
        (home / "node").mkdir(parents=True, exist_ok=True)
        return home


def make_box(providers: int = 4, suite: Suite = Suite.ED25519) -> Box:
    ledger, node, client, *others = (Identity.generate(suite, os.urandom) for _ in range(providers + 3))
    genesis = Genesis(
        epoch_ms=3_600_000,
        name="boxed",
        ledger=(ledger.bundle,),
        suites=(str(Suite.ED25519), str(Suite.ED25519_ML_DSA_65)),
        caps=Caps(
            limits=ResourceLimits(
                memory_bytes=256 * MIB, fuel=Fuel(10**10), run_ms=Millis(60_000), output_bytes=4 * MIB
            ),
            input_bytes=4 * MIB,
            program_bytes=MIB,
            replicas=7,
        ),
        windows=Windows(commit_ms=Millis(1000), reveal_ms=Millis(1000), cancel_ms=Millis(1000)),
        bond_micro=MicroCredits(5),
        threshold=(7, 10),
        reputation_gate=200,
        accounts=(Account(bundle=client.bundle, role="requester", balance_micro=CREDITS, stake_micro=MicroCredits(0)),),
        created_ms=NOW,
        seed=os.urandom(32),
    )
    network, stamps = value_digest(genesis), StampBook(lambda key: None)
    directory = Directory([identity.bundle for identity in (ledger, node, client, *others)])
    made = [_party(network, identity, directory, stamps) for identity in (ledger, node, *others)]
    return Box(genesis, made[0], made[1], client, made[2:], stamps)


def _party(network: Digest, identity: Identity, directory: Directory, stamps: StampBook) -> Party:
    return Party(identity, SealKey.generate(os.urandom), Postbox(identity, network, directory, stamps, os.urandom))


@dataclass
class BoxedDesk:
    """`run` is what the guest does to its input. `alter_draw` and `alter_copy` let a test be the liar."""

    box: Box
    run: Callable[[bytes], bytes] = bytes.upper
    alter_draw: Callable[[Draw], Draw] = lambda draw: draw
    alter_copy: Callable[[int, bytes], bytes] = lambda place, blob: blob
    hold: bool = False
    jobs: dict[JobId, JobState] = field(default_factory=dict)
    keys: dict[str, JobId] = field(default_factory=dict)
    wrapped: list[Wraps] = field(default_factory=list)
    cancelled: list[JobId] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    results: dict[JobId, ResultView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.genesis, self.network, self.node_id = self.box.genesis, self.box.network, self.box.node.node_id
        self.blobs = MemoryBlobs()
        self.journal = Journal()
        self.offers = [(provider, self.box.offer(provider)) for provider in self.box.providers]

    async def submit(self, submission: Submission) -> Accepted:
        self.submissions.append(submission)
        for stamp in submission.stamps:
            self.box.stamps.add(stamp)
        admitted = [self._admit(order.job, order.key) for order in submission.orders]
        await self.blobs.put_many(submission.blobs)
        for job_id, signed, key in admitted:
            if key:
                self.keys[key] = job_id
            if job_id not in self.jobs:
                self.jobs[job_id], _ = lifecycle.begin(signed, job_id, os.urandom(32), NOW)
                await self._agree(job_id)
        return Accepted(jobs=tuple(job_id for job_id, _, _ in admitted), draws=together(()))

    def _admit(self, signed: Signed, key: str) -> tuple[JobId, Signed, str]:
        self.box.node.postbox.verify(signed)
        job, job_id = decode(signed.body, Job), JobId(body_digest("job", signed.body))
        if signed.signer != job.core.requester or job.core.node != self.node_id:
            raise InvalidField("not of this node's requester", field="requester")
        if key and self.keys.get(key, job_id) != job_id:
            raise IdempotencyConflict("this key was used for another job", field="key")
        return job_id, signed, key

    async def _agree(self, job_id: JobId) -> None:
        state = self.jobs[job_id]
        draw = self.make_draw(state)
        event = decode(draw.escrow.event, EscrowOpened)
        state = msgspec.structs.replace(
            state,
            stage="wraps",
            agreement=draw.agreement.body,
            agreement_signed=draw.agreement,
            roster=draw.roster,
            escrow=draw.escrow,
            beacon=event.beacon,
        )
        self.jobs[job_id] = state
        if not state.value.private:
            await self._execute(job_id, ())

    def make_draw(self, state: JobState) -> Draw:
        core, postbox = state.value.core, self.box.node.postbox
        offers = sorted(
            ((party.node_id, party.sign(offer), offer) for party, offer in self.offers), key=lambda item: item[0]
        )
        entries = tuple(
            RosterEntry(offer=body_digest("offer", signed.body), provider=provider, operator=offer.operator, weight=100)
            for provider, signed, offer in offers
        )
        roster = Roster(network=self.network, entries=entries)
        size = 2 if core.proof.method == "rerun" else core.proof.replicas
        rounds = rounds_allowed(roster, size)
        terms = Agreement(
            network=self.network,
            job=state.job_id,
            requester=core.requester,
            node=core.node,
            roster=value_digest(roster),
            proof=core.proof,
            rounds=rounds,
            reserves=reserves_for(roster, size, rounds),
            timeouts=core.timeouts,
            price_max_micro=MicroCredits(1000),
            attempt_max_micro=MicroCredits(2),
            bond_micro=MicroCredits(5),
            engine=ENGINE,
            ledger_trust=LedgerTrust(kind="sequencer", sequencer=self.box.ledger.node_id),
            audit_commitment=Digest(bytes(32)),
            settle_by_ms=Millis(1 << 50),
        )
        agreement = self.box.node.sign(terms)
        escrow = self.prove(body_digest("agreement", agreement.body), state.job_id)
        quoted = (agreement, escrow.checkpoint, *(signed for _, signed, _ in offers))
        return Draw(
            job=state.job_id,
            agreement=agreement,
            escrow=escrow,
            roster=roster,
            offers=tuple(signed for _, signed, _ in offers),
            bundles=tuple(postbox.directory[signer] for signer in dict.fromkeys(item.signer for item in quoted)),
            stamps=self.box.stamps.of(quoted),
        )

    def prove(self, agreement: Digest, job: JobId, signer: Party | None = None) -> Proven:
        """An escrow event in the log, under a checkpoint of the ledger (or of whoever claims to be it)."""
        event = encode(
            EscrowOpened(
                network=self.network,
                agreement=agreement,
                job=job,
                beacon=os.urandom(32),
                escrow_micro=MicroCredits(5000),
                height=1,
                time_ms=NOW,
            )
        )
        self.journal.extend([event])
        signer = signer or self.box.ledger
        place = len(self.journal) - 1
        checkpoint = Checkpoint(
            network=self.network,
            height=1,
            size=len(self.journal),
            root=self.journal.root(),
            state=Digest(bytes(32)),
            time_ms=NOW,
            sequencer=signer.node_id,
        )
        return Proven(event=event, index=place, path=self.journal.path(place), checkpoint=signer.sign(checkpoint))

    async def draws(self, ask: JobIds) -> Draws:
        ready = [self.jobs[job] for job in map(JobId, ask.jobs) if job in self.jobs and self.jobs[job].stage == "wraps"]
        if not ready and not any(self.jobs[JobId(job)].stage == "done" for job in ask.jobs):
            await asyncio.sleep(ask.wait_ms / 1000)
        return together(self.alter_draw(self._draw(state)) for state in ready)

    def _draw(self, state: JobState) -> Draw:
        assert state.agreement_signed is not None
        assert state.escrow is not None
        assert state.roster is not None
        offers = tuple(party.sign(offer) for party, offer in self.offers)
        quoted = (state.agreement_signed, state.escrow.checkpoint, *offers)
        return Draw(
            job=state.job_id,
            agreement=state.agreement_signed,
            escrow=state.escrow,
            roster=state.roster,
            offers=offers,
            bundles=tuple(self.box.node.postbox.directory[item.signer] for item in quoted),
            stamps=self.box.stamps.of(quoted),
        )

    async def wrap(self, wraps: Wraps) -> None:
        self.wrapped.append(wraps)
        for entry in wraps.jobs:
            given = tuple(Wrap(wrap.member, wrap.sealed) for wrap in entry.wraps)
            await self._execute(JobId(entry.job), given)

    def members(self, state: JobState) -> tuple[NodeId, ...]:
        order = draw_order(state.roster, draw_seed(state.agreement_id, state.beacon)) if state.roster else ()
        size = 2 if state.terms.proof.method == "rerun" else state.terms.proof.replicas
        return wrapped_members(order, size, state.terms.rounds, state.terms.reserves)

    async def _execute(self, job_id: JobId, wraps: tuple[Wrap, ...]) -> None:
        """Each member of the first cohort opens, runs, seals; then the job is settled."""
        state = self.jobs[job_id]
        chosen = self.members(state)[: state.value.core.proof.replicas]
        current = Round(number=1, width=len(chosen), drawn=len(chosen), slots=tuple(map(self._slot, chosen)))
        state = msgspec.structs.replace(state, wraps=wraps, stage="round", condition="running", rounds=(current,))
        self.jobs[job_id] = state = note(state, NOW, "executing")
        if self.hold:
            return
        copies = [await self._copy(place, member, state) for place, member in enumerate(chosen)]
        _, vote = copies[0]
        self.results[job_id] = ResultView(
            job=job_id,
            agreement=state.agreement_id,
            status=vote.status,
            tag=vote.tag,
            log_tag=vote.log_tag,
            delivered=tuple(delivered for delivered, _ in copies),
            paid_micro=MicroCredits(30),
        )
        self.jobs[job_id] = msgspec.structs.replace(state, stage="done", condition="completed", ended_ms=NOW)

    def _slot(self, member: NodeId) -> Slot:
        """A member that has started."""
        return Slot(member=member, assigned_ms=NOW, probed_ms=NOW, heard_ms=NOW, started_ms=NOW)

    def commit(self, job: JobId, places: int) -> None:
        """The first `places` members commit to something, as their signatures say."""
        state = self.jobs[job]
        slots = tuple(
            msgspec.structs.replace(slot, commit=self._signed_commit(state, slot.member)) if place < places else slot
            for place, slot in enumerate(state.current.slots)
        )
        self.jobs[job] = with_round(state, msgspec.structs.replace(state.current, slots=slots))

    def _signed_commit(self, state: JobState, member: NodeId) -> Signed:
        party = next(party for party, _ in self.offers if party.node_id == member)
        zero = Digest(bytes(32))
        return party.sign(
            Commit(
                network=self.network, agreement=state.agreement_id, round=1, assignment=zero, member=member, commit=zero
            )
        )

    async def _copy(self, place: int, member: NodeId, state: JobState):  # type: ignore[no-untyped-def]
        party = next(party for party, _ in self.offers if party.node_id == member)
        job, where = state.value, Place(member, state.agreement_id, party.seal_key)
        blob = await self.blobs.get(Digest(job.input_digest))
        assert blob is not None
        wrapped = next((wrap.sealed for wrap in state.wraps if wrap.member == member), b"")
        opened: Opened = tier_for(job).open(job, where, wrapped, blob)
        ends = [self._end(item) for item in element_inputs(job.core, opened.plaintext)]
        execution = Execution(status=Status.SUCCESS, output=ends[0].output, log=ends[0].log, fuel_used=1)
        if job.core.is_array:
            execution = msgspec.structs.replace(execution, ends=tuple(ends))
        sealed = tier_for(job).seal(job, where, opened, execution, os.urandom)
        digests = await self.blobs.put_many([self.alter_copy(place, sealed.result), self.alter_copy(place, sealed.log)])
        return Delivered(member=member, result_digest=digests[0], log_digest=digests[1]), sealed.body.vote

    def _end(self, given: bytes) -> End:
        """An input of the word `trap` has the end that it names."""
        trapped = given == b"trap"
        output = b"" if trapped else self.run(given)
        return End(Status.UNREACHABLE if trapped else Status.SUCCESS, 0, output, b"log of " + given[:8], 1, 0)

    def state(self, job: JobId) -> JobState:
        if job not in self.jobs:
            raise UnknownJob(f"no job {job.hex()[:16]} here", field="job")
        return self.jobs[job]

    def states(self) -> Iterable[JobState]:
        return reversed(list(self.jobs.values()))

    async def wait(self, ask: Await) -> list[JobState]:
        until = asyncio.get_running_loop().time() + ask.wait_ms / 1000
        while True:
            states = [self.state(JobId(job)) for job in ask.jobs]
            if all(state.stage == "done" for state in states) or asyncio.get_running_loop().time() >= until:
                return states
            await asyncio.sleep(0.01)

    async def cancel(self, job: JobId) -> JobState:
        self.cancelled.append(job)
        self.end(job, "cancelled", "JobCancelled", "cancelled by the requester")
        return self.jobs[job]

    def end(self, job: JobId, condition: str, error: str, detail: str) -> None:
        changes = {"stage": "done", "condition": condition, "error": error, "detail": detail, "ended_ms": NOW}
        self.jobs[job] = msgspec.structs.replace(self.state(job), **changes)

    async def receipt(self, job: JobId) -> Receipt:
        self.state(job)
        raise NotFinished("no receipts in a box", field="job")

    def result(self, job: JobId) -> ResultView:
        state = self.state(job)
        if state.condition not in TERMINAL:
            raise NotFinished(f"the job is {state.condition}", field="job", fix="wait for it")
        return self.results[job]

    def quote(self, request: QuoteRequest) -> dict[str, object]:
        return {"replicas": request.core.proof.replicas, "colluders_per_mille": request.colluders_per_mille}

    def overview(self) -> dict[str, object]:
        return {"name": self.genesis.name, "offers": len(self.offers)}


@contextlib.asynccontextmanager
async def open_door(desk: BoxedDesk, home: Path) -> AsyncIterator[Path]:
    """The door of `desk` on its socket under `home`."""
    from quorate.api.rest import serve

    path = home / "node" / "door.sock"
    serving = asyncio.create_task(serve(desk, path))
    while not path.exists():
        assert not serving.done(), serving.exception()
        await asyncio.sleep(0.01)
    try:
        yield path
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
