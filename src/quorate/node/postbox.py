"""Mail: many statements in one envelope out, checked statements in (protocol R8).

Outgoing: all evidence that one turn of the node's loop gives is signed with one signature; a statement for three
members is one leaf. What only its receiver has to believe goes as it is (`nouns.PLAIN`): the channel vouches for its
sender. Incoming: bytes are size-limited and strictly decoded, the stamp is verified once, each leaf by its path. A
signer is known by a bundle whose digest is its NodeId, so a bundle needs no voucher; what the signer may do is decided
by whoever reads the statement.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from quorate.crypto.batch import SuitePolicy, Verifier, draw_salts, sign_batch
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import Identity, check_bundle, node_id
from quorate.errors import BadSignature, MalformedBytes
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.evidence import Envelope, Hello, Leaf, Plain, Signed, quoted
from quorate.model.identity import KeyBundle
from quorate.model.network import Checkpoint
from quorate.model.signature import Signature, Stamp
from quorate.model.units import Digest, NodeId
from quorate.node.nouns import PLAIN

BUNDLES_MAX = 20_000
STAMPS_MAX = 512
"""About 4 KB each; those that a saved state quotes are found in the store."""
LEAVES_MAX = 4_000
ENVELOPE_BYTES_AIM = 512 << 10
"""Envelopes are cut at about this size: large enough to share a stamp, small enough not to hold up the line."""
LEAF_OVERHEAD_BYTES = 700
PLAIN_OVERHEAD_BYTES = 64


class Letter(NamedTuple):
    """A statement: who said it, its noun and bytes, and the evidence of it when it was signed."""

    sender: NodeId
    noun: str
    body: bytes
    signed: Signed | None = None

    @property
    def evidence(self) -> Signed:
        """Raises BadSignature for a statement that was only said."""
        if self.signed is None:
            raise BadSignature("not signed", field="signature")
        return self.signed


class Outgoing(NamedTuple):
    """A letter on its way out. `body` is there when the value was encoded before."""

    to: NodeId
    value: Value
    body: bytes = b""


class Mail(NamedTuple):
    """An opened envelope. Parcels are not signed: what they are is known by their digests."""

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
    """Signs for one identity, verifies for one network. `checkpoints` are those of the ledger that `ledger_view` has
    checked here."""

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
        self.checkpoints: OrderedDict[Signed, Checkpoint] = OrderedDict()

    def sign(self, values: Sequence[Value]) -> list[Signed]:
        """One stamp over `values`, each as evidence of its own."""
        if not values:
            return []
        bodies = [(noun(value), encode(value)) for value in values]
        leaves = [(name, body_digest(name, body)) for name, body in bodies]
        signatures = sign_batch(self.identity, self.network, leaves, draw_salts(self._draw, len(bodies)))
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

    def sign_evidence(self, values: Iterable[Value]) -> dict[int, Signed]:
        """Those of `values` that are evidence, under one signature, by the identity of the value."""
        distinct = {id(value): value for value in values if noun(value) not in PLAIN}
        return dict(zip(distinct, self.sign(tuple(distinct.values())), strict=True))

    def seal(
        self,
        letters: Iterable[Outgoing],
        signed: Mapping[int, Signed],
        parcels: Mapping[NodeId, Sequence[bytes]] | None = None,
    ) -> list[tuple[NodeId, bytes]]:
        """Envelopes for everyone addressed. `signed` is what `sign_evidence` made of the letters; all of one call have
        its one stamp. Parcels go before the letters that need them."""
        spoken: dict[int, Plain] = {}
        by_peer: dict[NodeId, list[_Said]] = {}
        for peer, value, body in letters:
            key = id(value)
            if key not in signed and key not in spoken:
                spoken[key] = Plain(noun=noun(value), body=body or encode(value))
            by_peer.setdefault(peer, []).append(_Said(value, spoken.get(key), signed.get(key)))
        envelopes = []
        for peer, said in by_peer.items():
            for parcel in _in_parts((parcels or {}).get(peer, ()), len):
                cover = Envelope(stamp=None, plain=(), leaves=(), stamps=(), parcels=tuple(parcel))
                envelopes.append((peer, encode(cover)))
            envelopes.extend((peer, self._envelope(part)) for part in _in_parts(said, _Said.size))
        return envelopes

    def _envelope(self, said: Sequence[_Said]) -> bytes:
        signed = [item.signed for item in said if item.signed is not None]
        leaves = tuple(
            Leaf(noun=item.noun, body=item.body, index=item.index, salt=item.salt, path=item.path) for item in signed
        )
        evidence = [item for one in said for item in quoted(one.value)]
        return encode(
            Envelope(
                stamp=self.stamps.get(signed[0].stamp) if signed else None,
                plain=tuple(item.plain for item in said if item.plain is not None),
                leaves=leaves,
                stamps=self.stamps.of(evidence),
                parcels=(),
            )
        )

    def open(self, sender: NodeId, message: bytes) -> Mail:
        """What an envelope of `sender` holds, for whom the channel vouches. Raises MalformedBytes or BadSignature: then
        nothing of it is used."""
        envelope = decode(message, Envelope)
        letters = [self._said(sender, plain) for plain in envelope.plain]
        if envelope.stamp is not None:
            letters.extend(self._signed(sender, envelope.stamp, envelope.leaves))
        elif envelope.leaves:
            raise BadSignature("leaves without a stamp", field="stamp")
        for stamp in envelope.stamps:
            self.stamps.add(stamp)
        return Mail(letters, envelope.parcels)

    def _said(self, sender: NodeId, plain: Plain) -> Letter:
        if plain.noun not in PLAIN:
            raise BadSignature(f"a {plain.noun} that is not signed", field="signature")
        if plain.noun == "hello" and sender not in self.directory:
            # A first word introduces its sender: the bundle is its own voucher, since the NodeId is its digest.
            bundle = decode(plain.body, Hello).bundle
            if node_id(bundle) != sender:
                raise BadSignature("the bundle is not the sender's", field="sender")
            self.directory.add(bundle)
        return Letter(sender, plain.noun, plain.body)

    def _signed(self, sender: NodeId, stamp: Stamp, leaves: Iterable[Leaf]) -> Iterator[Letter]:
        if stamp.signer != sender:
            raise BadSignature("signed by another than its sender", field="signer")
        self._verifier.check_stamp(stamp)
        key = self.stamps.add(stamp)
        for leaf in leaves:
            signature = Signature(stamp=stamp, index=leaf.index, salt=leaf.salt, path=leaf.path)
            self._verifier.check(signature, leaf.noun, body_digest(leaf.noun, leaf.body))
            signed = Signed(
                noun=leaf.noun,
                body=leaf.body,
                signer=sender,
                stamp=key,
                index=leaf.index,
                salt=leaf.salt,
                path=leaf.path,
            )
            yield Letter(sender, leaf.noun, leaf.body, signed)

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


class _Said(NamedTuple):
    """One letter on its way out: plain or signed."""

    value: Value
    plain: Plain | None
    signed: Signed | None

    def size(self) -> int:
        if self.plain is not None:
            return len(self.plain.body) + PLAIN_OVERHEAD_BYTES
        assert self.signed is not None
        return len(self.signed.body) + LEAF_OVERHEAD_BYTES


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
