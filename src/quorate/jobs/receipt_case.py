"""A receipt under examination: its parts decoded once, and the check of a quoted signature.

Nothing here is verified by being read: each property decodes or recomputes, and raises when that fails; the numbered
steps of `receipts` say what must hold.
"""

from __future__ import annotations

from functools import cached_property

from quorate.crypto.batch import SuitePolicy, Verifier
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import node_id
from quorate.errors import BadSignature
from quorate.ledger.ballots import Ballots, Terms, gathered, terms_of
from quorate.ledger.settle import Judgement, judged
from quorate.model.agreement import Agreement, EscrowOpened
from quorate.model.assignment import Assignment
from quorate.model.claim import RoundClose
from quorate.model.codec import V, decode, noun
from quorate.model.evidence import Signed
from quorate.model.job import Job
from quorate.model.offer import Offer
from quorate.model.outcome import Receipt, RoundRecord
from quorate.model.settlement import Settlement
from quorate.model.signature import Signature, Stamp
from quorate.model.units import Digest, JobId, NodeId


class Fault(Exception):
    """Ends a step: the sentence says what does not hold."""


def require(holds: bool, sentence: str) -> None:
    if not holds:
        raise Fault(sentence)


def short(identity: bytes) -> str:
    return identity.hex()[:16]


def body_of(signed: Signed, kind: type[V]) -> V:
    """The value that was signed, if it is of this kind."""
    if signed.noun != noun(kind):
        raise Fault(f"noun {signed.noun[:32]} stands where {noun(kind)} belongs")
    return decode(signed.body, kind)


class Case:
    """One receipt. Properties are computed at their first use."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt

    @cached_property
    def network(self) -> Digest:
        return value_digest(self.receipt.genesis)

    @cached_property
    def ledger(self) -> frozenset[NodeId]:
        """Who may sign checkpoints."""
        return frozenset(node_id(bundle) for bundle in self.receipt.genesis.ledger)

    @cached_property
    def signed(self) -> tuple[Signed, ...]:
        """Every signed statement in the receipt."""
        return signed_parts(self.receipt)

    @cached_property
    def job(self) -> Job:
        return body_of(self.receipt.job, Job)

    @cached_property
    def job_id(self) -> JobId:
        return JobId(body_digest("job", self.receipt.job.body))

    @cached_property
    def agreement(self) -> Agreement:
        return body_of(self.receipt.agreement, Agreement)

    @cached_property
    def agreement_id(self) -> Digest:
        return body_digest("agreement", self.receipt.agreement.body)

    @cached_property
    def offers(self) -> dict[NodeId, Offer]:
        """By the provider that each names, in the order of the receipt."""
        offers = [body_of(signed, Offer) for signed in self.receipt.offers]
        return {offer.provider: offer for offer in offers}

    @cached_property
    def opened(self) -> EscrowOpened:
        return decode(self.receipt.escrow.event, EscrowOpened)

    @cached_property
    def terms(self) -> Terms:
        """The agreement as the ledger judges it, with the members of the draw."""
        prices = {provider: offer.prices for provider, offer in self.offers.items()}
        try:
            return terms_of(self.agreement, self.agreement_id, self.receipt.roster, prices, self.opened.beacon)
        except KeyError as missing:
            raise Fault(f"the offer of drawn member {short(missing.args[0])} is not in the receipt") from None

    @cached_property
    def assignments(self) -> tuple[tuple[Assignment, ...], ...]:
        return tuple(
            tuple(body_of(signed, Assignment) for signed in record.assignments) for record in self.receipt.rounds
        )

    @cached_property
    def closes(self) -> tuple[RoundClose | None, ...]:
        return tuple(body_of(record.close, RoundClose) if record.close else None for record in self.receipt.rounds)

    @property
    def asked(self) -> tuple[NodeId, ...]:
        """Everyone who was assigned, in order."""
        return tuple(item.member for members in self.assignments for item in members)

    @cached_property
    def ballots(self) -> Ballots:
        """All rounds by the rules of the ledger; signatures are a step of their own. Raises `ledger.status.Refused`."""
        delivery = (self.receipt.delivery,) if self.receipt.delivery else ()
        evidence = tuple(signed for record in self.receipt.rounds for signed in statements(record))
        openings = tuple(opening for record in self.receipt.rounds for opening in record.openings)
        return gathered(self.terms, (*evidence, *delivery), openings, lambda signed: None)

    @cached_property
    def ruling(self) -> Judgement:
        """The verdict as it follows from the openings."""
        return judged(self.terms, self.ballots)

    @cached_property
    def settlement(self) -> Settlement | None:
        proven = self.receipt.settlement
        return decode(proven.event, Settlement) if proven else None

    def verify(self, signed: Signed) -> None:
        """Raises PeerError unless the statement is its signer's: by a stamp and a key bundle of this receipt."""
        stamp = self._stamps.get(signed.stamp)
        if stamp is None:
            raise BadSignature("its stamp is missing", field="stamp")
        if stamp.signer != signed.signer:
            raise BadSignature("the stamp is another signer's", field="signer")
        if signed.index >= stamp.size:
            raise BadSignature(f"leaf {signed.index} of {stamp.size}", field="index")
        signature = Signature(stamp=stamp, index=signed.index, salt=signed.salt, path=signed.path)
        self._verifier.check(signature, signed.noun, body_digest(signed.noun, signed.body))

    @cached_property
    def _stamps(self) -> dict[Digest, Stamp]:
        return {value_digest(stamp): stamp for stamp in self.receipt.stamps}

    @cached_property
    def _verifier(self) -> Verifier:
        bundles = {node_id(bundle): bundle for bundle in self.receipt.bundles}
        return Verifier(bundles, self.network, SuitePolicy())


def signed_parts(receipt: Receipt) -> tuple[Signed, ...]:
    """Every signed statement, field by field: what is not in this list is verified by nobody."""
    of_rounds = (signed for record in receipt.rounds for signed in (*statements(record), *record.acks))
    maybe = (receipt.delivery, receipt.settlement.checkpoint if receipt.settlement else None)
    once = (receipt.job, receipt.agreement, receipt.escrow.checkpoint, *(signed for signed in maybe if signed))
    return (*once, *receipt.offers, *of_rounds)


def statements(record: RoundRecord) -> tuple[Signed, ...]:
    """What the ledger takes as evidence of a round."""
    ends = tuple(signed for signed in (record.close, record.abort) if signed)
    return (*record.assignments, *record.commits, *ends)
