"""A privacy tier in two calls around the engine: open the input (with every check of protocol message 6), seal the
outcome.

`tier_for` is the only place that looks at the name. A job whose privacy set asks for a tier that is not built here is
refused at admission; nothing falls back to a weaker one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from quorate.crypto.sealing import InputSecret
from quorate.crypto.signing import Draw
from quorate.crypto.wrapping import SealKey
from quorate.errors import PolicyRefused
from quorate.execute.engine import Execution
from quorate.model.claim import ClaimBody
from quorate.model.job import Job
from quorate.model.units import Digest, NodeId

FUEL_BUCKET_MIN = 1024
MEMORY_BUCKET_MIN = 1 << 20


class Place(NamedTuple):
    """Where a run happens: the executor, the agreement it serves, and the seal key its Offer names."""

    member: NodeId
    agreement: Digest
    seal_key: SealKey


class Opened(NamedTuple):
    """The input as the guest gets it, and the secret that came with it (None for a public job)."""

    plaintext: bytes
    secret: InputSecret | None


class Sealed(NamedTuple):
    """The claim about an execution, and the two blobs it names."""

    body: ClaimBody
    result: bytes
    log: bytes


class Tier(Protocol):
    def open(self, job: Job, place: Place, wrapped: bytes, blob: bytes) -> Opened: ...

    def seal(self, job: Job, place: Place, opened: Opened, execution: Execution, draw: Draw) -> Sealed: ...


def bucket(amount: int, least: int) -> int:
    """`amount` rounded up to a power of two, at least `least`: exact usage of a private run would speak of its data
    (R15)."""
    return max(least, 1 << max(0, amount - 1).bit_length()) if amount else 0


def tier_for(job: Job) -> Tier:
    """The tier of a job. Raises PolicyRefused for one that is not built."""
    from quorate.privacy.open import OpenTier
    from quorate.privacy.sealed import SealedTier

    if job.core.privacy:
        raise PolicyRefused(
            f"{', '.join(job.core.privacy)} is not available here",
            field="privacy",
            fix="leave it out; nothing weaker is taken silently",
        )
    return SealedTier() if job.private else OpenTier()
