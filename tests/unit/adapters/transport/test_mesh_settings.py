"""Names on the mesh and the configuration that goes to Zenoh. Refusals of settings are tested with the transport."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.support.certificates import DAY_MS, Network
from tests.support.meshes import NETWORK_ID, node

from quorate.adapters.transport.mesh_settings import (
    MEMBERS_MAX,
    Keys,
    MeshSettings,
    access_rules,
    check_settings,
    session_options,
)
from quorate.errors import InvalidField, QuorateError
from quorate.model.units import Millis, NodeId

KEYS = Keys.of(NETWORK_ID)
NOW_MS = 1_000_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> MeshSettings:
    return MeshSettings(NETWORK_ID, node(0), "127.0.0.1:7001", Network(tmp_path).certify(node(0)), ("127.0.0.1:7002",))


def test_keys_name_network_and_node() -> None:
    assert KEYS.inbox(node(0)) == f"q/0001020304050607/{'a0' * 32}/in/*"
    assert KEYS.sender(KEYS.inbox(node(0), node(1))) == node(1)
    assert KEYS.blob(node(0)) == f"q/0001020304050607/{'a0' * 32}/blob"
    assert KEYS.node_up(KEYS.up(node(1), "1f")) == (node(1), "1f")


@pytest.mark.parametrize(
    "key",
    [
        "",
        f"q/0001020304050607/{'a0' * 32}/in",
        f"q/0001020304050607/{'a0' * 32}/up",
        f"q/0001020304050607/{'a0' * 32}/up/",
        f"q/0001020304050607/{'a0' * 32}/up/1/2",
        f"q/ff01020304050607/{'a0' * 32}/up/1",
        f"q/0001020304050607/{'A0' * 32}/up/1",
        f"q/0001020304050607/{'a0' * 31}/up/1",
        f"x/0001020304050607/{'a0' * 32}/up/1",
    ],
)
def test_other_keys_are_nobodys_liveliness(key: str) -> None:
    assert KEYS.node_up(key) is None


def test_a_short_network_id_is_refused() -> None:
    with pytest.raises(InvalidField, match="network"):
        Keys.of(bytes(7))


def test_only_tls_on_loopback_is_configured(settings: MeshSettings) -> None:
    options = {path: json.loads(value) for path, value in session_options(settings).items()}
    assert options["listen/endpoints"] == ["tls/127.0.0.1:7001"]
    assert options["connect/endpoints"] == ["tls/127.0.0.1:7002"]
    assert options["transport/link/protocols"] == ["tls"]
    assert options["transport/link/tls"]["enable_mtls"] is True
    assert options["transport/link/tls"]["verify_name_on_connect"] is True
    assert options["scouting/multicast/enabled"] is False
    assert options["transport/shared_memory/enabled"] is False
    assert options["adminspace/enabled"] is False
    assert options["access_control"]["default_permission"] == "deny"


def test_a_node_does_not_dial_itself(tmp_path: Path) -> None:
    credentials = Network(tmp_path).certify(node(0))
    own = MeshSettings(NETWORK_ID, node(0), "127.0.0.1:7001", credentials, ("127.0.0.1:7001", "127.0.0.1:7002"))
    assert json.loads(session_options(own)["connect/endpoints"]) == ["tls/127.0.0.1:7002"]


def test_rules_are_per_member_and_the_same_for_any_order_of_members() -> None:
    rules = access_rules(KEYS, node(0), frozenset({node(0), node(1), node(2)}))
    assert rules == access_rules(KEYS, node(0), frozenset({node(2), node(1), node(0)}))
    subjects = rules["subjects"]
    assert subjects == [{"id": n.hex(), "cert_common_names": [n.hex()]} for n in (node(1), node(2))]
    listed = {rule["id"]: rule for rule in rules["rules"]}  # type: ignore[attr-defined, index]
    assert listed[f"to-{node(1).hex()}"]["key_exprs"] == [KEYS.inbox(node(1), node(0)), KEYS.blob(node(1))]
    assert listed[f"to-{node(1).hex()}"]["flows"] == ["egress"]
    assert listed[f"from-{node(1).hex()}"]["key_exprs"] == [KEYS.inbox(node(0), node(1))]
    assert listed[f"from-{node(1).hex()}"]["flows"] == ["ingress"]


def test_a_network_of_one_denies_everyone() -> None:
    rules = access_rules(KEYS, node(0), frozenset({node(0)}))
    assert (rules["subjects"], rules["policies"], rules["default_permission"]) == (None, None, "deny")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"node": NodeId(b"short")}, "node"),
        ({"network": b"short"}, "network"),
        ({"listen": "127.0.0.1:70000"}, "listen"),
        ({"listen": "tcp/127.0.0.1:7000"}, "listen"),
        ({"connect": ("127.0.0.1:7000,tcp/127.0.0.1:7001",)}, "connect"),
        ({"members": frozenset({NodeId(b"short")})}, "members"),
        ({"members": frozenset(NodeId(n.to_bytes(32, "big")) for n in range(MEMBERS_MAX + 1))}, "members"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings: MeshSettings, changes: dict[str, object], field: str) -> None:
    values = {name: getattr(settings, name) for name in MeshSettings.__slots__} | changes
    with pytest.raises(InvalidField, match=f"^{field}: "):
        check_settings(MeshSettings(**values), Millis(NOW_MS))


def test_time_decides_over_the_certificate(settings: MeshSettings) -> None:
    now_ms = time.time_ns() // 1_000_000
    check_settings(settings, Millis(now_ms))
    for off_ms in (-3_600_000, DAY_MS + 3_600_000):
        with pytest.raises(QuorateError, match="not in date"):
            check_settings(settings, Millis(now_ms + off_ms))
