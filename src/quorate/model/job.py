"""Job: what the requester asks for, sealed and bound together before anyone hears of it (protocol message 2, R2, R3,
R10)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.errors import InvalidField
from quorate.model.codec import Part, Value
from quorate.model.media import Media, require_media
from quorate.model.policy import Level, Policy, Proof, Timeouts
from quorate.model.program import Program
from quorate.model.units import MIB, Bytes32, Count, FuelAmount, Hash, KeyBytes, Micro, Ms, Node, Word

PRIVACY_TIERS = ("enclave", "shares", "split")
INPUT_BYTES_MAX = 64 * MIB
TIER_LIMITS = {"light": (16 * MIB, 10**8, 5_000), "full": (256 * MIB, 10**10, 30_000)}


class ResourceLimits(Part, frozen=True):
    """Hard limits of one run. Defaults of the network: 64 MiB, 10^9 fuel, 30 s, 1 MiB of output."""

    memory_bytes: Count
    fuel: FuelAmount
    run_ms: Ms
    output_bytes: Count

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise InvalidField(
                    str(getattr(self, name)), field=name, limit="at least 1", fix=f"give a positive {name}"
                )


DEFAULT_LIMITS = ResourceLimits(memory_bytes=64 * MIB, fuel=10**9, run_ms=30_000, output_bytes=MIB)  # type: ignore[arg-type]


class JobCore(Value, frozen=True, tag="job_core"):
    """Everything that seals and proofs bind to. `requester` owns and pays; `node` runs the life cycle in its name: it
    signs the agreement, the assignments and the closing of rounds. The keys are empty when the job is public."""

    network: Hash
    requester: Node
    node: Node
    program: Program
    arguments: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=4096)], ...], msgspec.Meta(max_length=64)]
    input_media: Media
    output_media: Media
    limits: ResourceLimits
    result_key: KeyBytes
    ownership_key: KeyBytes
    privacy: Annotated[tuple[Literal["enclave", "shares", "split"], ...], msgspec.Meta(max_length=3)]
    privacy_level: Level
    proof: Proof
    budget_micro: Micro
    timeouts: Timeouts
    expires_ms: Ms
    regions: Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)]
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)]
    policy: Policy
    wrap_authority: Literal["client", "node"]
    dispute_disclosure: Literal["none", "jury"]
    nonce: Bytes32

    def __post_init__(self) -> None:
        require_media(self.input_media, "input_media")
        require_media(self.output_media, "output_media")
        if tuple(sorted(set(self.privacy))) != self.privacy:
            raise InvalidField("not a sorted set", field="privacy")
        if bool(self.result_key) != (self.privacy_level == "private"):
            raise InvalidField("needed by a private job and by no other", field="result_key")
        if bool(self.ownership_key) != (self.privacy_level == "private"):
            raise InvalidField("needed by a private job and by no other", field="ownership_key")


class Job(Value, frozen=True, tag="job"):
    """The core, and what hangs on its digest: the input blob, both commitments to the input, the key commitments, the
    ownership proof. All but `input_digest` and `input_bytes` are empty when the job is public. The job id is the digest
    of this value."""

    core: JobCore
    input_digest: Hash
    input_bytes: Count
    pedersen: KeyBytes
    salted: KeyBytes
    key_commitment: KeyBytes
    out_key_commitment: KeyBytes
    ownership_proof: KeyBytes

    @property
    def private(self) -> bool:
        return self.core.privacy_level == "private"

    def __post_init__(self) -> None:
        for name in ("pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof"):
            if bool(getattr(self, name)) != self.private:
                raise InvalidField(
                    "missing" if self.private else "given for a public job",
                    field=name,
                    fix="a private job carries commitment, ownership proof and encryption together",
                )
