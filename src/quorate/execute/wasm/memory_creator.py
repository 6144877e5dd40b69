"""The door through which wasmtime asks for memory: C callbacks around `LinearMemories`."""

from __future__ import annotations

import ctypes
from typing import Any

from wasmtime import _bindings as bindings

from quorate.execute.wasm.linear_memory import LinearMemories, MemoryRefused


def creator_of(memories: LinearMemories) -> Any:
    """The engine's door to `memories` (wasmtime C API, config.h: wasmtime_memory_creator_t). Callbacks return errors,
    never raise.
    """

    def failure(reason: str) -> int:
        error = bindings.wasmtime_error_new(ctypes.create_string_buffer(reason.encode()))
        return ctypes.cast(error, ctypes.c_void_p).value or 0

    @bindings.wasmtime_memory_get_callback_t  # type: ignore[untyped-decorator]
    def get(handle: int, size: Any, capacity: Any) -> int:
        region = memories.region(handle)
        size[0], capacity[0] = region.size, region.capacity
        return region.address

    @bindings.wasmtime_memory_grow_callback_t  # type: ignore[untyped-decorator]
    def grow(handle: int, size: int) -> int:
        try:
            memories.grow(handle, size)
        except MemoryRefused as refusal:
            return failure(str(refusal))
        except BaseException:
            memories.host_failed = True
            return failure("the host failed")
        return 0

    finalizer_type: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

    @finalizer_type  # type: ignore[untyped-decorator]
    def release(handle: int) -> None:
        memories.release(handle)

    @bindings.wasmtime_new_memory_callback_t  # type: ignore[untyped-decorator]
    def create(*call: Any) -> int:
        # The C signature: environment, memory type, minimum, maximum, reserved, guard, where to put the memory.
        _, _, minimum, _, reserved, guard, slot = call
        try:
            handle = memories.create(minimum, reserved, guard)
        except MemoryRefused as refusal:
            return failure(str(refusal))
        except BaseException:
            memories.host_failed = True
            return failure("the host failed")
        door = slot.contents
        door.env, door.get_memory, door.grow_memory, door.finalizer = handle, get, grow, release
        return 0

    creator: Any = bindings.wasmtime_memory_creator_t()
    creator.env = 0
    creator.new_memory = create
    creator.finalizer = ctypes.cast(0, finalizer_type)
    # ctypes does not keep callbacks alive that only native code points to.
    creator.kept = (get, grow, release, create)
    return creator
