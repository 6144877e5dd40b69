"""One signature for many values, and its verification at the price of one (protocol R8).

The leaves of a batch are salted digests of (noun, body digest); their Merkle root is signed once as a stamp. A verifier
remembers the stamps it has verified, so that every further leaf costs a few hashes. What it remembers is the whole
stamp, signature bytes included: an altered stamp is verified anew and refused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from quorate.crypto import merkle
from quorate.crypto.digests import digest
from quorate.crypto.signing import Identity, verify
from quorate.errors import BadSignature, InvalidField
from quorate.model.identity import KeyBundle
from quorate.model.signature import BATCH_MAX, SALT_BYTES, Signature, Stamp
from quorate.model.units import Digest, NodeId

STAMP_DOMAIN = "stamp"
REMEMBERED_STAMPS_MAX = 512
REMEMBERED_TREES_MAX = 64


@dataclass(frozen=True)
class SuitePolicy:
    """Which peers' suites are good enough. It concerns new messages; receipts are checked under the policy of their own
    network."""

    require_post_quantum: bool = False


def leaf_digest(salt: bytes, noun: str, body: Digest) -> Digest:
    """The leaf of one value. Two different leaves of one signer for one place in the protocol are equivocation."""
    return digest("leaf", salt, noun.encode(), body)


def draw_salts(draw: Callable[[int], bytes], count: int) -> list[bytes]:
    """Salts for `count` leaves, drawn at once: `draw` gives as many bytes of fresh entropy as it is asked for."""
    entropy = draw(SALT_BYTES * count)
    return [entropy[at : at + SALT_BYTES] for at in range(0, len(entropy), SALT_BYTES)]


def sign_batch(
    identity: Identity, network: Digest, leaves: Sequence[tuple[str, Digest]], salts: Sequence[bytes]
) -> list[Signature]:
    """One signature over all `leaves` (noun and body digest), as one Signature for each, in order. `salts` are fresh
    entropy, 16 bytes each."""
    if not 1 <= len(leaves) <= BATCH_MAX:
        raise InvalidField(f"{len(leaves)} leaves", field="batch", limit=f"1 to {BATCH_MAX}")
    if len(salts) != len(leaves) or any(len(salt) != SALT_BYTES for salt in salts):
        raise InvalidField("one per leaf is needed", field="salts", limit=f"{SALT_BYTES} bytes each")
    tree = merkle.levels([leaf_digest(salt, noun, body) for salt, (noun, body) in zip(salts, leaves, strict=True)])
    stamp = _stamp(identity, network, len(leaves), tree[-1][0])
    return [
        Signature(stamp=stamp, index=index, salt=salt, path=merkle.path(tree, index))
        for index, salt in enumerate(salts)
    ]


def _stamp(identity: Identity, network: Digest, size: int, root: Digest) -> Stamp:
    return Stamp(
        network=network,
        signer=identity.node_id,
        suite=identity.bundle.suite,
        size=size,
        root=root,
        signature=identity.sign(STAMP_DOMAIN, network, _size_and_root(size, root)),
    )


def _size_and_root(size: int, root: Digest) -> Digest:
    """What a stamp adds to the statement of every signature, which already names domain, network, suite and signer."""
    return digest(STAMP_DOMAIN, size.to_bytes(8, "big"), root)


class Verifier:
    """Checks signatures of known signers on one network. `bundles` may grow or shrink meanwhile: a signer that is no
    longer in it is refused even when its stamp was verified before. Not shared between threads."""

    def __init__(self, bundles: Mapping[NodeId, KeyBundle], network: Digest, policy: SuitePolicy) -> None:
        self._bundles = bundles
        self._network = network
        self._policy = policy
        self._verified: OrderedDict[Stamp, None] = OrderedDict()
        self._nodes: OrderedDict[Stamp, merkle.Known] = OrderedDict()

    def check(self, signature: Signature, noun: str, body: Digest) -> None:
        """Raises BadSignature, its field naming what fails, unless `signature` is its signer's over `body` as a `noun`
        of this network."""
        stamp = signature.stamp
        bundle = self._bundle(stamp)
        leaf = leaf_digest(signature.salt, noun, body)
        self._check_stamp(stamp, bundle)
        merkle.verify_known(self._nodes_of(stamp), leaf, signature.index, stamp.size, signature.path)

    def check_stamp(self, stamp: Stamp) -> None:
        """The same for a stamp alone."""
        self._check_stamp(stamp, self._bundle(stamp))

    def _nodes_of(self, stamp: Stamp) -> merkle.Known:
        """What is known of the stamp's tree: a batch is mostly checked at once, and then mostly by comparing."""
        nodes = self._nodes.get(stamp)
        if nodes is None:
            nodes = self._nodes[stamp] = {merkle.top(stamp.size): stamp.root}
            if len(self._nodes) > REMEMBERED_TREES_MAX:
                self._nodes.popitem(last=False)
        return nodes

    def _bundle(self, stamp: Stamp) -> KeyBundle:
        if stamp.network != self._network:
            raise BadSignature("made for another network", field="network")
        bundle = self._bundles.get(stamp.signer)
        if bundle is None:
            raise BadSignature("not a known signer", field="signer")
        if stamp.suite != bundle.suite:
            raise BadSignature(f"the signer's keys are {bundle.suite}, the stamp says {stamp.suite}", field="suite")
        if self._policy.require_post_quantum and not bundle.suite.post_quantum:
            raise BadSignature(f"{bundle.suite} is not post-quantum", field="suite", limit="post-quantum suites")
        return bundle

    def _check_stamp(self, stamp: Stamp, bundle: KeyBundle) -> None:
        if stamp in self._verified:
            self._verified.move_to_end(stamp)
            return
        verify(bundle, STAMP_DOMAIN, self._network, _size_and_root(stamp.size, stamp.root), stamp.signature)
        self._verified[stamp] = None
        if len(self._verified) > REMEMBERED_STAMPS_MAX:
            self._verified.popitem(last=False)
