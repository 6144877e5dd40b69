"""Claim: a commitment to an outcome, then its opening; the closing of the round between them; the delivery after it
(messages 6 to 10, R1, R4)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.units import COHORT_MAX, MIB, Bytes32, Count, FuelAmount, Hash, Members, Node, Word

INLINE_BYTES_MAX = 64 << 10
"""A result up to this size travels inside the delivery; a larger one is fetched by its digest."""


class Vote(Part, frozen=True):
    """What must be equal for two claims to agree. `tag` is keyed for a private job (R1); `fuel_bucket` rounds the fuel
    up (R15)."""

    status: Word
    tag: Bytes32
    log_tag: Bytes32
    fuel_bucket: FuelAmount


class ClaimBody(Value, frozen=True, tag="claim_body"):
    """The vote, the sealed result and log by digest (each member's own ciphertext), usage in buckets (memory,
    processor time, what the guest was given and what it gave), and the jail layers that held."""

    vote: Vote
    result_digest: Hash
    result_bytes: Count
    log_digest: Hash
    log_bytes: Count
    memory_bucket_bytes: Count
    cpu_bucket_ms: Count
    in_bucket_bytes: Count
    out_bucket_bytes: Count
    isolation: Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)]


class Commit(Value, frozen=True, tag="commit"):
    """Signed by the member: the only signature of a claim. `commit` = BLAKE3(network, assignment, member, ClaimBody,
    nonce)."""

    network: Hash
    agreement: Hash
    round: Count
    assignment: Hash
    member: Node
    commit: Hash


class RoundClose(Value, frozen=True, tag="round_close"):
    """Signed by the requester's node once at least T commitments stand: members and their commitments, in the order of
    the draw. `salt` opens the cohort root; `audit_seed` opens the re-run choice (empty while another commitment is
    awaited)."""

    network: Hash
    agreement: Hash
    round: Count
    members: Members
    commits: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=COHORT_MAX)]
    salt: Bytes32
    audit_seed: Bytes32


class RoundAbort(Value, frozen=True, tag="round_abort"):
    """Signed by the requester's node: too few commitments by the deadline."""

    network: Hash
    agreement: Hash
    round: Count
    reason: Word


class Opening(Value, frozen=True, tag="opening"):
    """Opens a commitment; it authenticates itself. Sent only by a member whose own commitment is listed in the
    RoundClose."""

    network: Hash
    agreement: Hash
    round: Count
    assignment: Hash
    member: Node
    body: ClaimBody
    nonce: Bytes32


class Delivery(Value, frozen=True, tag="delivery"):
    """The result and log ciphertexts of an agreeing member (plain bytes for a public job), inline when small, else by
    digest only."""

    network: Hash
    agreement: Hash
    round: Count
    member: Node
    result_digest: Hash
    log_digest: Hash
    result: Annotated[bytes, msgspec.Meta(max_length=MIB)]
    log: Annotated[bytes, msgspec.Meta(max_length=MIB)]


class DeliveryAck(Value, frozen=True, tag="delivery_ack"):
    """Signed by the requester's node: the bytes with this digest arrived. Releases the payment of the agreeing
    members."""

    network: Hash
    agreement: Hash
    round: Count
    result_digest: Hash
