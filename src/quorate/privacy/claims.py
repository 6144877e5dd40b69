"""From an execution to the body of a claim, the same for every tier: canonical outcome bytes, buckets, digests. And
from an opened input to what each element is given."""

from __future__ import annotations

from quorate.crypto.digests import blob_digest
from quorate.errors import MalformedBytes
from quorate.execute.engine import Execution
from quorate.model.claim import ClaimBody, Vote
from quorate.model.codec import decode, encode
from quorate.model.job import JobCore
from quorate.model.output import ArrayInput, ArrayLog, ArrayOutcome, ElementOutcome, Log, Output
from quorate.model.units import Digest, Fuel
from quorate.privacy.tier import FUEL_BUCKET_MIN, MEMORY_BUCKET_MIN, bucket


def element_inputs(core: JobCore, plaintext: bytes) -> tuple[bytes, ...]:
    """The inputs in an opened input. Raises MalformedBytes for an array that does not hold as many as the job says."""
    if not core.is_array:
        return (plaintext,)
    items = decode(plaintext, ArrayInput).items
    if len(items) != core.elements:
        raise MalformedBytes(f"{len(items)} items", field="items", limit=f"{core.elements}, the elements of the job")
    return items


def plain_outcome(execution: Execution) -> tuple[bytes, bytes]:
    """The canonical bytes of output and log, which tags are made of: packed for an array whose elements all ended."""
    if execution.ends:
        ends = execution.ends
        outcomes = tuple(ElementOutcome(str(end.status), end.exit_code, end.output) for end in ends)
        return encode(ArrayOutcome(outcomes=outcomes)), encode(ArrayLog(logs=tuple(end.log for end in ends)))
    output = Output(status=str(execution.status), exit_code=execution.exit_code, stdout=execution.output)
    return encode(output), encode(Log(stderr=execution.log))


def claim(execution: Execution, tags: tuple[Digest, Digest], blobs: tuple[bytes, bytes]) -> ClaimBody:
    """`tags` and `blobs` are those of result and log, in this order."""
    vote = Vote(
        status=str(execution.status),
        tag=tags[0],
        log_tag=tags[1],
        fuel_bucket=Fuel(bucket(execution.fuel_used, FUEL_BUCKET_MIN)),
    )
    return ClaimBody(
        vote=vote,
        result_digest=blob_digest(blobs[0]),
        result_bytes=len(blobs[0]),
        log_digest=blob_digest(blobs[1]),
        log_bytes=len(blobs[1]),
        memory_bucket_bytes=bucket(execution.memory_peak_bytes, MEMORY_BUCKET_MIN),
        cpu_bucket_ms=bucket(execution.cpu_ms, 1),
        in_bucket_bytes=bucket(execution.in_bytes, 1),
        out_bucket_bytes=bucket(len(execution.output) + len(execution.log), 1),
        isolation=execution.layers,
    )
