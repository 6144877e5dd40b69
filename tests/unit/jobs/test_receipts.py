"""Receipts of jobs that ended in every way verify; without a root they are consistent and no more (protocol R11)."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.job_town import POLICY, Town, quorum
from tests.support.receipt_forge import Forge

from quorate.crypto.digests import value_digest
from quorate.crypto.sealing import out_key
from quorate.errors import BadCommitment, BadSeal, MalformedBytes
from quorate.jobs.receipts import FORMAT, STEPS, check, check_json, check_result, from_json, to_json
from quorate.model.codec import decode, encode
from quorate.model.identity import Suite
from quorate.model.network import Checkpoint
from quorate.model.outcome import Receipt
from quorate.model.output import Output
from quorate.model.settlement import Settlement
from quorate.privacy.sealed import EXECUTORS_SEE

NAMES = [
    *("form", "network", "keys", "signatures", "job", "agreement", "roster", "escrow"),
    *("members", "ballots", "verdict", "delivery", "settlement", "trust", "simulated"),
]
RESULTS = ["plain", "private", "liar", "silent", "split", "trust", "audited", "audited split", "unaudited"]
WITHOUT = ["rejected", "failed", "withheld", "cancelled", "cancelled late", "cancelled unwrapped", "aborted"]


def test_the_steps_are_numbered_as_documented() -> None:
    from quorate.jobs import receipts

    assert [name for name, _ in STEPS] == NAMES
    listed = [line.split()[:2] for line in receipts.__doc__.splitlines() if line.startswith("    ")]
    assert listed == [[str(number), name] for number, name in enumerate(NAMES)]


@pytest.mark.parametrize("name", RESULTS + WITHOUT)
def test_a_receipt_is_valid_however_the_job_ended(town: Town, receipts: dict[str, Receipt], name: str) -> None:
    report = check(receipts[name], network=town.network)
    assert (report.outcome, report.step) == ("valid", -1), report.line
    assert report.accepted == (name in RESULTS)
    assert [step.number for step in report.steps] == list(range(len(NAMES)))
    assert report.settled
    assert report.network == town.network.hex()


@pytest.mark.parametrize("name", RESULTS + WITHOUT)
def test_settlements_are_recomputed_to_the_unit(town: Town, receipts: dict[str, Receipt], name: str) -> None:
    report = check(receipts[name], network=town.network)
    assert "recomputed to the unit" in report.steps[12].sentence


def test_the_liar_is_named(receipts: dict[str, Receipt]) -> None:
    """S-A46: with one liar the right answer stands and the liar is named."""
    (ended,) = receipts["liar"].verdict.rounds
    assert len(ended.agreed) == 4
    assert len(ended.dissented) == 1


def test_colluders_above_the_threshold_get_a_valid_receipt_for_a_wrong_result(town: Town) -> None:
    """S-A46, S-C86: the known limit. The receipt proves agreement, not truth; its trust list says how many it takes."""
    state = town.run(town.job(quorum(3)), {0: "wrong", 1: "wrong", 2: "wrong"})
    report = check(town.receipt(state), network=town.network)
    assert report.outcome == "valid"
    assert any("unless 3 of 3 members drawn agreed on a wrong one" in line for line in report.trust)
    wrong = encode(Output(status="success", exit_code=0, stdout=b"wrong"))
    check_result(town.receipt(state), wrong)


def test_hybrid_signatures_verify() -> None:
    town = Town(providers=4, suite=Suite.ED25519_ML_DSA_65)
    receipt = town.receipt(town.run(town.job(quorum(3), private=True)))
    report = check(receipt, network=town.network)
    assert report.outcome == "valid", report.line
    assert any(line == "Signatures are ed25519+ml-dsa-65." for line in report.trust)
    half = msgspec.structs.replace(receipt.stamps[0], signature=receipt.stamps[0].signature[:-1] + b"\0")
    broken = msgspec.structs.replace(receipt, stamps=(half, *receipt.stamps[1:]))
    assert check(broken, network=town.network).outcome == "invalid"


def test_without_a_network_id_it_is_consistent_and_unauthenticated(town: Town, receipts: dict[str, Receipt]) -> None:
    report = check(receipts["plain"], network=None)
    assert (report.outcome, report.step) == ("unauthenticated", -1)
    assert "no network id" in report.line


def test_a_made_up_network_is_never_more_than_unauthenticated(town: Town) -> None:
    """Anyone can make a ledger of its own: its receipts agree with themselves, and with no other network's id."""
    made_up = Town(providers=3, suite=Suite.ML_DSA_44)
    receipt = made_up.receipt(made_up.run(made_up.job(quorum(3))))
    assert check(receipt, network=None).outcome == "unauthenticated"
    report = check(receipt, network=town.network)
    assert (report.outcome, report.step) == ("invalid", 1)


