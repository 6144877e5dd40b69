"""No privacy: the provider sees input and output, and so may anyone. Tags are plain digests."""

from __future__ import annotations

from quorate.crypto.sealing import public_log_tag, public_result_tag
from quorate.crypto.signing import Draw
from quorate.execute.engine import Execution
from quorate.model.job import Job
from quorate.privacy.claims import claim, plain_outcome
from quorate.privacy.tier import Opened, Place, Sealed


class OpenTier:
    def open(self, job: Job, place: Place, wrapped: bytes, blob: bytes) -> Opened:
        return Opened(blob, None)

    def seal(self, job: Job, place: Place, opened: Opened, execution: Execution, draw: Draw) -> Sealed:
        output, log = plain_outcome(execution)
        tags = public_result_tag(output), public_log_tag(log)
        return Sealed(claim(execution, tags, (output, log)), output, log)
