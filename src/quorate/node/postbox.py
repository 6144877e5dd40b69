"""Signed mail: many statements under one stamp out, verified statements in (protocol R8).

Outgoing: everything that one turn of the node's loop has to say is signed with one signature; a statement for three
members is one leaf. Incoming: bytes are size-limited and strictly decoded, the stamp is verified once, each leaf by its
path. A signer is known by a bundle whose digest is its NodeId, so a bundle needs no voucher; what the signer may do is
decided by whoever reads the statement.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from quorate.crypto.batch import SuitePolicy, Verifier, sign_batch
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import Identity, check_bundle, node_id
from quorate.errors import BadSignature, MalformedBytes
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.evidence import Envelope, Hello, Leaf, Signed, quoted
from quorate.model.identity import KeyBundle
from quorate.model.signature import SALT_BYTES, Signature, Stamp
from quorate.model.units import Digest, NodeId

BUNDLES_MAX = 20_000
STAMPS_MAX = 2_000
"""About 4 KB each; those that a saved state quotes are found in the store."""
LEAVES_MAX = 4_000
ENVELOPE_BYTES_AIM = 512 << 10
"""Envelopes are cut at about this size: large enough to share a stamp, small enough not to hold up the line."""
LEAF_OVERHEAD_BYTES = 700


class Letter(NamedTuple):
    """A verified statement: who signed it, its noun and bytes, and the evidence of it."""

    sender: NodeId
    signed: Signed


class Mail(NamedTuple):
    """An opened envelope. Parcels are not signed: what they are is known by their digests."""

    sender: NodeId
    letters: list[Letter]
    parcels: tuple[bytes, ...]


class StampBook:
    """Stamps by digest: the newest in memory, the others wherever `fetch` finds them."""

    def __init__(self, fetch: Callable[[Digest], Stamp | None]) -> None:
        self._fetch = fetch
        self._stamps: OrderedDict[Digest, Stamp] = OrderedDict()

    def add(self, stamp: Stamp) -> Digest:
        key = value_digest(stamp)
        self._stamps[key] = stamp
        if len(self._stamps) > STAMPS_MAX:
            self._stamps.popitem(last=False)
        return key

    def get(self, key: Digest) -> Stamp:
        """Raises BadSignature when the stamp of a statement did not come with it."""
        stamp = self._stamps.get(key) or self._fetch(key)
        if stamp is None:
            raise BadSignature("its stamp is missing", field="stamp")
        return stamp

    def of(self, signed: Iterable[Signed]) -> tuple[Stamp, ...]:
        return tuple(self.get(key) for key in dict.fromkeys(item.stamp for item in signed))


class Directory(Mapping[NodeId, KeyBundle]):
    """Key bundles by the NodeId that is their digest. Bounded: strangers push out the oldest strangers, never the
    pinned."""

    def __init__(self, pinned: Iterable[KeyBundle]) -> None:
        self._pinned = {node_id(bundle): bundle for bundle in pinned}
        self._met: OrderedDict[NodeId, KeyBundle] = OrderedDict()

    def add(self, bundle: KeyBundle) -> NodeId:
        check_bundle(bundle)
        key = node_id(bundle)
        if key not in self._pinned:
            self._met[key] = bundle
            if len(self._met) > BUNDLES_MAX:
                self._met.popitem(last=False)
        return key

    def __getitem__(self, key: NodeId) -> KeyBundle:
        return self._pinned.get(key) or self._met[key]

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from self._pinned
        yield from self._met

    def __len__(self) -> int:
        return len(self._pinned) + len(self._met)


class Postbox:
    """Signs for one identity, verifies for one network."""

    def __init__(
        self,
        identity: Identity,
        network: Digest,
        directory: Directory,
        stamps: StampBook,
        draw: Callable[[int], bytes],
    ) -> None:
        self.identity = identity
        self.network = network
        self.directory = directory
        self.stamps = stamps
        self._draw = draw
        self._verifier = Verifier(directory, network, SuitePolicy())

    def sign(self, values: Sequence[Value]) -> list[Signed]:
        """One stamp over `values`, each as evidence of its own."""
        if not values:
            return []
        bodies = [(noun(value), encode(value)) for value in values]
        salts = [self._draw(SALT_BYTES) for _ in bodies]
        leaves = [(name, body_digest(name, body)) for name, body in bodies]
        signatures = sign_batch(self.identity, self.network, leaves, salts)
        stamp = self.stamps.add(signatures[0].stamp)
        return [
            Signed(
                noun=name,
                body=body,
                signer=self.identity.node_id,
                stamp=stamp,
                index=signature.index,
                salt=signature.salt,
                path=signature.path,
            )
            for (name, body), signature in zip(bodies, signatures, strict=True)
        ]

    def seal(
        self, letters: Sequence[tuple[NodeId, Value]], parcels: Mapping[NodeId, Sequence[bytes]] | None = None
    ) -> tuple[list[tuple[NodeId, bytes]], list[Signed]]:
        """Envelopes for everyone addressed, under one signature; and the evidence, letter by letter. Parcels go before
        the letters that need them."""
        values: dict[int, int] = {}
        distinct: list[Value] = []
        for _, value in letters:
            if id(value) not in values:
                values[id(value)] = len(distinct)
                distinct.append(value)
        signed = self.sign(distinct)
        by_peer: dict[NodeId, list[int]] = {}
        for peer, value in letters:
            by_peer.setdefault(peer, []).append(values[id(value)])
        envelopes = []
        for peer, places in by_peer.items():
            own = self.stamps.get(signed[places[0]].stamp)
            for parcel in _in_parts((parcels or {}).get(peer, ()), len):
                cover = Envelope(stamp=own, leaves=(), stamps=(), parcels=tuple(parcel))
                envelopes.append((peer, encode(cover)))
            for part in _in_parts(places, lambda place: len(signed[place].body) + LEAF_OVERHEAD_BYTES):
                envelopes.append((peer, self._envelope(own, [(distinct[at], signed[at]) for at in part])))
        return envelopes, [signed[values[id(value)]] for _, value in letters]

    def _envelope(self, own: Stamp, said: Sequence[tuple[Value, Signed]]) -> bytes:
        leaves = tuple(
            Leaf(noun=item.noun, body=item.body, index=item.index, salt=item.salt, path=item.path) for _, item in said
        )
        evidence = [item for value, _ in said for item in quoted(value)]
        return encode(Envelope(stamp=own, leaves=leaves, stamps=self.stamps.of(evidence), parcels=()))

    def open(self, message: bytes) -> Mail:
        """What an envelope holds. Raises MalformedBytes or BadSignature: then nothing of it is used."""
        envelope = decode(message, Envelope)
        self._meet(envelope)
        self._verifier.check_stamp(envelope.stamp)
        for stamp in envelope.stamps:
            self.stamps.add(stamp)
        key = self.stamps.add(envelope.stamp)
        letters = []
        for leaf in envelope.leaves:
            signature = Signature(stamp=envelope.stamp, index=leaf.index, salt=leaf.salt, path=leaf.path)
            self._verifier.check(signature, leaf.noun, body_digest(leaf.noun, leaf.body))
            signed = Signed(
                noun=leaf.noun,
                body=leaf.body,
                signer=envelope.stamp.signer,
                stamp=key,
                index=leaf.index,
                salt=leaf.salt,
                path=leaf.path,
            )
            letters.append(Letter(envelope.stamp.signer, signed))
        return Mail(envelope.stamp.signer, letters, envelope.parcels)

    def _meet(self, envelope: Envelope) -> None:
        """A first letter introduces its signer: the bundle is its own voucher, since the NodeId is its digest."""
        if envelope.stamp.signer in self.directory:
            return
        for leaf in envelope.leaves:
            if leaf.noun == "hello":
                bundle = decode(leaf.body, Hello).bundle
                if node_id(bundle) != envelope.stamp.signer:
                    raise BadSignature("the bundle is not the signer's", field="signer")
                self.directory.add(bundle)
                return
        raise BadSignature("a signer that was never introduced", field="signer")

    def verify(self, signed: Signed) -> None:
        """Checks quoted evidence. Raises BadSignature."""
        stamp = self.stamps.get(signed.stamp)
        if stamp.signer != signed.signer:
            raise BadSignature("the stamp is another signer's", field="signer")
        try:
            signature = Signature(stamp=stamp, index=signed.index, salt=signed.salt, path=signed.path)
        except Exception as fault:
            raise MalformedBytes(str(fault), field="signature") from None
        self._verifier.check(signature, signed.noun, body_digest(signed.noun, signed.body))


Item = TypeVar("Item")


def _in_parts(items: Sequence[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """`items` in order, cut where an envelope would become too large."""
    part: list[Item] = []
    total = 0
    for item in items:
        if part and (total + size(item) > ENVELOPE_BYTES_AIM or len(part) == LEAVES_MAX):
            yield part
            part, total = [], 0
        part.append(item)
        total += size(item)
    if part:
        yield part
