"""The wasmtime engine for programs: with the one for contracts, `contract_wasm/engine.py`, which stands on it, the only
file that runs foreign modules. Bytecode contracts have theirs, in `bytecode/`.

One `WasmtimeEngine` lives in one worker process and runs one guest at a time, each in a store of its own, so that
nothing of a run is there for the next. It is built for repeatable outcomes: fuel on, NaN canonicalisation on (modules
without floats compile to the same code with and without), relaxed SIMD in its deterministic form, threads, shared
memory, garbage collection and other late proposals off.

How a run ends (the rule is part of the engine version, votes depend on it):

* `memory_limit`: the declared minimum is above the limit; or a growth was refused by the limit at any time and the
  run then trapped with `unreachable` (what allocators and panics do when memory is gone) or out of bounds (using
  memory that was not given). A program that copes with the refusal, or exits by itself, is not affected.
* Fuel billed: what was used, when the run returned, exited or met `unreachable` (the engine has an exact figure
  then). Any other trap is billed the whole budget: wasmtime keeps fuel in a register between calls and may report
  none used at the time of a trap.
* Stack overflow depends on the compiler, so it is a failure and no vote.

Host facts that shaped this file (each has a test in tests/hostile): wasmtime aborts the process when `max_wasm_stack`
is above 2 MiB; bytes that are no module would be read as WAT text; the engine deadlocks in a child forked after a
parallel compilation; host functions that raise can disturb other threads; a store takes no falsy data.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import blake3
import msgspec
import wasmtime
from wasmtime import _bindings as bindings

from quorate.errors import MalformedModule
from quorate.execute.engine import COMMAND, WASM_PAGE_BYTES, Limits, Task
from quorate.execute.wasm import policy, wasi
from quorate.execute.wasm.guard import DEFAULT as GUARD_DEFAULT
from quorate.execute.wasm.guard import GuardLimits, inspect, inspect_together
from quorate.execute.wasm.linear_memory import LinearMemories
from quorate.execute.wasm.linking import IMPORT_FUEL, LIBRARY_FUEL, dependency_named, link_fuel, link_order
from quorate.execute.wasm.memory_creator import creator_of
from quorate.execute.wasm.sections import NUMBERS_FORMAT, Outline
from quorate.model.trap import Status
from quorate.model.units import Digest

MAX_WASM_STACK_BYTES = 512 * 1024
ADDRESS_SPACE_WIDE_BYTES = 128 << 30
"""With less address space than this the memories are laid out compactly: same results, slower loads and stores. Each
memory takes 4 GiB of it, and a program of many modules has as many memories."""

SETTINGS: dict[str, Any] = {
    "consume_fuel": True,
    "cranelift_nan_canonicalization": True,
    "cranelift_opt_level": "speed",
    "max_wasm_stack": MAX_WASM_STACK_BYTES,
    "wasm_relaxed_simd": True,
    "wasm_relaxed_simd_deterministic": True,
    "wasm_threads": False,
    "shared_memory": False,
    "wasm_memory64": False,
    "wasm_multi_memory": False,
    "wasm_exceptions": False,
    "wasm_stack_switching": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "gc_support": False,
    "wasm_wide_arithmetic": False,
    "wasm_custom_page_sizes": False,
}
HOST_SETTINGS: dict[str, Any] = {"parallel_compilation": False, "epoch_interruption": False, "memory_init_cow": False}
"""Not seen by outcomes. Copy-on-write images are off because the engine aborts when one meets a memory that is not
its own.
"""
COMPACT_SETTINGS: dict[str, Any] = {"memory_reservation": 0, "memory_guard_size": 65_536}
TABLE_ELEMENTS_MAX = GUARD_DEFAULT.table_elements
TABLES_MAX = GUARD_DEFAULT.tables

_TRAPS = {
    "OUT_OF_FUEL": Status.OUT_OF_FUEL,
    "UNREACHABLE": Status.UNREACHABLE,
    "MEMORY_OUT_OF_BOUNDS": Status.OUT_OF_BOUNDS,
    "TABLE_OUT_OF_BOUNDS": Status.OUT_OF_BOUNDS,
    "INTEGER_DIVISION_BY_ZERO": Status.DIVISION_BY_ZERO,
    "INTEGER_OVERFLOW": Status.INTEGER_OVERFLOW,
    "BAD_CONVERSION_TO_INTEGER": Status.BAD_CONVERSION,
    "INDIRECT_CALL_TO_NULL": Status.INDIRECT_CALL,
    "BAD_SIGNATURE": Status.INDIRECT_CALL,
    "STACK_OVERFLOW": Status.NATIVE_STACK_OVERFLOW,
}
_MEMORY_TRAPS = (Status.UNREACHABLE, Status.OUT_OF_BOUNDS)


class HostFault(Exception):
    """This machine, not the guest, is the reason that the run cannot go on. The worker ends; the run is a failure."""


class Program(NamedTuple):
    """A compiled module and its outline; `linked` when it imports from no dependency. `libraries` are the dependencies
    of one that is about to run, in the order in which they are instantiated."""

    outline: Outline
    module: wasmtime.Module
    linked: wasmtime.InstancePre | None
    libraries: tuple[tuple[Digest, Program], ...] = ()
    link_fuel: int = 0

    @property
    def memory_bytes_min(self) -> int:
        """What all of its memories have at their beginning."""
        outlines = (self.outline, *(library.outline for _, library in self.libraries))
        return sum(outline.memory_pages_min for outline in outlines) * WASM_PAGE_BYTES


Libraries: TypeAlias = Mapping[Digest, Program]
"""Compiled dependencies by the digests of their modules."""
NO_LIBRARIES: Libraries = MappingProxyType({})


class Ended(NamedTuple):
    """How a run ended, without what only the worker can measure."""

    status: Status
    fuel_used: int
    output: bytes = b""
    log: bytes = b""
    exit_code: int = 0
    guest_memory_bytes: int = 0


class _Stop(Exception):
    """Ends a run between two calls of the guest, at the host's side of the buffer convention."""

    def __init__(self, status: Status) -> None:
        self.status = status


