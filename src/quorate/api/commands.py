"""Each verb once, for all doors: what is checked before the node is asked, and nothing about HTTP or terminals.

`Desk` is what a requester's node offers to its doors. Doors hold no decisions; a verb that is more than a call of the
desk is a function here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from quorate.crypto.digests import EMPTY_BLOB, blob_digest
from quorate.errors import InvalidField, PathTooLong, QuorateError, TooLarge, UnknownBlob, UnknownJob
from quorate.jobs.explain import explain as explained
from quorate.jobs.state import JobState
from quorate.model.claim import INLINE_BYTES_MAX
from quorate.model.network import Genesis
from quorate.model.outcome import Receipt
from quorate.model.submission import (
    Accepted,
    Await,
    DeployOrder,
    Draws,
    JobIds,
    QuoteRequest,
    ResultView,
    Submission,
    Wraps,
)
from quorate.model.transaction import AskContract, ContractHead
from quorate.model.units import DIGEST_BYTES, MIB, Digest, JobId, Millis, NodeId
from quorate.ports import Blobs

WAIT_MS_MAX = 60_000
"""Longest a door lets one question wait for its answer."""
LISTED_MAX = 1_000
DIGESTS_MAX = 4_096
PREFIX_MIN = 4
RESULTS_BYTES_MAX = 4 * MIB
"""What the copies that come along with the states of jobs may take together."""
SEALED_OVERHEAD_BYTES = MIB
"""What sealing adds at most to the largest input, with room to spare."""
SOCKET_PATH_BYTES_MAX = 107
"""`sun_path` holds 108 bytes on Linux, the last one zero."""
_HEX = re.compile(r"[0-9a-f]+")

Asking = TypeVar("Asking", Submission, JobIds, Await)


class Desk(Protocol):
    """A requester's node as its doors see it. Every answer that acknowledges something comes after it is durable."""

    genesis: Genesis
    network: Digest
    node_id: NodeId
    blobs: Blobs

    async def submit(self, submission: Submission) -> Accepted:
        """All jobs or none; the same order again answers the same (R14). Waits for no draw."""
        ...

    async def contract(self, ask: AskContract) -> ContractHead:
        """The head of a contract, whose program and state are here then. Raises UnknownContract or StateUnresolved."""
        ...

    async def deploy(self, order: DeployOrder) -> ContractHead:
        """Answers once the ledger has the contract."""
        ...

    async def draws(self, ask: JobIds) -> Draws:
        """Draws of private jobs without wraps; waits up to `wait_ms` for at least one."""
        ...

    async def wrap(self, wraps: Wraps) -> None: ...

    def state(self, job: JobId) -> JobState:
        """Raises UnknownJob."""
        ...

    def states(self) -> Iterable[JobState]:
        """Newest first."""
        ...

    async def wait(self, ask: Await) -> list[JobState]:
        """Answers when all are settled (or, unless `final`, have ended), or `wait_ms` passed."""
        ...

    async def cancel(self, job: JobId) -> JobState:
        """Answers once the guests are gone."""
        ...

    async def receipt(self, job: JobId) -> Receipt: ...

    def result(self, job: JobId) -> ResultView:
        """Raises NotFinished, or the JobError the job ended with."""
        ...

    def quote(self, request: QuoteRequest) -> dict[str, object]: ...

    def overview(self) -> dict[str, object]: ...


def check_socket_path(path: Path) -> None:
    """Raises PathTooLong: the operating system would cut the name off or refuse it."""
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES_MAX:
        raise PathTooLong(
            f"{path} has {size} bytes",
            field="QUORATE_HOME",
            limit=f"{SOCKET_PATH_BYTES_MAX} bytes for a socket",
            fix="set QUORATE_HOME to a shorter path",
        )


def digest_named(text: str, field: str = "digest") -> Digest:
    """32 bytes from 64 hexadecimal characters."""
    if len(text) != 2 * DIGEST_BYTES or not _HEX.fullmatch(text):
        limit = f"{2 * DIGEST_BYTES} characters of 0-9a-f"
        raise InvalidField(f"{text[:80]!r} is no digest", field=field, limit=limit, fix="give all of it")
    return Digest(bytes.fromhex(text))


