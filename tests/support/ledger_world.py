"""A small network around the ledger: identities with real keys, a clock, and the statements of one agreement by its
parties.

world = World(providers=6); deal = world.open(k=3); claims = [deal.claim(member) for member in deal.members[:3]]
world.post(world.node, deal.settle(claims))      one transaction, one block; the answer is a `Reply`
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from quorate.cohort.selection import rounds_allowed
from quorate.crypto.batch import SuitePolicy, Verifier, sign_batch
from quorate.crypto.digests import blob_digest, digest, value_digest
from quorate.crypto.signing import Identity
from quorate.errors import BadSignature
from quorate.ledger.archive import Archive, put_away, rows
from quorate.ledger.ballots import Terms, Verify
from quorate.ledger.blocks import Reply, encode_block, next_context, produce, replay
from quorate.ledger.call import AuthenticatedTx, read_transaction
from quorate.ledger.journal import Journal
from quorate.ledger.state import State, genesis_state
from quorate.market.pricing import places, price_at_most, term_ms_least
from quorate.model.agreement import Agreement, EscrowOpened, LedgerTrust, Roster, RosterEntry
from quorate.model.assignment import Assignment, CancelAck
from quorate.model.claim import ClaimBody, Commit, DeliveryAck, Opening, RoundAbort, RoundClose, Vote
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.evidence import Signed
from quorate.model.identity import Suite
from quorate.model.job import Job, JobCore, ResourceLimits
from quorate.model.network import Account, Caps, Genesis, Windows
from quorate.model.offer import Offer, Prices
from quorate.model.policy import Policy, Proof, Timeouts
from quorate.model.program import Program
from quorate.model.resources import PLAIN
from quorate.model.signature import Signature
from quorate.model.transaction import Cancel, ForceCommit, ForceReveal, ForceRound, OpenEscrow, PostOffer, Settle
from quorate.model.units import Digest, NodeId
from quorate.verify.claims import commit_digest

START_MS = 1_000_000
BOND = 5_000
BALANCE = 10_000_000
LIMITS = ResourceLimits(memory_bytes=1 << 20, fuel=10_000_000, run_ms=1_000, output_bytes=1 << 16)
TIMEOUTS = Timeouts(match_ms=1_000, transfer_ms=1_000, run_ms=1_000, verify_ms=1_000)
WINDOWS = Windows(commit_ms=2_000, reveal_ms=2_000, cancel_ms=2_000)
POLICY = Policy(require_post_quantum=False, jail_layers_min=(), allow=(), reputation_min=0)
AUDIT_SEED = b"\x07" * 32


def seeded(name: str) -> Identity:
    """The same keys in every run."""
    return Identity.generate(Suite.ED25519, lambda size: hashlib.shake_256(name.encode()).digest(size))


class Signatures:
    """Real batches of one leaf each; the stamps travel beside them."""

    def __init__(self, network: Digest) -> None:
        self._network = network
        self._stamps: dict[bytes, Any] = {}
        self._bundles: dict[NodeId, Any] = {}
        self._verifier = Verifier(self._bundles, network, SuitePolicy())

    def know(self, identity: Identity) -> None:
        self._bundles[identity.node_id] = identity.bundle

    def sign(self, identity: Identity, value: Value) -> Signed:
        self.know(identity)
        (signature,) = sign_batch(identity, self._network, [(noun(value), value_digest(value))], [b"\0" * 16])
        stamp = value_digest(signature.stamp)
        self._stamps[stamp] = signature.stamp
        return _signed(identity, value, stamp, signature.salt)

    def verify(self, signed: Signed) -> None:
        stamp = self._stamps.get(signed.stamp)
        if stamp is None or stamp.signer != signed.signer:
            raise BadSignature("no such stamp", field="stamp")
        signature = Signature(stamp=stamp, index=signed.index, salt=signed.salt, path=signed.path)
        self._verifier.check(signature, signed.noun, digest(signed.noun, signed.body))


class Notes:
    """Instead of signatures, a list of what was said: for long simulations. Nothing else verifies."""

    def __init__(self, network: Digest) -> None:
        self._said: set[tuple[bytes, str, bytes]] = set()

    def sign(self, identity: Identity, value: Value) -> Signed:
        self._said.add((identity.node_id, noun(value), encode(value)))
        return _signed(identity, value, Digest(b"\0" * 32), b"\0" * 16)

    def verify(self, signed: Signed) -> None:
        if (signed.signer, signed.noun, signed.body) not in self._said:
            raise BadSignature("never said", field="signature")


def _signed(identity: Identity, value: Value, stamp: Digest, salt: bytes) -> Signed:
    return Signed(
        noun=noun(value), body=encode(value), signer=identity.node_id, stamp=stamp, index=0, salt=salt, path=()
    )


class Claim(NamedTuple):
    """One member's claim with everything around it."""

    member: NodeId
    round: int
    assignment: Signed
    commit: Signed
    opening: Opening
    result: bytes

    @property
    def commitment(self) -> Digest:
        return decode(self.commit.body, Commit).commit


