"""A private program on separate machines: the right result, for its requester alone (S-D1, S-D2, S-C7); a public one
for everybody (S-C6); and what the executors themselves see, said plainly (S-D23)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.support import guests
from tests.support.network import Network

import quorate
from quorate import Job, Quorate
from quorate.adapters.keys import write_secret
from quorate.api.keyring import Keyring
from quorate.crypto.digests import blob_digest
from quorate.crypto.sealing import open_from, public_result_tag
from quorate.crypto.signing import Identity
from quorate.errors import BadSeal, InvalidField, MissingKey, WrongKey
from quorate.model.codec import decode
from quorate.model.identity import DEFAULT_SUITE
from quorate.model.output import Output
from quorate.model.units import JobId
from quorate.privacy.sealed import output_info


def expected_aggregate() -> dict[str, int]:
    people = json.loads(guests.AGGREGATION_INPUT.read_bytes())
    rows = people if isinstance(people, list) else people["salaries"]
    salaries = [row["salary"] if isinstance(row, dict) else row for row in rows]
    return {"count": len(salaries), "sum": sum(salaries), "min": min(salaries), "max": max(salaries)}


def folded(data: bytes) -> bytes:
    out = bytearray(64)
    for at, byte in enumerate(data):
        out[at % 64] ^= byte
    return bytes(out)


def test_aggregation_of_three_validators_is_right(network: Network, client: Quorate) -> None:
    job = client.submit(guests.private(guests.AGGREGATION, guests.AGGREGATION_INPUT.read_bytes()))
    result = client.wait(job, 30)
    assert result.ok
    found = json.loads(result.decrypt())
    assert {name: found[name] for name in expected_aggregate()} == expected_aggregate()
    view = client.status(job)
    assert (view.state, view.replied, view.replicas, view.private) == ("completed", 3, 3, True)
    pids = {network.process(name).pid for name in network.drawn(view)}
    assert len(pids) == 3, "three executors in three processes"
    assert not pids & {os.getpid(), network.process("node").pid, network.process("sequencer").pid}


@pytest.mark.parametrize(
    ("guest", "data", "output"),
    [
        ("answer.wasm", b"", guests.ANSWER_OUTPUT),
        ("reverse.wasm", b"stressed", b"desserts"),
        ("fold.wasm", bytes(range(256)) * 16 + b"tail", folded(bytes(range(256)) * 16 + b"tail")),
        ("csv_total.wasm", b"1200,3\n950,-1\n", b"2150,2\n"),
        ("sieve.wasm", b"", (78_498).to_bytes(8, "little")),
    ],
)
def test_every_example_runs_privately(client: Quorate, guest: str, data: bytes, output: bytes) -> None:
    result = client.wait(client.submit(guests.private(guests.GUESTS / guest, data)), 30)
    assert result.ok, result
    assert result.decrypt() == output


def test_a_guest_that_ends_badly_is_an_agreed_outcome(client: Quorate) -> None:
    job = client.submit(guests.private(guests.GUESTS / "csv_total.wasm", b"1,2\n3\n"))
    result = client.wait(job, 30)
    assert (result.ok, result.status, result.exit_code) == (False, "nonzero_exit", 2)
    assert client.logs(job) == b"csv_total: line 2: too few columns\n", "its log is sealed to the owner as well"


def stranger(network: Network, home: Path, *, identity: bool = True) -> Quorate:
    """Another user of the same network, at the same door, with keys of their own or none."""
    for name in ("network.cbor", "authority.pem"):
        shutil.copy(network.home / name, home / name)
    (home / "client").mkdir(mode=0o700)
    if identity:
        write_secret(home / "client" / "identity.key", Identity.generate(DEFAULT_SUITE, os.urandom).to_bytes())
    (home / "node").symlink_to(network.home / "node")
    return quorate.connect(home)


def test_only_the_requester_opens_a_private_result(network: Network, client: Quorate, tmp_path: Path) -> None:
    job = client.submit(guests.private(guests.REVERSE, b"salaries of 2026"))
    assert client.wait(job, 30).decrypt() == b"6202 fo seiralas"
    with stranger(network, tmp_path) as other:
        assert other.status(job).state == "completed", "whether it is done is no secret"
        result = other.result(job)
        with pytest.raises(MissingKey) as missing:
            result.decrypt()
        assert missing.value.fix
        with pytest.raises(MissingKey):
            other.logs(job)


def test_the_key_of_another_job_opens_nothing(network: Network, client: Quorate, tmp_path: Path) -> None:
    first = client.submit(guests.private(guests.REVERSE, b"first"))
    second = client.submit(guests.private(guests.REVERSE, b"second"))
    assert client.wait(first, 30).decrypt() == b"tsrif"
    client.wait(second, 30)
    folder = network.home / "client" / "jobs"
    kept = (folder / f"{first}.key").read_bytes()
    try:
        (folder / f"{first}.key").write_bytes((folder / f"{second}.key").read_bytes())
        with pytest.raises(WrongKey):
            client.result(first).decrypt()
        (folder / f"{first}.key").unlink()
        with pytest.raises(MissingKey):
            client.result(first).decrypt()
    finally:
        (folder / f"{first}.key").write_bytes(kept)
        (folder / f"{first}.key").chmod(0o600)
    assert client.result(first).decrypt() == b"tsrif"


def test_the_node_holds_only_sealed_copies(network: Network, client: Quorate) -> None:
    job = client.submit(guests.private(guests.REVERSE, b"abc"))
    client.wait(job, 30)
    keys = Keyring(network.home / "client").load(JobId(bytes.fromhex(job)))
    other = client.submit(guests.private(guests.REVERSE, b"xyz"))
    other_keys = Keyring(network.home / "client").load(JobId(bytes.fromhex(other)))
    view = network.result_view(job)
    assert view.delivered
    for copy in view.delivered:
        blob = network.blob(copy.result_digest)
        info = output_info(keys.job, view.agreement, copy.member, "result")
        assert decode(open_from(keys.seal_key, blob, info), Output).stdout == b"cba"
        with pytest.raises(BadSeal):
            open_from(other_keys.seal_key, blob, info)
        with pytest.raises(BadSeal):
            open_from(keys.seal_key, blob, output_info(keys.job, view.agreement, copy.member, "log"))


def test_a_stranger_fetches_and_verifies_a_public_result(network: Network, client: Quorate, tmp_path: Path) -> None:
    job = client.submit(guests.public(guests.REVERSE, b"for everybody"))
    client.wait(job, 30)
    with stranger(network, tmp_path) as other:
        assert other.result(job).decrypt() == b"ydobyreve rof"
    view = network.result_view(job)
    blob = network.blob(view.delivered[0].result_digest)
    assert blob_digest(blob) == view.delivered[0].result_digest
    assert public_result_tag(blob) == view.tag, "what the members voted on"
    assert public_result_tag(blob + b"x") != view.tag


def test_the_module_on_ciphertext_gives_nothing_useful(network: Network, client: Quorate) -> None:
    """There is no computing on sealed bytes here: who runs the module must see the input, and is named."""
    plain = guests.AGGREGATION_INPUT.read_bytes()
    job = client.submit(guests.private(guests.AGGREGATION, plain))
    right = client.wait(job, 30).decrypt()
    keys = Keyring(network.home / "client").load(JobId(bytes.fromhex(job)))
    ciphertext = network.blob(keys.job.input_digest)
    assert len(ciphertext) > len(plain)
    assert plain not in ciphertext
    on_ciphertext = client.submit(guests.public(guests.AGGREGATION, ciphertext))
    result = client.wait(on_ciphertext, 30)
    assert not result.ok, "the program refuses what is not its input"
    assert result.decrypt() != right


def test_quote_and_receipt_say_who_sees_the_input(client: Quorate) -> None:
    draft = guests.private(guests.REVERSE, b"abc")
    words = json.dumps(client.quote(draft))
    assert "executors" in words
    assert "see" in words
    job = client.submit(draft)
    client.wait(job, 30)
    assert any("input" in line and "see" in line for line in client.receipt(job).trust)
    public = json.dumps(client.quote(guests.public(guests.REVERSE, b"abc")))
    assert "public" in public


def test_a_private_job_without_its_protections_is_refused() -> None:
    with pytest.raises(InvalidField) as refused:
        Job.builder().wasm(guests.REVERSE).private_input(b"abc").build()
    assert refused.value.field == "ownership_proof"
