"""Blocks: what one sequencer makes of a batch of transactions, its durable row, and the replay of all rows to the same
state.

produce(state, journal, batch, context, verify) ──▶ Produced: new state, block, checkpoint to be signed, an answer for
each transaction

The shell makes `block` durable, signs `checkpoint`, turns each `Logged` event into a `Proven`, and only then answers.
If the block cannot be made durable, it drops the new state and calls `journal.truncate(produced.size_before)`. A batch
that changes nothing makes no block: its answers are proven under the last checkpoint.

A row holds bodies, signers and statuses, not signatures: refusals for a bad signature never enter a block, so a replay
trusts what was verified before and leads to the same digest; one that does not is reported.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec

from quorate.errors import MalformedBytes
from quorate.ledger.apply import Applied, apply
from quorate.ledger.archive import Archive, Final, final, put_away
from quorate.ledger.ballots import Verify
from quorate.ledger.call import AuthenticatedTx, BlockContext, read_transaction
from quorate.ledger.journal import Journal
from quorate.ledger.state import State, genesis_state
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import Part, Value, decode, encode
from quorate.model.evidence import Body, Proven, Signed
from quorate.model.ledger_events import WindowsOpened
from quorate.model.network import Checkpoint, Genesis
from quorate.model.settlement import Settlement
from quorate.model.transaction import Answer, CloseForced, Expire
from quorate.model.units import MIB, Bytes32, Count, Digest, Hash, Millis, Ms, Node, Word

TRANSACTIONS_MAX = 1 << 16
BATCH_BYTES_MAX = 12 * MIB
SETTLED_IN_QUEUE_MIN = 1_000


class Posted(Part, frozen=True):
    """One transaction of a block and how it was answered."""

    noun: Word
    body: Body
    signer: Node
    status: Word


class Block(Value, frozen=True, tag="block"):
    """Everything a replay needs: the context, the transactions, and where they led."""

    size_max = 16 * MIB

    network: Hash
    height: Count
    time_ms: Ms
    entropy: Bytes32
    transactions: Annotated[tuple[Posted, ...], msgspec.Meta(min_length=1, max_length=TRANSACTIONS_MAX)]
    state: Hash
    size: Count
    root: Hash


class Logged(NamedTuple):
    """An event in the log: with a signed checkpoint of `Produced.checkpoint`'s size it proves itself."""

    event: bytes
    place: int
    path: tuple[Digest, ...]

    def proven(self, checkpoint: Signed) -> Proven:
        return Proven(event=self.event, index=self.place, path=self.path, checkpoint=checkpoint)


class Reply(NamedTuple):
    """The answer to one transaction, the events it speaks of, and whether they are new in this block."""

    answer: Answer
    events: tuple[Logged, ...]
    fresh: bool


class Produced(NamedTuple):
    """`block` and `checkpoint` are None when nothing changed: the last signed checkpoint then proves the quoted
    events. `final` are the rows of the state that nothing changes any more."""

    state: State
    block: Block | None
    checkpoint: Checkpoint | None
    replies: tuple[Reply, ...]
    size_before: int
    final: tuple[Final, ...] = ()


def next_context(state: State, now_ms: int, entropy32: bytes) -> BlockContext:
    """The context of the next block: time never goes back, whatever the clock does. `entropy32` is fresh."""
    return BlockContext(state.height + 1, max(now_ms, state.time_ms), entropy32)


def batches(transactions: Iterable[AuthenticatedTx]) -> Iterator[list[AuthenticatedTx]]:
    """Cuts a queue into batches that fit into one block each."""
    batch: list[AuthenticatedTx] = []
    size = 0
    for tx in transactions:
        if batch and (size + len(tx.body) > BATCH_BYTES_MAX or len(batch) == TRANSACTIONS_MAX):
            yield batch
            batch, size = [], 0
        batch.append(tx)
        size += len(tx.body) + 128
    if batch:
        yield batch


def produce(
    state: State, journal: Journal, batch: Sequence[AuthenticatedTx], context: BlockContext, verify: Verify
) -> Produced:
    """Applies `batch` in order. The journal is extended in place; nothing else is touched."""
    size_before = len(journal)
    after = state
    results: list[tuple[AuthenticatedTx, Applied]] = []
    for tx in batch:
        applied = apply(after, tx, context, verify)
        after = applied.state
        results.append((tx, applied))
        if applied.fresh:
            journal.extend(applied.events)
    posted = tuple(
        Posted(noun=tx.noun, body=tx.body, signer=tx.signer, status=applied.status.value)
        for tx, applied in results
        if applied.fresh
    )
    replies = tuple(_reply(journal, tx, applied) for tx, applied in results)
    if not posted:
        return Produced(state, None, None, replies, size_before)
    block = Block(
        network=state.network,
        height=context.height,
        time_ms=Millis(context.time_ms),
        entropy=context.entropy32,
        transactions=posted,
        state=after.digest,
        size=len(journal),
        root=journal.root(),
    )
    said = (event for _, applied in results for event in applied.said)
    return Produced(after, block, checkpoint_of(after, block), replies, size_before, tuple(final(after, said)))


