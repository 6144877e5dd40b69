"""In continuous integration a skip is a failure; on a user's machine it is a skip with its reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.repository import ROOT

SKIPS = {
    "in the test": 'import pytest\ndef test_it(): pytest.skip("no compiler")\n',
    "by a mark": 'import pytest\n@pytest.mark.skip(reason="no compiler")\ndef test_it(): ...\n',
    "in a fixture": ('import pytest\n@pytest.fixture\ndef it(): pytest.skip("no compiler")\ndef test_it(it): ...\n'),
    "of the module": 'import pytest\npytest.skip("no compiler", allow_module_level=True)\ndef test_it(): ...\n',
    "by import": 'import pytest\npytest.importorskip("no_such_package", reason="no compiler")\ndef test_it(): ...\n',
}


def run_tests(folder: Path, text: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run one test file under this repository's conftest."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_planted.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    environment = os.environ | {"CI": ci}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_in_ci(tmp_path: Path, text: str) -> None:
    done = run_tests(tmp_path, text, ci="true")
    assert done.returncode != 0
    assert "no compiler" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_a_skip_elsewhere(tmp_path: Path, text: str) -> None:
    done = run_tests(tmp_path, text, ci="")
    assert done.returncode in {0, 5}
    assert "1 skipped" in done.stdout.splitlines()[-1]


def test_a_pass_and_an_expected_failure_stay_what_they_are(tmp_path: Path) -> None:
    text = "import pytest\ndef test_it(): ...\n@pytest.mark.xfail(strict=True)\ndef test_known(): assert False\n"
    done = run_tests(tmp_path, text, ci="true")
    assert done.returncode == 0
    assert "1 passed, 1 xfailed" in done.stdout.splitlines()[-1]
