"""Entropy from a seed, identities of every suite, and the vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quorate.crypto.digests import digest, xof
from quorate.crypto.signing import Draw, Identity
from quorate.model.identity import Suite
from quorate.model.units import Digest

VECTORS = Path(__file__).parents[2] / "vectors" / "crypto"


@pytest.fixture
def vector() -> Callable[[str], Any]:
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text())


@pytest.fixture
def draw() -> Draw:
    """Entropy that is the same in every run."""
    drawn = 0

    def take(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return xof("test entropy", size, drawn.to_bytes(8, "big"))

    return take


@pytest.fixture
def network() -> Digest:
    return digest("test network")


@pytest.fixture(scope="session")
def identities() -> dict[Suite, Identity]:
    return {suite: Identity.generate(suite, lambda size: xof("test identity", size, b"one")) for suite in Suite}
