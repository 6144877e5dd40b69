"""A running network takes up a second suite: newcomers sign with the hybrid, what was signed before stays good, and
nobody gets away with less than its own keys (protocol R9)."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.job_town import POLICY, Sealed, Town, quorum
from tests.support.receipt_forge import Forge

from quorate.crypto.digests import digest, value_digest
from quorate.crypto.signing import Identity, _statement
from quorate.crypto.wrapping import SealKey
from quorate.jobs.receipts import Report, check
from quorate.model.identity import SIGNATURE_BYTES, KeyBundle, Suite
from quorate.model.network import Genesis
from quorate.model.outcome import Receipt
from quorate.model.signature import Stamp
from quorate.model.transaction import DepositStake, PostOffer, Register, TransferCredits

CLASSICAL, HYBRID = Suite.ED25519, Suite.ED25519_ML_DSA_65
ED25519_PART, ML_DSA_PART = SIGNATURE_BYTES[HYBRID]
DEMANDING = msgspec.structs.replace(POLICY, require_post_quantum=True)
replace = msgspec.structs.replace


class OpenTown(Town):
    """Classical from the first day, and its genesis accepts the hybrid suite too."""

    def _genesis(self, suite: Suite, gate: int) -> Genesis:
        return replace(super()._genesis(suite, gate), suites=(str(CLASSICAL), str(HYBRID)))


def register(town: Town, who: Identity, role: str) -> str:
    reply, _ = town.post(who, Register(network=town.network, bundle=who.bundle, role=role))
    return reply.answer.status


def arrive(town: Town, role: str, balance_micro: int) -> Identity:
    """A hybrid newcomer, registered in the running ledger and paid by the old requester."""
    who = Identity.generate(HYBRID, town.draw)
    town.identities[who.node_id], town.bundles[who.node_id] = who, who.bundle
    assert register(town, who, role) == "ok"
    gift = TransferCredits(
        network=town.network,
        to=who.node_id,
        amount_micro=balance_micro,
        expires_ms=town.now + 3_600_000,
        nonce=town.draw(32),
    )
    assert town.post(town.requester, gift)[0].answer.status == "ok"
    return who


def arrive_as_provider(town: Town, place: int) -> None:
    who = arrive(town, "provider", 10**6)
    deposit = DepositStake(
        network=town.network, amount_micro=10**6, expires_ms=town.now + 3_600_000, nonce=town.draw(32)
    )
    assert town.post(who, deposit)[0].answer.status == "ok"
    town.seal_keys[who.node_id] = SealKey.generate(town.draw)
    town.providers.append(who)
    town.stand(who, operator=f"newcomer {place}")


class Switched:
    """One town before and after the switch."""

    def __init__(self) -> None:
        self.town = OpenTown(providers=4)
        self.before = self.town.receipt(self.town.run(self.town.job(quorum(3))))
        for place in range(3):
            arrive_as_provider(self.town, place)
        self.town.requester = arrive(self.town, "requester", 10**8)
        self.after = self.town.receipt(self.town.run(self.job()))

    def job(self) -> Sealed:
        """Of the hybrid requester, which lets hybrid members alone run it."""
        return self.town.job(quorum(3), private=True, policy=DEMANDING)

    def check(self, receipt: Receipt) -> Report:
        return check(receipt, network=self.town.network)


@pytest.fixture(scope="module")
def switched() -> Switched:
    return Switched()


def suites_of(receipt: Receipt) -> set[str]:
    return {str(stamp.suite) for stamp in receipt.stamps}


def test_receipts_of_before_the_switch_still_verify(switched: Switched) -> None:
    report = switched.check(switched.before)
    assert report.outcome == "valid", report.line
    assert suites_of(switched.before) == {CLASSICAL}
    assert any(line.startswith("Signatures are ed25519. ") for line in report.trust)


def test_receipts_of_after_it_name_the_new_suite(switched: Switched) -> None:
    report = switched.check(switched.after)
    assert report.outcome == "valid", report.line
    assert suites_of(switched.after) == {CLASSICAL, HYBRID}, "sequencer and node of old, the rest of new"
    assert any(line.startswith("Signatures are ed25519, ed25519+ml-dsa-65. ") for line in report.trust)
    newcomers = {who.node_id for who in (switched.town.requester, *switched.town.providers[4:])}
    assert {stamp.signer for stamp in switched.after.stamps if stamp.suite == HYBRID} == newcomers


def test_classical_members_go_on_where_nobody_asks_for_more(switched: Switched) -> None:
    town = switched.town
    receipt = town.receipt(town.run(town.job(quorum(7))))
    assert switched.check(receipt).outcome == "valid"
    assert suites_of(receipt) == {CLASSICAL, HYBRID}


def with_other_stamp(receipt: Receipt, old: Stamp, new: Stamp) -> Receipt:
    """The receipt with one stamp exchanged, wherever it is quoted."""
    ids = value_digest(old), value_digest(new)
    data = msgspec.msgpack.encode(replace(receipt, stamps=())).replace(ids[0], ids[1])
    stamps = sorted((*(stamp for stamp in receipt.stamps if stamp != old), new), key=value_digest)
    return replace(msgspec.msgpack.decode(data, type=Receipt), stamps=tuple(stamps))


def requesters_stamp(switched: Switched) -> Stamp:
    return next(stamp for stamp in switched.after.stamps if stamp.signer == switched.town.requester.node_id)


@pytest.mark.parametrize(
    ("suite", "part", "field"),
    [
        (CLASSICAL, slice(ED25519_PART), "suite"),
        (Suite.ML_DSA_65, slice(ED25519_PART, None), "suite"),
        (CLASSICAL, slice(None), "suite"),
        (HYBRID, slice(ED25519_PART), "signature"),
        (HYBRID, slice(ED25519_PART, None), "signature"),
    ],
    ids=["its ed25519 alone", "its ml-dsa alone", "the label alone", "stripped", "stripped of ed25519"],
)
def test_a_hybrid_signature_cut_down_to_one_component_is_refused(
    switched: Switched, suite: Suite, part: slice, field: str
) -> None:
    stamp = requesters_stamp(switched)
    less = replace(stamp, suite=suite, signature=stamp.signature[part])
    report = switched.check(with_other_stamp(switched.after, stamp, less))
    assert (report.outcome, report.steps[-1].name) == ("invalid", "signatures")
    assert report.steps[-1].sentence.startswith(f"{field}: ")


def test_exchanging_a_stamp_for_itself_changes_nothing(switched: Switched) -> None:
    """So that the refusals above are about the signature and not about the exchange."""
    stamp = requesters_stamp(switched)
    assert with_other_stamp(switched.after, stamp, stamp) == switched.after


def classical_half(who: Identity) -> Identity:
    """What a thief of the Ed25519 key alone can be: that key under a classical bundle, so another NodeId."""
    return Identity(CLASSICAL, who._seeds[0], b"")


def test_the_classical_half_of_a_hybrid_speaks_for_nobody(switched: Switched) -> None:
    town, owner = switched.town, switched.town.requester
    half = classical_half(owner)
    assert half.bundle == KeyBundle(suite=CLASSICAL, ed25519=owner.bundle.ed25519, ml_dsa=b"")
    assert half.node_id != owner.node_id
    assert register(town, half, "requester") == "key_shared"
    forge = Forge(town)
    town.identities[half.node_id] = half
    try:
        job = switched.after.job
        (signed,) = town.sign(half, switched.job().job)
        claimed = replace(job, stamp=signed.stamp, index=signed.index, salt=signed.salt, path=signed.path)
        assert switched.check(forge.put(switched.after, job=claimed)).steps[-1].name == "signatures"
        assert switched.check(forge.put(switched.after, job=signed)).steps[-1].name == "job"
    finally:
        del town.identities[half.node_id]


def ed25519_alone(who: Identity, stamp: Stamp) -> Stamp:
    """The best that a signer can do without its other key: a whole classical stamp in its own name."""
    root = digest("stamp", stamp.size.to_bytes(8, "big"), stamp.root)
    statement = _statement("stamp", stamp.network, CLASSICAL, who.node_id, root)
    assert who._classical is not None
    return replace(stamp, suite=CLASSICAL, signature=who._classical.sign(statement))


@pytest.mark.parametrize(("place", "accepted"), [(0, True), (-1, False)], ids=["classical", "hybrid"])
def test_an_ed25519_signature_is_enough_for_a_classical_identity_and_never_for_a_hybrid(
    switched: Switched, place: int, accepted: bool
) -> None:
    """On the ledger, by the registered keys of the signer."""
    town, who = switched.town, switched.town.providers[place]
    (offer,) = town.sign(who, replace(town.offer(who), region="elsewhere"))
    less = ed25519_alone(who, town.stamps[offer.stamp])
    town.stamps[value_digest(less)] = less
    reply, _ = town.post(who, PostOffer(network=town.network, offer=replace(offer, stamp=value_digest(less))))
    assert reply.answer.status == ("ok" if accepted else "bad_signature")
    if not accepted:
        assert reply.answer.detail == "offer: suite"
        assert town.post(who, PostOffer(network=town.network, offer=offer))[0].answer.status == "ok"


def test_a_suite_that_the_genesis_does_not_name_is_never_taken_up(switched: Switched) -> None:
    town = switched.town
    assert register(town, Identity.generate(Suite.ML_DSA_44, town.draw), "provider") == "suite_refused"
    closed = Town(providers=0)
    assert register(closed, Identity.generate(HYBRID, closed.draw), "provider") == "suite_refused"
