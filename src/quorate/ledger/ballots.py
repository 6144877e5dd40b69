"""Evidence of an agreement, sorted and checked: who was asked, who committed, how rounds were closed, who opened
(protocol messages 5 to 9).

`gathered` takes signed statements and openings as one party posts them and returns frozen `Ballots`, or refuses with
the status that comes first. Each statement is checked for itself (agreement, round, signer, drawn member), then all
together (one round per member, one closing per round, commitments as listed, openings that open), then the signatures,
which cost most. `merged` adds what another party posted before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
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
    """An agreement as it is judged: `members` may be asked at all, in draw order; `prices` are those of their
    offers."""

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
    """A member that committed. `signed`: its own signature is on the ledger. `at_stake`: it committed in a ledger
    window itself, so that an opening it withholds costs its bond. `delivered`: its ciphertext was posted."""

    member: NodeId
    commitment: bytes
    assignment: bytes
    signed: bool = False
    at_stake: bool = False
    opening: Opening | None = None
    delivered: bool = False


class Ballot(msgspec.Struct, frozen=True):
    """One round: `assigned` in the order of the evidence, `seats` in draw order. `void`: closings were shown that
    contradict each other or a member's own commitment; then none of them counts."""

    number: int
    close: RoundClose | None = None
    assigned: tuple[tuple[NodeId, Digest], ...] = ()
    seats: tuple[Seat, ...] = ()
    void: bool = False

    def seat(self, member: NodeId) -> Seat | None:
        return next((seat for seat in self.seats if seat.member == member), None)


class Ballots(msgspec.Struct, frozen=True):
    """All rounds in order; results the requester's node has acknowledged, by round; members that say they never
    committed."""

    rounds: tuple[Ballot, ...] = ()
    received: frozenset[tuple[int, Digest]] = frozenset()
    excused: frozenset[NodeId] = frozenset()

    def round(self, number: int) -> Ballot | None:
        return next((ballot for ballot in self.rounds if ballot.number == number), None)


NOTHING = Ballots()


