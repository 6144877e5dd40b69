"""Job: what the requester asks for, sealed and bound together before anyone hears of it (protocol message 2, R2, R3,
R10).

A job of several elements is an array: one program over as many inputs, under one agreement, one vote, one settlement.
Every limit counts for each element; what all of them may use together follows from the limits, and has a bound.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.errors import InvalidField
from quorate.model.call import ContractCall
from quorate.model.codec import Part, Value
from quorate.model.media import Media, require_media
from quorate.model.policy import Level, Policy, Proof, Timeouts
from quorate.model.program import Program
from quorate.model.resources import Resources
from quorate.model.units import (
    LOG_BYTES_MAX,
    MIB,
    Bytes32,
    Count,
    Fuel,
    FuelAmount,
    Hash,
    KeyBytes,
    Micro,
    Millis,
    Ms,
    Node,
    Word,
)

PRIVACY_TIERS = ("enclave", "shares", "split")
INPUT_BYTES_MAX = 64 * MIB
ELEMENTS_MAX = 4096
ELEMENT_FUEL_MIN = 100_000
"""What an element of an array is billed at least: a fresh store costs its executor about as much as so much fuel."""
ARRAY_FUEL_MAX = 1 << 62
"""So that a bucket of the sum is still an amount."""
ARRAY_OUTPUT_BYTES_MAX = 64 * MIB
ARRAY_LOG_BYTES_MAX = 4 * MIB


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


def array_fuel(limits: ResourceLimits, elements: int) -> Fuel:
    """What an array can be billed for."""
    return Fuel(elements * max(limits.fuel, ELEMENT_FUEL_MIN))


def require_bounded_sums(limits: ResourceLimits, elements: int) -> None:
    """Raises InvalidField when all elements of an array together may use more than an array may."""
    for name, total, most in (
        ("fuel", array_fuel(limits, elements), ARRAY_FUEL_MAX),
        ("output_bytes", elements * limits.output_bytes, ARRAY_OUTPUT_BYTES_MAX),
    ):
        if total > most:
            raise InvalidField(
                f"{total} for {elements} elements",
                field=name,
                limit=f"{most} in all",
                fix=f"lower {name} to {most // elements} or give fewer elements",
            )


class JobCore(Value, frozen=True, tag="job_core"):
    """Everything that seals and proofs bind to. `requester` owns and pays; `node` runs the life cycle in its name: it
    signs the agreement, the assignments and the closing of rounds. The keys are empty when the job is public.
    `elements` is 1 for an ordinary job, whose input is the bytes themselves; above it the input is an `ArrayInput`.
    With a `call` the program is a deployed contract and the input a `CallArguments`; all of it is public."""

    network: Hash
    requester: Node
    node: Node
    program: Program
    call: ContractCall | None
    arguments: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=4096)], ...], msgspec.Meta(max_length=64)]
    input_media: Media
    output_media: Media
    limits: ResourceLimits
    resources: Resources
    elements: Annotated[int, msgspec.Meta(ge=1, le=ELEMENTS_MAX)]
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
        if (self.call is not None) != (self.program.profile == "contract"):
            raise InvalidField("given by a call of a contract and by nothing else", field="call")
        if self.call is not None:
            self._require_plain_call()
        if self.is_array:
            require_bounded_sums(self.limits, self.elements)

    def _require_plain_call(self) -> None:
        """A contract's state is public, and its calls come one after the other."""
        if self.privacy_level != "public" or self.privacy:
            raise InvalidField(self.privacy_level, field="privacy_level", limit="public, for a call of a contract")
        if self.elements != 1:
            raise InvalidField(str(self.elements), field="elements", limit="1, for a call of a contract")
        if self.arguments:
            raise InvalidField("given to a contract", field="arguments", fix="they are the input of a call")

    @property
    def is_array(self) -> bool:
        return self.elements > 1

    @property
    def fuel_most(self) -> Fuel:
        """What the whole job can be billed for."""
        return array_fuel(self.limits, self.elements) if self.is_array else self.limits.fuel

    @property
    def fuel_least(self) -> Fuel:
        """What the whole job is billed for at least."""
        return Fuel(self.elements * ELEMENT_FUEL_MIN if self.is_array else 1)

    @property
    def run_ms_most(self) -> Millis:
        """How long a member may run. The run clock of an array covers all of its elements."""
        if not self.is_array:
            return self.limits.run_ms
        return Millis(min(self.timeouts.run_ms, self.elements * self.limits.run_ms))

    @property
    def log_bytes(self) -> int:
        """What is kept of the log of each element."""
        return min(LOG_BYTES_MAX, ARRAY_LOG_BYTES_MAX // self.elements)


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
    def stored_bytes_most(self) -> int:
        """What a member may have to keep of it: program, input and outputs."""
        core = self.core
        return core.program.size_bytes + self.input_bytes + core.elements * core.limits.output_bytes

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
