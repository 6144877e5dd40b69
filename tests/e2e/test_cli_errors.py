"""Bad input at the command line, against a running network: one line, the field, the fix, an exit code of its own.

Nothing is left half done: a refused submission leaves no key file and no job.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import guests, shifted_process
from tests.support.network import Network, running, until

from quorate.api import problems
from quorate.node import localnet

MODULES = {
    "plain.txt": b"these are words",
    "broken.wasm": b"\0asm\1\0\0\0\x01\x99",
    "clock.wat": b"""(module (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start")))""",
    "empty.wat": b"(module)",
    "needy.wat": f"""(module (import "blake3:{"ab" * 32}" "f" (func)) (func (export "run")))""".encode(),
}
ANSWER = ("--wasm", str(guests.ANSWER))


def quorate(home: Path, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quorate", *arguments]
    env = {**os.environ, "QUORATE_HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=env)


def is_refused(done: subprocess.CompletedProcess[str], name: str, *words: str) -> None:
    """One plain line with these words, nothing on standard output, and the exit code of that error."""
    kind = next(kind for kind in problems.TABLE if kind.__name__ == name)
    assert done.returncode == problems.TABLE[kind].exit_code, done
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("quorate: error: "), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in last


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    for name, content in MODULES.items():
        (folder / name).write_bytes(content)
    with (folder / "large.bin").open("wb") as file:
        file.truncate(1 << 30)
    return folder


CASES = [
    ("UnreadableFile", ("--wasm", "{files}/none.wasm"), ("wasm: ", "No such file", "fix: ")),
    ("UnreadableFile", (*ANSWER, "--input", "{files}"), ("input: ", "directory")),
    ("NotWasm", ("--wasm", "{files}/plain.txt"), ("fix: ",)),
    ("MalformedModule", ("--wasm", "{files}/broken.wasm"), ()),
    ("ForbiddenImport", ("--wasm", "{files}/clock.wat"), ("clock_time_get", "fix: ")),
    ("MissingEntry", ("--wasm", "{files}/empty.wat"), ("run",)),
    ("MissingEntry", (*ANSWER, "--entry", "nowhere"), ("entry: ", "nowhere")),
    ("MissingDependency", ("--wasm", "{files}/needy.wat"), ("dependencies: blake3:abab", "fix: ")),
    ("UnusedDependency", (*ANSWER, "--dependency", str(guests.REVERSE)), ("dependencies: ", "fix: ")),
    ("NotWasm", (*ANSWER, "--dependency", "{files}/plain.txt"), ("dependency: ",)),
    ("TooLarge", ("--wasm", str(guests.REVERSE), "--input", "{files}/large.bin", "--private"), ("input: ", "limit: ")),
    ("AboveCap", (*ANSWER, "--memory-mib", "1000"), ("memory", "limit: 268435456", "fix: ")),
    ("AboveCap", (*ANSWER, "--fuel", str(10**12)), ("fuel", "limit: ")),
    ("AboveCap", (*ANSWER, "--run-seconds", "100000"), ("run_ms", "limit: ")),
    ("ContradictoryOptions", (*ANSWER, "--proof", "trust", "--replication", "3"), ("replication: ", "fix: ")),
    ("ContradictoryOptions", (*ANSWER, "--tier", "light", "--memory-mib", "64"), ("memory", "limit: ")),
    ("ContradictoryOptions", (*ANSWER, "--arg", "word"), ("arguments: ",)),
    ("InvalidField", (*ANSWER, "--cpu-cores", "0"), ("cpu-cores: ", "limit: ", "fix: ")),
    ("InvalidField", (*ANSWER, "--bandwidth-kib", "-1"), ("bandwidth-kib: ", "limit: ")),
    ("ContradictoryOptions", (*ANSWER, "--gpu-units", "1"), ("gpu_units: ", "fix: ")),
    ("ContradictoryOptions", (*ANSWER, "--storage-mib", "1"), ("storage_bytes: ", "limit: ", "--output-kib")),
    ("InvalidField", (*ANSWER, "--run-seconds", "0"), ("run-seconds: ", "limit: ")),
    ("InvalidField", (*ANSWER, "--allow", "enclave"), ("allow: ", "sim-")),
    ("CohortTooLarge", (*ANSWER, "--replication", "5"), ("5 ",)),
    ("CohortTooLarge", (*ANSWER, "--replication", "5", "--private"), ("5 ",)),
    ("UnaffordableJob", (*ANSWER, "--budget", "1", "--private"), ()),
]


@pytest.mark.parametrize(("name", "options", "words"), CASES, ids=lambda item: item if isinstance(item, str) else "")
def test_a_bad_submission_is_refused(
    network: Network, files: Path, name: str, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = quorate(network.home, "compute", "submit", *(option.format(files=files) for option in options))
    is_refused(done, name, *words)


def test_a_refused_submission_leaves_no_key_and_no_job(network: Network) -> None:
    folder = network.home / "client" / "jobs"
    before = len(quorate(network.home, "compute", "list").stdout), set(folder.glob("*"))
    done = quorate(network.home, "compute", "submit", *ANSWER, "--private", "--memory-mib", "1000")
    is_refused(done, "AboveCap")
    assert before == (len(quorate(network.home, "compute", "list").stdout), set(folder.glob("*")))


@pytest.mark.parametrize("verb", ["status", "result", "logs", "cancel", "explain", "receipt"])
def test_an_unknown_job_is_refused(network: Network, verb: str, tmp_path: Path) -> None:
    options = ("--out", str(tmp_path / "receipt.json")) if verb == "receipt" else ()
    is_refused(quorate(network.home, "compute", verb, "ab" * 32, *options), "UnknownJob", "job: ")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_and_a_missing_one_are_told_apart(network: Network) -> None:
    submit = ("compute", "submit", "--wasm", str(guests.ANSWER), "--private", "--replication", "3")
    first, second = (quorate(network.home, *submit).stdout.split()[-1] for _ in range(2))
    for job in (first, second):
        assert quorate(network.home, "compute", "status", job, "--watch").returncode == 0
    folder = network.home / "client" / "jobs"
    os.replace(folder / f"{second}.key", folder / f"{first}.key")
    decrypt = ("compute", "result", "--decrypt")
    is_refused(quorate(network.home, *decrypt, first), "WrongKey", "key: ", "fix: ")
    is_refused(quorate(network.home, *decrypt, second), "MissingKey", "key: ", "fix: ")


def test_a_network_that_runs_is_not_started_again(network: Network) -> None:
    is_refused(quorate(network.home, "localnet", "up"), "NetworkRunning", "fix: quorate localnet down")


def test_no_network_is_told_with_the_way_out(tmp_path: Path) -> None:
    for arguments in (
        ("localnet", "status"),
        ("localnet", "down"),
        ("compute", "list"),
        ("compute", "submit", *ANSWER),
    ):
        is_refused(quorate(tmp_path / "none", *arguments), "NoNetwork", "fix: quorate localnet up")
    assert not (tmp_path / "none").exists()


def test_a_home_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    is_refused(quorate(tmp_path / ("d" * 100), "localnet", "up"), "PathTooLong", "limit: 107 bytes", "fix: ")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_refused() -> None:
    done = quorate(Path("/proc/quorate"), "localnet", "up")
    is_refused(done, "WorldError", "QUORATE_HOME: ", "fix: ")


def test_a_port_that_another_program_took_is_told(tmp_path: Path) -> None:
    """The ports are free when they are chosen; here they are taken before the processes that should listen start."""
    home = _stopped_network()
    configs = [localnet.load_config(path) for path in sorted(home.glob("*/config.json"))]
    taken = int(configs[0].listen.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        config = next(path for path in home.glob("*/config.json") if str(taken) in path.read_text())
        done = subprocess.run(
            [sys.executable, "-m", "quorate.api.process", str(config)], capture_output=True, text=True, timeout=60
        )
    shutil.rmtree(home)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(taken) in done.stderr


def _stopped_network() -> Path:
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="q-", dir="/tmp"))
    localnet.up(home, 1)
    localnet.down(home)
    return home


def test_a_full_disk_is_named(network: Network) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    done = quorate(network.home, "compute", "run", *ANSWER, "--proof", "trust", "--out", "/dev/full")
    is_refused(done, "DiskFull", "out: /dev/full", "fix: ")


def test_a_clock_that_is_off_is_told_before_anything_is_begun() -> None:
    with running(1) as late:
        late.kill("node")
        late.respawn("node", (shifted_process.ENTRY,))
        until(lambda: late.ids["sequencer"].hex() in late.client().network()["clocks_off_ms"], 20)
        done = quorate(late.home, "compute", "submit", *ANSWER, "--proof", "trust")
        is_refused(done, "ClockSkew", "clock", "set the clocks")
        assert late.client().list() == ()
        late.kill("node")
        late.respawn("node")
        until(lambda: late.client().network()["peers"] == 2, 20)
        late.await_standing()
        assert quorate(late.home, "compute", "run", *ANSWER, "--proof", "trust").returncode == 0


def test_an_interrupted_run_says_that_its_job_goes_on(network: Network, tmp_path: Path) -> None:
    (tmp_path / "forever.wat").write_text(guests.FOREVER)
    options = (
        "--wasm",
        str(tmp_path / "forever.wat"),
        "--fuel",
        str(10**10),
        "--run-seconds",
        "60",
        "--proof",
        "trust",
    )
    command = [sys.executable, "-m", "quorate", "compute", "run", *options]
    env = {**os.environ, "QUORATE_HOME": str(network.home)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("job "))
        job = line.split()[1]
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith(f"quorate: interrupted; the job goes on: quorate compute status {job[:12]} ")
    assert "Traceback" not in err
    status = quorate(network.home, "compute", "status", job)
    assert "state: executing" in status.stdout
    cancelled = quorate(network.home, "compute", "cancel", job)
    assert cancelled.stdout == f"cancelled {job[:12]}: no process of it is running\n"
    watched = quorate(network.home, "compute", "status", job, "--watch")
    assert watched.returncode == 53
