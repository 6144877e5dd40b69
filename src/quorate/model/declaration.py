"""What a WebAssembly contract says of itself, in its custom section `quorate.contract`. What else a `Contract` has,
digest and size of the module, the section cannot know: it is part of both."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from quorate.model.call import ARGUMENT_BYTES_MAX
from quorate.model.codec import Value
from quorate.model.contract import FUNCTIONS_MAX, FunctionSignature
from quorate.model.units import KIB, Count, Hash

SCHEDULE = 1


class Declaration(Value, frozen=True, tag="declaration"):
    """`schedule` is the table of prices of what the host does, as a bytecode container names its own. `argument_bytes`
    is the size of the area that bytes arguments are put into. All other fields are those of `Contract`, which bounds
    them."""

    size_max = 128 * KIB

    schedule: Annotated[int, msgspec.Meta(ge=SCHEDULE, le=SCHEDULE)]
    wasm_tier: Literal["light", "full"]
    max_memory_bytes: Count
    max_cycles: Count
    max_state_bytes: Count
    argument_bytes: Annotated[int, msgspec.Meta(ge=0, le=ARGUMENT_BYTES_MAX)]
    state: Hash
    functions: Annotated[tuple[FunctionSignature, ...], msgspec.Meta(min_length=1, max_length=FUNCTIONS_MAX)]
