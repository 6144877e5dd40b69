"""What a local network is made with, before any process of it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.errors import NoNetwork
from quorate.model.network import Windows
from quorate.model.units import Millis
from quorate.node import localnet
from quorate.node.config import load_genesis


def test_a_member_that_is_restarted_with_its_network_is_back_before_its_bond_is_lost(tmp_path: Path) -> None:
    localnet.create(tmp_path / "n", ["sequencer", "node", "provider-1"])
    windows = load_genesis(tmp_path / "n").windows
    stop_and_start_s = localnet.STOP_TIMEOUT_S + localnet.START_TIMEOUT_S
    assert windows.reveal_ms > 1000 * stop_and_start_s, "at the slowest that this program allows"


def test_windows_may_be_chosen_when_the_network_is_made(tmp_path: Path) -> None:
    chosen = Windows(commit_ms=Millis(1), reveal_ms=Millis(2), cancel_ms=Millis(3))
    localnet.create(tmp_path / "n", ["sequencer", "node"], chosen)
    assert load_genesis(tmp_path / "n").windows == chosen


def test_there_are_no_windows_where_there_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(NoNetwork):
        load_genesis(tmp_path)
