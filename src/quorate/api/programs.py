"""What a module is as the program of a job: its profile, its entry, what it may be given, what it is linked with. Read
and refused here as an executor's guard would, before anything is sealed or sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from quorate.crypto.digests import blob_digest
from quorate.errors import (
    ContradictoryOptions,
    ForbiddenImport,
    InvalidField,
    MalformedModule,
    MissingEntry,
    NotWasm,
    TooLarge,
)
from quorate.execute.wasm.guard import inspect_together
from quorate.execute.wasm.linking import foreign_imports, link_order
from quorate.execute.wasm.policy import BUFFER_ENTRY, ENTRY_DEFAULT, check_program, takes_buffer
from quorate.execute.wasm.sections import Outline
from quorate.execute.wasm.wasi import MODULE
from quorate.model.program import Program
from quorate.model.units import Digest

if TYPE_CHECKING:
    from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine

ARGUMENT_BYTES_MAX = 32 << 10


@lru_cache(maxsize=1)
def _engine() -> WasmtimeEngine:
    # Here, because a client that only asks has no need of it.
    from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine

    return WasmtimeEngine()


def outline_of(module: bytes, name: str) -> Outline:
    """What a module is, once it is as valid as the engine of the executors wants it; nothing is compiled. Raises the
    UserError under the field `name`."""
    try:
        return _engine().validate(module)
    except (NotWasm, MalformedModule, TooLarge) as fault:
        fault.field = name
        cut = "build it again, or copy it again if it was cut short"
        fault.fix = fault.fix or (cut if isinstance(fault, MalformedModule) else "build a smaller module")
        raise


def linked(program: Program, outline: Outline, dependencies: Mapping[Digest, bytes]) -> Program:
    """The program with its dependencies, once all of them fit together."""
    outlines = {digest: outline_of(code, "dependency") for digest, code in dependencies.items()}
    link_order(program.digest, outline, outlines)
    inspect_together((outline, *outlines.values()))
    return msgspec.structs.replace(program, dependencies=tuple(sorted(dependencies)))


def program_of(module: bytes, outline: Outline, entry: str, tier: Literal["none", "light", "full"]) -> Program:
    """The program that a module is by itself. Raises ForbiddenImport, MissingEntry."""
    profile = _profile(outline)
    try:
        check_program(outline, profile, entry)
    except ForbiddenImport as fault:
        if profile == "command":
            fault.fix = "build the module without it"  # a job has no way to grant a capability
        raise
    return Program(
        kind="wasm",
        digest=blob_digest(module),
        size_bytes=len(module),
        profile=profile,
        entry=entry or ENTRY_DEFAULT[profile],
        wasm_tier=tier,
        dependencies=(),
    )


def _profile(outline: Outline) -> Literal["pure", "command"]:
    """What the module's imports ask for, beside functions of dependencies: nothing is `pure`, WASI is `command`;
    anything else is refused by the profile's check."""
    imports = foreign_imports(outline)
    if any(item.module == MODULE for item in imports):
        return "command"
    if imports or outline.function_named("run") is not None:
        return "pure"
    return "command" if outline.function_named("_start") is not None else "pure"


def check_use(program: Program, outline: Outline, has_input: bool, arguments: tuple[str, ...]) -> None:
    """Raises the UserError of an input or an argument that the program has no way to take."""
    if program.profile == "pure" and has_input and not takes_buffer(outline, program.entry):
        raise InvalidField(
            f"{program.entry} takes no input", field="input", fix=f"export {program.entry} as {BUFFER_ENTRY}"
        )
    if program.profile == "pure" and arguments:
        raise ContradictoryOptions(
            "the pure profile takes none", field="arguments", fix="build the program as a WASI command"
        )
    if len(arguments) > 64 or sum(len(item.encode()) for item in arguments) > ARGUMENT_BYTES_MAX:
        raise InvalidField(
            "too many or too long", field="arguments", limit=f"64, {ARGUMENT_BYTES_MAX} bytes", fix="use the input"
        )
    if any("\0" in item for item in arguments):
        raise InvalidField("an argument holds a NUL byte", field="arguments", fix="use the input")
    if not program.entry or len(program.entry) > 128:
        raise MissingEntry(f"{program.entry[:40]!r}", field="entry", limit="1 to 128 characters", fix="name an export")
