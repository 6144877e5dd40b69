"""Runs the command line inside the test's own process and keeps what it wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from quorate.api import foreground
from quorate.api.cli import main


class Done(NamedTuple):
    """How a command ended, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


def cli_for(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path) -> Cli:
    """A function that runs `quorate ARGUMENTS...` with QUORATE_HOME at `home`, for this test only."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("QUORATE_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Done:
        monkeypatch.setenv("QUORATE_HOME", str(home))
        foreground.on_interruption(foreground.NOTHING_DONE)
        capfd.readouterr()
        code = main(list(arguments))
        return Done(code, *capfd.readouterr())

    return run


async def beside(run: Cli, *arguments: str) -> Done:
    """The same while this event loop goes on, so that a door can answer the command."""
    return await asyncio.to_thread(run, *arguments)
