"""The secret bytes inside the key files of a network, for a test that looks for them where they must not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SECRET_FIELDS = ("ed25519", "ml_dsa", "seed", "input_secret", "result_key", "ownership_secret")


def secrets_in(path: Path) -> list[bytes]:
    """Seeds, content keys, salts and private numbers of one key file; at least one, or the file is not understood."""
    data = path.read_bytes()
    if data.startswith(b"-----BEGIN"):
        key: Any = load_pem_private_key(data, None)
        found = [key.private_numbers().private_value.to_bytes(32, "big"), data.splitlines()[1]]
    elif len(data) == 32:
        found = [data]
    else:
        found = list(_fields(cbor2.loads(data)))
    assert found, path
    return found


def _fields(plain: Any) -> Iterator[bytes]:
    for name, value in plain.items():
        if name not in SECRET_FIELDS or not value:
            continue
        if value[:1] >= b"\xa0" and _is_map(value):
            yield from _fields(cbor2.loads(value))
        else:
            yield value


def _is_map(data: bytes) -> bool:
    try:
        return isinstance(cbor2.loads(data), dict)
    except (cbor2.CBORError, ValueError):
        return False


def secrets_under(home: Path) -> list[bytes]:
    """Of every key file of a network, the client's job keys among them."""
    return [secret for path in sorted(home.rglob("*.key")) for secret in secrets_in(path)]
