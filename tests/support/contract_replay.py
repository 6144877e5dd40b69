"""Replays conformance vectors of the contract machine on programs built from `device/`: this machine and two boards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.bytecode_vectors.form import Json, vectors
from tests.support.repository import ROOT

from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.flat import NeedsRoom, decode_answer, encode_request
from quorate.execute.bytecode.vectors import observe, request_of

SECONDS_MAX = 240


class Answer(NamedTuple):
    """What the machine answered, and the instructions it executed for it, 0 where they are not counted."""

    data: bytes
    instructions: int


def need(*programs: str) -> None:
    """Skips the test when the tools to build or run are not installed; in continuous integration they are."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed (the packages are in .ci/packages): {', '.join(missing)}")


def encoded(request: Request) -> bytes:
    return encode_request(request.container, request.call, request.state, request.context, request.address)


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """The file that device/checking/replay.c reads."""
    listed = list(requests)
    parts = [b"QREQ", len(listed).to_bytes(4, "little")]
    for request in listed:
        parts += [len(request).to_bytes(4, "little"), request]
    path.write_bytes(b"".join(parts))


def make(build: Path, *words: str) -> None:
    command = ["make", "-s", "-C", str(ROOT / "device"), f"BUILD={build}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr


def answers_in(text: str) -> list[Answer]:
    """The answers that a replaying program printed, all of them in order."""
    lines = [line.split() for line in text.splitlines() if line.startswith("answer ")]
    assert [int(line[1]) for line in lines] == list(range(len(lines)))
    assert f"requests {len(lines)}" in text
    return [Answer(bytes.fromhex(line[3]), int(line[2])) for line in lines]


def run_program(*command: str) -> list[Answer]:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return answers_in(done.stdout)


def run_board(build: Path, board: str) -> list[Answer]:
    """Runs the file `requests` in the build folder on an emulated board."""
    make_run = ["make", "-s", "-C", str(ROOT / "device"), f"BUILD={build}", f"CASES={build / 'requests'}"]
    return run_program(*make_run, f"run-replay-{board}")


def requests() -> list[bytes]:
    """One request for each vector of the repository."""
    return [encoded(request_of(vector, containers)) for vector, containers in vectors()]


def differences(answers: list[Answer]) -> list[tuple[str, Json, Json]]:
    """The vectors that were answered otherwise than expected: name, expectation, and what was seen."""
    known = vectors()
    assert len(answers) == len(known)
    found = []
    for (vector, containers), answer in zip(known, answers, strict=True):
        try:
            seen = observe(vector, containers, lambda _, data=answer.data: decode_answer(data))  # type: ignore[misc]
        except NeedsRoom as needed:
            seen = {"needs_room": needed.size}
        if seen != vector["expect"]:
            found.append((vector["name"], vector["expect"], seen))
    return found