def test_before_the_settlement_it_is_unauthenticated(town: Town, forge: Forge, receipts: dict[str, Receipt]) -> None:
    pending = forge.put(receipts["plain"], settlement=None)
    report = check(pending, network=town.network)
    assert report.outcome == "unauthenticated"
    assert not report.settled
    assert "not settled yet" in report.line


def test_a_simulated_part_is_in_the_first_line_and_in_the_outcome() -> None:
    policy = msgspec.structs.replace(POLICY, allow=("sim-enclave",))
    town = Town(providers=4, offer={"simulated": ("sim-enclave",)})
    receipt = town.receipt(town.run(town.job(quorum(3), policy=policy)))
    assert receipt.simulated == ("sim-enclave",)
    report = check(receipt, network=town.network)
    assert report.outcome == "valid_simulated"
    assert report.line.startswith("SIMULATED PARTS: sim-enclave.")
    unpinned = check(receipt, network=None)
    assert unpinned.outcome == "unauthenticated"
    assert unpinned.line.startswith("SIMULATED PARTS: sim-enclave.")


def test_a_trusted_checkpoint_convicts_a_ledger_with_two_histories(town: Town, receipts: dict[str, Receipt]) -> None:
    proven = receipts["plain"].settlement
    assert proven is not None
    seen = decode(proven.checkpoint.body, Checkpoint)
    assert check(receipts["plain"], network=town.network, checkpoint=seen).outcome == "valid"
    other = msgspec.structs.replace(seen, root=value_digest(seen))
    report = check(receipts["plain"], network=town.network, checkpoint=other)
    assert (report.outcome, report.step) == ("invalid", 12)
    assert "another log" in report.line


def test_a_receipt_from_the_future_is_noted_not_refused(town: Town, receipts: dict[str, Receipt]) -> None:
    proven = receipts["plain"].settlement
    assert proven is not None
    settled = decode(proven.event, Settlement).time_ms
    assert check(receipts["plain"], network=town.network, now_ms=settled).notes == ()
    early = check(receipts["plain"], network=town.network, now_ms=settled - 400_000)
    assert early.outcome == "valid"
    assert "400000 ms after the clock of this machine" in early.notes[0]


def test_the_trust_list_says_who_saw_what(receipts: dict[str, Receipt]) -> None:
    """S-A43: a job without privacy says so."""
    assert any(line.startswith("provider sees input and output") for line in receipts["plain"].trust)
    assert EXECUTORS_SEE in receipts["private"].trust
    assert not any(line.startswith("provider sees") for line in receipts["private"].trust)
    assert any("was re-executed by a second" in line for line in receipts["audited"].trust)
    assert any("was not re-executed" in line for line in receipts["unaudited"].trust)


def test_a_receipt_carries_no_key_and_no_plaintext(town: Town) -> None:
    sealed = town.job(quorum(3), private=True)
    receipt = town.receipt(town.run(sealed))
    for secret in (b"private input", sealed.secret.content_key, sealed.secret.salt, out_key(sealed.secret.content_key)):
        assert secret not in encode(receipt)
    assert receipt.job.body in encode(receipt)


