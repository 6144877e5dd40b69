"""`quorate demo` as a user runs it: the right result, a valid receipt, nothing left behind, whenever it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.network import until

DEMO = [sys.executable, "-m", "quorate", "demo"]
SUM = 752_200


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where this test's demo makes its home; a short name, for the socket's sake."""
    folder = Path(tempfile.mkdtemp(prefix="d-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "QUORATE_HOME": str(folder / "unused")}


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that were started with a file under `folder`."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if f"{folder}/" in line]


def is_clean(folder: Path) -> bool:
    return list(folder.iterdir()) == [] and processes_of(folder) == []


def test_the_demo_shows_the_whole_path_in_a_minute(folder: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(DEMO, capture_output=True, text=True, timeout=120, env=environment(folder))
    assert time.monotonic() - began < 60
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "4 providers, a ledger sequencer, your node",
        "state: completed",
        f'"sum":{SUM}',
        "valid: ",
        "15 steps held, from the file and the network id alone",
        "plaintext in its files",
        "Nothing is running, nothing was kept.",
    ):
        assert words in done.stdout
    parties = [
        line for line in done.stdout.splitlines() if line.startswith(("you ", "your ", "sequencer ", "provider-"))
    ]
    assert len(parties) == 7
    assert sum(", executor" in line for line in parties) == 3
    assert all("none (" in line for line in parties)
    assert is_clean(folder)


def test_the_demo_for_programs_is_one_document(folder: Path) -> None:
    command = [*DEMO, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment(folder), check=True)
    told = json.loads(done.stdout)
    assert json.loads(told["output"])["sum"] == SUM
    assert told["receipt"]["outcome"] == "valid"
    assert [party["found"] for party in told["parties"]] == [0] * 7
    assert sum(party["input"] == "plaintext" for party in told["parties"]) == 3
    assert all(party["searched"] for party in told["parties"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
@pytest.mark.parametrize("words", ["starting", "network ", "job ", '"sum"'])
def test_an_interrupted_demo_leaves_nothing(folder: Path, words: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder)
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if words in line and not line[:1].isdigit())
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "quorate: interrupted; the network is stopped and its folder is removed\n"
    assert is_clean(folder)


def test_a_demo_that_fails_says_why_and_leaves_nothing(folder: Path) -> None:
    """A provider is killed while the network starts: there is no network to show."""
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder)
    ) as process:
        until(lambda: any("sequencer" in line for line in processes_of(folder)), 30)
        (record,) = until(lambda: list(folder.glob("*/localnet.json")), 30)
        os.kill(json.loads(record.read_bytes())[0]["pid"], signal.SIGKILL)
        _, err = process.communicate(timeout=90)
    assert process.returncode != 0
    assert err.startswith("quorate: error: ")
    assert err.count("\n") == 1
    assert is_clean(folder)
