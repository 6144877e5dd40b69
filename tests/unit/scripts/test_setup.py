"""`make setup` on machines of every kind: what it makes, what it leaves alone, and its one line when it cannot go on.

The package that is installed here is a stand-in of a few bytes, built on the spot, so that no network is needed.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.repository import ROOT

HOST_PYTHON = getattr(sys, "_base_executable", sys.executable)  # not the one of the environment the tests run in
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "quorate"
version = "0.1"
"""
BACKEND = '''
"""A build backend that installs a checkout in place, with a command that prints a word of its dependency."""
import pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "quorate-0.1-py3-none-any.whl"
    info = "quorate-0.1.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("quorate.pth", str(pathlib.Path.cwd()))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: quorate\\nVersion: 0.1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nquorate = spoken:main\\n")
        wheel.writestr(info + "RECORD", "")
    return name
'''


def load_bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_wheel(folder: Path) -> str:
    """A wheel of the package `spoken` in `folder`; its hash as a lock file gives it."""
    content = {
        "spoken.py": "def main(): print('it speaks')\n",
        "spoken-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: spoken\nVersion: 1.0\n",
        "spoken-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in content.items()}
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(content[name])}"
        for name, digest in digests.items()
    ]
    record = "spoken-1.0.dist-info/RECORD"
    folder.mkdir()
    path = folder / "spoken-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**content, record: "\n".join([*lines, f"{record},,"])}.items():
            wheel.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def has_module(python: str | Path, name: str) -> bool:
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in a folder with a space in its name, with the real Makefile and scripts, and no network."""
    folder = tmp_path / "my checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    lock = f"spoken==1.0 --hash=sha256:{write_wheel(tmp_path / 'wheels')}\n"
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-guests.lock"):
        (folder / name).write_text(lock)
    for name in [name for name in os.environ if name.startswith(("PIP_", "PYTHON"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON", HOST_PYTHON)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def lines_of_setup(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("setup: ")]


def test_setup_makes_the_command_once(checkout: Path) -> None:
    first = make(checkout, "setup")
    assert first.returncode == 0, first.stdout + first.stderr
    command = checkout / ".venv" / "bin" / "quorate"
    assert subprocess.run([command], capture_output=True, text=True).stdout == "it speaks\n"

    second = make(checkout, "setup")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")

    (checkout / "pyproject.toml").write_text(PROJECT + 'description = "changed"\n')
    third = make(checkout, "setup")
    assert "setup: installing quorate" in lines_of_setup(third)
    assert not any("making" in line for line in lines_of_setup(third))


def test_a_level_holds_the_lower_ones(checkout: Path) -> None:
    script = ["sh", "scripts/setup"]
    done = subprocess.run([*script, "guests"], cwd=checkout, capture_output=True, text=True, timeout=120)
    assert "setup: installing 1 packages from requirements-guests.lock" in lines_of_setup(done)
    assert make(checkout, "setup").stdout == ""
    refused = subprocess.run([*script, "everything"], cwd=checkout, capture_output=True, text=True, timeout=120)
    assert (refused.returncode, len(lines_of_setup(refused))) == (2, 1)


def test_a_moved_or_broken_environment_is_made_again(checkout: Path) -> None:
    assert make(checkout, "setup").returncode == 0
    moved = checkout.rename(checkout.with_name("moved here"))
    assert any("making .venv" in line for line in lines_of_setup(make(moved, "setup")))
    assert str(moved) in (moved / ".venv" / "bin" / "quorate").read_text()

    python = moved / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    again = make(moved, "setup")
    assert again.returncode == 0
    assert any("making .venv" in line for line in lines_of_setup(again))


def test_a_file_with_another_hash_is_refused(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text(f"spoken==1.0 --hash=sha256:{'0' * 64}\n")
    done = make(checkout, "setup")
    assert done.returncode != 0
    assert "does not match its hash in the lock file" in lines_of_setup(done)[-1]
    assert not (checkout / ".venv" / "bin" / "quorate").exists()
    assert not (checkout / ".venv" / "quorate-setup.json").exists()


def test_an_index_out_of_reach_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    done = make(checkout, "setup")
    assert done.returncode != 0
    assert lines_of_setup(done)[-1] == (
        "setup: the package index cannot be reached; pip's own words are in .venv/setup.log"
    )
    assert "Traceback" not in done.stdout + done.stderr


def path_with(folder: Path, python: str | None) -> str:
    """A search path with the plain tools and a `python3` that is the given shell script."""
    folder.mkdir()
    for tool in ("sh", "dirname", "head", "make"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    if python is not None:
        (folder / "python3").write_text(f"#!/bin/sh\n{python}\n")
        (folder / "python3").chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("python", "code", "line"),
    [
        (None, 1, "Python 3.11 or newer is needed and there is no python3 here"),
        (
            'case $1 in -c) echo no;; *) echo "Python 3.9.2";; esac',
            1,
            "Python 3.11 or newer is needed; Python 3.9.2 is too old",
        ),
        ("exit 127", 1, "Python 3.11 or newer is needed"),
        (
            'case $1 in -c) echo new;; --version) echo "Python 3.19.0";; esac',
            0,
            "Python 3.19.0 is newer than the tested versions",
        ),
    ],
)
def test_a_python_that_does_not_fit_is_one_line(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str | None, code: int, line: str
) -> None:
    monkeypatch.delenv("PYTHON")
    monkeypatch.setenv("PATH", path_with(tmp_path / "path", python))
    done = make(checkout, "setup")
    assert (done.returncode == 0) == (code == 0)
    assert len(lines_of_setup(done)) == 1
    assert line in lines_of_setup(done)[0]


def test_a_chosen_python_that_does_not_run_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", "/nowhere/python3")
    assert lines_of_setup(make(checkout, "setup")) == ["setup: /nowhere/python3 does not run as a Python 3"]


@pytest.mark.parametrize(
    ("platform", "machine", "musl", "words"),
    [
        ("linux", "x86_64", True, "musl: eclipse-zenoh"),
        ("darwin", "x86_64", False, "macOS on Intel: cryptography"),
        ("freebsd14", "amd64", False, "freebsd14 is not supported"),
    ],
)
def test_a_machine_without_packages_is_refused(
    monkeypatch: pytest.MonkeyPatch, platform: str, machine: str, musl: bool, words: str
) -> None:
    bootstrap = load_bootstrap()
    monkeypatch.setattr(bootstrap.sys, "platform", platform)
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
    monkeypatch.setattr(bootstrap, "is_musl", lambda: musl)
    with pytest.raises(bootstrap.SetupError, match=words):
        bootstrap.check_machine()


def test_macos_is_told_what_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap = load_bootstrap()
    monkeypatch.setattr(bootstrap.sys, "platform", "darwin")
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "arm64")
    bootstrap.check_machine()
    assert capsys.readouterr().out.count("\n") == 1


def test_the_c_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = load_bootstrap()
    monkeypatch.setattr(bootstrap.sys, "platform", "linux")
    monkeypatch.setattr(bootstrap.os, "confstr", lambda _: "glibc 2.36")
    assert not bootstrap.is_musl()
    monkeypatch.setattr(bootstrap.os, "confstr", lambda _: None)
    assert bootstrap.is_musl()


@pytest.mark.parametrize("missing", [{"venv"}, {"ensurepip", "pip"}])
def test_a_python_without_venv_is_told_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: set[str]
) -> None:
    bootstrap = load_bootstrap()
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "is_module", lambda name: name not in missing)
    with pytest.raises(bootstrap.SetupError, match="apt-get install python3-venv"):
        bootstrap.make_environment()


def test_a_python_whose_venv_cannot_be_imported_is_told_the_package_in_one_line(checkout: Path) -> None:
    program = (
        "import runpy, sys; sys.modules['venv'] = sys.modules['ensurepip'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [HOST_PYTHON, "-c", program, "scripts/bootstrap.py", "base"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120)
    advice = "setup: this Python has no venv module; on Debian or Ubuntu: apt-get install python3-venv"
    assert (done.returncode, lines_of_setup(done), done.stderr.count("\n")) == (1, [advice], 1)


def test_a_python_without_ensurepip_uses_its_own_pip(checkout: Path, tmp_path: Path) -> None:
    """Debian without python3-venv but with python3-pip: that pip installs into the new environment."""
    program = (
        "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    with_pip = [python for python in (HOST_PYTHON, sys.executable) if has_module(python, "pip")]
    if not with_pip:
        pytest.skip("no Python here has a pip of its own: apt-get install python3-pip")
    command = [with_pip[0], "-c", program, "scripts/bootstrap.py", "base"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    python = checkout / ".venv" / "bin" / "python"
    assert not has_module(python, "pip")
    assert subprocess.run([python.with_name("quorate")], capture_output=True, text=True).stdout == "it speaks\n"
