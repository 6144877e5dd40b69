"""Makes the receipt of a job from its state: the chain, every round, the proofs, the keys, the trust list (protocol
message 12).

Pure: the shell hands in what was signed. The verdict is computed as the ledger computes it, the members' offers are
picked from those given, and stamps and key bundles are reduced to those in use, so that one state has one receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from quorate.cohort.selection import wrapped_members
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import node_id
from quorate.errors import NotFinished
from quorate.jobs.receipt_case import Case, signed_parts
from quorate.jobs.state import JobState, Round
from quorate.jobs.statements import openings
from quorate.jobs.trust import simulated_list, trust_list
from quorate.market.pricing import places
from quorate.model.assignment import Assignment
from quorate.model.claim import RoundAbort, RoundClose
from quorate.model.codec import decode
from quorate.model.evidence import Signed
from quorate.model.identity import KeyBundle
from quorate.model.network import Genesis
from quorate.model.outcome import Receipt, RoundRecord
from quorate.model.signature import Stamp
from quorate.model.units import NodeId
from quorate.verify.verdicts import verdict_of


class KeptKeys(NamedTuple):
    """The keys of signers, and the batches that they signed."""

    bundles: Sequence[KeyBundle]
    stamps: Sequence[Stamp]


def receipt(
    state: JobState,
    *,
    genesis: Genesis,
    offers: Sequence[Signed],
    own: Sequence[Signed],
    keys: KeptKeys,
    outcome: bytes = b"",
) -> Receipt:
    """`offers` are the signed offers that the roster names (at least those of the drawn members), `own` the statements
    of `own_statements(state)`, signed; `outcome` the agreed output of a call. `keys` may be more than are needed.
    Raises NotFinished when there is nothing to show yet."""
    if state.agreement_signed is None or state.roster is None or state.escrow is None or not state.ended_ms:
        raise NotFinished(
            "there is no receipt before the job has ended, nor of a job without an escrow",
            field="job",
            fix="quorate compute status --watch",
        )
    draft = Receipt(
        simulated=(),
        trust=(),
        genesis=genesis,
        job=state.job,
        offers=_offers(state, offers),
        roster=state.roster,
        agreement=state.agreement_signed,
        escrow=state.escrow,
        rounds=tuple(_record(past, own) for past in state.rounds),
        delivery=next((signed for signed in own if signed.noun == "delivery_ack"), None),
        verdict=verdict_of(state.terms, state.agreement_id, (), None, reexecuted=False),
        outcome=outcome,
        settlement=state.settlement,
        bundles=(),
        stamps=(),
    )
    draft = msgspec.structs.replace(draft, verdict=Case(draft).ruling.verdict)
    draft = _with_keys(draft, keys)
    return msgspec.structs.replace(draft, trust=trust_list(draft), simulated=simulated_list(draft))


def drawn_members(state: JobState) -> tuple[NodeId, ...]:
    """Everyone who may be asked, in draw order: those whose offers a receipt shows."""
    terms = state.terms
    return wrapped_members(state.order, places(terms.proof), terms.rounds, terms.reserves)


def _offers(state: JobState, offers: Sequence[Signed]) -> tuple[Signed, ...]:
    assert state.roster is not None
    by_digest = {body_digest("offer", signed.body): signed for signed in offers}
    named = {entry.provider: entry.offer for entry in state.roster.entries}
    found = tuple(by_digest.get(named[member]) for member in drawn_members(state))
    missing = [member for member, signed in zip(drawn_members(state), found, strict=True) if signed is None]
    if missing:
        raise NotFinished(
            f"the offer of member {missing[0].hex()[:8]} that the agreement names is not here",
            field="offers",
            fix="fetch it by its digest from the roster",
        )
    return tuple(signed for signed in found if signed is not None)


def _record(past: Round, own: Sequence[Signed]) -> RoundRecord:
    """One round: members in the order in which they were asked, commitments and openings in that of the closing."""
    asked = {_assigned(signed): signed for signed in own if signed.noun == "assignment"}
    closes = {decode(signed.body, RoundClose).round: signed for signed in own if signed.noun == "round_close"}
    aborts = {decode(signed.body, RoundAbort).round: signed for signed in own if signed.noun == "round_abort"}
    return RoundRecord(
        round=past.number,
        assignments=tuple(asked[past.number, slot.member] for slot in past.slots),
        acks=tuple(slot.ack for slot in past.slots if slot.ack),
        commits=tuple(slot.commit for slot in past.slots if slot.commit),
        close=closes.get(past.number),
        abort=aborts.get(past.number),
        openings=tuple(openings(past).values()),
    )


def _assigned(signed: Signed) -> tuple[int, NodeId]:
    value = decode(signed.body, Assignment)
    return value.round, value.member


def _with_keys(draft: Receipt, keys: KeptKeys) -> Receipt:
    """Exactly the keys and stamps of what is in it, sorted."""
    signed = signed_parts(draft)
    by_node = {node_id(bundle): bundle for bundle in keys.bundles}
    by_digest = {value_digest(stamp): stamp for stamp in keys.stamps}
    try:
        used = tuple(by_node[signer] for signer in sorted({item.signer for item in signed}))
        under = tuple(by_digest[key] for key in sorted({item.stamp for item in signed}))
    except KeyError as missing:
        raise NotFinished(
            f"key bundle or stamp {missing.args[0].hex()[:16]} is not here",
            field="stamps",
            fix="keep the stamps of what is kept",
        ) from None
    return msgspec.structs.replace(draft, bundles=used, stamps=under)
