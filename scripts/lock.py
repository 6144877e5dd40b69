"""Write the three lock files: every package of every install, with the hashes of its files.

    requirements.lock          what a user needs: the base install and the build backend
    requirements-dev.lock      the above and what the tests and checks need
    requirements-guests.lock   the compilers that rebuild the example guests (large, so apart)

The lock files name no package index, so they work behind any mirror. They are universal: one file serves
every operating system and Python version that `pyproject.toml` allows. Versions that are already locked stay;
`--upgrade` takes the newest. The resolver, `uv`, is installed into a throw-away virtual environment.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON_MIN = "3.11"
EDITABLE_INSTALL = ["editables>=0.5"]  # hatchling asks for it when it installs a checkout in place
HEADER = "# Written by `make lock` from pyproject.toml. Do not edit.\n"
OPTIONS = (
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--no-annotate",
    "--quiet",
)


def requirements_by_lock(project: dict[str, object]) -> dict[str, list[str]]:
    """Which requirements of pyproject.toml each lock file holds."""
    build_system, table = project["build-system"], project["project"]
    assert isinstance(build_system, dict)
    assert isinstance(table, dict)
    base = [*table["dependencies"], *build_system["requires"], *EDITABLE_INSTALL]
    extras = table["optional-dependencies"]
    return {
        "requirements.lock": base,
        "requirements-dev.lock": [*base, *extras["dev"]],
        "requirements-guests.lock": list(extras["guests"]),
    }


def resolver(folder: Path) -> Path:
    """Install `uv` into `folder` and return its path."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return folder / "bin" / "uv"


def compile_lock(uv: Path, lock: Path, wanted: list[str], options: list[str]) -> None:
    """Resolve `wanted` into `lock`. The file's present pins are preferred unless `--upgrade` is among the options."""
    command = [str(uv), "pip", "compile", "-", "--python-version", PYTHON_MIN, *OPTIONS, *options]
    subprocess.run([*command, "--output-file", str(lock)], input="\n".join(wanted), text=True, check=True, cwd=ROOT)
    text = lock.read_text()
    if "://" in text or "--index" in text:
        raise SystemExit(f"lock: {lock.name} names an address; it must not")
    lock.write_text(HEADER + text)


def main(arguments: list[str]) -> int:
    """Write the lock files. Further arguments (`--upgrade`, `--constraint FILE`) go to the resolver."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        uv = resolver(Path(folder) / "venv")
        for name, wanted in requirements_by_lock(project).items():
            options = [] if name == "requirements.lock" else ["--constraint", "requirements.lock"]
            compile_lock(uv, ROOT / name, wanted, [*options, *arguments])
            print(f"lock: wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
