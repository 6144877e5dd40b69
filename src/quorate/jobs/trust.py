"""What a reader of a receipt has to believe, in plain words, and which parts were simulated (design 5, protocol R11 to
R15).

The lists follow from the signed parts alone, so that `receipts` computes them again and nobody can leave a sentence
out. Sentences are shared with the quote, which says the same before anything is spent.
"""

from __future__ import annotations

from quorate.jobs.receipt_case import Case, short
from quorate.ledger.escrow import OWN_SEQUENCER
from quorate.market.pricing import places
from quorate.model.job import JobCore
from quorate.model.network import Genesis
from quorate.model.outcome import Receipt
from quorate.model.resources import PLAIN
from quorate.privacy.sealed import EXECUTORS_SEE
from quorate.verify.quorum import threshold

PUBLIC_SEE = (
    "provider sees input and output: the job is public, and anyone who is given its input or result may read it"
)
OPERATORS = (
    "Operators assert their own independence; nothing proves that two of them are not one. Members may share results "
    "off-band instead of computing them."
)
WEIGHTS = (
    "The requester's node chose which standing offers form the roster and their weights in the draw, by published "
    "reputation and by load as it saw it."
)
TLS = (
    "Connections between nodes are classical TLS 1.3; protection against quantum computers lies in the signed and "
    "sealed messages."
)
CLASSICAL_COMMITMENTS = (
    "The Pedersen commitment and the ownership proof are not post-quantum; the salted digest beside them and the "
    "sealing are."
)
USAGE = "Usage is as executors claim it, in buckets of a power of two, and public; sizes and timing are visible."
KEEPER = (
    "The requester's node put this receipt together. It may have left out acknowledgements, members it asked last in "
    "vain, and openings that reached it: their members read as silent."
)
NO_DISPUTE = "A wrong private result cannot be slashed: the job does not disclose its input to a jury (R12)."
NO_JURY = "A wrong result that enough executors agree on is not slashed: there is no jury."

RESOURCES = (
    "Cores, storage, bandwidth and GPUs are matched with what offers say, by each provider's own word, and nothing "
    "holds them back for the run; bandwidth is not even measured."
)


CALLED = (
    "That the call ran on the contract's head, and whether another call was settled on it first, is the ledger's word; "
    "so are the epoch and the balances that the contract was told. The contract's state is public."
)


def who_sees(core: JobCore) -> str:
    """Who sees the data of a job, in the words of every surface."""
    return EXECUTORS_SEE if core.privacy_level == "private" else PUBLIC_SEE


def dispute(core: JobCore) -> str:
    """What becomes of a wrong result that was accepted (R12)."""
    return NO_DISPUTE if core.privacy_level == "private" else NO_JURY


def rerun_shows(core: JobCore) -> str:
    """What a re-run costs in privacy (R13); empty for other methods."""
    if core.proof.method != "rerun" or core.privacy_level != "private":
        return ""
    return (
        f"With probability 1 in {core.proof.one_in} the claim is re-executed: then one more executor sees the input. "
        "The choice is unpredictable until the claim is committed (R13)."
    )


def machine(core: JobCore) -> str:
    """What a demand on the machine amounts to; empty for a job that makes none."""
    return RESOURCES if core.resources != PLAIN else ""


def ledger_trusted(core: JobCore, genesis: Genesis, sequencer: bytes) -> str:
    own = " It belongs to the requester's side, which the job allowed." if OWN_SEQUENCER in core.policy.allow else ""
    return (
        f"One sequencer, {short(sequencer)}, orders the ledger of network {genesis.name[:32]} and sets its time. It "
        "could refuse transactions, choose among beacons of the draw, or show two histories; two signed checkpoints "
        f"would convict it.{own}"
    )


def trust_list(receipt: Receipt) -> tuple[str, ...]:
    """Every assumption behind `receipt`, each once, in a fixed order."""
    case = Case(receipt)
    core = case.job.core
    lines = [
        ledger_trusted(core, receipt.genesis, case.agreement.ledger_trust.sequencer),
        who_sees(core),
        _asked(case),
        _method(case),
        dispute(core),
        OPERATORS,
        WEIGHTS,
        _engine(case),
        _jail(case),
        machine(core),
        USAGE,
        _suites(case),
        TLS,
        *([CLASSICAL_COMMITMENTS] if case.job.private else []),
        *([CALLED] if core.call else []),
        KEEPER,
    ]
    return tuple(line for line in lines if line)


def simulated_list(receipt: Receipt) -> tuple[str, ...]:
    """Every simulated part of a member that was asked, by name."""
    case = Case(receipt)
    asked = set(case.asked)
    return tuple(sorted({word for member, offer in case.offers.items() if member in asked for word in offer.simulated}))


def _asked(case: Case) -> str:
    asked, drawn = len(case.asked), len(case.offers)
    if not case.job.private:
        return f"{asked} of {drawn} drawn members were asked to run it."
    return (
        f"The client wrapped the input key for {drawn} drawn members; {asked} were asked and so could read input and "
        "output, whether their claims counted or not."
    )


def _method(case: Case) -> str:
    proof = case.agreement.proof
    if proof.method == "trust":
        return "Proof trust: the result is one provider's word."
    if proof.method == "rerun":
        done = "was re-executed" if case.receipt.verdict.reexecuted else "was not re-executed"
        return f"Proof re-run, 1 in {proof.one_in}: this claim {done} by a second operator (R13)."
    return (
        f"Proof quorum: the result is right unless {threshold(proof)} of {places(proof)} members drawn agreed on a "
        "wrong one."
    )


def _engine(case: Case) -> str:
    return f"All members ran {case.agreement.engine}, by their own word; its faults would be shared by all of them."


def _jail(case: Case) -> str:
    agreed = {member for ended in case.receipt.verdict.rounds for member in ended.agreed}
    claims = [
        set(opening.body.isolation)
        for record in case.receipt.rounds
        for opening in record.openings
        if opening.member in agreed
    ]
    if not claims:
        return ""
    held = ", ".join(sorted(set.intersection(*claims))) or "none"
    return f"Jail layers that every agreeing member reports: {held[:256]}. Nothing proves them to others."


def _suites(case: Case) -> str:
    suites = sorted({str(bundle.suite) for bundle in case.receipt.bundles})
    classical = any(not bundle.suite.post_quantum for bundle in case.receipt.bundles)
    weak = " Whoever breaks a classical one can forge its signer." if classical else ""
    return f"Signatures are {', '.join(suites)}.{weak}"
