"""What a job must be before anyone hears of it: every refusal that needs no other party, each naming field, limit and
fix.

In this order: the right network, parts that are built here, the network's caps, options that exclude each other, dates,
keys and proofs. Nothing is weakened to make a job fit; what is not available here is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from quorate.crypto.digests import value_digest
from quorate.crypto.ownership import OwnershipStatement
from quorate.crypto.ownership import verify as verify_ownership
from quorate.crypto.sealing import sealed_bytes
from quorate.crypto.signing import node_id
from quorate.crypto.wrapping import check_seal_public
from quorate.errors import (
    AboveCap,
    ContradictoryOptions,
    InvalidField,
    PeerError,
    PolicyRefused,
    TooLarge,
)
from quorate.ledger.escrow import OWN_SEQUENCER, TERM_MS_MAX
from quorate.market.matching import term_ms
from quorate.model.identity import Suite
from quorate.model.job import Job
from quorate.model.network import Genesis
from quorate.model.program import TIER_LIMITS
from quorate.model.resources import require_use
from quorate.model.units import DIGEST_BYTES, ROUNDS_MAX, Digest, Millis

PROGRAM_KINDS_HERE = ("bytecode", "wasm")
CALL_OUTPUT_BYTES_MIN = 1024
"""Room for the outcome of a call that has nothing to say but how it failed."""
POST_QUANTUM = frozenset(str(suite) for suite in Suite if suite.post_quantum)
Check = Callable[[Job, Genesis, Millis], None]


def admit(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    """Raises the UserError of the first check that `job` fails."""
    for check in CHECKS:
        check(job, genesis, now_ms)


@lru_cache(maxsize=16)
def network_of(genesis: Genesis) -> Digest:
    """The network id."""
    return value_digest(genesis)


def _network(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    expected = network_of(genesis)
    if job.core.network != expected:
        raise InvalidField(
            f"made for {job.core.network.hex()[:16]}",
            field="network",
            limit=expected.hex()[:16],
            fix="submit it to the network it was made for, or make it anew",
        )


def _available(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    core = job.core
    if core.program.kind not in PROGRAM_KINDS_HERE:
        raise _not_here(f"program kind {core.program.kind}", "kind", "compile the program to WebAssembly")
    if core.call is not None and core.limits.output_bytes < CALL_OUTPUT_BYTES_MIN:
        raise InvalidField(
            str(core.limits.output_bytes), field="output_bytes", limit=f"at least {CALL_OUTPUT_BYTES_MIN} for a call"
        )
    if core.privacy:
        raise _not_here(
            f"privacy tier {', '.join(core.privacy)}", "privacy", "leave it out: the executors see the input"
        )
    if core.wrap_authority != "client":
        raise _not_here("wrapping by the requester's node", "wrap_authority", "wrap_authority client")
    if core.dispute_disclosure != "none":
        raise _not_here(
            "a jury", "dispute_disclosure", "dispute_disclosure none; a wrong private result is not slashed"
        )


def _not_here(what: str, field: str, fix: str) -> PolicyRefused:
    return PolicyRefused(f"{what} is not available here; nothing else is taken in its place", field=field, fix=fix)


def _caps(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    check_caps(job, genesis)


def check_caps(job: Job, genesis: Genesis) -> None:
    """Raises AboveCap or TooLarge when the job asks for more than the network allows anyone."""
    caps, core = genesis.caps, job.core
    asked = {name: (getattr(core.limits, name), getattr(caps.limits, name)) for name in core.limits.__struct_fields__}
    asked["replicas"] = (core.proof.replicas, caps.replicas)
    for name, (value, cap) in asked.items():
        if value > cap:
            raise AboveCap(str(value), field=name, limit=f"{cap}, the cap of this network", fix=f"lower {name}")
    for name, size, cap in (
        ("program", core.program.size_bytes, caps.program_bytes),
        ("input", job.input_bytes, caps.input_bytes),
    ):
        if size > cap:
            raise TooLarge(f"{size} bytes", field=name, limit=f"{cap} bytes, the cap of this network", fix="split it")
    if not core.program.size_bytes:
        raise InvalidField("empty", field="program", fix="give a module")


def _options(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    core = job.core
    most = TIER_LIMITS.get(core.program.wasm_tier)
    for name, limit in zip(("memory_bytes", "fuel", "run_ms"), most or (), strict=False):
        if getattr(core.limits, name) > limit:
            raise ContradictoryOptions(
                str(getattr(core.limits, name)),
                field=name,
                limit=f"{limit} in tier {core.program.wasm_tier}",
                fix=f"lower {name} or choose a larger tier",
            )
    if core.program.profile == "pure" and core.arguments:
        raise ContradictoryOptions(
            "a program of profile pure has no arguments", field="arguments", fix="leave them out, or use the input"
        )
    require_use(core.resources, core.program.kind, job.stored_bytes_most)
    if job.private and job.input_bytes < sealed_bytes(0):
        raise InvalidField(f"{job.input_bytes} bytes cannot be a sealed input", field="input", fix="seal the input")
    _policy(job, genesis)


def _policy(job: Job, genesis: Genesis) -> None:
    core = job.core
    if core.policy.require_post_quantum and not POST_QUANTUM & set(genesis.suites):
        raise PolicyRefused(
            "no suite of this network is post-quantum",
            field="require_post_quantum",
            limit=", ".join(genesis.suites),
            fix="use another network, or accept classical signatures",
        )
    sequencers = {node_id(bundle) for bundle in genesis.ledger}
    if sequencers & {core.requester, core.node} and OWN_SEQUENCER not in core.policy.allow:
        raise PolicyRefused(
            "the requester's side orders the ledger itself",
            field="ledger_trust",
            fix=f"use an independent sequencer, or allow {OWN_SEQUENCER} by name",
        )


def _dates(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    core = job.core
    if core.expires_ms <= now_ms:
        raise InvalidField(
            f"expired {now_ms - core.expires_ms} ms ago",
            field="expires_ms",
            limit=f"after {now_ms}",
            fix="submit it anew; if it is new, set the clock of this machine",
        )
    if core.expires_ms > now_ms + TERM_MS_MAX:
        raise InvalidField(
            f"in {core.expires_ms - now_ms} ms",
            field="expires_ms",
            limit=f"within {TERM_MS_MAX} ms",
            fix="choose an earlier date; if it is near, set the clock of this machine",
        )
    longest = core.timeouts.match_ms + term_ms(core.timeouts, ROUNDS_MAX, genesis.windows)
    if longest > TERM_MS_MAX:
        raise AboveCap(
            f"{longest} ms in all rounds", field="timeouts", limit=f"{TERM_MS_MAX} ms", fix="shorten the phase clocks"
        )


def _keys(job: Job, genesis: Genesis, now_ms: Millis) -> None:
    """A private job's result key, commitments and ownership proof, as far as they can be checked without the input."""
    if not job.private:
        return
    try:
        check_seal_public(job.core.result_key)
    except PeerError as fault:
        raise InvalidField(str(fault), field="result_key", fix="make a fresh result key for the job") from None
    for name in ("salted", "key_commitment", "out_key_commitment"):
        if len(getattr(job, name)) != DIGEST_BYTES:
            raise InvalidField(
                f"{len(getattr(job, name))} bytes", field=name, limit=f"{DIGEST_BYTES} bytes", fix="seal the job anew"
            )
    try:
        verify_ownership(ownership_statement(job), job.ownership_proof)
    except PeerError as fault:
        raise InvalidField(str(fault), field="ownership_proof", fix="seal the job anew with its own key") from None


def ownership_statement(job: Job) -> OwnershipStatement:
    """What the ownership proof of a private job is about (R3)."""
    return OwnershipStatement(
        job_core=value_digest(job.core),
        commitment=job.pedersen,
        key_commitment=job.key_commitment,
        ciphertext=job.input_digest,
        owner=job.core.ownership_key,
    )


CHECKS: tuple[Check, ...] = (_network, _available, _caps, _options, _dates, _keys)
