"""Secret files: modes, no overwriting, no half-written key, no key that others can read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quorate.adapters.keys import SECRET_BYTES_MAX, read_secret, write_secret, write_secrets
from quorate.errors import InvalidField, MissingKey, PolicyRefused, QuorateError, TooLarge, UnreadableFile, WorldError

SECRET = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys" / "node.key"


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777 & ~0o300])
def test_a_secret_is_read_back_and_its_owners_alone(path: Path, umask: int) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    before = os.umask(umask)
    try:
        write_secret(path, SECRET)
    finally:
        os.umask(before)
    assert read_secret(path) == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["node.key"], "nothing else lies around"


def test_missing_folders_are_made_private(path: Path) -> None:
    write_secret(path, SECRET)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}


def test_a_key_is_never_overwritten(path: Path) -> None:
    write_secret(path, SECRET)
    with pytest.raises(PolicyRefused, match="never overwritten"):
        write_secret(path, b"another")
    assert read_secret(path) == SECRET
    assert [file.name for file in path.parent.iterdir()] == ["node.key"]


def test_many_secrets_at_once_are_each_a_file_of_their_own(path: Path) -> None:
    secrets = {f"{number}.key": bytes([number]) * 32 for number in range(20)}
    write_secrets(path.parent, secrets)
    assert {file.name: read_secret(file) for file in path.parent.iterdir()} == secrets
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_of_many_secrets_none_is_overwritten_either(path: Path) -> None:
    write_secret(path, SECRET)
    with pytest.raises(PolicyRefused, match="never overwritten"):
        write_secrets(path.parent, {"a.key": b"new", path.name: b"another", "z.key": b"never reached"})
    assert read_secret(path) == SECRET
    assert not (path.parent / "z.key").exists()


def test_a_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PolicyRefused):
        write_secret(path, SECRET)
    assert not (tmp_path / "elsewhere").exists()


def test_of_many_writers_one_wins_whole(path: Path) -> None:
    def write(number: int) -> int | None:
        try:
            write_secret(path, bytes([number]) * 5000)
        except PolicyRefused:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(write, range(40)) if number is not None]
    assert len(winners) == 1
    assert read_secret(path) == bytes(winners) * 5000


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o602, 0o777])
def test_a_key_that_others_could_use_is_refused(path: Path, mode: int) -> None:
    write_secret(path, SECRET)
    path.chmod(mode)
    with pytest.raises(UnreadableFile) as refusal:
        read_secret(path)
    assert refusal.value.limit == "mode 0600"
    assert refusal.value.fix == f"chmod 600 {path}"
    assert SECRET.hex() not in str(refusal.value)
    path.chmod(0o600)
    assert read_secret(path) == SECRET


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_key_is_refused(path: Path) -> None:
    write_secret(path, SECRET)
    os.chown(path, 12345, -1)
    with pytest.raises(UnreadableFile, match="another user"):
        read_secret(path)


def test_a_missing_key_is_named(path: Path) -> None:
    with pytest.raises(MissingKey, match=r"node\.key does not exist"):
        read_secret(path)


def test_what_is_no_plain_file_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    write_secret(tmp_path / "real.key", SECRET)
    path.symlink_to(tmp_path / "real.key")
    fifo = tmp_path / "fifo.key"
    os.mkfifo(fifo, 0o600)
    folder = tmp_path / "folder.key"
    folder.mkdir(0o700)
    for place in (path, fifo, folder):
        with pytest.raises(UnreadableFile):
            read_secret(place)


@pytest.mark.parametrize("size", [0, SECRET_BYTES_MAX + 1])
def test_an_empty_or_enormous_secret_is_refused(path: Path, size: int) -> None:
    with pytest.raises(InvalidField):
        write_secret(path, bytes(size))
    assert not path.exists()


def test_an_enormous_file_is_refused(path: Path) -> None:
    write_secret(path, SECRET)
    with path.open("ab") as file:
        file.write(bytes(SECRET_BYTES_MAX))
    with pytest.raises(TooLarge):
        read_secret(path)


def test_a_key_that_cannot_be_written_leaves_nothing(path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from quorate.adapters.keys import write_secret\n"
        "from quorate.errors import WorldError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_secret(Path(sys.argv[1]), bytes(5000))\n"
        "except WorldError as fault: print(fault)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    assert "writing" in done.stdout
    assert list(path.parent.iterdir()) == []


def test_a_folder_in_the_place_of_a_parent_is_typed(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file")
    for work in (lambda: write_secret(path, SECRET), lambda: read_secret(path)):
        with pytest.raises(QuorateError):
            work()
    with pytest.raises(WorldError):
        write_secret(path, SECRET)
