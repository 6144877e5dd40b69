"""Steps 0 to 7 of checking a receipt: its form, the network, keys and signatures, the job, the agreement, the roster,
the escrow.

Each step is a function from the case to a sentence about what holds; what does not hold raises.
"""

from __future__ import annotations

from itertools import pairwise

from quorate.cohort.selection import operators
from quorate.crypto import merkle
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.ownership import verify as verify_ownership
from quorate.crypto.signing import check_bundle, node_id
from quorate.jobs.admission import check_caps, ownership_statement
from quorate.jobs.receipt_case import Case, Fault, body_of, require, short
from quorate.ledger.escrow import OWN_SEQUENCER
from quorate.ledger.journal import event_leaf
from quorate.market.pricing import escrow_micro, price_at_most, spend_at_most
from quorate.model.agreement import RosterEntry
from quorate.model.codec import decode, encode
from quorate.model.evidence import Proven, Signed
from quorate.model.network import Checkpoint
from quorate.model.offer import Offer
from quorate.model.outcome import Receipt
from quorate.model.units import ROUNDS_MAX, Digest


def check_form(case: Case) -> str:
    """Step 0. One byte form within the size limit, its lists sorted, its rounds numbered."""
    data = encode(case.receipt)
    require(decode(data, Receipt) == case.receipt, "it does not decode to itself")
    stamps = [value_digest(stamp) for stamp in case.receipt.stamps]
    keys = [node_id(bundle) for bundle in case.receipt.bundles]
    for name, items in (("stamps", stamps), ("key bundles", keys)):
        require(all(low < high for low, high in pairwise(items)), f"its {name} are not sorted, or one is there twice")
    numbers = [record.round for record in case.receipt.rounds]
    require(numbers == [*range(1, len(numbers) + 1)], "its rounds are not numbered from 1 on")
    return f"a receipt of {len(data)} bytes, {len(numbers)} round(s)"


def check_network(case: Case, pinned: Digest | None) -> str:
    """Step 1. The genesis in the receipt is that of the pinned network."""
    if pinned is None:
        return f"it speaks of network {case.network.hex()}, which nothing vouches for: no network id was given"
    require(case.network == pinned, f"it is of network {case.network.hex()}, not of {pinned.hex()}")
    return f"of network {case.network.hex()}"


def check_keys(case: Case) -> str:
    """Step 2. A NodeId is the digest of its key bundle, so that bundles vouch for themselves; all of accepted
    suites."""
    signers = {signed.signer for signed in case.signed}
    known = {node_id(account.bundle) for account in case.receipt.genesis.accounts} | case.ledger
    for bundle in case.receipt.bundles:
        name = short(node_id(bundle))
        require(bundle.suite in case.receipt.genesis.suites, f"{name} has {bundle.suite}, which the network refuses")
        require(node_id(bundle) in signers, f"the key bundle of {name} signs nothing")
        check_bundle(bundle)
    missing = signers - {node_id(bundle) for bundle in case.receipt.bundles}
    require(not missing, f"the key bundle of {short(min(missing, default=b''))} is missing")
    return (
        f"{len(signers)} signers, {len(signers & known)} of them in the genesis; the ledger registered the others "
        "before it took their word"
    )


def check_signatures(case: Case) -> str:
    """Step 3. Every statement has its leaf under a stamp of its signer; no stamp is idle."""
    for signed in case.signed:
        case.verify(signed)
    idle = {value_digest(stamp) for stamp in case.receipt.stamps} - {signed.stamp for signed in case.signed}
    require(not idle, f"stamp {short(min(idle, default=b''))} signs nothing")
    return f"{len(case.signed)} statements under {len(case.receipt.stamps)} signatures"


def check_job(case: Case) -> str:
    """Step 4. The job is its requester's, within the network's caps; a private one shows its ownership proof."""
    job, core = case.job, case.job.core
    require(case.receipt.job.signer == core.requester, "the job is not signed by its requester")
    require(core.network == case.network, "the job is for another network")
    check_caps(job, case.receipt.genesis)
    if job.private:
        verify_ownership(ownership_statement(job), job.ownership_proof)
    kind = "private" if job.private else "public"
    return f"{kind} job {case.job_id.hex()} of {short(core.requester)}"


def check_agreement(case: Case) -> str:
    """Step 5. The agreement is of this job, on its terms, by the node that the job names."""
    terms, core = case.agreement, case.job.core
    require(case.receipt.agreement.signer == core.node, "the agreement is not signed by the node that the job names")
    named = (terms.network, terms.job, terms.requester, terms.node)
    require(named == (case.network, case.job_id, core.requester, core.node), "the agreement is of another job")
    require(terms.proof == core.proof, "the agreement has another proof method than the job")
    require(terms.timeouts == core.timeouts, "the agreement has other clocks than the job")
    require(terms.bond_micro == case.receipt.genesis.bond_micro, "the bond is not that of the network")
    require(spend_at_most(terms) <= core.budget_micro, "the agreement may cost more than the budget of the job")
    trust = terms.ledger_trust
    known = trust.kind == "sequencer" and trust.sequencer in case.ledger
    require(known, "the agreement trusts a ledger that is not of this network")
    own = trust.sequencer in (terms.requester, terms.node)
    require(not own or OWN_SEQUENCER in core.policy.allow, "the requester's side orders the ledger itself")
    return f"{terms.proof.method}, up to {terms.rounds} round(s), at most {spend_at_most(terms)} micro-credits"


