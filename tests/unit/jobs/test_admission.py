"""A job that cannot be is refused before anyone hears of it, with the field, the limit and the fix."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.job_town import Town, quorum
from tests.support.ledger_world import LIMITS, TIMEOUTS, World

from quorate.crypto.wrapping import SealKey
from quorate.errors import AboveCap, ContradictoryOptions, InvalidField, PolicyRefused, TooLarge, UserError
from quorate.jobs.admission import admit, network_of
from quorate.ledger.escrow import TERM_MS_MAX
from quorate.model.identity import Suite
from quorate.model.job import Job
from quorate.model.policy import Proof
from quorate.model.program import TIER_LIMITS
from quorate.model.resources import asked
from quorate.model.units import MIB, Millis

WORLD = World(providers=0)
NOW = Millis(WORLD.now)
CAPS = WORLD.genesis.caps


def refusal(job: Job, **genesis: Any) -> UserError:
    network = msgspec.structs.replace(WORLD.genesis, **genesis)
    if genesis:
        job = msgspec.structs.replace(job, core=msgspec.structs.replace(job.core, network=network_of(network)))
    with pytest.raises(UserError) as caught:
        admit(job, network, NOW)
    assert caught.value.fix, "says what to do"
    return caught.value


def program(**changes: Any) -> dict[str, Any]:
    return {"program": msgspec.structs.replace(WORLD.job().core.program, **changes)}


def test_a_job_within_every_limit_is_admitted() -> None:
    admit(WORLD.job(), WORLD.genesis, NOW)
    admit(WORLD.job(**program(dependencies=(b"\1" * 32, b"\3" * 32))), WORLD.genesis, NOW)


@pytest.mark.parametrize("name", LIMITS.__struct_fields__)
def test_the_cap_holds_and_one_more_does_not(name: str) -> None:
    cap = getattr(CAPS.limits, name)
    admit(WORLD.job(limits=msgspec.structs.replace(LIMITS, **{name: cap})), WORLD.genesis, NOW)
    error = refusal(WORLD.job(limits=msgspec.structs.replace(LIMITS, **{name: cap + 1})))
    assert (type(error), error.field) == (AboveCap, name)
    assert str(cap) in error.limit


def test_more_replicas_than_the_network_allows() -> None:
    proof = Proof(method="quorum", replicas=CAPS.replicas, threshold=0, one_in=1)
    admit(WORLD.job(proof=proof), WORLD.genesis, NOW)
    error = refusal(WORLD.job(proof=msgspec.structs.replace(proof, replicas=CAPS.replicas + 1)))
    assert (type(error), error.field) == (AboveCap, "replicas")


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (WORLD.job(input_bytes=CAPS.input_bytes + 1), "input"),
        (WORLD.job(**program(size_bytes=CAPS.program_bytes + 1)), "program"),
    ],
)
def test_programs_and_inputs_over_size(job: Job, field: str) -> None:
    error = refusal(job)
    assert (type(error), error.field) == (TooLarge, field)


def test_a_program_of_no_bytes() -> None:
    error = refusal(WORLD.job(**program(size_bytes=0)))
    assert (type(error), error.field) == (InvalidField, "program")


@pytest.mark.parametrize("tier", ["light", "full"])
@pytest.mark.parametrize("place", range(3))
def test_limits_that_contradict_the_tier(tier: str, place: int) -> None:
    name = ("memory_bytes", "fuel", "run_ms")[place]
    roomy = msgspec.structs.replace(CAPS.limits, memory_bytes=1 << 40, fuel=1 << 50, run_ms=1 << 40)
    caps = msgspec.structs.replace(CAPS, limits=roomy)
    most = TIER_LIMITS[tier][place]
    limits = msgspec.structs.replace(LIMITS, **{name: most + 1})
    error = refusal(WORLD.job(limits=limits, **program(wasm_tier=tier)), caps=caps)
    assert (type(error), error.field) == (ContradictoryOptions, name)
    assert f"{most} in tier {tier}" == error.limit


def test_arguments_for_a_program_that_has_none() -> None:
    error = refusal(WORLD.job(arguments=("x",)))
    assert (type(error), error.field) == (ContradictoryOptions, "arguments")
    admit(WORLD.job(arguments=("x",), **program(profile="command")), WORLD.genesis, NOW)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (program(kind="function"), "kind"),
        (program(kind="container"), "kind"),
        ({"privacy": ("enclave",)}, "privacy"),
        ({"privacy": ("shares", "split")}, "privacy"),
        ({"wrap_authority": "node"}, "wrap_authority"),
        ({"dispute_disclosure": "jury"}, "dispute_disclosure"),
    ],
)
def test_what_is_not_built_is_refused_and_nothing_taken_in_its_place(change: dict[str, Any], field: str) -> None:
    error = refusal(WORLD.job(**change))
    assert (type(error), error.field) == (PolicyRefused, field)
    assert "nothing else is taken in its place" in error.message


@pytest.mark.parametrize(
    ("resources", "field"),
    [({"gpu_units": 1}, "gpu_units"), ({"storage_bytes": LIMITS.output_bytes}, "storage_bytes")],
)
def test_resources_that_contradict_the_job(resources: dict[str, int], field: str) -> None:
    error = refusal(WORLD.job(resources=asked(resources)))
    assert (type(error), error.field) == (ContradictoryOptions, field)
    assert error.limit


def test_storage_for_just_what_the_job_leaves_is_admitted() -> None:
    admit(WORLD.job(resources=asked({"storage_bytes": WORLD.job().stored_bytes_most})), WORLD.genesis, NOW)


def test_another_network() -> None:
    error = refusal(WORLD.job(network=b"\1" * 32))
    assert (type(error), error.field) == (InvalidField, "network")


@pytest.mark.parametrize(
    ("shift", "fits"), [(-1, False), (0, False), (1, True), (TERM_MS_MAX, True), (TERM_MS_MAX + 1, False)]
)
def test_dates_at_their_edges(shift: int, fits: bool) -> None:
    job = WORLD.job(expires_ms=NOW + shift)
    if fits:
        admit(job, WORLD.genesis, NOW)
    else:
        assert refusal(job).field == "expires_ms"


def test_clocks_longer_than_any_escrow() -> None:
    error = refusal(WORLD.job(timeouts=msgspec.structs.replace(TIMEOUTS, verify_ms=TERM_MS_MAX)))
    assert (type(error), error.field) == (AboveCap, "timeouts")


def test_a_demand_that_no_suite_of_the_network_meets() -> None:
    policy = msgspec.structs.replace(WORLD.job().core.policy, require_post_quantum=True)
    assert WORLD.genesis.suites == (Suite.ED25519,)
    error = refusal(WORLD.job(policy=policy))
    assert (type(error), error.field) == (PolicyRefused, "require_post_quantum")


@pytest.mark.parametrize("side", ["requester", "node"])
def test_a_sequencer_of_ones_own_is_allowed_by_name_only(side: str) -> None:
    own = WORLD.sequencer.node_id
    assert refusal(WORLD.job(**{side: own})).field == "ledger_trust"
    policy = msgspec.structs.replace(WORLD.job().core.policy, allow=("own-sequencer",))
    admit(WORLD.job(policy=policy, **{side: own}), WORLD.genesis, NOW)


@pytest.mark.parametrize("name", ["result_key", "salted", "key_commitment", "out_key_commitment", "ownership_proof"])
def test_a_private_job_with_keys_that_are_none(name: str) -> None:
    """Bytes are there, so the value holds together; what they are is looked at before anyone hears of the job."""
    public = WORLD.job()
    core = msgspec.structs.replace(public.core, privacy_level="private", result_key=b"no key", ownership_key=b"none")
    proofs = dict.fromkeys(
        ("pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof"), b"\1" * 32
    )
    job = Job(core=core, input_digest=public.input_digest, input_bytes=MIB // 2, **proofs)
    assert refusal(job).field == "result_key"
    keyed = msgspec.structs.replace(core, result_key=SealKey.generate(lambda size: b"\5" * size).public)
    job = msgspec.structs.replace(job, core=keyed)
    if name != "result_key":
        job = msgspec.structs.replace(job, **{name: b"\1" * 31})
    assert refusal(job).field == (name if name != "result_key" else "ownership_proof")


# Ownership proofs of private jobs, genuinely sealed

TOWN = Town(providers=0)
MINE, OTHER = (TOWN.job(quorum(3), private=True).job for _ in range(2))
COMMITTED = ("pedersen", "salted", "key_commitment", "out_key_commitment", "input_digest", "ownership_proof")


def unproven(job: Job) -> None:
    with pytest.raises(InvalidField) as caught:
        admit(job, TOWN.genesis, Millis(TOWN.now))
    assert (caught.value.field, caught.value.fix) == ("ownership_proof", "seal the job anew with its own key")


@pytest.mark.parametrize("place", [0, 31, 32, 64, 96, 127])
def test_a_forged_ownership_proof_is_refused(place: int) -> None:
    """One bit altered in the challenge or in one of the three responses."""
    admit(MINE, TOWN.genesis, Millis(TOWN.now))
    proof = bytearray(MINE.ownership_proof)
    proof[place] ^= 1
    unproven(msgspec.structs.replace(MINE, ownership_proof=bytes(proof)))


@pytest.mark.parametrize(
    "proof", [bytes(128), b"\1" * 127, MINE.ownership_proof + b"\0"], ids=["zeros", "short", "long"]
)
def test_bytes_that_are_no_ownership_proof_are_refused(proof: bytes) -> None:
    unproven(msgspec.structs.replace(MINE, ownership_proof=proof))


@pytest.mark.parametrize("taken", [("ownership_proof",), COMMITTED], ids=["the proof", "input and proof together"])
def test_the_ownership_proof_of_another_job_is_refused(taken: tuple[str, ...]) -> None:
    """Another job of the same requester, on the same program: the proof is about one job core."""
    admit(OTHER, TOWN.genesis, Millis(TOWN.now))
    unproven(msgspec.structs.replace(MINE, **{name: getattr(OTHER, name) for name in taken}))


@pytest.mark.parametrize("changes", [{"result_key": OTHER.core.result_key}, {"priority": 6}, {"arguments": ("x",)}])
def test_a_thief_that_puts_something_of_its_own_into_the_job_has_no_proof(changes: dict[str, Any]) -> None:
    """The input and proof of a victim, with the thief's result key or on other terms; with the thief's ownership key
    the proof is not the thief's either."""
    unproven(msgspec.structs.replace(MINE, core=msgspec.structs.replace(MINE.core, **changes)))
    thief = msgspec.structs.replace(MINE.core, ownership_key=OTHER.core.ownership_key, **changes)
    unproven(msgspec.structs.replace(MINE, core=thief))
