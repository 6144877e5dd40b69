"""Runs contracts on the C machine, compiled to WebAssembly (`mhr.wasm`, built by `device/build_wasm.py`).

It gives the outcomes of the reference, some hundred times faster. One instance serves run after run. It keeps nothing:
the machine has no variables of its own, clears a contract's memory before each run, and reads only what it has written
in the same run. A run that asks for more memory than there is starts again with more.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any, Final

import wasmtime
from wasmtime import _bindings as bindings

from quorate.execute.bytecode.flat import (
    ANSWER_BYTES,
    NeedsRoom,
    answer_size,
    decode_answer,
    encode_request,
)
from quorate.execute.bytecode.host import Call, Context, EngineFault, Outcome
from quorate.execute.bytecode.state import State
from quorate.execute.engine import WASM_PAGE_BYTES
from quorate.execute.wasm.wasmtime_engine import COMPACT_SETTINGS, HOST_SETTINGS, address_space_is_wide
from quorate.model.units import MIB

MODULE: Final = Path(__file__).with_name("mhr.wasm")
AREA_BYTES_FIRST: Final = MIB
AREA_BYTES_MAX: Final = 1024 * MIB
KEPT_BYTES_MAX: Final = 64 * MIB
"""An instance that a run made larger than this is replaced after it."""
_ALIGNMENT: Final = 8
_HEAD: Final = struct.Struct("<II")
"""Size of the request, size of the area; see device/freestanding/wasm.c."""


def _config() -> wasmtime.Config:
    config = wasmtime.Config()
    compact = {} if address_space_is_wide() else COMPACT_SETTINGS
    for name, value in {**HOST_SETTINGS, **compact}.items():
        setattr(config, name, value)
    return config


class MachineEngine:
    """Runs one contract at a time. Not thread-safe."""

    def __init__(self, module: bytes = b"") -> None:
        """`module` are the bytes of `mhr.wasm`, for whoever may not read the file."""
        self._engine = wasmtime.Engine(_config())
        self._module = wasmtime.Module(self._engine, module or MODULE.read_bytes())
        self._begin()

    def _begin(self) -> None:
        self._seen = memoryview(b"")
        self._store = wasmtime.Store(self._engine)
        exports: Any = wasmtime.Instance(self._store, self._module, []).exports(self._store)
        self._memory, self._entry = exports["memory"], exports["answer"]._func
        self._base: int = exports["__heap_base"].value(self._store)
        self._look()

    def _look(self) -> None:
        """The memory as it is now. It moves only when it grows, and only `_provide` makes it grow: to look for it at
        each access would take a third of a small contract's time."""
        self._seen = memoryview(self._memory.get_buffer_ptr(self._store)).cast("B")

    @property
    def memory_bytes(self) -> int:
        """What the instance holds now."""
        return len(self._seen)

    def run(
        self, container: bytes, call: Call, state: State | None, context: Context, address: bytes | None = None
    ) -> Outcome:
        """Loads, verifies and runs, as `load` and `run` of the reference do. Raises BadContract, UnknownFunction,
        WrongArguments, TooLarge, and EngineFault when this machine has not the memory."""
        request = encode_request(container, call, state, context, address)
        area_bytes = AREA_BYTES_FIRST
        while area_bytes <= AREA_BYTES_MAX:
            try:
                return decode_answer(self._answer(request, area_bytes))
            except NeedsRoom as needed:
                area_bytes = max(2 * area_bytes, needed.size)
            finally:
                self._shrink()
        raise EngineFault(f"the run needs more than {AREA_BYTES_MAX} bytes of working area")

    def _answer(self, request: bytes, area_bytes: int) -> bytes:
        sent = bytearray(_HEAD.pack(len(request), area_bytes) + request)
        area_at = self._base + len(sent) + -len(sent) % _ALIGNMENT
        self._provide(area_at + area_bytes)
        self._seen[self._base : self._base + len(sent)] = sent
        try:
            at = self._enter()
        except wasmtime.Trap as trap:
            self._begin()
            raise EngineFault(f"the machine failed: {str(trap)[:200]}") from None
        end = area_at + area_bytes
        if not area_at <= at <= end - ANSWER_BYTES:
            raise EngineFault("the answer lies outside of its area")
        size = answer_size(bytes(self._seen[at : at + ANSWER_BYTES]))
        if size > end - at:
            raise EngineFault("the answer is larger than its area")
        return bytes(self._seen[at : at + size])

    def _enter(self) -> int:
        """Calls `answer`, which has no parameters and one 32-bit result. The package would ask for its type each time,
        at the cost of the run of a small contract. Raises Trap and WasmtimeError as it does."""
        result, trap = bindings.wasmtime_val_t(), ctypes.POINTER(bindings.wasm_trap_t)()
        error = bindings.wasmtime_func_call(self._store._context(), self._entry, None, 0, result, 1, trap)
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        if trap:
            raise wasmtime.Trap._from_ptr(trap)
        return int(result.of.i32) & 0xFFFF_FFFF

    def _provide(self, size: int) -> None:
        missing = size - self.memory_bytes
        if missing <= 0:
            return
        try:
            self._memory.grow(self._store, -(-missing // WASM_PAGE_BYTES))
        except wasmtime.WasmtimeError:
            raise EngineFault(f"this machine could not give {size} bytes of memory") from None
        self._look()

    def _shrink(self) -> None:
        if self.memory_bytes > KEPT_BYTES_MAX:
            self._begin()
