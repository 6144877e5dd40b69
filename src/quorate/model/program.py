"""What runs: its kind, the BLAKE3-256 digest of its bytes, its entry and what it declares to need."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.errors import InvalidField
from quorate.model.codec import Value
from quorate.model.units import MIB, Count, Hash, Word

KINDS = ("bytecode", "wasm", "function", "container")
PROFILES = ("pure", "command", "contract")
WASM_TIERS = ("none", "light", "full")
TIER_LIMITS = {"light": (16 * MIB, 10**8, 5_000), "full": (256 * MIB, 10**10, 30_000)}
"""Memory in bytes, fuel, run time in milliseconds."""
DEPENDENCIES_MAX = 16
LINKED = "wasm:linked"
"""What an offer says whose machine has run a program of several modules."""


class Program(Value, frozen=True, tag="program"):
    """`profile` is the set of imports a WASM module may have, `contract` the one of programs that are called with a
    state; `wasm_tier` the class of limits it declares. `dependencies` are the digests of all modules that it needs
    beside its own, sorted: those it imports from, and those that they do."""

    kind: Literal["bytecode", "wasm", "function", "container"]
    digest: Hash
    size_bytes: Count
    profile: Literal["pure", "command", "contract"]
    entry: Word
    wasm_tier: Literal["none", "light", "full"]
    dependencies: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=DEPENDENCIES_MAX)]

    def __post_init__(self) -> None:
        if not self.entry:
            raise InvalidField("empty", field="entry", fix="name the exported function to call")
        if self.kind == "bytecode" and self.profile != "contract":
            raise InvalidField(self.profile, field="profile", limit="contract, for bytecode")
        if tuple(sorted(set(self.dependencies))) != self.dependencies:
            raise InvalidField("not a sorted set", field="dependencies", fix="list each once, in order")
        if self.digest in self.dependencies:
            raise InvalidField("the program is listed among them", field="dependencies", fix="leave it out")
        if self.dependencies and self.profile == "contract":
            raise InvalidField("given to a contract", field="dependencies", fix="link it into one program")

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The words that an offer must have for it."""
        tier = () if self.wasm_tier == "none" else (f"tier:{self.wasm_tier}",)
        return (f"{self.kind}:{self.profile}", *tier, *((LINKED,) if self.dependencies else ()))
