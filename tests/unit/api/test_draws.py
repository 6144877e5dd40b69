"""A draw that is not what the ledger and the roster say is refused, and then no key is wrapped for anyone."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support.desks import BoxedDesk, Draw, Party, make_box, together

from quorate.api.builder import Draft
from quorate.api.client import Client
from quorate.api.draws import Notary, places
from quorate.api.sealing import Parties, SealedJob, seal
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import Identity
from quorate.errors import BadCommitment, BadSeal, BadSignature, PolicyRefused, QuorateError
from quorate.jobs import lifecycle
from quorate.jobs.state import JobState
from quorate.model.agreement import Agreement, EscrowOpened
from quorate.model.codec import decode, encode
from quorate.model.identity import Suite
from quorate.model.policy import Policy, Proof
from quorate.model.resources import asked
from quorate.model.units import JobId, Millis

NOW = Millis(1_800_000_000_000)


class Scene:
    """One sealed job and its honest draw, and the means to make dishonest ones."""

    def __init__(self, desk: BoxedDesk, draft: Draft) -> None:
        self.desk, self.box = desk, desk.box
        parties = Parties(desk.network, self.box.client.node_id, desk.node_id)
        self.sealed: SealedJob = seal(draft, parties, NOW, os.urandom)
        assert self.sealed.keys is not None
        self.job = self.sealed.keys.job
        self.signed = self.box.party(self.box.client).sign(self.job)
        self.state: JobState = lifecycle.begin(self.signed, self.sealed.job_id, os.urandom(32), NOW)[0]
        self.draw = desk.make_draw(self.state)

    def check(self, draw: Draw) -> tuple[bytes, ...]:
        notary = Notary(self.box.client, self.box.genesis, os.urandom)
        evidence = notary.evidence(together([draw]))
        drawn = notary.check(draw.alone, evidence, self.job, self.sealed.job_id)
        return tuple(offer.provider for offer in drawn.offers)

    def agreed(self, signer: Party | None = None, **changes: Any) -> Draw:
        """The draw with another agreement, signed, with an escrow of its own."""
        terms = msgspec.structs.replace(decode(self.draw.agreement.body, Agreement), **changes)
        signed = (signer or self.box.node).sign(terms)
        escrow = self.desk.prove(body_digest("agreement", signed.body), self.sealed.job_id)
        return self.with_stamps(agreement=signed, escrow=escrow)

    def with_stamps(self, **changes: Any) -> Draw:
        draw = msgspec.structs.replace(self.draw, **changes)
        signed = (draw.agreement, draw.escrow.checkpoint, *draw.offers)
        return msgspec.structs.replace(draw, stamps=self.box.stamps.of(signed))

    def rostered(self, **changes: Any) -> Draw:
        """The draw over offers that were changed and signed again, with roster and agreement to match."""
        self.desk.offers = [(party, msgspec.structs.replace(offer, **changes)) for party, offer in self.desk.offers]
        return self.desk.make_draw(self.state)


@pytest.fixture
def scene(desk: BoxedDesk, private_draft: Draft) -> Scene:
    return Scene(desk, private_draft)


def test_an_honest_draw_names_the_members_in_its_order(scene: Scene) -> None:
    event = decode(scene.draw.escrow.event, EscrowOpened)
    state = msgspec.structs.replace(
        scene.state, agreement=scene.draw.agreement.body, roster=scene.draw.roster, beacon=event.beacon
    )
    assert scene.check(scene.draw) == scene.desk.members(state)
    assert len(scene.check(scene.draw)) == 4


def test_another_beacon_is_another_order(desk: BoxedDesk, private_draft: Draft) -> None:
    scene = Scene(desk, private_draft)
    orders = {
        scene.check(scene.with_stamps(escrow=scene.desk.prove(_id(scene.draw), scene.sealed.job_id))) for _ in range(20)
    }
    assert len(orders) > 5


def _id(draw: Draw) -> Any:
    return body_digest("agreement", draw.agreement.body)


def test_a_sequencer_that_the_genesis_does_not_know(scene: Scene) -> None:
    stranger = scene.box.party(Identity.generate(Suite.ED25519, os.urandom))
    trust = msgspec.structs.replace(
        decode(scene.draw.agreement.body, Agreement).ledger_trust, sequencer=stranger.node_id
    )
    draw = scene.agreed(ledger_trust=trust)
    escrow = scene.desk.prove(_id(draw), scene.sealed.job_id, stranger)
    forged = scene.with_stamps(
        agreement=draw.agreement, escrow=escrow, bundles=(*draw.bundles, stranger.identity.bundle)
    )
    with pytest.raises(BadSignature, match="ledger"):
        scene.check(forged)
    with pytest.raises(BadSignature, match="sequencer"):
        scene.check(scene.with_stamps(escrow=scene.desk.prove(_id(scene.draw), scene.sealed.job_id, stranger)))


def test_a_ledger_that_is_the_requesters_own_node(desk: BoxedDesk, private_draft: Draft) -> None:
    box = make_box()
    box.node = box.ledger
    scene = Scene(BoxedDesk(box), private_draft)
    with pytest.raises(PolicyRefused, match="orders the ledger itself"):
        scene.check(scene.draw)


Lie = Callable[[Scene], Draw]

LIES: dict[str, tuple[type[QuorateError], Lie]] = {
    "agreement signed by another": (BadSignature, lambda scene: scene.agreed(scene.box.providers[0])),
    "agreement altered": (BadSignature, lambda scene: _altered(scene, "agreement")),
    "agreement of another job": (BadCommitment, lambda scene: scene.agreed(job=JobId(bytes(32)))),
    "agreement on fewer replicas": (
        BadCommitment,
        lambda scene: scene.agreed(proof=Proof(method="trust", replicas=1, threshold=0, one_in=1)),
    ),
    "more rounds than the roster allows": (BadCommitment, lambda scene: scene.agreed(rounds=2)),
    "more reserves than the roster allows": (BadCommitment, lambda scene: scene.agreed(reserves=4)),
    "draw of another job": (BadCommitment, lambda scene: msgspec.structs.replace(scene.draw, job=JobId(bytes(32)))),
    "escrow of another agreement": (
        BadCommitment,
        lambda scene: scene.with_stamps(escrow=scene.desk.prove(value_digest(scene.job), scene.sealed.job_id)),
    ),
    "escrow event altered": (BadSignature, lambda scene: _beacon_changed(scene)),
    "checkpoint altered": (BadSignature, lambda scene: _checkpoint_altered(scene)),
    "roster with a member left out": (BadCommitment, lambda scene: _roster_without_one(scene)),
    "member swapped in the roster": (BadCommitment, lambda scene: _member_swapped(scene)),
    "offer not signed by its member": (BadSignature, lambda scene: _offer_signed_by_another(scene)),
    "offer missing": (BadSignature, lambda scene: msgspec.structs.replace(scene.draw, offers=scene.draw.offers[1:])),
    "offer altered": (BadSignature, lambda scene: _offer_altered(scene)),
    "stamps left out": (BadSignature, lambda scene: _without_stamps(scene)),
    "bundle of another key": (BadSignature, lambda scene: _foreign_bundle(scene)),
    "operator changed in the roster": (BadCommitment, lambda scene: _operator_changed(scene)),
    "offer of another engine": (BadCommitment, lambda scene: scene.rostered(engine="wasmtime other")),
    "offer that had expired": (BadCommitment, lambda scene: scene.rostered(expires_ms=Millis(NOW - 1))),
    "offer of another network": (BadCommitment, lambda scene: scene.rostered(network=bytes(32))),
    "simulated part": (PolicyRefused, lambda scene: scene.rostered(simulated=("sim-enclave",))),
    "seal key that is none": (BadSeal, lambda scene: scene.rostered(seal_key=b"x" * 1215)),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_refused(scene: Scene, name: str) -> None:
    kind, lie = LIES[name]
    with pytest.raises(kind):
        scene.check(lie(scene))


def _altered(scene: Scene, name: str) -> Draw:
    signed = getattr(scene.draw, name)
    body = encode(msgspec.structs.replace(decode(signed.body, Agreement), settle_by_ms=Millis(1)))
    return msgspec.structs.replace(scene.draw, **{name: msgspec.structs.replace(signed, body=body)})


def _beacon_changed(scene: Scene) -> Draw:
    event = msgspec.structs.replace(decode(scene.draw.escrow.event, EscrowOpened), beacon=bytes(32))
    return msgspec.structs.replace(scene.draw, escrow=msgspec.structs.replace(scene.draw.escrow, event=encode(event)))


def _checkpoint_altered(scene: Scene) -> Draw:
    checkpoint = msgspec.structs.replace(scene.draw.escrow.checkpoint, salt=bytes(16))
    return msgspec.structs.replace(scene.draw, escrow=msgspec.structs.replace(scene.draw.escrow, checkpoint=checkpoint))


def _roster_without_one(scene: Scene) -> Draw:
    roster = msgspec.structs.replace(scene.draw.roster, entries=scene.draw.roster.entries[1:])
    return msgspec.structs.replace(scene.draw, roster=roster)


def _member_swapped(scene: Scene) -> Draw:
    """One entry of the roster stands for a stranger, whose offer is truly its own."""
    stranger = scene.box.party(Identity.generate(Suite.ED25519, os.urandom))
    offer = stranger.sign(scene.box.offer(stranger))
    first = msgspec.structs.replace(
        scene.draw.roster.entries[0], provider=stranger.node_id, offer=body_digest("offer", offer.body)
    )
    entries = sorted((first, *scene.draw.roster.entries[1:]), key=lambda entry: entry.provider)
    roster = msgspec.structs.replace(scene.draw.roster, entries=tuple(entries))
    bundles = (*scene.draw.bundles, stranger.identity.bundle)
    return scene.with_stamps(roster=roster, offers=(*scene.draw.offers, offer), bundles=bundles)


def _offer_signed_by_another(scene: Scene) -> Draw:
    """Two providers: the second signs the first's offer."""
    (first, offer), (second, _), *_ = scene.desk.offers
    forged = second.sign(offer)
    kept = [signed for signed in scene.draw.offers if signed.signer != first.node_id]
    return scene.with_stamps(offers=(*kept, forged))