def engine_version() -> str:
    """The version that outcomes and fuel depend on: wasmtime's own, and a digest of every setting of ours that they
    see.
    """
    ours = {
        "prices": [wasi.CALL_FUEL, wasi.VECTOR_FUEL],
        "tables": [TABLES_MAX, TABLE_ELEMENTS_MAX],
        "links": [LIBRARY_FUEL, IMPORT_FUEL],
    }
    seen = {**SETTINGS, **ours}
    digest = blake3.blake3(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
    return f"wasmtime-{wasmtime_version()}+{digest}"


def wasmtime_version() -> str:
    """Read from the name of the package's metadata folder: importing importlib.metadata would double a worker's
    start-up time.
    """
    prefix, suffix = "wasmtime-", ".dist-info"
    for name in os.listdir(os.path.dirname(os.path.dirname(wasmtime.__file__))):
        if name.startswith(prefix) and name.endswith(suffix):
            return name[len(prefix) : -len(suffix)]
    from importlib.metadata import version

    return version("wasmtime")


def address_space_is_wide() -> bool:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft == resource.RLIM_INFINITY or soft >= ADDRESS_SPACE_WIDE_BYTES


def layout_name() -> str:
    """Compiled code depends on the memory layout, so cached artefacts are kept apart by this name."""
    return "wide" if address_space_is_wide() else "compact"


def wat_to_wasm(text: str) -> bytes:
    """The binary of a module in text form. For the author's own text, on the author's own machine. Raises
    MalformedModule.
    """
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as fault:
        first = str(fault).strip().splitlines()[0]
        raise MalformedModule(f"the text is not a module: {first}", field="module") from None


class WasmtimeEngine:
    """Compiles modules and runs tasks. Not thread-safe: one guest at a time."""

    def __init__(self, guard: GuardLimits = GUARD_DEFAULT) -> None:
        self.guard = guard
        self.version = engine_version()
        self.artefact_kind = f"{self.version} {layout_name()} {platform.machine()}"
        self._memory = LinearMemories()
        self._creator = creator_of(self._memory)
        self._engine = wasmtime.Engine(_config(self._creator))
        self._session: wasi.Session | None = None
        self._linker = self._wasi_linker()

    @property
    def native(self) -> wasmtime.Engine:
        """For what runs on the same engine in another way: contracts."""
        return self._engine

    @property
    def memory(self) -> LinearMemories:
        """Of the one guest that runs."""
        return self._memory

    def validate(self, module: bytes) -> Outline:
        """Checks `module` without compiling it. Raises TooLarge, NotWasm or MalformedModule."""
        outline = inspect(module, self.guard)
        try:
            wasmtime.Module.validate(self._engine, module)
        except wasmtime.WasmtimeError as fault:
            raise _malformed(fault) from None
        return outline

    def compile(self, module: bytes) -> Program:
        """Raises TooLarge, NotWasm or MalformedModule. May take long: the caller holds a clock over this process."""
        outline = inspect(module, self.guard)
        try:
            return self._program(outline, wasmtime.Module(self._engine, module))
        except wasmtime.WasmtimeError as fault:
            raise _malformed(fault) from None

    def load(self, module: bytes, artefact: bytes) -> Program:
        """Like `compile`, from an artefact of this engine. The caller vouches for it: it is native code that nothing
        checks again.
        """
        outline = inspect(module, self.guard)
        return self._program(outline, wasmtime.Module.deserialize(self._engine, artefact))

    def artefact(self, program: Program) -> bytes:
        return bytes(program.module.serialize())

    def link(self, program: Program, digest: Digest, dependencies: Libraries) -> Program:
        """The program that runs: with its dependencies, all of them, in their order. `digest` is that of its module.
        Raises what `link_order` raises, and TooLarge."""
        if program.linked is not None and not dependencies:
            return program
        outlines = {name: library.outline for name, library in dependencies.items()}
        order = link_order(digest, program.outline, outlines)
        inspect_together((program.outline, *outlines.values()), self.guard)
        return program._replace(
            libraries=tuple((name, dependencies[name]) for name in order),
            link_fuel=link_fuel(program.outline, outlines.values()),
        )

    def run(self, program: Program, task: Task, dependencies: Libraries = NO_LIBRARIES) -> Ended:
        """Runs `task` in a fresh store. Raises UserError when the profile does not admit it or its modules do not fit
        together, HostFault when this machine fails.
        """
        policy.admit(program.outline, task)
        return self._run(self.link(program, task.digest, dependencies), task)

    def run_each(
        self, program: Program, task: Task, inputs: Sequence[bytes], dependencies: Libraries = NO_LIBRARIES
    ) -> Iterator[Ended]:
        """Runs `task` with each input in turn, each in a fresh store. Raises like `run`, before the first of them."""
        longest = max(inputs, key=len, default=b"")
        policy.admit(program.outline, msgspec.structs.replace(task, stdin=longest))
        linked = self.link(program, task.digest, dependencies)
        for stdin in inputs:
            yield self._run(linked, msgspec.structs.replace(task, stdin=stdin))

    def _run(self, program: Program, task: Task) -> Ended:
        limits = task.limits
        if program.memory_bytes_min > limits.memory_bytes:
            return Ended(Status.MEMORY_LIMIT, 0)
        if program.link_fuel > limits.fuel:
            return Ended(Status.OUT_OF_FUEL, limits.fuel)
        self._memory.begin(limits.memory_bytes, program.memory_bytes_min)
        store = wasmtime.Store(self._engine)
        try:
            parts = 1 + len(program.libraries)
            store.set_limits(table_elements=TABLE_ELEMENTS_MAX, instances=parts, tables=TABLES_MAX, memories=parts)
            store.set_fuel(limits.fuel + wasi.FUEL_RESERVE - program.link_fuel)
            ended = self._command(store, program, task) if task.profile == COMMAND else self._pure(store, program, task)
        finally:
            self._session = None
            store.close()
        if self._memory.host_failed:
            raise HostFault("this machine could not deliver the memory that the limit allows")
        return ended._replace(guest_memory_bytes=self._memory.held_bytes)

    def _pure(self, store: wasmtime.Store, program: Program, task: Task) -> Ended:
        try:
            output = self._call_pure(store, program, task)
        except wasmtime.Trap as trap:
            return self._trapped(store, trap, task.limits)
        except _Stop as stop:
            return _within(task.limits, Ended(self._blame_memory(stop.status), _used(store, task.limits)))
        except wasmtime.WasmtimeError as fault:
            raise HostFault(f"the engine failed: {str(fault)[:200]}") from None
        return _within(task.limits, Ended(Status.SUCCESS, _used(store, task.limits), output))

    def _call_pure(self, store: wasmtime.Store, program: Program, task: Task) -> bytes:
        instance = self._instantiate(store, program)
        outline, entry = program.outline, policy.entry_of(task)
        if outline.function_named("_initialize") == policy.NOTHING and entry != "_initialize":
            _call(store, instance, "_initialize", (), 0)
        if not policy.takes_buffer(outline, entry):
            signature = outline.function_named(entry)
            assert signature is not None
            exports: Any = instance.exports(store)
            return _little_endian(signature.results, exports[entry](store))
        pointer = _call(store, instance, "alloc", (len(task.stdin),), 1).i32 & 0xFFFFFFFF
        if not self._memory.write(pointer, task.stdin):
            raise _Stop(Status.OUT_OF_BOUNDS)
        packed = _call(store, instance, entry, (pointer, len(task.stdin)), 1).i64 & 0xFFFFFFFFFFFFFFFF
        pointer, size = packed >> 32, packed & 0xFFFFFFFF
        if size > task.limits.output_bytes:
            raise _Stop(Status.OUTPUT_LIMIT)
        output = self._memory.read(pointer, size)
        if output is None:
            raise _Stop(Status.OUT_OF_BOUNDS)
        return output

    def _command(self, store: wasmtime.Store, program: Program, task: Task) -> Ended:
        seed = task.digest + blake3.blake3(task.stdin).digest() if task.capabilities else b""
        name = (task.digest.hex()[:16],)
        session = wasi.Session(name + task.args, task.stdin, task.limits.output_bytes, task.limits.log_bytes, seed)
        session.attach(store, self._memory)
        self._session = session
        try:
            exports: Any = self._instantiate(store, program).exports(store)
            exports[policy.entry_of(task)](store)
            ended = _within(task.limits, Ended(Status.SUCCESS, _used(store, task.limits)))
        except wasmtime.Trap as trap:
            ended = self._trapped(store, trap, task.limits)
        except wasmtime.WasmtimeError as fault:
            raise HostFault(f"the engine failed: {str(fault)[:200]}") from None
        ended = _session_end(session, task.limits) or ended
        kept = bytes(session.output) if ended.status in (Status.SUCCESS, Status.NONZERO_EXIT) else b""
        return ended._replace(output=kept, log=bytes(session.log))

    def _instantiate(self, store: wasmtime.Store, program: Program) -> wasmtime.Instance:
        """Brings the libraries to life, each once and each initialised, then the program itself."""
        alive: dict[Digest, wasmtime.Instance] = {}
        for digest, library in program.libraries:
            alive[digest] = self._instance(store, library, alive)
            if library.outline.function_named("_initialize") == policy.NOTHING:
                _call(store, alive[digest], "_initialize", (), 0)
        return self._instance(store, program, alive)

    def _instance(
        self, store: wasmtime.Store, program: Program, alive: Mapping[Digest, wasmtime.Instance]
    ) -> wasmtime.Instance:
        if program.linked is not None:
            return program.linked.instantiate(store)
        imports = []
        for item in program.outline.imports:
            digest = dependency_named(item.module)
            if digest is None:
                imports.append(self._linker.get(store, item.module, item.name))
            else:
                imports.append(wasmtime.Func._from_raw(_export(store, alive[digest], item.name).of.func))
        return wasmtime.Instance(store, program.module, imports)

    def _trapped(self, store: wasmtime.Store, trap: wasmtime.Trap, limits: Limits) -> Ended:
        code = trap.trap_code
        status = _TRAPS.get(code.name) if code is not None else None
        if status is None:
            raise HostFault(f"the engine trapped in a way that has no name here: {trap.message[:200]}")
        used = _used(store, limits) if status is Status.UNREACHABLE else limits.fuel
        return _within(limits, Ended(self._blame_memory(status), used))

    def _blame_memory(self, status: Status) -> Status:
        return Status.MEMORY_LIMIT if self._memory.refused and status in _MEMORY_TRAPS else status

    def _program(self, outline: Outline, module: wasmtime.Module) -> Program:
        imports = {(item.module, item.name) for item in outline.imports}
        linkable = all(module_name == wasi.MODULE and name in wasi.CALL_SIGNATURES for module_name, name in imports)
        # A module whose imports no profile grants is refused by `admit` with its reason; there is nothing to link.
        correct = linkable and all(item.signature == wasi.CALL_SIGNATURES[item.name] for item in outline.imports)
        return Program(outline, module, self._linker.instantiate_pre(module) if correct else None)

    def _wasi_linker(self) -> wasmtime.Linker:
        linker = wasmtime.Linker(self._engine)
        for name, signature in wasi.CALL_SIGNATURES.items():
            kinds = [[getattr(wasmtime.ValType, kind)() for kind in side] for side in signature]
            linker.define_func(wasi.MODULE, name, wasmtime.FuncType(*kinds), self._wasi_call(name))
        return linker

    def _wasi_call(self, name: str) -> Any:
        def call(*operands: int) -> int | None:
            session = self._session
            answer = session.call(name, *operands) if session is not None else wasi.IO
            return None if name == "proc_exit" else answer

        return call


def _used(store: wasmtime.Store, limits: Limits) -> int:
    return limits.fuel + wasi.FUEL_RESERVE - store.get_fuel()


def _within(limits: Limits, ended: Ended) -> Ended:
    """The engine looks at the fuel in loops and calls only: a straight end may lie beyond the budget, and is then no
    end.
    """
    return ended if ended.fuel_used <= limits.fuel else Ended(Status.OUT_OF_FUEL, limits.fuel)


def _session_end(session: wasi.Session, limits: Limits) -> Ended | None:
    """What the session says about the end, which outranks the trap that it provoked by taking the fuel away."""
    used = limits.fuel + wasi.FUEL_RESERVE - session.fuel_left
    if session.ending is None:
        return None
    if session.ending is wasi.Ending.EXIT:
        status = Status.NONZERO_EXIT if session.exit_code else Status.SUCCESS
        return Ended(status, used, exit_code=session.exit_code)
    if session.ending is wasi.Ending.OUTPUT_LIMIT:
        return Ended(Status.OUTPUT_LIMIT, used)
    if session.ending is wasi.Ending.OUT_OF_FUEL:
        return Ended(Status.OUT_OF_FUEL, limits.fuel)
    raise HostFault("a host call failed")


def _malformed(fault: wasmtime.WasmtimeError) -> MalformedModule:
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return MalformedModule(f"the module does not validate: {lines[-1][:200] if lines else 'no reason'}", field="module")


def _signed_32(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _export(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> Any:
    """One export; the package makes objects of all of them to give one."""
    item, word = bindings.wasmtime_extern_t(), name.encode()
    if not bindings.wasmtime_instance_export_get(store._context(), instance._instance, word, len(word), item):
        raise HostFault(f"the engine does not find {name[:80]!r}")
    return item


def _call(
    store: wasmtime.Store, instance: wasmtime.Instance, name: str, operands: tuple[int, ...], results: int
) -> Any:
    """Calls an export whose type is known to be 32-bit numbers and one result at most: the union that holds it.

    The package asks for the function's type and wraps each number on every call, at twice the cost of a whole small
    run. Raises Trap and WasmtimeError as it does.
    """
    item = _export(store, instance, name)
    # Kind 0, which fresh values have, is a 32-bit integer (wasmtime C API, val.h: WASMTIME_I32).
    given, answer = (bindings.wasmtime_val_t * len(operands))(), bindings.wasmtime_val_t()
    for value, operand in zip(given, operands, strict=True):
        value.of.i32 = _signed_32(operand)
    trap = ctypes.POINTER(bindings.wasm_trap_t)()
    error = bindings.wasmtime_func_call(store._context(), item.of.func, given, len(operands), answer, results, trap)
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)
    if trap:
        raise wasmtime.Trap._from_ptr(trap)
    return answer.of


def _little_endian(kinds: tuple[str, ...], values: Any) -> bytes:
    """Results as bytes; NaNs in their canonical form, since a payload does not survive the way through the host."""
    listed = values if len(kinds) > 1 else [values] if kinds else []
    parts = []
    for kind, value in zip(kinds, listed, strict=True):
        if value != value:
            value = float("nan")
        parts.append(struct.pack(NUMBERS_FORMAT[kind], value))
    return b"".join(parts)


def _config(creator: Any) -> wasmtime.Config:
    config = wasmtime.Config()
    compact = {} if address_space_is_wide() else COMPACT_SETTINGS
    for name, value in {**SETTINGS, **HOST_SETTINGS, **compact}.items():
        setattr(config, name, value)
    bindings.wasmtime_config_host_memory_creator_set(config.ptr(), ctypes.byref(creator))
    return config
