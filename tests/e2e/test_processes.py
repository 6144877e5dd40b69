"""The processes of a network as such: they come, go and come back, and leave nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import guests
from tests.support.network import Network, children, is_gone, running, soonest, until

from quorate.errors import InvalidField, NetworkRunning, NoNetwork
from quorate.node import localnet

NODES = 2


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with running(NODES) as started:
        yield started


def test_every_party_is_a_process_with_keys_and_a_store_of_its_own(network: Network) -> None:
    processes = localnet.status(network.home)
    assert {process.name for process in processes} == {"sequencer", "node", "provider-1", "provider-2"}
    assert all(process.alive for process in processes)
    assert len({process.pid for process in processes}) == len({process.port for process in processes}) == 4
    assert len(set(network.ids.values())) == 5
    for name in network.ids:
        held = {path.name for path in (network.home / name).iterdir()}
        assert "identity.key" in held
        assert ("store.db" in held) == (name != "client")
        assert ("seal.key" in held) == name.startswith("provider")


def test_a_network_is_up_within_five_seconds() -> None:
    """As `quorate localnet up --nodes 4` does it: keys, genesis, six processes, every offer on the ledger."""

    def started() -> float:
        before = time.monotonic()
        with running(4) as network:
            took_s = time.monotonic() - before
            assert network.client().network()["standing_offers"] == 4
        return took_s

    assert soonest(5, started) < 5


def test_a_running_network_is_not_started_again(network: Network) -> None:
    with pytest.raises(NetworkRunning):
        localnet.up(network.home, NODES)
    with pytest.raises(NetworkRunning):
        localnet.respawn(network.home, "provider-1")
    with pytest.raises(InvalidField):
        localnet.respawn(network.home, "provider-9")


def test_workers_die_with_their_provider(network: Network) -> None:
    workers = until(lambda: network.workers("provider-1"), 10)
    network.kill("provider-1")
    until(lambda: all(is_gone(pid) for pid in workers), 5)
    network.respawn("provider-1")
    until(lambda: network.client().network()["peers"] == NODES + 1, 20)


def test_it_stops_and_comes_back_with_all_it_knew(network: Network) -> None:
    with network.client() as client:
        network.await_standing()
        job = client.submit(guests.private(guests.REVERSE, b"abc", NODES))
        assert client.wait(job, 30).decrypt() == b"cba"
        balance = network.book().balance_micro(network.ids["client"])
    pids = [process.pid for process in localnet.status(network.home)]
    pids += [worker for pid in pids for worker in children(pid)]
    assert set(localnet.down(network.home)) == {"sequencer", "node", "provider-1", "provider-2"}
    assert all(is_gone(pid) for pid in pids)
    assert not (network.home / "node" / "door.sock").exists()
    localnet.up(network.home, NODES)
    with network.client() as client:
        assert client.result(job).decrypt() == b"cba"
        assert client.status(job).settled
        assert network.book().balance_micro(network.ids["client"]) == balance
        assert client.wait(client.submit(guests.private(guests.REVERSE, b"xyz", NODES)), 30).decrypt() == b"zyx"


def test_the_door_is_for_its_owner_alone(network: Network) -> None:
    door = network.home / "node" / "door.sock"
    assert door.stat().st_mode & 0o777 == 0o600
    assert not {path for path in network.home.rglob("store.db*") if path.stat().st_mode & 0o077}


def test_purging_leaves_nothing(tmp_path: Path) -> None:
    with running(1) as other:
        home = other.home
        localnet.down(home, purge=True)
        assert not home.exists() or not os.listdir(home)
    with pytest.raises(NoNetwork):
        localnet.down(tmp_path)
