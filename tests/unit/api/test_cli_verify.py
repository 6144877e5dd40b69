"""`quorate verify`: four outcomes with their exit codes, offline, and what it says of files that are no receipts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.job_town import Town, quorum
from tests.support.terminal import Cli, cli_for

from quorate.jobs.receipts import JSON_BYTES_MAX, to_json
from quorate.model.codec import encode
from quorate.model.outcome import Receipt


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return cli_for(capfd, monkeypatch, tmp_path / "home")


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(providers=4)


@pytest.fixture(scope="module")
def receipt(town: Town) -> Receipt:
    return town.receipt(town.run(town.job(quorum(3), private=True)))


@pytest.fixture
def path(receipt: Receipt, tmp_path: Path) -> str:
    path = tmp_path / "receipt.json"
    path.write_bytes(to_json(receipt))
    return str(path)


def test_with_the_network_id_a_good_receipt_is_valid(run: Cli, town: Town, path: str) -> None:
    done = run("verify", path, "--network-id", town.network.hex())
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("valid: ")
    assert "What you still trust" in done.out
    assert "executors you selected see them in plaintext" in " ".join(done.out.split())


@pytest.mark.parametrize("private", [False, True])
def test_the_printed_receipt_of_a_public_job_says_that_the_provider_saw_it(
    run: Cli, town: Town, tmp_path: Path, private: bool
) -> None:
    """S-A43."""
    path = tmp_path / "receipt.json"
    path.write_bytes(to_json(town.receipt(town.run(town.job(quorum(3), private=private)))))
    done = run("verify", str(path), "--network-id", town.network.hex())
    assert done.code == 0
    assert ("provider sees input and output: the job is public" in " ".join(done.out.split())) is not private


def test_without_a_network_id_it_is_consistent_but_unauthenticated(run: Cli, path: str) -> None:
    done = run("verify", path)
    assert done.code == 11
    assert done.out.startswith("consistent, unauthenticated: ")
    assert "--network-id" in done.err


def test_the_network_under_the_home_pins_it(run: Cli, town: Town, path: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "network.cbor").write_bytes(encode(town.genesis))
    assert run("verify", path).code == 0
    other = Town(providers=3, gate=1)
    (home / "network.cbor").write_bytes(encode(other.genesis))
    done = run("verify", path)
    assert done.code == 12
    assert done.out.startswith("INVALID: step 1, network")


def test_another_network_id_makes_it_invalid(run: Cli, path: str) -> None:
    done = run("verify", path, "--network-id", "00" * 32)
    assert done.code == 12
    assert done.out.startswith("INVALID: step 1, network")


def test_simulated_parts_have_their_own_exit_code_and_come_first(run: Cli, tmp_path: Path) -> None:
    from quorate.model.policy import Policy

    town = Town(providers=3, offer={"simulated": ("sim-enclave",)})
    policy = Policy(require_post_quantum=False, jail_layers_min=(), allow=("sim-enclave",), reputation_min=0)
    receipt = town.receipt(town.run(town.job(quorum(3), policy=policy)))
    path = tmp_path / "simulated.json"
    path.write_bytes(to_json(receipt))
    done = run("verify", str(path), "--network-id", town.network.hex())
    assert done.code == 10
    assert done.out.startswith("SIMULATED PARTS: sim-enclave. valid")


def test_as_json_the_report_is_whole(run: Cli, town: Town, path: str) -> None:
    done = run("verify", path, "--network-id", town.network.hex(), "--json")
    report = json.loads(done.out)
    assert (done.code, report["outcome"], report["pinned_by"]) == (0, "valid", "--network-id")
    assert [step["holds"] for step in report["steps"]] == [True] * 15
    assert report["trust"]


def test_one_changed_byte_is_invalid(run: Cli, town: Town, path: str) -> None:
    data = Path(path).read_text()
    place = data.index('"body": "') + 30
    letter = "A" if data[place] != "A" else "B"
    Path(path).write_text(data[:place] + letter + data[place + 1 :])
    assert run("verify", path, "--network-id", town.network.hex()).code == 12


@pytest.mark.parametrize("content", [b"", b"{}", b"# no receipt", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_receipt_is_an_invalid_one(run: Cli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(content)
    done = run("verify", str(path))
    assert (done.code, done.err) == (12, "")
    assert done.out.startswith("INVALID: step 0, form")


def test_a_file_that_is_not_there_is_another_matter(run: Cli, tmp_path: Path) -> None:
    done = run("verify", str(tmp_path / "none.json"))
    assert (done.code, done.out) == (21, "")
    assert done.err.startswith("quorate: error: receipt: ")


def test_a_file_over_size_is_not_read(run: Cli, tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(JSON_BYTES_MAX + 1)
    assert run("verify", str(path)).code == 26


@pytest.mark.parametrize("network", ["abcd", "g" * 64, "00" * 33])
def test_what_is_no_network_id_is_refused_by_its_name(run: Cli, path: str, network: str) -> None:
    done = run("verify", path, "--network-id", network)
    assert (done.code, done.out) == (29, "")
    assert done.err.startswith("quorate: error: network-id: ")
