"""What works, what works in part and what is absent: the rows of `status.toml`, one for each promised feature.

`quorate doctor` and docs/status.md show the same rows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from typing import Any

import msgspec


class State(StrEnum):
    """How far a feature is."""

    WORKS = "works"
    PARTIAL = "partial"
    ABSENT = "absent"


class Kind(StrEnum):
    """How real a feature can be without special hardware."""

    REAL = "real"
    SMALL = "small"
    CHECKED = "checked"
    SIMULATED = "simulated"
    REFUSED = "refused"
    DOCUMENT = "document"


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. `tests` are pytest node ids; `note` says why a feature is absent or partial."""

    id: str
    feature: str
    state: State
    kind: Kind
    tests: tuple[str, ...]
    note: str

    def __post_init__(self) -> None:
        if self.state is State.ABSENT and self.tests:
            raise ValueError(f"{self.id}: absent, yet it names tests")
        if self.state is not State.ABSENT and not self.tests:
            raise ValueError(f"{self.id}: {self.state} without a test")
        if self.state is not State.WORKS and not self.note:
            raise ValueError(f"{self.id}: {self.state} without a reason")


def parse_features(table: Mapping[str, Any]) -> tuple[Feature, ...]:
    """The rows of a parsed `status.toml`. Raises ValueError for a row that breaks its own rules."""
    return tuple(msgspec.convert({"id": name, **row}, Feature) for name, row in table.items())


def load_features() -> tuple[Feature, ...]:
    """The rows of the installed package, in their order."""
    return parse_features(tomllib.loads(files(__package__).joinpath("status.toml").read_text(encoding="utf-8")))
