"""What the requester demands beyond the limits: the proof dial, the phase clocks, and what it refuses."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.errors import InvalidField
from quorate.model.codec import Part
from quorate.model.units import COHORT_MAX, Ms, Word

ProofMethod = Literal["trust", "rerun", "quorum"]
Level = Literal["public", "private"]


class Proof(Part, frozen=True):
    """The proof dial. `replicas` is K; `threshold` T of K (0 stands for the rule of the method); `one_in` N of a
    re-run."""

    method: ProofMethod
    replicas: Annotated[int, msgspec.Meta(ge=1, le=COHORT_MAX)]
    threshold: Annotated[int, msgspec.Meta(ge=0, le=COHORT_MAX)]
    one_in: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]

    def __post_init__(self) -> None:
        if self.method != "quorum" and self.replicas != 1:
            raise InvalidField(
                f"{self.replicas} with proof {self.method}",
                field="replicas",
                limit="1",
                fix="choose proof quorum for replicas",
            )
        if self.threshold > self.replicas:
            raise InvalidField(
                str(self.threshold), field="threshold", limit=f"at most replicas = {self.replicas}", fix="lower it"
            )
        if self.threshold and 2 * self.threshold <= self.replicas:
            raise InvalidField(
                str(self.threshold), field="threshold", limit=f"more than half of {self.replicas}", fix="raise it"
            )


class Timeouts(Part, frozen=True):
    """One clock per phase, each in milliseconds: match (until the escrow is open), transfer (until a member has all it
    needs and starts), run (the guest), verify (from the first commitment that counts to the verdict)."""

    match_ms: Ms
    transfer_ms: Ms
    run_ms: Ms
    verify_ms: Ms

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise InvalidField("zero", field=name, limit="at least 1 ms")


class Policy(Part, frozen=True):
    """What the requester refuses: classical-only peers, too few jail layers, simulated parts not allowed by name, a
    sequencer of its own."""

    require_post_quantum: bool
    jail_layers_min: Annotated[tuple[Word, ...], msgspec.Meta(max_length=8)]
    allow: Annotated[tuple[Word, ...], msgspec.Meta(max_length=8)]
    reputation_min: Annotated[int, msgspec.Meta(ge=0, le=10_000)]


def quorum_threshold(replicas: int) -> int:
    """ceil(7K/10): the default threshold of protocol message 9, `(7K + 9) // 10`."""
    return (7 * replicas + 9) // 10
