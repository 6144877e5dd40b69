"""Builds a job as a user thinks of it: `Job.builder().wasm(...).private_input(...).with_ownership_proof().build()`.

`build` yields a `Draft`: immutable, not sealed, not signed, bound to no network. `Client.submit` seals and signs it.
Everything that can be known to be wrong without a network is refused here, by the field that is wrong. Nothing is
weakened silently: a private draft has commitment, encryption and ownership proof, or there is no draft.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from quorate.api.calls import Called, called
from quorate.api.elements import Given, packed
from quorate.api.programs import check_use, linked, outline_of, program_of
from quorate.api.sources import Source, content_of, module_of
from quorate.crypto.digests import blob_digest, digest
from quorate.errors import (
    ContradictoryOptions,
    InvalidField,
    PolicyRefused,
)
from quorate.execute.wasm.linking import import_name
from quorate.model import job as model
from quorate.model.call import ContractCall
from quorate.model.media import is_of_media, require_media
from quorate.model.policy import Policy, Proof, Timeouts
from quorate.model.program import DEPENDENCIES_MAX, TIER_LIMITS, Program
from quorate.model.resources import PLAIN, Resources, asked, require_use
from quorate.model.transaction import ContractHead
from quorate.model.units import AMOUNT_MAX, COHORT_MAX, Digest, Fuel, MicroCredits, Millis

ONE_IN_DEFAULT = 10
BUDGET_DEFAULT_MICRO = 100_000_000
MATCH_MS, TRANSFER_MS, VERIFY_MS = 30_000, 300_000, 60_000
ARRAY_RUN_MS = 600_000
"""How long all elements of an array may take unless `timeouts` says otherwise."""
EXPIRY_SLACK_MS = 600_000
ROUNDS = 3
REGIONS_MAX = 16
PROTECTIONS = ("commitment", "encryption", "ownership_proof")

Method = Literal["trust", "rerun", "quorum"]


class ResourceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Hard limits of one run: `ResourceLimits(fuel=2_000_000_000)` leaves the others at the defaults of the network."""

    memory_bytes: int = model.DEFAULT_LIMITS.memory_bytes
    fuel: int = model.DEFAULT_LIMITS.fuel
    run_ms: int = model.DEFAULT_LIMITS.run_ms
    output_bytes: int | None = None
    """None is the default of the network; in an array no more than an equal share of what all may give."""

    def __post_init__(self) -> None:
        self.exact()

    def exact(self, elements: int = 1) -> model.ResourceLimits:
        """As they become part of the signed job. Raises InvalidField for a limit that is none."""
        share = model.ARRAY_OUTPUT_BYTES_MAX // elements
        output = min(model.DEFAULT_LIMITS.output_bytes, share) if self.output_bytes is None else self.output_bytes
        for name in self.__struct_fields__:
            amount = output if name == "output_bytes" else getattr(self, name)
            if type(amount) is not int or not 1 <= amount <= AMOUNT_MAX:
                raise InvalidField(repr(amount)[:40], field=name, limit=f"1 to {AMOUNT_MAX}", fix="give a whole number")
        return model.ResourceLimits(
            memory_bytes=self.memory_bytes,
            fuel=Fuel(self.fuel),
            run_ms=Millis(self.run_ms),
            output_bytes=output,
        )


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A job before it is sealed; `dependencies` are the modules that the program lists, in its order; the `input` of
    several `elements` is packed. `protections` are those of a private
    input: all three, or the draft is refused."""

    program: Program
    module: bytes = field(repr=False)
    dependencies: tuple[bytes, ...] = field(repr=False)
    input: bytes = field(repr=False)
    elements: int
    private: bool
    protections: frozenset[str]
    arguments: tuple[str, ...]
    input_media: str
    output_media: str
    limits: model.ResourceLimits
    resources: Resources
    proof: Proof
    budget_micro: MicroCredits
    timeouts: Timeouts
    expires_in_ms: Millis
    regions: tuple[str, ...]
    priority: int
    policy: Policy
    privacy: tuple[str, ...]
    dispute_disclosure: Literal["none", "jury"]
    call: ContractCall | None = None

    def __post_init__(self) -> None:
        missing = [name for name in PROTECTIONS if self.private and name not in self.protections]
        if missing:
            raise InvalidField(
                "missing from a private job",
                field=missing[0],
                fix="a private job carries all three: .private_input(...).with_ownership_proof()",
            )
        if not self.private and self.protections:
            raise ContradictoryOptions(
                "a public input has none", field=min(self.protections), fix="give a private_input"
            )

    @property
    def modules(self) -> dict[Digest, bytes]:
        """All bytes of the program, by their digests."""
        return {
            self.program.digest: self.module,
            **dict(zip(self.program.dependencies, self.dependencies, strict=True)),
        }

    @property
    def fingerprint(self) -> Digest:
        """Equal drafts, equal fingerprints. It stays with the client: it covers the plaintext."""
        rest = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("module", "dependencies", "input", "protections")
        }
        return digest("draft", msgspec.json.encode(rest, order="deterministic"), blob_digest(self.input))


class Job:
    """The way in: `Job.builder()`."""

    @staticmethod
    def builder() -> Builder:
        return Builder()


class Builder:
    """Collects the parts; `build` checks them together. Each method answers the builder."""

    def __init__(self) -> None:
        self._module: bytes | None = None
        self._dependencies: dict[Digest, bytes] = {}
        self._input: Given | None = None
        self._called: Called | None = None
        self._protections: set[str] = set()
        self._limits: ResourceLimits | None = None
        self._tier: Literal["none", "light", "full"] = "none"
        self._method: Method | None = None
        self._replicas: int | None = None
        self._threshold = 0
        self._one_in = ONE_IN_DEFAULT
        self._timeouts: dict[str, int] = {}
        self._rest: dict[str, Any] = {}

    def call(
        self,
        head: ContractHead,
        function: str,
        *arguments: int | bytes,
        deposit_micro: int = 0,
        cycles: int = 0,
    ) -> Builder:
        """Instead of a module: a call of a deployed contract on its `head`, as `client.contract` tells it. The deposit
        goes to the contract when the call takes effect; `cycles` 0 is what the contract declares."""
        self._called = called(head, function, arguments, deposit_micro, cycles)
        return self

    def wasm(self, module: Source) -> Builder:
        """The module: its bytes, a path, or WebAssembly text."""
        self._module = module_of(module, "wasm")
        return self

    def dependency(self, module: Source) -> Builder:
        """A module that the program or another dependency imports from, as `blake3:` and the digest of its bytes; up to
        sixteen, each given once."""
        code = module_of(module, "dependency")
        if blob_digest(code) in self._dependencies:
            raise ContradictoryOptions(
                f"{import_name(blob_digest(code))} is given twice", field="dependency", fix="give each module once"
            )
        if len(self._dependencies) >= DEPENDENCIES_MAX:
            raise InvalidField(
                f"more than {DEPENDENCIES_MAX}",
                field="dependency",
                limit=str(DEPENDENCIES_MAX),
                fix="link some of them",
            )
        self._dependencies[blob_digest(code)] = code
        return self

    def entry(self, name: str) -> Builder:
        self._rest["entry"] = name
        return self

    def private_input(self, data: bytes | bytearray | os.PathLike[str]) -> Builder:
        """Input that only the executors drawn for this job will see, committed to and encrypted. Needs
        `with_ownership_proof`."""
        self._protections |= {"commitment", "encryption"}
        return self._take_input(True, data)

    def public_input(self, data: bytes | bytearray | os.PathLike[str]) -> Builder:
        """Input that everyone may see."""
        return self._take_input(False, data)

    def private_array(self, inputs: Iterable[bytes | bytearray]) -> Builder:
        """Inputs for as many runs of the program, protected like a `private_input`. Needs `with_ownership_proof`."""
        self._protections |= {"commitment", "encryption"}
        return self._take(packed(True, inputs))

    def array(self, inputs: Iterable[bytes | bytearray]) -> Builder:
        """Inputs that everyone may see, for as many runs of the program: one job, one vote, one result for each. Every
        limit counts for each of them."""
        return self._take(packed(False, inputs))

    def _take_input(self, private: bool, data: bytes | bytearray | os.PathLike[str]) -> Builder:
        content = content_of(data, "input", model.INPUT_BYTES_MAX)
        return self._take(Given(private, content, 1, bool(content)))

    def _take(self, given: Given) -> Builder:
        if self._input is not None:
            raise ContradictoryOptions("given twice", field="input", fix="give one input or array, private or public")
        self._input = given
        return self

    def with_ownership_proof(self) -> Builder:
        """Binds the result to this requester: no one else can have it delivered to another key."""
        self._protections.add("ownership_proof")
        return self

    def limits(self, limits: ResourceLimits | model.ResourceLimits) -> Builder:
        self._limits = ResourceLimits(**msgspec.structs.asdict(limits))
        return self

    def resources(
        self,
        *,
        cpu_cores: int | None = None,
        storage_bytes: int | None = None,
        bandwidth_bytes_per_s: int | None = None,
        gpu_units: int | None = None,
    ) -> Builder:
        """What the executor's machine must have at least. Matched against what offers say, not enforced in a run."""
        given = {"cpu_cores": cpu_cores, "storage_bytes": storage_bytes, "gpu_units": gpu_units}
        self._rest["resources"] = asked({**given, "bandwidth_bytes_per_s": bandwidth_bytes_per_s})
        return self

    def tier(self, wasm_tier: Literal["light", "full"]) -> Builder:
        """Limits by name: light = 16 MiB, 10^8 fuel, 5 s; full = 256 MiB, 10^10 fuel, 30 s."""
        if wasm_tier not in TIER_LIMITS:
            raise InvalidField(repr(wasm_tier), field="tier", limit=" or ".join(TIER_LIMITS), fix="or leave it out")
        self._tier = wasm_tier
        return self

    def proof(self, method: Method, *, threshold: int = 0, one_in: int = ONE_IN_DEFAULT) -> Builder:
        """How the result is checked: trust, rerun (one in `one_in`), quorum (`threshold` of the replicas; 0 is seven in
        ten)."""
        if method not in ("trust", "rerun", "quorum"):
            limit = "trust, rerun, quorum"
            raise InvalidField(f"{method!r} is not built here", field="proof", limit=limit, fix="choose one of these")
        self._method, self._threshold, self._one_in = method, threshold, one_in
        return self

    def replication(self, replicas: int) -> Builder:
        """How many providers run the job; more than one means proof quorum."""
        self._replicas = replicas
        return self

    def arguments(self, *arguments: str) -> Builder:
        """Command line arguments of the guest. They are part of the signed job and not private."""
        self._rest["arguments"] = arguments
        return self

    def media(self, *, input: str = "", output: str = "") -> Builder:  # noqa: A002
        """Media types of input and output, such as application/json. They are part of the signed job; an input or a
        result that is no such thing is an error."""
        self._rest |= {"input_media": input, "output_media": output}
        return self

    def timeouts(self, **milliseconds: int) -> Builder:
        """Phase clocks: match_ms, transfer_ms, run_ms, verify_ms; those not given keep their defaults."""
        unknown = set(milliseconds) - set(Timeouts.__struct_fields__)
        if unknown:
            raise InvalidField("no such clock", field=min(unknown), limit=", ".join(Timeouts.__struct_fields__))
        self._timeouts |= milliseconds
        return self

    def budget(self, micro: int) -> Builder:
        """The most that may be held in escrow, in micro-credits."""
        self._rest["budget_micro"] = MicroCredits(micro)
        return self

    def expires_in(self, milliseconds: int) -> Builder:
        self._rest["expires_in_ms"] = Millis(milliseconds)
        return self

    def regions(self, *names: str) -> Builder:
        """Only providers in one of these regions, by their own word."""
        if len(names) > REGIONS_MAX or len(set(names)) < len(names) or not all(0 < len(name) <= 128 for name in names):
            limit = f"{REGIONS_MAX} different names of 1 to 128 characters"
            raise InvalidField(repr(names)[:80], field="regions", limit=limit, fix="name each region once")
        self._rest["regions"] = names
        return self

    def priority(self, priority: int) -> Builder:
        if not 0 <= priority <= 9:
            raise InvalidField(str(priority), field="priority", limit="0 to 9")
        self._rest["priority"] = priority
        return self

    def policy(self, policy: Policy) -> Builder:
        """What the requester refuses."""
        self._rest["policy"] = policy
        return self

    def privacy(self, *tiers: str) -> Builder:
        """Privacy tiers beyond sealing. None is built here: they are refused, and nothing weaker is taken."""
        if tiers:
            raise PolicyRefused(
                f"{', '.join(tiers)} is not built here", field="privacy", fix="leave it out: executors see the input"
            )
        return self

    def disclose_to_jury(self) -> Builder:
        """Lets a jury see the input in a dispute; without it a wrong private result cannot be slashed."""
        self._rest["dispute_disclosure"] = "jury"
        return self

    def build(self) -> Draft:
        """The draft. Raises UserError naming what is missing, contradictory or out of its domain."""
        if self._called is not None:
            return self._build_call(self._called)
        if self._module is None:
            raise InvalidField("missing", field="wasm", fix="give a module: .wasm(bytes or path)")
        given = self._input or Given(False, b"", 1, False)
        limits, rest = self._limited(given.elements), dict(self._rest)
        outline = outline_of(self._module, "module")
        program = program_of(self._module, outline, rest.pop("entry", ""), self._tier)
        program = linked(program, outline, self._dependencies)
        check_use(program, outline, given.has_bytes, rest.get("arguments", ()))
        _check_media(given.items, rest.get("input_media", ""), rest.get("output_media", ""))
        if given.elements > 1:
            model.require_bounded_sums(limits, given.elements)
        resources = rest.pop("resources", PLAIN)
        stored_bytes = len(self._module) + len(given.content) + given.elements * limits.output_bytes
        require_use(resources, program.kind, stored_bytes)
        timeouts = self._clocks(limits, given.elements)
        return Draft(
            program=program,
            module=self._module,
            dependencies=tuple(self._dependencies[digest] for digest in program.dependencies),
            input=given.content,
            elements=given.elements,
            private=given.private,
            protections=frozenset(self._protections),
            limits=limits,
            resources=resources,
            proof=self._dial(),
            timeouts=timeouts,
            **{**_defaults(timeouts), **rest},
        )

    def _build_call(self, parts: Called) -> Draft:
        for name, given in (("wasm", self._module), ("input", self._input), ("limits", self._limits)):
            if given is not None:
                raise ContradictoryOptions("given to a call of a contract", field=name, fix="leave it out")
        timeouts, rest = self._clocks(parts.limits, 1), dict(self._rest)
        resources = rest.pop("resources", PLAIN)
        require_use(resources, parts.program.kind, len(parts.input) + parts.limits.output_bytes)
        return Draft(
            program=parts.program,
            module=b"",  # the node that told the head has it
            dependencies=(),
            input=parts.input,
            elements=1,
            private=False,
            protections=frozenset(self._protections),
            limits=parts.limits,
            resources=resources,
            proof=self._dial(),
            timeouts=timeouts,
            call=parts.call,
            **{**_defaults(timeouts), **rest},
        )

    def _limited(self, elements: int) -> model.ResourceLimits:
        """The limits; a tier sets those that were not given, and what was given may not exceed the tier."""
        if self._tier == "none":
            return (self._limits or ResourceLimits()).exact(elements)
        memory, fuel, run = TIER_LIMITS[self._tier]
        most = ResourceLimits(memory_bytes=memory, fuel=fuel, run_ms=run)
        given = self._limits or most
        for name in ("memory_bytes", "fuel", "run_ms"):
            if getattr(given, name) > getattr(most, name):
                raise ContradictoryOptions(
                    str(getattr(given, name)),
                    field=name,
                    limit=f"{getattr(most, name)} in tier {self._tier}",
                    fix="lower it or leave the tier out",
                )
        return given.exact(elements)

    def _dial(self) -> Proof:
        replicas = 1 if self._replicas is None else self._replicas
        if not 1 <= replicas <= COHORT_MAX:
            limit = f"1 to {COHORT_MAX}"
            raise InvalidField(str(replicas), field="replication", limit=limit, fix="choose a number in between")
        method = self._method or ("quorum" if replicas > 1 else "rerun")
        if method != "quorum" and replicas > 1:
            raise ContradictoryOptions(
                f"{replicas} with proof {method}", field="replication", limit="1", fix="choose proof quorum"
            )
        if not 0 <= self._threshold <= replicas:
            limit = f"1 to {replicas}, the replicas"
            raise InvalidField(
                str(self._threshold), field="threshold", limit=limit, fix="leave it out for seven in ten"
            )
        return Proof(method=method, replicas=replicas, threshold=self._threshold, one_in=self._one_in)

    def _clocks(self, limits: model.ResourceLimits, elements: int) -> Timeouts:
        run_ms = max(limits.run_ms, min(elements * limits.run_ms, ARRAY_RUN_MS))
        clocks = {"match_ms": MATCH_MS, "transfer_ms": TRANSFER_MS, "run_ms": run_ms, "verify_ms": VERIFY_MS}
        return Timeouts(**{name: Millis(value) for name, value in (clocks | self._timeouts).items()})


def _defaults(timeouts: Timeouts) -> dict[str, Any]:
    attempt = timeouts.transfer_ms + timeouts.run_ms + timeouts.verify_ms
    return {
        "arguments": (),
        "input_media": "",
        "output_media": "",
        "budget_micro": MicroCredits(BUDGET_DEFAULT_MICRO),
        "expires_in_ms": Millis(timeouts.match_ms + ROUNDS * attempt + EXPIRY_SLACK_MS),
        "regions": (),
        "priority": 5,
        "policy": Policy(require_post_quantum=False, jail_layers_min=(), allow=(), reputation_min=0),
        "privacy": (),
        "dispute_disclosure": "none",
    }


def _check_media(items: Iterable[bytes], input_media: str, output_media: str) -> None:
    require_media(input_media, "input-type")
    require_media(output_media, "output-type")
    if not all(is_of_media(item, input_media) for item in items):
        raise InvalidField(f"the input is no {input_media}", field="input", fix="mend it, or leave its type out")
