"""Offer: what a provider can do, measured by its self-test at start, and for how much. A standing, signed promise
(protocol message 1)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.program import Program
from quorate.model.resources import Resources
from quorate.model.units import Count, FuelAmount, Hash, KeyBytes, Micro, Ms, Node, Word

DeviceClass = Literal["Minimal", "Community", "Gateway", "Backbone", "Inference"]
DEVICE_CLASSES = ("Minimal", "Community", "Gateway", "Backbone", "Inference")
TIER_CLASSES = {"light": "Community", "full": "Gateway"}
"""The least device class that may offer each tier of WebAssembly (the seed documents on MHR-Compute)."""
Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=32)]


def tiers_of(device_class: str) -> tuple[str, ...]:
    """The tiers of WebAssembly that a device of this class may offer."""
    rank = DEVICE_CLASSES.index(device_class)
    return tuple(tier for tier, least in TIER_CLASSES.items() if rank >= DEVICE_CLASSES.index(least))


class Prices(Part, frozen=True):
    """In micro-credits: per run, per 10^6 fuel begun, and for a valid opening in a round without a quorum (protocol
    R6)."""

    base_micro: Micro
    per_mega_fuel_micro: Micro
    attempt_micro: Micro


class Offer(Value, frozen=True, tag="offer"):
    """`operator` is who runs the node: one cohort takes one node per operator. `capabilities` are profiles and tiers
    that passed the self-test, such as `wasm:command` and `tier:full`; `isolation` the jail layers that held;
    `simulated` is empty on real machines. Cores, storage and GPUs were measured at start; the bandwidth is what the
    operator states, since nothing measures it."""

    network: Hash
    provider: Node
    operator: Word
    prices: Prices
    seal_key: KeyBytes
    engine: Word
    capabilities: Words
    isolation: Words
    simulated: Words
    device_class: DeviceClass
    region: Word
    memory_bytes_max: Count
    fuel_max: FuelAmount
    cpu_cores: Count
    storage_bytes: Count
    stated_bandwidth_bytes_per_s: Count
    gpu_units: Count
    slots: Count
    issued_ms: Ms
    expires_ms: Ms

    def unfit_for(self, program: Program) -> str:
        """Why the machine cannot run `program`, as the rest of a sentence about its provider; empty if it can. A class
        counts for more than a word: a Minimal device that claims a tier does not have it."""
        tier = program.wasm_tier
        if tier in TIER_CLASSES and tier not in tiers_of(self.device_class):
            return f"is of class {self.device_class}, tier {tier} needs {TIER_CLASSES[tier]} or above"
        lacking = [word for word in program.capabilities if word not in self.capabilities]
        return f"does not offer {', '.join(lacking)}" if lacking else ""

    def lacks(self, asked: Resources) -> str:
        """The first resource of which the machine has less than is asked, as `2 cores, the job asks for 4`; empty if it
        has enough of all."""
        for unit, has, wanted in (
            ("cores", self.cpu_cores, asked.cpu_cores),
            ("bytes of storage", self.storage_bytes, asked.storage_bytes),
            ("bytes per second as stated", self.stated_bandwidth_bytes_per_s, asked.bandwidth_bytes_per_s),
            ("GPUs", self.gpu_units, asked.gpu_units),
        ):
            if has < wanted:
                return f"{has} {unit}, the job asks for {wanted}"
        return ""
