"""The options of `compute submit`, `run` and `quote`, and the draft they stand for.

What is wrong with an option by itself or beside another is refused here or by the builder, by the name of the option,
before anything is sealed or sent.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from quorate.errors import ContradictoryOptions, InvalidField, TooLarge

if TYPE_CHECKING:
    from quorate.api.builder import Builder, Draft, ResourceLimits
    from quorate.model.policy import Policy

WHAT = Group("What runs", sort_key=1)
CHECKED = Group("Privacy and proof", sort_key=2)
LIMITS = Group("Limits", sort_key=3)
NEEDS = Group("The machine it runs on: matched with offers, not enforced", sort_key=4)
CLOCKS = Group("Clocks and money", sort_key=5)
EVERYWHERE = Group("Everywhere", sort_key=8)

STANDARD_INPUT = Path("-")
SECONDS_MAX = 10**6
AMOUNT_MAX = 2**63 - 1
SIMULATED = "sim-"
OPTION_OF_FIELD = {
    "memory_bytes": "--memory-mib",
    "run_ms": "--run-seconds",
    "output_bytes": "--output-kib",
    "storage_bytes": "--storage-mib",
    "bandwidth_bytes_per_s": "--bandwidth-kib",
    "fuel": "--fuel",
    "replicas": "--replication",
    "match_ms": "--match-seconds",
    "transfer_ms": "--transfer-seconds",
    "verify_ms": "--verify-seconds",
}
"""What the command line calls the fields of a job."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """What every command takes."""

    json: Annotated[bool, Parameter(group=EVERYWHERE)] = False
    """One JSON document on standard output, errors included."""


PLAIN = Output()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """A job as the command line says it."""

    wasm: Annotated[Path, Parameter(group=WHAT)]
    """The program: a WebAssembly module, or its text form (.wat)."""
    dependency: Annotated[tuple[Path, ...], Parameter(group=WHAT)] = ()
    """A module that the program imports from by content (blake3:DIGEST); may be given several times, up to 16."""
    input: Annotated[Path | None, Parameter(group=WHAT, allow_leading_hyphen=True)] = None
    """The input file; - is standard input. Without it the input is empty."""
    array: Annotated[Path | None, Parameter(group=WHAT, allow_leading_hyphen=True)] = None
    """Instead of --input: a file whose every line is the input of one run, all under one vote (1 to 4096 lines)."""
    arg: Annotated[tuple[str, ...], Parameter(group=WHAT, allow_leading_hyphen=True)] = ()
    """One argument of the program; may be given several times. Arguments are never private."""
    input_type: Annotated[str, Parameter(group=WHAT)] = ""
    """The media type of the input, such as application/json; an input that is no such thing is refused."""
    output_type: Annotated[str, Parameter(group=WHAT)] = ""
    """The media type of the result; one that is no such thing is an error when it is opened."""
    entry: Annotated[str, Parameter(group=WHAT)] = ""
    """The exported function to start at (default: run for a pure module, _start for a command)."""
    profile: Annotated[Literal["pure", "command"] | None, Parameter(group=WHAT)] = None
    """What the module may import: nothing (pure) or WASI with standard streams only (command). Detected if left out."""

    private: Annotated[bool, Parameter(group=CHECKED)] = False
    """Seal input and result: only the executors drawn for this job see them in plaintext."""
    replication: Annotated[int | None, Parameter(group=CHECKED)] = None
    """How many providers run the job; more than one means proof quorum."""
    proof: Annotated[Literal["trust", "rerun", "quorum"] | None, Parameter(group=CHECKED)] = None
    """How the result is checked: trust (nothing), rerun (one in N again elsewhere, the default), quorum (votes)."""
    threshold: Annotated[int | None, Parameter(group=CHECKED)] = None
    """How many of the replicas must agree (quorum; default: seven in ten, rounded up)."""
    one_in: Annotated[int | None, Parameter(group=CHECKED)] = None
    """Run one in N jobs again elsewhere (rerun; default 10)."""
    allow: Annotated[tuple[str, ...], Parameter(group=CHECKED)] = ()
    """A simulated part to accept, by name (sim-...); may be given several times. Without it none is accepted."""

    tier: Annotated[Literal["light", "full"] | None, Parameter(group=LIMITS)] = None
    """Limits by name: light (16 MiB, 10^8 fuel, 5 s) or full (256 MiB, 10^10 fuel, 30 s)."""
    memory_mib: Annotated[int | None, Parameter(group=LIMITS)] = None
    """Memory of the guest in MiB (default 64)."""
    fuel: Annotated[int | None, Parameter(group=LIMITS)] = None
    """Instructions, about one fuel each (default 10^9)."""
    run_seconds: Annotated[float | None, Parameter(group=LIMITS)] = None
    """Time on the executor's clock in seconds (default 30)."""
    array_seconds: Annotated[float | None, Parameter(group=LIMITS)] = None
    """Time for all runs of an array together (default: what they may take, up to 600). Other limits are for each."""
    output_kib: Annotated[int | None, Parameter(group=LIMITS)] = None
    """Output of the guest in KiB (default 1024)."""

    cpu_cores: Annotated[int | None, Parameter(group=NEEDS)] = None
    """Cores that the machine must have (default 1)."""
    storage_mib: Annotated[int | None, Parameter(group=NEEDS)] = None
    """Free storage that the machine must have, in MiB."""
    bandwidth_kib: Annotated[int | None, Parameter(group=NEEDS)] = None
    """Bandwidth that the machine's operator must state, in KiB per second; nothing measures it."""
    gpu_units: Annotated[int | None, Parameter(group=NEEDS)] = None
    """GPUs that the machine must have. Refused for WebAssembly, which cannot reach one."""
    region: Annotated[tuple[str, ...], Parameter(group=NEEDS)] = ()
    """A region the job may run in; may be given several times. Without it all are allowed."""

    match_seconds: Annotated[float | None, Parameter(group=CLOCKS)] = None
    """How long finding providers and opening the escrow may take (default 30)."""
    transfer_seconds: Annotated[float | None, Parameter(group=CLOCKS)] = None
    """How long bringing program and input to the members may take (default 300)."""
    verify_seconds: Annotated[float | None, Parameter(group=CLOCKS)] = None
    """How long votes may take after the first one (default 60)."""
    budget: Annotated[int | None, Parameter(group=CLOCKS)] = None
    """The most that may be held in escrow, in micro-credits (default 100,000,000)."""


