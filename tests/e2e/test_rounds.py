"""Seven providers, some of which break the protocol: rounds, fresh cohorts, rejection, and who is paid (R6, R7, R8).

A rogue is a process of its own that runs `tests/support/rogue_provider.py`. The draw cannot be chosen, so jobs are
submitted until it has taken the rogues where a test needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import guests, rogue_provider
from tests.support.network import Network, until

from quorate import Draft, Job, JobView, Quorate, ResourceLimits
from quorate.api.builder import Builder
from quorate.errors import AboveCap, CohortTooLarge, JobFailed, JobRejected, VerifyTimeout
from quorate.jobs.clocks import OPEN_MS

NODES = 7
ENTRY = (str(Path(rogue_provider.__file__)),)
ROGUE, SECOND = "provider-1", "provider-2"
DRAWS_MAX = 200
"""One of seven is drawn first in one job of seven: never in so many by chance once in 10^13."""
DATA, RIGHT = b"stressed", b"desserts"


def private(replicas: int = 3) -> Builder:
    return Job.builder().wasm(guests.REVERSE).private_input(DATA).with_ownership_proof().replication(replicas)


def trust(**proof: int) -> Builder:
    return Job.builder().wasm(guests.REVERSE).private_input(DATA).with_ownership_proof().proof("trust", **proof)


@pytest.mark.parametrize("replicas", [1, 3, 5, 7])
def test_cohorts_of_every_size_agree(network: Network, client: Quorate, replicas: int) -> None:
    job = client.submit(private(replicas).proof("quorum").build())
    assert client.wait(job, 30).decrypt() == RIGHT
    view = client.status(job)
    assert (view.replied, view.replicas, view.rounds_max) == (replicas, replicas, min(3, NODES // replicas))
    assert len(network.book().paid(job, "price")) == replicas


def test_a_cohort_larger_than_the_roster_is_refused(network: Network, client: Quorate) -> None:
    job = client.submit(ninefold(9))
    with pytest.raises(CohortTooLarge) as refused:
        client.wait(job, 10)
    assert "9 replicas need 9 independent operators" in str(refused.value)
    assert not network.book().escrows_of(job)


def ninefold(replicas: int) -> Draft:
    return Job.builder().wasm(guests.ANSWER).public_input(b"").replication(replicas).timeouts(match_ms=500).build()


def test_a_cohort_above_the_cap_is_refused_at_once(client: Quorate) -> None:
    with pytest.raises(AboveCap) as refused:
        client.submit(ninefold(16))
    assert refused.value.field == "replicas"


@pytest.fixture(scope="module")
def rogues(network: Network) -> Callable[..., None]:
    """Sets the ways of the two rogues; they are honest before and after each test."""

    def ways(first: str, second: str = "honest") -> None:
        for name, way in ((ROGUE, first), (SECOND, second)):
            (network.home / name / rogue_provider.WAY).write_text(way)

    ways("honest")
    for name in (ROGUE, SECOND):
        network.kill(name)
        network.respawn(name, ENTRY)
    until(lambda: network.client().network()["peers"] == NODES + 1, 20)
    network.await_standing()
    return ways


@pytest.fixture
def set_ways(rogues: Callable[..., None]) -> Iterator[Callable[..., None]]:
    yield rogues
    rogues("honest")


def ended(client: Quorate, draft: Draft) -> JobView:
    """How a job of `draft` ended, with its history."""
    return client.status(client.wait_settled(client.submit(draft), 60).job)


def drawn_first(network: Network, client: Quorate, draft: Draft, *names: str) -> JobView:
    """The end of a job in whose first cohort all of `names` were."""
    for _ in range(DRAWS_MAX):
        view = ended(client, draft)
        if set(names) <= set(network.drawn(view)):
            return view
    raise AssertionError(f"{names} never drawn together in {DRAWS_MAX} jobs")


def cohorts(network: Network, view: JobView) -> list[set[str]]:
    return [set(network.drawn(view, number)) for number in range(1, view.round + 1)]


@pytest.mark.parametrize("way", ["wrong_byte", "stale_result"])
def test_a_split_brings_a_fresh_cohort_and_the_right_result(
    network: Network, client: Quorate, set_ways: Callable[..., None], way: str
) -> None:
    other = private().build()
    client.wait(client.submit(guests.private(guests.REVERSE, b"another job")), 30)
    set_ways(way)
    view = drawn_first(network, client, other, ROGUE)
    if way == "stale_result":  # its last result may have been of an equal job, before it met another
        client.wait_settled(client.submit(guests.private(guests.REVERSE, b"yet another job", 7)), 60)
        view = drawn_first(network, client, other, ROGUE)
    if view.round == 1:
        pytest.fail(f"no split: {[note.text for note in view.notes]}")
    first, second = cohorts(network, view)
    assert not first & second, "no former member sits in the fresh cohort (R7)"
    assert view.state == "completed"
    assert client.result(view.job).decrypt() == RIGHT
    book = network.book()
    assert {network.name_of(node) for node in book.paid(view.job, "price")} == second
    assert {network.name_of(node) for node in book.paid(view.job, "attempt")} == first, "a valid opening earns its fee"
    assert not book.slashes(), "dissent is not guilt"


def test_rejected_with_every_vote_attached_and_attempts_paid(
    network: Network, client: Quorate, set_ways: Callable[..., None]
) -> None:
    set_ways("wrong_byte", "wrong_byte")
    for _ in range(DRAWS_MAX):
        view = ended(client, private().build())
        if view.state == "rejected":
            break
    assert view.state == "rejected", "two rogues in two cohorts"
    with pytest.raises(JobRejected):
        client.wait(view.job, 5)
    first, second = cohorts(network, view)
    assert not first & second
    assert {ROGUE, SECOND} <= first | second
    receipt = client.receipt(view.job)
    assert not receipt.verdict.accepted
    assert [ended.outcome for ended in receipt.verdict.rounds] == ["split", "split"]
    assert all(len(record.openings) == 3 for record in receipt.rounds), "every vote is in the receipt"
    book = network.book()
    assert not book.paid(view.job, "price")
    assert {network.name_of(node) for node in book.paid(view.job, "attempt")} == first | second
    assert not book.settlement(view.job).accepted


def test_colluders_with_the_threshold_are_not_caught_by_a_quorum(
    network: Network, client: Quorate, set_ways: Callable[..., None]
) -> None:
    """What docs/attacks.md says of a cohort in one hand, shown: it is a matter of odds, not of detection."""
    set_ways("colluder", "colluder")
    draft = private(3).proof("quorum", threshold=2).build()
    view = drawn_first(network, client, draft, ROGUE, SECOND)
    assert client.result(view.job).decrypt() == b"as agreed among us"


def test_trust_catches_nothing(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    set_ways("wrong_byte")
    view = drawn_first(network, client, trust().build(), ROGUE)
    assert view.state == "completed"
    assert client.result(view.job).decrypt() != RIGHT
    assert any("one provider's word" in line for line in client.receipt(view.job).trust), "and the receipt says so"


def test_a_re_run_catches_what_it_re_executes(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    set_ways("wrong_byte")
    draft = Job.builder().wasm(guests.REVERSE).private_input(DATA).with_ownership_proof().proof("rerun", one_in=1)
    view = drawn_first(network, client, draft.build(), ROGUE)
    assert view.round == 2
    assert client.result(view.job).decrypt() == RIGHT
    assert network.ids[ROGUE] not in network.book().paid(view.job, "price")


def test_refusal_costs_one_place(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    set_ways("refusal")
    view = drawn_first(network, client, private().build(), ROGUE)
    assert (view.state, view.round) == ("completed", 1)
    assert any(note.text.endswith("refused: not today") for note in view.notes)
    assert network.ids[ROGUE] not in network.book().paid(view.job)


def test_forged_signatures_harm_nobody(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    before = network.book().slashes()
    set_ways("forged_signature")
    view = drawn_first(network, client, private().build(), SECOND)
    view = drawn_first(network, client, private(5).build(), ROGUE) if ROGUE not in network.drawn(view) else view
    assert view.state == "completed"
    assert client.result(view.job).decrypt() == RIGHT
    assert network.book().slashes() == before
    assert "bad_signature" in network.log("sequencer"), "the forged evidence came and was refused"


def test_an_unassigned_voter_counts_for_nothing(
    network: Network, client: Quorate, set_ways: Callable[..., None]
) -> None:
    client.wait(client.submit(private(7).build()), 30)
    set_ways("unassigned_voter")
    voted = network.home / ROGUE / rogue_provider.VOTED
    slow = guests.spin(600_000_000).replication(3).build()
    for _ in range(20):
        view = ended(client, slow)
        votes = voted.read_text().split() if voted.exists() else []
        if network.book().agreement_of(view.job).hex() in votes:
            break
    else:
        raise AssertionError(f"it voted in none of these jobs: {votes}")
    assert ROGUE not in network.drawn(view)
    assert view.state == "completed"
    assert network.ids[ROGUE] not in network.book().paid(view.job)
    assert {network.name_of(node) for node in network.book().paid(view.job, "price")} == set(network.drawn(view))


def test_a_false_failure_is_outvoted(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    set_ways("false_failure")
    view = drawn_first(network, client, private().build(), ROGUE)
    assert view.state == "completed"
    assert client.result(view.job).decrypt() == RIGHT
    assert network.ids[ROGUE] not in network.book().paid(view.job, "price")


def test_a_false_failure_ends_a_job_of_one(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    set_ways("false_failure")
    view = drawn_first(network, client, trust().build(), ROGUE)
    assert view.state == "failed"
    with pytest.raises(JobFailed):
        client.wait(view.job, 5)


def submitted_until_drawn(network: Network, client: Quorate, draft: Draft) -> str:
    """A job, still under way, in whose first cohort the rogue is."""
    for _ in range(DRAWS_MAX):
        job = client.submit(draft)
        view = until(lambda job=job: (now := client.status(job)).round and now, 10)
        if ROGUE in network.drawn(view):
            return job
    raise AssertionError("never drawn")


def test_those_who_stall_are_waited_for_no_longer_than_said(
    network: Network, client: Quorate, set_ways: Callable[..., None]
) -> None:
    """Withheld openings, copied votes and guests that never end, all at the same time: each only costs its own job."""
    quick = private().timeouts(verify_ms=1_500).build()
    set_ways("withheld_opening")
    withheld, impatient = (submitted_until_drawn(network, client, draft) for draft in (private().build(), quick))
    until(lambda: client.status(withheld).phase == "verifying", 10)
    until(lambda: client.status(impatient).phase in ("verifying", "timed out"), 10)
    set_ways("copied_vote")
    copied = submitted_until_drawn(network, client, private().build())
    until(lambda: client.status(copied).phase == "verifying", 10)
    set_ways("slow_loris")
    slow = submitted_until_drawn(network, client, private().limits(ResourceLimits(run_ms=1_000)).build())
    set_ways("never_starts")
    unstarted = submitted_until_drawn(network, client, private().timeouts(transfer_ms=3_000).build())
    set_ways("honest")

    for job in (withheld, copied):
        view = client.wait_settled(job, OPEN_MS / 1000 + 20)
        assert (view.state, view.round) == ("completed", 2), "the round ended short, a fresh cohort took over"
        assert client.result(job).decrypt() == RIGHT
        assert network.ids[ROGUE] not in network.book().paid(job)
    assert any("does not open its commitment" in note.text for note in client.status(copied).notes)
    for job, why in ((slow, "run clock"), (unstarted, "transfer clock")):
        view = client.wait_settled(job, 20)
        assert (view.state, view.round) == ("completed", 1)
        assert any(note.text.endswith(f"lost its place: {why}") for note in client.status(job).notes)
        assert network.ids[ROGUE] not in network.book().paid(job)
    assert client.status(impatient).error == "VerifyTimeout"
    with pytest.raises(VerifyTimeout):
        client.wait(impatient, 30)


def test_equivocation_costs_the_bond(network: Network, client: Quorate, set_ways: Callable[..., None]) -> None:
    """The last test of the module: afterwards the rogue is never drawn again."""
    stake = network.book().stake_micro(network.ids[ROGUE])
    set_ways("equivocation")
    view = drawn_first(network, client, private().build(), ROGUE)
    until(lambda: network.book().slashes(), 10)
    (slash,) = network.book().slashes()
    assert slash.source == network.ids[ROGUE]
    assert network.book().stake_micro(network.ids[ROGUE]) == stake - slash.amount_micro
    assert slash.amount_micro == network.genesis.bond_micro
    assert view.state in ("completed", "rejected")
    until(lambda: client.network()["standing_offers"] == NODES - 1, 10)
    for _ in range(10):
        assert ROGUE not in network.drawn(ended(client, private().build())), "with a score of zero it is out"
