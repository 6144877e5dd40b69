"""The client's own files: its identity, and for each private job the secrets that open its result. They never leave
this folder.

client/identity.key            who signs and pays client/jobs/<job>.key          content key and salt, result key,
ownership secret of one job, with the job as it was signed client/submitted/<digest>.ref  which job a client key of the
user stands for

Everything is written, synced, before anything about the job is sent; nothing is ever overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from quorate.adapters.files import ProcessLock, make_private_folder
from quorate.adapters.keys import read_secret, write_secret, write_secrets
from quorate.crypto.digests import body_digest, digest
from quorate.crypto.sealing import InputSecret, out_key
from quorate.crypto.signing import Identity
from quorate.crypto.wrapping import SealKey
from quorate.errors import IdempotencyConflict, MalformedBytes, MissingKey, PolicyRefused, WrongKey
from quorate.jobs.state import job_of
from quorate.model.codec import Value, decode, encode
from quorate.model.job import Job
from quorate.model.units import KIB, Bytes32, Digest, Hash, Job32, JobId

SecretBytes = Annotated[bytes, msgspec.Meta(max_length=1024)]


class JobKeys(Value, frozen=True, tag="job_keys"):
    """The file form. `body` is the job as it was signed; `input_secret` the content key and the salt; `result_key` a
    seal key file."""

    size_max = 64 * KIB

    body: bytes
    input_secret: SecretBytes
    result_key: SecretBytes
    ownership_secret: Bytes32

    def __repr__(self) -> str:
        return f"JobKeys({self.job_id.hex()[:16]})"

    @property
    def job_id(self) -> JobId:
        return JobId(body_digest("job", self.body))

    @property
    def job(self) -> Job:
        return job_of(self.body)

    @property
    def secret(self) -> InputSecret:
        return InputSecret.from_bytes(self.input_secret)

    @property
    def out_key(self) -> bytes:
        return out_key(self.secret.content_key)

    @property
    def seal_key(self) -> SealKey:
        return SealKey.from_bytes(self.result_key)


class Submitted(Value, frozen=True, tag="submitted"):
    """What a client key stands for: a job, and the fingerprint of the draft it was made from."""

    job: Job32
    fingerprint: Hash


class Keyring:
    """The folder `client` under QUORATE_HOME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identity(self) -> Identity:
        """Raises MissingKey when this user has none here."""
        return Identity.from_bytes(read_secret(self._folder / "identity.key"))

    def save(self, keys: Iterable[JobKeys]) -> None:
        """All of them, durably."""
        write_secrets(self._folder / "jobs", {self._job_path(each.job_id).name: encode(each) for each in keys})

    def load(self, job: JobId) -> JobKeys:
        """Raises MissingKey, or WrongKey for a file that is damaged or another job's."""
        path = self._job_path(job)
        try:
            keys = decode(read_secret(path), JobKeys)
        except MissingKey:
            fix = f"copy {path.name} from the machine that submitted the job"
            raise MissingKey(f"no key for job {job.hex()[:16]} under {path.parent}", field="key", fix=fix) from None
        except MalformedBytes:
            raise WrongKey(f"{path} is damaged", field="key", fix="restore it from a copy") from None
        if keys.job_id != job:
            raise WrongKey(f"{path} is the key of another job", field="key", fix="restore it from a copy")
        return keys

    def has(self, job: JobId) -> bool:
        return self._job_path(job).exists()

    def drop(self, job: JobId) -> None:
        """For a job that was refused before anyone took it."""
        self._job_path(job).unlink(missing_ok=True)

    def claim(self, key: str) -> ProcessLock:
        """Keeps other processes of this user from submitting under `key` until it is released, or this one dies.
        Raises WorldError while another holds it."""
        folder = self._folder / "locks"
        make_private_folder(folder)
        return ProcessLock(folder / self._reference(key).stem)

    def submitted(self, key: str, fingerprint: Digest) -> JobId | None:
        """The job that `key` stands for, None when it is new. Raises IdempotencyConflict when it was another draft's
        (R14)."""
        path = self._reference(key)
        if not path.exists():
            return None
        try:
            found = decode(read_secret(path), Submitted)
        except MalformedBytes:
            raise WrongKey(f"{path} is damaged", field="key", fix="choose another client key") from None
        if found.fingerprint != fingerprint:
            raise IdempotencyConflict(
                "this client key was used for another job", field="key", fix="choose another client key"
            )
        return found.job

    def remember(self, key: str, job: JobId, fingerprint: Digest) -> None:
        """Raises IdempotencyConflict when another process took the same key meanwhile."""
        try:
            write_secret(self._reference(key), encode(Submitted(job=job, fingerprint=fingerprint)))
        except PolicyRefused:
            raise IdempotencyConflict("another process uses this client key", field="key", fix="try again") from None

    def forget(self, key: str) -> None:
        """For a key whose job never reached a node: it may be used again."""
        self._reference(key).unlink(missing_ok=True)

    def _job_path(self, job: JobId) -> Path:
        return self._folder / "jobs" / f"{job.hex()}.key"

    def _reference(self, key: str) -> Path:
        return self._folder / "submitted" / f"{digest('client key', key.encode()).hex()}.ref"
