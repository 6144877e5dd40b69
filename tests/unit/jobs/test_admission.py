"""What is refused before anyone hears of a job, by field (S-D39, S-C21)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.job_town import POLICY, TIMEOUTS, Town, quorum

from quorate.errors import AboveCap, ContradictoryOptions, InvalidField, PolicyRefused, TooLarge, UserError
from quorate.jobs.admission import admit
from quorate.ledger.escrow import TERM_MS_MAX
from quorate.model.identity import Suite
from quorate.model.job import Job

replace = msgspec.structs.replace


def with_core(job: Job, **changes: Any) -> Job:
    return replace(job, core=replace(job.core, **changes))


def with_limits(job: Job, **changes: Any) -> Job:
    return with_core(job, limits=replace(job.core.limits, **changes))


def with_program(job: Job, **changes: Any) -> Job:
    return with_core(job, program=replace(job.core.program, **changes))


@pytest.fixture(scope="module")
def private(town: Town) -> Job:
    return town.job(quorum(3), private=True).job


@pytest.fixture(scope="module")
def public(town: Town) -> Job:
    return town.job(quorum(3)).job


def test_a_fair_job_is_admitted(town: Town, public: Job, private: Job) -> None:
    admit(public, town.genesis, town.now)
    admit(private, town.genesis, town.now)


@pytest.mark.parametrize("name", ["memory_bytes", "fuel", "run_ms", "output_bytes"])
def test_every_limit_is_held_to_its_cap_at_the_edge(town: Town, public: Job, name: str) -> None:
    cap = getattr(town.genesis.caps.limits, name)
    admit(with_limits(public, **{name: cap}), town.genesis, town.now)
    with pytest.raises(AboveCap) as refused:
        admit(with_limits(public, **{name: cap + 1}), town.genesis, town.now)
    assert (refused.value.field, refused.value.fix) == (name, f"lower {name}")
    assert str(cap) in refused.value.limit


def test_replicas_program_and_input_are_held_to_their_caps(town: Town, public: Job) -> None:
    caps = town.genesis.caps
    admit(with_core(public, proof=quorum(caps.replicas)), town.genesis, town.now)
    with pytest.raises(AboveCap, match="replicas"):
        admit(with_core(public, proof=quorum(caps.replicas + 1)), town.genesis, town.now)
    admit(with_program(public, size_bytes=caps.program_bytes), town.genesis, town.now)
    with pytest.raises(TooLarge, match="program"):
        admit(with_program(public, size_bytes=caps.program_bytes + 1), town.genesis, town.now)
    admit(replace(public, input_bytes=caps.input_bytes), town.genesis, town.now)
    with pytest.raises(TooLarge, match="input"):
        admit(replace(public, input_bytes=caps.input_bytes + 1), town.genesis, town.now)


REFUSED: list[tuple[type[UserError], str, Any]] = [
    (InvalidField, "network", lambda job: with_core(job, network=b"\1" * 32)),
    (PolicyRefused, "kind", lambda job: with_program(job, kind="container")),
    (PolicyRefused, "kind", lambda job: with_program(job, kind="bytecode")),
    (PolicyRefused, "dependencies", lambda job: with_program(job, dependencies=(b"\1" * 32,))),
    (PolicyRefused, "privacy", lambda job: with_core(job, privacy=("split",))),
    (PolicyRefused, "privacy", lambda job: with_core(job, privacy=("shares",))),
    (PolicyRefused, "privacy", lambda job: with_core(job, privacy=("enclave",))),
    (PolicyRefused, "wrap_authority", lambda job: with_core(job, wrap_authority="node")),
    (PolicyRefused, "dispute_disclosure", lambda job: with_core(job, dispute_disclosure="jury")),
    (InvalidField, "program", lambda job: with_program(job, size_bytes=0)),
    (ContradictoryOptions, "fuel", lambda job: with_limits(with_program(job, wasm_tier="light"), fuel=10**8 + 1)),
    (ContradictoryOptions, "run_ms", lambda job: with_limits(with_program(job, wasm_tier="full"), run_ms=30_001)),
    (ContradictoryOptions, "arguments", lambda job: with_core(with_program(job, profile="pure"), arguments=("-v",))),
    (
        PolicyRefused,
        "require_post_quantum",
        lambda job: with_core(job, policy=replace(POLICY, require_post_quantum=True)),
    ),
    (AboveCap, "timeouts", lambda job: with_core(job, timeouts=replace(TIMEOUTS, transfer_ms=TERM_MS_MAX // 3))),
]


@pytest.mark.parametrize(("error", "field", "change"), REFUSED, ids=[f"{row[1]}-{n}" for n, row in enumerate(REFUSED)])
def test_it_is_refused_by_field(town: Town, public: Job, error: type[UserError], field: str, change: Any) -> None:
    with pytest.raises(error) as refused:
        admit(change(public), town.genesis, town.now)
    assert refused.value.field == field
    assert refused.value.fix
    assert "\n" not in str(refused.value)


def test_what_is_not_built_is_never_replaced_by_something_weaker(town: Town, public: Job) -> None:
    with pytest.raises(PolicyRefused, match="not available here; nothing else is taken in its place"):
        admit(with_core(public, privacy=("enclave",)), town.genesis, town.now)


def test_dates_are_held_to_the_clock(town: Town, public: Job) -> None:
    admit(with_core(public, expires_ms=town.now + 1), town.genesis, town.now)
    for late in (town.now, town.now - 1, 0):
        with pytest.raises(InvalidField, match="expires_ms"):
            admit(with_core(public, expires_ms=late), town.genesis, town.now)
    admit(with_core(public, expires_ms=town.now + TERM_MS_MAX), town.genesis, town.now)
    with pytest.raises(InvalidField, match="set the clock"):
        admit(with_core(public, expires_ms=town.now + TERM_MS_MAX + 1), town.genesis, town.now)


def test_a_tier_holds_at_its_edge(town: Town, public: Job) -> None:
    light = with_program(public, wasm_tier="light")
    admit(with_limits(light, memory_bytes=16 << 20, fuel=10**8, run_ms=5_000), town.genesis, town.now)
    with pytest.raises(ContradictoryOptions, match="tier light"):
        admit(with_limits(light, memory_bytes=(16 << 20) + 1), town.genesis, town.now)


def test_a_requester_that_orders_the_ledger_says_so(town: Town, public: Job) -> None:
    own = with_core(public, node=town.sequencer.node_id)
    with pytest.raises(PolicyRefused, match="orders the ledger itself"):
        admit(own, town.genesis, town.now)
    admit(with_core(own, policy=replace(POLICY, allow=("own-sequencer",))), town.genesis, town.now)


def test_a_post_quantum_network_takes_a_post_quantum_policy() -> None:
    town = Town(providers=1, suite=Suite.ML_DSA_44)
    job = town.job(quorum(3), policy=replace(POLICY, require_post_quantum=True)).job
    admit(job, town.genesis, town.now)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ownership_proof", b"\1" * 128),
        ("ownership_proof", b"\1"),
        ("pedersen", b"\1" * 32),
        ("salted", b"\1" * 31),
        ("key_commitment", b"\1" * 31),
        ("out_key_commitment", b"\1" * 31),
    ],
)
def test_a_private_job_shows_its_protections(town: Town, private: Job, field: str, value: bytes) -> None:
    with pytest.raises(InvalidField) as refused:
        admit(replace(private, **{field: value}), town.genesis, town.now)
    assert refused.value.field in (field, "ownership_proof")


def test_a_private_jobs_result_key_and_ciphertext_are_possible_ones(town: Town, private: Job) -> None:
    with pytest.raises(InvalidField, match="result_key"):
        admit(with_core(private, result_key=b"\1" * 32), town.genesis, town.now)
    with pytest.raises(InvalidField, match="input"):
        admit(replace(private, input_bytes=15), town.genesis, town.now)