def checkpoint_of(state: State, block: Block) -> Checkpoint:
    """What the ledger signs after `block`. Its `state` is the running digest over the whole history."""
    return Checkpoint(
        network=block.network,
        height=block.height,
        size=block.size,
        root=block.root,
        state=block.state,
        time_ms=block.time_ms,
        sequencer=min(state.sequencers),
    )


def _reply(journal: Journal, tx: AuthenticatedTx, applied: Applied) -> Reply:
    answer = Answer(
        network=tx.value.network,
        transaction=tx.id,
        status=applied.status.value,
        detail=applied.detail,
        account=tx.signer,
    )
    events = enumerate(applied.events, applied.place)
    return Reply(answer, tuple(Logged(event, place, journal.path(place)) for place, event in events), applied.fresh)


def _trusted(signed: Signed) -> None:
    """Signatures of replayed blocks were verified before the block was made."""


def replay(
    genesis: Genesis,
    rows: Iterable[bytes],
    verify: Verify = _trusted,
    seen: Callable[[Block, tuple[bytes, ...]], None] | None = None,
    archive: Archive | None = None,
) -> tuple[State, Journal]:
    """The state and log after all blocks, in order from the first. Raises MalformedBytes where a block does not lead to
    what it records. `seen` is called with each block and its events, for whoever keeps an index of them. What is in the
    `archive` leaves memory on the way."""
    state = genesis_state(genesis, archive)
    journal = Journal(archive.tile) if archive else Journal()
    for row in rows:
        block = decode(row, Block)
        context = BlockContext(block.height, block.time_ms, block.entropy)
        if block.network != state.network or block.height != state.height + 1:
            raise MalformedBytes(f"height {block.height} after {state.height}", field="height", evidence=row[:256])
        state, results = _replayed(state, block, context, verify)
        events = tuple(event for applied in results for event in applied.events)
        journal.extend(events)
        if (state.digest, len(journal), journal.root()) != (block.state, block.size, block.root):
            raise MalformedBytes(f"block {block.height} leads to another state", field="state", evidence=row[:256])
        if seen:
            seen(block, events)
        if archive:
            said = (event for applied in results for event in applied.said)
            state = put_away(state, archive.holds(final(state, said), block.height))
            if archive.holds_tiles(journal):
                journal.put_away(len(journal))
    return state, journal


def _replayed(state: State, block: Block, context: BlockContext, verify: Verify) -> tuple[State, list[Applied]]:
    results: list[Applied] = []
    for posted in block.transactions:
        tx = read_transaction(posted.noun, posted.body, posted.signer)
        applied = apply(state, tx, context, verify)
        if not applied.fresh or applied.status != posted.status:
            raise MalformedBytes(f"{posted.noun} is answered {applied.status}", field="status", limit=posted.status)
        state = applied.state
        results.append(applied)
    return state, results


class Overdue:
    """Which agreements can be closed by anyone at a given time, so that the sequencer posts it when nobody else does.
    Not part of the state: `note` every event, or rebuild it from a state after a replay."""

    def __init__(self, state: State) -> None:
        self._queue: list[tuple[int, bytes, bool]] = []
        self._settled: set[bytes] = set()
        for key, escrow in state.escrows.items():
            if escrow.settlement is None:
                self._add(escrow.agreement.settle_by_ms, key, windows=False)
                if escrow.pending:
                    self._add(escrow.pending.reveal_by_ms, key, windows=True)

    def _add(self, time_ms: int, agreement: bytes, windows: bool) -> None:
        heapq.heappush(self._queue, (time_ms, agreement, windows))

    def note(self, state: State, event: Value) -> None:
        """Takes in an event of a block that led to `state`."""
        if isinstance(event, EscrowOpened):
            escrow = state.escrows.get(event.agreement)
            if escrow is not None:
                self._add(escrow.agreement.settle_by_ms, event.agreement, windows=False)
        elif isinstance(event, WindowsOpened):
            self._add(event.reveal_by_ms, event.agreement, windows=True)
        elif isinstance(event, Settlement):
            self._settled.add(event.agreement)
            if len(self._settled) > SETTLED_IN_QUEUE_MIN + len(self._queue) // 2:
                # Most agreements are settled long before they are overdue: they would fill memory until then.
                self._queue = [item for item in self._queue if item[1] not in self._settled]
                heapq.heapify(self._queue)
                self._settled.clear()

    def __len__(self) -> int:
        return len(self._queue)

    def next_ms(self) -> int | None:
        """When `take` will next have something, if nothing happens before."""
        return self._queue[0][0] + 1 if self._queue else None

    def take(self, state: State, now_ms: int) -> tuple[CloseForced | Expire, ...]:
        """What is due, each once; agreements that were settled meanwhile are left out."""
        due: list[CloseForced | Expire] = []
        while self._queue and self._queue[0][0] < now_ms:
            _, key, windows = heapq.heappop(self._queue)
            agreement = Digest(key)
            escrow = state.escrows.get(agreement)
            if escrow is None or escrow.settlement is not None:
                continue
            if windows and escrow.pending and escrow.pending.reveal_by_ms < now_ms:
                due.append(CloseForced(network=state.network, agreement=agreement))
            elif not windows and escrow.pending is None:
                due.append(Expire(network=state.network, agreement=agreement))
        return tuple(due)


def encode_block(block: Block) -> bytes:
    """The row of a block."""
    return encode(block)
