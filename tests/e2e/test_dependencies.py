"""Programs of several modules on separate machines: every module fetched by its digest, checked, linked by each member
for itself; what does not fit together is refused wherever it is looked at."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.linked_guests import ADD, SUM_OF_SQUARES, TALLY, Linked, made, sum_of_squares, tower
from tests.support.network import Network, until
from tests.support.stored_blobs import asked_for, blob_path, spoil

from quorate import Draft, Job, Quorate
from quorate.api import problems
from quorate.api.builder import Builder
from quorate.crypto.digests import blob_digest
from quorate.errors import InvalidField, MissingDependency
from quorate.jobs.receipts import check
from quorate.node.fetching import RANGE_BYTES

WIRE_LOG = True
FOURTH = "provider-4"
PAD_BYTES = RANGE_BYTES + 10_000
"""So that a library takes more than one range; three of them stay below what a program may have."""
FILE_BYTES = 100_000
"""Enough to lie in a file of its own."""


@pytest.fixture(autouse=True)
def let_go(network: Network) -> Iterator[None]:
    yield
    network.release(FOURTH)


def builder_of(program: Linked) -> Builder:
    builder = Job.builder().wasm(program.module)
    for code in program.libraries:
        builder.dependency(code)
    return builder


def private(program: Linked, data: bytes) -> Draft:
    return builder_of(program).private_input(data).with_ownership_proof().replication(3).build()


def public(program: Linked, data: bytes) -> Draft:
    return builder_of(program).public_input(data).replication(3).build()


def test_a_private_job_over_three_levels(network: Network, client: Quorate) -> None:
    """Each member fetches the three libraries and the program from the requester's node, by ranges, and links them."""
    program = tower(PAD_BYTES, "private").program
    job = client.submit(private(program, b"three levels"))
    assert client.wait(job, 60).decrypt() == sum_of_squares(b"three levels")
    assert check(client.receipt(job), network=client.parties.network).outcome == "valid"
    for name in network.drawn(client.status(job)):
        for code in program.libraries:
            digest = blob_digest(code)
            assert asked_for(network, name, digest) == [0, RANGE_BYTES]
            assert blob_digest(blob_path(network, name, digest).read_bytes()) == digest


def test_what_is_there_is_not_sent_again(network: Network, client: Quorate) -> None:
    program = tower(FILE_BYTES, "again").program
    first = client.submit(public(program, b"one"))
    client.wait(first, 60)
    before = {name: len(asked_for(network, name, program.dependencies[0])) for name in network.providers}
    second = client.submit(public(program, b"two"))
    assert client.wait(second, 60).decrypt() == sum_of_squares(b"two")
    for name in set(network.drawn(client.status(first))) & set(network.drawn(client.status(second))):
        assert len(asked_for(network, name, program.dependencies[0])) == before[name]


def test_a_command_and_an_array_with_dependencies(client: Quorate) -> None:
    inputs = [b"a", b"bc", b""]
    job = client.submit(builder_of(SUM_OF_SQUARES).array(inputs).replication(3).build())
    elements = client.wait(job, 60).elements()
    assert [element.output for element in elements] == [sum_of_squares(data) for data in inputs]
    speaks = made(
        """(module (import "{0}" "add" (func $add (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 64) "linked")
      (func (export "_start")
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (call $add (i32.const 2) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))""",
        ADD,
    )
    assert client.wait(client.submit(private(speaks, b"")), 60).decrypt() == b"linked"


def drawn_to_the_held(network: Network, client: Quorate, draft: Draft) -> str:
    for _ in range(20):
        job = client.submit(draft)
        view = until(lambda job=job: (now := client.status(job)).round and now, 10)
        if FOURTH in network.drawn(view):
            return job
        client.wait(job, 60)
    raise AssertionError("never drawn")


