"""Evidence of an agreement, sorted and checked: who was asked, who committed, how rounds were closed, who opened (protocol messages 5 to 9).

`gathered` takes signed statements and openings as parties post them and returns frozen `Ballots`, or refuses with the status that comes
first. Each statement is checked for itself (agreement, round, signer, drawn member), then all together (one round per member, one closing per
round, commitments as listed, openings that open), then the signatures, which cost most. `base` is what stood before: later statements add
to it and never contradict it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from quorate.cohort.selection import draw_order, draw_seed, wrapped_members
from quorate.crypto.digests import body_digest, digest
from quorate.errors import PeerError
from quorate.ledger.status import PRECEDENCE, Refused, Status, refuse_if
from quorate.market.pricing import places
from quorate.model.agreement import Agreement, Roster
from quorate.model.assignment import Assignment, CancelAck
from quorate.model.claim import Commit, DeliveryAck, Opening, RoundAbort, RoundClose
from quorate.model.codec import decode
from quorate.model.evidence import Signed
from quorate.model.offer import Prices
from quorate.model.units import Digest, NodeId
from quorate.verify.claims import commit_digest
from quorate.verify.verdicts import needed, width_of

Verify: TypeAlias = Callable[[Signed], None]
"""Raises BadSignature (or another PeerError) unless the statement is its signer's, registered on this network."""

Statement: TypeAlias = Assignment | Commit | RoundClose | RoundAbort | DeliveryAck | CancelAck
KINDS: dict[str, type[Statement]] = {
    "assignment": Assignment,
    "commit": Commit,
    "round_close": RoundClose,
    "round_abort": RoundAbort,
    "delivery_ack": DeliveryAck,
    "cancel_ack": CancelAck,
}
OF_MEMBERS = (Commit, CancelAck)


class Terms(msgspec.Struct, frozen=True):
    """An agreement as it is judged: `members` may be asked at all, in draw order; `prices` are those of their offers."""

    agreement: Agreement
    agreement_id: Digest
    members: tuple[NodeId, ...]
    prices: Mapping[NodeId, Prices]


def terms_of(
    agreement: Agreement, agreement_id: Digest, roster: Roster, prices: Mapping[NodeId, Prices], beacon: bytes
) -> Terms:
    """`prices` by provider, from the offers that the roster names; `beacon` as the ledger answered it."""
    order = draw_order(roster, draw_seed(agreement_id, beacon))
    members = wrapped_members(order, places(agreement.proof), agreement.rounds, agreement.reserves)
    return Terms(agreement, agreement_id, members, {member: prices[member] for member in members})


class Seat(msgspec.Struct, frozen=True):
    """A member that committed. `signed`: its own signature is on the ledger. `at_stake`: it committed in a ledger window itself, so that an
    opening it withholds costs its bond. `delivered`: its ciphertext was posted."""

    member: NodeId
    commitment: bytes
    assignment: bytes
    signed: bool = False
    at_stake: bool = False
    opening: Opening | None = None
    delivered: bool = False


class Ballot(msgspec.Struct, frozen=True):
    """One round: `assigned` in the order of the evidence, `seats` in draw order."""

    number: int
    close: RoundClose | None = None
    abort: RoundAbort | None = None
    assigned: tuple[tuple[NodeId, Digest], ...] = ()
    seats: tuple[Seat, ...] = ()

    def seat(self, member: NodeId) -> Seat | None:
        return next((seat for seat in self.seats if seat.member == member), None)


class Ballots(msgspec.Struct, frozen=True):
    """All rounds in order; results the requester's node has acknowledged, by round; members that say they never committed."""

    rounds: tuple[Ballot, ...] = ()
    received: frozenset[tuple[int, Digest]] = frozenset()
    excused: frozenset[NodeId] = frozenset()

    def round(self, number: int) -> Ballot | None:
        return next((ballot for ballot in self.rounds if ballot.number == number), None)


NOTHING = Ballots()


def gathered(
    terms: Terms, base: Ballots, evidence: Sequence[Signed], openings: Sequence[Opening], verify: Verify
) -> Ballots:
    """`base` and what the evidence adds to it. Raises Refused."""
    statements = [_read(signed) for signed in evidence]
    _check_each(terms, evidence, statements, openings)
    draft = _Draft(terms, base)
    draft.seat_members(statements)
    draft.close_rounds(statements)
    draft.assign(evidence, statements)
    draft.commit(statements)
    draft.open(openings)
    check_signatures(evidence, verify)
    return draft.finished(statements)


