"""A simulated network as it stands before the first job: genesis, sequencer, requesters' nodes, providers with standing
offers; and the jobs that customers make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from tests.simulation.provider import SimulatedProvider
from tests.simulation.requester import SimulatedRequester
from tests.simulation.sequencer import SimulatedSequencer
from tests.simulation.suite import Keyring, Party, party
from tests.simulation.world import START_MS, World

from quorate.crypto.commitments import commit_input, input_opening
from quorate.crypto.digests import blob_digest, digest, value_digest, xof
from quorate.crypto.ownership import OwnershipKey, OwnershipStatement, prove
from quorate.crypto.sealing import sealed_bytes
from quorate.crypto.wrapping import SealKey
from quorate.model.codec import Value
from quorate.model.evidence import Signed
from quorate.model.job import Job, JobCore, ResourceLimits
from quorate.model.network import Account, Caps, Genesis, Windows
from quorate.model.offer import Offer, Prices
from quorate.model.policy import Policy, Proof, Timeouts
from quorate.model.program import Program
from quorate.model.resources import PLAIN
from quorate.model.transaction import PostOffer
from quorate.model.units import MIB, Digest, Fuel, MicroCredits, Millis, NodeId

ENGINE = "simulated 1"
BOND_MICRO = 1_000
STAKE_MICRO = 1_000_000
BALANCE_MICRO = 10**12
WINDOW_MS = 60_000
"""Of each ledger window: longer than any crash, partition and slow save together, as an operator would choose it."""
RUN_MS = 4_000
LIMITS = ResourceLimits(memory_bytes=16 * MIB, fuel=Fuel(10**8), run_ms=Millis(RUN_MS), output_bytes=MIB)
TIMEOUTS = Timeouts(
    match_ms=Millis(30_000), transfer_ms=Millis(40_000), run_ms=Millis(RUN_MS), verify_ms=Millis(40_000)
)
POLICY = Policy(require_post_quantum=False, jail_layers_min=(), allow=(), reputation_min=0)

TRUST = Proof(method="trust", replicas=1, threshold=0, one_in=1)


def rerun(one_in: int) -> Proof:
    return Proof(method="rerun", replicas=1, threshold=0, one_in=one_in)


def quorum(replicas: int, threshold: int = 0) -> Proof:
    return Proof(method="quorum", replicas=replicas, threshold=threshold, one_in=1)


class Fleet(NamedTuple):
    """The nodes by role. `customers` are the accounts that own and pay jobs, one for each requester's node."""

    world: World
    keyring: Keyring
    genesis: Genesis
    sequencer: SimulatedSequencer
    requesters: tuple[SimulatedRequester, ...]
    providers: tuple[SimulatedProvider, ...]
    customers: tuple[Party, ...]


Maker = Callable[[int], type[SimulatedProvider]]
RequesterMaker = Callable[[int], type[SimulatedRequester]]


class Size(NamedTuple):
    """How many of each. Every `shared`-th provider has the operator of the one before it (0: none)."""

    providers: int
    requesters: int
    shared: int = 0


@lru_cache(maxsize=64)
def genesis_of(size: Size) -> Genesis:
    """Providers with a stake, customers with a purse, the nodes of the requesters."""
    accounts = [_account(provider_party(index), "provider") for index in range(size.providers)]
    accounts += [_account(customer_party(index), "requester") for index in range(size.requesters)]
    accounts += [_account(node_party(index), "node") for index in range(size.requesters)]
    return Genesis(
        epoch_ms=3_600_000,
        name="simulation",
        ledger=(party("sequencer").bundle,),
        suites=("ed25519",),
        caps=Caps(limits=LIMITS, input_bytes=MIB, program_bytes=MIB, replicas=16),
        windows=Windows(commit_ms=Millis(WINDOW_MS), reveal_ms=Millis(WINDOW_MS), cancel_ms=Millis(WINDOW_MS)),
        bond_micro=MicroCredits(BOND_MICRO),
        threshold=(7, 10),
        reputation_gate=0,
        accounts=tuple(accounts),
        created_ms=Millis(START_MS - 60_000),
        seed=digest("simulated genesis"),
    )


def provider_party(index: int) -> Party:
    return party(f"p{index:02d}")


def customer_party(index: int) -> Party:
    return party(f"customer{index}")


def node_party(index: int) -> Party:
    return party(f"node{index}")


def _account(known: Party, role: str) -> Account:
    stake = STAKE_MICRO if role == "provider" else 0
    balance = BALANCE_MICRO if role == "requester" else 0
    return Account(bundle=known.bundle, role=role, balance_micro=MicroCredits(balance), stake_micro=MicroCredits(stake))


