"""Durable rows: what every Store accepts. The stores are `memory` and `sqlite`, imported by whoever wires them."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.errors import InvalidField, TooLarge
from quorate.ports import Row

KIND_CHARS_MAX = 64
KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 16 << 20
_ROW_BYTES = 64
"""What a row costs beside its key and value, roughly."""


def check_rows(rows: Sequence[Row]) -> int:
    """The size of `rows` in bytes, about. Raises InvalidField or TooLarge: a bad row never reaches a transaction."""
    size = 0
    for kind, key, value in rows:
        if not isinstance(kind, str) or not 0 < len(kind) <= KIND_CHARS_MAX or not kind.isascii() or "\0" in kind:
            raise InvalidField(f"{kind!r:.80}", field="kind", limit=f"1 to {KIND_CHARS_MAX} ASCII characters")
        if type(key) is not bytes or not 0 < len(key) <= KEY_BYTES_MAX:
            raise InvalidField("not a key", field="key", limit=f"1 to {KEY_BYTES_MAX} bytes")
        size += _ROW_BYTES + len(key)
        if value is None:
            continue
        if type(value) is not bytes:
            raise InvalidField(f"a {type(value).__name__}", field="value", limit="bytes, or None to delete")
        if len(value) > VALUE_BYTES_MAX:
            raise TooLarge(
                f"{len(value)} bytes", field="value", limit=f"{VALUE_BYTES_MAX} bytes", fix="store it as a blob"
            )
        size += len(value)
    return size
