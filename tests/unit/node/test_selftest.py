"""What an offer says of its machine was measured on it at this start, or says that it was not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorate.errors import InvalidField
from quorate.execute import jail
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.model.offer import Offer
from quorate.model.program import LINKED
from quorate.model.units import Digest, NodeId
from quorate.node import selftest
from quorate.node.config import NodeConfig, load_config
from quorate.node.selftest import measured_offer, storage_offered

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)


async def offer_of(home: Path, **settings: object) -> Offer:
    config = NodeConfig(role="provider", name="p", home=str(home), listen="", connect=(), **settings)  # type: ignore[arg-type]
    config.folder.mkdir(exist_ok=True)
    engine = WorkerPool(PoolSettings(slots=1))
    await engine.start()
    try:
        return await measured_offer(config, Digest(bytes(32)), NodeId(bytes(32)), engine, b"", 1_000)
    finally:
        await engine.close()


async def test_an_offer_says_what_the_machine_has(tmp_path: Path) -> None:
    offer = await offer_of(tmp_path)
    found = os.statvfs(tmp_path)
    assert offer.cpu_cores == len(os.sched_getaffinity(0))
    assert 0 < offer.storage_bytes <= found.f_bavail * found.f_frsize + (1 << 30)
    assert offer.storage_bytes.bit_count() == 1
    assert offer.capabilities == (
        "wasm:pure",
        "wasm:command",
        "wasm:linked",
        "bytecode:contract",
        "wasm:contract",
        "tier:light",
        "tier:full",
    )


async def test_what_does_not_pass_its_test_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(known._replace(output=b"43") if known.word == LINKED else known for known in selftest.KNOWN)
    monkeypatch.setattr(selftest, "KNOWN", others)
    assert LINKED not in (await offer_of(tmp_path)).capabilities


async def test_fewer_cores_are_offered_where_fewer_may_be_used(tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert (await offer_of(tmp_path)).cpu_cores == 1
    finally:
        os.sched_setaffinity(0, allowed)


async def test_no_gpu_is_offered_without_a_device_that_passed_a_test(tmp_path: Path) -> None:
    assert (await offer_of(tmp_path)).gpu_units == 0


async def test_bandwidth_is_what_the_operator_states_and_nothing_else(tmp_path: Path) -> None:
    assert (await offer_of(tmp_path)).stated_bandwidth_bytes_per_s == 0
    stated = await offer_of(tmp_path, stated_bandwidth_bytes_per_s=125_000_000)
    assert stated.stated_bandwidth_bytes_per_s == 125_000_000


@pytest.mark.parametrize("stated", ["-1", "9223372036854775808", "1.5", '"much"'])
def test_a_statement_that_is_no_bandwidth_is_refused(tmp_path: Path, stated: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        f'{{"role":"provider","name":"p","home":"/h","listen":"","connect":[],"stated_bandwidth_bytes_per_s":{stated}}}'
    )
    with pytest.raises(InvalidField, match="stated_bandwidth_bytes_per_s"):
        load_config(path)


def test_storage_on_offer_is_no_more_than_what_is_free_and_at_least_half_of_it(tmp_path: Path) -> None:
    before = os.statvfs(tmp_path)
    offered = storage_offered(tmp_path)
    free_bytes = before.f_bavail * before.f_frsize
    slack = free_bytes // 8
    assert free_bytes // 2 - slack <= offered <= free_bytes + slack
