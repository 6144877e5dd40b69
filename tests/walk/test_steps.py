"""The seven calls of the walk, one after the other, on a private job with genuine sealing: read as a tutorial."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec
import pytest
from tests.simulation.fleet import LIMITS, Fleet, Size, assemble
from tests.simulation.suite import Keyring
from tests.simulation.weather import Weather
from tests.simulation.world import World

from quorate.api.builder import Draft
from quorate.api.builder import Job as JobBuilder
from quorate.api.sealing import Parties, SealedJob, seal
from quorate.crypto.digests import body_digest, xof
from quorate.crypto.sealing import open_from
from quorate.crypto.wrapping import SealKey, wrap
from quorate.errors import AboveCap, CohortTooLarge, UnaffordableJob
from quorate.execute.engine import Execution
from quorate.jobs.walk import Executor, Surroundings, admit, assign, conclude, match, run, settle, tally, walk
from quorate.market.book import Listing
from quorate.market.matching import Standing
from quorate.model.codec import decode
from quorate.model.output import Output
from quorate.model.trap import Status
from quorate.model.units import Digest, MicroCredits, NodeId
from quorate.node.selftest import EXITS
from quorate.privacy.sealed import input_info, output_info

PLAIN = b"three numbers: 1 2 3"
ANSWER = b"their sum is 6"


@pytest.fixture
def fleet() -> Fleet:
    return assemble(World(1, Weather()), Size(9, 1))


@pytest.fixture
def draft() -> Draft:
    return (
        JobBuilder.builder()
        .wasm(EXITS)
        .private_input(PLAIN)
        .with_ownership_proof()
        .limits(LIMITS)
        .proof("quorum")
        .replication(3)
        .budget(10**9)
        .build()
    )


def entropy(name: str) -> Iterator[bytes]:
    count = 0
    while True:
        count += 1
        yield xof("walk entropy", 4096, name.encode(), count.to_bytes(4, "big"))


def draws(name: str):  # type: ignore[no-untyped-def]
    stream = entropy(name)
    return lambda size: next(stream)[:size]


@pytest.fixture
def sealed(fleet: Fleet, draft: Draft) -> SealedJob:
    node, customer = fleet.requesters[0].node_id, fleet.customers[0].node_id
    return seal(draft, Parties(fleet.keyring.network, customer, node), fleet.world.now, draws("client"))


@pytest.fixture
def world(fleet: Fleet, sealed: SealedJob) -> Surroundings:
    keys = {provider.node_id: SealKey.generate(draws(provider.party.name)) for provider in fleet.providers}
    return Surroundings(
        genesis=fleet.genesis,
        node=fleet.requesters[0].node_id,
        sequencer=fleet.sequencer.node_id,
        listings=listings_of(fleet, keys, fleet.keyring),
        standing=Standing(dict.fromkeys(keys, 5000), {}),
        executors=lambda member: Executor(keys[member], sums_up, draws(member.hex())),
        blob=sealed.blob,
        wrap=lambda agreement, member: wrapped(sealed, agreement, member, keys[member]),
        secret=bytes(32),
        beacon=bytes([1]) * 32,
        now_ms=fleet.world.now,
    )


def listings_of(fleet: Fleet, keys: dict[NodeId, SealKey], keyring: Keyring) -> list[Listing]:
    found = []
    for provider in fleet.providers:
        offer = msgspec.structs.replace(provider.offer, seal_key=keys[provider.node_id].public)
        signed = keyring.sign(provider.node_id, offer)
        found.append(Listing(body_digest("offer", signed.body), offer, signed))
    return found


def sums_up(plaintext: bytes) -> Execution:
    """The guest: it sees the plaintext, as every executor of a plain private job does."""
    assert plaintext == PLAIN
    return Execution(status=Status.SUCCESS, output=ANSWER, fuel_used=12_345)


def wrapped(sealed: SealedJob, agreement: Digest, member: NodeId, key: SealKey) -> bytes:
    assert sealed.keys is not None
    info = input_info(sealed.keys.job, agreement, member, key.public)
    return wrap(key.public, sealed.keys.secret.to_bytes(), info)


def job_of(sealed: SealedJob):  # type: ignore[no-untyped-def]
    assert sealed.keys is not None
    return sealed.keys.job


def test_1_admit(sealed: SealedJob, world: Surroundings) -> None:
    admit(job_of(sealed), world)


def test_1_admit_refuses_what_is_above_a_cap(fleet: Fleet, draft: Draft, world: Surroundings) -> None:
    limits = msgspec.structs.replace(LIMITS, run_ms=LIMITS.run_ms + 1)
    greedy = dataclasses.replace(draft, limits=limits)
    parties = Parties(fleet.keyring.network, fleet.customers[0].node_id, world.node)
    with pytest.raises(AboveCap, match="run_ms"):
        admit(job_of(seal(greedy, parties, fleet.world.now, draws("client"))), world)


def test_2_match(sealed: SealedJob, world: Surroundings) -> None:
    terms = match(job_of(sealed), world)
    assert terms.agreement.rounds == 3
    assert len(terms.members) == 9


def test_2_match_refuses_too_few_operators(sealed: SealedJob, world: Surroundings) -> None:
    with pytest.raises(CohortTooLarge):
        match(job_of(sealed), world._replace(listings=world.listings[:2]))


def test_2_match_refuses_too_small_a_budget(fleet: Fleet, draft: Draft, world: Surroundings) -> None:
    poor = dataclasses.replace(draft, budget_micro=MicroCredits(1))
    parties = Parties(fleet.keyring.network, fleet.customers[0].node_id, world.node)
    with pytest.raises(UnaffordableJob):
        match(job_of(seal(poor, parties, fleet.world.now, draws("client"))), world)


def test_3_assign(sealed: SealedJob, world: Surroundings) -> None:
    terms = match(job_of(sealed), world)
    cohort = assign(terms, ())
    assert cohort is not None
    assert (cohort.number, cohort.members) == (1, terms.members)


def test_4_run(sealed: SealedJob, world: Surroundings) -> None:
    terms = match(job_of(sealed), world)
    cohort = assign(terms, ())
    assert cohort is not None
    claims = run(terms, job_of(sealed), cohort, world)
    assert len({claim.opening.body.vote for claim in claims}) == 1, "equal votes"
    assert len({claim.opening.body.result_digest for claim in claims}) == 3, "each has a ciphertext of its own"


def test_5_tally_and_6_settle_and_7_conclude(sealed: SealedJob, world: Surroundings) -> None:
    job = job_of(sealed)
    terms = match(job, world)
    cohort = assign(terms, ())
    assert cohort is not None
    claims = run(terms, job, cohort, world)
    ballot = tally(terms, claims, world)
    assert assign(terms, (ballot,)) is None, "decided: no second round"
    verdict, settlement = settle(terms, (ballot,), world)
    assert verdict.accepted
    assert [payment.reason for payment in settlement.payments] == ["price", "price", "price", "refund"]
    assert conclude((ballot,), claims, verdict, settlement).condition == "completed"


def test_the_whole_walk(sealed: SealedJob, world: Surroundings) -> None:
    """From the sealed job to the plaintext, which only the holder of the result key can read."""
    assert sealed.keys is not None
    ending = walk(job_of(sealed), world)
    assert ending.delivered is not None
    member = ending.verdict.rounds[-1].agreed[0]
    info = output_info(job_of(sealed), ending.verdict.agreement, member, "result")
    opened = open_from(SealKey.from_bytes(sealed.keys.result_key), ending.delivered.result, info)
    assert decode(opened, Output).stdout == ANSWER
    assert PLAIN not in ending.delivered.result


def test_a_liar_alone_starts_no_second_answer(sealed: SealedJob, world: Surroundings) -> None:
    """Each member with an answer of its own: three rounds, no result, attempt fees for nine."""

    def liar(member: NodeId) -> Executor:
        said = Execution(status=Status.SUCCESS, output=member, fuel_used=1)
        return world.executors(member)._replace(execute=lambda plaintext: said)

    ending = walk(job_of(sealed), world._replace(executors=liar))
    assert ending.condition == "rejected"
    assert [payment.reason for payment in ending.settlement.payments] == ["attempt"] * 9 + ["refund"]
    assert ending.delivered is None
