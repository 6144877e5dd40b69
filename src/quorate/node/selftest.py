"""What a provider may offer is what it has just shown: every capability of its Offer ran a known program through the
jail at this start.

A capability flag is true only if its self-test passed (honesty rule 6). Nothing is simulated here, so `simulated` stays
empty.
"""

from __future__ import annotations

import logging

from quorate.crypto.digests import blob_digest
from quorate.execute.engine import COMMAND, PURE, Engine, Limits, Task
from quorate.model.job import TIER_LIMITS
from quorate.model.offer import Offer, Prices, tiers_of
from quorate.model.trap import Status
from quorate.model.units import MIB, Digest, Fuel, MicroCredits, Millis, NodeId
from quorate.node.config import NodeConfig

log = logging.getLogger("quorate.node")

OFFER_VALID_MS = 7 * 24 * 3_600_000
FUEL_OFFERED = 10**10

# (module (func (export "run") (result i32) i32.const 42))
ANSWERS = bytes.fromhex("0061736d010000000105016000017f030201000707010372756e00000a06010400412a0b")
# (module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
#   (func (export "_start") i32.const 0 call $exit))
EXITS = bytes.fromhex(
    "0061736d0100000001080260017f0060000002240116776173695f736e617073686f745f70726576696577310970726f635f"
    "657869740000030201010503010001071302066d656d6f72790200065f737461727400010a08010600410010000b000e046e"
    "616d65010701000465786974"
)


async def measured_offer(
    config: NodeConfig, network: Digest, node: NodeId, engine: Engine, seal_public: bytes, now_ms: int
) -> Offer:
    """Runs the self-tests and states their result as an Offer. `engine` is started."""
    capabilities, engine_version, layers = await _capabilities(config, engine)
    return Offer(
        network=network,
        provider=node,
        operator=config.operator or config.name,
        prices=Prices(
            base_micro=MicroCredits(config.base_micro),
            per_mega_fuel_micro=MicroCredits(config.per_mega_fuel_micro),
            attempt_micro=MicroCredits(config.attempt_micro),
        ),
        seal_key=seal_public,
        engine=engine_version,
        capabilities=capabilities,
        isolation=layers,
        simulated=(),
        device_class=config.device_class,  # type: ignore[arg-type]
        region=config.region,
        memory_bytes_max=TIER_LIMITS["full"][0],
        fuel_max=Fuel(FUEL_OFFERED),
        slots=config.slots,
        issued_ms=Millis(now_ms),
        expires_ms=Millis(now_ms + OFFER_VALID_MS),
    )


async def _capabilities(config: NodeConfig, engine: Engine) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    shown: list[str] = []
    version: str = ""
    layers: tuple[str, ...] = ()
    for profile, module, output in ((PURE, ANSWERS, (42).to_bytes(4, "little")), (COMMAND, EXITS, b"")):
        task = Task(
            id=b"self-test " + profile.encode(),
            module=module,
            digest=blob_digest(module),
            profile=profile,
            limits=Limits(memory_bytes=MIB, fuel=10**6, run_ms=5_000),
        )
        execution = await engine.run(task)
        version, layers = execution.engine_version, execution.layers
        if execution.status == Status.SUCCESS and execution.output == output:
            shown.append(f"wasm:{profile}")
        else:
            log.error("self-test of profile %s ended as %s: not offered", profile, execution.status)
    if shown:
        shown.extend(_tiers(config.device_class))
    return tuple(shown), version, layers


def _tiers(device_class: str) -> list[str]:
    return [f"tier:{tier}" for tier in tiers_of(device_class)]
