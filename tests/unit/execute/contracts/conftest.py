"""The fast engine, once for all tests of contracts."""

from __future__ import annotations

import pytest

from quorate.execute.bytecode.engines import Engine, machine_engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    return machine_engine()
