"""Submits drafts end to end: seal, save the keys, sign in batches, send what is missing, verify each draw, wrap, done.

Batches are sealed and sent while draws of earlier ones are being answered. A draw that does not verify is refused: no
key is wrapped, the job is cancelled, and the error says which check failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

from quorate.api.builder import Draft
from quorate.api.courier import Courier, as_json
from quorate.api.draws import Notary
from quorate.api.keyring import JobKeys, Keyring
from quorate.api.problems import error_named
from quorate.api.schemas import Ids, JobView, Listing
from quorate.api.sealing import Parties, SealedJob, seal, wraps_of
from quorate.crypto.digests import blob_digest
from quorate.errors import IdempotencyConflict, InvalidField, PeerError, QuorateError, UnknownJob, UserError, WorldError
from quorate.model.codec import encode
from quorate.model.job import Job
from quorate.model.submission import Accepted, Await, Draws, JobIds, JobWraps, Order, Submission, Wraps
from quorate.model.units import KIB, MIB, Digest, JobId, Millis

BATCH_JOBS = 64
BATCH_BYTES = 8 * MIB
INLINE_BYTES_MAX = 256 * KIB
"""A larger blob is put by itself, before the submission that names it."""
DRAW_WAIT_MS = 500
FINISHED_MAX = 4_096
KEY_CHARACTERS_MAX = 128
CLAIM_S, CLAIM_AGAIN_S = 60.0, 0.02


class Submitter:
    """The client's half of submission, for one requester at one door."""

    def __init__(
        self, parties: Parties, notary: Notary, keyring: Keyring, courier: Courier, draw: Callable[[int], bytes]
    ) -> None:
        self._parties = parties
        self._notary = notary
        self._keyring = keyring
        self._courier = courier
        self._draw = draw
        self._there: set[Digest] = set()
        self._fresh: dict[JobId, tuple[Job, JobKeys]] = {}
        self._finished: OrderedDict[JobId, None] = OrderedDict()

    async def submit(self, draft: Draft, key: str = "") -> JobId:
        """One job, under the user's own `key` if given (R14). Raises the error of a job that ended before it was
        drawn."""
        if len(key) > KEY_CHARACTERS_MAX:
            limit = f"{KEY_CHARACTERS_MAX} characters"
            raise InvalidField(f"{len(key)} characters", field="key", limit=limit, fix="choose a shorter key")
        async with self._claimed(key):
            job = (await self._known(draft, key)) if key else None
            draws = None
            if job is None:
                accepted = await self._send_batch([draft], key, wait_ms=DRAW_WAIT_MS if draft.private else 0)
                job, draws = JobId(accepted.jobs[0]), accepted.draws
        if draws and draws.draws:
            await self._wrap(draws, {job})
        elif draft.private:
            views = await self.wrap_when_drawn([job])
            if views and views[0].ended and views[0].state != "completed":
                raise error_named(views[0].error or "JobFailed", views[0].detail)
        return job

    @contextlib.asynccontextmanager
    async def _claimed(self, key: str) -> AsyncIterator[None]:
        """One submission at a time under one client key: whoever comes second finds the first one's job."""
        if not key:
            yield
            return
        until = time.monotonic() + CLAIM_S
        while True:
            try:
                lock = self._keyring.claim(key)
                break
            except WorldError:
                if time.monotonic() > until:
                    raise IdempotencyConflict(
                        "another process is submitting under this client key", field="key", fix="try again"
                    ) from None
                await asyncio.sleep(CLAIM_AGAIN_S)
        try:
            yield
        finally:
            lock.release()

    async def submit_many(self, drafts: Sequence[Draft]) -> list[JobId]:
        """Jobs in the order of `drafts`."""
        jobs: list[JobId] = []
        waiting: asyncio.Queue[list[JobId] | None] = asyncio.Queue()
        wrapping = asyncio.create_task(self._wrap_from(waiting))
        try:
            for batch in _batches(drafts):
                if wrapping.done():
                    break
                sent = [JobId(job) for job in (await self._send_batch(batch, "")).jobs]
                jobs.extend(sent)
                waiting.put_nowait([job for job, draft in zip(sent, batch, strict=True) if draft.private])
            waiting.put_nowait(None)
            await wrapping
        finally:
            wrapping.cancel()
            await asyncio.wait([wrapping])
        return jobs

    async def _known(self, draft: Draft, key: str) -> JobId | None:
        """The job this key stands for, if the node has it: its secrets are in the key file, so it can go on from where
        it was."""
        job = self._keyring.submitted(key, draft.fingerprint)
        if job is None:
            return None
        try:
            await self._courier.view(f"/v1/jobs/{job.hex()}", JobView)
        except UnknownJob:
            self._keyring.forget(key)
            return None
        return job

    async def _send_batch(self, drafts: Sequence[Draft], key: str, wait_ms: int = 0) -> Accepted:
        sealed = await asyncio.to_thread(self._seal_all, drafts)
        if key:
            self._keyring.remember(key, sealed[0].job_id, drafts[0].fingerprint)
        try:
            inline = await self._send_blobs(drafts, sealed)
            signed, stamp = self._notary.sign_jobs([(job.job_id, job.body) for job in sealed])
            submission = Submission(
                orders=tuple(Order(job=job, key=key) for job in signed),
                stamps=(stamp,),
                bundles=(self._notary.identity.bundle,),
                blobs=inline,
                wait_ms=wait_ms,
            )
            accepted = await self._courier.ask("/v1/jobs", Accepted, submission, wait_ms)
        except QuorateError as fault:
            self._clean_up(sealed, key, fault)
            raise
        if accepted.jobs != tuple(job.job_id for job in sealed):
            raise QuorateError("the node answered with other job ids", fix="use one version on both sides")
        self._there.update(digest for draft in drafts for digest in draft.modules)
        self._finish(job.job_id for job in sealed if job.keys is None)
        return accepted

    def _seal_all(self, drafts: Sequence[Draft]) -> list[SealedJob]:
        """Sealed, and their keys durable."""
        now = Millis(time.time_ns() // 1_000_000)
        sealed = [seal(draft, self._parties, now, self._draw) for draft in drafts]
        fresh = {each.job_id: (each.job, each.keys) for each in sealed if each.keys is not None}
        if fresh:
            self._keyring.save(keys for _, keys in fresh.values())
        self._fresh |= fresh
        return sealed

    def _clean_up(self, sealed: Sequence[SealedJob], key: str, fault: QuorateError) -> None:
        """Nothing half done: keys of jobs that the node has refused are useless. When it may have taken them, they
        stay."""
        if not isinstance(fault, (UserError, PeerError)):
            return
        for job in sealed:
            self._keyring.drop(job.job_id)
            self._fresh.pop(job.job_id, None)
        if key:
            self._keyring.forget(key)

    async def _send_blobs(self, drafts: Sequence[Draft], sealed: Sequence[SealedJob]) -> tuple[bytes, ...]:
        """Puts the large blobs that the node lacks; returns the small ones that go along. Dependencies are put by
        themselves: so many of them might not fit into one submission."""
        modules = {digest: code for draft in drafts for digest, code in draft.modules.items()}
        programs = {digest: code for digest, code in modules.items() if digest not in self._there}
        libraries = {digest for draft in drafts for digest in draft.program.dependencies}
        inputs = {blob_digest(job.blob): job.blob for job in sealed}
        large = {digest: blob for digest, blob in inputs.items() if len(blob) > INLINE_BYTES_MAX}
        missing = await self._missing(programs | large)
        inline = [blob for digest, blob in inputs.items() if digest not in large]
        for digest, blob in missing.items():
            if len(blob) > INLINE_BYTES_MAX or digest in libraries:
                await self._courier.put(digest, blob)
            else:
                inline.append(blob)
        return tuple(dict.fromkeys(inline))

    async def _missing(self, blobs: dict[Digest, bytes]) -> dict[Digest, bytes]:
        if not blobs:
            return {}
        question = as_json(Ids(tuple(digest.hex() for digest in blobs)))
        answer = await self._courier.view("/v1/blobs/missing", Ids, question)
        lacking = set(answer.digests)
        return {digest: blob for digest, blob in blobs.items() if digest.hex() in lacking}

    # Draws and wraps --------------------------------------------------------------------------------------------------

    async def _wrap_from(self, waiting: asyncio.Queue[list[JobId] | None]) -> None:
        pending: dict[JobId, None] = {}
        more = True
        while more or pending:
            while more and (not pending or not waiting.empty()):
                jobs = await waiting.get()
                more = jobs is not None
                pending.update(dict.fromkeys(jobs or ()))
            if pending:
                done = await self._wrap_some(list(pending)[:BATCH_JOBS])
                for job in done:
                    pending.pop(job)

    async def wrap_when_drawn(self, jobs: Iterable[JobId]) -> list[JobView]:
        """Returns when each job has its wraps or needs none any more; gives the views of those that were never
        drawn."""
        pending = dict.fromkeys(jobs)
        undrawn: list[JobView] = []
        while pending:
            done = await self._wrap_some(list(pending)[:BATCH_JOBS])
            undrawn.extend(view for view in done.values() if view is not None)
            for job in done:
                pending.pop(job)
        return undrawn

    async def _wrap_some(self, jobs: list[JobId]) -> dict[JobId, JobView | None]:
        """Jobs that need no more of the client: None for those just wrapped, else a view."""
        ask = JobIds(jobs=tuple(jobs), wait_ms=DRAW_WAIT_MS)
        answer = await self._courier.ask("/v1/draws", Draws, ask, DRAW_WAIT_MS)
        if answer.draws:
            await self._wrap(answer, set(jobs))
            return {JobId(draw.job): None for draw in answer.draws}
        question = encode(Await(jobs=tuple(jobs), wait_ms=0, final=True, results=False))
        views = (await self._courier.view("/v1/wait", Listing, question)).jobs
        over = {JobId(bytes.fromhex(view.job)): view for view in views if view.ended or view.round}
        return {job: view for job, view in over.items() if job in jobs}

    async def _wrap(self, answer: Draws, asked: set[JobId]) -> None:
        if any(draw.job not in asked for draw in answer.draws):
            raise QuorateError("a draw that was not asked for", field="draws")
        wraps, faults = await asyncio.to_thread(self._wrap_all, answer)
        for job in faults:
            await self._give_up(job)
        if wraps:
            await self._courier.tell("/v1/wraps", Wraps(jobs=tuple(wraps)))
            self._finish(JobId(each.job) for each in wraps)
        for fault in faults.values():
            raise fault

    def _wrap_all(self, answer: Draws) -> tuple[list[JobWraps], dict[JobId, QuorateError]]:
        """The wraps for every draw that holds, and why the others do not."""
        wraps: list[JobWraps] = []
        faults: dict[JobId, QuorateError] = {}
        try:
            evidence = self._notary.evidence(answer)
        except QuorateError as fault:
            return [], {JobId(draw.job): fault for draw in answer.draws}
        for draw in answer.draws:
            job = JobId(draw.job)
            try:
                fresh = self._fresh.pop(job, None)
                value, keys = fresh or self._loaded(job)
                wraps.append(wraps_of(value, keys, self._notary.check(draw, evidence, value, job)))
            except QuorateError as fault:
                faults[job] = fault
        return wraps, faults

    def _loaded(self, job: JobId) -> tuple[Job, JobKeys]:
        keys = self._keyring.load(job)
        return keys.job, keys

    def _finish(self, jobs: Iterable[JobId]) -> None:
        for job in jobs:
            self._finished[job] = None
            if len(self._finished) > FINISHED_MAX:
                self._finished.popitem(last=False)

    def has_finished(self, job: JobId) -> bool:
        """Whether this client gave the node all that it needs for `job`, not too long ago to remember."""
        return job in self._finished

    async def _give_up(self, job: JobId) -> None:
        """A job whose draw is refused goes no further; the refusal counts, not whether a false node obeys."""
        with contextlib.suppress(QuorateError):
            await self._courier.send("POST", f"/v1/jobs/{job.hex()}/cancel", b"")


def _batches(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    """Slices of at most BATCH_JOBS drafts and about BATCH_BYTES of input."""
    start, size = 0, 0
    for at, draft in enumerate(drafts):
        size += min(len(draft.input), INLINE_BYTES_MAX)
        if at > start and (at - start == BATCH_JOBS or size > BATCH_BYTES):
            yield drafts[start:at]
            start, size = at, len(draft.input)
    if start < len(drafts):
        yield drafts[start:]