def test_a_corrupt_dependency_is_refused_and_fetched_elsewhere(network: Network, client: Quorate) -> None:
    """The requester's node gives a library with one byte altered; the other members have sound copies."""
    program = tower(FILE_BYTES, "corrupt").program
    network.hold(FOURTH)
    client.wait(client.submit(public(program, b"first")), 60)
    job = drawn_to_the_held(network, client, public(program, b"second"))
    lowest = blob_digest(program.libraries[0])
    spoil(blob_path(network, "node", lowest))
    assert not blob_path(network, FOURTH, lowest).exists()
    network.release(FOURTH)
    assert client.wait(job, 60).decrypt() == sum_of_squares(b"second")
    assert network.ids[FOURTH] in network.book().paid(job, "price"), "it found a sound copy"
    assert blob_digest(blob_path(network, FOURTH, lowest).read_bytes()) == lowest
    assert len(asked_for(network, FOURTH, lowest)) > 1, "it had asked for the bad one"


def test_a_member_mends_its_own_corrupt_copy_of_a_dependency(network: Network, client: Quorate) -> None:
    program = tower(FILE_BYTES, "mend").program
    job = client.submit(public(program, b"first"))
    client.wait(job, 60)
    for name in network.drawn(client.status(job)):
        spoil(blob_path(network, name, blob_digest(program.libraries[0])))
    again = client.submit(public(program, b"second"))
    assert client.wait(again, 60).decrypt() == sum_of_squares(b"second")
    assert client.status(again).round == 1


# What only a member can see: a client that does not look


def claiming(libraries: tuple[bytes, ...]) -> Draft:
    """A draft whose program lists these, whatever it imports."""
    draft = public(SUM_OF_SQUARES, b"x")
    ordered = sorted(libraries, key=blob_digest)
    program = msgspec.structs.replace(draft.program, dependencies=tuple(map(blob_digest, ordered)))
    return dataclasses.replace(draft, program=program, dependencies=tuple(ordered))


@pytest.mark.parametrize(
    ("libraries", "refusal"),
    [
        (SUM_OF_SQUARES.libraries[1:], "MissingDependency dependencies"),
        ((), "MissingDependency dependencies"),
        ((*SUM_OF_SQUARES.libraries, TALLY.module), "UnusedDependency dependencies"),
        ((*SUM_OF_SQUARES.libraries, b"no module at all"), "NotWasm dependencies"),
        ((*SUM_OF_SQUARES.libraries, bytes(5 << 20)), "TooLarge dependencies"),
    ],
    ids=["one missing", "all missing", "one unused", "no module", "too much"],
)
def test_members_refuse_what_does_not_fit_together(client: Quorate, libraries: tuple[bytes, ...], refusal: str) -> None:
    job = client.submit(claiming(libraries))
    assert until(lambda: (view := client.status(job)).ended and view, 60).error == "JobRejected"
    assert {member["said"] for member in client.explain(job)["members"]} == {f"refused: {refusal}"}


def test_a_job_whose_dependencies_are_not_at_the_node_is_refused(network: Network) -> None:
    client, program = network.client(), tower(10, "absent").program
    draft = public(program, b"x")
    client._client._submitter._there.update(program.dependencies)  # a client that takes them for sent
    before = len(client.list())
    with pytest.raises(InvalidField, match="not here") as caught:
        client.submit(draft)
    assert caught.value.field == "dependencies"
    assert len(client.list()) == before


# The command line


def quorate(home: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "quorate", *arguments]
    env = {**os.environ, "QUORATE_HOME": str(home)}
    return subprocess.run(command, capture_output=True, input=data, timeout=60, env=env, check=False)


def test_dependencies_are_given_on_the_command_line(network: Network, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("main.wasm", "one.wasm", "two.wasm", "three.wasm")]
    for path, code in zip(paths, (SUM_OF_SQUARES.module, *SUM_OF_SQUARES.libraries), strict=True):
        path.write_bytes(code)
    words = ["--wasm", str(paths[0]), "--input", "-", "--private", "--replication", "3"]
    given = [word for path in paths[1:] for word in ("--dependency", str(path))]
    done = quorate(network.home, "compute", "run", *words, *given, data=b"command line")
    assert (done.returncode, done.stdout) == (0, sum_of_squares(b"command line")), done.stderr
    refused = quorate(network.home, "compute", "run", *words, *given[:-2], data=b"x")
    assert refused.returncode == problems.TABLE[MissingDependency].exit_code
    last = refused.stderr.decode().splitlines()[-1]
    assert last.startswith("quorate: error: dependencies: blake3:")
    assert "fix: " in last
