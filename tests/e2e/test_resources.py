"""What a job asks of the machine, on separate machines: matched with what each provider measured or states, named where
it is lacking, and never said to be more than that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.support import guests
from tests.support.network import Network, running, until

from quorate import Draft, Job, Quorate
from quorate.api.builder import Builder
from quorate.jobs.receipts import check
from quorate.jobs.trust import RESOURCES

STATED = 125_000_000
FAST, NORTHERN = "provider-1", "provider-2"


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Four providers; the operator of one states a bandwidth, that of another a region of its own."""
    with running(4) as network:
        for name, old, new in (
            (FAST, '"stated_bandwidth_bytes_per_s":0', f'"stated_bandwidth_bytes_per_s":{STATED}'),
            (NORTHERN, '"region":"local"', '"region":"north"'),
        ):
            path = network.home / name / "config.json"
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new))
            network.kill(name)
            network.respawn(name)
        client = network.client()
        await_offers(client, 1, asking().regions("north"))
        await_offers(client, 1, asking(bandwidth_bytes_per_s=STATED))
        await_offers(client, 4, asking())
        yield network


@pytest.fixture(scope="module")
def client(network: Network) -> Quorate:
    return network.client()


def asking(**resources: int) -> Builder:
    return Job.builder().wasm(guests.ANSWER).public_input(b"").proof("trust").resources(**resources)


def await_offers(client: Quorate, count: int, wanted: Builder) -> None:
    """Until so many offers stand that this job fits."""
    draft = wanted.build()
    until(lambda: len(client.quote(draft)["offers"]) == count, 30, 0.1)


def removed(client: Quorate, draft: Draft) -> dict[str, tuple[str, str]]:
    """By node, the rule that left it out and why."""
    job = client.submit(draft)
    rows = until(lambda: client.explain(job)["removed"], 20)
    return {row["node"]: (row["rule"], row["why"]) for row in rows}


def test_a_job_within_what_machines_have_runs_and_its_receipt_says_what_that_means(client: Quorate) -> None:
    cores = len(os.sched_getaffinity(0))
    job = client.submit(asking(cpu_cores=cores, storage_bytes=1 << 22).build())
    assert client.wait(job, 30).decrypt() == guests.ANSWER_OUTPUT
    report = check(client.receipt(job), network=client.parties.network)
    assert report.outcome == "valid"
    assert RESOURCES in client.receipt(job).trust
    plain = client.submit(guests.public(guests.ANSWER, b"", 1))
    client.wait(plain, 30)
    assert RESOURCES not in client.receipt(plain).trust


def test_more_cores_than_any_machine_has_find_nobody(network: Network, client: Quorate) -> None:
    cores = len(os.sched_getaffinity(0))
    found = removed(client, asking(cpu_cores=cores + 1).timeouts(match_ms=3_000).build())
    assert len(found) == len(network.providers)
    assert set(found.values()) == {("resources", f"has {cores} cores, the job asks for {cores + 1}")}


def test_more_storage_than_any_machine_has_finds_nobody(network: Network, client: Quorate) -> None:
    found = removed(client, asking(storage_bytes=1 << 62).timeouts(match_ms=3_000).build())
    assert {rule for rule, _ in found.values()} == {"resources"}
    assert all("bytes of storage" in why for _, why in found.values())


def test_bandwidth_is_found_where_an_operator_states_it(network: Network, client: Quorate) -> None:
    for _ in range(3):
        job = client.submit(asking(bandwidth_bytes_per_s=STATED).build())
        assert client.wait(job, 30).ok
        assert network.drawn(client.status(job)) == [FAST]
    found = removed(client, asking(bandwidth_bytes_per_s=STATED + 1).timeouts(match_ms=3_000).build())
    fast = network.ids[FAST].hex()[:8]
    assert found[fast] == ("resources", f"has {STATED} bytes per second as stated, the job asks for {STATED + 1}")


def test_a_region_is_found_where_a_provider_says_it_is(network: Network, client: Quorate) -> None:
    job = client.submit(asking().regions("north").build())
    assert client.wait(job, 30).ok
    assert network.drawn(client.status(job)) == [NORTHERN]


def test_what_is_lacking_is_told_on_the_command_line(network: Network) -> None:
    """By the quote, before anything is spent; `submit` refuses what could not be had now."""
    env = {**os.environ, "QUORATE_HOME": str(network.home)}
    words = ["--wasm", str(guests.ANSWER), "--cpu-cores", "4096", "--region", "local"]
    command = [sys.executable, "-m", "quorate", "compute"]
    quote = subprocess.run(
        [*command, "quote", *words], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    text = " ".join(quote.stdout.split())
    assert "rule resources removed" in text
    assert "the job asks for 4096" in text
    assert RESOURCES in text
    submit = subprocess.run(
        [*command, "submit", *words], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    assert submit.returncode not in (0, 2)
    assert "0 offer this" in submit.stderr
