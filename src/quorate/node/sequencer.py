"""The sequencer: orders the embedded ledger. Makes a block of each turn's transactions, saves it, and only then
answers.

The ledger itself is `quorate.ledger`, pure; here are its disk, its clock, its randomness and its key. A block that
cannot be saved ends the process: its state is in memory only and was told to nobody.
"""

from __future__ import annotations

import logging

from quorate.crypto.signing import Identity
from quorate.errors import BadSignature
from quorate.ledger.archive import Archive, put_away, rows
from quorate.ledger.blocks import (
    Block,
    Overdue,
    Produced,
    Reply,
    batches,
    checkpoint_of,
    encode_block,
    next_context,
    produce,
    replay,
)
from quorate.ledger.call import KINDS, AuthenticatedTx, read_transaction
from quorate.ledger.contracts import head_of
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.evidence import Signed
from quorate.model.ledger_events import Registered, WindowsOpened
from quorate.model.network import Genesis
from quorate.model.settlement import Settlement
from quorate.model.transaction import AskContract, AskStanding, Standing, StandingEntry
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.nouns import EVENTS
from quorate.node.postbox import Letter
from quorate.node.shell import Shell, Turn, World

log = logging.getLogger("quorate.node")

OVERDUE_TIMER = b"\0overdue"


class SequencerNode(Shell):
    """One key, one log, one order."""

    role = "sequencer"

    def __init__(self, genesis: Genesis, network: Digest, identity: Identity, world: World) -> None:
        super().__init__(genesis, network, identity, world)
        self._batch: list[AuthenticatedTx] = []
        blocks = (row for _, row in world.store.scan("block"))
        last: list[Block] = []

        def seen(block: Block, events: tuple[bytes, ...]) -> None:
            last[:] = [block]

        self.state, self.journal = replay(genesis, blocks, seen=seen, archive=Archive(world.store.load))
        self.overdue = Overdue(self.state)
        self._checkpoint: Signed | None = None
        self._last_block = last[0] if last else None
        for account in self.state.accounts.values():
            self.postbox.directory.add(account.bundle)

    def restore(self, turn: Turn) -> None:
        if self._last_block is not None:
            self._checkpoint = self.postbox.sign([checkpoint_of(self.state, self._last_block)])[0]
        self._schedule()

    def _schedule(self) -> None:
        due = self.overdue.next_ms()
        if due is not None:
            # Ledger time is civil time; the timer runs on the steady clock, so it looks again at least every minute.
            wait = min(max(due - self.world.clock.now_ms(), 10), 60_000)
            self.timers.set(OVERDUE_TIMER, Millis(self.now() + wait))

    def tick(self, key: bytes, turn: Turn) -> None:
        for value in self.overdue.take(self.state, self.world.clock.now_ms()):
            self._batch.append(read_transaction(noun(value), encode(value), self.node_id))
        self._schedule()

    # Letters --------

    def letter(self, letter: Letter, turn: Turn) -> None:
        name = letter.noun
        if name in KINDS:
            self._batch.append(read_transaction(name, letter.body, letter.sender))
        elif name == "ask_standing":
            decode(letter.body, AskStanding)
            turn.send(letter.sender, self._standing(), after_save=False)
        elif name == "ask_contract":
            ask = decode(letter.body, AskContract)
            head = head_of(self.state, self.world.clock.now_ms(), ask.contract, ask.accounts)
            turn.send(letter.sender, head, after_save=True)  # a head that is told stands

    def _standing(self) -> Standing:
        now = self.world.clock.now_ms()
        entries = [
            StandingEntry(provider=provider, offer=offer, reputation=account.score)
            for provider, account in sorted(self.state.accounts.items())
            for offer in account.offers
            if self.state.offers[offer].expires_ms > now
        ]
        return Standing(network=self.network, height=self.state.height, entries=tuple(entries[:4096]))

    def _verify(self, signed: Signed) -> None:
        """Evidence counts only from registered signers."""
        if self.state.bundle(signed.signer) is None:
            raise BadSignature("not a registered signer", field="signer")
        self.postbox.verify(signed)

    # Blocks --------

    def end_of_turn(self, turn: Turn) -> None:
        pending, self._batch = self._batch, []
        for batch in batches(pending):
            self._make_block(batch, turn)

    def _make_block(self, batch: list[AuthenticatedTx], turn: Turn) -> None:
        context = next_context(self.state, self.world.clock.now_ms(), self.world.entropy.draw(32))
        produced = produce(self.state, self.journal, batch, context, self._verify)
        self.state = produced.state
        if produced.block is not None:
            assert produced.checkpoint is not None
            self._save_block(produced, produced.block, turn)
            self._checkpoint = self.postbox.sign([produced.checkpoint])[0]
        for reply, tx in zip(produced.replies, batch, strict=True):
            self._answer(reply, tx, turn)
        self._note(produced)

    def _save_block(self, produced: Produced, block: Block, turn: Turn) -> None:
        """The block, and with it what nothing changes any more: that leaves memory once it is durable."""
        turn.save("block", block.height.to_bytes(8, "big"), encode_block(block))
        for kind, key, row in rows(produced.final, block.height, self.journal.full_tiles()):
            turn.save(kind, key, row)
        turn.after.append(lambda: self._put_away(produced, block.size))

    def _put_away(self, produced: Produced, size: int) -> None:
        self.state = put_away(self.state, produced.final)
        self.journal.put_away(size)

    def _note(self, produced: Produced) -> None:
        fresh = [logged.event for reply in produced.replies if reply.fresh for logged in reply.events]
        for event in fresh:
            kind = EVENTS.of(event)
            if kind is not None:
                self.overdue.note(self.state, decode(event, kind))
        self._schedule()

    def _answer(self, reply: Reply, tx: AuthenticatedTx, turn: Turn) -> None:
        if reply.answer.status != "ok":
            log.info("%s of %s: %s %s", tx.noun, tx.signer.hex()[:8], reply.answer.status, reply.answer.detail)
        if tx.signer != self.node_id:
            turn.send(tx.signer, reply.answer, after_save=True)
        for logged in reply.events:
            assert self._checkpoint is not None
            proven = logged.proven(self._checkpoint)
            told = {tx.signer} | (self._concerned(logged.event) if reply.fresh else set())
            for party in sorted(told - {self.node_id}):
                turn.send(party, proven, after_save=True)

    def _concerned(self, event: bytes) -> set[NodeId]:
        """Who hears of an event without asking: the requester's node; of an end every member that took part, of a
        window every member that may have. Whoever else waits asks by posting, and is answered with the event."""
        kind = EVENTS.of(event)
        if kind is None:
            return set()
        value: Value = decode(event, kind)
        if isinstance(value, Registered):
            self.postbox.directory.add(self.state.accounts[value.account].bundle)
        if not isinstance(value, (EscrowOpened, Settlement, WindowsOpened)):
            return set()
        escrow = self.state.escrows.get(value.agreement)
        if escrow is None:
            return set()
        node, requester = escrow.agreement.node, escrow.agreement.requester
        if isinstance(value, EscrowOpened):
            return {node}
        if isinstance(value, WindowsOpened):
            return {node, *escrow.terms.members}
        took_part = {*(paid.account for paid in value.payments), *(moved.account for moved in value.reputation)}
        return {node, *(took_part - {requester})}
