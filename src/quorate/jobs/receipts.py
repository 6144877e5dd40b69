"""Checks a receipt offline: with the public keys in it and a network id, and nothing else (protocol message 12, R11).

    0 form         one byte form within the size limit, lists sorted, rounds numbered
    1 network      the genesis is that of the pinned network id
    2 keys         key bundles vouch for their NodeIds, suites are accepted
    3 signatures   every statement has its leaf under a stamp of its signer
    4 job          signed by its requester, within the caps, ownership proof
    5 agreement    of this job, on its terms, by the node it names, on a ledger of this network
    6 roster       the root that was agreed on; offers are their providers' and fit the job
    7 escrow       opened in the ledger's log, under a checkpoint that the ledger signed
    8 members      the draw replayed: who was asked, in which order
    9 ballots      commitments, closings and openings fit together
    10 verdict     recomputed from the openings
    11 delivery    what arrived is an agreed result
    12 settlement  in the ledger's log, and recomputed
    13 trust       the trust list is whole
    14 simulated   every simulated part is named

The first step that does not hold makes the receipt `invalid` and ends the check. Without a pinned network id, or before
the settlement, it is at best `unauthenticated`: consistent, but its root is nobody's word but its own. Registration and
revocation are as of the checkpoint that the report names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec

from quorate.crypto.sealing import check_out_key, public_result_tag, result_tag
from quorate.errors import BadCommitment, MalformedBytes, QuorateError
from quorate.jobs.receipt_case import Case, Fault, require
from quorate.jobs.receipt_rounds import check_ballots, check_delivery, check_members, check_verdict
from quorate.jobs.receipt_settlement import PENDING, check_settlement
from quorate.jobs.receipt_terms import (
    check_agreement,
    check_escrow,
    check_form,
    check_job,
    check_keys,
    check_network,
    check_roster,
    check_signatures,
)
from quorate.jobs.trust import simulated_list, trust_list
from quorate.ledger.status import Refused
from quorate.model.codec import decode, encode
from quorate.model.network import Checkpoint
from quorate.model.outcome import Receipt
from quorate.model.units import Digest, Millis

Outcome = Literal["valid", "valid_simulated", "unauthenticated", "invalid"]
FORMAT = "quorate receipt 1"
JSON_BYTES_MAX = 2 * Receipt.size_max
"""Base64 takes a third more than the bytes it stands for; names and quotes take the rest."""
CLOCK_SKEW_MS = 300_000
UNPINNED = "no network id was given: the receipt agrees with itself, and nothing vouches for its ledger"


class StepResult(msgspec.Struct, frozen=True):
    """One numbered step: whether it held, and what it found."""

    number: int
    name: str
    holds: bool
    sentence: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `step` is the number of the step that failed, -1 when none did. `line` comes first wherever
    a report is shown; `accepted` says whether the job has a result at all."""

    outcome: Outcome
    step: int
    line: str
    steps: tuple[StepResult, ...]
    network: str
    job: str = ""
    agreement: str = ""
    accepted: bool = False
    settled: bool = False
    height: int = 0
    simulated: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Pins(NamedTuple):
    """What the reader knows for itself: the network id, and perhaps a checkpoint it has seen and trusts."""

    network: Digest | None = None
    checkpoint: Checkpoint | None = None


Step = Callable[[Case, Pins], str]
STEPS: tuple[tuple[str, Step], ...] = (
    ("form", lambda case, pins: check_form(case)),
    ("network", lambda case, pins: check_network(case, pins.network)),
    ("keys", lambda case, pins: check_keys(case)),
    ("signatures", lambda case, pins: check_signatures(case)),
    ("job", lambda case, pins: check_job(case)),
    ("agreement", lambda case, pins: check_agreement(case)),
    ("roster", lambda case, pins: check_roster(case)),
    ("escrow", lambda case, pins: check_escrow(case, pins.checkpoint)),
    ("members", lambda case, pins: check_members(case)),
    ("ballots", lambda case, pins: check_ballots(case)),
    ("verdict", lambda case, pins: check_verdict(case)),
    ("delivery", lambda case, pins: check_delivery(case)),
    ("settlement", lambda case, pins: check_settlement(case, pins.checkpoint)),
    ("trust", lambda case, pins: _check_trust(case)),
    ("simulated", lambda case, pins: _check_simulated(case)),
)


def check(
    receipt: Receipt,
    *,
    network: Digest | None,
    checkpoint: Checkpoint | None = None,
    now_ms: Millis | None = None,
) -> Report:
    """The report on `receipt`. Raises nothing for a bad one. `checkpoint` is one the reader trusts, to catch a ledger
    with two histories; `now_ms` adds a note when the receipt is from the future."""
    case, pins, steps = Case(receipt), Pins(network, checkpoint), []
    for number, (name, step) in enumerate(STEPS):
        holds, sentence = _held(step, case, pins)
        steps.append(StepResult(number, name, holds, sentence))
        if not holds:
            return _invalid(number, f"step {number}, {name}: {sentence}", tuple(steps), receipt.simulated)
    return _consistent(case, pins, tuple(steps), now_ms)


def _held(step: Step, case: Case, pins: Pins) -> tuple[bool, str]:
    try:
        return True, step(case, pins)
    except Refused as refusal:
        return False, f"{refusal.status} {refusal.detail}".strip()
    except (Fault, QuorateError) as fault:
        return False, str(fault)


