"""Lets pytest run the tests beside the contracts, as `quorate contract test` does: each gets a fresh replica."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from quorate.execute.bytecode.compiler.program import Compiled, compile_contract
from quorate.execute.bytecode.engines import Engine, machine_engine
from quorate.execute.bytecode.replica import Replica


@lru_cache
def compiled(path: Path) -> Compiled:
    return compile_contract(path.read_text(encoding="utf-8"), path.name)


@pytest.fixture(scope="session")
def engine() -> Engine:
    return machine_engine()


@pytest.fixture
def replica(request: pytest.FixtureRequest, engine: Engine) -> Replica:
    """The contract beside the test's file: `naming.py` for `naming_test.py`."""
    source = request.path.with_name(request.path.name.replace("_test.py", ".py"))
    return Replica(compiled(source), engine)
