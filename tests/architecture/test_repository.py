"""What the repository may hold: no empty names, no left-over notes, no address of one machine or package index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.repository import ROOT, name_of, repository_files

BANNED_NAMES = {"util", "helper", "service", "manager", "common", "core", "base", "misc"}
NOTES = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|NotImplemented" + r"Error")
HOME_PATHS = re.compile(r"(?<![\w.])/(?:wo" + r"rk/|ro" + r"ot/|ho" + r"me/\w|Use" + r"rs/\w|tm" + r"p/brief)")
INDEXES = (
    "pyp" + "i.org",
    "pythonho" + "sted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "cra" + "tes.io",
    "proxy.gol" + "ang.org",
)
INDEX_HOSTS = re.compile("|".join(rf"\b{re.escape(host)}\b" for host in INDEXES))
BYTES_MAX = 2_000_000


def texts() -> list[Path]:
    """Files that people read: those that decode as UTF-8 and hold no NUL."""
    return [path for path in repository_files() if b"\0" not in path.read_bytes()[:4096]]


def is_banned(path: Path) -> bool:
    """Whether a folder or module of the path, in singular or plural, has a name that says nothing."""
    parts = [*path.relative_to(ROOT).parts[:-1], path.stem] if path.is_absolute() else [*path.parts[:-1], path.stem]
    return any(part.removesuffix("s") in BANNED_NAMES or part in BANNED_NAMES for part in parts)


@pytest.mark.parametrize(
    "path", ["src/quorate/utils/text.py", "src/quorate/model/helpers.py", "tests/common.py", "a/base.py"]
)
def test_a_name_that_says_nothing_is_noticed(path: str) -> None:
    assert is_banned(Path(path))
    assert not is_banned(Path("src/quorate/model/units.py"))


def test_no_name_says_nothing() -> None:
    assert [name_of(path) for path in repository_files() if path.suffix == ".py" and is_banned(path)] == []


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (NOTES, "# TO" + "DO: later", "the to-do list"),
        (NOTES, "raise NotImplemented" + "Error", "return NotImplemented"),
        (HOME_PATHS, "see /wo" + "rk/src", "see src/work/units"),
        (HOME_PATHS, "/ho" + "me/ann/.venv", "the folder home/ann"),
        (INDEX_HOSTS, "https://pyp" + "i.org/simple", "https://www.rfc-editor.org"),
    ],
)
def test_a_pattern_knows_good_from_bad(pattern: re.Pattern[str], bad: str, good: str) -> None:
    assert pattern.search(bad)
    assert not pattern.search(good)


@pytest.mark.parametrize("pattern", [NOTES, HOME_PATHS, INDEX_HOSTS], ids=["notes", "home paths", "package indexes"])
def test_texts_are_free_of(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:80]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_file_is_large() -> None:
    assert [name_of(path) for path in repository_files() if path.stat().st_size > BYTES_MAX] == []


def test_the_licence_is_the_whole_of_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text.splitlines()) > 200
