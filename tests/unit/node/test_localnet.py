"""What a local network is made with, before any process of it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.api.keyring import Keyring
from quorate.crypto.signing import node_id
from quorate.errors import MissingKey, NoNetwork
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
    localnet.create(tmp_path / "n", ["sequencer", "node"], localnet.Founding(windows=chosen))
    assert load_genesis(tmp_path / "n").windows == chosen


def test_there_are_no_windows_where_there_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(NoNetwork):
        load_genesis(tmp_path)


def test_each_user_has_a_key_and_credits_of_its_own(tmp_path: Path) -> None:
    localnet.create(tmp_path / "n", ["sequencer", "node"], localnet.Founding(epoch_ms=1_500, users=3))
    genesis = load_genesis(tmp_path / "n")
    users = [Keyring(tmp_path / "n" / name).identity().node_id for name in ("client", "client-2", "client-3")]
    funds = {node_id(account.bundle): account.balance_micro for account in genesis.accounts if account.balance_micro}
    assert funds == dict.fromkeys(users, localnet.CREDITS_MICRO)
    assert (len(funds), genesis.epoch_ms) == (3, 1_500)
    with pytest.raises(MissingKey):
        Keyring(tmp_path / "n" / "client-4").identity()


def test_nothing_of_the_users_is_left_of_a_network_that_is_purged(tmp_path: Path) -> None:
    localnet.create(tmp_path / "n", ["sequencer", "node"], localnet.Founding(users=2))
    localnet.down(tmp_path / "n", purge=True)
    assert not (tmp_path / "n").exists()
