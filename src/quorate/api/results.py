"""A finished job's result, opened and checked on the client's machine (protocol message 10, R1).

Each agreeing member delivers a sealed copy of its own. The client opens one with the job's result key and checks the
tag that the members voted on, which only who holds the input key can make; when a copy is bad the next is tried. A
public result is checked against its plain digest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Literal, NamedTuple

from quorate.api.elements import Element, elements_of
from quorate.api.keyring import JobKeys
from quorate.crypto.digests import EMPTY_BLOB
from quorate.crypto.sealing import log_tag, open_from, public_log_tag, public_result_tag, result_tag
from quorate.crypto.wrapping import SealKey
from quorate.errors import (
    BadCommitment,
    BadSeal,
    InvalidField,
    MalformedBytes,
    NotFinished,
    PeerError,
    QuorateError,
    UnknownBlob,
    WrongKey,
)
from quorate.model.call import CallOutcome
from quorate.model.codec import decode, encode
from quorate.model.output import ArrayLog, ArrayOutcome, Log, Output
from quorate.model.submission import Delivered, ResultView
from quorate.model.units import Digest, JobId
from quorate.privacy.sealed import output_info

Part = Literal["result", "log"]
Fetch = Callable[[Digest], Awaitable[bytes]]


class Result:
    """What a job gave. `status` is how the guest ended, as the members agreed (`success`, `nonzero_exit`, `out_of_fuel`
    ...)."""

    def __init__(self, view: ResultView, opened: Output | ArrayOutcome | QuorateError) -> None:
        self.job = view.job.hex()
        self.status = view.status
        self.paid_micro: int = view.paid_micro
        self._opened = opened

    def __repr__(self) -> str:
        return f"Result({self.job[:16]}, {self.status})"

    @property
    def ok(self) -> bool:
        """Whether the guest ended by itself and without an error; of an array, whether all of its elements did."""
        whole = self.status == "success"
        return whole and not (isinstance(self._opened, ArrayOutcome) and not all(part.ok for part in self.elements()))

    @property
    def exit_code(self) -> int:
        """Raises like `decrypt`."""
        return self._output().exit_code

    def decrypt(self) -> bytes:
        """What the guest wrote to standard output (or returned). Raises MissingKey, WrongKey, or PeerError when no copy
        is good; InvalidField for an array, which has no single output."""
        return self._output().stdout

    def elements(self) -> tuple[Element, ...]:
        """How each element of an array ended, in the order of its inputs. Raises like `decrypt`."""
        return elements_of(self._any_output())

    def call(self) -> CallOutcome:
        """What came of a call of a contract. Raises like `decrypt`, and MalformedBytes for a job that is no call."""
        return decode(self._output().stdout, CallOutcome)

    def _output(self) -> Output:
        opened = self._any_output()
        if isinstance(opened, ArrayOutcome):
            raise InvalidField(f"an array of {len(opened.outcomes)} elements", field="result", fix="use elements()")
        return opened

    def _any_output(self) -> Output | ArrayOutcome:
        if isinstance(self._opened, QuorateError):
            raise self._opened
        return self._opened


class Keys(NamedTuple):
    """What opens a job's copies: nothing for a public job."""

    private: bool
    held: JobKeys | None


class _Opener(NamedTuple):
    """A job's keys, and the one for results made ready, which takes longer than opening a copy."""

    held: JobKeys
    seal_key: SealKey


async def read_output(view: ResultView, keys: Keys, fetch: Fetch) -> Output:
    """The output, from the first copy that is good."""
    return decode(await _first_good(view, "result", keys, fetch), Output)


async def read_log(view: ResultView, keys: Keys, fetch: Fetch) -> Log:
    return decode(await _first_good(view, "log", keys, fetch), Log)


async def read_array(view: ResultView, keys: Keys, fetch: Fetch, elements: int) -> ArrayOutcome:
    """The outcomes of an array, from the first copy that is good."""
    found = decode(await _first_good(view, "result", keys, fetch), ArrayOutcome)
    _require_all(len(found.outcomes), elements)
    return found


async def read_array_log(view: ResultView, keys: Keys, fetch: Fetch, elements: int) -> tuple[bytes, ...]:
    found = decode(await _first_good(view, "log", keys, fetch), ArrayLog)
    _require_all(len(found.logs), elements)
    return found.logs


def _require_all(found: int, elements: int) -> None:
    if found != elements:
        raise MalformedBytes(f"the members agreed on {found} elements", field="result", limit=f"{elements} elements")


async def _first_good(view: ResultView, part: Part, keys: Keys, fetch: Fetch) -> bytes:
    opener = _opener(view, keys)
    faults: list[QuorateError] = []
    for copy in view.delivered:
        try:
            digest = Digest(copy.result_digest if part == "result" else copy.log_digest)
            blob = b"" if digest == EMPTY_BLOB else await fetch(digest)
            return _opened(view, part, opener, copy, blob) if opener else _plain(view, part, copy, blob)
        except (PeerError, UnknownBlob) as fault:
            faults.append(fault)
    if not faults:
        raise NotFinished(f"no {part} was delivered", field="job")
    if keys.private and all(isinstance(fault, BadSeal) for fault in faults):
        raise WrongKey(
            f"the key of this job opens none of the {len(faults)} copies",
            field="key",
            fix="use the key it was submitted with; if it is that key, every copy was altered: see the receipt",
        )
    raise faults[-1]


def _opener(view: ResultView, keys: Keys) -> _Opener | None:
    """What opens the copies; None for a public job. Raises WrongKey."""
    if not keys.private:
        return None
    if keys.held is None or keys.held.job_id != view.job:
        raise WrongKey("the key of another job", field="key", fix="use the key it was submitted with")
    opener = _Opener(keys.held, keys.held.seal_key)
    if opener.seal_key.public != keys.held.job.core.result_key:
        raise WrongKey("not the result key of this job", field="key", fix="restore the key file from a copy")
    return opener


def _opened(view: ResultView, part: Part, opener: _Opener, copy: Delivered, blob: bytes) -> bytes:
    keys = opener.held
    if part == "log" and not blob:
        plain = encode(Log(stderr=b""))  # never sealed; whether it is the log that was voted on, the tag says
    else:
        plain = open_from(opener.seal_key, blob, output_info(keys.job, view.agreement, copy.member, part))
    make, agreed = (result_tag, view.tag) if part == "result" else (log_tag, view.log_tag)
    _refuse_other_tag(make(keys.out_key, JobId(view.job), view.agreement, plain), agreed, copy)
    return plain


def _plain(view: ResultView, part: Part, copy: Delivered, blob: bytes) -> bytes:
    make, agreed = (public_result_tag, view.tag) if part == "result" else (public_log_tag, view.log_tag)
    _refuse_other_tag(make(blob), agreed, copy)
    return blob


def _refuse_other_tag(tag: bytes, agreed: bytes, copy: Delivered) -> None:
    if not compare_digest(tag, agreed):
        raise BadCommitment(f"the copy of member {copy.member.hex()[:8]} is not what was agreed on", field="tag")
