"""What a job asks of the machine it runs on, beyond the limits of the run itself.

It is matched against what offers say and checked again by each member; nothing here is enforced while a guest runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from quorate.errors import ContradictoryOptions, InvalidField
from quorate.model.codec import Part
from quorate.model.units import AMOUNT_MAX, Count

CPU_CORES_MAX = 4096
GPU_UNITS_MAX = 4096
GPU_KINDS = ("function", "container")
"""Kinds of programs that can reach a GPU: a WebAssembly module or a contract cannot."""


class Resources(Part, frozen=True):
    """At least so much each: cores, bytes of storage for the job's blobs, bytes per second of bandwidth, whole GPUs.
    Zero is not asked for; every job needs a core."""

    cpu_cores: Annotated[int, msgspec.Meta(ge=1, le=CPU_CORES_MAX)]
    storage_bytes: Count
    bandwidth_bytes_per_s: Count
    gpu_units: Annotated[int, msgspec.Meta(ge=0, le=GPU_UNITS_MAX)]

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise InvalidField(
                    str(getattr(self, name)), field=name, limit=f"{least} to {most}", fix="choose a number in between"
                )


RANGES = {
    "cpu_cores": (1, CPU_CORES_MAX),
    "storage_bytes": (0, AMOUNT_MAX),
    "bandwidth_bytes_per_s": (0, AMOUNT_MAX),
    "gpu_units": (0, GPU_UNITS_MAX),
}
PLAIN = Resources(cpu_cores=1, storage_bytes=0, bandwidth_bytes_per_s=0, gpu_units=0)
"""What a job that asks for nothing says."""


def asked(amounts: Mapping[str, int | None]) -> Resources:
    """As they become part of the signed job; None is not asked for. Raises InvalidField by the name of what is no
    amount: who does not want a resource leaves it out, so zero is an error here."""
    given = {name: amount for name, amount in amounts.items() if amount is not None}
    for name, amount in given.items():
        most = RANGES[name][1]
        if type(amount) is not int or not 1 <= amount <= most:
            raise InvalidField(
                repr(amount)[:40], field=name, limit=f"1 to {most}", fix="give a whole number, or leave it out"
            )
    return msgspec.structs.replace(PLAIN, **given)


def require_use(resources: Resources, kind: str, stored_bytes: int) -> None:
    """Raises ContradictoryOptions for GPUs that a program of `kind` cannot reach, or storage for less than what the
    job leaves there: program, input and outputs, `stored_bytes` at most."""
    if resources.gpu_units and kind not in GPU_KINDS:
        raise ContradictoryOptions(
            f"{resources.gpu_units} for a program of kind {kind}",
            field="gpu_units",
            limit="0",
            fix="leave it out: such a program cannot reach a GPU",
        )
    if 0 < resources.storage_bytes < stored_bytes:
        raise ContradictoryOptions(
            str(resources.storage_bytes),
            field="storage_bytes",
            limit=f"at least {stored_bytes}, what program, input and output may take",
            fix="ask for more storage or lower output_bytes",
        )