def find_job(desk: Desk, text: str) -> JobState:
    """The job of an id, or of the beginning of one when no other begins so. Raises UnknownJob or InvalidField."""
    if len(text) == 2 * DIGEST_BYTES:
        return desk.state(JobId(digest_named(text, "job")))
    if len(text) < PREFIX_MIN or not _HEX.fullmatch(text):
        limit = f"{PREFIX_MIN} to 64 characters of 0-9a-f"
        raise InvalidField(f"{text[:80]!r} is no job id", field="job", limit=limit, fix="see `quorate compute list`")
    found = list(islice((state for state in desk.states() if state.job_id.hex().startswith(text)), 2))
    if not found:
        raise UnknownJob(f"no job begins with {text}", field="job", fix="see `quorate compute list`")
    if len(found) > 1:
        raise InvalidField(f"more than one job begins with {text}", field="job", fix="give more of the id")
    return found[0]


def waiting(ask: Asking) -> Asking:
    """The question as it was asked. Raises InvalidField when it would be waited for too long."""
    if not 0 <= ask.wait_ms <= WAIT_MS_MAX:
        raise InvalidField(str(ask.wait_ms), field="wait_ms", limit=f"0 to {WAIT_MS_MAX} ms", fix="ask again instead")
    return ask


async def submit(desk: Desk, submission: Submission) -> Accepted:
    """Takes the jobs; waits as long as it was asked to for the draws of them."""
    accepted = await desk.submit(waiting(submission))
    if submission.wait_ms:
        # The jobs are taken by now, so a fault is no refusal of them: who asks for the draws again is told of it.
        with contextlib.suppress(QuorateError):
            draws = await desk.draws(JobIds(jobs=accepted.jobs, wait_ms=submission.wait_ms))
            return Accepted(jobs=accepted.jobs, draws=draws)
    return accepted


async def results(desk: Desk, states: Iterable[JobState]) -> list[tuple[ResultView, bytes | None]]:
    """The results of those jobs that are completed, each with its first copy unless that is large or gone
    or `RESULTS_BYTES_MAX` of them are full."""
    found, left = [], RESULTS_BYTES_MAX
    for state in states:
        if state.condition == "completed":
            view = desk.result(state.job_id)
            copy = await _small(desk, Digest(view.delivered[0].result_digest)) if view.delivered and left > 0 else None
            left -= len(copy or b"")
            found.append((view, copy))
    return found


async def _small(desk: Desk, digest: Digest) -> bytes | None:
    """A blob that is no larger than may come along."""
    head = desk.blobs.read_range(digest, 0, INLINE_BYTES_MAX + 1)
    return await desk.blobs.get(digest) if head is not None and len(head) <= INLINE_BYTES_MAX else None


def explain(state: JobState, now_ms: Millis) -> dict[str, object]:
    """Which rule removed which node, who was asked, which phase clock is running, and what is left of it."""
    return dict(explained(state, now_ms).to_dict())


def newest(desk: Desk, limit: int) -> list[JobState]:
    """Raises InvalidField for a limit out of range."""
    if not 1 <= limit <= LISTED_MAX:
        raise InvalidField(str(limit), field="limit", limit=f"1 to {LISTED_MAX}", fix="choose a number in between")
    return list(islice(desk.states(), limit))


def blob_bytes_max(genesis: Genesis) -> int:
    """The largest blob this network has a use for: a program, or a sealed input."""
    return max(genesis.caps.program_bytes, genesis.caps.input_bytes + SEALED_OVERHEAD_BYTES)


async def missing_blobs(desk: Desk, digests: Sequence[Digest]) -> list[Digest]:
    """Those that are not here whole, each once, so that only they are sent. What has become corrupt is not here."""
    if len(digests) > DIGESTS_MAX:
        raise TooLarge(f"{len(digests)} digests", field="digests", limit=str(DIGESTS_MAX), fix="ask in parts")
    return [digest for digest in dict.fromkeys(digests) if await desk.blobs.get(digest) is None]


async def put_blob(desk: Desk, digest: Digest, data: bytes) -> None:
    """Durable when it returns. Raises InvalidField when `data` has another digest: nothing is stored then."""
    if blob_digest(data) != digest:
        raise InvalidField(
            "the bytes have another digest", field="digest", fix="name the BLAKE3-256 digest of the body"
        )
    await desk.blobs.put(data)


async def get_blob(desk: Desk, digest: Digest) -> bytes:
    data = b"" if digest == EMPTY_BLOB else await desk.blobs.get(digest)
    if data is None:
        raise UnknownBlob(f"no bytes with digest {digest.hex()}", field="digest")
    return data
