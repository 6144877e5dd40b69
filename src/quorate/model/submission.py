"""What a client and the requester's node say to each other through the node's door. The door is a Unix socket of one
user; what matters is signed."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.agreement import Roster
from quorate.model.codec import Part, Value
from quorate.model.evidence import Proven, Signed
from quorate.model.identity import KeyBundle
from quorate.model.job import JobCore
from quorate.model.signature import Stamp
from quorate.model.units import MIB, Bytes32, Count, Hash, Job32, KeyBytes, Micro, Node, Word

Many = msgspec.Meta(max_length=4096)
ClientKey = Annotated[str, msgspec.Meta(max_length=128)]


class Order(Part, frozen=True):
    """One job as its requester signed it, under the client's own idempotency key (R14; empty: the job id is the
    key)."""

    job: Signed
    key: ClientKey


class Submission(Value, frozen=True, tag="submission"):
    """Jobs to submit, in one durable step: all or none. `blobs` are programs and inputs that the node lacks, small
    enough to come along. The answer may wait for draws of these jobs up to `wait_ms`."""

    size_max = 32 * MIB
    orders: Annotated[tuple[Order, ...], Many]
    stamps: Annotated[tuple[Stamp, ...], Many]
    bundles: Annotated[tuple[KeyBundle, ...], Many]
    blobs: Annotated[tuple[bytes, ...], Many]
    wait_ms: Count


class DeployOrder(Value, frozen=True, tag="deploy_order"):
    """A contract to deploy, as its deployer signed it, with the bytes of its program and of the state it is born
    with."""

    size_max = 32 * MIB
    deployment: Signed
    stamps: Annotated[tuple[Stamp, ...], Many]
    bundles: Annotated[tuple[KeyBundle, ...], Many]
    program: bytes
    state: bytes


class JobIds(Value, frozen=True, tag="job_ids"):
    """Asks about jobs; the answer may be waited for up to `wait_ms`."""

    jobs: Annotated[tuple[Job32, ...], Many]
    wait_ms: Count


class Await(Value, frozen=True, tag="await"):
    """Asks for the states of jobs once all of them are settled (`final`) or have ended, or `wait_ms` is over; with
    `results`, for the results that are there then too."""

    jobs: Annotated[tuple[Job32, ...], Many]
    wait_ms: Count
    final: bool
    results: bool


class Draw(Part, frozen=True):
    """What decides who was drawn for one job. The agreement names its roster by digest, the roster its offers."""

    job: Job32
    agreement: Signed
    escrow: Proven


class Draws(Value, frozen=True, tag="draws"):
    """What the client needs to wrap input keys for the members that may be asked: everything signed or proven, nothing
    to be believed. What several draws rest on is here once. A job of the question that is missing is not drawn yet or
    needs no wraps."""

    size_max = 32 * MIB
    draws: Annotated[tuple[Draw, ...], Many]
    rosters: Annotated[tuple[Roster, ...], Many]
    offers: Annotated[tuple[Signed, ...], Many]
    bundles: Annotated[tuple[KeyBundle, ...], Many]
    stamps: Annotated[tuple[Stamp, ...], Many]


class Accepted(Value, frozen=True, tag="accepted"):
    """Job ids in the order of the submission, durable when this is read, and the draws that came while it waited."""

    size_max = 32 * MIB
    jobs: Annotated[tuple[Job32, ...], Many]
    draws: Draws


class MemberWrap(Part, frozen=True):
    member: Node
    sealed: KeyBytes


class JobWraps(Part, frozen=True):
    job: Job32
    wraps: Annotated[tuple[MemberWrap, ...], Many]


class Wraps(Value, frozen=True, tag="wraps"):
    """The wrapped input keys of several jobs; durable when the door has answered, after which the client may go
    away."""

    size_max = 32 * MIB
    jobs: Annotated[tuple[JobWraps, ...], Many]


class QuoteRequest(Value, frozen=True, tag="quote_request"):
    """A core as it would be submitted (keys and nonce may be zero), and the share of colluders to reckon with, in
    thousandths."""

    core: JobCore
    colluders_per_mille: Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Delivered(Part, frozen=True):
    """One member's sealed result and log, by digest; the bytes are blobs at the door."""

    member: Node
    result_digest: Hash
    log_digest: Hash


class ResultView(Value, frozen=True, tag="result"):
    """A finished job's result as the node holds it: what was agreed, and every agreeing member's sealed copy."""

    job: Job32
    agreement: Hash
    status: Word
    tag: Bytes32
    log_tag: Bytes32
    delivered: Annotated[tuple[Delivered, ...], Many]
    paid_micro: Micro
