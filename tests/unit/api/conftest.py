"""A boxed network, its door on a real Unix socket, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.desks import ECHO, BoxedDesk, make_box, open_door

from quorate.api.builder import Draft, Job
from quorate.api.client import Client, aconnect


@pytest.fixture
def desk() -> BoxedDesk:
    return BoxedDesk(make_box())


@pytest.fixture
def home(desk: BoxedDesk, tmp_path: Path) -> Path:
    return desk.box.write_home(tmp_path / "home")


@pytest.fixture
async def door(desk: BoxedDesk, home: Path) -> AsyncIterator[Path]:
    async with open_door(desk, home) as path:
        yield path


@pytest.fixture
async def client(door: Path, home: Path) -> AsyncIterator[Client]:
    async with await aconnect(home) as client:
        yield client


@pytest.fixture
def private_draft() -> Draft:
    return Job.builder().wasm(ECHO).private_input(b"private words").with_ownership_proof().replication(3).build()


@pytest.fixture
def public_draft() -> Draft:
    return Job.builder().wasm(ECHO).public_input(b"public words").proof("trust").build()