def _offer_altered(scene: Scene) -> Draw:
    """One offer is no longer the leaf that its member signed."""
    first = scene.draw.offers[0]
    return msgspec.structs.replace(
        scene.draw, offers=(msgspec.structs.replace(first, salt=bytes(16)), *scene.draw.offers[1:])
    )


def _without_stamps(scene: Scene) -> Draw:
    return msgspec.structs.replace(scene.draw, stamps=())


def _foreign_bundle(scene: Scene) -> Draw:
    """Known under its own digest only, so it vouches for nobody else."""
    stranger = Identity.generate(Suite.ED25519, os.urandom)
    return msgspec.structs.replace(scene.draw, bundles=(stranger.bundle,) * len(scene.draw.bundles))


def _operator_changed(scene: Scene) -> Draw:
    entries = tuple(
        msgspec.structs.replace(entry, operator=f"o{at}") for at, entry in enumerate(scene.draw.roster.entries)
    )
    roster = msgspec.structs.replace(scene.draw.roster, entries=entries)
    draw = scene.agreed(roster=value_digest(roster))
    return msgspec.structs.replace(draw, roster=roster)


def test_a_policy_for_jail_layers_and_suites(desk: BoxedDesk, private_draft: Draft) -> None:
    strict = Policy(require_post_quantum=False, jail_layers_min=("landlock",), allow=(), reputation_min=0)
    scene = Scene(desk, dataclasses.replace(private_draft, policy=strict))
    with pytest.raises(PolicyRefused, match="jail layer"):
        scene.check(scene.draw)
    quantum = Policy(require_post_quantum=True, jail_layers_min=(), allow=(), reputation_min=0)
    scene = Scene(desk, dataclasses.replace(private_draft, policy=quantum))
    with pytest.raises(PolicyRefused, match="post-quantum"):
        scene.check(scene.draw)


