"""The checkout as tests see it: its root and the files that belong to it."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "quorate"
NEVER_OURS = {".git", ".venv", "__pycache__", "build", "dist", "node_modules", ".hypothesis"}
NEVER_OURS_ENDINGS = ("_cache", ".egg-info")


def _files_by_git() -> list[Path] | None:
    """What git tracks or would track; None where this is no checkout or there is no git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [ROOT / name for name in listed.split("\0") if name]


def _files_by_walk() -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NEVER_OURS and not name.endswith(NEVER_OURS_ENDINGS)]
        found += [Path(folder) / name for name in names if not name.endswith(".pyc")]
    return found


@functools.cache
def repository_files() -> tuple[Path, ...]:
    """Every file of the repository, present on disk, in a fixed order."""
    files = _files_by_git()
    return tuple(sorted(path for path in (_files_by_walk() if files is None else files) if path.is_file()))


def python_files(*folders: str) -> list[Path]:
    """The Python files of the repository, all of them or those under the named folders."""
    files = [path for path in repository_files() if path.suffix == ".py"]
    return [path for path in files if not folders or path.relative_to(ROOT).parts[0] in folders]


def name_of(path: Path) -> str:
    """The path from the root, for test ids and messages."""
    return path.relative_to(ROOT).as_posix()
