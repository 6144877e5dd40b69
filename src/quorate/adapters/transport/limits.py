"""Sizes every transport agrees on, and the checks at its door. Too large is refused, never cut."""

from __future__ import annotations

from quorate.errors import InvalidField, TooLarge
from quorate.model.units import DIGEST_BYTES, MIB, Digest, Millis, NodeId

MESSAGE_BYTES_MAX = 16 * MIB
BLOB_RANGE_BYTES_MAX = 4 * MIB
"""One answer to `fetch`. A larger blob is asked for range by range, so that a lost link costs one range."""
BLOB_OFFSET_MAX = 2**63 - 1
INBOX_BYTES_MAX = 64 * MIB
"""Messages waiting for the handler. A full inbox holds the senders back (zenoh) or sheds (inproc)."""


def check_node(node: NodeId, field: str = "peer") -> None:
    """A node id is a digest; anything else would make a key that means something else."""
    if len(node) != DIGEST_BYTES:
        raise InvalidField(f"{len(node)} bytes", field=field, limit=f"{DIGEST_BYTES} bytes", fix="use a NodeId")


def check_message(peer: NodeId, message: bytes) -> None:
    """What `send` takes."""
    check_node(peer)
    if len(message) > MESSAGE_BYTES_MAX:
        raise TooLarge(
            f"{len(message)} bytes in one message",
            field="message",
            limit=f"{MESSAGE_BYTES_MAX} bytes",
            fix="move the bulk as a blob and send its digest",
        )


def check_range(peer: NodeId, digest: Digest, offset: int, size: int, timeout_ms: Millis) -> None:
    """What `fetch` takes."""
    check_node(peer)
    if len(digest) != DIGEST_BYTES:
        raise InvalidField(f"{len(digest)} bytes", field="digest", limit=f"{DIGEST_BYTES} bytes", fix="use a Digest")
    if not 0 <= offset <= BLOB_OFFSET_MAX:
        raise InvalidField(f"{offset} is no offset", field="offset", limit=f"0 to {BLOB_OFFSET_MAX}", fix="start at 0")
    if size > BLOB_RANGE_BYTES_MAX:
        limit = f"{BLOB_RANGE_BYTES_MAX} bytes"
        raise TooLarge(f"{size} bytes in one range", field="size", limit=limit, fix="ask for smaller ranges")
    if size < 1:
        raise InvalidField(f"{size} bytes", field="size", limit="1 byte or more", fix="ask for at least one byte")
    if timeout_ms < 1:
        raise InvalidField(f"{timeout_ms} ms", field="timeout_ms", limit="1 ms or more", fix="wait at least 1 ms")
