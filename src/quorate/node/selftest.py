"""What a provider may offer is what it has just shown: every capability of its Offer ran a known program through the
jail at this start.

A capability flag is true only if its self-test passed (honesty rule 6). Nothing is simulated here, so `simulated` stays
empty.
"""

from __future__ import annotations

import logging

from quorate.crypto.digests import blob_digest
from quorate.execute.bytecode.state import State
from quorate.execute.contracts.outcomes import arguments_value, balances_of, world_of
from quorate.execute.engine import COMMAND, CONTRACT, PURE, Engine, Limits, Task
from quorate.model.call import CallOutcome, ContractCall
from quorate.model.codec import decode, encode
from quorate.model.contract import ID_BYTES
from quorate.model.offer import DEVICE_CLASSES, Offer, Prices
from quorate.model.program import TIER_LIMITS
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

# .memory 64
# .cycles 1000
# .func run() -> 1
#     PUSH 42
#     RET
CALLED = bytes.fromhex(
    "4d485242010100044000000000000000e80300000000000000000000000003001f94cbf313b3ce23257a7251ea0fc95a2455"
    "6ea611e4f8f475e549971baedb0201000100000000010001000372756e00012a4417dce1a3"
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
    execution = await engine.run(_contract_task())
    if execution.status == Status.SUCCESS and decode(execution.output, CallOutcome).results == (42,):
        shown.append("bytecode:contract")
    else:
        log.error("self-test of bytecode contracts ended as %s: not offered", execution.status)
    if shown:
        shown.extend(_tiers(config.device_class))
    return tuple(shown), version, layers


def _contract_task() -> Task:
    """A call of a contract that answers 42."""
    state = State()
    call = ContractCall(
        contract=Digest(bytes(32)),
        state=Digest(state.key),
        version=0,
        epoch=0,
        deposit_micro=MicroCredits(0),
        balances=balances_of({bytes(ID_BYTES): 0}),
    )
    return Task(
        id=b"self-test contract",
        module=CALLED,
        digest=blob_digest(CALLED),
        profile=CONTRACT,
        entry="run",
        stdin=encode(arguments_value(())),
        world=encode(world_of(call, bytes(ID_BYTES), state.encode())),
        limits=Limits(memory_bytes=MIB, fuel=10**6, run_ms=5_000),
    )


def _tiers(device_class: str) -> list[str]:
    """Light from Community on, full from Gateway on (the tier table of the seed documents)."""
    rank = DEVICE_CLASSES.index(device_class)
    return ["tier:light"] * (rank >= 1) + ["tier:full"] * (rank >= 2)
