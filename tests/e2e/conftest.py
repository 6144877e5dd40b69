"""Networks of separate processes for the tests of this folder; a failed test shows the last lines of their logs.

A module says what it needs: `NODES = 7` providers (default 4), `WIRE_LOG = True` to keep everything that is sent,
`USERS = 3` with an account each (default 1), `EPOCH_MS = 2000` for how long an epoch of contracts is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from tests.support.network import Network, running

from quorate import Quorate
from quorate.node import localnet

HERE = Path(__file__).parent
LOG_LINES = 30
_networks: list[Network] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("e2e")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for network in _networks:
            for name in sorted(network.ids):
                tail = network.log(name).splitlines()[-LOG_LINES:] if not name.startswith("client") else []
                report.sections.append((f"log of {name}", "\n".join(tail)))
    return report


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """One network for all tests of a module."""
    nodes, wire_log = getattr(request.module, "NODES", 4), getattr(request.module, "WIRE_LOG", False)
    users = getattr(request.module, "USERS", 1)
    epoch_ms = getattr(request.module, "EPOCH_MS", localnet.EPOCH_MS)
    with running(nodes, wire_log=wire_log, epoch_ms=epoch_ms, users=users) as started:
        _networks.append(started)
        yield started
        _networks.remove(started)


@pytest.fixture(scope="module")
def client(network: Network) -> Quorate:
    return network.client()
