"""Arrays on separate machines: many inputs, one agreement, one vote, one receipt; a result for each of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest
from tests.support import guests
from tests.support.network import Network, is_gone, until

from quorate import Draft, Job, Quorate, ResourceLimits
from quorate.api.results import Result
from quorate.errors import InvalidField, JobFailed, RunTimeout
from quorate.jobs.receipts import check
from quorate.model.codec import decode
from quorate.model.output import ArrayInput

SMALL = ResourceLimits(fuel=10**7, memory_bytes=1 << 20, run_ms=20_000)
LONG = ResourceLimits(fuel=2 * 10**9, run_ms=20_000)
MANY = 600
SPINS = b"s\xff"


def private(*inputs: bytes, limits: ResourceLimits = SMALL, **clocks: int) -> Draft:
    builder = Job.builder().wasm(guests.MANY).private_array(inputs).with_ownership_proof()
    return builder.replication(3).limits(limits).timeouts(**clocks).build()


def public(*inputs: bytes, limits: ResourceLimits = SMALL, **clocks: int) -> Draft:
    return Job.builder().wasm(guests.MANY).array(inputs).proof("trust").limits(limits).timeouts(**clocks).build()


def guests_of(network: Network) -> list[int]:
    """The processes in which guests run now."""
    return [pid for name in network.providers for pid in network.busy_workers(name)]


def done(client: Quorate, draft: Draft) -> Result:
    return client.wait(client.submit(draft), 60)


def test_a_private_quorum_over_elements_that_trap_run_out_and_end_well(network: Network, client: Quorate) -> None:
    job = client.submit(private(b"one", b"t", b"f", b"m", b"c", b"c", b""))
    result = client.wait(job, 60)
    parts = result.elements()
    assert [part.status for part in parts] == [
        "success", "unreachable", "out_of_fuel", "memory_limit", "success", "success", "success",
    ]  # fmt: skip
    assert [part.written for part in parts] == [b"one", b"", b"", b"", b"c\x01", b"c\x01", b""]
    assert (parts[0].output, parts[0].exit_code, parts[0].ok) == (b"one", 0, True)
    with pytest.raises(JobFailed, match=r"element 2 ended with out of fuel"):
        _ = parts[2].output
    assert (result.status, result.ok) == ("success", False)
    with pytest.raises(InvalidField, match=r"elements\(\)"):
        result.decrypt()
    view = client.status(job)
    assert (view.state, view.elements, view.replied) == ("completed", 7, 3)
    assert client.element_logs(job) == (b"",) * 7
    assert check(client.receipt(job), network=client.parties.network).outcome == "valid"
    assert len(network.book().escrows_of(job)) == 1
    assert len(network.book().paid(job, "price")) == 3


def test_the_most_elements_there_may_be(client: Quorate) -> None:
    inputs = [number.to_bytes(3, "big") for number in range(4096)]
    result = done(client, public(*inputs))
    assert result.ok
    assert [part.output for part in result.elements()] == inputs


def test_an_array_of_one_is_an_ordinary_job(client: Quorate) -> None:
    result = done(client, private(b"alone"))
    assert result.decrypt() == b"alone"
    assert [part.output for part in result.elements()] == [b"alone"]


def test_an_element_that_never_ends_takes_the_array_with_it(client: Quorate) -> None:
    """By its own wall clock: the end depends on the machine, so nobody votes on it."""
    limits = ResourceLimits(fuel=10**10, run_ms=700)
    with pytest.raises(RunTimeout):
        done(client, public(b"a", b"f", b"b", limits=limits))


def test_the_run_clock_covers_the_array(client: Quorate) -> None:
    began = time.monotonic()
    with pytest.raises(RunTimeout):
        done(client, public(*[SPINS] * MANY, limits=LONG, run_ms=1_500))
    assert time.monotonic() - began < 30


def refusals(client: Quorate, draft: Draft) -> set[str]:
    """What the members said instead of running a job that nobody could run."""
    job = client.submit(draft)
    assert client.wait_settled(job, 60).error == "JobRejected"
    return {member["said"] for member in client.explain(job)["members"]}


@pytest.mark.parametrize("make", [private, public])
def test_an_input_of_another_count_is_refused_by_the_executors(client: Quorate, make: Callable[..., Draft]) -> None:
    assert refusals(client, dataclasses.replace(make(b"a", b"b", b"c"), elements=4)) == {"refused: array_mismatch"}


def test_an_input_that_is_no_array_is_refused_by_the_executors(client: Quorate) -> None:
    draft = public(b"a", b"b")
    assert decode(draft.input, ArrayInput).items == (b"a", b"b")
    assert refusals(client, dataclasses.replace(draft, input=draft.input + b"\0")) == {"refused: array_mismatch"}


def test_cancel_in_the_middle_leaves_no_guest(network: Network, client: Quorate) -> None:
    job = client.submit(private(*[SPINS] * MANY, limits=LONG))
    until(lambda: client.status(job).phase == "executing", 20)
    pids = until(lambda: len(found := guests_of(network)) >= 3 and found, 20)
    assert client.cancel(job).state == "cancelled"
    assert any(is_gone(pid) for pid in pids), "killed; one that was between two turns has no guest"
    left = {pid for pid in guests_of(network) if pid in pids}
    assert not left, "others start in the place of those killed"
    until(lambda: not guests_of(network), 5)
    assert done(client, private(b"x", b"y")).ok


def test_a_quick_job_is_not_held_up_by_a_long_array(client: Quorate) -> None:
    job = client.submit(private(*[SPINS] * MANY, limits=LONG))
    until(lambda: client.status(job).phase == "executing", 20)
    assert client.wait(client.submit(guests.private(guests.REVERSE, b"abc")), 30).decrypt() == b"cba"
    assert client.status(job).phase == "executing"
    client.cancel(job)
