"""The book of offers: the newest of each provider, and older ones while there is room (protocol message 1).

An offer is a promise until it expires, and rosters name offers by digest. So a newer offer takes the older one's place
in matching but does not end it: `named` still finds what an agreement was made of. The shell has verified every
signature before an offer gets here. Bounded, in memory, without a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from quorate.crypto.digests import body_digest
from quorate.model.evidence import Signed
from quorate.model.offer import Offer
from quorate.model.units import ROSTER_MAX, Digest, Millis, NodeId

HELD_PER_PROVIDER_MAX = 16
"""As many offers of one provider as stand on the ledger at a time."""


class Listing(NamedTuple):
    """An offer, the digest by which rosters name it, and the evidence of it."""

    digest: Digest
    offer: Offer
    signed: Signed


class Book:
    """Offers by provider. When it is full, the provider whose newest offer ends first makes room."""

    def __init__(self, providers_max: int = ROSTER_MAX) -> None:
        self._providers_max = providers_max
        self._held: dict[NodeId, list[Listing]] = {}
        self._by_digest: dict[Digest, Listing] = {}

    def __len__(self) -> int:
        return len(self._held)

    def learn(self, signed: Signed, offer: Offer) -> bool:
        """Takes in an offer; true when it is its provider's newest now."""
        listing = Listing(body_digest("offer", signed.body), offer, signed)
        if listing.digest in self._by_digest:
            return False
        if offer.provider not in self._held and not self._made_room(offer):
            return False
        held = self._held.setdefault(offer.provider, [])
        held.append(listing)
        held.sort(key=_age)
        self._by_digest[listing.digest] = listing
        if len(held) > HELD_PER_PROVIDER_MAX:
            del self._by_digest[held.pop(0).digest]
        return held[-1] is listing

    def _made_room(self, newcomer: Offer) -> bool:
        if len(self._held) < self._providers_max:
            return True
        first = min(self._held, key=lambda provider: (self._held[provider][-1].offer.expires_ms, provider))
        if self._held[first][-1].offer.expires_ms >= newcomer.expires_ms:
            return False
        for listing in self._held.pop(first):
            del self._by_digest[listing.digest]
        return True

    def live(self, now_ms: Millis, standing: Mapping[Digest, int]) -> Iterator[Listing]:
        """The newest offer of each provider, sorted by provider, if the ledger has it as standing and it has not
        expired."""
        for provider in sorted(self._held):
            listing = self._held[provider][-1]
            if listing.offer.expires_ms > now_ms and listing.digest in standing:
                yield listing

    def get(self, provider: NodeId) -> Listing | None:
        """The newest offer of `provider`, expired or not."""
        held = self._held.get(provider)
        return held[-1] if held else None

    def named(self, offer: Digest) -> Listing | None:
        """The offer with this digest: what a roster's entry names."""
        return self._by_digest.get(offer)

    def drop_expired(self, now_ms: Millis) -> int:
        """Forgets what has expired; answers how many offers that were."""
        late = [listing for listing in self._by_digest.values() if listing.offer.expires_ms <= now_ms]
        for listing in late:
            del self._by_digest[listing.digest]
            held = self._held[listing.offer.provider]
            held.remove(listing)
            if not held:
                del self._held[listing.offer.provider]
        return len(late)


def _age(listing: Listing) -> tuple[int, Digest]:
    """Two offers of one millisecond are told apart by digest, so that every node takes the same one for the newest."""
    return listing.offer.issued_ms, listing.digest
