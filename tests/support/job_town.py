"""One job from submission to settlement with real keys, the real machine of the requester's node and the real ledger.

town = Town(providers=7); ended = town.run(town.job(quorum(3)), {0: "wrong"}); receipt = town.receipt(ended)

The members are played here, by place in the draw: `right` (the default), `wrong`, `other`, `fail`, `silent` (never
answers), `withholds` (commits, never opens). What travels is the same as between nodes, only without a wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import cbor2
import msgspec

from quorate.cohort.selection import wrapped_members
from quorate.crypto.batch import SuitePolicy, Verifier, sign_batch
from quorate.crypto.commitments import commit_input, input_opening
from quorate.crypto.digests import blob_digest, digest, value_digest
from quorate.crypto.ownership import OwnershipKey, OwnershipStatement, prove
from quorate.crypto.sealing import log_tag, out_key, public_log_tag, public_result_tag, result_tag, seal_input
from quorate.crypto.signing import Identity
from quorate.crypto.wrapping import SealKey, wrap
from quorate.errors import BadSignature
from quorate.jobs import lifecycle
from quorate.jobs.conclude import KeptKeys
from quorate.jobs.conclude import receipt as concluded
from quorate.jobs.state import (
    CancelAsked,
    Event,
    JobState,
    Matched,
    Opened,
    Received,
    Settled,
    Stored,
    Tick,
    Wrap,
    Wrapped,
)
from quorate.jobs.statements import own_statements
from quorate.ledger.blocks import Reply, next_context, produce
from quorate.ledger.call import read_transaction
from quorate.ledger.journal import Journal
from quorate.ledger.state import State, genesis_state
from quorate.market.book import Book
from quorate.market.matching import Match, Request, Standing, match
from quorate.market.pricing import places
from quorate.model.agreement import EscrowOpened
from quorate.model.assignment import Ack, Assignment, CancelAck, CancelOrder, Started
from quorate.model.claim import ClaimBody, Commit, Delivery, Opening, RoundClose, Vote
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.effects import Effect, Fetch, Post, Send
from quorate.model.evidence import Proven, Signed
from quorate.model.identity import Suite
from quorate.model.job import Job, JobCore, ResourceLimits
from quorate.model.network import Account, Caps, Genesis, Windows
from quorate.model.offer import Offer, Prices
from quorate.model.outcome import Receipt
from quorate.model.output import Log, Output
from quorate.model.policy import Policy, Proof, Timeouts
from quorate.model.program import Program
from quorate.model.resources import PLAIN
from quorate.model.settlement import Settlement
from quorate.model.signature import SALT_BYTES, Signature
from quorate.model.transaction import CloseForced, OpenEscrow, PostOffer
from quorate.model.units import Digest, JobId, Millis, NodeId
from quorate.privacy.sealed import input_info
from quorate.verify.claims import commit_digest

START_MS = 1_700_000_000_000
MIB = 1 << 20
LIMITS = ResourceLimits(memory_bytes=MIB, fuel=10_000_000, run_ms=1_000, output_bytes=1 << 16)
CAPS = Caps(
    limits=ResourceLimits(memory_bytes=256 * MIB, fuel=10**10, run_ms=300_000, output_bytes=16 * MIB),
    input_bytes=MIB,
    program_bytes=MIB,
    replicas=15,
)
TIMEOUTS = Timeouts(match_ms=30_000, transfer_ms=30_000, run_ms=10_000, verify_ms=30_000)
POLICY = Policy(require_post_quantum=False, jail_layers_min=(), allow=(), reputation_min=0)
PRICES = Prices(base_micro=100, per_mega_fuel_micro=10, attempt_micro=20)


def quorum(k: int, threshold: int = 0) -> Proof:
    return Proof(method="quorum", replicas=k, threshold=threshold, one_in=1)


def rerun(one_in: int) -> Proof:
    return Proof(method="rerun", replicas=1, threshold=0, one_in=one_in)


TRUST = Proof(method="trust", replicas=1, threshold=0, one_in=1)


class Stream:
    """The same entropy in every run, never twice the same bytes."""

    def __init__(self, name: str) -> None:
        self._name, self._drawn = name.encode(), 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(self._name + self._drawn.to_bytes(8, "big")).digest(size)


class Sealed(NamedTuple):
    """A job and the secret that opens its input, if it is private."""

    job: Job
    secret: Any


class Town:
    """A network of one sequencer, one requester with its node, and providers, each with an operator of its own."""

    def __init__(
        self, providers: int = 7, suite: Suite = Suite.ED25519, offer: Mapping[str, Any] | None = None, gate: int = 0
    ) -> None:
        self.draw = Stream(f"town {suite}")
        self.sequencer, self.requester, self.node, self.stranger = (Identity.generate(suite, self.draw) for _ in "1234")
        self.providers = [Identity.generate(suite, self.draw) for _ in range(providers)]
        self.identities = {who.node_id: who for who in (self.sequencer, self.requester, self.node, *self.providers)}
        self.identities[self.stranger.node_id] = self.stranger
        self.genesis = self._genesis(suite, gate)
        self.network = value_digest(self.genesis)
        self.stamps: dict[Digest, Any] = {}
        self.bundles = {key: who.bundle for key, who in self.identities.items()}
        self._verifier = Verifier(self.bundles, self.network, SuitePolicy())
        self.ledger: State = genesis_state(self.genesis)
        self.journal = Journal()
        self.now = START_MS
        self.book = Book()
        self.seal_keys = {who.node_id: SealKey.generate(self.draw) for who in self.providers}
        self.logged: list[bytes] = []
        for place, who in enumerate(self.providers):
            self.stand(who, operator=f"operator {place}", **(offer or {}))

    def _genesis(self, suite: Suite, gate: int) -> Genesis:
        accounts = [Account(self.requester.bundle, "requester", 10**9, 0), Account(self.node.bundle, "node", 0, 0)]
        accounts += [Account(who.bundle, "provider", 0, 10**6) for who in self.providers]
        return Genesis(
            epoch_ms=3_600_000,
            name="town",
            ledger=(self.sequencer.bundle,),
            suites=(str(suite),),
            caps=CAPS,
            windows=Windows(commit_ms=2_000, reveal_ms=2_000, cancel_ms=2_000),
            bond_micro=5_000,
            threshold=(7, 10),
            reputation_gate=gate,
            accounts=tuple(accounts),
            created_ms=START_MS - 1_000,
            seed=b"\x01" * 32,
        )

    # Signing and the ledger

    def sign(self, who: Identity, *values: Value) -> list[Signed]:
        """One real batch."""
        if not values:
            return []
        bodies = [(noun(value), encode(value)) for value in values]
        leaves = [(name, digest(name, body)) for name, body in bodies]
        signatures = sign_batch(who, self.network, leaves, [self.draw(SALT_BYTES) for _ in leaves])
        stamp = value_digest(signatures[0].stamp)
        self.stamps[stamp] = signatures[0].stamp
        return [
            Signed(
                noun=name,
                body=body,
                signer=who.node_id,
                stamp=stamp,
                index=signature.index,
                salt=signature.salt,
                path=signature.path,
            )
            for (name, body), signature in zip(bodies, signatures, strict=True)
        ]

    def verify(self, signed: Signed) -> None:
        stamp = self.stamps.get(signed.stamp)
        if stamp is None or stamp.signer != signed.signer:
            raise BadSignature("no such stamp", field="stamp")
        signature = Signature(stamp=stamp, index=signed.index, salt=signed.salt, path=signed.path)
        self._verifier.check(signature, signed.noun, digest(signed.noun, signed.body))

    def post(self, who: Identity, value: Value) -> tuple[Reply, list[Proven]]:
        """One transaction in a block of its own; its events are proven under a fresh checkpoint."""
        tx = read_transaction(noun(value), encode(value), who.node_id)
        made = produce(self.ledger, self.journal, [tx], next_context(self.ledger, self.now, self.draw(32)), self.verify)
        self.ledger = made.state
        (reply,) = made.replies
        if made.checkpoint is None:
            return reply, []
        (checkpoint,) = self.sign(self.sequencer, made.checkpoint)
        return reply, [event.proven(checkpoint) for event in reply.events]

    def stand(self, who: Identity, **changes: Any) -> Signed:
        """Signs and posts an offer, and puts it into the book."""
        offer = msgspec.structs.replace(self.offer(who), **changes)
        (signed,) = self.sign(who, offer)
        reply, _ = self.post(who, PostOffer(network=self.network, offer=signed))
        assert reply.answer.status == "ok", reply.answer
        self.book.learn(signed, offer)
        return signed

    def offer(self, who: Identity) -> Offer:
        return Offer(
            network=self.network,
            provider=who.node_id,
            operator=who.node_id.hex()[:8],
            prices=PRICES,
            seal_key=self.seal_keys[who.node_id].public,
            engine="wasmtime 50",
            capabilities=("tier:full", "tier:light", "wasm:command", "wasm:pure"),
            isolation=("landlock", "rlimits", "seccomp"),
            simulated=(),
            device_class="Gateway",
            region="local",
            memory_bytes_max=256 * MIB,
            fuel_max=10**10,
            cpu_cores=2,
            storage_bytes=1 << 30,
            stated_bandwidth_bytes_per_s=0,
            gpu_units=0,
            slots=2,
            issued_ms=self.now,
            expires_ms=self.now + 7 * 86_400_000,
        )

    # Jobs

    def core(self, proof: Proof, **changes: Any) -> JobCore:
        core = JobCore(
            network=self.network,
            requester=self.requester.node_id,
            node=self.node.node_id,
            program=Program(
                kind="wasm",
                digest=blob_digest(b"program"),
                size_bytes=100,
                profile="command",
                entry="_start",
                wasm_tier="none",
                dependencies=(),
            ),
            call=None,
            arguments=(),
            input_media="",
            output_media="",
            limits=LIMITS,
            resources=PLAIN,
            elements=1,
            result_key=b"",
            ownership_key=b"",
            privacy=(),
            privacy_level="public",
            proof=proof,
            budget_micro=10_000_000,
            timeouts=TIMEOUTS,
            expires_ms=self.now + 3_600_000,
            regions=(),
            priority=5,
            policy=POLICY,
            wrap_authority="client",
            dispute_disclosure="none",
            nonce=self.draw(32),
        )
        return msgspec.structs.replace(core, **changes)

    def job(self, proof: Proof, private: bool = False, **changes: Any) -> Sealed:
        """A public job, or a private one sealed as the client seals it."""
        if not private:
            core = self.core(proof, **changes)
            empty = dict.fromkeys(
                ("pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof"), b""
            )
            return Sealed(Job(core=core, input_digest=blob_digest(b"input"), input_bytes=5, **empty), None)
        owner = OwnershipKey.generate(self.draw)
        core = self.core(
            proof,
            privacy_level="private",
            result_key=SealKey.generate(self.draw).public,
            ownership_key=owner.public,
            **changes,
        )
        sealed = seal_input(b"private input", value_digest(core), self.draw)
        committed = commit_input(sealed.salt, b"private input")
        statement = OwnershipStatement(
            value_digest(core), committed.pedersen, sealed.key_commitment, sealed.ciphertext_digest, owner.public
        )
        job = Job(
            core=core,
            input_digest=sealed.ciphertext_digest,
            input_bytes=len(sealed.ciphertext),
            pedersen=committed.pedersen,
            salted=committed.salted,
            key_commitment=sealed.key_commitment,
            out_key_commitment=sealed.out_key_commitment,
            ownership_proof=prove(statement, input_opening(sealed.salt, b"private input"), owner, self.draw(32)),
        )
        return Sealed(job, sealed.secret)

    def request(self, job: Job, seed: bytes = b"\x06" * 32) -> Request:
        return Request(
            job=job,
            job_id=JobId(value_digest(job)),
            genesis=self.genesis,
            network=self.network,
            node=self.node.node_id,
            sequencer=self.sequencer.node_id,
            audit_seed=Digest(seed),
            now_ms=Millis(self.now),
        )

    def standing(self, **changes: Any) -> Standing:
        scores = {who.node_id: self.ledger.accounts[who.node_id].score for who in self.providers}
        suites = {who.node_id: who.bundle.suite for who in self.providers}
        return Standing(scores, {}, suites)._replace(**changes)

    def listings(self) -> tuple[Any, ...]:
        return tuple(self.book.live(Millis(self.now), dict.fromkeys(self.ledger_offers(), 0)))

    def ledger_offers(self) -> Iterable[Digest]:
        return (key for key, _ in self.ledger.offers.items())

    def run(self, sealed: Sealed, votes: Mapping[int, str] | None = None, cancel: str = "") -> JobState:
        """The state when the job is settled. `votes` says by place in the draw how members behave; `cancel` names the
        stage in which the requester cancels."""
        return Play(self, sealed, votes or {}, cancel).to_the_end()

    def stalled(self, sealed: Sealed, votes: Mapping[int, str] | None = None) -> Play:
        """A job that ended, whose requester's node then posts nothing."""
        play = Play(self, sealed, votes or {}, "", stall=True)
        play.to_the_end()
        return play

    def receipt(self, state: JobState, own: Iterable[Signed] | None = None) -> Receipt:
        return concluded(
            state,
            genesis=self.genesis,
            offers=[listing.signed for who in self.providers if (listing := self.book.get(who.node_id))],
            own=self.sign(self.node, *own_statements(state)) if own is None else list(own),
            keys=KeptKeys(list(self.bundles.values()), list(self.stamps.values())),
        )


class Play:
    """One run of one job. With `stall` the requester's node stops short of its last transaction, `posted`."""

    def __init__(self, town: Town, sealed: Sealed, votes: Mapping[int, str], cancel: str, stall: bool = False) -> None:
        self.town, self.job, self.secret, self.votes = town, sealed.job, sealed.secret, votes
        self.cancel_in, self.stall = cancel, stall
        (signed,) = town.sign(town.requester, self.job)
        job_id = JobId(value_digest(self.job))
        self.state, effects = lifecycle.begin(signed, job_id, town.draw(32), Millis(town.now))
        self.members: tuple[NodeId, ...] = ()
        self.bodies: dict[NodeId, tuple[ClaimBody, bytes, Assignment]] = {}
        self.posted: list[Post] = []
        self.copies: dict[NodeId, bytes] = {}
        self._carry_out(effects)

    def to_the_end(self) -> JobState:
        town = self.town
        found = match(town.request(self.job, self.state.audit_seed), town.listings(), town.standing())
        assert isinstance(found, Match), found
        self.feed(Matched(found.agreement, found.roster))
        for _ in range(200):
            if self.state.stage == "done" or self.posted:
                return self.state
            town.now += 1_000
            heard = {NodeId(member): Millis(town.now) for member in self.members if self._says(member) != "silent"}
            self.feed(Tick(heard))
        raise AssertionError(f"still {self.state.stage}: {[line.text for line in self.state.notes]}")

    def feed(self, event: Event) -> None:
        self.state, effects = lifecycle.step(self.state, event, Millis(self.town.now))
        if self.cancel_in and self.state.stage == self.cancel_in:
            # Cancelled before anything that this step says reaches anyone.
            self.cancel_in = ""
            self.feed(CancelAsked())
            return
        self._carry_out(effects)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._answer(effect.to, effect.value)
            elif isinstance(effect, Post):
                self._post(effect)
            elif isinstance(effect, Fetch):
                self.feed(Stored(effect.digests))

    # The ledger

    def _post(self, wish: Post) -> None:
        town = self.town
        if self.stall and not isinstance(wish.transaction, OpenEscrow):
            self.posted.append(wish)
            return
        own = town.sign(town.node, *wish.own) if wish.own else []
        if isinstance(wish.transaction, OpenEscrow):
            value: Any = msgspec.structs.replace(wish.transaction, agreement=own[0])
        else:
            value = msgspec.structs.replace(wish.transaction, evidence=(*wish.transaction.evidence, *own))  # type: ignore[attr-defined]
        reply, proven = town.post(town.node, value)
        assert reply.answer.status == "ok", reply.answer
        self._happened(proven[0], own)

    def settle(self, proven: Proven) -> JobState:
        """The ledger's terminal event reaches the requester's node."""
        self.feed(Settled(decode(proven.event, Settlement), proven))
        return self.state

    def _happened(self, proven: Proven, own: list[Signed]) -> None:
        town = self.town
        name = cbor2.loads(proven.event)["type"]
        if name == "escrow_opened":
            self._opened(decode(proven.event, EscrowOpened), proven, own[0])
        elif name == "settlement":
            self.feed(Settled(decode(proven.event, Settlement), proven))
        else:
            town.now += town.genesis.windows.cancel_ms + 1
            close = CloseForced(network=town.network, agreement=self.state.agreement_id)
            reply, events = town.post(town.sequencer, close)
            assert reply.answer.status == "ok", reply.answer
            self._happened(events[0], own)

    def _opened(self, event: EscrowOpened, proven: Proven, agreement: Signed) -> None:
        self.feed(Opened(event, proven, agreement))
        if self.state.stage != "wraps" and not self.state.rounds:
            return
        self._draw()
        if self.state.stage == "wraps":
            self.feed(Wrapped(tuple(self._wrap(member) for member in self.members)))

    def _draw(self) -> None:
        terms = self.state.terms
        self.members = wrapped_members(self.state.order, places(terms.proof), terms.rounds, terms.reserves)

    def _wrap(self, member: NodeId) -> Wrap:
        key = self.town.seal_keys[member].public
        info = input_info(self.job, self.state.agreement_id, member, key)
        return Wrap(member, wrap(key, self.secret.to_bytes(), info))

    # The members

    def _says(self, member: NodeId) -> str:
        if not self.members:
            self._draw()
        return self.votes.get(self.members.index(member), "right")

    def _answer(self, member: NodeId, value: Value) -> None:
        says = self._says(member)
        if says == "silent":
            return
        if isinstance(value, Assignment):
            self._assigned(member, value)
        elif isinstance(value, RoundClose) and says != "withholds":
            self._closed(member, value)
        elif isinstance(value, CancelOrder):
            gone = CancelAck(
                network=value.network,
                agreement=value.agreement,
                member=member,
                committed=member in self.bodies,
            )
            self.hear(member, gone)

    def opening(self, member: NodeId) -> Opening:
        body, nonce, assignment = self.bodies[member]
        place = self._place(member, assignment.round)
        return Opening(**place, assignment=value_digest(assignment), body=body, nonce=nonce)

    def commitment(self, member: NodeId) -> Commit:
        assignment = self.bodies[member][2]
        place = self._place(member, assignment.round)
        return Commit(**place, assignment=value_digest(assignment), commit=self._commitment(member))

    def hear(self, member: NodeId, value: Value) -> None:
        (signed,) = self.town.sign(self.town.identities[member], value)
        self.feed(Received(member, value, signed))

    def _place(self, member: NodeId, number: int) -> dict[str, Any]:
        return {
            "network": self.town.network,
            "agreement": self.state.agreement_id,
            "round": number,
            "member": member,
        }

    def _assigned(self, member: NodeId, value: Assignment) -> None:
        place = self._place(member, value.round)
        self.hear(member, Ack(**place, assignment=value_digest(value), refusal=""))
        self.hear(member, Started(**place))
        self.bodies[member] = (self._body(member), digest("nonce", member, value.agreement), value)
        self.hear(member, self.commitment(member))

    def _commitment(self, member: NodeId) -> Digest:
        body, nonce, assignment = self.bodies[member]
        return commit_digest(self.town.network, value_digest(assignment), member, body, nonce)

    def output(self, says: str) -> bytes:
        stdout = b"result" if says in ("right", "withholds") else says.encode()
        return encode(Output(status="success", exit_code=0, stdout=stdout))

    def _body(self, member: NodeId) -> ClaimBody:
        says, log = self._says(member), encode(Log(stderr=b""))
        output, job_id = self.output(says), self.state.job_id
        if self.secret is None:
            tags = public_result_tag(output), public_log_tag(log)
        else:
            key, agreement = out_key(self.secret.content_key), self.state.agreement_id
            tags = result_tag(key, job_id, agreement, output), log_tag(key, job_id, agreement, log)
        copy = output if self.secret is None else digest("copy", member, output)
        self.copies[member] = copy
        return ClaimBody(
            vote=Vote(
                status="wall_clock" if says == "fail" else "success", tag=tags[0], log_tag=tags[1], fuel_bucket=1 << 20
            ),
            result_digest=blob_digest(copy),
            result_bytes=len(copy),
            log_digest=blob_digest(log),
            log_bytes=len(log),
            memory_bucket_bytes=MIB,
            cpu_bucket_ms=1,
            in_bucket_bytes=1,
            out_bucket_bytes=1,
            isolation=("landlock", "rlimits", "seccomp"),
        )

    def _closed(self, member: NodeId, close: RoundClose) -> None:
        body, place = self.bodies[member][0], self._place(member, close.round)
        self.hear(member, self.opening(member))
        self.hear(
            member,
            Delivery(**place, result_digest=body.result_digest, log_digest=body.log_digest, result=b"", log=b""),
        )
