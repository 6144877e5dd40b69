"""What the pool and its workers say to each other: length-prefixed MessagePack over one socket pair.

The pool trusts nothing that a worker sends: frames are bounded, decoded strictly by type, and answered by a kill when
they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from quorate.errors import MalformedBytes
from quorate.execute.engine import End, Limits
from quorate.model.trap import Status
from quorate.model.units import KIB, MIB

FRAME_BYTES_MAX = 128 * MIB
UNANSWERED = 0
"""No step has this number."""
READ_BYTES = 64 * KIB
"""Of what the C library takes from its heap. A larger buffer would be mapped and unmapped at each read, at the cost of
half a small run."""
_PREFIX_BYTES = 4


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of every message. `number` names the step that it starts or ends."""


class Setup(Frame, frozen=True):
    """First to a worker: how to jail itself, and which engine runs bytecode contracts."""

    parent: int
    data_bytes: int
    niceness: int
    contract_engine: str


class Load(Frame, frozen=True):
    """Make a module ready; `artefact` is compiled code that the pool vouches for, empty to compile. A load with the
    number UNANSWERED is not answered."""

    number: int
    digest: bytes
    module: bytes
    artefact: bytes
    wants_artefact: bool


class Run(Frame, frozen=True):
    """Run a module that was loaded; `dependencies` are the digests of others that were, and are part of the program."""

    number: int
    digest: bytes
    id: bytes
    profile: str
    entry: str
    args: tuple[str, ...]
    stdin: bytes
    world: bytes
    limits: Limits
    capabilities: frozenset[str]
    dependencies: tuple[bytes, ...]


class RunBatch(Run, frozen=True):
    """Runs of one program in order, each with its own input; `stdin` is empty."""

    inputs: tuple[bytes, ...]


class Withdraw(Frame, frozen=True):
    """Do not start this run, if it has not begun."""

    number: int


class Forget(Frame, frozen=True):
    digest: bytes


class Ready(Frame, frozen=True):
    """First from a worker: the jail stands, these layers hold."""

    layers: tuple[str, ...]
    engine_version: str
    artefact_kind: str


class Unfit(Frame, frozen=True):
    """Instead of Ready: this machine cannot carry a worker."""

    message: str


class Loaded(Frame, frozen=True):
    """The module is compiled, or known to be bad (the runs that name it are then refused)."""

    number: int
    artefact: bytes


class Withdrawn(Frame, frozen=True):
    number: int


class Refused(Frame, frozen=True):
    """The run can never succeed: `kind` is the class of the UserError."""

    number: int
    kind: str
    message: str
    field: str
    limit: str
    fix: str


class Done(Frame, frozen=True):
    number: int
    status: Status
    exit_code: int
    output: bytes
    log: bytes
    fuel_used: int
    guest_memory_bytes: int
    memory_peak_bytes: int
    cpu_us: int
    wall_us: int


class DoneBatch(Frame, frozen=True):
    """The ends of the first inputs of a batch: at least one, perhaps not all."""

    number: int
    ends: tuple[End, ...]
    memory_peak_bytes: int
    cpu_us: int
    wall_us: int


ToWorker = Setup | Load | Run | RunBatch | Withdraw | Forget
FromWorker = Ready | Unfit | Loaded | Withdrawn | Refused | Done | DoneBatch

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


def encode(frame: Frame) -> bytes:
    body = _encoder.encode(frame)
    return len(body).to_bytes(_PREFIX_BYTES, "little") + body


class Inbox:
    """Bytes in, frames out. Raises MalformedBytes for a frame over size or of no known form."""

    def __init__(self, kind: object, size_max: int = FRAME_BYTES_MAX) -> None:
        self._decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(kind)
        self._size_max = size_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes. A generator: take them all before feeding again."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _PREFIX_BYTES:
            size = int.from_bytes(self._buffer[at : at + _PREFIX_BYTES], "little")
            if size > self._size_max:
                raise MalformedBytes(f"a frame of {size} bytes", field="frame", limit=f"{self._size_max} bytes")
            end = at + _PREFIX_BYTES + size
            if len(self._buffer) < end:
                break
            yield self._decode(bytes(self._buffer[at + _PREFIX_BYTES : end]))
            at = end
        del self._buffer[:at]

    def _decode(self, body: bytes) -> Frame:
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            raise MalformedBytes(f"not a frame: {fault}", field="frame", evidence=body[:256]) from None
