"""A provider that breaks the protocol, as a process of its own in a real network: same configuration, same store, same
jail. What it does wrong is in the file `rogue.way` of its folder and may be changed while it runs.

    python rogue_provider.py FOLDER/config.json

The shipped code has no switch for any of this: the class here overrides single methods of `ProviderNode`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from quorate.api import process
from quorate.crypto.digests import digest
from quorate.execute.engine import Execution, Task
from quorate.jobs import lease
from quorate.jobs.lease_statements import commitment, opening
from quorate.model.claim import Commit, Opening
from quorate.model.codec import encode
from quorate.model.effects import Post, Send
from quorate.model.transaction import Equivocation
from quorate.model.trap import Status
from quorate.model.units import NodeId
from quorate.node import wiring
from quorate.node.config import NodeConfig
from quorate.node.postbox import Letter
from quorate.node.provider import ProviderNode
from quorate.node.shell import Shell, Turn

WAY = "rogue.way"
VOTED = "rogue.voted"
CHATTER = "chatter"
"""A file in the network's home through which rogues tell each other what they hear: off-band, as the protocol says they
may."""


class RogueEngine:
    """The real pool, whose results are told wrongly."""

    def __init__(self, node: RogueNode, pool: Any) -> None:
        self._node = node
        self._pool = pool
        self._last: Execution | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def is_running(self, task_id: bytes) -> bool:
        return self._node.way_of(task_id) == "slow_loris" or bool(self._pool.is_running(task_id))

    async def run(self, task: Task) -> Execution:
        way, before = self._node.way_of(task.id), self._last
        if way in ("slow_loris", "never_starts"):
            await asyncio.sleep(3600)
        if way == "false_failure":
            return Execution(status=Status.WORKER_DEATH)
        ended: Execution = await self._pool.run(task)
        self._last = ended
        if way == "wrong_byte":
            own = bytes(a ^ (b | 1) for a, b in zip(ended.output[:2], self._node.node_id, strict=False))
            return msgspec.structs.replace(ended, output=own + ended.output[2:])
        if way == "colluder":
            return msgspec.structs.replace(ended, output=b"as agreed among us")
        if way == "stale_result" and before is not None:
            return before
        return ended


class RogueNode(ProviderNode):
    """One way at a time; `honest` or no file is none."""

    folder: Path

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.engine = RogueEngine(self, self.engine)
        self._voted: set[str] = set()
        self._ways: dict[bytes, str] = {}

    @property
    def way(self) -> str:
        path = self.folder / WAY
        return path.read_text().strip() if path.exists() else "honest"

    def way_of(self, key: bytes) -> str:
        """Of one lease: as it was when the lease began."""
        return self._ways.setdefault(key, self.way)

    def _check(self, key: bytes, turn: Turn) -> None:
        self._chat(key)
        if self.way_of(key) == "refusal":
            self._step(key, lease.Checked("not today"), turn)
        else:
            super()._check(key, turn)

    def _send(self, key: bytes, effect: Send, turn: Turn) -> None:
        value, way = effect.value, self.way_of(key)
        if isinstance(value, Opening) and way in ("withheld_opening", "copied_vote"):
            return
        super()._send(key, effect, turn)
        if not isinstance(value, Commit):
            return
        other = msgspec.structs.replace(value, commit=digest("another", encode(value)))
        if way == "equivocation":
            turn.send(effect.to, other, after_save=True)
        if way == "forged_signature":
            self._forge(value, effect.to, turn)

    def _forge(self, value: Commit, node: NodeId, turn: Turn) -> None:
        """Speaks in the names of all others, to the node and as evidence to the ledger."""
        for bundle in (account.bundle for account in self.genesis.accounts if account.role == "provider"):
            victim = wiring.node_id(bundle)
            if victim == self.node_id:
                continue
            first, second = (
                msgspec.structs.replace(value, member=victim, commit=digest("forged", victim, bytes([place])))
                for place in range(2)
            )
            turn.send(node, first, after_save=False)
            signed = self.postbox.sign([first, second])
            lies = [msgspec.structs.replace(item, signer=victim) for item in signed]
            self.post(b"lie", Post(Equivocation(network=self.network, first=lies[0], second=lies[1])))

    def _received(self, key: bytes, letter: Letter, value: Any, turn: Turn) -> None:
        super()._received(key, letter, value, turn)
        if self.way_of(key) == "copied_vote" and isinstance(value, Opening):
            self._copy(key, value, turn)

    def _copy(self, key: bytes, other: Opening, turn: Turn) -> None:
        """Shows another member's claim, with its nonce, as its own."""
        state = self._lease(key)
        if state is not None:
            mine = msgspec.structs.replace(other, member=self.node_id, assignment=state.assignment_id)
            turn.send(state.node, mine, after_save=False)

    def _chat(self, key: bytes) -> None:
        state = self.leases[key]
        with (self.folder.parent / CHATTER).open("a") as file:
            file.write(f"{key.hex()} {state.order.round} {state.node.hex()}\n")

    async def start(self) -> None:
        await super().start()
        self.spawn(self._eavesdrop())

    async def _eavesdrop(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.way == "unassigned_voter" and (self.folder.parent / CHATTER).exists():
                for line in (self.folder.parent / CHATTER).read_text().splitlines():
                    self.put(lambda turn, line=line: self._vote(line, turn))  # type: ignore[misc]

    def _vote(self, line: str, turn: Turn) -> None:
        """For an agreement in which it has no place, with a claim it once made itself."""
        agreement, number, node = line.split()
        own = next((state for state in self._done.values() if state.body is not None), None)
        if line in self._voted or own is None or self._lease(bytes.fromhex(agreement)) is not None:
            return
        self._voted.add(line)
        place = {"agreement": bytes.fromhex(agreement), "round": int(number)}
        to = NodeId(bytes.fromhex(node))
        turn.send(to, msgspec.structs.replace(commitment(own), **place), after_save=False)
        turn.send(to, msgspec.structs.replace(opening(own), **place), after_save=False)
        with (self.folder / VOTED).open("a") as file:
            file.write(f"{agreement}\n")


def build(config: NodeConfig) -> Shell:
    RogueNode.folder = config.folder
    wiring.ProviderNode = RogueNode  # type: ignore[misc]
    return wiring.build(config)


def main() -> None:
    process.build = build
    process.main()


if __name__ == "__main__":
    main()
