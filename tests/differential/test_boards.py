"""The C machine on two microcontroller boards, emulated by QEMU and not on a board: every conformance vector, and the
size of the program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support import contract_replay as replay

BOARDS = {
    "rv32": ("riscv64-unknown-elf-", "qemu-system-riscv32"),
    "cortex-m4": ("arm-none-eabi-", "qemu-system-arm"),
}
PROGRAM_BYTES_MAX = 32 * 1024
"""Machine code and constants of the rv32imc image, -Os, with loader, verifier, interpreter and all cryptography."""


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> str:
    prefix, emulator = BOARDS[request.param]
    replay.need("make", f"{prefix}gcc", f"{prefix}size", emulator)
    return str(request.param)


@pytest.fixture(scope="module")
def build(board: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(board)
    replay.make(folder, f"replay-{board}")
    return folder


def test_every_vector_is_answered_as_expected(board: str, build: Path) -> None:
    """Except where the contract declares more memory than the board has: it is never run with less."""
    requests = replay.requests()
    replay.write_requests(build / "requests", requests)
    answers = replay.run_board(build, board)
    assert len(answers) == len(requests) > 1000
    differing = replay.differences(answers)
    assert [seen for _, _, seen in differing if "needs_room" not in seen] == []
    assert len(differing) <= 5
    if board == "rv32":
        assert all(answer.instructions > 0 for answer in answers)


def test_the_program_is_small(board: str, build: Path) -> None:
    command = [f"{BOARDS[board][0]}size", str(build / f"replay-{board}.elf")]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text, data = map(int, table.splitlines()[1].split()[:2])
    assert 10_000 < text + data <= PROGRAM_BYTES_MAX, table
