"""Builds and runs `device/checking/confined.c`: random contracts in an empty root, without a network, under strict
seccomp."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support import contract_replay as replay

from quorate.execute.bytecode.opcodes import TABLE, Immediate, Op, Trap

SECONDS_MAX = 1800
LEFT_OUT = (Op.VERIFY_SIG, Op.VERIFY_VRF, Op.RET, Op.HALT, Op.ABORT)
"""Two take a hundred microseconds each and have tests of their own; three end a run, and are there often enough."""
OK, TRAP, UNRESOLVED = range(3)
NOT_CONFINED = 3


class Endings(NamedTuple):
    """How many runs ended in each way."""

    ok: int
    traps: dict[Trap, int]
    unresolved: int
    code: int

    @property
    def total(self) -> int:
        return self.ok + sum(self.traps.values()) + self.unresolved


def opcodes_header() -> str:
    """The table of the reference for C: all opcodes that take and leave the same cells wherever they stand."""
    rows = [
        f"{{0x{op:02x}, {row.pops}, {row.pushes}}}"
        for op, row in TABLE.items()
        if row.immediate is Immediate.NONE and op not in LEFT_OUT
    ]
    return "static const uint8_t OPCODES[][3] = {" + ", ".join(rows) + "};\n"


def build(folder: Path, *flags: str) -> Path:
    """The program, from the sources of the repository."""
    replay.need("make", "cc")
    (folder / "opcodes.h").write_text(opcodes_header())
    replay.make(folder, "confined", f"PLANTED={' '.join(flags)}")
    return folder / "confined"


def run(program: Path, empty: Path, seed: int, count: int, cycles: int) -> Endings:
    """`count` random contracts with `cycles` each. Skips where this machine grants no confinement."""
    command = [str(program), str(empty), str(seed), str(count), str(cycles)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    if done.returncode == NOT_CONFINED:
        pytest.skip(f"this machine grants no namespaces or no strict seccomp: {done.stderr.strip()}")
    counts = [int(word) for word in done.stdout.split()] or [0] * 64
    traps = {trap: counts[16 * TRAP + trap] for trap in Trap if counts[16 * TRAP + trap]}
    return Endings(sum(counts[:16]), traps, counts[16 * UNRESOLVED], done.returncode)
