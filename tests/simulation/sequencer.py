"""The simulated sequencer: the real ledger, one block for each turn, answers only after the save."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.machine import SimulatedNode, Turn, event_of
from tests.simulation.suite import Keyring, Party
from tests.simulation.world import Letter, World

from quorate.crypto.digests import body_digest, value_digest
from quorate.errors import BadSignature
from quorate.ledger.archive import Archive, put_away, rows
from quorate.ledger.blocks import Block, Overdue, Produced, Reply, next_context, produce
from quorate.ledger.call import KINDS, AuthenticatedTx
from quorate.ledger.journal import Journal
from quorate.ledger.state import State, genesis_state
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import Value, encode, noun
from quorate.model.evidence import Signed
from quorate.model.ledger_events import Registered, WindowsOpened
from quorate.model.network import Genesis
from quorate.model.settlement import Settlement
from quorate.model.transaction import AskStanding, Standing, StandingEntry
from quorate.model.units import Digest, NodeId

OVERDUE = b"\0overdue"
LEDGER = ("ledger", b"")


class SimulatedSequencer(SimulatedNode):
    """One key, one log, one order. `disk` holds the last saved state; `blocks` what a replay reads."""

    def __init__(self, world: World, known: Party, keyring: Keyring, genesis: Genesis) -> None:
        self.genesis = genesis
        archive = Archive(lambda kind, key: self.disk.get((kind, key)))
        self.journal = Journal(archive.tile)
        self.blocks: dict[int, Block] = {}
        super().__init__(world, known, keyring)
        self.disk[LEDGER] = (genesis_state(genesis, archive), 0, None)
        self._load()

    def forget(self) -> None:
        self._batch: list[AuthenticatedTx] = []
        self.state: State

    def _load(self) -> None:
        self.state, size, self._checkpoint = self.disk[LEDGER]
        self.journal.truncate(size)
        self.overdue = Overdue(self.state)

    def restore(self, turn: Turn) -> None:
        self._load()
        self._schedule()

    def begin(self, transactions: Sequence[tuple[NodeId, Value]]) -> None:
        """What stands before the first message: posted in one block, saved."""
        self._batch = [self._read(signer, value) for signer, value in transactions]
        self.turn(lambda turn: None)

    def _read(self, signer: NodeId, value: Value) -> AuthenticatedTx:
        return AuthenticatedTx(value_digest(value), signer, noun(value), encode(value), value)  # type: ignore[arg-type]

    def _schedule(self) -> None:
        due = self.overdue.next_ms()
        if due is not None:
            self.wake(OVERDUE, max(due, self.world.now + 10))

    def tick(self, key: bytes, turn: Turn) -> None:
        self._batch += [self._read(self.node_id, value) for value in self.overdue.take(self.state, self.world.now)]
        self._schedule()

    def letter(self, letter: Letter, turn: Turn) -> None:
        signed, value = letter.signed, letter.value
        if signed.noun in KINDS:
            key = body_digest(signed.noun, signed.body)
            self._batch.append(AuthenticatedTx(key, signed.signer, signed.noun, signed.body, value))  # type: ignore[arg-type]
        elif isinstance(value, AskStanding):
            turn.send(signed.signer, self.standing(), after_save=False)

    def standing(self) -> Standing:
        now = self.world.now
        entries = tuple(
            StandingEntry(provider=provider, offer=offer, reputation=account.score)
            for provider, account in sorted(self.state.accounts.items())
            for offer in account.offers
            if self.state.offers[offer].expires_ms > now
        )
        return Standing(network=self.keyring.network, height=self.state.height, entries=entries)

    def _verify(self, signed: Signed) -> None:
        if self.state.bundle(signed.signer) is None:
            raise BadSignature("not a registered signer", field="signer")
        self.keyring.verify(signed)

    def end_of_turn(self, turn: Turn) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        context = next_context(self.state, self.world.now, self.entropy(32))
        produced = produce(self.state, self.journal, batch, context, self._verify)
        self.state = produced.state
        if produced.block is not None:
            assert produced.checkpoint is not None
            self._checkpoint = self.keyring.sign(self.node_id, produced.checkpoint)
            turn.save(*LEDGER, (self.state, len(self.journal), self._checkpoint))
            for kind, key, row in rows(produced.final, produced.block.height, self.journal.full_tiles()):
                turn.save(kind, key, row)
            turn.after.append(lambda: self._made(produced))
        for reply, tx in zip(produced.replies, batch, strict=True):
            self._answer(reply, tx, turn)
        self._schedule()

    def _made(self, produced: Produced) -> None:
        """The block is durable: what it says has happened."""
        assert produced.block is not None
        self.blocks[produced.block.height] = produced.block
        self.state = put_away(self.state, produced.final)
        self.journal.put_away(produced.block.size)
        self.world.told(self.node_id, "block", produced)

    def _answer(self, reply: Reply, tx: AuthenticatedTx, turn: Turn) -> None:
        if tx.signer != self.node_id:
            turn.send(tx.signer, reply.answer, after_save=True)
        for logged in reply.events:
            assert self._checkpoint is not None
            proven = logged.proven(self._checkpoint)
            event = event_of(logged)
            told = {tx.signer}
            if reply.fresh:
                self.overdue.note(self.state, event)
                told |= self._concerned(event)
            for party in sorted(told - {self.node_id}):
                turn.send(party, proven, after_save=True)

    def _concerned(self, event: Value) -> set[NodeId]:
        """As the real sequencer: the requester's node, and of an end or a window every member that may be in it."""
        if isinstance(event, Registered) or not isinstance(event, (EscrowOpened, Settlement, WindowsOpened)):
            return set()
        escrow = self.state.escrows.get(event.agreement)
        if escrow is None:
            return set()
        members = () if isinstance(event, EscrowOpened) else escrow.terms.members
        return {escrow.agreement.node, *members}

    def escrow_of(self, agreement: Digest):  # type: ignore[no-untyped-def]
        return self.state.escrows.get(agreement)