def gathered(terms: Terms, evidence: Sequence[Signed], openings: Sequence[Opening], verify: Verify) -> Ballots:
    """What the evidence of one party says. Raises Refused."""
    statements = [_read(signed) for signed in evidence]
    _check_each(terms, evidence, statements, openings)
    draft = _Draft(terms)
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
    if kind is None:
        raise Refused(Status.MALFORMED, signed.noun)
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

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._place = {member: place for place, member in enumerate(terms.members)}
        self._round_of: dict[NodeId, int] = {}
        self._closes: dict[int, RoundClose] = {}
        self._ended: set[int] = set()
        self._assigned: dict[int, dict[tuple[NodeId, Digest], None]] = {}
        self._seats: dict[int, dict[NodeId, Seat]] = {}

    def seat_members(self, statements: Sequence[Statement]) -> None:
        """Former members stay out: nobody commits in two rounds (R7)."""
        for item in statements:
            if isinstance(item, Commit):
                self._seat(item.member, item.round)
            elif isinstance(item, RoundClose):
                for member in item.members:
                    self._seat(member, item.round)

    def _seat(self, member: NodeId, number: int) -> None:
        refuse_if(self._round_of.setdefault(member, number) != number, Status.FORMER_MEMBER, short(member))

    def close_rounds(self, statements: Sequence[Statement]) -> None:
        closes = [item for item in statements if isinstance(item, RoundClose)]
        for close in closes:
            check_close_shape(self._terms, self._place, close)
        for close in closes:
            check_audit_seed(self._terms, close)
        for close in closes:
            refuse_if(
                self._closes.setdefault(close.round, close) != close, Status.CLOSE_CONFLICT, f"round {close.round}"
            )
        aborted = {item.round for item in statements if isinstance(item, RoundAbort)}
        refuse_if(bool(aborted & self._closes.keys()), Status.CLOSE_CONFLICT, "closed and aborted")
        self._ended = aborted | self._closes.keys()

    def assign(self, evidence: Sequence[Signed], statements: Sequence[Statement]) -> None:
        for signed, item in zip(evidence, statements, strict=True):
            if isinstance(item, Assignment):
                given = self._assigned.setdefault(item.round, {})
                given[item.member, body_digest("assignment", signed.body)] = None
        for item in statements:
            if isinstance(item, Commit):
                given = self._assigned.get(item.round, {})
                known = {assignment for member, assignment in given if member == item.member}
                refuse_if(bool(known) and item.assignment not in known, Status.ASSIGNMENT_MISMATCH, short(item.member))

    def commit(self, statements: Sequence[Statement]) -> None:
        for close in self._closes.values():
            listed = zip(close.members, close.commits, strict=True)
            self._seats[close.round] = {member: Seat(member, commitment, b"") for member, commitment in listed}
        for item in statements:
            if isinstance(item, Commit):
                seats = self._seats.setdefault(item.round, {})
                seat = seats.get(item.member) or Seat(item.member, item.commit, item.assignment)
                same = seat.commitment == item.commit and seat.assignment in (b"", item.assignment)
                refuse_if(not same, Status.COMMIT_MISMATCH, short(item.member))
                seats[item.member] = msgspec.structs.replace(seat, assignment=item.assignment, signed=True)

    def open(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            listed = opening.member in self._seats.get(opening.round, {})
            refuse_if(not listed, Status.OPENING_UNLISTED, short(opening.member))
        for opening in openings:
            seats = self._seats[opening.round]
            seats[opening.member] = opened(seats[opening.member], opening)

    def finished(self, statements: Sequence[Statement]) -> Ballots:
        numbers = sorted({*self._ended, *self._assigned, *self._seats})
        rounds = tuple(
            Ballot(
                number,
                self._closes.get(number),
                tuple(self._assigned.get(number, ())),
                in_draw_order(self._terms, self._seats.get(number, {}).values()),
            )
            for number in numbers
        )
        received = frozenset((item.round, item.result_digest) for item in statements if isinstance(item, DeliveryAck))
        excused = frozenset(item.member for item in statements if isinstance(item, CancelAck) and not item.committed)
        return Ballots(rounds, received, excused)


def short(member: NodeId) -> str:
    return member.hex()[:16]


def in_draw_order(terms: Terms, seats: Iterable[Seat]) -> tuple[Seat, ...]:
    return tuple(sorted(seats, key=lambda seat: terms.members.index(seat.member)))


def opened(seat: Seat, opening: Opening) -> Seat:
    """The seat with its opening. A copied vote fails here: the commitment binds member and assignment. Raises
    Refused."""
    bound = seat.assignment in (b"", opening.assignment)
    found = commit_digest(opening.network, opening.assignment, opening.member, opening.body, opening.nonce)
    refuse_if(not bound or found != seat.commitment, Status.OPENING_MISMATCH, short(seat.member))
    return msgspec.structs.replace(seat, opening=opening, assignment=opening.assignment)


def check_close_shape(terms: Terms, place: Mapping[NodeId, int], close: RoundClose) -> None:
    """A closing lists enough members and no more than the round is wide, in draw order, each once."""
    members, proof = close.members, terms.agreement.proof
    where = [place[member] for member in members]
    shaped = len(members) == len(close.commits) > 0 and all(low < high for low, high in pairwise(where))
    refuse_if(not shaped, Status.CLOSE_MALFORMED, "members and commitments, each once, in draw order")
    width = width_of(proof, close.round, close.audit_seed, close.commits[0])
    least = needed(proof, width)
    refuse_if(
        not least <= len(members) <= width, Status.CLOSE_MALFORMED, f"{len(members)} members of {least} to {width}"
    )


def check_audit_seed(terms: Terms, close: RoundClose) -> None:
    """A re-run opens the choice that the agreement committed to (R13)."""
    if terms.agreement.proof.method == "rerun":
        opens = digest("audit-seed", close.audit_seed) == terms.agreement.audit_commitment
        refuse_if(not opens, Status.AUDIT_SEED_WRONG, f"round {close.round}")


def merged(terms: Terms, base: Ballots, own: Ballots) -> Ballots:
    """What stood on the ledger and what one party adds. Raises Refused when a member's own signature contradicts
    itself.

    A member's signed commitment outweighs what closings say about it: a closing that lists it otherwise, or that
    another closing of the round contradicts, is void. So no statement of the requester's node can keep a member's
    commitment out.
    """
    _refuse_second_commitment(base, own)
    numbers = sorted({ballot.number for ballot in (*base.rounds, *own.rounds)})
    signed = {
        seat.member: (ballot.number, seat)
        for ballot in (*base.rounds, *own.rounds)
        for seat in ballot.seats
        if seat.signed
    }
    rounds = tuple(_merged_round(terms, number, (base.round(number), own.round(number)), signed) for number in numbers)
    return Ballots(rounds, base.received | own.received, base.excused | own.excused)


def _refuse_second_commitment(base: Ballots, own: Ballots) -> None:
    known = {seat.member: (ballot.number, seat) for ballot in base.rounds for seat in ballot.seats if seat.signed}
    for ballot in own.rounds:
        for seat in ballot.seats:
            number, before = known.get(seat.member, (ballot.number, seat)) if seat.signed else (ballot.number, seat)
            refuse_if(number != ballot.number, Status.FORMER_MEMBER, short(seat.member))
            same = (before.commitment, before.assignment) == (seat.commitment, seat.assignment)
            refuse_if(not same, Status.COMMIT_MISMATCH, short(seat.member))


def _merged_round(
    terms: Terms, number: int, parts: tuple[Ballot | None, ...], signed: Mapping[NodeId, tuple[int, Seat]]
) -> Ballot:
    found = [part for part in parts if part is not None]
    closes = [part.close for part in found if part.close]
    false = any(_contradicted(close, signed) for close in closes) or any(close != closes[0] for close in closes)
    void = false or any(part.void for part in found)
    seats: dict[NodeId, Seat] = {}
    for part in found:
        for seat in part.seats:
            known = seats.get(seat.member)
            seats[seat.member] = _joined(known, seat) if known else seat
    kept = (seat for seat in seats.values() if seat.signed or (seat.member not in signed and not void))
    assigned = tuple(dict.fromkeys(pair for part in found for pair in part.assigned))
    return Ballot(number, None if void or not closes else closes[0], assigned, in_draw_order(terms, kept), void)


def _contradicted(close: RoundClose, signed: Mapping[NodeId, tuple[int, Seat]]) -> bool:
    listed = zip(close.members, close.commits, strict=True)
    said = ((signed[member], commitment) for member, commitment in listed if member in signed)
    return any(number != close.round or seat.commitment != commitment for (number, seat), commitment in said)


def _joined(first: Seat, second: Seat) -> Seat:
    """One seat out of two: the signed one, or the one that was opened; what was added to either stays."""
    best = second if (second.signed, second.opening is not None) > (first.signed, first.opening is not None) else first
    return msgspec.structs.replace(
        best,
        at_stake=first.at_stake or second.at_stake,
        delivered=first.delivered or second.delivered,
        opening=best.opening or (first.opening if first.commitment == second.commitment else None),
    )
