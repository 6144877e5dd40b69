"""The Python client of a network: `quorate.connect()` for plain code, `await quorate.aconnect()` for asyncio. Both have
the same verbs.

    compute = quorate.connect()
    job = compute.submit(draft)
    plaintext = compute.wait(job).decrypt()

Keys never leave the client's files: jobs are sealed here, draws are verified here, results are opened here. The node
behind the door is the user's own, and still is told nothing that it need not know.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from os import PathLike
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from quorate.api.builder import Draft
from quorate.api.calls import check_born_with
from quorate.api.commands import PREFIX_MIN, digest_named
from quorate.api.courier import Courier
from quorate.api.draws import Notary
from quorate.api.keyring import Keyring
from quorate.api.problems import error_named
from quorate.api.programs import outline_of
from quorate.api.results import Keys, Result, read_array, read_array_log, read_log, read_output
from quorate.api.schemas import JobView, Listing, Ready
from quorate.api.sealing import Parties, quoted_core
from quorate.api.submitting import Submitter
from quorate.crypto.digests import blob_digest, body_digest, value_digest
from quorate.errors import BadCommitment, InvalidField, PolicyRefused, QuorateError, WorldError
from quorate.execute.bytecode.state import EMPTY_STATE, State
from quorate.execute.declared import contract_of
from quorate.model.codec import decode, encode
from quorate.model.contract import Deployment
from quorate.model.network import Genesis
from quorate.model.outcome import Receipt
from quorate.model.submission import Await, DeployOrder, QuoteRequest, ResultView
from quorate.model.transaction import AskContract, ContractHead
from quorate.model.units import DIGEST_BYTES, Digest, JobId, Millis, NodeId
from quorate.node.config import home_folder, load_genesis

WAIT_MS = 10_000
COLLUDERS_PER_MILLE = 200
USER = "client"
"""Whose keys are used where nobody is named."""
Home = str | PathLike[str] | None

T = TypeVar("T")


async def aconnect(home: Home = None, user: str = USER) -> Client:
    """The client of the network under `home` (default: QUORATE_HOME), for the user whose keys are in its folder `user`.
    Raises NoNetwork, MissingKey, or PolicyRefused for a strange door."""
    folder = home_folder("" if home is None else str(home))
    genesis = load_genesis(folder)
    keyring = Keyring(folder / user)
    notary = Notary(keyring.identity(), genesis, secrets.token_bytes)
    courier = Courier(folder / "node" / "door.sock")
    try:
        node = await _node_behind(courier, genesis)
    except BaseException:
        await courier.close()
        raise
    return Client(Parties(notary.network, notary.identity.node_id, node), notary, keyring, courier)


def connect(home: Home = None, user: str = USER) -> Quorate:
    """The same client for code without asyncio."""
    return Quorate(Path(home) if home is not None else None, user)


async def _node_behind(courier: Courier, genesis: Genesis) -> NodeId:
    overview: dict[str, Any] = await courier.view("/v1/network", dict)
    if overview.get("network") != value_digest(genesis).hex():
        raise PolicyRefused(
            "the node serves another network", field="network", fix="restart the network under this QUORATE_HOME"
        )
    return NodeId(digest_named(str(overview.get("node")), "node"))


class Client:
    """One user at one door. Jobs are named by their id in hexadecimal; the beginning of an id will do."""

    def __init__(self, parties: Parties, notary: Notary, keyring: Keyring, courier: Courier) -> None:
        self.parties = parties
        self.genesis = notary.genesis
        self._keyring = keyring
        self._courier = courier
        self._notary = notary
        self._submitter = Submitter(parties, notary, keyring, courier, secrets.token_bytes)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._courier.close()

    async def submit(self, draft: Draft, key: str = "") -> str:
        """Seals, signs, sends; answers the job id once the node can go on without this client. The same `key` again is
        the same job."""
        return (await self._submitter.submit(draft, key)).hex()

    async def submit_many(self, drafts: Sequence[Draft]) -> tuple[str, ...]:
        """Many at once: sealed, signed and wrapped in batches. A job that could not be matched shows it in its
        state."""
        return tuple(job.hex() for job in await self._submitter.submit_many(drafts))

    async def status(self, job: str) -> JobView:
        return await self._courier.view(f"/v1/jobs/{_named(job)}", JobView)

    async def watch(self, job: str) -> AsyncIterator[JobView]:
        """The state whenever it changes, until the job is settled."""
        async for data in self._courier.events(f"/v1/jobs/{_named(job)}/events"):
            yield msgspec.json.decode(data, type=JobView)

    async def wait(self, job: str, timeout_s: float | None = None, *, final: bool = True) -> Result:
        """The result, once the job is settled; as soon as it is there if not `final`. Raises the JobError it ended
        with, or WorldError when `timeout_s` is over."""
        listing = await self._when(job, timeout_s, final=final, results=True)
        (view,) = listing.jobs
        if view.state != "completed":
            raise error_named(view.error or "JobFailed", view.detail or f"the job is {view.state}")
        return await self._result(view, listing.results)

    async def wait_settled(self, job: str, timeout_s: float | None = None) -> JobView:
        """The final state, whatever it is. A job whose wraps are still due (its submitter died) is given them."""
        return (await self._when(job, timeout_s, final=True, results=False)).jobs[0]

    async def _when(self, job: str, timeout_s: float | None, *, final: bool, results: bool) -> Listing:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        named = _named(job)
        job_id = _id(named if len(named) == 2 * DIGEST_BYTES else (await self.status(named)).job)
        # A job that this client has not seen through may wait for wraps: that is asked first.
        left_ms = _left_ms(until) if self._submitter.has_finished(job_id) else 0
        while True:
            listing = await self._listing(Await(jobs=(job_id,), wait_ms=max(0, left_ms), final=final, results=results))
            (view,) = listing.jobs
            if view.settled or (view.ended and not final):
                return listing
            if view.needs_wraps and self._keyring.has(job_id):
                await self._submitter.wrap_when_drawn([job_id])
            left_ms = _left_ms(until)
            if left_ms < 0:
                raise WorldError(
                    f"job {view.job[:16]} is still {view.phase}",
                    field="timeout",
                    limit=f"{timeout_s} s",
                    fix="wait longer",
                )

    async def wait_all(self, jobs: Sequence[str]) -> tuple[JobView, ...]:
        """The final states of many jobs, in their order."""
        ids = tuple(_id(job) for job in jobs)
        views: dict[str, JobView] = {}
        for start in range(0, len(ids), 1024):
            part = ids[start : start + 1024]
            while not all((found := views.get(job.hex())) and found.settled for job in part):
                ask = Await(jobs=part, wait_ms=WAIT_MS, final=True, results=False)
                views.update({view.job: view for view in (await self._listing(ask)).jobs})
        return tuple(views[job.hex()] for job in ids)

    async def _listing(self, ask: Await) -> Listing:
        return await self._courier.view("/v1/wait", Listing, encode(ask), ask.wait_ms)

    async def result(self, job: str) -> Result:
        """The result of a job that has one now. Raises NotFinished or the JobError it ended with."""
        return await self._result(await self.status(job), ())

    async def _result(self, view: JobView, ready: Sequence[Ready]) -> Result:
        """Opened and checked; what is not among `ready` is asked for."""
        if ready:
            found = decode(ready[0].result, ResultView)
        else:
            found = await self._courier.ask(f"/v1/jobs/{view.job}/result", ResultView)
        copies = {copy.result_digest: entry.copy for entry in ready if entry.copy for copy in found.delivered[:1]}

        async def fetch(digest: Digest) -> bytes:
            return copies.get(digest) or await self._courier.get(digest)

        try:
            keys = self._keys(view)
            if view.elements > 1:
                return Result(found, await read_array(found, keys, fetch, view.elements))
            return Result(found, await read_output(found, keys, fetch))
        except WorldError:
            raise
        except QuorateError as fault:
            return Result(found, fault)

    def _keys(self, view: JobView) -> Keys:
        return Keys(view.private, self._keyring.load(_id(view.job)) if view.private else None)

    async def logs(self, job: str) -> bytes:
        """What the guest wrote to standard error, sealed to the owner like the result; of an array, all elements in
        order."""
        return b"".join(await self.element_logs(job))

    async def element_logs(self, job: str) -> tuple[bytes, ...]:
        """What each element of an array wrote to standard error; an ordinary job is one element."""
        view = await self.status(job)
        found = await self._courier.ask(f"/v1/jobs/{view.job}/result", ResultView)
        keys, fetch = self._keys(view), self._courier.get
        if view.elements > 1:
            return await read_array_log(found, keys, fetch, view.elements)
        return ((await read_log(found, keys, fetch)).stderr,)

    async def cancel(self, job: str) -> JobView:
        """Answers once no guest of the job runs any more."""
        return await self._courier.view(f"/v1/jobs/{_named(job)}/cancel", JobView, b"")

    async def receipt(self, job: str) -> Receipt:
        return await self._courier.ask(f"/v1/jobs/{_named(job)}/receipt", Receipt)

    async def contract(self, contract: str, *accounts: bytes) -> ContractHead:
        """Where a contract stands, for a call to run on; `accounts` are ids (16 bytes) whose balances the call may ask
        for. Raises UnknownContract, or StateUnresolved when nobody who answers has its state."""
        ask = AskContract(
            network=self.parties.network, contract=digest_named(contract, "contract"), accounts=tuple(accounts)
        )
        return await self._courier.ask("/v1/contracts/head", ContractHead, ask)

    async def contract_state(self, contract: str) -> dict[bytes, bytes]:
        """What the contract keeps, by key."""
        head = (await self.contract(contract)).head
        assert head is not None
        data = await self._courier.get(Digest(head.state))
        if blob_digest(data) != head.state:
            raise BadCommitment("the bytes are not those of the state", field="state")
        return dict(State.decode(data).entries)

    async def deploy(self, program: bytes, state: bytes = EMPTY_STATE) -> str:
        """Puts a contract on the ledger; its id. Raises BadContract, what `contract_of` raises for a module, or
        PolicyRefused with the ledger's reason."""
        declared = contract_of(program)
        if declared.kind == "wasm":
            outline_of(program, "program")
        check_born_with(declared, state)
        deployment = Deployment(
            network=self.parties.network,
            deployer=self.parties.requester,
            contract=declared,
            nonce=secrets.token_bytes(DIGEST_BYTES),
        )
        body = encode(deployment)
        key = body_digest("deployment", body)
        (signed,), stamp = self._notary.sign("deployment", [(key, body)])
        order = DeployOrder(
            deployment=signed, stamps=(stamp,), bundles=(self._notary.identity.bundle,), program=program, state=state
        )
        await self._courier.ask("/v1/contracts", ContractHead, order)
        return key.hex()

    async def explain(self, job: str) -> dict[str, Any]:
        """Which rule removed which node, which phase clock is running, and the job's own history."""
        return await self._courier.view(f"/v1/jobs/{_named(job)}/explain", dict)

    async def quote(self, draft: Draft, colluders_per_mille: int = COLLUDERS_PER_MILLE) -> dict[str, Any]:
        """Price, who sees what, and the odds if that share of the roster colludes. Nothing of the input is sent."""
        if not 0 <= colluders_per_mille <= 1000:
            raise InvalidField(
                str(colluders_per_mille), field="colluders", limit="0 to 1000 per mille", fix="such as 200"
            )
        core = quoted_core(draft, self.parties, Millis(time.time_ns() // 1_000_000))
        question = encode(QuoteRequest(core=core, colluders_per_mille=colluders_per_mille))
        return await self._courier.view("/v1/quote", dict, question)

    async def list(self, limit: int = 100) -> tuple[JobView, ...]:
        """Jobs, newest first."""
        return (await self._courier.view(f"/v1/jobs?limit={limit}", Listing)).jobs

    async def network(self) -> dict[str, Any]:
        return await self._courier.view("/v1/network", dict)


class Quorate:
    """`Client` without asyncio: each verb runs on one background thread, so it also works inside a running event loop
    (a notebook)."""

    def __init__(self, home: Path | None, user: str = USER) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="quorate client", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(aconnect(home, user))
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Quorate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        under_way = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return under_way.result()
        except BaseException:
            under_way.cancel()
            raise

    def close(self) -> None:
        if self._thread.is_alive():
            self._run(self._client.close())
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def parties(self) -> Parties:
        return self._client.parties

    @property
    def genesis(self) -> Genesis:
        return self._client.genesis

    def submit(self, draft: Draft, key: str = "") -> str:
        return self._run(self._client.submit(draft, key))

    def submit_many(self, drafts: Sequence[Draft]) -> tuple[str, ...]:
        return self._run(self._client.submit_many(drafts))

    def status(self, job: str) -> JobView:
        return self._run(self._client.status(job))

    def watch(self, job: str) -> Iterator[JobView]:
        views = self._client.watch(job)
        try:
            while (view := self._run(_next(views))) is not None:
                yield view
        finally:
            self._run(_closed(views))

    def wait(self, job: str, timeout_s: float | None = None, *, final: bool = True) -> Result:
        return self._run(self._client.wait(job, timeout_s, final=final))

    def wait_settled(self, job: str, timeout_s: float | None = None) -> JobView:
        return self._run(self._client.wait_settled(job, timeout_s))

    def wait_all(self, jobs: Sequence[str]) -> tuple[JobView, ...]:
        return self._run(self._client.wait_all(jobs))

    def result(self, job: str) -> Result:
        return self._run(self._client.result(job))

    def logs(self, job: str) -> bytes:
        return self._run(self._client.logs(job))

    def element_logs(self, job: str) -> tuple[bytes, ...]:
        return self._run(self._client.element_logs(job))

    def cancel(self, job: str) -> JobView:
        return self._run(self._client.cancel(job))

    def receipt(self, job: str) -> Receipt:
        return self._run(self._client.receipt(job))

    def contract(self, contract: str, *accounts: bytes) -> ContractHead:
        return self._run(self._client.contract(contract, *accounts))

    def contract_state(self, contract: str) -> dict[bytes, bytes]:
        return self._run(self._client.contract_state(contract))

    def deploy(self, program: bytes, state: bytes = EMPTY_STATE) -> str:
        return self._run(self._client.deploy(program, state))

    def explain(self, job: str) -> dict[str, Any]:
        return self._run(self._client.explain(job))

    def quote(self, draft: Draft, colluders_per_mille: int = COLLUDERS_PER_MILLE) -> dict[str, Any]:
        return self._run(self._client.quote(draft, colluders_per_mille))

    def list(self, limit: int = 100) -> tuple[JobView, ...]:
        return self._run(self._client.list(limit))

    def network(self) -> dict[str, Any]:
        return self._run(self._client.network())


def _left_ms(until: float | None) -> int:
    """How long the next question may wait for its answer; below zero when the time is over."""
    return WAIT_MS if until is None else min(WAIT_MS, int(1000 * (until - time.monotonic())))


async def _next(views: AsyncIterator[JobView]) -> JobView | None:
    return await anext(views, None)


async def _closed(views: Any) -> None:
    await views.aclose()


def _named(job: str) -> str:
    """Only what can be an id becomes part of a path."""
    text = job.strip().lower()
    if not PREFIX_MIN <= len(text) <= 2 * DIGEST_BYTES or not set(text) <= set("0123456789abcdef"):
        limit = f"{PREFIX_MIN} to 64 characters of 0-9a-f"
        raise InvalidField(
            f"{job[:80]!r} is no job id", field="job", limit=limit, fix="quorate compute list shows them"
        )
    return text


def _id(job: str) -> JobId:
    return JobId(Digest(digest_named(job, "job")))
