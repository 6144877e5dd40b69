"""Linear memories for one guest at a time, allocated here instead of by the engine, so that a refused growth is seen.

The engine's own limiter answers a refused `memory.grow` with -1 and tells nobody. Whether a later trap was the memory
limit's doing would then be a guess. Here the growth itself passes through our hands: `refused` says that the guest
asked for more than its limit, and `host_failed` that this machine could not deliver what the limit allows (then the
run is a failure, never a vote).

A program of several modules has a memory for each that declares one; the limit is for all of them together. What they
declare as their minimum is set aside before any of them runs, so that no start function can take it from the others.

Layout of each: one private mapping, [guard | reserved | guard], inaccessible at first; the guest's pages become
readable and writable as it grows. The engine elides bounds checks on the strength of the sizes it asked for, so they
are honoured exactly or not at all.
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


class Region:
    """Where one memory lies: its first byte, what the guest has of it, what it may come to have."""

    __slots__ = ("address", "base", "capacity", "mapped_bytes", "size")

    def __init__(self, base: int, mapped_bytes: int, guard: int) -> None:
        self.base, self.mapped_bytes = base, mapped_bytes
        self.address = base + guard
        self.capacity = mapped_bytes - 2 * guard
        self.size = 0


class LinearMemories:
    """The memories of the run under way. `begin` forgets the last one; the engine creates, grows and frees them through
    us. `held_bytes` is what the run holds of its limit."""

    def __init__(self) -> None:
        self._regions: dict[int, Region] = {}
        self._serial = 0
        self.begin(0, 0)

    def begin(self, limit_bytes: int, minimum_bytes: int) -> None:
        """Of a run that may hold `limit_bytes`, `minimum_bytes` of them from its beginning."""
        self.limit_bytes = limit_bytes
        self.held_bytes = minimum_bytes
        self.refused = False
        self.host_failed = False
        self._newest: Region | None = None

    def create(self, minimum: int, reserved: int, guard: int) -> int:
        """Maps a new memory of `minimum` bytes, set aside by `begin`, and returns its handle."""
        if minimum > self.held_bytes:
            self.refused = True
            raise MemoryRefused("the declared minimum was not set aside")
        guard = _whole_pages(guard)
        total = _whole_pages(max(reserved, self.limit_bytes)) + 2 * guard
        base = _mmap(None, total, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE, -1, 0)
        if base == _MAP_FAILED:
            self.host_failed = True
            raise MemoryRefused("the host has no address space left")
        self._serial += 1
        self._newest = self._regions[self._serial] = Region(base, total, guard)
        self._commit(self._newest, minimum)
        return self._serial

    def grow(self, handle: int, size: int) -> None:
        """Makes the memory `size` bytes long, or raises and leaves it as it is."""
        region = self._regions[handle]
        held_bytes = self.held_bytes + size - region.size
        if held_bytes > self.limit_bytes:
            self.refused = True
            raise MemoryRefused("above the limit")
        self._commit(region, size)
        self.held_bytes = held_bytes

    def region(self, handle: int) -> Region:
        return self._regions[handle]

    def release(self, handle: int) -> None:
        region = self._regions.pop(handle)
        _munmap(region.base, region.mapped_bytes)

    def read(self, pointer: int, size: int) -> bytes | None:
        """The bytes [pointer, pointer + size) of the newest memory, which is that of the program itself, or None when
        they are not all inside it."""
        region = self._newest
        if region is None or pointer < 0 or size < 0 or pointer + size > region.size:
            return None
        return ctypes.string_at(region.address + pointer, size)

    def write(self, pointer: int, data: bytes) -> bool:
        region = self._newest
        if region is None or pointer < 0 or pointer + len(data) > region.size:
            return False
        ctypes.memmove(region.address + pointer, data, len(data))
        return True

    def _commit(self, region: Region, size: int) -> None:
        if size > region.size and _mprotect(region.address, _whole_pages(size), _PROT_READ_WRITE) != 0:
            self.host_failed = True
            raise MemoryRefused("the host has no memory left")
        region.size = size


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES
