"""Linear memory for one guest at a time, allocated here instead of by the engine, so that a refused growth is seen.

The engine's own limiter answers a refused `memory.grow` with -1 and tells nobody. Whether a later trap was the memory
limit's doing would then be a guess. Here the growth itself passes through our hands: `refused` says that the guest
asked for more than its limit, and `host_failed` that this machine could not deliver what the limit allows (then the
run is a failure, never a vote).

Layout: one private mapping, [guard | reserved | guard], inaccessible at first; the guest's pages become readable and
writable as it grows. The engine elides bounds checks on the strength of the sizes it asked for, so they are honoured
exactly or not at all.
"""

from __future__ import annotations

import ctypes
import mmap

PAGE_BYTES = mmap.PAGESIZE
_PROT_NONE, _PROT_READ_WRITE = 0, 3
_MAP_PRIVATE, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x2, 0x20, 0x4000
_MAP_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_munmap = _libc.munmap
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_mprotect = _libc.mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class MemoryRefused(Exception):
    """The engine turns it into a failed instantiation or into -1 for the guest."""


class LinearMemory:
    """The memory of the run under way. `begin` forgets the last one; the engine creates, grows and frees it through
    us.
    """

    def __init__(self) -> None:
        self._mapped: dict[int, tuple[int, int]] = {}
        self._serial = 0
        self.begin(0)

    def begin(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.address = 0
        self.size = 0
        self.capacity = 0
        self.refused = False
        self.host_failed = False

    def create(self, minimum: int, reserved: int, guard: int) -> int:
        """Maps a new memory of `minimum` bytes and returns its handle."""
        if minimum > self.limit_bytes:
            self.refused = True
            raise MemoryRefused("the declared minimum is above the limit")
        capacity = _whole_pages(max(reserved, self.limit_bytes))
        guard = _whole_pages(guard)
        total = capacity + 2 * guard
        base = _mmap(None, total, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1, 0)
        if base == _MAP_FAILED:
            self.host_failed = True
            raise MemoryRefused("the host has no address space left")
        self._serial += 1
        self._mapped[self._serial] = (base, total)
        self.address, self.size, self.capacity = base + guard, 0, capacity
        self._commit(minimum)
        return self._serial

    def grow(self, size: int) -> None:
        """Makes the memory `size` bytes long, or raises and leaves it as it is."""
        if size > self.limit_bytes:
            self.refused = True
            raise MemoryRefused("above the limit")
        self._commit(size)

    def release(self, handle: int) -> None:
        base, total = self._mapped.pop(handle)
        _munmap(base, total)

    def read(self, pointer: int, size: int) -> bytes | None:
        """The bytes [pointer, pointer + size), or None when they are not all inside the memory."""
        if pointer < 0 or size < 0 or pointer + size > self.size:
            return None
        return ctypes.string_at(self.address + pointer, size)

    def write(self, pointer: int, data: bytes) -> bool:
        if pointer < 0 or pointer + len(data) > self.size:
            return False
        ctypes.memmove(self.address + pointer, data, len(data))
        return True

    def _commit(self, size: int) -> None:
        if size > self.size and _mprotect(self.address, _whole_pages(size), _PROT_READ_WRITE) != 0:
            self.host_failed = True
            raise MemoryRefused("the host has no memory left")
        self.size = size


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES
