"""What a provider may offer is what it has just shown: every capability of its Offer ran a known program through the
jail at this start.

A capability flag is true only if its self-test passed (honesty rule 6). Nothing is simulated here, so `simulated` stays
empty; no device has a self-test yet, so no GPU is offered.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from quorate.crypto.digests import blob_digest
from quorate.execute.bytecode.state import State
from quorate.execute.contracts.outcomes import arguments_value, balances_of, world_of
from quorate.execute.engine import COMMAND, CONTRACT, PURE, Engine, Limits, Module, Task
from quorate.model.call import CallOutcome, ContractCall
from quorate.model.codec import decode, encode
from quorate.model.contract import ID_BYTES
from quorate.model.offer import Offer, Prices, tiers_of
from quorate.model.program import LINKED, TIER_LIMITS
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
# (module (import "blake3:<the digest of ANSWERS>" "run" (func (result i32))) (export "run" (func 0)))
HANDS_ON = bytes.fromhex(
    "0061736d010000000105016000017f024f0147626c616b65333a356165613837633031333230393263336163313662386238"
    "366164393364336536393265326566653632313034653864626162396263623162633834646166310372756e000007070103"
    "72756e0000"
)


class Known(NamedTuple):
    """A program whose end is known: `word` is a capability of the machine on which it ends so."""

    word: str
    profile: str
    module: bytes
    output: bytes
    dependencies: tuple[bytes, ...] = ()


KNOWN = (
    Known("wasm:pure", PURE, ANSWERS, (42).to_bytes(4, "little")),
    Known("wasm:command", COMMAND, EXITS, b""),
    Known(LINKED, PURE, HANDS_ON, (42).to_bytes(4, "little"), (ANSWERS,)),
)

# (module (memory (export "memory") 1) (func (export "run") (result i64) i64.const 42)), and the section in which it
# declares tier light, one page of memory, 1000 cycles, 64 bytes of state and the function run without parameters
CALLED_WASM = bytes.fromhex(
    "0061736d010000000105016000017e030201000503010001071002066d656d6f727902000372756e00000a06010400422a0b"
    "00cf011071756f726174652e636f6e7472616374aa61760164747970656b6465636c61726174696f6e65737461746558201f"
    "94cbf313b3ce23257a7251ea0fc95a24556ea611e4f8f475e549971baedb02687363686564756c65016966756e6374696f6e"
    "7381a2646e616d656372756e6a706172616d657465727380697761736d5f74696572656c696768746a6d61785f6379636c65"
    "731903e86e617267756d656e745f6279746573006f6d61785f73746174655f62797465731840706d61785f6d656d6f72795f"
    "62797465731a00010000"
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
CONTRACTS = {"bytecode:contract": CALLED, "wasm:contract": CALLED_WASM}
"""Contracts whose function `run` answers 42."""


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
        cpu_cores=len(os.sched_getaffinity(0)),
        storage_bytes=storage_offered(config.folder),
        stated_bandwidth_bytes_per_s=config.stated_bandwidth_bytes_per_s,
        gpu_units=0,
        slots=config.slots,
        issued_ms=Millis(now_ms),
        expires_ms=Millis(now_ms + OFFER_VALID_MS),
    )


def storage_offered(folder: Path) -> int:
    """What is free on the file system of `folder`, in bytes, rounded down to a power of two: an offer stands for days,
    and must not change with every blob that comes or goes."""
    found = os.statvfs(folder)
    free_bytes = found.f_bavail * found.f_frsize
    return 1 << free_bytes.bit_length() - 1 if free_bytes else 0


async def _capabilities(config: NodeConfig, engine: Engine) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    shown: list[str] = []
    version: str = ""
    layers: tuple[str, ...] = ()
    for known in KNOWN:
        execution = await engine.run(_task(known))
        version, layers = execution.engine_version, execution.layers
        if execution.status == Status.SUCCESS and execution.output == known.output:
            shown.append(known.word)
        else:
            log.error("self-test of %s ended as %s: not offered", known.word, execution.status)
    for word, contract in CONTRACTS.items():
        execution = await engine.run(_call_task(word, contract))
        if execution.status == Status.SUCCESS and decode(execution.output, CallOutcome).results == (42,):
            shown.append(word)
        else:
            log.error("self-test of %s ended as %s: not offered", word, execution.status)
    if shown:
        shown.extend(_tiers(config.device_class))
    return tuple(shown), version, layers


def _task(known: Known) -> Task:
    return Task(
        id=b"self-test " + known.word.encode(),
        module=known.module,
        digest=blob_digest(known.module),
        profile=known.profile,
        limits=Limits(memory_bytes=MIB, fuel=10**6, run_ms=5_000),
        dependencies=tuple(Module(blob_digest(code), code) for code in known.dependencies),
    )


def _call_task(word: str, contract: bytes) -> Task:
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
        id=b"self-test " + word.encode(),
        module=contract,
        digest=blob_digest(contract),
        profile=CONTRACT,
        entry="run",
        stdin=encode(arguments_value(())),
        world=encode(world_of(call, bytes(ID_BYTES), state.encode())),
        limits=Limits(memory_bytes=MIB, fuel=10**6, run_ms=5_000),
    )


def _tiers(device_class: str) -> list[str]:
    return [f"tier:{tier}" for tier in tiers_of(device_class)]
