"""Landlock: gives up all access to files, TCP and processes outside. There are no rules, so nothing is left.

Source: Linux `Documentation/userspace-api/landlock.rst`, `linux/landlock.h`; the calls have the same numbers on every
architecture. It restricts the calling thread and its later children: call it while the process has one thread.
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION_FLAG = 1
_FS_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS_BY_ABI = {4: 0b11}
_SCOPES_BY_ABI = {6: 0b11}
_ABI_KNOWN = 6


def abi() -> int:
    """The version that the running kernel offers; 0 when it has none."""
    version = _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(version, 0)


def restrict() -> bool:
    """Gives everything up that the kernel's version knows. False when there is no Landlock here. Needs no_new_privs."""
    version = min(abi(), _ABI_KNOWN)
    if version == 0:
        return False
    fields = [_latest(_FS_RIGHTS_BY_ABI, version)]
    if version >= 4:
        fields.append(_latest(_NET_RIGHTS_BY_ABI, version))
    if version >= 6:
        fields.append(_latest(_SCOPES_BY_ABI, version))
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _syscall(_CREATE_RULESET, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        return _syscall(_RESTRICT_SELF, ruleset, 0, 0) == 0
    finally:
        os.close(ruleset)


def _latest(rights_by_abi: dict[int, int], version: int) -> int:
    return max(rights for since, rights in rights_by_abi.items() if since <= version)


def _syscall(number: int, *operands: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    wide = [ctypes.c_long(item) if isinstance(item, int) else item for item in operands]
    return int(libc.syscall(ctypes.c_long(number), *wide))