class World:
    """`rows` are the blocks as they would be on disk: `crash()` forgets everything else. `archived`: what nothing
    changes any more leaves the state for `disk` after each block, as with the sequencer."""

    def __init__(
        self,
        providers: int = 6,
        gate: int = 0,
        signatures: type[Signatures] | type[Notes] = Signatures,
        nodes: int = 1,
        archived: bool = False,
    ) -> None:
        self.sequencer, self.requester = seeded("sequencer"), seeded("requester")
        self.node, self.stranger = seeded("node"), seeded("stranger")
        self.providers = [seeded(f"provider {place}") for place in range(providers)]
        self.extra = [seeded(f"extra {place}") for place in range(nodes - 1)]
        registered = [self.requester, self.node, *self.extra]
        accounts = [Account(who.bundle, "requester", BALANCE, 20_000) for who in registered]  # type: ignore[arg-type]
        accounts += [Account(who.bundle, "provider", 1_000, 20_000) for who in self.providers]  # type: ignore[arg-type]
        self.genesis = Genesis(
            epoch_ms=3_600_000,
            name="test",
            ledger=(self.sequencer.bundle,),
            suites=(Suite.ED25519,),
            caps=Caps(limits=LIMITS, input_bytes=1 << 20, program_bytes=1 << 20, replicas=16),
            windows=WINDOWS,
            bond_micro=BOND,  # type: ignore[arg-type]
            threshold=(7, 10),
            reputation_gate=gate,
            accounts=tuple(accounts),
            created_ms=START_MS,  # type: ignore[arg-type]
            seed=b"\x01" * 32,
        )
        self.network = value_digest(self.genesis)
        self.signatures = signatures(self.network)
        self.identities = {who.node_id: who for who in (*registered, *self.providers, self.stranger, self.sequencer)}
        self.disk: dict[tuple[str, bytes], bytes] = {}
        self.archive = Archive(lambda kind, key: self.disk.get((kind, key))) if archived else None
        self.state: State = genesis_state(self.genesis, self.archive)
        self.journal = Journal(self.archive.tile) if self.archive else Journal()
        self.rows: list[bytes] = []
        self.now = START_MS
        self.offers: dict[NodeId, Offer] = {}
        self._jobs = 0

    def tx(self, who: Identity, value: Value) -> AuthenticatedTx:
        return read_transaction(noun(value), encode(value), who.node_id)

    def post(self, who: Identity, value: Value, verify: Verify | None = None) -> Reply:
        """One transaction in a block of its own, as the sequencer would do it."""
        entropy = digest("test entropy", len(self.rows).to_bytes(8, "big"))
        context = next_context(self.state, self.now, entropy)
        made = produce(self.state, self.journal, [self.tx(who, value)], context, verify or self.signatures.verify)
        self.state = made.state
        if made.block:
            self.rows.append(encode_block(made.block))
        if made.block and self.archive:
            for kind, key, row in rows(made.final, made.block.height, self.journal.full_tiles()):
                self.disk[kind, key] = row
            self.state = put_away(self.state, made.final)
            self.journal.put_away(made.block.size)
        return made.replies[0]

    def status(self, who: Identity, value: Value) -> str:
        return str(self.post(who, value).answer.status)

    def wait(self, ms: int) -> None:
        self.now += ms

    def crash(self) -> None:
        """The process is gone; the rows lead back to the same state."""
        before = self.state.digest, self.journal.root()
        self.state, self.journal = replay(self.genesis, self.rows, archive=self.archive)
        assert (self.state.digest, self.journal.root()) == before

    def balance(self, who: Identity | NodeId) -> int:
        return self.state.accounts[who if isinstance(who, bytes) else who.node_id].balance_micro

    def stake(self, who: Identity | NodeId) -> int:
        return self.state.accounts[who if isinstance(who, bytes) else who.node_id].stake_micro

    def score(self, who: NodeId) -> int:
        return self.state.accounts[who].score

    def offer(self, who: Identity, **changes: Any) -> Offer:
        offer = Offer(
            network=self.network,
            provider=who.node_id,
            operator=who.node_id.hex()[:8],
            prices=Prices(base_micro=100, per_mega_fuel_micro=10, attempt_micro=20),  # type: ignore[arg-type]
            seal_key=b"",
            engine="engine 1",
            capabilities=(),
            isolation=(),
            simulated=(),
            device_class="Community",
            region="",
            memory_bytes_max=1 << 30,
            fuel_max=10**12,  # type: ignore[arg-type]
            cpu_cores=2,
            storage_bytes=1 << 30,
            stated_bandwidth_bytes_per_s=0,
            gpu_units=0,
            slots=1,
            issued_ms=self.now,  # type: ignore[arg-type]
            expires_ms=self.now + 10_000_000,  # type: ignore[arg-type]
        )
        return msgspec.structs.replace(offer, **changes)

    def stand(self, who: Identity, **changes: Any) -> Offer:
        """Posts an offer; the provider's newest goes into rosters."""
        offer = self.offer(who, **changes)
        value = PostOffer(network=self.network, offer=self.signatures.sign(who, offer))
        assert self.status(who, value) == "ok"
        self.offers[who.node_id] = offer
        return offer

    def offers_of(self, deal: Deal) -> Mapping[NodeId, Prices]:
        """The prices under which the members of a deal work, whatever they offer now."""
        return self.state.escrows[deal.id].terms.prices

    def roster(self) -> Roster:
        entries = [
            RosterEntry(offer=value_digest(offer), provider=key, operator=offer.operator, weight=100)
            for key, offer in sorted(self.offers.items())
        ]
        return Roster(network=self.network, entries=tuple(entries))

    def job(self, **changes: Any) -> Job:
        """A public job; a change goes to the core, or to the job for one of its own fields."""
        self._jobs += 1
        core = JobCore(
            network=self.network,
            requester=self.requester.node_id,
            node=self.node.node_id,
            program=Program(
                kind="wasm",
                digest=Digest(b"\x02" * 32),
                size_bytes=100,
                profile="pure",
                entry="run",
                wasm_tier="light",
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
            proof=Proof(method="quorum", replicas=3, threshold=0, one_in=1),
            budget_micro=1_000_000,  # type: ignore[arg-type]
            timeouts=TIMEOUTS,
            expires_ms=self.now + 100_000_000,  # type: ignore[arg-type]
            regions=(),
            priority=0,
            policy=POLICY,
            wrap_authority="client",
            dispute_disclosure="none",
            nonce=self._jobs.to_bytes(32, "big"),
        )
        own = {name: changes.pop(name) for name in ("input_bytes",) if name in changes}
        job = Job(
            core=msgspec.structs.replace(core, **changes),
            input_digest=Digest(b"\x03" * 32),
            input_bytes=10,
            pedersen=b"",
            salted=b"",
            key_commitment=b"",
            out_key_commitment=b"",
            ownership_proof=b"",
        )
        return msgspec.structs.replace(job, **own)

    def agreement(self, job: Job, roster: Roster, /, **changes: Any) -> Agreement:
        proof = job.core.proof
        rounds = changes.get("rounds") or rounds_allowed(roster, proof.replicas)
        tariffs = [offer.prices for offer in self.offers.values()]
        agreement = Agreement(
            network=self.network,
            job=value_digest(job),  # type: ignore[arg-type]
            requester=job.core.requester,
            node=job.core.node,
            roster=value_digest(roster),
            proof=proof,
            rounds=rounds,
            reserves=0,
            timeouts=job.core.timeouts,
            price_max_micro=max(price_at_most(tariff, job.core.fuel_most) for tariff in tariffs),
            attempt_max_micro=max(tariff.attempt_micro for tariff in tariffs),
            bond_micro=BOND,  # type: ignore[arg-type]
            engine="engine 1",
            ledger_trust=LedgerTrust(kind="sequencer", sequencer=self.sequencer.node_id),
            audit_commitment=digest("audit-seed", AUDIT_SEED),
            settle_by_ms=self.now + term_ms_least(job.core.timeouts, rounds, WINDOWS) + 10_000,  # type: ignore[arg-type]
        )
        return msgspec.structs.replace(agreement, **changes)

    def order(self, job: Job, agreement: Agreement, roster: Roster | None) -> OpenEscrow:
        """The transaction that opens the escrow."""
        owner, node = self.identities[job.core.requester], self.identities[job.core.node]
        return OpenEscrow(
            network=self.network,
            job=self.signatures.sign(owner, job),
            agreement=self.signatures.sign(node, agreement),
            roster=roster,
        )

    def open(
        self,
        method: str = "quorum",
        k: int = 3,
        threshold: int = 0,
        one_in: int = 1,
        terms: dict[str, Any] | None = None,
    ) -> Deal:
        """An agreement with its escrow open."""
        if not self.offers:
            for who in self.providers:
                self.stand(who)
        proof = Proof(method=method, replicas=k if method == "quorum" else 1, threshold=threshold, one_in=one_in)  # type: ignore[arg-type]
        job, roster = self.job(proof=proof), self.roster()
        agreement = self.agreement(job, roster, **(terms or {}))
        reply = self.post(self.node, self.order(job, agreement, roster))
        assert reply.answer.status == "ok", reply.answer
        return Deal(self, agreement, decode(reply.events[0].event, EscrowOpened))


class Deal:
    """One agreement and what its parties may say about it."""

    def __init__(self, world: World, agreement: Agreement, opened: EscrowOpened) -> None:
        self.world, self.agreement, self.opened = world, agreement, opened
        self.id = opened.agreement
        self.node = world.identities[agreement.node]

    @property
    def terms(self) -> Terms:
        return self.world.state.escrows[self.id].terms

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Who may be asked, in draw order."""
        return self.terms.members

    def cohort(self, number: int = 1) -> tuple[NodeId, ...]:
        width = places(self.agreement.proof)
        return self.members[(number - 1) * width : number * width]

    def _place(self, number: int) -> dict[str, Any]:
        return {"network": self.world.network, "agreement": self.id, "round": number}

    def sign(self, who: NodeId | Identity, value: Value) -> Signed:
        identity = who if isinstance(who, Identity) else self.world.identities[who]
        return self.world.signatures.sign(identity, value)

    def assignment(self, member: NodeId, number: int = 1) -> Signed:
        value = Assignment(**self._place(number), member=member, cohort=Digest(b"\x04" * 32), wrap=b"")
        return self.sign(self.node, value)

    def claim(
        self, member: NodeId, number: int = 1, tag: str = "right", fuel: int = 1_000_000, status: str = "success"
    ) -> Claim:
        result = f"result {tag} of {member.hex()}".encode()
        body = ClaimBody(
            vote=Vote(status=status, tag=digest("tag", tag.encode()), log_tag=digest("log"), fuel_bucket=fuel),  # type: ignore[arg-type]
            result_digest=blob_digest(result),
            result_bytes=len(result),
            log_digest=blob_digest(b""),
            log_bytes=0,
            memory_bucket_bytes=0,
            cpu_bucket_ms=0,
            in_bucket_bytes=0,
            out_bucket_bytes=0,
            isolation=(),
        )
        return self.claim_of(member, number, body, result)

    def claim_of(self, member: NodeId, number: int, body: ClaimBody, result: bytes, nonce: bytes = b"") -> Claim:
        assignment = self.assignment(member, number)
        assigned, nonce = digest("assignment", assignment.body), nonce or digest("nonce", self.id, member)
        commit = Commit(
            **self._place(number),
            assignment=assigned,
            member=member,
            commit=commit_digest(self.world.network, assigned, member, body, nonce),
        )
        opening = Opening(**self._place(number), assignment=assigned, member=member, body=body, nonce=nonce)
        return Claim(member, number, assignment, self.sign(member, commit), opening, result)

    def close(self, claims: Sequence[Claim], number: int = 1, **changes: Any) -> Signed:
        ordered = sorted(claims, key=lambda claim: self.members.index(claim.member))
        value = RoundClose(
            **self._place(number),
            members=tuple(claim.member for claim in ordered),
            commits=tuple(claim.commitment for claim in ordered),
            salt=b"\x05" * 32,
            audit_seed=AUDIT_SEED,
        )
        return self.sign(self.node, msgspec.structs.replace(value, **changes))

    def abort(self, number: int = 1, reason: str = "too few") -> Signed:
        return self.sign(self.node, RoundAbort(**self._place(number), reason=reason))

    def ack(self, claim: Claim, number: int | None = None) -> Signed:
        value = DeliveryAck(
            **self._place(claim.round if number is None else number), result_digest=claim.opening.body.result_digest
        )
        return self.sign(self.node, value)

    def cancel_ack(self, member: NodeId, committed: bool) -> Signed:
        value = CancelAck(network=self.world.network, agreement=self.id, member=member, committed=committed)
        return self.sign(member, value)

    def round(self, claims: Sequence[Claim]) -> list[Signed]:
        """All signed statements of one closed round."""
        said = [item for claim in claims for item in (claim.assignment, claim.commit)]
        return [*said, self.close(claims, claims[0].round)]

    def settle(
        self, *rounds: Sequence[Claim], ack: bool = True, drop: Sequence[Signed] = (), add: Sequence[Signed] = ()
    ) -> Settle:
        """The whole evidence; with `ack`, of a delivery by the first member of the last round."""
        evidence = [item for claims in rounds for item in self.round(claims)]
        evidence += [self.ack(rounds[-1][0])] if ack else []
        kept = tuple(item for item in (*evidence, *add) if item not in drop)
        openings = tuple(claim.opening for claims in rounds for claim in claims)
        return Settle(network=self.world.network, agreement=self.id, evidence=kept, openings=openings, outcome=b"")

    def cancel(self, *evidence: Signed) -> Cancel:
        return Cancel(network=self.world.network, agreement=self.id, evidence=evidence)

    def force(self, claim: Claim, *more: Signed) -> ForceRound:
        return ForceRound(**self._place(claim.round), evidence=(claim.assignment, claim.commit, *more))

    def force_commit(self, claim: Claim) -> ForceCommit:
        return ForceCommit(**self._place(claim.round), evidence=(claim.assignment, claim.commit))

    def pin(self, close: Signed, number: int = 1) -> ForceCommit:
        return ForceCommit(**self._place(number), evidence=(close,))

    def reveal(self, claim: Claim, result: bytes | None = None) -> ForceReveal:
        data = claim.result if result is None else result
        return ForceReveal(**self._place(claim.round), opening=claim.opening, result=data)
