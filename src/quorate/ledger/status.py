"""The ledger's answers by name, in order of precedence: of all checks a transaction fails, the one listed first decides
the status.

A refusal changes nothing. It is final for the bytes that were refused, unless it is in `NOT_YET`: those depend on the
clock, on other parties' transactions or on stamps that travel beside the bytes, so the same bytes may be posted again.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Names are part of signed answers: never renamed, never reused."""

    OK = "ok"

    # who posts, and where; then whether what it quotes can be read
    WRONG_NETWORK = "wrong_network"
    SIGNER_UNREGISTERED = "signer_unregistered"
    MALFORMED = "malformed"
    OTHER_NETWORK = "other_network"

    # the registry
    BUNDLE_MISMATCH = "bundle_mismatch"
    SUITE_REFUSED = "suite_refused"
    WEAK_KEY = "weak_key"
    ROLE_UNKNOWN = "role_unknown"
    ALREADY_REGISTERED = "already_registered"
    KEY_SHARED = "key_shared"

    # contracts
    ALREADY_DEPLOYED = "already_deployed"
    ID_TAKEN = "id_taken"
    TOO_MANY_CONTRACTS = "too_many_contracts"

    # amounts
    AMOUNT_ZERO = "amount_zero"
    ACCOUNT_UNKNOWN = "account_unknown"

    # which agreement, and who may speak for it
    UNKNOWN_AGREEMENT = "unknown_agreement"
    ALREADY_SETTLED = "already_settled"
    NOT_AUTHORISED = "not_authorised"
    JOB_MISMATCH = "job_mismatch"
    REQUESTER_UNREGISTERED = "requester_unregistered"
    ALREADY_OPEN = "already_open"
    JOB_TAKEN = "job_taken"

    # time
    JOB_EXPIRED = "job_expired"
    AGREEMENT_EXPIRED = "agreement_expired"
    NO_WINDOW = "no_window"
    WINDOW_OPEN = "window_open"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"

    # the terms of a new agreement
    LEDGER_TRUST_REFUSED = "ledger_trust_refused"
    ABOVE_CAP = "above_cap"
    TERMS_MISMATCH = "terms_mismatch"
    ROSTER_UNKNOWN = "roster_unknown"
    ROSTER_MISMATCH = "roster_mismatch"
    ROSTER_UNSORTED = "roster_unsorted"
    OFFER_NOT_STANDING = "offer_not_standing"
    OFFER_EXPIRED = "offer_expired"
    OPERATOR_MISMATCH = "operator_mismatch"
    ENGINE_MISMATCH = "engine_mismatch"
    OFFER_TOO_SMALL = "offer_too_small"
    PRICE_BELOW_OFFER = "price_below_offer"
    COHORT_TOO_LARGE = "cohort_too_large"
    ROUNDS_OUT_OF_RANGE = "rounds_out_of_range"
    TERM_TOO_SHORT = "term_too_short"
    TERM_TOO_LONG = "term_too_long"
    STAKE_TOO_LOW = "stake_too_low"
    REPUTATION_TOO_LOW = "reputation_too_low"
    TOO_MANY_OFFERS = "too_many_offers"
    UNKNOWN_CONTRACT = "unknown_contract"
    CALL_MISMATCH = "call_mismatch"
    EPOCH_WRONG = "epoch_wrong"
    STATE_CONFLICT = "state_conflict"

    # evidence: each statement for itself, then together
    WRONG_AGREEMENT = "wrong_agreement"
    ROUND_OUT_OF_RANGE = "round_out_of_range"
    WRONG_SIGNER = "wrong_signer"
    NOT_DRAWN = "not_drawn"
    FORMER_MEMBER = "former_member"
    CLOSE_MALFORMED = "close_malformed"
    AUDIT_SEED_WRONG = "audit_seed_wrong"
    CLOSE_CONFLICT = "close_conflict"
    ASSIGNMENT_MISMATCH = "assignment_mismatch"
    COMMIT_MISMATCH = "commit_mismatch"
    OPENING_UNLISTED = "opening_unlisted"
    OPENING_MISMATCH = "opening_mismatch"
    NOT_EQUIVOCATION = "not_equivocation"
    ALREADY_SLASHED = "already_slashed"
    BAD_SIGNATURE = "bad_signature"

    # what the evidence amounts to
    ALREADY_COMMITTED = "already_committed"
    NOT_COMMITTED = "not_committed"
    COMMIT_UNSIGNED = "commit_unsigned"
    ROUND_MISSING = "round_missing"
    RESULT_MISMATCH = "result_mismatch"
    OUTCOME_MISMATCH = "outcome_mismatch"
    UNDECIDED = "undecided"
    NOT_DELIVERED = "not_delivered"

    # money, last
    BUDGET_TOO_LOW = "budget_too_low"
    BALANCE_TOO_LOW = "balance_too_low"


PRECEDENCE: dict[Status, int] = {status: place for place, status in enumerate(Status)}

NOT_YET = frozenset(
    {
        Status.SIGNER_UNREGISTERED,
        Status.UNKNOWN_AGREEMENT,
        Status.ALREADY_SETTLED,
        Status.REQUESTER_UNREGISTERED,
        Status.ALREADY_OPEN,
        Status.NO_WINDOW,
        Status.WINDOW_OPEN,
        Status.TOO_EARLY,
        Status.ROSTER_UNKNOWN,
        Status.OFFER_NOT_STANDING,
        Status.BAD_SIGNATURE,
    }
)
"""Answered, never remembered: the same bytes are examined anew when they come again."""

DETAIL_CHARS_MAX = 128


class Refused(Exception):
    """Ends a rule of the ledger with a status. Never leaves the package: `apply` turns it into the answer."""

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail[:DETAIL_CHARS_MAX]


def refuse_if(fault: bool, status: Status, detail: str = "") -> None:
    if fault:
        raise Refused(status, detail)
