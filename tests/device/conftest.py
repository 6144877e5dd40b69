"""Builds of the device's cryptography, each once a session. A missing compiler is a skip that names it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.device.engines import Engine, Native, Wasm
from tests.support.repository import ROOT


def need(*commands: str) -> None:
    """Skips unless all commands are there."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def native(tmp_path_factory) -> Native:
    need("make", "cc")
    return Native(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="session")
def wasm(tmp_path_factory) -> Wasm:
    need("make")
    present = [sys.executable, "-m", "ziglang", "version"]
    if subprocess.run(present, capture_output=True, check=False).returncode != 0:
        pytest.skip("the ziglang package is not installed")
    return Wasm(tmp_path_factory.mktemp("wasm"))


@pytest.fixture(scope="session", params=["native", pytest.param("wasm", marks=pytest.mark.guests)])
def engine(request) -> Engine:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def official() -> Callable[[str], list[dict[str, Any]]]:
    """The cases of a standard, by the name of its file."""

    def load(name: str) -> list[dict[str, Any]]:
        text = (ROOT / "tests" / "vectors" / "crypto" / f"{name}.json").read_text()
        return json.loads(text)["cases"]

    return load