def draft_of(options: JobOptions) -> Draft:
    """The draft, not sealed yet. Raises UserError for whatever is wrong with it."""
    from quorate.api.builder import Job

    _refuse_contradictions(options)
    builder = Job.builder().wasm(options.wasm)
    for path in options.dependency:
        builder.dependency(path)
    _give_input(builder, options)
    builder.limits(_limits(options)).timeouts(**_clocks(options))
    builder.resources(**_resources(options)).regions(*options.region)
    if options.tier:
        builder.tier(options.tier)
    if options.entry:
        builder.entry(options.entry)
    if options.arg:
        builder.arguments(*options.arg)
    if options.input_type or options.output_type:
        builder.media(input=options.input_type, output=options.output_type)
    if options.budget is not None:
        builder.budget(_amount("budget", options.budget))
    if options.allow:
        builder.policy(_policy(options.allow))
    _give_proof(builder, options)
    return _in_profile(builder.build(), options.profile)


def _refuse_contradictions(options: JobOptions) -> None:
    if options.array is not None and options.input is not None:
        raise ContradictoryOptions("given with --input", field="array", fix="give one of them")
    if options.array_seconds is not None and options.array is None:
        raise ContradictoryOptions("given without --array", field="array-seconds", fix="use --run-seconds")
    method = options.proof or ("quorum" if (options.replication or 1) > 1 else "rerun")
    if options.threshold is not None and method != "quorum":
        raise ContradictoryOptions(f"given with proof {method}", field="threshold", fix="choose --proof quorum")
    if options.one_in is not None and method != "rerun":
        raise ContradictoryOptions(f"given with proof {method}", field="one-in", fix="choose --proof rerun")
    if options.one_in is not None and not 1 <= options.one_in <= 1_000_000:
        raise InvalidField(str(options.one_in), field="one-in", limit="1 to 1000000", fix="such as 10")


def _give_input(builder: Builder, options: JobOptions) -> None:
    if options.array is not None:
        return _give_array(builder, options.array, options.private)
    data: bytes | Path = b"" if options.input is None else options.input
    if options.input == STANDARD_INPUT:
        data = _standard_input("input")
    if options.private:
        builder.private_input(data).with_ownership_proof()
    elif options.input is not None:
        builder.public_input(data)
    return None


def _give_array(builder: Builder, source: Path, private: bool) -> None:
    from quorate.api.elements import lines_of
    from quorate.api.sources import content_of
    from quorate.model.job import INPUT_BYTES_MAX

    data = _standard_input("array") if source == STANDARD_INPUT else content_of(source, "array", INPUT_BYTES_MAX)
    if private:
        builder.private_array(lines_of(data)).with_ownership_proof()
    else:
        builder.array(lines_of(data))


def _standard_input(option: str) -> bytes:
    from quorate.model.job import INPUT_BYTES_MAX

    data = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
    if len(data) > INPUT_BYTES_MAX:
        raise TooLarge("standard input goes on", field=option, limit=f"{INPUT_BYTES_MAX} bytes", fix="send less")
    return data


