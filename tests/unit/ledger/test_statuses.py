"""Every status of the ledger, provoked; and of two faults in one transaction the one listed first decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import msgspec
import pytest
from tests.support.ledger_calls import Calls
from tests.support.ledger_world import BOND, LIMITS, START_MS, Claim, Deal, World, seeded

from quorate.crypto.digests import digest, value_digest
from quorate.crypto.signing import Identity
from quorate.errors import BadSignature
from quorate.ledger.accounts import OFFER_TERM_MS_MAX, OFFERS_MAX
from quorate.ledger.apply import apply
from quorate.ledger.blocks import next_context
from quorate.ledger.contracts import CONTRACTS_MAX
from quorate.ledger.escrow import TERM_MS_MAX
from quorate.ledger.state import genesis_state, with_account
from quorate.ledger.status import NOT_YET, PRECEDENCE, Status
from quorate.model.agreement import LedgerTrust
from quorate.model.assignment import Assignment
from quorate.model.claim import RoundAbort
from quorate.model.codec import Value, decode
from quorate.model.evidence import Signed
from quorate.model.identity import KeyBundle, Suite
from quorate.model.policy import Proof
from quorate.model.transaction import (
    CloseForced,
    DepositStake,
    Equivocation,
    Expire,
    PostOffer,
    Register,
    TransferCredits,
)
from quorate.model.units import Digest

Case = Callable[[], tuple[World, Identity, Value]]
CASES: dict[Status, list[Case]] = {}
NONCE = b"\x09" * 32


def case(status: Status) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        CASES.setdefault(status, []).append(function)
        return function

    return add


def refuse(signed: Signed) -> None:
    raise BadSignature("in this test nothing verifies", field="signature")


@dataclass
class Order:
    """An OpenEscrow in the making: faults are planted by changing it."""

    world: World = field(default_factory=World)
    job: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)
    offers: dict[int, dict[str, Any]] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    reverse: bool = False
    given: bool = True
    taken: bool = False
    opened: bool = False
    poor: bool = False
    malformed: bool = False
    poster: Identity | None = None
    wait_ms: int = 0
    unverified: bool = False

    def build(self) -> tuple[World, Identity, Value]:
        world = self.world
        for place, who in enumerate(world.providers):
            world.stand(who, **self.offers.get(place, {}))
        self.job.setdefault("expires_ms", world.now + 10**9)
        job = world.job(**self.job)
        roster = world.roster()
        entries = list(roster.entries)
        entries[0] = msgspec.structs.replace(entries[0], **self.entry)
        roster = msgspec.structs.replace(roster, entries=tuple(reversed(entries) if self.reverse else entries))
        terms = {"rounds": 1, **self.terms}
        agreement = world.agreement(job, roster, **terms)
        if self.taken or self.opened:
            first = msgspec.structs.replace(agreement, rounds=1, reserves=1) if self.taken else agreement
            assert world.status(world.node, world.order(job, first, roster)) == "ok"
        if self.poor:
            drain = TransferCredits(
                network=world.network,
                to=world.node.node_id,
                amount_micro=world.balance(world.requester),  # type: ignore[arg-type]
                expires_ms=world.now + 3_600_000,
                nonce=NONCE,
            )
            assert world.status(world.requester, drain) == "ok"
        value = world.order(job, agreement, roster if self.given else None)
        if self.malformed:
            value = msgspec.structs.replace(value, job=msgspec.structs.replace(value.job, body=value.job.body + b"\0"))
        world.wait(self.wait_ms)
        return world, self.poster or world.node, value


def plant(order: Order, status: Status) -> None:
    """One fault of an order to open an escrow."""
    world = order.world
    if status is Status.MALFORMED:
        order.malformed = True
    elif status is Status.OTHER_NETWORK:
        order.terms["network"] = b"\x08" * 32
    elif status is Status.NOT_AUTHORISED:
        order.poster = world.providers[0]
    elif status is Status.JOB_MISMATCH:
        order.terms["job"] = b"\x08" * 32
    elif status is Status.REQUESTER_UNREGISTERED:
        order.job["requester"] = world.stranger.node_id
    elif status is Status.JOB_TAKEN:
        order.taken = True
    elif status is Status.JOB_EXPIRED:
        order.job["expires_ms"] = START_MS
    elif status is Status.AGREEMENT_EXPIRED:
        order.terms["settle_by_ms"] = START_MS
    elif status is Status.LEDGER_TRUST_REFUSED:
        order.terms["ledger_trust"] = LedgerTrust(kind="sequencer", sequencer=world.requester.node_id)
    elif status is Status.ABOVE_CAP:
        order.job["limits"] = msgspec.structs.replace(LIMITS, fuel=LIMITS.fuel + 1)
    elif status is Status.TERMS_MISMATCH:
        order.terms["bond_micro"] = BOND + 1
    elif status is Status.ROSTER_UNKNOWN:
        order.given = False
    elif status is Status.ROSTER_MISMATCH:
        order.terms["roster"] = b"\x08" * 32
    elif status is Status.ROSTER_UNSORTED:
        order.reverse = True
    elif status is Status.OFFER_NOT_STANDING:
        order.entry["offer"] = b"\x08" * 32
    elif status is Status.OFFER_EXPIRED:
        order.offers[1] = {"expires_ms": START_MS + 5}
        order.wait_ms = 5
    elif status is Status.OPERATOR_MISMATCH:
        order.entry["operator"] = "somebody else"
    elif status is Status.ENGINE_MISMATCH:
        order.terms["engine"] = "engine 2"
    elif status is Status.OFFER_TOO_SMALL:
        order.offers[2] = {"fuel_max": LIMITS.fuel - 1}
    elif status is Status.PRICE_BELOW_OFFER:
        order.terms["price_max_micro"] = 199
    elif status is Status.COHORT_TOO_LARGE:
        order.job["proof"] = Proof(method="quorum", replicas=7, threshold=0, one_in=1)
    elif status is Status.ROUNDS_OUT_OF_RANGE:
        order.terms["rounds"] = 3
    elif status is Status.TERM_TOO_SHORT:
        order.terms["settle_by_ms"] = START_MS + 100
    elif status is Status.TERM_TOO_LONG:
        order.terms["settle_by_ms"] = START_MS + TERM_MS_MAX + 100
    elif status is Status.BAD_SIGNATURE:
        order.unverified = True
    elif status is Status.BUDGET_TOO_LOW:
        order.job["budget_micro"] = 1
    elif status is Status.BALANCE_TOO_LOW:
        order.poor = True


ORDER_FAULTS = [
    Status.MALFORMED,
    Status.OTHER_NETWORK,
    Status.NOT_AUTHORISED,
    Status.JOB_MISMATCH,
    Status.REQUESTER_UNREGISTERED,
    Status.JOB_TAKEN,
    Status.JOB_EXPIRED,
    Status.AGREEMENT_EXPIRED,
    Status.LEDGER_TRUST_REFUSED,
    Status.ABOVE_CAP,
    Status.TERMS_MISMATCH,
    Status.ROSTER_UNKNOWN,
    Status.ROSTER_MISMATCH,
    Status.ROSTER_UNSORTED,
    Status.OFFER_NOT_STANDING,
    Status.OFFER_EXPIRED,
    Status.OPERATOR_MISMATCH,
    Status.ENGINE_MISMATCH,
    Status.OFFER_TOO_SMALL,
    Status.PRICE_BELOW_OFFER,
    Status.COHORT_TOO_LARGE,
    Status.ROUNDS_OUT_OF_RANGE,
    Status.TERM_TOO_SHORT,
    Status.TERM_TOO_LONG,
    Status.BAD_SIGNATURE,
    Status.BUDGET_TOO_LOW,
    Status.BALANCE_TOO_LOW,
]
TERMS = {Status.AGREEMENT_EXPIRED, Status.TERM_TOO_SHORT, Status.TERM_TOO_LONG}
EXCLUDE_EACH_OTHER = {
    *(frozenset(pair) for pair in combinations(TERMS, 2)),
    # A job that is open was sound once: faults of the job or of what its escrow needs cannot be planted beside it.
    *(
        frozenset({Status.JOB_TAKEN, status})
        for status in ORDER_FAULTS
        if PRECEDENCE[status] > PRECEDENCE[Status.JOB_TAKEN] or status in (Status.MALFORMED, Status.OTHER_NETWORK)
    ),
    frozenset({Status.JOB_TAKEN, Status.JOB_MISMATCH}),
    frozenset({Status.JOB_TAKEN, Status.REQUESTER_UNREGISTERED}),
    # Another operator in the entry, or more members than operators, changes what the other fault is about.
    frozenset({Status.COHORT_TOO_LARGE, Status.ROUNDS_OUT_OF_RANGE}),
}


def answer_of(order: Order) -> Status:
    world, poster, value = order.build()
    reply = world.post(poster, value, verify=refuse if order.unverified else None)
    return Status(reply.answer.status)


def test_a_sound_order_is_accepted() -> None:
    assert answer_of(Order()) is Status.OK


@pytest.mark.parametrize("status", ORDER_FAULTS, ids=str)
def test_each_fault_of_an_order_has_its_status(status: Status) -> None:
    order = Order()
    plant(order, status)
    assert answer_of(order) is status


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(ORDER_FAULTS, 2) if frozenset(pair) not in EXCLUDE_EACH_OTHER],
    ids=lambda status: str(status),
)
def test_the_first_of_two_faults_of_an_order_decides(first: Status, second: Status) -> None:
    order = Order()
    plant(order, first)
    plant(order, second)
    assert PRECEDENCE[first] < PRECEDENCE[second]
    assert answer_of(order) is first


# Settle: faults are statements added to sound evidence, so that any two can stand together.


def _settled_world() -> tuple[World, Deal, list[Claim]]:
    world = World(providers=6)
    deal = world.open(k=2, terms={"rounds": 2})
    return world, deal, [deal.claim(member) for member in deal.cohort()]


def _undrawn(deal: Deal) -> Any:
    return next(who.node_id for who in deal.world.providers if who.node_id not in deal.members)


def evidence_fault(status: Status, deal: Deal, claims: list[Claim]) -> tuple[list[Signed], list[Any]]:
    """Statements and openings that carry one fault."""
    member = claims[0].member
    extra: dict[Status, Callable[[], tuple[list[Signed], list[Any]]]] = {
        Status.MALFORMED: lambda: ([msgspec.structs.replace(claims[0].commit, noun="brief")], []),
        Status.WRONG_AGREEMENT: lambda: ([deal.sign(deal.node, _elsewhere(deal))], []),
        Status.ROUND_OUT_OF_RANGE: lambda: ([deal.abort(3)], []),
        Status.WRONG_SIGNER: lambda: ([_signed_by(deal, deal.world.requester)], []),
        Status.NOT_DRAWN: lambda: ([deal.claim(_undrawn(deal)).commit], []),
        Status.FORMER_MEMBER: lambda: ([deal.claim(member, 2).commit], []),
        Status.CLOSE_MALFORMED: lambda: ([deal.close([deal.claim(deal.cohort(2)[0], 2)], 2)], []),
        Status.CLOSE_CONFLICT: lambda: ([deal.close(claims, salt=b"\x06" * 32)], []),
        Status.ASSIGNMENT_MISMATCH: lambda: (_other_assignment(deal), []),
        Status.COMMIT_MISMATCH: lambda: ([deal.claim(member, tag="other").commit], []),
        Status.OPENING_UNLISTED: lambda: ([], [deal.claim(deal.cohort(2)[0]).opening]),
        Status.OPENING_MISMATCH: lambda: ([], [_copied(claims)]),
        Status.BAD_SIGNATURE: lambda: ([msgspec.structs.replace(deal.abort(2), stamp=b"\x06" * 32)], []),
    }
    return extra[status]()


def _elsewhere(deal: Deal) -> Value:
    return RoundAbort(network=deal.world.network, agreement=digest("another"), round=1, reason="")


def _signed_by(deal: Deal, who: Identity) -> Signed:
    return deal.sign(who, RoundAbort(network=deal.world.network, agreement=deal.id, round=2, reason=""))


def _other_assignment(deal: Deal) -> list[Signed]:
    """A commitment in the second round to an assignment other than the one that is shown."""
    claim = deal.claim(deal.cohort(2)[1], 2)
    wrapped = msgspec.structs.replace(decode(claim.assignment.body, Assignment), wrap=b"another wrap")
    return [claim.commit, deal.sign(deal.node, wrapped)]


def _copied(claims: list[Claim]) -> Any:
    """The first member's vote in the second one's name."""
    return msgspec.structs.replace(claims[0].opening, member=claims[1].member, assignment=claims[1].opening.assignment)


EVIDENCE_FAULTS = [
    Status.MALFORMED,
    Status.WRONG_AGREEMENT,
    Status.ROUND_OUT_OF_RANGE,
    Status.WRONG_SIGNER,
    Status.NOT_DRAWN,
    Status.FORMER_MEMBER,
    Status.CLOSE_MALFORMED,
    Status.CLOSE_CONFLICT,
    Status.ASSIGNMENT_MISMATCH,
    Status.COMMIT_MISMATCH,
    Status.OPENING_UNLISTED,
    Status.OPENING_MISMATCH,
    Status.BAD_SIGNATURE,
]


def settle_with(faults: tuple[Status, ...]) -> Status:
    world, deal, claims = _settled_world()
    value = deal.settle(claims)
    for status in faults:
        statements, openings = evidence_fault(status, deal, claims)
        value = msgspec.structs.replace(
            value, evidence=(*statements, *value.evidence), openings=(*value.openings, *openings)
        )
    return Status(world.status(world.node, value))


@pytest.mark.parametrize("status", EVIDENCE_FAULTS, ids=str)
def test_each_fault_of_evidence_has_its_status(status: Status) -> None:
    assert settle_with((status,)) is status


@pytest.mark.parametrize(("first", "second"), list(combinations(EVIDENCE_FAULTS, 2)), ids=lambda status: str(status))
def test_the_first_of_two_faults_of_evidence_decides(first: Status, second: Status) -> None:
    assert PRECEDENCE[first] < PRECEDENCE[second]
    assert settle_with((second, first)) is first


# Everything else, one by one.


@case(Status.OK)
def _fine() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.stranger, Register(network=world.network, bundle=world.stranger.bundle, role="node")


@case(Status.WRONG_NETWORK)
def _other_network() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.stranger, Register(network=NONCE, bundle=world.stranger.bundle, role="node")  # type: ignore[arg-type]


@case(Status.SIGNER_UNREGISTERED)
def _nobody() -> tuple[World, Identity, Value]:
    world = World()
    return (
        world,
        world.stranger,
        DepositStake(network=world.network, amount_micro=0, expires_ms=world.now + 3_600_000, nonce=NONCE),
    )  # type: ignore[arg-type]


@case(Status.BUNDLE_MISMATCH)
def _other_bundle() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.stranger, Register(network=world.network, bundle=world.node.bundle, role="cook")


@case(Status.SUITE_REFUSED)
def _other_suite() -> tuple[World, Identity, Value]:
    world = World()
    hybrid = Identity.generate(Suite.ED25519_ML_DSA_65, lambda size: bytes(size))
    return world, hybrid, Register(network=world.network, bundle=hybrid.bundle, role="cook")


@case(Status.WEAK_KEY)
def _small_order() -> tuple[World, Identity, Value]:
    world = World()
    weak = KeyBundle(suite=Suite.ED25519, ed25519=(1).to_bytes(32, "little"), ml_dsa=b"")
    value = Register(network=world.network, bundle=weak, role="cook")
    signer = seeded("weak")
    signer.node_id = value_digest(weak)  # type: ignore[assignment]
    return world, signer, value


@case(Status.ROLE_UNKNOWN)
def _cook() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.node, Register(network=world.network, bundle=world.node.bundle, role="cook")


@case(Status.ALREADY_REGISTERED)
def _again() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.node, Register(network=world.network, bundle=world.node.bundle, role="node")


@case(Status.KEY_SHARED)
def _shared() -> tuple[World, Identity, Value]:
    """A hybrid identity around the Ed25519 key of a registered account."""
    world = World()
    world.genesis = msgspec.structs.replace(world.genesis, suites=(Suite.ED25519, Suite.ED25519_ML_DSA_65))
    world.state = genesis_state(world.genesis)
    hybrid = Identity.generate(Suite.ED25519_ML_DSA_65, lambda size: bytes(size))
    bundle = msgspec.structs.replace(hybrid.bundle, ed25519=world.node.bundle.ed25519)
    hybrid.node_id = value_digest(bundle)  # type: ignore[assignment]
    return world, hybrid, Register(network=world.state.network, bundle=bundle, role="node")


@case(Status.AMOUNT_ZERO)
def _zero() -> tuple[World, Identity, Value]:
    world = World()
    value = TransferCredits(
        network=world.network, to=world.stranger.node_id, amount_micro=0, expires_ms=world.now + 3_600_000, nonce=NONCE
    )  # type: ignore[arg-type]
    return world, world.node, value


@case(Status.ACCOUNT_UNKNOWN)
def _unknown_payee() -> tuple[World, Identity, Value]:
    world = World()
    value = TransferCredits(
        network=world.network,
        to=world.stranger.node_id,
        amount_micro=1 << 60,
        expires_ms=world.now + 3_600_000,
        nonce=NONCE,
    )  # type: ignore[arg-type]
    return world, world.node, value


@case(Status.BALANCE_TOO_LOW)
def _too_much() -> tuple[World, Identity, Value]:
    world = World()
    value = DepositStake(
        network=world.network, amount_micro=world.balance(world.node) + 1, expires_ms=world.now + 3_600_000, nonce=NONCE
    )  # type: ignore[arg-type]
    return world, world.node, value


@case(Status.UNKNOWN_AGREEMENT)
def _no_agreement() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.node, Expire(network=world.network, agreement=digest("none"))


@case(Status.ALREADY_SETTLED)
def _settled_twice() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    assert world.status(world.node, deal.settle(claims)) == "ok"
    return world, world.providers[0], deal.settle(claims)


@case(Status.NOT_AUTHORISED)
def _not_its_side() -> tuple[World, Identity, Value]:
    world, deal, _ = _settled_world()
    return world, world.providers[0], deal.cancel()


@case(Status.ALREADY_OPEN)
def _open_already() -> tuple[World, Identity, Value]:
    order = Order(opened=True)
    world, poster, value = order.build()
    changed = msgspec.structs.replace(value, roster=None)  # other bytes, the same agreement
    return world, poster, changed


@case(Status.NO_WINDOW)
def _no_window() -> tuple[World, Identity, Value]:
    world, deal, _ = _settled_world()
    return world, world.providers[0], CloseForced(network=world.network, agreement=deal.id)


@case(Status.WINDOW_OPEN)
def _window_open() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    assert world.status(world.identities[claims[0].member], deal.force(claims[0])) == "ok"
    return world, world.node, deal.cancel()


@case(Status.TOO_EARLY)
def _too_early() -> tuple[World, Identity, Value]:
    world, deal, _ = _settled_world()
    return world, world.node, Expire(network=world.network, agreement=deal.id)


@case(Status.TOO_LATE)
def _too_late() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    assert world.status(world.identities[claims[0].member], deal.force(claims[0])) == "ok"
    world.wait(1_000_000)
    return world, world.identities[claims[1].member], deal.force_commit(claims[1])


def _post_offer(world: World, **changes: Any) -> Value:
    offer = world.offer(world.providers[0], **changes)
    return PostOffer(network=world.network, offer=world.signatures.sign(world.providers[0], offer))


@case(Status.TERM_TOO_LONG)
def _endless_offer() -> tuple[World, Identity, Value]:
    world = World()
    return world, world.providers[0], _post_offer(world, expires_ms=world.now + OFFER_TERM_MS_MAX + 1)


@case(Status.STAKE_TOO_LOW)
def _no_stake() -> tuple[World, Identity, Value]:
    world = World()
    assert (
        world.status(world.stranger, Register(network=world.network, bundle=world.stranger.bundle, role="provider"))
        == "ok"
    )
    offer = world.offer(world.stranger)
    return world, world.stranger, PostOffer(network=world.network, offer=world.signatures.sign(world.stranger, offer))


@case(Status.REPUTATION_TOO_LOW)
def _below_the_gate() -> tuple[World, Identity, Value]:
    world = World(gate=5_001)
    return world, world.providers[0], _post_offer(world)


@case(Status.TOO_MANY_OFFERS)
def _one_offer_more() -> tuple[World, Identity, Value]:
    world = World()
    for region in range(OFFERS_MAX):
        world.stand(world.providers[0], region=str(region))
    return world, world.providers[0], _post_offer(world, region="more")


@case(Status.AUDIT_SEED_WRONG)
def _other_seed() -> tuple[World, Identity, Value]:
    world = World()
    deal = world.open("rerun", one_in=1)
    claims = [deal.claim(member) for member in deal.cohort()]
    close = deal.close(claims, audit_seed=b"\x06" * 32)
    return world, world.node, deal.settle(claims, drop=(deal.close(claims),), add=(close,))


@case(Status.NOT_EQUIVOCATION)
def _same_twice() -> tuple[World, Identity, Value]:
    world, _deal, claims = _settled_world()
    return world, world.node, Equivocation(network=world.network, first=claims[0].commit, second=claims[0].commit)


@case(Status.ALREADY_SLASHED)
def _slashed_twice() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    for tag in ("b", "c"):
        other = deal.claim(claims[0].member, tag=tag).commit
        value = Equivocation(network=world.network, first=claims[0].commit, second=other)
        if tag == "b":
            assert world.status(world.node, value) == "ok"
    return world, world.node, value


@case(Status.ALREADY_COMMITTED)
def _committed_twice() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    who = world.identities[claims[0].member]
    assert world.status(who, deal.force(claims[0])) == "ok"
    return world, who, deal.force_commit(claims[0])


@case(Status.NOT_COMMITTED)
def _no_assignment_shown() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    value = msgspec.structs.replace(deal.force(claims[0]), evidence=(claims[0].commit,))
    return world, world.identities[claims[0].member], value


@case(Status.COMMIT_UNSIGNED)
def _invented_claim() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    return world, world.node, deal.settle(claims, drop=(claims[1].commit,))


@case(Status.ROUND_MISSING)
def _second_round_alone() -> tuple[World, Identity, Value]:
    world, deal, _ = _settled_world()
    return world, world.node, deal.settle([deal.claim(member, 2) for member in deal.cohort(2)])


@case(Status.RESULT_MISMATCH)
def _other_result() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    who = world.identities[claims[0].member]
    assert world.status(who, deal.force(claims[0], deal.close(claims))) == "ok"
    world.wait(2_001)
    return world, who, deal.reveal(claims[0], b"something else")


@case(Status.UNDECIDED)
def _too_few_openings() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    value = msgspec.structs.replace(deal.settle(claims, ack=False), openings=(claims[0].opening,))
    return world, world.providers[0], value


@case(Status.NOT_DELIVERED)
def _no_ack() -> tuple[World, Identity, Value]:
    world, deal, claims = _settled_world()
    return world, world.node, deal.settle(claims, ack=False)


def _calls() -> tuple[Calls, Digest]:
    calls = Calls(World())
    return calls, calls.deploy()


@case(Status.ALREADY_DEPLOYED)
def _deployed_by_another_node() -> tuple[World, Identity, Value]:
    calls = Calls(World())
    order = calls.order(calls.deployment())
    assert calls.world.status(calls.world.node, order) == "ok"
    return calls.world, calls.world.providers[0], order


@case(Status.ID_TAKEN)
def _an_id_that_begins_like_anothers() -> tuple[World, Identity, Value]:
    calls = Calls(World())
    deployment = calls.deployment()
    key, state = value_digest(deployment), calls.world.state
    calls.world.state = msgspec.structs.replace(state, ids=state.ids.put(key[:16], bytes(32)))
    return calls.world, calls.world.node, calls.order(deployment)


@case(Status.TOO_MANY_CONTRACTS)
def _one_contract_too_many() -> tuple[World, Identity, Value]:
    calls = Calls(World())
    calls.world.state = with_account(calls.world.state, calls.world.requester.node_id, contracts=CONTRACTS_MAX)
    return calls.world, calls.world.node, calls.order(calls.deployment())


@case(Status.NOT_AUTHORISED)
def _deployed_in_the_name_of_another() -> tuple[World, Identity, Value]:
    calls = Calls(World())
    return calls.world, calls.world.node, calls.order(calls.deployment(), calls.world.providers[0])


@case(Status.REQUESTER_UNREGISTERED)
def _deployed_by_a_stranger() -> tuple[World, Identity, Value]:
    calls = Calls(World())
    stranger = calls.world.stranger
    return calls.world, calls.world.node, calls.order(calls.deployment(deployer=stranger.node_id), stranger)


@case(Status.UNKNOWN_CONTRACT)
def _a_call_of_nothing() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    call = calls.call(contract)
    own = msgspec.structs.replace(call.balances[0], account=bytes(16))
    return (
        calls.world,
        calls.world.node,
        calls.opening(msgspec.structs.replace(call, contract=Digest(bytes(32)), balances=(own,))),
    )


@case(Status.CALL_MISMATCH)
def _another_program() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    return calls.world, calls.world.node, calls.opening(calls.call(contract), digest=Digest(b"\x77" * 32))


@case(Status.CALL_MISMATCH)
def _no_such_function() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    return calls.world, calls.world.node, calls.opening(calls.call(contract), entry="walk")


@case(Status.EPOCH_WRONG)
def _an_epoch_to_come() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    call = calls.call(contract)
    return calls.world, calls.world.node, calls.opening(msgspec.structs.replace(call, epoch=call.epoch + 1))


@case(Status.STATE_CONFLICT)
def _a_version_that_is_over() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    return calls.world, calls.world.node, calls.opening(calls.call(contract, version=1))


@case(Status.STATE_CONFLICT)
def _a_balance_that_is_made_up() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    call = calls.call(contract)
    own = msgspec.structs.replace(call.balances[0], amount_micro=5)
    return calls.world, calls.world.node, calls.opening(msgspec.structs.replace(call, balances=(own,)))


@case(Status.OUTCOME_MISMATCH)
def _no_outcome_shown() -> tuple[World, Identity, Value]:
    calls, contract = _calls()
    deal = calls.open(calls.call(contract))
    return calls.world, calls.world.node, deal.settling(deal.output(b"\x41" * 32), b"")


@pytest.mark.parametrize(
    ("status", "build"),
    [(status, build) for status, cases in CASES.items() for build in cases],
    ids=lambda item: str(item),
)
def test_each_other_status_is_provoked(status: Status, build: Case) -> None:
    world, who, value = build()
    before = world.state
    reply = world.post(who, value)
    assert reply.answer.status == status
    if status is not Status.OK:
        assert world.state.accounts is before.accounts
        assert world.state.escrows is before.escrows


def test_no_status_is_left_out() -> None:
    assert {*CASES, *ORDER_FAULTS, *EVIDENCE_FAULTS} == set(Status)


@pytest.mark.parametrize("status", sorted(NOT_YET), ids=str)
def test_what_may_come_right_later_is_not_remembered(status: Status) -> None:
    if status in CASES:
        world, who, value = CASES[status][0]()
        verify = None
    else:
        order = Order()
        plant(order, status)
        world, who, value = order.build()
        verify = refuse if order.unverified else None
    before = world.state
    applied = apply(
        before, world.tx(who, value), next_context(before, world.now, NONCE), verify or world.signatures.verify
    )
    assert applied.status is status
    assert not applied.fresh
    assert applied.state is before


def test_a_roster_entry_is_needed_at_all() -> None:
    world = World()
    for who in world.providers:
        world.stand(who)
    job, roster = world.job(), world.roster()
    empty = msgspec.structs.replace(roster, entries=())
    agreement = world.agreement(job, roster, roster=value_digest(empty))
    assert world.status(world.node, world.order(job, agreement, empty)) == Status.ROSTER_UNSORTED
