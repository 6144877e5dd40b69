"""docs/status.md is complete, up to date and honest: what it names as evidence exists and is collected."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import groupby
from typing import Any

import msgspec
import pytest
from tests.support.repository import ROOT

from quorate.api.status import Feature, State, load_features, parse_features

ROWS_BY_FAMILY = {"A": 91, "B": 44, "C": 96, "D": 50, "E": 74}
FEATURES = load_features()
GOOD: dict[str, Any] = {"feature": "x", "state": "works", "kind": "real", "tests": ["tests/a.py::test_b"], "note": ""}


def without_parameters(node_id: str) -> str:
    return re.sub(r"\[.*\]$", "", node_id)


def collected_in(files: set[str]) -> set[str]:
    """The node ids, without parameters, that pytest collects in these files."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    return {without_parameters(line) for line in done.stdout.splitlines() if "::" in line}


def missing_tests(features: tuple[Feature, ...]) -> list[str]:
    """The named tests that are not collected, each with its row."""
    named = [(feature.id, test) for feature in features for test in feature.tests]
    files = {test.partition("::")[0] for _, test in named}
    absent = {name for name in files if not (ROOT / name).is_file()}
    known = collected_in(files - absent) if files - absent else set()
    return [f"{row}: {test}" for row, test in named if without_parameters(test) not in known]


def test_every_id_has_one_row_in_order() -> None:
    expected = [f"S-{letter}{number}" for letter, count in ROWS_BY_FAMILY.items() for number in range(1, count + 1)]
    assert len(expected) == 355
    assert [feature.id for feature in FEATURES] == expected


def test_every_row_has_a_title_of_its_own() -> None:
    assert all(feature.feature.strip() for feature in FEATURES)
    titles = sorted(feature.feature for feature in FEATURES)
    assert [title for title, members in groupby(titles) if len(list(members)) > 1] == []


def test_every_named_test_is_collected() -> None:
    assert missing_tests(FEATURES) == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    here = "tests/docs/test_status.py"
    real = f"{here}::{test_every_id_has_one_row_in_order.__name__}"
    rows = {
        "S-A1": GOOD | {"tests": [real]},
        "S-A2": GOOD | {"tests": [f"{here}::test_never_written"]},
        "S-A3": GOOD | {"tests": ["tests/never.py::test_written"]},
        "S-A4": GOOD | {"tests": [here]},
    }
    found = missing_tests(parse_features(rows))
    assert [line.partition(":")[0] for line in found] == ["S-A2", "S-A3", "S-A4"]


@pytest.mark.parametrize(
    "fault",
    [
        {"state": "works", "tests": []},
        {"state": "partial", "tests": [], "note": "half"},
        {"state": "partial", "note": ""},
        {"state": "absent", "note": "not built yet"},
        {"state": "absent", "tests": [], "note": ""},
        {"state": "planned"},
        {"kind": "mock"},
        {"owner": "nobody"},
    ],
)
def test_a_row_that_breaks_its_rules_is_refused(fault: dict[str, Any]) -> None:
    assert parse_features({"S-A1": GOOD})[0].state is State.WORKS
    with pytest.raises((ValueError, msgspec.ValidationError)):
        parse_features({"S-A1": GOOD | fault})


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate_status.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