def check_signatures(evidence: Iterable[Signed], verify: Verify) -> None:
    for signed in evidence:
        try:
            verify(signed)
        except PeerError as fault:
            raise Refused(Status.BAD_SIGNATURE, f"{signed.noun}: {fault.field}") from None


def _read(signed: Signed) -> Statement:
    kind = KINDS.get(signed.noun)
    refuse_if(kind is None, Status.MALFORMED, signed.noun)
    assert kind is not None
    try:
        return decode(signed.body, kind)
    except PeerError as fault:
        raise Refused(Status.MALFORMED, f"{signed.noun}: {fault.field}") from None


def _check_each(
    terms: Terms, evidence: Sequence[Signed], statements: Sequence[Statement], openings: Sequence[Opening]
) -> None:
    """Refuses with the fault of highest precedence among all statements."""
    members = frozenset(terms.members)
    faults = [_fault(terms, members, item, signed.signer) for signed, item in zip(evidence, statements, strict=True)]
    faults += [_fault(terms, members, opening, opening.member) for opening in openings]
    found = [fault for fault in faults if fault is not None]
    if found:
        raise Refused(min(found, key=PRECEDENCE.__getitem__))


def _fault(terms: Terms, members: frozenset[NodeId], item: Statement | Opening, signer: NodeId) -> Status | None:
    if item.agreement != terms.agreement_id or item.network != terms.agreement.network:
        return Status.WRONG_AGREEMENT
    if not 1 <= getattr(item, "round", 1) <= terms.agreement.rounds:
        return Status.ROUND_OUT_OF_RANGE
    named = item.members if isinstance(item, RoundClose) else (getattr(item, "member", None),)
    if isinstance(item, OF_MEMBERS):
        if signer != item.member:
            return Status.WRONG_SIGNER
    elif not isinstance(item, Opening) and signer != terms.agreement.node:
        return Status.WRONG_SIGNER
    return None if all(member is None or member in members for member in named) else Status.NOT_DRAWN


