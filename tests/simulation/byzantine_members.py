"""Members that do not keep to the protocol, one class for each way. They are otherwise like the honest ones: they
answer, beat, save and crash."""

from __future__ import annotations

import msgspec
from tests.simulation.guests import Claimed, claimed, execution, failure
from tests.simulation.machine import Turn
from tests.simulation.provider import SimulatedProvider
from tests.simulation.suite import STAMP
from tests.simulation.world import Letter, Watcher

from quorate.crypto.digests import digest
from quorate.jobs import lease
from quorate.jobs.lease import LeaseState
from quorate.model.claim import Commit, Delivery, Opening
from quorate.model.codec import Value, encode, noun
from quorate.model.effects import Post, Send
from quorate.model.evidence import Signed
from quorate.model.transaction import Equivocation, ForceCommit, ForceReveal, ForceRound
from quorate.model.trap import Status
from quorate.model.units import Digest, Millis, NodeId


class Byzantine(SimulatedProvider):
    honest = False


class WrongByte(Byzantine):
    """Computes, and claims something of its own."""

    def twist(self) -> bytes:
        return self.node_id

    def claim(self, key: bytes, state: LeaseState, late: bool) -> Claimed | None:
        ended = execution(state.job.core.program.digest, state.job.input_digest, self.twist())
        return claimed(state.job, state.agreement_id, self.node_id, ended)


class Colluder(WrongByte):
    """Claims the wrong thing that all colluders have agreed on."""

    def twist(self) -> bytes:
        return b"as agreed among us"


class StaleResult(Byzantine):
    """Claims the result of the job it had before, or of none."""

    def forget(self) -> None:
        super().forget()
        self._last = execution(digest("no program"), digest("no input"))

    def claim(self, key: bytes, state: LeaseState, late: bool) -> Claimed | None:
        stale = self._last
        self._last = execution(state.job.core.program.digest, state.job.input_digest)
        return claimed(state.job, state.agreement_id, self.node_id, stale)


class FalseFailure(Byzantine):
    """Says that its machine failed, every time."""

    def claim(self, key: bytes, state: LeaseState, late: bool) -> Claimed | None:
        return claimed(state.job, state.agreement_id, self.node_id, failure(Status.WORKER_DEATH))


class Refusal(Byzantine):
    """Acknowledges, and refuses."""

    def _check(self, key: bytes, turn: Turn) -> None:
        self.step(key, lease.Checked("not today"), turn)


class Silence(Byzantine):
    """Hears everything, says nothing."""

    def arrived(self, letters: object) -> None:
        return

    def restore(self, turn: Turn) -> None:
        return


class SlowLoris(Byzantine):
    """Starts, beats, and never ends."""

    def _ended(self, key: bytes, late: bool, turn: Turn) -> None:
        return


class Withholder(Byzantine):
    """Commits and never opens, neither to the members nor on the ledger."""

    def send(self, key: bytes, effect: Send, turn: Turn) -> None:
        if not isinstance(effect.value, (Opening, Delivery)):
            super().send(key, effect, turn)

    def _filled_post(self, wish: Post) -> Post:
        value = wish.transaction
        if isinstance(value, ForceReveal):
            return Post(ForceCommit(network=value.network, agreement=value.agreement, round=value.round, evidence=()))
        return super()._filled_post(wish)


class HastyWithholder(Withholder):
    """Forces every round it is in, to commit on the ledger, and withholds the opening there."""

    def _own_commit(self, key: bytes, signed: Signed) -> None:
        super()._own_commit(key, signed)
        state = self.leases.get(key)
        if state is not None and state.commit is None:
            order = state.order
            force = ForceRound(
                network=order.network,
                agreement=order.agreement,
                round=order.round,
                evidence=(state.assignment, signed),
            )
            self.soon(1, lambda turn: self.post(key, Post(force), turn))


class Equivocator(Byzantine):
    """Signs two commitments for one assignment and shows both."""

    def send(self, key: bytes, effect: Send, turn: Turn) -> None:
        super().send(key, effect, turn)
        if isinstance(effect.value, Commit):
            other = msgspec.structs.replace(effect.value, commit=digest("another commitment", encode(effect.value)))
            turn.send(effect.to, other, after_save=True)


class Tap(Watcher):
    """An ear on every link of the network, for those who work with what they overhear."""

    def __init__(self, node: Listener) -> None:
        self._node = node

    def said(self, now: Millis, source: NodeId, target: NodeId, letter: Letter) -> None:
        if source != self._node.node_id:
            self._node.overheard(source, letter)


