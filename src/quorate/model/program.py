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


class Program(Value, frozen=True, tag="program"):
    """`profile` is the set of imports a WASM module may have, `contract` the one of programs that are called with a
    state; `wasm_tier` the class of limits it declares."""

    kind: Literal["bytecode", "wasm", "function", "container"]
    digest: Hash
    size_bytes: Count
    profile: Literal["pure", "command", "contract"]
    entry: Word
    wasm_tier: Literal["none", "light", "full"]
    dependencies: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=16)]

    def __post_init__(self) -> None:
        if not self.entry:
            raise InvalidField("empty", field="entry", fix="name the exported function to call")
        if self.kind == "bytecode" and self.profile != "contract":
            raise InvalidField(self.profile, field="profile", limit="contract, for bytecode")
        if len(set(self.dependencies)) != len(self.dependencies):
            raise InvalidField("a dependency is listed twice", field="dependencies")
