"""What holds for every test: markers, the profiles of hypothesis, and no skips in continuous integration.

On a user's machine a test whose system package is absent skips with the reason. Where the environment says
`CI=true` all packages are there, so a skip is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() == "true"
MARKERS = (
    "e2e: starts separate processes that talk over loopback",
    "slow: takes more than ten seconds",
    "guests: needs the compilers of `make guests`",
)

settings.register_profile("user", max_examples=50, deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if IN_CI else "user")


MAKES_OWN = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the transcripts in tests/transcripts anew")


def pytest_configure(config: pytest.Config) -> None:
    for name in MAKES_OWN:  # a `make` inside a test is not a part of the `make test` around it
        os.environ.pop(name, None)
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def _fail_if_skipped(report: Any, what: str) -> None:
    """Turn a skip into a failure that gives the reason. An expected failure (xfail) is no skip."""
    if not IN_CI or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{what} was skipped, which CI=true forbids: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report, item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report, collector.nodeid)
    return report
