"""Production knows nothing of the simulation's signature suite, and refuses it wherever it might come in."""

from __future__ import annotations

from typing import Any

import cbor2
import msgspec
import pytest
from tests.simulation.fleet import Size, assemble, genesis_of
from tests.simulation.suite import SUITE, Keyring, party
from tests.simulation.weather import Weather
from tests.simulation.world import World

from quorate.crypto.digests import value_digest, xof
from quorate.crypto.signing import Identity
from quorate.errors import BadSignature, InvalidField, MalformedBytes
from quorate.ledger.apply import apply
from quorate.ledger.call import AuthenticatedTx, BlockContext
from quorate.ledger.state import genesis_state
from quorate.model.assignment import CancelOrder
from quorate.model.codec import VERSION, Value, decode, encode
from quorate.model.identity import KeyBundle, Suite
from quorate.model.signature import Stamp
from quorate.model.transaction import PostOffer
from quorate.model.units import Digest
from quorate.node.postbox import Directory, Postbox, StampBook


@pytest.fixture
def statement() -> Value:
    return CancelOrder(network=Digest(bytes(32)), agreement=Digest(bytes(32)))


def postbox(network: Digest) -> Postbox:
    draw = lambda size: xof("postbox", size, b"")  # noqa: E731
    identity = Identity.generate(Suite.ED25519, draw)
    book = StampBook(lambda key: None)
    return Postbox(identity, network, Directory([party("p00").bundle]), book, draw)


def as_sent(kind: str, fields: dict[str, Any]) -> bytes:
    return cbor2.dumps({"type": kind, "v": VERSION, **fields}, canonical=True)


def test_it_is_no_suite() -> None:
    with pytest.raises(ValueError, match=SUITE):
        Suite(SUITE)


def test_a_stamp_that_names_it_is_malformed() -> None:
    fields = {"network": bytes(32), "signer": bytes(32), "size": 1, "root": bytes(32), "signature": b""}
    assert decode(as_sent("stamp", fields | {"suite": "ed25519"}), Stamp).suite == Suite.ED25519
    with pytest.raises(MalformedBytes, match="suite"):
        decode(as_sent("stamp", fields | {"suite": SUITE}), Stamp)


def test_a_key_bundle_that_names_it_is_malformed() -> None:
    with pytest.raises(MalformedBytes):
        decode(as_sent("key_bundle", {"suite": SUITE, "ed25519": bytes(32), "ml_dsa": b""}), KeyBundle)


def test_its_statements_do_not_verify(statement: Value) -> None:
    network = Digest(bytes(32))
    keyring = Keyring(network)
    keyring.add(party("p00"))
    signed = keyring.sign(party("p00").node_id, statement)
    keyring.verify(signed)
    with pytest.raises(BadSignature):
        postbox(network).verify(signed)


def test_the_ledger_takes_no_evidence_signed_by_it() -> None:
    """With the real verification behind it: the same transaction passes in the simulation and nowhere else."""
    fleet = assemble(World(1, Weather()), Size(3, 1))
    network, provider = fleet.keyring.network, fleet.providers[0]
    offer = msgspec.structs.replace(provider.offer, region="elsewhere")
    value = PostOffer(network=network, offer=fleet.keyring.sign(provider.node_id, offer))
    tx = AuthenticatedTx(value_digest(value), provider.node_id, "post_offer", encode(value), value)
    state, block = genesis_state(fleet.genesis), BlockContext(1, fleet.world.now, bytes(32))
    assert apply(state, tx, block, fleet.keyring.verify).status == "ok"
    assert apply(state, tx, block, postbox(network).verify).status == "bad_signature"


def test_no_network_can_live_by_it_alone() -> None:
    genesis = msgspec.structs.replace(genesis_of(Size(3, 1)), suites=(SUITE,))
    with pytest.raises(InvalidField, match="accounts"):
        genesis_state(genesis)


def test_a_forged_statement_does_not_verify_in_the_simulation_either(statement: Value) -> None:
    keyring = Keyring(Digest(bytes(32)))
    keyring.add(party("p00"))
    keyring.add(party("p01"))
    signed = keyring.sign(party("p00").node_id, statement)
    for change in (
        {"signer": party("p01").node_id},
        {"body": signed.body + b"x"},
        {"noun": "ack"},
        {"salt": bytes(32)},
    ):
        with pytest.raises(BadSignature):
            keyring.verify(msgspec.structs.replace(signed, **change))
