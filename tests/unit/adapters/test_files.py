"""Names for the operating system's refusals, and the lock of one process."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from quorate.adapters.files import ProcessLock, create_private_file, make_private_folder, world_error, write_all
from quorate.errors import DiskFull, WorldError

HOLDER = """
import sys
from pathlib import Path
from quorate.adapters.files import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_full_device_is_a_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as device, pytest.raises(OSError) as refusal:
        write_all(device.fileno(), b"x" * 10)
    error = world_error(refusal.value, Path("/dev/full"), "writing")
    assert isinstance(error, DiskFull)
    assert "free some space" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.EDQUOT, DiskFull), (errno.EIO, WorldError), (errno.EROFS, WorldError)]
)
def test_other_refusals(code: int, kind: type[WorldError]) -> None:
    error = world_error(OSError(code, os.strerror(code)), Path("/place"), "writing")
    assert type(error) is kind
    assert os.strerror(code) in str(error)


def test_missing_folders_are_private_and_others_keep_their_mode(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    make_private_folder(tmp_path / "open" / "a" / "b")
    modes = [stat.S_IMODE((tmp_path / place).stat().st_mode) for place in ("open", "open/a", "open/a/b")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_private_file_is_new_or_refused(tmp_path: Path) -> None:
    os.close(create_private_file(tmp_path / "new"))
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for taken in ("new", "link"):
        with pytest.raises(FileExistsError):
            create_private_file(tmp_path / taken)


def test_a_lock_has_one_holder_and_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WorldError, match=f"in use by process {holder.pid}"):
            ProcessLock(path)
        holder.kill()
    lock = ProcessLock(path)
    with pytest.raises(WorldError, match=f"in use by process {os.getpid()}"):
        ProcessLock(path)
    lock.release()
    lock.release()
    ProcessLock(path).release()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A worker that outlives its node must not keep the node from starting again."""
    script = (
        "import os, sys, time; from pathlib import Path; from quorate.adapters.files import ProcessLock\n"
        "lock = ProcessLock(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if child == 0: os.close(1); os.close(2); time.sleep(30)\n"
        "print(child, flush=True); os._exit(0)"
    )
    path = tmp_path / "lock"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=20, check=True)
    child = int(done.stdout)
    try:
        os.kill(child, 0)
        ProcessLock(path).release()
    finally:
        os.kill(child, 9)
