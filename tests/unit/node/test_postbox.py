"""Mail: evidence is signed, other letters are plain and said in the name that the channel vouches for."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from quorate.crypto.signing import Identity
from quorate.errors import BadSignature, MalformedBytes
from quorate.model.assignment import Ack, Started
from quorate.model.codec import Value, decode, encode
from quorate.model.evidence import Envelope, Hello, Plain
from quorate.model.identity import Suite
from quorate.model.transaction import CloseForced
from quorate.model.units import Digest, NodeId
from quorate.node.nouns import PLAIN
from quorate.node.postbox import Directory, Outgoing, Postbox, StampBook

NETWORK = Digest(bytes(range(32)))
PLACE: dict[str, Any] = {"network": NETWORK, "agreement": Digest(b"a" * 32)}
ANN, BEN, EVE = (Identity.generate(Suite.ED25519_ML_DSA_65, os.urandom) for _ in range(3))
ACK = Ack(**PLACE, round=1, member=ANN.node_id, assignment=Digest(b"b" * 32), refusal="")
STARTED = Started(**PLACE, round=1, member=ANN.node_id)


def postbox(owner: Identity, *known: Identity) -> Postbox:
    directory = Directory(identity.bundle for identity in (owner, *known))
    return Postbox(owner, NETWORK, directory, StampBook(lambda key: None), os.urandom)


def envelope(sender: Identity, *values: Value) -> bytes:
    box = postbox(sender)
    letters = [Outgoing(BEN.node_id, value) for value in values]
    ((to, message),) = box.seal(letters, box.sign_evidence(values))
    assert to == BEN.node_id
    return message


def altered(message: bytes, **changes: Any) -> bytes:
    return encode(msgspec.structs.replace(decode(message, Envelope), **changes))


def test_evidence_comes_with_its_proof_and_the_rest_without() -> None:
    plain, signed = postbox(BEN, ANN).open(ANN.node_id, envelope(ANN, ACK, STARTED)).letters
    assert (plain.noun, plain.body, plain.signed) == ("started", encode(STARTED), None)
    assert (signed.noun, signed.body, signed.sender) == ("ack", encode(ACK), ANN.node_id)
    postbox_of_another = postbox(EVE, ANN)
    postbox_of_another.stamps.add(decode(envelope(ANN, ACK), Envelope).stamp)  # type: ignore[arg-type]
    with pytest.raises(BadSignature, match="stamp"):
        postbox_of_another.verify(signed.evidence)  # its own stamp did not come along
    with pytest.raises(BadSignature, match="not signed"):
        _ = plain.evidence


def test_without_evidence_nothing_is_signed() -> None:
    opened = decode(envelope(ANN, STARTED, CloseForced(**PLACE)), Envelope)
    assert (opened.stamp, opened.leaves) == (None, ())
    assert [said.noun for said in opened.plain] == ["started", "close_forced"]


def test_the_same_statement_for_two_is_one_leaf_under_one_stamp() -> None:
    box = postbox(ANN)
    sealed = box.seal([Outgoing(BEN.node_id, ACK), Outgoing(EVE.node_id, ACK)], box.sign_evidence([ACK, ACK]))
    stamps = [decode(message, Envelope).stamp for _, message in sealed]
    assert stamps[0] == stamps[1]
    assert stamps[0] is not None
    assert stamps[0].size == 1


@pytest.mark.parametrize("noun", ["ack", "commit", "assignment", "round_close", "delivery_ack", "cancel_ack", "offer"])
def test_evidence_that_is_only_said_is_refused(noun: str) -> None:
    assert noun not in PLAIN
    message = altered(envelope(ANN, STARTED), plain=(Plain(noun=noun, body=encode(ACK)),))
    with pytest.raises(BadSignature, match="not signed"):
        postbox(BEN, ANN).open(ANN.node_id, message)


def test_what_another_signed_is_refused_over_this_channel() -> None:
    """A stolen envelope, said again under the thief's own name."""
    with pytest.raises(BadSignature, match="another than its sender"):
        postbox(BEN, ANN, EVE).open(EVE.node_id, envelope(ANN, ACK))


def test_leaves_need_their_stamp_and_their_own_bytes() -> None:
    message = envelope(ANN, ACK)
    with pytest.raises(BadSignature, match="without a stamp"):
        postbox(BEN, ANN).open(ANN.node_id, altered(message, stamp=None))
    (leaf,) = decode(message, Envelope).leaves
    forged = msgspec.structs.replace(leaf, body=encode(msgspec.structs.replace(ACK, refusal="no")))
    with pytest.raises(BadSignature):
        postbox(BEN, ANN).open(ANN.node_id, altered(message, leaves=(forged,)))
    with pytest.raises(MalformedBytes):
        postbox(BEN, ANN).open(ANN.node_id, message + b"\0")


def hello(bundle: Any) -> Hello:
    return Hello(bundle=bundle, role="provider", now_ms=1)


def test_a_stranger_is_known_after_a_hello_with_its_own_keys() -> None:
    box = postbox(BEN)
    with pytest.raises(BadSignature, match="signer"):
        box.open(ANN.node_id, envelope(ANN, ACK))
    box.open(ANN.node_id, envelope(ANN, hello(ANN.bundle)))
    assert len(box.open(ANN.node_id, envelope(ANN, ACK)).letters) == 1


def test_a_hello_with_the_keys_of_another_introduces_nobody() -> None:
    box = postbox(BEN)
    with pytest.raises(BadSignature, match="not the sender's"):
        box.open(NodeId(EVE.node_id), envelope(EVE, hello(ANN.bundle)))
    assert EVE.node_id not in box.directory
    assert ANN.node_id not in box.directory
