"""What a requester's node knows of the market: the book, what stands on the ledger, how loaded providers are from
here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from quorate.crypto.digests import digest
from quorate.errors import NoNetwork
from quorate.jobs.admission import check_caps
from quorate.jobs.quote import quote
from quorate.jobs.state import JobState, Matched, Note, Unmatched
from quorate.market.book import Book
from quorate.market.matching import Match, Removal, Request, Standing, match
from quorate.model.codec import decode
from quorate.model.evidence import Signed
from quorate.model.job import Job
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.submission import QuoteRequest
from quorate.model.transaction import AskStanding
from quorate.model.transaction import Standing as StandingAnswer
from quorate.model.units import Digest, JobId, Millis, NodeId

ASK_EVERY_MS = 1_000
WEIGH_EVERY_MS = 200
ASK_SOON_MS = 100


class Trade:
    """Matches jobs against the book. No IO: the node sends the question and hands in the answers."""

    def __init__(
        self,
        genesis: Genesis,
        network: Digest,
        node: NodeId,
        sequencer: NodeId,
        kept: Callable[[Digest], Signed | None] = lambda offer: None,
    ) -> None:
        """`kept` finds an offer by digest that the book has dropped."""
        self._genesis = genesis
        self._network = network
        self._node = node
        self._sequencer = sequencer
        self._kept = kept
        self._book = Book()
        self._reputation: dict[NodeId, int] = {}
        self._standing: dict[Digest, int] = {}
        self._weighed = Standing({}, {})
        self._weighed_ms = Millis(0)
        self.height = 0

    def learn(self, signed: Signed, offer: Offer) -> None:
        self._book.learn(signed, offer)

    def restore_offer(self, signed: Signed) -> None:
        self._book.learn(signed, decode(signed.body, Offer))

    def knows(self, offer: Digest) -> bool:
        return self._book.named(offer) is not None

    def signed_offer(self, offer: Digest) -> Signed:
        """The offer with this digest: its provider may have made newer ones since a roster named it."""
        listing = self._book.named(offer)
        signed = listing.signed if listing else self._kept(offer)
        if signed is None:
            raise NoNetwork(f"offer {offer.hex()[:16]} is not known here", field="provider")
        return signed

    @property
    def ask_again_ms(self) -> int:
        """How soon to ask the ledger what stands: often while a known offer does not stand yet."""
        return ASK_SOON_MS if len(self._book) > self.standing_offers() or not len(self._book) else ASK_EVERY_MS

    def question(self) -> AskStanding:
        return AskStanding(network=self._network)

    def standing(self, sender: NodeId, body: bytes) -> None:
        """The ledger's answer; nobody else's word counts."""
        if sender != self._sequencer:
            return
        answer = decode(body, StandingAnswer)
        if answer.network == self._network and answer.height >= self.height:
            self.height = answer.height
            self._standing = {entry.offer: entry.reputation for entry in answer.entries}
            self._reputation = {entry.provider: entry.reputation for entry in answer.entries}

    def standing_offers(self) -> int:
        """Offers that are both known here and standing on the ledger."""
        return sum(1 for _ in self._book.live(Millis(0), self._standing))

    def match(self, state: JobState, jobs: Iterable[JobState], now_ms: Millis) -> Matched | Unmatched:
        """The event that answers the job's wish for a match."""
        found = match(
            self._request(state.value, state.job_id, state.audit_seed, now_ms),
            self._live(now_ms),
            self._weights(jobs, now_ms),
        )
        removed = tuple(_note(removal, now_ms) for removal in found.removed)
        if isinstance(found, Match):
            return Matched(found.agreement, found.roster, removed)
        return Unmatched(found.error, found.detail, removed)

    def quote(self, request: QuoteRequest, jobs: Iterable[JobState], now_ms: Millis) -> dict[str, object]:
        """Price, odds and who sees what, for a job as it would be matched now. Raises AboveCap for what nobody may."""
        job = _as_if(request)
        check_caps(job, self._genesis)
        asked = self._request(job, JobId(digest("quote", b"")), digest("quote", b"seed"), now_ms)
        listings = self._live(now_ms)
        found = match(asked, listings, self._weights(jobs, now_ms))
        return quote(
            job, found, {listing.offer.provider: listing.offer for listing in listings}, request.colluders_per_mille
        )

    def _request(self, job: Job, job_id: JobId, seed: Digest, now_ms: Millis) -> Request:
        return Request(
            job=job,
            job_id=job_id,
            genesis=self._genesis,
            network=self._network,
            node=self._node,
            sequencer=self._sequencer,
            audit_seed=seed,
            now_ms=now_ms,
        )

    def _live(self, now_ms: Millis):  # type: ignore[no-untyped-def]
        return tuple(self._book.live(now_ms, self._standing))

    def _weights(self, jobs: Iterable[JobState], now_ms: Millis) -> Standing:
        """Load as seen from here, taken anew a few times a second: jobs that come together share one roster."""
        if now_ms >= self._weighed_ms + WEIGH_EVERY_MS or not self._weighed.reputation:
            self._weighed = Standing(self._reputation, self._loads(jobs))
            self._weighed_ms = now_ms
        return self._weighed

    def _loads(self, jobs: Iterable[JobState]) -> dict[NodeId, int]:
        """Places given and not yet committed, against the slots offered, per mille."""
        rounds = (state.current for state in jobs if state.stage == "round")
        held = Counter(slot.member for current in rounds for slot in current.live if slot.commit is None)
        loads = {}
        for member, count in held.items():
            listing = self._book.get(member)
            # Full slots still leave a tenth of the weight: a busy provider is less likely, never impossible.
            loads[member] = min(900, 900 * count // max(1, 8 * listing.offer.slots if listing else 8))
        return loads


def _note(removal: Removal, now_ms: Millis) -> Note:
    return Note(now_ms, f"rule {removal.rule} removed {removal.provider.hex()[:8]}: it {removal.sentence}")


def _as_if(request: QuoteRequest) -> Job:
    """A job with this core and nothing sealed yet: enough to be priced."""
    filled = bytes(32) if request.core.privacy_level == "private" else b""
    return Job(
        core=request.core,
        input_digest=Digest(bytes(32)),
        input_bytes=0,
        pedersen=filled,
        salted=filled,
        key_commitment=filled,
        out_key_commitment=filled,
        ownership_proof=filled,
    )