def test_the_result_is_checked_against_the_accepted_vote(town: Town, receipts: dict[str, Receipt]) -> None:
    """R1: with the disclosed result key a third party checks a private output; without it, nobody can."""
    output = encode(Output(status="success", exit_code=0, stdout=b"result"))
    check_result(receipts["plain"], output)
    with pytest.raises(BadCommitment):
        check_result(receipts["plain"], output + b" ")
    with pytest.raises(BadCommitment):
        check_result(receipts["rejected"], output)
    sealed = town.job(quorum(3), private=True)
    receipt = town.receipt(town.run(sealed))
    check_result(receipt, output, out_key(sealed.secret.content_key))
    with pytest.raises(BadSeal):
        check_result(receipt, output)
    with pytest.raises(BadCommitment):
        check_result(receipt, output + b" ", out_key(sealed.secret.content_key))


@pytest.mark.parametrize("name", ["plain", "private", "split", "cancelled unwrapped"])
def test_the_file_of_a_receipt_round_trips(town: Town, receipts: dict[str, Receipt], name: str) -> None:
    data = to_json(receipts[name])
    assert from_json(data) == receipts[name]
    assert from_json(msgspec.json.format(data, indent=-1)) == receipts[name]
    assert check_json(data, network=town.network).outcome == "valid"
    assert data.splitlines()[2].strip().startswith(b'"simulated"')


def bad_files(data: bytes) -> dict[str, bytes]:
    plain = msgspec.json.format(data, indent=-1).strip()
    return {
        "empty": b"",
        "not JSON": b"\xff\x00",
        "cut short": plain[:-10],
        "trailing bytes": plain + b"{}",
        "unknown field": plain.replace(b'{"format"', b'{"more":1,"format"', 1),
        "unknown field inside": plain.replace(b'"type":"receipt"', b'"type":"receipt","more":1', 1),
        "duplicate key": plain.replace(b'{"format"', b'{"simulated":["x"],"format"', 1),
        "another version": plain.replace(FORMAT.encode(), b"quorate receipt 2", 1),
        "another order": b'{"simulated":[],' + plain[1:].replace(b'"simulated":[],', b"", 1),
        "another network": plain.replace(b'"network":"', b'"network":"00', 1),
        "escaped text": plain.replace(b'"town"', b'"\\u0074own"', 1),
        "not base64": plain.replace(b'"seed":"', b'"seed":"!', 1),
        "a float": plain.replace(b'"round":1', b'"round":1.0', 1),
        "a number too large": plain.replace(b'"round":1', b'"round":99999999999999999999', 1),
        "deep": b"[" * 100_000,
        "a list": b"[]",
        "null": b"null",
    }


def test_every_other_form_of_the_file_is_refused(town: Town, receipts: dict[str, Receipt]) -> None:
    data = to_json(receipts["plain"])
    for fault, bad in bad_files(data).items():
        with pytest.raises(MalformedBytes):
            pytest.fail(f"{fault} is read as {from_json(bad)}")
        report = check_json(bad, network=town.network)
        assert (report.outcome, report.step) == ("invalid", 0), fault


def test_a_file_above_the_size_limit_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch, receipts: dict[str, Receipt]
) -> None:
    data = to_json(receipts["plain"])
    monkeypatch.setattr("quorate.jobs.receipts.JSON_BYTES_MAX", len(data) - 1)
    with pytest.raises(MalformedBytes, match="size"):
        from_json(data)


def test_a_report_is_plain_data(town: Town, receipts: dict[str, Receipt]) -> None:
    report = check(receipts["plain"], network=town.network)
    plain = msgspec.json.decode(msgspec.json.encode(report.to_dict()))
    assert plain["outcome"] == "valid"
    assert [step["name"] for step in plain["steps"]] == NAMES
    assert plain["trust"] == list(report.trust)
