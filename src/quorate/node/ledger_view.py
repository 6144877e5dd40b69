"""How a node talks to the ledger: posts transactions until they are answered, believes events only with their proof."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from quorate.crypto.merkle import Known, top, verify_known
from quorate.crypto.signing import node_id
from quorate.errors import BadSignature
from quorate.ledger.journal import event_leaf
from quorate.model.codec import Value, decode
from quorate.model.evidence import Proven, Signed
from quorate.model.network import Checkpoint, Genesis
from quorate.model.transaction import OpenEscrow
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.postbox import Postbox

RESEND_MS = 1_500
CHECKPOINTS_MAX = 64


class Pending(NamedTuple):
    """A transaction without an answer, its bytes, and which machine asked for it."""

    transaction: Value
    body: bytes
    owner: bytes
    resend_ms: Millis


def built(transaction: Value, own: tuple[Signed, ...]) -> Value:
    """The transaction with this node's own signed statements in their place."""
    if isinstance(transaction, OpenEscrow):
        return msgspec.structs.replace(transaction, agreement=own[0])
    evidence: Any = getattr(transaction, "evidence", None)
    if evidence is None or not own:
        return transaction
    return msgspec.structs.replace(transaction, evidence=(*evidence, *own))


def sequencer_of(genesis: Genesis) -> NodeId:
    return node_id(genesis.ledger[0])


def check_proven(proven: Proven, genesis: Genesis, postbox: Postbox) -> Checkpoint:
    """Raises BadSignature unless the event is in the log under a checkpoint that a key of the genesis signed."""
    checkpoint = check_checkpoint(proven.checkpoint, genesis, postbox)
    check_inclusion(proven, checkpoint)
    return checkpoint


def check_checkpoint(signed: Signed, genesis: Genesis, postbox: Postbox) -> Checkpoint:
    """All events of a block come under one checkpoint: `postbox` remembers those that stood."""
    checkpoint = postbox.checkpoints.get(signed)
    if checkpoint is None:
        checkpoint = postbox.checkpoints[signed] = _checked(signed, genesis, postbox)
        if len(postbox.checkpoints) > CHECKPOINTS_MAX:
            postbox.checkpoints.popitem(last=False)
    return checkpoint


def _checked(signed: Signed, genesis: Genesis, postbox: Postbox) -> Checkpoint:
    if signed.signer not in {node_id(bundle) for bundle in genesis.ledger}:
        raise BadSignature("not a key of the ledger", field="checkpoint")
    if signed.noun != "checkpoint":
        raise BadSignature("not a checkpoint", field="checkpoint")
    postbox.verify(signed)
    checkpoint = decode(signed.body, Checkpoint)
    if checkpoint.network != postbox.network:
        raise BadSignature("of another network", field="checkpoint")
    return checkpoint


def check_inclusion(proven: Proven, checkpoint: Checkpoint) -> None:
    known = _known(checkpoint.root, checkpoint.size)
    verify_known(known, event_leaf(proven.event), proven.index, checkpoint.size, proven.path)


@lru_cache(maxsize=16)
def _known(root: Digest, size: int) -> Known:
    """What was seen of the log under one checkpoint: its events share most of their paths."""
    return {top(size): root}