def _limits(options: JobOptions) -> ResourceLimits:
    """Those given; the others from the tier, or the defaults of the network."""
    from quorate.api.builder import ResourceLimits
    from quorate.model.program import TIER_LIMITS

    base = ResourceLimits()
    memory, fuel, run = TIER_LIMITS[options.tier] if options.tier else (base.memory_bytes, base.fuel, base.run_ms)
    given = {"memory_bytes": memory, "fuel": fuel, "run_ms": run}
    if options.memory_mib is not None:
        given["memory_bytes"] = _amount("memory-mib", options.memory_mib, 1 << 20)
    if options.fuel is not None:
        given["fuel"] = _amount("fuel", options.fuel)
    if options.run_seconds is not None:
        given["run_ms"] = _milliseconds("run-seconds", options.run_seconds)
    if options.output_kib is not None:
        given["output_bytes"] = _amount("output-kib", options.output_kib, 1 << 10)
    return ResourceLimits(**given)


def _resources(options: JobOptions) -> dict[str, int]:
    """Those given, by their fields."""
    given: dict[str, tuple[str, int | None, int]] = {
        "cpu_cores": ("cpu-cores", options.cpu_cores, 1),
        "storage_bytes": ("storage-mib", options.storage_mib, 1 << 20),
        "bandwidth_bytes_per_s": ("bandwidth-kib", options.bandwidth_kib, 1 << 10),
        "gpu_units": ("gpu-units", options.gpu_units, 1),
    }
    return {field: _amount(name, count, unit) for field, (name, count, unit) in given.items() if count is not None}


def _clocks(options: JobOptions) -> dict[str, int]:
    named = {"match": options.match_seconds, "transfer": options.transfer_seconds, "verify": options.verify_seconds}
    clocks = _milliseconds_of(named)
    if options.array_seconds is not None:
        clocks["run_ms"] = _milliseconds("array-seconds", options.array_seconds)
    return clocks


def _milliseconds_of(named: dict[str, float | None]) -> dict[str, int]:
    return {
        f"{name}_ms": _milliseconds(f"{name}-seconds", seconds)
        for name, seconds in named.items()
        if seconds is not None
    }


def _milliseconds(name: str, seconds: float) -> int:
    if not math.isfinite(seconds) or not 0.001 <= seconds <= SECONDS_MAX:
        raise InvalidField(
            f"{seconds:g}", field=name, limit=f"0.001 to {SECONDS_MAX} seconds", fix="choose another time"
        )
    return round(seconds * 1000)


def _amount(name: str, count: int, unit: int = 1) -> int:
    most = AMOUNT_MAX // unit
    if not 1 <= count <= most:
        raise InvalidField(str(count), field=name, limit=f"1 to {most}", fix="choose a number in between")
    return count * unit


def per_mille(share: str) -> int:
    """A share given as 20% or 0.2, in thousandths."""
    text, scale = (share[:-1], 10) if share.endswith("%") else (share, 1000)
    try:
        value = float(text) * scale
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1000:
        raise InvalidField(repr(share[:20]), field="colluders", limit="0% to 100%, or 0 to 1", fix="such as 20% or 0.2")
    return round(value)


def _policy(allow: tuple[str, ...]) -> Policy:
    from quorate.model.policy import Policy

    for name in allow:
        if not name.startswith(SIMULATED) or len(name) > 128:
            raise InvalidField(
                repr(name[:40]), field="allow", limit="a name that begins with sim-", fix="see quorate doctor"
            )
    if len(allow) > 8:
        raise InvalidField(f"{len(allow)} names", field="allow", limit="8", fix="name fewer")
    return Policy(require_post_quantum=False, jail_layers_min=(), allow=tuple(sorted(set(allow))), reputation_min=0)


def _give_proof(builder: Builder, options: JobOptions) -> None:
    if options.replication is not None:
        builder.replication(options.replication)
    method = options.proof or ("quorum" if (options.replication or 1) > 1 else None)
    if method is not None:
        builder.proof(method, threshold=options.threshold or 0, one_in=options.one_in or 10)
    elif options.one_in is not None:
        builder.proof("rerun", one_in=options.one_in)
    if options.threshold is not None and options.threshold < 1:
        fix = "leave it out for seven in ten"
        raise InvalidField(str(options.threshold), field="threshold", limit="1 to the number of replicas", fix=fix)


def _in_profile(draft: Draft, profile: Literal["pure", "command"] | None) -> Draft:
    """The draft in the profile asked for. Raises ForbiddenImport or MissingEntry when the module does not fit it."""
    if profile is None or profile == draft.program.profile:
        return draft
    import msgspec

    from quorate.execute.wasm.guard import inspect
    from quorate.execute.wasm.policy import ENTRY_DEFAULT, check_program

    check_program(inspect(draft.module), profile, "")
    program = msgspec.structs.replace(draft.program, profile=profile, entry=ENTRY_DEFAULT[profile])
    return dataclasses.replace(draft, program=program)