class Listener(Byzantine):
    """Hears what others say. What it does about it happens a moment later."""

    def forget(self) -> None:
        super().forget()
        self._acted: set[bytes] = set()

    def restore(self, turn: Turn) -> None:
        super().restore(turn)
        if not any(isinstance(watcher, Tap) and watcher._node is self for watcher in self.world.watchers):
            self.world.watchers.append(Tap(self))

    def overheard(self, source: NodeId, letter: Letter) -> None:
        """Somebody else's letter."""

    def once(self, key: bytes) -> bool:
        fresh = key not in self._acted
        self._acted.add(key)
        return fresh


class CopiedVote(Listener):
    """Runs nothing: shows the commitment, later the opening, of another member as its own."""

    def _run(self, key: bytes, turn: Turn) -> None:
        self.begins(key, turn)

    def overheard(self, source: NodeId, letter: Letter) -> None:
        value = letter.value
        state = self.leases.get(value.agreement) if isinstance(value, (Commit, Opening)) else None
        if state is None or not isinstance(value, (Commit, Opening)) or value.member != source:
            return
        if self.once(bytes([isinstance(value, Commit)]) + value.agreement):
            mine = msgspec.structs.replace(value, member=self.node_id, assignment=state.assignment_id)
            self.soon(1, lambda turn: turn.send(state.node, mine, after_save=False))


class UnassignedVoter(Listener):
    """Votes, wrongly, in every round it hears of and has no place in: to the requester's node and to the ledger."""

    def overheard(self, source: NodeId, letter: Letter) -> None:
        value = letter.value
        if not isinstance(value, Commit) or self.lease(value.agreement) is not None or not self.once(value.agreement):
            return
        body = claimed_body(self.node_id)
        nonce = bytes(32)
        mine = msgspec.structs.replace(value, member=self.node_id, commit=digest("no claim", value.commit))
        opened = Opening(
            network=value.network,
            agreement=value.agreement,
            round=value.round,
            assignment=value.assignment,
            member=self.node_id,
            body=body,
            nonce=nonce,
        )
        self.soon(1, lambda turn: self._vote(mine, opened, turn))

    def _vote(self, mine: Commit, opened: Opening, turn: Turn) -> None:
        signed = self.sign(mine)
        force = ForceRound(network=mine.network, agreement=mine.agreement, round=mine.round, evidence=(signed,))
        for requester in [node for node in self.world.nodes.values() if node.party.name.startswith("node")]:
            turn.send(requester.node_id, mine, after_save=False)
            turn.send(requester.node_id, opened, after_save=False)
        self.post(mine.agreement, Post(force), turn)


def claimed_body(member: NodeId):  # type: ignore[no-untyped-def]
    ended = execution(digest("any program"), digest("any input"), member)
    return claimed(_PUBLIC, Digest(bytes(32)), member, ended).body


class _Public:
    private = False


_PUBLIC = _Public()


class ForgedSignature(Listener):
    """Speaks in the names of others: a second commitment for each it hears, to the node and as evidence to the
    ledger."""

    def overheard(self, source: NodeId, letter: Letter) -> None:
        value = letter.value
        if not isinstance(value, Commit) or value.member != source or not self.once(letter.signed.body):
            return
        other = msgspec.structs.replace(value, commit=digest("forged", value.commit))
        forged = Signed(
            noun=noun(other), body=encode(other), signer=source, stamp=STAMP, index=0, salt=bytes(32), path=()
        )
        lie = Equivocation(network=value.network, first=letter.signed, second=forged)
        self.soon(1, lambda turn: self._lie(other, forged, lie, turn))

    def _lie(self, other: Value, forged: Signed, lie: Equivocation, turn: Turn) -> None:
        for requester in [node for node in self.world.nodes.values() if node.party.name.startswith("node")]:
            self.world.send(self.node_id, requester.node_id, (Letter(other, forged),))
        self.post(b"lie", Post(lie), turn)


KINDS: dict[str, type[SimulatedProvider]] = {
    "wrong_byte": WrongByte,
    "colluder": Colluder,
    "stale_result": StaleResult,
    "copied_vote": CopiedVote,
    "equivocation": Equivocator,
    "refusal": Refusal,
    "silence": Silence,
    "false_failure": FalseFailure,
    "withheld_opening": Withholder,
    "hasty_withholder": HastyWithholder,
    "slow_loris": SlowLoris,
    "unassigned_voter": UnassignedVoter,
    "forged_signature": ForgedSignature,
}
