"""Nothing of a private input or output is on the wire or in any file but the client's (protocol R1, S-D2, S-C7).

Everything that any node hands to the transport is captured in plain, before TLS; every file of every process but the
client's is read after the job. The same search finds a public job's bytes, so that it can be believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.support import guests
from tests.support.capture import read_wire_log, shared_windows
from tests.support.network import Network
from tests.support.secrets_of import secrets_in, secrets_under

from quorate import Quorate

WIRE_LOG = True
INPUT_BYTES = 4096


def fold(data: bytes) -> bytes:
    out = bytearray(64)
    for at, byte in enumerate(data):
        out[at % 64] ^= byte
    return bytes(out)


def on_the_wire(network: Network) -> list[bytes]:
    return [payload for name in network.ids if name != "client" for payload in wire_of(network, name)]


def wire_of(network: Network, name: str) -> list[bytes]:
    return read_wire_log(network.home / name / "wire.log")


def in_files(network: Network) -> list[bytes]:
    shared_memory = [path for path in Path("/dev/shm").rglob("*") if path.is_file()]
    return [contents(path) for path in (*network.files_but_of_client(), *shared_memory)]


def contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it was there a moment ago


def windows_in(secrets: Iterable[bytes], places: list[bytes]) -> int:
    return sum(len(shared_windows(secret, places)) for secret in secrets)


@pytest.fixture(scope="module")
def private_bytes(network: Network, client: Quorate) -> tuple[bytes, bytes]:
    """The random input of a private job that has run, and its output."""
    data = os.urandom(INPUT_BYTES)
    assert client.wait(client.submit(guests.private(guests.FOLD, data)), 30).decrypt() == fold(data)
    return data, fold(data)


def test_the_wire_holds_no_window_of_a_private_job(network: Network, private_bytes: tuple[bytes, bytes]) -> None:
    sent = on_the_wire(network)
    assert sum(map(len, sent)) > 10 * INPUT_BYTES, "the capture is not empty"
    assert windows_in(private_bytes, sent) == 0


def test_no_file_holds_a_window_of_a_private_job(network: Network, private_bytes: tuple[bytes, bytes]) -> None:
    files = in_files(network)
    assert len([data for data in files if data]) > 20
    assert windows_in(private_bytes, files) == 0


def test_the_same_search_finds_a_public_job(network: Network, client: Quorate) -> None:
    data = os.urandom(INPUT_BYTES)
    client.wait(client.submit(guests.public(guests.FOLD, data)), 30)
    every = INPUT_BYTES - 7
    assert len(shared_windows(data, on_the_wire(network))) == every
    assert len(shared_windows(data, in_files(network))) > every - 64, "pages of a store cut some"
    assert len(shared_windows(fold(data), on_the_wire(network))) == 57
    assert len(shared_windows(fold(data), in_files(network))) == 57


def test_members_receive_the_input_from_the_node_as_ciphertext_only(
    network: Network, private_bytes: tuple[bytes, bytes]
) -> None:
    """The node that serves the blob never had the key: the windows of the content key are nowhere but at the client."""
    keys = [secret for path in (network.home / "client" / "jobs").glob("*.key") for secret in secrets_in(path)]
    assert len(keys) >= 3
    assert windows_in(keys, on_the_wire(network)) == 0
    assert windows_in(keys, in_files(network)) == 0


def test_logs_and_wire_hold_no_key(network: Network, private_bytes: tuple[bytes, bytes]) -> None:
    keys = secrets_under(network.home)
    assert len(keys) > 20
    logs = [contents(path) for path in network.home.rglob("log.txt")]
    assert windows_in(keys, logs + on_the_wire(network)) == 0
    assert windows_in(keys, [contents(path) for path in network.home.rglob("*.key")]) > 100, "they are in their files"


def test_key_files_are_for_their_owner_alone(network: Network) -> None:
    modes = {path.stat().st_mode & 0o777 for path in network.home.rglob("*.key")}
    assert modes == {0o600}


def test_equal_outputs_of_private_jobs_show_unequal_tags(network: Network, client: Quorate) -> None:
    jobs = [client.submit(guests.private(guests.ANSWER, b"")) for _ in range(2)]
    assert {client.wait(job, 30).decrypt() for job in jobs} == {guests.ANSWER_OUTPUT}
    first, second = (network.result_view(job) for job in jobs)
    assert first.tag != second.tag
    assert first.log_tag != second.log_tag
    assert not {copy.result_digest for copy in first.delivered} & {copy.result_digest for copy in second.delivered}


def test_equal_outputs_of_public_jobs_show_equal_tags(network: Network, client: Quorate) -> None:
    jobs = [client.submit(guests.public(guests.ANSWER)) for _ in range(2)]
    for job in jobs:
        client.wait(job, 30)
    first, second = (network.result_view(job) for job in jobs)
    assert first.tag == second.tag
