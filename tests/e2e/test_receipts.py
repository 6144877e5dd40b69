"""The receipt of a real job, verified offline by anyone with the network id (R11): valid, unauthenticated, invalid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import guests
from tests.support.network import Network, until

from quorate import Draft, Job, Quorate
from quorate.api import problems
from quorate.crypto.digests import value_digest
from quorate.errors import BadCommitment, PeerError
from quorate.jobs.receipts import check, check_json, check_result, from_json, to_json
from quorate.model.codec import decode, encode
from quorate.model.output import Output
from quorate.model.units import Digest

CHANGED_BYTES = 400
REVERSED = b"stressed"


def builder(*, private: bool):  # type: ignore[no-untyped-def]
    plain = Job.builder().wasm(guests.REVERSE)
    return plain.private_input(REVERSED).with_ownership_proof() if private else plain.public_input(REVERSED)


DRAFTS: dict[str, Draft] = {
    "private quorum of 3": builder(private=True).replication(3).build(),
    "public quorum of 3": builder(private=False).replication(3).build(),
    "private re-run, re-executed": builder(private=True).proof("rerun", one_in=1).build(),
    "public re-run": builder(private=False).proof("rerun", one_in=1_000_000).build(),
    "private trust": builder(private=True).proof("trust").build(),
    "a guest that traps": Job.builder().wasm('(module (func (export "run") unreachable))').replication(3).build(),
}


@pytest.fixture(scope="module")
def receipts(client: Quorate) -> dict[str, bytes]:
    """One receipt file for each kind of job."""
    jobs = {name: client.submit(draft) for name, draft in DRAFTS.items()}
    for job in jobs.values():
        client.wait(job, 30)
    return {name: to_json(client.receipt(job)) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def network_id(network: Network) -> Digest:
    return value_digest(network.genesis)


@pytest.mark.parametrize("name", DRAFTS)
def test_a_receipt_is_valid_under_its_network_id(receipts: dict[str, bytes], network_id: Digest, name: str) -> None:
    report = check_json(receipts[name], network=network_id)
    assert report.outcome == "valid", report
    assert all(step.holds for step in report.steps)
    assert len(report.steps) == 15
    assert report.trust, "it names what has to be believed"
    assert not report.simulated


@pytest.mark.parametrize("name", DRAFTS)
def test_without_a_network_id_it_is_only_consistent(receipts: dict[str, bytes], name: str) -> None:
    assert check_json(receipts[name], network=None).outcome == "unauthenticated"


def test_under_another_network_id_it_is_invalid(receipts: dict[str, bytes]) -> None:
    for data in receipts.values():
        assert check_json(data, network=Digest(bytes(32))).outcome == "invalid"


def test_any_changed_byte_makes_it_invalid(receipts: dict[str, bytes], network_id: Digest) -> None:
    receipt = from_json(receipts["private quorum of 3"])
    data = encode(receipt)
    kind = type(receipt)
    step = len(data) // CHANGED_BYTES
    for place in range(step // 2, len(data), step):
        changed = data[:place] + bytes([data[place] ^ (1 + place % 255)]) + data[place + 1 :]
        try:
            other = decode(changed, kind)
        except PeerError:
            continue
        assert check(other, network=network_id).outcome == "invalid", f"byte {place} of {len(data)}"


def test_any_changed_character_of_the_file_makes_it_invalid(receipts: dict[str, bytes], network_id: Digest) -> None:
    data = receipts["public quorum of 3"]
    step = len(data) // (CHANGED_BYTES // 2)
    places = [*range(0, 40, 3), *range(40, len(data), step), len(data) - 2]
    for place in places:
        changed = bytearray(data)
        changed[place] = ord("B") if data[place] != ord("B") else ord("C")
        assert check_json(bytes(changed), network=network_id).outcome == "invalid", f"character {place}"


def test_the_receipt_vouches_for_the_result_and_no_other(client: Quorate) -> None:
    job = client.submit(builder(private=False).replication(3).build())
    client.wait(job, 30)
    receipt = client.receipt(job)
    output = encode(Output(status="success", exit_code=0, stdout=REVERSED[::-1]))
    check_result(receipt, output)
    with pytest.raises(BadCommitment):
        check_result(receipt, output + b"x")


def verified(path: Path, *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quorate", "verify", str(path), *options]
    environment = {**os.environ, "QUORATE_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_and_its_exit_codes(
    network: Network, receipts: dict[str, bytes], network_id: Digest, tmp_path: Path
) -> None:
    path, nowhere = tmp_path / "receipt.json", tmp_path / "nowhere"
    path.write_bytes(receipts["private quorum of 3"])
    by_home = verified(path, home=network.home)
    assert (by_home.returncode, by_home.stderr) == (0, "")
    by_id = verified(path, "--network-id", network_id.hex(), "--json", home=nowhere)
    assert by_id.returncode == 0
    assert json.loads(by_id.stdout)["outcome"] == "valid"
    assert verified(path, home=nowhere).returncode == problems.UNAUTHENTICATED
    assert verified(path, "--network-id", "00" * 32, home=nowhere).returncode == problems.INVALID
    path.write_bytes(receipts["private quorum of 3"].replace(b"a", b"b", 1))
    assert verified(path, home=network.home).returncode == problems.INVALID


def test_it_verifies_without_any_process(receipts: dict[str, bytes], tmp_path: Path) -> None:
    """The reader needs the file and the id, no socket: none can be opened in this process."""
    path = tmp_path / "receipt.json"
    path.write_bytes(receipts["private quorum of 3"])
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('a socket')\n"
        "socket.socket = refuse\n"
        "from pathlib import Path\n"
        "from quorate.jobs.receipts import check_json\n"
        "print(check_json(Path(sys.argv[1]).read_bytes(), network=None).outcome)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.strip() == "unauthenticated", ended.stderr


def test_it_stays_valid_when_its_members_make_new_offers(network: Network, client: Quorate, network_id: Digest) -> None:
    """An agreement is made of the offers of its time; whoever raises a price or starts anew does not change it."""
    job = client.submit(builder(private=True).replication(3).build())
    client.wait(job, 30)
    for name in network.providers:
        path = network.home / name / "config.json"
        config = json.loads(path.read_bytes())
        path.write_text(json.dumps({**config, "base_micro": 3 * config["base_micro"]}))
        network.kill(name)
        network.respawn(name)
    price = sum(network.book().paid(job, "price").values())

    def dearer() -> str:
        other = client.submit(builder(private=True).replication(3).build())
        client.wait(other, 30)
        return other if sum(network.book().paid(other, "price").values()) > 2 * price else ""

    later = until(dearer, 20)
    assert check_json(to_json(client.receipt(job)), network=network_id).outcome == "valid"
    network.kill("node")
    network.respawn("node")
    assert check_json(to_json(network.client().receipt(job)), network=network_id).outcome == "valid"
    assert check_json(to_json(network.client().receipt(later)), network=network_id).outcome == "valid"
