"""A million random contracts where nothing can be reached (rows S-A14 to S-A17): no network interface, an empty root,
and a kernel that kills the process at any system call but its one write at the end. Each halts within its cycles.

QUORATE_CONFINED_CONTRACTS says how many.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import wasmtime
from tests.support import confined

from quorate.execute.bytecode.engine import MODULE
from quorate.execute.bytecode.opcodes import Trap

COUNT = int(os.environ.get("QUORATE_CONFINED_CONTRACTS", "1000000"))
CYCLES = 5_000
EVERY_WAY = frozenset(Trap) - {Trap.NONE, Trap.CALL_DEPTH, Trap.STACK_OVERFLOW, Trap.ABORTED, Trap.INDIRECT_CALL}
"""Of two functions none calls itself, and none aborts: these have vectors of their own. The last is of contracts in
WebAssembly only."""


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.mark.timeout(confined.SECONDS_MAX)
def test_a_million_random_contracts_halt_within_their_cycles_and_ask_for_nothing(tmp_path: Path, empty: Path) -> None:
    ended = confined.run(confined.build(tmp_path), empty, 1, COUNT, CYCLES)
    assert ended.code == 0
    assert ended.total == COUNT
    assert set(ended.traps) == EVERY_WAY
    assert ended.ok > COUNT // 20, ended
    assert ended.unresolved > 0


def test_one_system_call_is_noticed(tmp_path: Path, empty: Path) -> None:
    ended = confined.run(confined.build(tmp_path, "-DPLANTED"), empty, 1, 1_000, CYCLES)
    assert ended.code == -signal.SIGKILL
    assert ended.total == 0


def test_the_module_that_runs_contracts_imports_nothing() -> None:
    module = wasmtime.Module(wasmtime.Engine(), MODULE.read_bytes())
    assert module.imports == []
    assert sorted(export.name for export in module.exports) == ["__heap_base", "answer", "memory"]
