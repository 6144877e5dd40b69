"""A process that has gone into the jail tries to get out: as root and as a plain user, every attempt is denied."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wasmtime

import quorate
from quorate.execute import jail

PROBE = Path(__file__).with_name("escape_probe.py")
PLAIN_USER = 65_534
FREE = {"sixteen_megabytes", "compute"}

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers(), ("seccomp", "landlock"))), reason="this kernel lacks seccomp or Landlock"
)


def import_path() -> list[str]:
    """Where quorate and its dependencies are imported from, for an interpreter that does not know this environment."""
    return [str(Path(quorate.__file__).parents[1]), str(Path(wasmtime.__file__).parents[1])]


class User(NamedTuple):
    """Who runs a child, and with which interpreter."""

    options: dict[str, Any]
    interpreter: str

    def command(self, source: str, *arguments: str) -> list[str]:
        head = f"import sys; sys.path[:0] = {import_path()!r}\n"
        return [self.interpreter, "-I", "-c", head + source, *arguments]

    def run(self, source: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = self.command(source, *arguments)
        return subprocess.run(command, capture_output=True, timeout=60, check=False, cwd="/", **self.options)


def ourselves() -> User:
    return User({}, sys.executable)


def plain_user() -> User:
    """A user without privileges. The interpreter of this environment may be out of its reach (in root's home, say)."""
    if os.geteuid() != 0:
        return ourselves()
    options = {"user": PLAIN_USER, "group": PLAIN_USER, "extra_groups": []}
    for interpreter in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        user = User(options, interpreter)
        try:
            if user.run("import quorate.execute.worker").returncode == 0:
                return user
        except OSError:
            continue
    pytest.skip("no interpreter here that a plain user may run")


@pytest.mark.parametrize("user_of", [ourselves, plain_user])
def test_every_escape_is_denied(user_of):
    user = user_of()
    # Of the same user, so that it could be signalled and traced, were it not for the jail.
    bystander = subprocess.Popen([user.interpreter, "-c", "import time; time.sleep(60)"], cwd="/", **user.options)
    try:
        done = user.run(PROBE.read_text(), str(bystander.pid))
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["uid"] != 0
    assert report["layers"] == list(jail.layers())
    denied = {name: answer for name, answer in report["attempts"].items() if name not in FREE}
    assert len(denied) > 35
    for name, answer in denied.items():
        assert answer in ("EPERM", "EACCES", "MemoryError", "can't start new thread"), (name, answer)
    assert {report["attempts"][name] for name in FREE} == {"allowed"}
    assert not list(Path("/tmp").glob("quorate-escape*"))


HARMLESS = (
    "open_read",
    "list_folder",
    "stat",
    "internet_socket",
    "socket_pair",
    "fork",
    "thread",
    "memfd",
    "shared_memory",
)


def test_the_attempts_are_real_where_there_is_no_jail():
    done = subprocess.run(
        [sys.executable, PROBE, str(os.getpid()), *HARMLESS], capture_output=True, timeout=60, check=False
    )
    assert json.loads(done.stdout)["attempts"] == dict.fromkeys(HARMLESS, "allowed")


ENDLESS = """
import asyncio, sys
from quorate.execute.engine import Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings

SPIN = bytes.fromhex("0061736d01000000010401600000030201000707010372756e00000a09010700034 00c000b0b".replace(" ", ""))

async def main():
    start = f"import sys; sys.path[:] = {sys.path!r}; from quorate.execute.worker import main; main()"
    pool = WorkerPool(PoolSettings(slots=1, command=(sys.executable, "-I", "-B", "-c", start)))
    await pool.start()
    task = Task(id=b"x", module=SPIN, digest=module_digest(SPIN), limits=Limits(fuel=10**15, run_ms=int(sys.argv[1])))
    running = asyncio.create_task(pool.run(task))
    await asyncio.sleep(0.3)
    print(pool.pids[0], *pool.layers, flush=True)
    print((await running).status, flush=True)
    await pool.close()

asyncio.run(main())
"""


def state_of(pid: int) -> str:
    """The kernel's letter for the process: R runs, Z is dead and not yet reaped; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except OSError:
        return ""


def wait_until_dead(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if state_of(pid) in ("", "Z"):
            return True
        time.sleep(0.02)
    return False


def test_a_plain_user_runs_guests_too():
    done = plain_user().run(ENDLESS, "500")
    assert done.returncode == 0, done.stderr.decode()
    first, second = done.stdout.decode().splitlines()
    assert first.split()[1:] == list(jail.layers())
    assert second == "wall_clock"


def test_a_worker_dies_with_a_node_that_is_killed():
    node = subprocess.Popen([sys.executable, "-c", ENDLESS, "60000"], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    worker = int(node.stdout.readline().split()[0])
    assert state_of(worker) == "R"
    node.kill()
    node.wait()
    node.stdout.close()
    assert wait_until_dead(worker, 2.0)


def test_a_guest_ends_even_when_its_node_is_stopped():
    """The pool cannot watch a clock while it is stopped: the kernel's alarm does, two seconds later."""
    import signal

    node = subprocess.Popen([sys.executable, "-c", ENDLESS, "900"], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    worker = int(node.stdout.readline().split()[0])
    node.send_signal(signal.SIGSTOP)
    try:
        assert not wait_until_dead(worker, 0.8)
        assert wait_until_dead(worker, 4.0)
    finally:
        node.send_signal(signal.SIGCONT)
    assert node.stdout.readline().strip() == "wall_clock"
    node.wait(10)
    node.stdout.close()
