"""What a requester's node does about contracts: asks the ledger for heads, brings the bytes of program and state, posts
deployments, and keeps the states that its own calls led to.

A state that nobody who answers has is unresolved: whoever asks is told to try again, never that the contract is empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

import msgspec

from quorate.crypto.digests import blob_digest, body_digest
from quorate.crypto.sealing import public_result_tag
from quorate.errors import InvalidField, NoNetwork, PolicyRefused, QuorateError, StateUnresolved, UnknownContract
from quorate.execute.bytecode.state import EMPTY_STATE, State
from quorate.execute.contracts.outcomes import next_state
from quorate.jobs.state import JobState
from quorate.ledger.contracts import succeeded
from quorate.model.codec import Value, decode
from quorate.model.contract import Deployment
from quorate.model.effects import Post
from quorate.model.evidence import Signed
from quorate.model.submission import DeployOrder
from quorate.model.transaction import Answer, AskContract, ContractHead, Deploy, Settle
from quorate.model.units import Digest, NodeId
from quorate.node.posting import PostingShell

log = logging.getLogger("quorate.node")

ASK_AGAIN_S = 1.0
ANSWER_S = 10.0
DEPLOYED = ("ok", "already_deployed")


class ContractDesk:
    """Belongs to one requester's node, `shell`."""

    def __init__(self, shell: PostingShell) -> None:
        self._shell = shell
        self._asking: defaultdict[Digest, list[asyncio.Future[ContractHead]]] = defaultdict(list)
        self._deploying: dict[bytes, asyncio.Future[Answer]] = {}

    async def head(self, ask: AskContract) -> ContractHead:
        """The head, with the bytes of its program and its state here. Raises UnknownContract, StateUnresolved, and
        NoNetwork when the ledger does not answer."""
        answer = await self._ask(ask)
        if answer.head is None:
            raise UnknownContract(
                f"no contract {ask.contract.hex()[:16]} on this ledger", field="contract", fix="deploy it first"
            )
        await self._shell.world.blobs.put(EMPTY_STATE)
        contract, head = answer.head.deployment.contract, answer.head
        others = (*head.holders, head.deployment.deployer, *self._shell.world.transport.peers())
        sources = tuple(dict.fromkeys(peer for peer in others if peer != self._shell.node_id))
        for field, digest in (("program", contract.program), ("state", head.state)):
            if await self._shell.fetcher.bring((digest,), sources):
                raise StateUnresolved(
                    f"nobody who answers has the {field} of contract {ask.contract.hex()[:16]}",
                    field=field,
                    fix="try again when those who have it are back",
                )
        return answer

    async def _ask(self, ask: AskContract) -> ContractHead:
        waiting: asyncio.Future[ContractHead] = asyncio.get_running_loop().create_future()
        self._asking[ask.contract].append(waiting)
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    self._shell.put(lambda turn: turn.send(self._shell.ledger, ask, after_save=False))
                    done, _ = await asyncio.wait([waiting], timeout=ASK_AGAIN_S)
                    if done:
                        return waiting.result()
        except TimeoutError:
            raise NoNetwork("the ledger does not answer", field="ledger", fix="quorate localnet status") from None
        finally:
            self._asking[ask.contract].remove(waiting)
            if not self._asking[ask.contract]:
                del self._asking[ask.contract]

    def answered_head(self, sender: NodeId, body: bytes) -> None:
        """A letter of the ledger; of anybody else it is nothing."""
        if sender != self._shell.ledger:
            return
        head = decode(body, ContractHead)
        for waiting in self._asking.get(head.contract, ()):
            if not waiting.done():
                waiting.set_result(head)

    async def deploy(self, order: DeployOrder) -> ContractHead:
        """Puts a contract on the ledger; the same order again answers the same. Raises InvalidField for bytes that are
        not those the contract names, and PolicyRefused with the ledger's reason."""
        shell = self._shell
        for bundle in order.bundles:
            shell.postbox.directory.add(bundle)
        for stamp in order.stamps:
            shell.stamps.add(stamp)
        shell.postbox.verify(order.deployment)
        contract = decode(order.deployment.body, Deployment).contract
        for field, data, digest in (
            ("program", order.program, contract.program),
            ("state", order.state, contract.state),
        ):
            if blob_digest(data) != digest:
                raise InvalidField("has another digest than the contract names", field=field)
        await shell.world.blobs.put_many((order.program, order.state))
        await self._post(order.deployment)
        key = body_digest("deployment", order.deployment.body)
        return await self.head(AskContract(network=shell.network, contract=key, accounts=()))

    async def _post(self, signed: Signed) -> None:
        """Returns once the ledger has the contract."""
        key = bytes(body_digest("deployment", signed.body))
        waiting = self._deploying.get(key)
        if waiting is None:
            waiting = self._deploying[key] = asyncio.get_running_loop().create_future()
            self._shell.keep_stamps((signed,))
            transaction = Deploy(network=self._shell.network, deployment=signed)
            self._shell.put(lambda turn: self._shell.post(key, Post(transaction)))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await asyncio.shield(waiting)
        except TimeoutError:
            raise NoNetwork("the ledger does not answer", field="ledger", fix="quorate localnet status") from None
        finally:
            if waiting.done():
                self._deploying.pop(key, None)
        if answer.status not in DEPLOYED:
            raise PolicyRefused(
                f"the ledger refused the deployment: {answer.status} {answer.detail}".rstrip(), field="contract"
            )

    def answered(self, owner: bytes, transaction: Value, answer: Answer) -> bool:
        """Whether the answer was to a deployment."""
        if not isinstance(transaction, Deploy):
            return False
        waiting = self._deploying.get(owner)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        return True

    # Calls of this node's own jobs

    async def agreed_output(self, state: JobState) -> bytes:
        """The output that the members of a call agreed on, from a copy that is here; empty when there is none."""
        vote = state.verdict.vote if state.verdict else None
        for arrival in state.arrivals:
            data = await self._shell.world.blobs.get(arrival.result_digest) if arrival.stored else None
            if vote is not None and data is not None and public_result_tag(data) == vote.tag:
                return data
        return b""

    async def filled(self, state: JobState, wish: Post) -> Post:
        """The terminal transaction with what the ledger takes the effects of a call from."""
        if not isinstance(wish.transaction, Settle) or not state.verdict or not state.verdict.accepted:
            return wish
        outcome = await self.agreed_output(state)
        return Post(msgspec.structs.replace(wish.transaction, outcome=outcome), own=wish.own)

    async def keep_state(self, state: JobState) -> None:
        """Stores the state that a call which is done has led to, so that the next one finds it here."""
        call, ruled = state.value.core.call, state.settled
        if call is None or ruled is None or ruled.call is None or ruled.call.result != "applied":
            return
        outcome = succeeded(await self.agreed_output(state))
        before = await self._shell.world.blobs.get(call.state)
        if outcome is None or before is None:
            return
        try:
            after = next_state(State.decode(before), outcome)
        except QuorateError as fault:
            log.warning("state of contract %s: %s", call.contract.hex()[:8], fault)
            return
        if after:
            await self._shell.world.blobs.put(after)
