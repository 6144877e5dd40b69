"""A process that has gone into the jail tries to get out: as root and as a plain user, every attempt is denied."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quorate.execute import jail

PROBE = Path(__file__).with_name("escape_probe.py")
PLAIN_USER = "65534"
FREE = {"sixteen_megabytes", "compute"}

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers(), ("seccomp", "landlock"))), reason="this kernel lacks seccomp or Landlock"
)


def as_plain_user() -> list[str]:
    """What to put in front of a command so that it runs without privileges; skips where that cannot be had."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed")
    drop = [setpriv, "--reuid", PLAIN_USER, "--regid", PLAIN_USER, "--clear-groups"]
    readable = [*drop, sys.executable, "-c", "import quorate, wasmtime"]
    if subprocess.run(readable, capture_output=True, check=False).returncode != 0:
        pytest.skip("a plain user cannot read this installation")
    return drop


def as_root() -> list[str]:
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    return []


@pytest.mark.parametrize("user", [as_root, as_plain_user], ids=["root", "plain_user"])
def test_every_escape_is_denied(user, tmp_path):
    prefix = user()
    source = PROBE.read_text()
    # A parent of the probe's own: it could be signalled by the same user, were it not for the jail.
    bystander = subprocess.Popen([*prefix, sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        done = subprocess.run(
            [*prefix, sys.executable, "-c", source, str(bystander.pid)], capture_output=True, timeout=60, check=False
        )
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


def test_the_probe_gets_out_where_there_is_no_jail(tmp_path):
    """The attempts are real: without the jail, most of them succeed or fail for reasons of their own."""
    source = PROBE.read_text().replace("held = jail.apply(", "held = (lambda policy: ())(")
    for dangerous in (
        "kill_parent",
        "kill_everyone",
        "exec",
        "reboot",
        "set_clock",
        "change_root",
        "mount",
        "become_root",
    ):
        source = source.replace(f'    "{dangerous}":', f'    # "{dangerous}":')
    source = source.replace("/tmp/quorate-escape", str(tmp_path / "escape"))
    done = subprocess.run(
        [sys.executable, "-c", source, str(os.getpid())], capture_output=True, timeout=60, check=False
    )
    attempts = json.loads(done.stdout)["attempts"]
    for name in (
        "open_read",
        "open_write",
        "list_folder",
        "stat",
        "internet_socket",
        "fork",
        "thread",
        "memfd",
        "shared_memory",
    ):
        assert attempts[name] == "allowed", name


ENDLESS = """
import asyncio, sys
from quorate.execute.engine import Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings

SPIN = bytes.fromhex("0061736d01000000010401600000030201000707010372756e00000a09010700034 00c000b0b".replace(" ", ""))

async def main():
    pool = WorkerPool(PoolSettings(slots=1))
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
    done = subprocess.run(
        [*as_plain_user(), sys.executable, "-c", ENDLESS, "500"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
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
