"""The lock files hold what pyproject.toml asks for, with hashes, and name no address."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tests.support.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BASE = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
EXTRAS = PROJECT["project"]["optional-dependencies"]
WANTED = {
    "requirements.lock": BASE,
    "requirements-dev.lock": [*BASE, *EXTRAS["dev"]],
    "requirements-guests.lock": EXTRAS["guests"],
}
HEAVY = {"ziglang", "numpy", "onnxruntime"}


def entries(text: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each locked requirement with its hashes."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = line.split("--hash=")
            yield Requirement(requirement.strip()), [digest.strip() for digest in hashes]


def versions(name: str) -> dict[str, set[Version]]:
    """What the lock file pins: a universal lock may pin one package several times, for different systems."""
    found: dict[str, set[Version]] = {}
    for requirement, _ in entries((ROOT / name).read_text()):
        (specifier,) = requirement.specifier
        found.setdefault(canonicalize_name(requirement.name), set()).add(Version(specifier.version))
    return found


@pytest.mark.parametrize("name", WANTED)
def test_every_entry_is_pinned_and_hashed(name: str) -> None:
    for requirement, hashes in entries((ROOT / name).read_text()):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], str(requirement)
        assert hashes, str(requirement)
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), str(requirement)


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_has_what_is_asked_for(name: str) -> None:
    locked = versions(name)
    for text in WANTED[name]:
        requirement = Requirement(text)
        pinned = locked.get(canonicalize_name(requirement.name), set())
        assert pinned, f"{text} is not in {name}: make lock"
        assert all(version in requirement.specifier for version in pinned), f"{text} does not fit {name}: make lock"


def test_the_locks_agree() -> None:
    base, dev = versions("requirements.lock"), versions("requirements-dev.lock")
    assert {package: dev.get(package) for package in base} == base


@pytest.mark.parametrize("name", WANTED)
def test_a_lock_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f)\b", text, re.MULTILINE)
    assert " @ " not in text


def test_what_is_large_is_not_in_the_lock_of_users_and_tests() -> None:
    locked = set(versions("requirements.lock")) | set(versions("requirements-dev.lock"))
    asked_for = {canonicalize_name(Requirement(text).name) for text in BASE}
    assert locked & HEAVY <= asked_for


def test_every_dependency_has_its_reason() -> None:
    record = (ROOT / "docs" / "adr" / "0001-dependencies.md").read_text()
    names = [Requirement(text).name for text in [*BASE, *EXTRAS["dev"], *EXTRAS["guests"]]]
    unexplained = [name for name in names if not re.search(rf"^\| {re.escape(name)} \|", record, re.MULTILINE)]
    assert unexplained == []
