"""What a client asks about a program before anything is sealed or paid for: can it run at all, and under which
profile.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate.errors import MalformedModule
from quorate.execute.engine import COMMAND, PURE, module_digest
from quorate.execute.wasm.guard import inspect_together
from quorate.execute.wasm.linking import foreign_imports, link_order
from quorate.execute.wasm.policy import check_program
from quorate.execute.wasm.sections import MAGIC, Outline


def read_program(data: bytes, *, is_text: bool = False) -> bytes:
    """The module in `data`, converted when it is WAT text. For files of the user's own, on the user's own machine."""
    if not is_text or data[:4] == MAGIC[:4]:
        return data
    from quorate.execute.wasm.wasmtime_engine import wat_to_wasm

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedModule("the text is not UTF-8", field="module") from None
    return wat_to_wasm(text)


def profile_of(outline: Outline) -> str:
    """The profile that a module was evidently built for: a command exports `_start`, or imports something that is no
    dependency."""
    return COMMAND if outline.function_named("_start") is not None or foreign_imports(outline) else PURE


def validate_program(
    module: bytes,
    profile: str = "",
    entry: str = "",
    capabilities: Iterable[str] = (),
    dependencies: Iterable[bytes] = (),
) -> Outline:
    """Raises TooLarge, NotWasm, MalformedModule, ForbiddenImport, MissingEntry, InvalidField or what `link_order`
    raises; compiles and runs nothing.

    An empty `profile` means the evident one.
    """
    from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine

    engine = WasmtimeEngine()
    outline = engine.validate(module)
    check_program(outline, profile or profile_of(outline), entry, capabilities)
    outlines = {module_digest(code): engine.validate(code) for code in dependencies}
    link_order(module_digest(module), outline, outlines)
    inspect_together((outline, *outlines.values()))
    return outline
