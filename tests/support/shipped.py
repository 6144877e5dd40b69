"""The contracts that are shipped, as replicas on the fast engine."""

from __future__ import annotations

import runpy
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT

from quorate.execute.bytecode.compiler.program import Compiled, compile_contract
from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.replica import Replica

FOLDER = ROOT / "contracts"
NAMES = ("access", "forum", "groups", "marketplace", "naming", "wiki")


def source_of(name: str) -> Path:
    return FOLDER / name / f"{name}.py"


@lru_cache
def compiled(name: str) -> Compiled:
    path = source_of(name)
    return compile_contract(path.read_text(encoding="utf-8"), path.name)


def replica_of(name: str, engine: Engine) -> Replica:
    """A fresh replica of a shipped contract."""
    return Replica(compiled(name), engine)


def program_beside(name: str) -> dict[str, Any]:
    """What the tests beside a contract define: among it what its users' programs do, which sign and seal."""
    return runpy.run_path(str(FOLDER / name / f"{name}_test.py"))
