"""The import contracts of `.importlinter` hold, and they notice what they are there for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.repository import ROOT, SOURCE

CONTRACTS = ROOT / ".importlinter"
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with our contracts over the package in `source`."""
    environment = os.environ | {"PYTHONPATH": str(source), "COLUMNS": "400"}
    command = [str(LINTER), "--no-cache", "--no-logo", "--config", str(CONTRACTS)]
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copied_source(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "quorate", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def verdict_of(done: subprocess.CompletedProcess[str], contract: str) -> str:
    """KEPT or BROKEN, as the linter says of the contract whose name begins so."""
    lines = [line for line in done.stdout.splitlines() if line.startswith(contract)]
    verdicts = [word for line in lines for word in line.split() if word in {"KEPT", "BROKEN"}]
    assert len(verdicts) == 1, done.stdout + done.stderr
    return verdicts[0]


def plant(source: Path, name: str, line: str) -> None:
    """Add one import to a module of the copy; make the module, and its packages, where they are missing."""
    module = source / "quorate" / name
    module.parent.mkdir(parents=True, exist_ok=True)
    for package in module.parents:
        if package == source:
            break
        (package / "__init__.py").touch()
    old = module.read_text() if module.exists() else ""
    module.write_text(f"{old}\n{line}\n")


def test_the_contracts_hold() -> None:
    done = lint(ROOT / "src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("utils/text.py", "", "Imports go down only"),
        ("errors.py", "import quorate.model", "Imports go down only"),
        ("model/units.py", "import quorate.crypto", "Imports go down only"),
        ("crypto/planted.py", "import quorate.ports", "Imports go down only"),
        ("market/planted.py", "import quorate.verify.quorum", "Imports go down only"),
        ("jobs/planted.py", "import quorate.adapters.clock", "Imports go down only"),
        ("model/units.py", "import time", "Time, randomness and the world are arguments"),
        ("crypto/digests.py", "import secrets", "Time, randomness and the world are arguments"),
        ("ledger/planted.py", "import sqlite3", "Time, randomness and the world are arguments"),
        ("adapters/planted.py", "import quorate.jobs", "Adapters know ports, model and crypto"),
        ("adapters/storage/planted.py", "import quorate.ledger", "Adapters know ports, model and crypto"),
        ("adapters/storage/memory.py", "import quorate.adapters.storage.sqlite", "Adapters do not know one another"),
        ("adapters/storage/memory.py", "import quorate.adapters.transport.inproc", "Adapters do not know one another"),
        ("node/planted.py", "import quorate.adapters.clock", "Concrete adapters are named in node.wiring"),
        ("api/planted.py", "import quorate.adapters.keys", "Concrete adapters are named in node.wiring"),
    ],
)
def test_a_planted_fault_breaks_a_contract(copied_source: Path, module: str, line: str, broken: str) -> None:
    plant(copied_source, module, line)
    assert verdict_of(lint(copied_source), broken) == "BROKEN"


@pytest.mark.parametrize(
    ("module", "line", "kept"),
    [
        ("adapters/chain/planted.py", "import quorate.ledger", "Adapters know ports, model and crypto"),
        ("node/wiring.py", "import quorate.adapters.clock", "Concrete adapters are named in node.wiring"),
        ("node/planted.py", "import time", "Time, randomness and the world are arguments"),
    ],
)
def test_what_is_allowed_breaks_none(copied_source: Path, module: str, line: str, kept: str) -> None:
    plant(copied_source, module, line)
    assert verdict_of(lint(copied_source), kept) == "KEPT"