def _invalid(number: int, sentence: str, steps: tuple[StepResult, ...], simulated: tuple[str, ...] = ()) -> Report:
    line = f"{_simulated_first(simulated)}INVALID: {sentence}"
    return Report(outcome="invalid", step=number, line=line, steps=steps, network="", simulated=simulated)


def _simulated_first(simulated: tuple[str, ...]) -> str:
    return f"SIMULATED PARTS: {', '.join(simulated)}. " if simulated else ""


def _consistent(case: Case, pins: Pins, steps: tuple[StepResult, ...], now_ms: Millis | None) -> Report:
    simulated, settlement = case.receipt.simulated, case.settlement
    result = steps[10].sentence
    if pins.network is None or settlement is None:
        outcome: Outcome = "unauthenticated"
        line = f"consistent, unauthenticated: {UNPINNED if pins.network is None else PENDING}; it says: {result}"
    else:
        outcome = "valid_simulated" if simulated else "valid"
        line = f"valid: {result}"
    proven = case.receipt.settlement or case.receipt.escrow
    return Report(
        outcome=outcome,
        step=-1,
        line=_simulated_first(simulated) + line,
        steps=steps,
        network=case.network.hex(),
        job=case.job_id.hex(),
        agreement=case.agreement_id.hex(),
        accepted=case.receipt.verdict.accepted,
        settled=settlement is not None,
        height=decode(proven.checkpoint.body, Checkpoint).height,
        simulated=simulated,
        trust=case.receipt.trust,
        notes=_notes(case, now_ms),
    )


def _notes(case: Case, now_ms: Millis | None) -> tuple[str, ...]:
    last = (case.settlement or case.opened).time_ms
    if now_ms is None or last <= now_ms + CLOCK_SKEW_MS:
        return ()
    return (f"the ledger dates this {last - now_ms} ms after the clock of this machine: one of them is wrong",)


def _check_trust(case: Case) -> str:
    require(case.receipt.trust == trust_list(case.receipt), "the trust list is not what the receipt rests on")
    return f"{len(case.receipt.trust)} assumptions, all named"


def _check_simulated(case: Case) -> str:
    found = simulated_list(case.receipt)
    named, due = ", ".join(case.receipt.simulated) or "nothing", ", ".join(found) or "nothing"
    require(case.receipt.simulated == found, f"it names {named} as simulated, its offers {due}")
    return f"simulated: {', '.join(found)}" if found else "nothing simulated"


def check_result(receipt: Receipt, output: bytes, tag_key: bytes = b"") -> None:
    """Raises BadCommitment or BadSeal unless `output` (the canonical bytes of an Output) is the accepted one of a
    receipt that was checked. A private job needs its disclosed result key K_out (R1)."""
    case = Case(receipt)
    vote = receipt.verdict.vote
    if vote is None:
        raise BadCommitment("the job has no accepted result", field="result")
    if case.job.private:
        check_out_key(tag_key, Digest(case.job.out_key_commitment))
        tag = result_tag(tag_key, case.job_id, case.agreement_id, output)
    else:
        tag = public_result_tag(output)
    if tag != vote.tag:
        raise BadCommitment("not the accepted result", field="result")


# The form in files
# ----------------------------------------------------------------------------------------------------------------------


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`simulated` and `network` stand first for readers; both follow from the receipt."""

    format: str
    simulated: tuple[str, ...]
    network: str
    receipt: Receipt


def to_json(receipt: Receipt) -> bytes:
    """The receipt as a file: indented JSON, bytes in base64."""
    return msgspec.json.format(_plain_json(receipt), indent=1) + b"\n"


def _plain_json(receipt: Receipt) -> bytes:
    return msgspec.json.encode(_File(FORMAT, receipt.simulated, Case(receipt).network.hex(), receipt))


def from_json(data: bytes) -> Receipt:
    """The receipt in a file. Only white space may differ from what `to_json` writes. Raises MalformedBytes."""
    if len(data) > JSON_BYTES_MAX:
        raise MalformedBytes(f"{len(data)} bytes", field="size", limit=f"{JSON_BYTES_MAX} bytes", evidence=data[:256])
    try:
        file = msgspec.json.decode(data, type=_File, strict=True)
        receipt = decode(encode(file.receipt), Receipt)
        plain = msgspec.json.format(data, indent=-1)
    except MalformedBytes:
        raise
    except (msgspec.MsgspecError, QuorateError, RecursionError, ValueError) as fault:
        raise MalformedBytes(f"not a receipt: {fault}", field="receipt", evidence=data[:256]) from None
    if plain.strip() != _plain_json(receipt) or file.format != FORMAT:
        raise MalformedBytes("not the one form of a receipt file", field="receipt", limit=FORMAT, evidence=data[:256])
    return receipt


def check_json(
    data: bytes,
    *,
    network: Digest | None,
    checkpoint: Checkpoint | None = None,
    now_ms: Millis | None = None,
) -> Report:
    """The report on the file of a receipt: bytes that are none fail step 0."""
    try:
        receipt = from_json(data)
    except MalformedBytes as fault:
        return _invalid(0, f"step 0, form: {fault}", (StepResult(0, "form", False, str(fault)),))
    return check(receipt, network=network, checkpoint=checkpoint, now_ms=now_ms)