def test_members_elsewhere_or_with_too_little_get_no_key(desk: BoxedDesk, private_draft: Draft) -> None:
    """The node matches by region and resources; the client looks again before it wraps the input key."""
    scene = Scene(desk, dataclasses.replace(private_draft, regions=("elsewhere",)))
    with pytest.raises(PolicyRefused, match="is in local") as caught:
        scene.check(scene.draw)
    assert caught.value.field == "regions"
    scene = Scene(desk, dataclasses.replace(private_draft, resources=asked({"cpu_cores": 3})))
    with pytest.raises(PolicyRefused, match="has 2 cores, the job asks for 3") as caught:
        scene.check(scene.draw)
    assert caught.value.field == "resources"
    fitting = dataclasses.replace(private_draft, regions=("local",), resources=asked({"cpu_cores": 2}))
    scene = Scene(desk, fitting)
    assert len(scene.check(scene.draw)) == 4


def test_a_simulated_part_that_is_allowed_by_name(desk: BoxedDesk, private_draft: Draft) -> None:
    allowing = Policy(require_post_quantum=False, jail_layers_min=(), allow=("sim-enclave",), reputation_min=0)
    scene = Scene(desk, dataclasses.replace(private_draft, policy=allowing))
    assert len(scene.check(scene.rostered(simulated=("sim-enclave",)))) == 4


def test_hybrid_identities_draw_too(private_draft: Draft) -> None:
    scene = Scene(BoxedDesk(make_box(3, Suite.ED25519_ML_DSA_65)), private_draft)
    assert len(scene.check(scene.draw)) == 3


def test_a_rerun_has_two_places() -> None:
    assert places(Proof(method="rerun", replicas=1, threshold=0, one_in=10)) == 2
    assert places(Proof(method="quorum", replicas=5, threshold=0, one_in=1)) == 5
    assert places(Proof(method="trust", replicas=1, threshold=0, one_in=1)) == 1


async def test_after_a_refused_draw_nothing_is_wrapped_and_the_job_is_cancelled(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    desk.alter_draw = lambda draw: msgspec.structs.replace(draw, offers=draw.offers[1:])
    with pytest.raises(BadSignature):
        await client.submit(private_draft)
    with pytest.raises(BadSignature):
        await asyncio.wait_for(client.submit_many([private_draft] * 3), 20)
    assert desk.wrapped == []
    assert len(desk.cancelled) >= 2
