"""Profiles: which imports a module may have and how it is entered. Whatever a profile does not name is refused by name.

`pure` (the default): no imports but functions of dependencies (`linking`), which a command may have too. Two shapes of
entry (default name `run`):

* buffer: `run(pointer: i32, length: i32) -> i64` with exports `memory` and `alloc(length: i32) -> i32`. The input is
  written where `alloc` says; the result of `run` is `pointer << 32 | length` of the output, unsigned.
* value: `run() -> (number...)`. There is no input; the output is the results in order, little-endian, 4 or 8 bytes
  each.

A reactor's `_initialize` is called first where it is exported.

`command`: WASI preview 1, deterministic, entered at `_start: () -> ()`, with arguments, standard input, output and
error, and an exit code. The environment is empty. Nothing else is granted: no clock, no randomness, no files, no
sockets. zig and clang link no more than this for programs that use stdio and malloc (found by building them).
Runtimes that import everything whether they use it or not (Go, some Rust programs) name the stand-ins they accept as
capabilities of the task; each is deterministic and none is a source:

* `fixed_clock`: `clock_time_get` and `clock_res_get` answer constants; time stands still.
* `seeded_random`: `random_get` answers a stream derived from module and input, the same on every executor. Not secret.
* `absent_files`: file, polling and socket calls link and answer "not capable".
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate.errors import ForbiddenImport, InvalidField, MalformedModule, MissingEntry
from quorate.execute.engine import COMMAND, PROFILES, PURE, Task
from quorate.execute.wasm.linking import foreign_imports
from quorate.execute.wasm.sections import NUMBERS_FORMAT, Outline, Signature
from quorate.execute.wasm.wasi import BASE_CALLS, CALL_SIGNATURES, CAPABILITY_CALLS, MODULE

ENTRY_DEFAULT = {PURE: "run", COMMAND: "_start"}
BUFFER_ENTRY = Signature(("i32", "i32"), ("i64",))
ALLOC = Signature(("i32",), ("i32",))
NOTHING = Signature((), ())
NUMBERS = frozenset(NUMBERS_FORMAT)
CAPABILITIES = frozenset(CAPABILITY_CALLS)
ARGUMENTS_MAX = 1_024
ARGUMENT_BYTES_MAX = 65_536


def entry_of(task: Task) -> str:
    return task.entry or ENTRY_DEFAULT[task.profile]


def takes_buffer(outline: Outline, entry: str) -> bool:
    return outline.function_named(entry) == BUFFER_ENTRY


def admit(outline: Outline, task: Task) -> None:
    """Raises the UserError that says why this module cannot run as this task, or returns."""
    check_program(outline, task.profile, task.entry, task.capabilities)
    entry = entry_of(task)
    if task.profile == PURE:
        if task.args:
            raise InvalidField("the pure profile takes no arguments", field="args", fix="use the command profile")
        if task.stdin and not takes_buffer(outline, entry):
            raise InvalidField(f"{entry} takes no input", field="input", fix=f"export {entry} as {BUFFER_ENTRY}")
    _check_arguments(task.args)


def check_program(outline: Outline, profile: str, entry: str = "", capabilities: Iterable[str] = ()) -> None:
    """The part of `admit` that needs no input: for the client, before anything is sealed."""
    if profile not in PROFILES:
        raise InvalidField(f"{profile!r} is no profile", field="profile", limit=", ".join(PROFILES))
    granted = frozenset(capabilities)
    if granted - CAPABILITIES:
        unknown = ", ".join(sorted(granted - CAPABILITIES))
        raise InvalidField(f"unknown: {unknown}", field="capabilities", limit=", ".join(sorted(CAPABILITIES)))
    if profile == PURE:
        _check_pure(outline, entry or ENTRY_DEFAULT[PURE], granted)
    else:
        _check_command(outline, entry or ENTRY_DEFAULT[COMMAND], granted)


def _check_pure(outline: Outline, entry: str, granted: frozenset[str]) -> None:
    if granted:
        raise InvalidField("the pure profile has none", field="capabilities", fix="use the command profile")
    for item in foreign_imports(outline):
        fix = "use the command profile" if item.module == MODULE else "build the module without imports"
        raise ForbiddenImport(
            f"the pure profile grants no imports, found {item.module}.{item.name}", field="module", fix=fix
        )
    signature = _entry(outline, entry)
    if signature == BUFFER_ENTRY:
        if outline.function_named("alloc") != ALLOC:
            raise MissingEntry(
                "an entry that takes input needs `alloc`", field="module", fix=f"export alloc as {ALLOC}"
            )
        _check_memory(outline)
    elif signature.params or not NUMBERS.issuperset(signature.results):
        raise MissingEntry(
            f"{entry} has the type {signature}", field="entry", limit=f"{BUFFER_ENTRY} or () -> (numbers)"
        )


def _check_command(outline: Outline, entry: str, granted: frozenset[str]) -> None:
    allowed = BASE_CALLS.union(*(CAPABILITY_CALLS[name] for name in granted))
    for item in foreign_imports(outline):
        if item.module != MODULE or item.name not in allowed:
            raise ForbiddenImport(
                f"the command profile does not grant {item.module}.{item.name}",
                field="module",
                fix=_import_fix(item.name),
            )
        if item.signature != CALL_SIGNATURES[item.name]:
            raise MalformedModule(f"import {item.module}.{item.name} has the wrong type", field="module")
    if _entry(outline, entry) != NOTHING:
        raise MissingEntry(f"{entry} has the wrong type", field="entry", limit=str(NOTHING))
    _check_memory(outline)


def _entry(outline: Outline, entry: str) -> Signature:
    signature = outline.function_named(entry)
    if signature is None:
        functions = [name for name, (kind, _) in outline.exports.items() if kind == "func"]
        shown = ", ".join(name[:40] for name in functions[:5]) or "no functions"
        raise MissingEntry(f"the module does not export {entry[:80]!r}", field="entry", fix=f"it exports {shown}")
    return signature


def _check_memory(outline: Outline) -> None:
    if outline.exports.get("memory", ("", 0))[0] != "memory":
        raise MissingEntry("the module does not export its memory", field="module", fix="export it as `memory`")


def _import_fix(name: str) -> str:
    for capability, calls in CAPABILITY_CALLS.items():
        if name in calls:
            return f"grant the capability {capability} or build without it"
    return "build the module without it"


def _check_arguments(args: tuple[str, ...]) -> None:
    if len(args) > ARGUMENTS_MAX or sum(len(item.encode()) + 1 for item in args) > ARGUMENT_BYTES_MAX:
        limit = f"{ARGUMENTS_MAX} arguments, {ARGUMENT_BYTES_MAX} bytes"
        raise InvalidField("too many or too long", field="args", limit=limit)
    if any("\0" in item for item in args):
        raise InvalidField("an argument holds a NUL byte", field="args")
