"""`make bench`: every script runs, what it prints becomes a section, and a script that fails is shown as failed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.repository import ROOT


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, looking at an empty folder of scripts."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "scripts" / "bench.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BENCH", tmp_path)
    return module


GOOD = """
import json
print("warming up")
print(json.dumps({"figures": {"jobs_per_s": 151.25, "note": "a|b"}, "machine": {"cores": 2}, "peers": {}, "seed": 7}))
"""


def test_results_are_written(bench: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "speed.py").write_text(GOOD)
    (tmp_path / "_shared.py").write_text("raise SystemExit(1)")
    assert bench.main([]) == 0
    page = (tmp_path / "RESULTS.md").read_text()
    assert "## speed" in page
    assert "| jobs_per_s | 151.25 |" in page
    assert "a\\|b" in page
    assert "seed: 7" in page
    assert "_shared" not in page


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit('no peer')", "exit code 1: no peer"),
        ("print('fast')", "Failed"),
        ("print('[1]')", "no JSON object"),
        ("print('{\"speed\": 1}')", "no JSON object with figures"),
        ("", "no JSON object"),
    ],
)
def test_a_failing_script_is_shown_and_the_others_run(
    bench: ModuleType, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "a_bad.py").write_text(text)
    (tmp_path / "b_good.py").write_text(GOOD)
    assert bench.main([]) == 1
    page = (tmp_path / "RESULTS.md").read_text()
    assert reason in page
    assert "| jobs_per_s | 151.25 |" in page


def test_one_script_leaves_the_page_alone(bench: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "speed.py").write_text(GOOD)
    assert bench.main(["speed"]) == 0
    assert not (tmp_path / "RESULTS.md").exists()
    with pytest.raises(SystemExit, match="no script slow"):
        bench.main(["slow"])


def test_an_empty_folder_is_an_error(bench: ModuleType) -> None:
    with pytest.raises(SystemExit, match="there is no script"):
        bench.main([])
