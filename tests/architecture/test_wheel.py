"""The wheel holds the package, its data and its licence, and nothing else of the repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.repository import ROOT, SOURCE, repository_files


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in a wheel that is built from this checkout, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_whole_package_is_in(names: set[str]) -> None:
    ours = [path for path in repository_files() if SOURCE in path.parents and "__pycache__" not in path.parts]
    missing = [path for path in ours if f"quorate/{path.relative_to(SOURCE).as_posix()}" not in names]
    assert missing == []
    assert "quorate/api/status.toml" in names


def test_the_example_of_the_demo_is_in(names: set[str]) -> None:
    assert {f"quorate/examples/aggregation/{name}" for name in ("aggregation.wasm", "input.json")} <= names


def test_licence_and_command_are_in(names: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)


def test_nothing_else_is_in(names: set[str]) -> None:
    assert {Path(name).parts[0] for name in names if ".dist-info/" not in name} == {"quorate"}
