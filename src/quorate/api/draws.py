"""Verifies a draw before the input key is wrapped for anyone (protocol messages 3 and 4).

The requester's node is not to be trusted with the input, so neither is its word on who may see it. Checked in this
order; the first check that fails refuses the draw, and no key is wrapped:

1. the agreement is the job's, on its terms, signed by the node that the job names;
2. the escrow of this agreement is open: a ledger event, proven under a checkpoint that a ledger key of the genesis
   signed, by the sequencer the agreement names, which is neither requester nor node;
3. the roster is the one the agreement commits to;
4. the order follows from agreement and beacon; it is computed here. Rounds and reserves are no more than the roster
   allows;
5. each member's offer is the one in the roster, signed by that member, of the agreed engine, alive when the escrow
   opened, and within the requester's policy.

Draws that come in one answer share rosters, offers, keys and signatures: what does not depend on the job is checked
once for the answer (`Evidence`), never carried over to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from quorate.cohort.selection import draw_order, draw_seed, reserves_for, rounds_allowed, wrapped_members
from quorate.crypto.batch import draw_salts, sign_batch
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import Identity, node_id
from quorate.crypto.wrapping import check_seal_public
from quorate.errors import BadCommitment, BadSignature, PolicyRefused
from quorate.model.agreement import Agreement, EscrowOpened, Roster, RosterEntry
from quorate.model.codec import decode
from quorate.model.evidence import Signed
from quorate.model.job import Job
from quorate.model.network import Checkpoint, Genesis
from quorate.model.offer import Offer
from quorate.model.policy import Proof
from quorate.model.signature import Stamp
from quorate.model.submission import Draw, Draws
from quorate.model.units import Digest, JobId, NodeId
from quorate.node.ledger_view import check_checkpoint, check_inclusion
from quorate.node.postbox import Directory, Postbox, StampBook


class Drawn(NamedTuple):
    """Who may be given the key of a job: the agreement's digest, and the offers of the members in the order of the
    draw."""

    agreement: Digest
    offers: tuple[Offer, ...]


class Evidence(NamedTuple):
    """What the draws of one answer rest on, by digest, and what was found good: offers of members, checkpoints."""

    rosters: dict[Digest, Roster]
    offers: dict[Digest, Signed]
    members: dict[RosterEntry, Offer]
    checkpoints: dict[Signed, Checkpoint]


class Notary:
    """Signs for the client and verifies what others signed, on one network. It remembers verified stamps, and may be
    used from several threads."""

    def __init__(self, identity: Identity, genesis: Genesis, draw: Callable[[int], bytes]) -> None:
        self.genesis = genesis
        self.network = value_digest(genesis)
        self.identity = identity
        accounts = [account.bundle for account in genesis.accounts]
        directory = Directory([*genesis.ledger, *accounts, identity.bundle])
        self._lock = Lock()
        self._draw = draw
        self._postbox = Postbox(identity, self.network, directory, StampBook(_no_stamp), draw)

    def sign_jobs(self, jobs: Sequence[tuple[JobId, bytes]]) -> tuple[list[Signed], Stamp]:
        """One stamp over all `jobs`, each an id and the bytes that it is the digest of."""
        return self.sign("job", [(Digest(job_id), body) for job_id, body in jobs])

    def sign(self, noun: str, bodies: Sequence[tuple[Digest, bytes]]) -> tuple[list[Signed], Stamp]:
        """One stamp over all `bodies`, each with its digest under `noun`."""
        leaves = [(noun, key) for key, _ in bodies]
        signatures = sign_batch(self.identity, self.network, leaves, draw_salts(self._draw, len(bodies)))
        stamp = signatures[0].stamp
        key = value_digest(stamp)
        signed = [
            Signed(
                noun=noun,
                body=body,
                signer=self.identity.node_id,
                stamp=key,
                index=signature.index,
                salt=signature.salt,
                path=signature.path,
            )
            for (_, body), signature in zip(bodies, signatures, strict=True)
        ]
        return signed, stamp

    def evidence(self, answer: Draws) -> Evidence:
        """What `answer` brings for all its draws; believed of it is nothing yet."""
        with self._lock:
            for bundle in answer.bundles:
                if node_id(bundle) not in self._postbox.directory:
                    self._postbox.directory.add(bundle)
            for stamp in answer.stamps:
                self._postbox.stamps.add(stamp)
        return Evidence(
            {value_digest(roster): roster for roster in answer.rosters},
            {body_digest("offer", signed.body): signed for signed in answer.offers},
            {},
            {},
        )

    def check(self, draw: Draw, evidence: Evidence, job: Job, job_id: JobId) -> Drawn:
        """The members of `draw`. Raises PeerError or PolicyRefused: then nothing may be wrapped."""
        with self._lock:
            terms = self._terms(draw, job, job_id)
            agreement = body_digest("agreement", draw.agreement.body)
            opened = self._opened(draw, terms, agreement, evidence.checkpoints)
            roster = evidence.rosters.get(Digest(terms.roster))
            if roster is None:
                raise BadCommitment("not the one the agreement commits to", field="roster")
            members = _members(roster, terms, agreement, opened)
            return Drawn(agreement, tuple(self._offer(entry, evidence, (terms, opened, job)) for entry in members))

    def _terms(self, draw: Draw, job: Job, job_id: JobId) -> Agreement:
        signed, core = draw.agreement, job.core
        if signed.noun != "agreement" or signed.signer != core.node:
            raise BadSignature("not signed by the node that the job names", field="agreement")
        self._postbox.verify(signed)
        terms = decode(signed.body, Agreement)
        named = (terms.network, terms.job, terms.requester, terms.node)
        if draw.job != job_id or named != (core.network, job_id, core.requester, core.node):
            raise BadCommitment("of another job", field="agreement")
        if terms.proof != core.proof or terms.timeouts != core.timeouts:
            raise BadCommitment("not on the terms of the job", field="agreement")
        return terms

    def _opened(
        self, draw: Draw, terms: Agreement, agreement: Digest, checked: dict[Signed, Checkpoint]
    ) -> EscrowOpened:
        sequencer = terms.ledger_trust.sequencer
        if draw.escrow.checkpoint.signer != sequencer:
            raise BadSignature("the checkpoint is not of the sequencer that the agreement names", field="sequencer")
        if sequencer in (terms.requester, terms.node):
            raise PolicyRefused(
                "the requester's side orders the ledger itself",
                field="ledger_trust",
                fix="use an independent sequencer",
            )
        signed = draw.escrow.checkpoint
        if signed not in checked:
            checked[signed] = check_checkpoint(signed, self.genesis, self._postbox)
        check_inclusion(draw.escrow, checked[signed])
        opened = decode(draw.escrow.event, EscrowOpened)
        if (opened.network, opened.agreement, opened.job) != (self.network, agreement, terms.job):
            raise BadCommitment("the escrow of another agreement", field="escrow")
        return opened

    def _offer(self, entry: RosterEntry, evidence: Evidence, context: tuple[Agreement, EscrowOpened, Job]) -> Offer:
        offer = evidence.members.get(entry)
        if offer is None:
            offer = evidence.members[entry] = self._promised(entry, evidence.offers)
        terms, opened, job = context
        if offer.engine != terms.engine or offer.expires_ms < opened.time_ms:
            name = entry.provider.hex()[:8]
            raise BadCommitment(f"the offer of member {name} does not serve this agreement", field="offer")
        self._refuse_by_policy(offer, job)
        return offer

    def _promised(self, entry: RosterEntry, offers: dict[Digest, Signed]) -> Offer:
        """The offer that a roster names: as its member signed it, whatever the job is."""
        signed, name = offers.get(Digest(entry.offer)), entry.provider.hex()[:8]
        if signed is None or signed.noun != "offer" or signed.signer != entry.provider:
            raise BadSignature(f"no offer signed by member {name}", field="offer")
        self._postbox.verify(signed)
        offer = offer_of(signed.body)
        if (offer.network, offer.provider, offer.operator) != (self.network, entry.provider, entry.operator):
            raise BadCommitment(f"the offer of member {name} is not what the roster says", field="offer")
        check_seal_public(offer.seal_key)
        return offer

    def _refuse_by_policy(self, offer: Offer, job: Job) -> None:
        """The node has matched by the same policy; the client does not take its word for it."""
        policy, name = job.core.policy, offer.provider.hex()[:8]
        not_allowed = set(offer.simulated) - set(policy.allow)
        if not_allowed:
            raise PolicyRefused(
                f"member {name} simulates {min(not_allowed)}", field="allow", fix=f"allow {min(not_allowed)} by name"
            )
        regions = job.core.regions
        if regions and offer.region not in regions:
            raise PolicyRefused(f"member {name} is in {offer.region}", field="regions", limit=", ".join(regions))
        if lacking := offer.lacks(job.core.resources):
            raise PolicyRefused(f"member {name} has {lacking}", field="resources", fix="ask for less")
        if not set(policy.jail_layers_min) <= set(offer.isolation):
            raise PolicyRefused(
                f"member {name} lacks a jail layer", field="jail_layers_min", limit=", ".join(policy.jail_layers_min)
            )
        bundle = self._postbox.directory[offer.provider]
        if bundle.suite not in self.genesis.suites:
            raise PolicyRefused(
                f"member {name} signs with {bundle.suite}", field="suite", limit=", ".join(self.genesis.suites)
            )
        if policy.require_post_quantum and not bundle.suite.post_quantum:
            raise PolicyRefused(f"member {name} signs with {bundle.suite}", field="suite", limit="post-quantum suites")


def places(proof: Proof) -> int:
    """How many members one round may come to: K, or two for a re-run (the claim and its re-execution)."""
    return 2 if proof.method == "rerun" else proof.replicas


def _members(roster: Roster, terms: Agreement, agreement: Digest, opened: EscrowOpened) -> tuple[RosterEntry, ...]:
    """The roster's entries for the members to wrap for. More rounds or reserves than the roster allows would show the
    input to more eyes."""
    size = places(terms.proof)
    providers = [entry.provider for entry in roster.entries]
    if providers != sorted(set(providers)):
        raise BadCommitment("not sorted, or a provider twice", field="roster")
    if terms.rounds > rounds_allowed(roster, size) or terms.reserves > reserves_for(roster, size, terms.rounds):
        raise BadCommitment(
            f"{terms.rounds} rounds and {terms.reserves} reserves", field="rounds", limit="what the roster allows"
        )
    order = draw_order(roster, draw_seed(agreement, opened.beacon))
    entries = {entry.provider: entry for entry in order}
    return tuple(entries[NodeId(member)] for member in wrapped_members(order, size, terms.rounds, terms.reserves))


@lru_cache(maxsize=1024)
def offer_of(body: bytes) -> Offer:
    return decode(body, Offer)


def _no_stamp(key: Digest) -> Stamp | None:
    """What did not come with a draw is not there."""
    return None