def assemble(
    world: World,
    size: Size,
    provider_kind: Maker = lambda index: SimulatedProvider,
    requester_kind: RequesterMaker = lambda index: SimulatedRequester,
) -> Fleet:
    """All nodes, the offers standing and known. Time has not begun to run."""
    genesis = genesis_of(size)
    keyring = Keyring(value_digest(genesis))
    for index in range(size.requesters):
        keyring.add(customer_party(index))
    sequencer = SimulatedSequencer(world, party("sequencer"), keyring, genesis)
    ledger = sequencer.node_id
    providers = tuple(
        provider_kind(index)(world, provider_party(index), keyring, genesis, ledger) for index in range(size.providers)
    )
    requesters = tuple(
        requester_kind(index)(world, node_party(index), keyring, genesis, ledger) for index in range(size.requesters)
    )
    offers = []
    for index, provider in enumerate(providers):
        provider.offer = offer_of(keyring.network, provider.node_id, index, size.shared)
        offers.append((provider, keyring.sign(provider.node_id, provider.offer)))
    for provider, signed in offers:
        for requester in requesters:
            requester.know(signed, provider.offer)
    posts: list[tuple[NodeId, Value]] = [
        (provider.node_id, PostOffer(network=keyring.network, offer=signed)) for provider, signed in offers
    ]
    sequencer.begin(posts)
    for node in (*providers, *requesters):
        node.turn(node.restore)
    customers = tuple(customer_party(index) for index in range(size.requesters))
    return Fleet(world, keyring, genesis, sequencer, requesters, providers, customers)


def offer_of(network: Digest, provider: NodeId, index: int, shared: int) -> Offer:
    twin = shared and index % shared == shared - 1
    return Offer(
        network=network,
        provider=provider,
        operator=f"operator {index - 1 if twin else index}",
        prices=Prices(
            base_micro=MicroCredits(100 + index),
            per_mega_fuel_micro=MicroCredits(3),
            attempt_micro=MicroCredits(10 + index % 3),
        ),
        seal_key=bytes(32),
        engine=ENGINE,
        capabilities=("wasm:pure", "wasm:command", "tier:light", "tier:full"),
        isolation=("rlimits", "seccomp", "landlock"),
        simulated=(),
        device_class="Backbone",
        region="here",
        memory_bytes_max=256 * MIB,
        fuel_max=Fuel(10**10),
        cpu_cores=2,
        storage_bytes=1 << 30,
        stated_bandwidth_bytes_per_s=0,
        gpu_units=0,
        slots=4,
        issued_ms=Millis(START_MS - 1_000),
        expires_ms=Millis(START_MS + 7 * 24 * 3_600_000),
    )


class Asked(NamedTuple):
    """What a customer wants: the guest, the input, the proof, whether it is sealed."""

    program: bytes
    argument: bytes
    proof: Proof
    private: bool = False


def job_of(fleet: Fleet, place: int, asked: Asked, nonce: bytes) -> Job:
    """A job of customer `place`, run by its node. A private one carries genuine commitments and ownership proof."""
    owner = OwnershipKey(digest("simulated owner", nonce)) if asked.private else None
    core = JobCore(
        network=fleet.keyring.network,
        requester=fleet.customers[place].node_id,
        node=fleet.requesters[place].node_id,
        program=Program(
            kind="wasm",
            digest=blob_digest(asked.program),
            size_bytes=len(asked.program),
            profile="pure",
            entry="run",
            wasm_tier="none",
            dependencies=(),
        ),
        call=None,
        arguments=(),
        input_media="",
        output_media="",
        limits=LIMITS,
        resources=PLAIN,
        elements=1,
        result_key=result_key() if owner else b"",
        ownership_key=owner.public if owner else b"",
        privacy=(),
        privacy_level="private" if owner else "public",
        proof=asked.proof,
        budget_micro=MicroCredits(10**9),
        timeouts=TIMEOUTS,
        expires_ms=Millis(fleet.world.now + 24 * 3_600_000),
        regions=(),
        priority=0,
        policy=POLICY,
        wrap_authority="client",
        dispute_disclosure="none",
        nonce=nonce,
    )
    if owner is None:
        empty = b""
        return Job(core, blob_digest(asked.argument), len(asked.argument), empty, empty, empty, empty, empty)
    return _sealed(core, asked.argument, owner, nonce)


@lru_cache(maxsize=1)
def result_key() -> bytes:
    """A genuine public key; nothing is sealed to it here."""
    return SealKey.generate(lambda size: xof("simulated result key", size, b"")).public


def _sealed(core: JobCore, argument: bytes, owner: OwnershipKey, nonce: bytes) -> Job:
    salt, key_commitment = digest("simulated salt", nonce), digest("simulated key commitment", nonce)
    committed = commit_input(salt, argument)
    statement = OwnershipStatement(
        job_core=value_digest(core),
        commitment=committed.pedersen,
        key_commitment=key_commitment,
        ciphertext=blob_digest(argument),
        owner=owner.public,
    )
    return Job(
        core=core,
        input_digest=blob_digest(argument),
        input_bytes=sealed_bytes(len(argument)),
        pedersen=committed.pedersen,
        salted=committed.salted,
        key_commitment=key_commitment,
        out_key_commitment=digest("simulated output key commitment", nonce),
        ownership_proof=prove(statement, input_opening(salt, argument), owner, nonce),
    )


def order_of(fleet: Fleet, job: Job) -> Signed:
    """The job as its requester signs it."""
    return fleet.keyring.sign(job.core.requester, job)


def store_input(requester: SimulatedRequester, asked: Asked) -> None:
    """The client sends program and input along with the order."""
    for data in (asked.program, asked.argument):
        requester.blobs[blob_digest(data)] = data


def byzantine(providers: Sequence[SimulatedProvider]) -> frozenset[NodeId]:
    return frozenset(provider.node_id for provider in providers if not provider.honest)
