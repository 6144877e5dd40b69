"""A contract: a program with functions to be called, hard limits, and a state that lives on from call to call.

`Contract` is what a program declares of itself; `Deployment` puts it on a ledger, under an id of its own: the digest of
the deployment. The first 16 bytes of that id are what contracts see (SELF).
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from quorate.errors import InvalidField
from quorate.model.codec import Part, Value
from quorate.model.program import TIER_LIMITS, Program
from quorate.model.units import AMOUNT_MAX, KIB, MIB, Bytes32, Count, Hash, Node, Word

FUNCTIONS_MAX: Final = 64
PARAMETERS_MAX: Final = 16
CONTRACT_MEMORY_MAX: Final = 256 * MIB
CONTRACT_STATE_MAX: Final = 16 * MIB
CONTRACT_BYTES_MAX: Final = 4 * MIB
BYTECODE_BYTES_MAX: Final = 256 * KIB
BYTECODE_MEMORY_MAX: Final = 16 * MIB
ID_BYTES: Final = 16
"""How much of a NodeId or of a contract's id contracts see."""

Kind = Literal["bytecode", "wasm"]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")


def _require_name(name: str, field: str) -> None:
    if NAME.fullmatch(name) is None:
        raise InvalidField(f"{name[:80]!r}", field=field, limit="a letter or _, then letters, digits and _, 32 in all")


class Parameter(Part, frozen=True):
    """`int` is a signed 64-bit number; `bytes` is handed over as a place in the contract's memory."""

    name: Word
    kind: Literal["int", "bytes"]

    def __post_init__(self) -> None:
        _require_name(self.name, "parameters")


class FunctionSignature(Part, frozen=True):
    """A function that may be called from outside."""

    name: Word
    parameters: Annotated[tuple[Parameter, ...], msgspec.Meta(max_length=PARAMETERS_MAX)]

    def __post_init__(self) -> None:
        _require_name(self.name, "functions")
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) != len(names):
            raise InvalidField(f"{self.name} has one parameter name twice", field="parameters")


class Contract(Value, frozen=True, tag="contract"):
    """What the program says of itself, in its container (bytecode) or its section `quorate.contract` (WASM): an
    executor compares, and refuses a program that says otherwise. `state` is the key of the state it is born with. One
    cycle of a WASM contract is one unit of fuel."""

    kind: Kind
    program: Hash
    size_bytes: Count
    wasm_tier: Literal["none", "light", "full"]
    max_memory_bytes: Count
    max_cycles: Count
    max_state_bytes: Count
    state: Hash
    functions: Annotated[tuple[FunctionSignature, ...], msgspec.Meta(min_length=1, max_length=FUNCTIONS_MAX)]

    def __post_init__(self) -> None:
        wasm = self.requires_wasm
        if wasm == (self.wasm_tier == "none"):
            raise InvalidField(
                self.wasm_tier, field="wasm_tier", limit="none for bytecode; light or full for WebAssembly"
            )
        tier_memory, tier_cycles, _ = TIER_LIMITS.get(self.wasm_tier, (BYTECODE_MEMORY_MAX, AMOUNT_MAX, 0))
        bounds = {
            "size_bytes": (1, CONTRACT_BYTES_MAX if wasm else BYTECODE_BYTES_MAX),
            "max_memory_bytes": (0, tier_memory),
            "max_cycles": (1, tier_cycles),
            "max_state_bytes": (0, CONTRACT_STATE_MAX),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise InvalidField(str(getattr(self, name)), field=name, limit=f"{least} to {most}")
        names = [function.name for function in self.functions]
        if names != sorted(set(names)):
            raise InvalidField("not sorted by name, or one name twice", field="functions")

    @property
    def requires_wasm(self) -> bool:
        """Whether it needs more than the bytecode machine, which every device has."""
        return self.kind == "wasm"

    def called(self, function: str) -> Program:
        """The program of a job that calls `function`."""
        return Program(
            kind=self.kind,
            digest=self.program,
            size_bytes=self.size_bytes,
            profile="contract",
            entry=function,
            wasm_tier=self.wasm_tier,
            dependencies=(),
        )


class Deployment(Value, frozen=True, tag="deployment"):
    """Signed by `deployer`. The nonce makes equal contracts distinct."""

    network: Hash
    deployer: Node
    contract: Contract
    nonce: Bytes32
