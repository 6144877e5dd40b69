"""Configuration to adapters: the only place that names concrete adapters."""

from __future__ import annotations

import logging
from pathlib import Path

from quorate.adapters.blobs import FileBlobs
from quorate.adapters.clock import SystemClock
from quorate.adapters.entropy import SystemEntropy
from quorate.adapters.keys import read_secret
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.adapters.transport.mesh_settings import Credentials, MeshSettings
from quorate.adapters.transport.zenoh import ZenohTransport
from quorate.crypto.digests import value_digest
from quorate.crypto.signing import Identity, node_id
from quorate.crypto.wrapping import SealKey
from quorate.execute.engine import Engine
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.units import Digest, NodeId
from quorate.node.config import NodeConfig, load_genesis
from quorate.node.provider import Duty, ProviderNode
from quorate.node.requester import RequesterNode
from quorate.node.selftest import measured_offer
from quorate.node.sequencer import SequencerNode
from quorate.node.shell import Shell, World


def build(config: NodeConfig) -> Shell:
    """The node that `config` describes, not started yet."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    genesis = load_genesis(Path(config.home))
    network = value_digest(genesis)
    identity = Identity.from_bytes(read_secret(config.folder / "identity.key"))
    world = _world(config, genesis, identity.node_id)
    if config.role == "sequencer":
        return SequencerNode(genesis, network, identity, world)
    if config.role == "requester":
        return RequesterNode(genesis, network, identity, world)
    return _provider(config, genesis, network, identity, world)


def _world(config: NodeConfig, genesis: Genesis, node: NodeId) -> World:
    folder = config.folder
    store = SqliteStore(folder / "store.db")
    settings = MeshSettings(
        network=value_digest(genesis),
        node=node,
        listen=config.listen,
        credentials=Credentials(Path(config.home) / "authority.pem", folder / "tls.pem", folder / "tls.key"),
        connect=config.connect,
        members=frozenset(node_id(bundle) for bundle in (*genesis.ledger, *(a.bundle for a in genesis.accounts))),
        wire_log_path=folder / "wire.log" if config.wire_log else None,
    )
    blobs = FileBlobs(folder / "blobs", rows=store)
    return World(SystemClock(), SystemEntropy(), ZenohTransport(settings), store, blobs)


def _provider(config: NodeConfig, genesis: Genesis, network: Digest, identity: Identity, world: World) -> ProviderNode:
    seal_key = SealKey.from_bytes(read_secret(config.folder / "seal.key"))
    artefacts = ArtefactStore(config.folder / "artefacts", read_secret(config.folder / "artefact.key"))
    engine = WorkerPool(PoolSettings(slots=config.slots, contract_engine=config.contract_engine), artefacts)

    async def measure(started: Engine) -> Offer:
        now_ms = world.clock.now_ms()
        return await measured_offer(config, network, identity.node_id, started, seal_key.public, now_ms)

    return ProviderNode(genesis, network, identity, world, Duty(engine, seal_key, measure))
