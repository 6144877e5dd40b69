"""What a job says about itself must fit together: zero, negative, overflowing and contradictory values are refused with
the name of the field, when a job is made here and when its bytes arrive."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.byte_surgery import canonical
from tests.support.value_types import samples

from quorate.errors import ContradictoryOptions, InvalidField, MalformedBytes
from quorate.model.codec import Value, decode, encode
from quorate.model.job import DEFAULT_LIMITS, Job, JobCore, ResourceLimits
from quorate.model.policy import Proof, Timeouts, quorum_threshold
from quorate.model.program import TIER_LIMITS, Program
from quorate.model.resources import GPU_UNITS_MAX, PLAIN, RANGES, Resources, asked, require_use
from quorate.model.units import AMOUNT_MAX, COHORT_MAX, MIB

PUBLIC, PRIVATE = samples(JobCore)["least"], samples(JobCore)["full"]
PROOFS = ("pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof")


def refusal(value: Value, **changes: Any) -> tuple[str, str]:
    """The field named when the value is made with `changes`, and when its bytes arrive. The path of a part is written
    `part__field`."""
    plain = msgspec.to_builtins(value, builtin_types=(bytes,)) | {"v": 1}
    made: dict[str, Any] = {}
    for name, item in changes.items():
        part, _, field = name.partition("__")
        (plain[part] if field else plain)[field or part] = item
        if not field:
            made[name] = item
    with pytest.raises(MalformedBytes) as arrived:
        decode(canonical(plain), type(value))
    if len(made) < len(changes):
        return "", arrived.value.field
    with pytest.raises(InvalidField) as here:
        msgspec.structs.replace(value, **made)
    return here.value.field, arrived.value.field


# Resources


@given(st.fixed_dictionaries({name: st.integers(1, AMOUNT_MAX) for name in ResourceLimits.__struct_fields__}))
def test_positive_limits_make_the_round_trip(amounts: dict[str, int]) -> None:
    core = msgspec.structs.replace(PUBLIC, limits=ResourceLimits(**amounts))  # type: ignore[arg-type]
    assert decode(encode(core), JobCore).limits == ResourceLimits(**amounts)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ResourceLimits.__struct_fields__)
@pytest.mark.parametrize("amount", [0, -1])
def test_a_limit_below_one_is_refused_by_name(name: str, amount: int) -> None:
    with pytest.raises(InvalidField) as caught:
        msgspec.structs.replace(DEFAULT_LIMITS, **{name: amount})
    assert (caught.value.field, caught.value.limit) == (name, "at least 1")
    assert caught.value.fix


@pytest.mark.parametrize("name", ResourceLimits.__struct_fields__)
@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, (1 << 64) - 1, "1", None, True, [1], b"\1"])
def test_a_limit_that_is_no_positive_amount_does_not_arrive(name: str, amount: Any) -> None:
    _, field = refusal(PUBLIC, **{f"limits__{name}": amount})
    assert field in (name, f"limits.{name}")


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1])
@pytest.mark.parametrize("name", Timeouts.__struct_fields__)
def test_a_clock_of_no_time_is_refused_by_name(name: str, amount: int) -> None:
    _, field = refusal(PUBLIC, **{f"timeouts__{name}": amount})
    assert field in (name, f"timeouts.{name}")


@given(st.fixed_dictionaries({name: st.integers(low, high) for name, (low, high) in RANGES.items()}))
def test_resources_make_the_round_trip(amounts: dict[str, int]) -> None:
    core = msgspec.structs.replace(PUBLIC, resources=Resources(**amounts))
    assert decode(encode(core), JobCore).resources == Resources(**amounts)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("amount", [-1, AMOUNT_MAX + 1, (1 << 64) - 1, "1", None, True, [1]])
def test_resources_that_are_no_amount_do_not_arrive(name: str, amount: Any) -> None:
    assert refusal(PUBLIC, **{f"resources__{name}": amount})[1] == f"resources.{name}"


def test_a_job_without_a_core_does_not_arrive() -> None:
    assert refusal(PUBLIC, resources__cpu_cores=0)[1] == "resources.cpu_cores"


@pytest.mark.parametrize("name", RANGES)
def test_resources_out_of_range_are_refused_by_name(name: str) -> None:
    low, high = RANGES[name]
    for amount in (low - 1, high + 1):
        with pytest.raises(InvalidField) as caught:
            msgspec.structs.replace(PLAIN, **{name: amount})
        assert (caught.value.field, caught.value.limit) == (name, f"{low} to {high}")


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 1.5, True, "2"])
def test_what_is_asked_for_is_a_positive_amount(name: str, amount: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        asked({name: amount})
    assert caught.value.field == name
    assert caught.value.fix


def test_what_is_not_asked_for_is_plain() -> None:
    assert asked(dict.fromkeys(RANGES)) == PLAIN
    assert asked({"cpu_cores": 4, "gpu_units": None}) == msgspec.structs.replace(PLAIN, cpu_cores=4)


@pytest.mark.parametrize("kind", ["wasm", "bytecode"])
def test_a_gpu_for_a_program_that_cannot_reach_one_is_refused(kind: str) -> None:
    for units in (1, GPU_UNITS_MAX):
        with pytest.raises(ContradictoryOptions) as caught:
            require_use(msgspec.structs.replace(PLAIN, gpu_units=units), kind, 0)
        assert caught.value.field == "gpu_units"
    require_use(msgspec.structs.replace(PLAIN, gpu_units=1), "container", 0)


def test_storage_for_less_than_the_job_itself_is_refused() -> None:
    for storage_bytes, fits in ((0, True), (999, False), (1_000, True), (AMOUNT_MAX, True)):
        resources = msgspec.structs.replace(PLAIN, storage_bytes=storage_bytes)
        if fits:
            require_use(resources, "wasm", 1_000)
            continue
        with pytest.raises(ContradictoryOptions) as caught:
            require_use(resources, "wasm", 1_000)
        assert (caught.value.field, "1000" in caught.value.limit) == ("storage_bytes", True)


def test_what_a_member_keeps_of_a_job_is_program_input_and_outputs() -> None:
    job = samples(Job)["full"]
    core = job.core  # type: ignore[attr-defined]
    each = core.elements * core.limits.output_bytes
    assert job.stored_bytes_most == core.program.size_bytes + job.input_bytes + each  # type: ignore[attr-defined]


def test_defaults_lie_within_the_full_tier() -> None:
    amounts = (DEFAULT_LIMITS.memory_bytes, DEFAULT_LIMITS.fuel, DEFAULT_LIMITS.run_ms)
    assert amounts == (64 * MIB, 10**9, 30_000)
    assert all(amount <= most for amount, most in zip(amounts, TIER_LIMITS["full"], strict=True))
    assert TIER_LIMITS["light"] == (16 * MIB, 10**8, 5_000)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"priority": 10}, "priority"),
        ({"priority": -1}, "priority"),
        ({"budget_micro": -1}, "budget_micro"),
        ({"budget_micro": AMOUNT_MAX + 1}, "budget_micro"),
        ({"expires_ms": -1}, "expires_ms"),
        ({"regions": ["r"] * 17}, "regions"),
        ({"regions": ["r" * 129]}, "regions[0]"),
        ({"arguments": ["a"] * 65}, "arguments"),
        ({"arguments": ["a" * 4097]}, "arguments[0]"),
        ({"nonce": bytes(31)}, "nonce"),
        ({"network": bytes(33)}, "network"),
        ({"privacy_level": "secret"}, "privacy_level"),
        ({"wrap_authority": "anyone"}, "wrap_authority"),
        ({"dispute_disclosure": "public"}, "dispute_disclosure"),
        ({"policy__reputation_min": 10_001}, "policy.reputation_min"),
    ],
)
def test_other_demands_are_bounded_and_named(change: dict[str, Any], field: str) -> None:
    plain = msgspec.to_builtins(PUBLIC, builtin_types=(bytes,)) | {"v": 1}
    for name, item in change.items():
        part, _, inner = name.partition("__")
        (plain[part] if inner else plain)[inner or part] = item
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical(plain), JobCore)
    assert caught.value.field == field


# Contradictions


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"method": "trust", "replicas": 3}, "replicas"),
        ({"method": "rerun", "replicas": 2}, "replicas"),
        ({"method": "quorum", "replicas": 3, "threshold": 4}, "threshold"),
        ({"method": "quorum", "replicas": 4, "threshold": 2}, "threshold"),
        ({"method": "quorum", "replicas": 3, "threshold": 1}, "threshold"),
    ],
)
def test_a_proof_that_contradicts_itself_is_refused(change: dict[str, Any], field: str) -> None:
    made = {"method": "quorum", "replicas": 3, "threshold": 0, "one_in": 1} | change
    with pytest.raises(InvalidField) as caught:
        Proof(**made)
    assert caught.value.field == field
    assert caught.value.limit
    _, arrived = refusal(PUBLIC, **{f"proof__{name}": item for name, item in made.items()})
    assert arrived == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"replicas": 0}, "proof.replicas"),
        ({"replicas": COHORT_MAX + 1}, "proof.replicas"),
        ({"threshold": -1}, "proof.threshold"),
        ({"one_in": 0}, "proof.one_in"),
        ({"one_in": 1_000_001}, "proof.one_in"),
        ({"method": "stark"}, "proof.method"),
        ({"method": "attestation"}, "proof.method"),
    ],
)
def test_a_proof_out_of_range_does_not_arrive(change: dict[str, Any], field: str) -> None:
    assert refusal(PUBLIC, **{f"proof__{name}": item for name, item in change.items()})[1] == field


@given(st.integers(1, COHORT_MAX))
def test_two_thirds_and_the_default_are_thresholds_of_every_cohort(replicas: int) -> None:
    for threshold in (0, quorum_threshold(replicas), replicas, max(-(-2 * replicas // 3), replicas // 2 + 1)):
        proof = Proof(method="quorum", replicas=replicas, threshold=threshold, one_in=1)
        assert proof.threshold in (0, threshold)


@pytest.mark.parametrize("tiers", [("split", "enclave"), ("split", "split"), ("enclave", "split", "shares")])
def test_privacy_tiers_are_a_sorted_set(tiers: tuple[str, ...]) -> None:
    assert refusal(PRIVATE, privacy=tiers) == ("privacy", "privacy")


@pytest.mark.parametrize("name", ["result_key", "ownership_key"])
def test_keys_belong_to_private_jobs_and_to_no_others(name: str) -> None:
    assert refusal(PRIVATE, **{name: b""}) == (name, name)
    assert refusal(PUBLIC, **{name: b"key"}) == (name, name)


@pytest.mark.parametrize("name", PROOFS)
def test_a_private_job_carries_every_protection(name: str) -> None:
    """Leaving out commitment, ownership proof or encryption makes a private submission fail."""
    assert refusal(samples(Job)["full"], **{name: b""}) == (name, name)
    assert refusal(samples(Job)["least"], **{name: b"x"}) == (name, name)


def test_a_private_job_is_not_made_public_by_its_core_alone() -> None:
    job = samples(Job)["full"]
    with pytest.raises(InvalidField):
        msgspec.structs.replace(job, core=PUBLIC)


# Programs


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"entry": ""}, "entry"),
        ({"dependencies": (b"\1" * 32, b"\1" * 32)}, "dependencies"),
        ({"dependencies": (b"\2" * 32, b"\1" * 32)}, "dependencies"),
        ({"dependencies": (samples(Program)["least"].digest,)}, "dependencies"),  # type: ignore[attr-defined]
    ],
)
def test_a_program_that_cannot_run_is_refused(change: dict[str, Any], field: str) -> None:
    assert refusal(samples(Program)["least"], **change) == (field, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "elf"}, "kind"),
        ({"profile": "wasi"}, "profile"),
        ({"wasm_tier": "huge"}, "wasm_tier"),
        ({"size_bytes": -1}, "size_bytes"),
        ({"digest": bytes(31)}, "digest"),
        ({"dependencies": [bytes(16)]}, "dependencies[0]"),
        ({"dependencies": [bytes([at]) * 32 for at in range(17)]}, "dependencies"),
    ],
)
def test_a_program_of_unknown_kind_does_not_arrive(change: dict[str, Any], field: str) -> None:
    plain = msgspec.to_builtins(samples(Program)["least"], builtin_types=(bytes,)) | {"v": 1} | change
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical(plain), Program)
    assert caught.value.field == field
