"""Contracts and calls around `ledger_world`: a deployment, a call on a head, and what its members agree on.

book = Calls(World()); key = book.deploy(); deal = book.open(key); book.settle(deal, book.outcome(deal, state))
"""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.ledger_world import Claim, Deal, World

from quorate.crypto.digests import blob_digest, digest, value_digest
from quorate.crypto.sealing import public_result_tag
from quorate.crypto.signing import Identity
from quorate.ledger.blocks import Reply
from quorate.ledger.contracts import balance_of, epoch_of
from quorate.model.agreement import Agreement, EscrowOpened
from quorate.model.call import Balance, CallOutcome, ContractCall, ContractTransfer
from quorate.model.claim import ClaimBody, Vote
from quorate.model.codec import decode, encode
from quorate.model.contract import ID_BYTES, Contract, Deployment, FunctionSignature
from quorate.model.output import Output
from quorate.model.policy import Proof
from quorate.model.program import Program
from quorate.model.settlement import Settlement
from quorate.model.transaction import Deploy, OpenEscrow, Settle
from quorate.model.units import Digest

PROGRAM = Digest(b"\x21" * 32)
BORN = Digest(b"\x22" * 32)


class Calls:
    """Deploys and calls on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._deployed = 0
        for who in world.providers:
            if who.node_id not in world.offers:
                world.stand(who)

    def deployment(self, **changes: Any) -> Deployment:
        self._deployed += 1
        contract = Contract(
            kind="bytecode",
            program=PROGRAM,
            size_bytes=100,
            wasm_tier="none",
            max_memory_bytes=1 << 16,
            max_cycles=1_000_000,
            max_state_bytes=1 << 10,
            state=BORN,
            functions=(FunctionSignature(name="run", parameters=()),),
        )
        made = Deployment(
            network=self.world.network,
            deployer=self.world.requester.node_id,
            contract=contract,
            nonce=self._deployed.to_bytes(32, "big"),
        )
        return msgspec.structs.replace(made, **changes)

    def order(self, deployment: Deployment, signer: Identity | None = None) -> Deploy:
        signed = self.world.signatures.sign(signer or self.world.requester, deployment)
        return Deploy(network=self.world.network, deployment=signed)

    def deploy(self) -> Digest:
        deployment = self.deployment()
        assert self.world.status(self.world.node, self.order(deployment)) == "ok"
        return value_digest(deployment)

    def call(self, contract: Digest, deposit: int = 0, others: tuple[bytes, ...] = (), **changes: Any) -> ContractCall:
        """A call on the head of now."""
        state = self.world.state
        record = state.contracts[contract]
        amounts = {bytes(contract[:ID_BYTES]): record.balance_micro + deposit}
        for account in others:
            amounts[account] = balance_of(state, account) or 0
        made = ContractCall(
            contract=contract,
            state=record.state,
            version=record.version,
            epoch=epoch_of(state, self.world.now),
            deposit_micro=deposit,  # type: ignore[arg-type]
            balances=tuple(Balance(account=key, amount_micro=amounts[key]) for key in sorted(amounts)),  # type: ignore[arg-type]
        )
        return msgspec.structs.replace(made, **changes)

    def opening(self, call: ContractCall, **program: Any) -> OpenEscrow:
        world, roster = self.world, self.world.roster()
        kind = Program(
            kind="bytecode", digest=PROGRAM, size_bytes=100, profile="contract", entry="run", wasm_tier="none",
            dependencies=(),
        )  # fmt: skip
        job = world.job(
            program=msgspec.structs.replace(kind, **program), call=call,
            proof=Proof(method="quorum", replicas=3, threshold=0, one_in=1),
        )  # fmt: skip
        return world.order(job, world.agreement(job, roster, rounds=1), roster)

    def open(self, call: ContractCall) -> CallDeal:
        order = self.opening(call)
        reply = self.world.post(self.world.node, order)
        assert reply.answer.status == "ok", reply.answer
        agreement = decode(order.agreement.body, Agreement)
        return CallDeal(self.world, agreement, decode(reply.events[0].event, EscrowOpened), call)


class CallDeal(Deal):
    """The agreement of one call, and what its members may agree on."""

    def __init__(self, world: World, agreement: Any, opened: EscrowOpened, call: ContractCall) -> None:
        super().__init__(world, agreement, opened)
        self.call = call

    def output(self, state: bytes, *transfers: tuple[bytes, int], status: str = "ok") -> bytes:
        """The output of a call that led to `state` and pays."""
        outcome = CallOutcome(
            status=status,  # type: ignore[arg-type]
            trap="none" if status == "ok" else "aborted",
            code=0,
            pc=1,
            cycles=10,
            results=(),
            logs=(),
            emitted=b"",
            state=Digest(state),
            changes=(),
            transfers=tuple(ContractTransfer(to=to, amount_micro=amount) for to, amount in transfers),  # type: ignore[arg-type]
        )
        ended = "success" if status == "ok" else "aborted"
        return encode(Output(status=ended, exit_code=0, stdout=encode(outcome)))

    def claims(self, output: bytes) -> list[Claim]:
        return [self.claim_of(member, 1, self._body(output), output) for member in self.cohort()]

    def _body(self, output: bytes) -> ClaimBody:
        status = decode(output, Output).status
        return ClaimBody(
            vote=Vote(status=status, tag=public_result_tag(output), log_tag=digest("log"), fuel_bucket=1024),  # type: ignore[arg-type]
            result_digest=blob_digest(output),
            result_bytes=len(output),
            log_digest=blob_digest(b""),
            log_bytes=0,
            memory_bucket_bytes=0,
            cpu_bucket_ms=0,
            in_bucket_bytes=0,
            out_bucket_bytes=0,
            isolation=(),
        )

    def settling(self, output: bytes, shown: bytes | None = None) -> Settle:
        settle = self.settle(self.claims(output))
        return msgspec.structs.replace(settle, outcome=output if shown is None else shown)

    def settled(self, output: bytes) -> Settlement:
        """What the ledger makes of it."""
        reply: Reply = self.world.post(self.world.node, self.settling(output))
        assert reply.answer.status == "ok", reply.answer
        return decode(reply.events[0].event, Settlement)