def check_roster(case: Case) -> str:
    """Step 6. The roster is the one agreed on; each offer is its provider's, is in it, and fits the job."""
    roster, terms = case.receipt.roster, case.agreement
    require(value_digest(roster) == terms.roster, "the roster is not the one of the agreement")
    require(roster.network == case.network, "the roster is of another network")
    providers = [entry.provider for entry in roster.entries]
    require(bool(providers), "the roster is empty")
    require(all(low < high for low, high in pairwise(providers)), "the roster is not sorted, or names one twice")
    entries = {entry.provider: entry for entry in roster.entries}
    for signed in case.receipt.offers:
        _check_offer(case, signed, entries.get(signed.signer))
    require(len(case.offers) == len(case.receipt.offers), "two offers of one provider")
    replicas, found = terms.proof.replicas, operators(roster)
    require(terms.rounds <= min(ROUNDS_MAX, found // replicas), f"{terms.rounds} rounds, {found} operators")
    require(terms.reserves <= found - terms.rounds * replicas, f"{terms.reserves} reserves, {found} operators")
    return f"{len(providers)} providers of {found} operators, {len(case.receipt.offers)} offers shown"


def _check_offer(case: Case, signed: Signed, entry: RosterEntry | None) -> None:
    offer, terms, name = body_of(signed, Offer), case.agreement, short(signed.signer)
    if entry is None or body_digest("offer", signed.body) != entry.offer:
        raise Fault(f"the offer of {name} is not the one in the roster")
    named = (offer.network, offer.provider, offer.operator)
    require(named == (case.network, entry.provider, entry.operator), f"the offer of {name} is not as the roster says")
    require(offer.engine == terms.engine, f"{name} offers engine {offer.engine}, agreed was {terms.engine}")
    core = case.job.core
    require(core.limits.fuel <= offer.fuel_max, f"{name} offers less fuel than the job may use")
    require(core.limits.memory_bytes <= offer.memory_bytes_max, f"{name} offers less memory than the job may use")
    lacking = offer.lacks(core.resources)
    require(not lacking, f"{name} has {lacking}")
    require(not core.regions or offer.region in core.regions, f"{name} is in {offer.region}, which the job excludes")
    dear = price_at_most(offer.prices, core.fuel_most) > terms.price_max_micro
    dear = dear or offer.prices.attempt_micro > terms.attempt_max_micro
    require(not dear, f"{name} asks for more than the agreement covers")
    _check_policy(case, offer)


def _check_policy(case: Case, offer: Offer) -> None:
    policy, name = case.job.core.policy, short(offer.provider)
    refused = set(offer.simulated) - set(policy.allow)
    require(not refused, f"{name} simulates {', '.join(sorted(refused))}, which the job refuses")
    require(set(policy.jail_layers_min) <= set(offer.isolation), f"{name} lacks a jail layer that the job demands")
    bundle = next(bundle for bundle in case.receipt.bundles if node_id(bundle) == offer.provider)
    weak = policy.require_post_quantum and not bundle.suite.post_quantum
    require(not weak, f"{name} signs with {bundle.suite}, the job demands post-quantum signatures")


def checkpoint_of(case: Case, proven: Proven, pinned: Checkpoint | None) -> Checkpoint:
    """The checkpoint under which an event stands in the log of the ledger. Raises when it does not."""
    require(proven.checkpoint.signer in case.ledger, "the checkpoint is not signed by the ledger")
    checkpoint = body_of(proven.checkpoint, Checkpoint)
    require(checkpoint.network == case.network, "the checkpoint is of another network")
    require(checkpoint.sequencer in case.ledger, "the checkpoint names another sequencer")
    merkle.verify(checkpoint.root, event_leaf(proven.event), proven.index, checkpoint.size, proven.path)
    if pinned is not None and pinned.size == checkpoint.size:
        require(pinned.root == checkpoint.root, f"the ledger has shown another log of {pinned.size} events")
    return checkpoint


def check_escrow(case: Case, pinned: Checkpoint | None) -> str:
    """Step 7. The ledger opened the escrow of this agreement, while offers and job were alive."""
    checkpoint, opened, terms = checkpoint_of(case, case.receipt.escrow, pinned), case.opened, case.agreement
    named = (opened.network, opened.agreement, opened.job)
    require(named == (case.network, case.agreement_id, case.job_id), "the escrow is of another agreement")
    deposit = case.job.core.call.deposit_micro if case.job.core.call else 0
    require(
        opened.escrow_micro == escrow_micro(terms) + deposit, "the escrow holds another sum than the agreement asks for"
    )
    early = opened.height <= checkpoint.height and opened.time_ms <= checkpoint.time_ms
    require(early, "the escrow is dated after its checkpoint")
    require(opened.time_ms < min(case.job.core.expires_ms, terms.settle_by_ms), "the escrow was opened too late")
    late = [offer for offer in case.offers.values() if offer.expires_ms <= opened.time_ms]
    require(not late, f"the offer of {short(late[0].provider) if late else ''} had expired")
    return f"{opened.escrow_micro} micro-credits held at height {opened.height}, as of checkpoint {checkpoint.height}"
