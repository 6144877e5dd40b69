"""One frozen configuration for each process, read from its folder's `config.json`. Each field has its unit in its name.

QUORATE_HOME/
  network.cbor              the genesis; its digest is the network id
  authority.pem             the network's certificate authority (its key, authority.key, is needed only to admit nodes)
  client/                   the user's identity key and one key file per job (client-2/ ... of further users)
  node/                     the requester's node, with its door (door.sock)
  sequencer/  provider-1/   one folder for each further process: keys, certificate, store, blobs, log
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from quorate.errors import InvalidField, NoNetwork
from quorate.model.codec import decode
from quorate.model.network import Genesis
from quorate.model.units import Count

Role = Literal["requester", "provider", "sequencer"]


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one process must know. Paths that are not here follow from `home` and `name`. Nothing measures a bandwidth:
    the operator states it here, or nothing. `contract_engine` runs bytecode contracts: another one is a restart
    away."""

    role: Role
    name: str
    home: str
    listen: str
    connect: tuple[str, ...]
    operator: str = ""
    region: str = "local"
    device_class: str = "Gateway"
    slots: int = 2
    contract_engine: Literal["machine", "translation"] = "machine"
    stated_bandwidth_bytes_per_s: Count = 0
    base_micro: int = 100
    per_mega_fuel_micro: int = 10
    attempt_micro: int = 20
    wire_log: bool = False

    @property
    def folder(self) -> Path:
        return Path(self.home) / self.name


def home_folder(given: str = "") -> Path:
    """QUORATE_HOME, or the XDG data folder."""
    if given:
        return Path(given).absolute()
    if os.environ.get("QUORATE_HOME"):
        return Path(os.environ["QUORATE_HOME"]).absolute()
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "quorate"


def load_config(path: Path) -> NodeConfig:
    try:
        return msgspec.json.decode(path.read_bytes(), type=NodeConfig)
    except (OSError, msgspec.MsgspecError) as fault:
        raise InvalidField(f"{path}: {fault}", field="config", fix="quorate localnet up writes it") from None


def load_genesis(home: Path) -> Genesis:
    """The network under `home`. Raises NoNetwork when there is none."""
    try:
        data = (home / "network.cbor").read_bytes()
    except OSError:
        raise NoNetwork(f"no network under {home}", field="QUORATE_HOME", fix="quorate localnet up") from None
    return decode(data, Genesis)