class _Draft:
    """Ballots while statements are added. Lives for one call."""

    def __init__(self, terms: Terms, base: Ballots) -> None:
        self._terms = terms
        self._place = {member: place for place, member in enumerate(terms.members)}
        self._base = base
        self._round_of: dict[NodeId, int] = {}
        self._closes = {ballot.number: ballot.close for ballot in base.rounds if ballot.close}
        self._aborts = {ballot.number: ballot.abort for ballot in base.rounds if ballot.abort}
        self._assigned: dict[int, dict[NodeId, Digest]] = {ballot.number: dict(ballot.assigned) for ballot in base.rounds}
        self._seats = {ballot.number: {seat.member: seat for seat in ballot.seats} for ballot in base.rounds}
        for ballot in base.rounds:
            names = (*(member for member, _ in ballot.assigned), *(seat.member for seat in ballot.seats))
            self._round_of.update(dict.fromkeys(names, ballot.number))

    def seat_members(self, statements: Sequence[Statement]) -> None:
        """Former members stay out: nobody is in two rounds (R7)."""
        for item in statements:
            if isinstance(item, (Assignment, Commit)):
                self._seat(item.member, item.round)
            elif isinstance(item, RoundClose):
                for member in item.members:
                    self._seat(member, item.round)

    def _seat(self, member: NodeId, number: int) -> None:
        refuse_if(self._round_of.setdefault(member, number) != number, Status.FORMER_MEMBER, member.hex()[:16])

    def close_rounds(self, statements: Sequence[Statement]) -> None:
        for item in statements:
            if isinstance(item, RoundClose):
                check_close(self._terms, self._place, item)
        for item in statements:
            if isinstance(item, RoundClose):
                refuse_if(self._closes.setdefault(item.round, item) != item, Status.CLOSE_CONFLICT, f"round {item.round}")
            elif isinstance(item, RoundAbort):
                refuse_if(self._aborts.setdefault(item.round, item) != item, Status.CLOSE_CONFLICT, f"round {item.round}")
        both = self._closes.keys() & self._aborts.keys()
        refuse_if(bool(both), Status.CLOSE_CONFLICT, "closed and aborted")

    def assign(self, evidence: Sequence[Signed], statements: Sequence[Statement]) -> None:
        for signed, item in zip(evidence, statements, strict=True):
            if isinstance(item, Assignment):
                known = body_digest("assignment", signed.body)
                stored = self._assigned.setdefault(item.round, {}).setdefault(item.member, known)
                refuse_if(stored != known, Status.ASSIGNMENT_MISMATCH, "two assignments of one member")
        for item in statements:
            if isinstance(item, Commit):
                self._match_assignment(item.round, item.member, item.assignment)

    def _match_assignment(self, number: int, member: NodeId, assignment: bytes) -> None:
        known = self._assigned.get(number, {}).get(member)
        refuse_if(known is not None and known != assignment, Status.ASSIGNMENT_MISMATCH, member.hex()[:16])

    def commit(self, statements: Sequence[Statement]) -> None:
        listed = [(close.round, *pair) for close in self._closes.values() for pair in zip(close.members, close.commits, strict=True)]
        for number, member, commitment in listed:
            seats = self._seats.setdefault(number, {})
            seat = seats.setdefault(member, Seat(member, commitment, b""))
            refuse_if(seat.commitment != commitment, Status.COMMIT_MISMATCH, member.hex()[:16])
        for item in statements:
            if isinstance(item, Commit):
                self._add_commit(item)

    def _add_commit(self, item: Commit) -> None:
        seats = self._seats.setdefault(item.round, {})
        seat = seats.get(item.member) or Seat(item.member, item.commit, item.assignment)
        refuse_if(seat.commitment != item.commit, Status.COMMIT_MISMATCH, item.member.hex()[:16])
        refuse_if(seat.signed and seat.assignment != item.assignment, Status.ASSIGNMENT_MISMATCH, item.member.hex()[:16])
        seats[item.member] = msgspec.structs.replace(seat, assignment=item.assignment, signed=True)

    def open(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            seat = self._seats.get(opening.round, {}).get(opening.member)
            refuse_if(seat is None, Status.OPENING_UNLISTED, opening.member.hex()[:16])
            assert seat is not None
            bound = not seat.assignment or seat.assignment == opening.assignment
            found = commit_digest(opening.network, opening.assignment, opening.member, opening.body, opening.nonce)
            refuse_if(not bound or found != seat.commitment, Status.OPENING_MISMATCH, opening.member.hex()[:16])
            changed = msgspec.structs.replace(seat, opening=opening, assignment=opening.assignment)
            self._seats[opening.round][opening.member] = changed

    def finished(self, statements: Sequence[Statement]) -> Ballots:
        numbers = sorted({*self._closes, *self._aborts, *self._assigned, *self._seats})
        place = self._place
        rounds = tuple(
            Ballot(
                number,
                self._closes.get(number),
                self._aborts.get(number),
                tuple(self._assigned.get(number, {}).items()),
                tuple(sorted(self._seats.get(number, {}).values(), key=lambda seat: place[seat.member])),
            )
            for number in numbers
        )
        received = {(item.round, item.result_digest) for item in statements if isinstance(item, DeliveryAck)}
        excused = {item.member for item in statements if isinstance(item, CancelAck) and not item.committed}
        return Ballots(rounds, self._base.received | received, self._base.excused | excused)


def check_close(terms: Terms, place: Mapping[NodeId, int], close: RoundClose) -> None:
    """A closing lists enough members and no more than the round is wide, in draw order, each once; a re-run opens the audit choice with it."""
    members, proof = close.members, terms.agreement.proof
    where = [place[member] for member in members]
    shaped = len(members) == len(close.commits) > 0 and all(low < high for low, high in zip(where, where[1:], strict=False))
    refuse_if(not shaped, Status.CLOSE_MALFORMED, "members and commitments, each once, in draw order")
    width = width_of(proof, close.round, close.audit_seed, close.commits[0])
    least = needed(proof, width)
    refuse_if(not least <= len(members) <= width, Status.CLOSE_MALFORMED, f"{len(members)} members of {least} to {width}")
    if proof.method == "rerun":
        opens = digest("audit-seed", close.audit_seed) == terms.agreement.audit_commitment
        refuse_if(not opens, Status.AUDIT_SEED_WRONG, f"round {close.round}")
