"""Contracts on a local network: deployed, called by anyone, their state in the hands of those who agreed on it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from tests.support.network import Network, running, until

from quorate import Draft, Job, Quorate
from quorate.api import problems
from quorate.crypto.digests import value_digest
from quorate.errors import (
    BadContract,
    StateConflict,
    StateUnresolved,
    TransferRefused,
    UnaffordableJob,
    UnknownContract,
    UnknownFunction,
    WrongArguments,
)
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.jobs.receipts import check
from quorate.model.call import CallOutcome

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
NAMING = compile_contract((ROOT / "contracts" / "naming" / "naming.py").read_text(), "naming.py").container
# Keeps what it is given, and pays `amount` of it to whoever asks.
PURSE = assemble(
    """
.memory 64
.cycles 10000
.state 64

.func keep() -> 1
    PUSH 0
    SELF
    PUSH 0
    BALANCE
    RET

.func pay(to: bytes, amount: int) -> 1
    LOAD local 0
    LOAD local 2
    TRANSFER
    RET
"""
)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with running(nodes=4) as made:
        yield made


@pytest.fixture(scope="module")
def client(network: Network) -> Quorate:
    return network.client()


@pytest.fixture
def naming(client: Quorate) -> str:
    return client.deploy(NAMING)


def draft(client: Quorate, contract: str, function: str, *arguments: int | bytes, deposit: int = 0) -> Draft:
    head = client.contract(contract)
    return Job.builder().call(head, function, *arguments, deposit_micro=deposit).replication(3).build()


def call(client: Quorate, contract: str, function: str, *arguments: int | bytes, deposit: int = 0) -> CallOutcome:
    return client.wait(client.submit(draft(client, contract, function, *arguments, deposit=deposit)), 30).call()


def test_what_one_call_writes_the_next_one_reads(client: Quorate, naming: str) -> None:
    written = call(client, naming, "register", b"maryam@tehran-mesh", b"node", 5)
    assert client.contract(naming).head.state == written.state  # type: ignore[union-attr]
    read = call(client, naming, "resolve", b"maryam@tehran-mesh")
    assert (read.emitted, read.results) == (b"node", written.results)
    assert list(client.contract_state(naming)) == [b"maryam@tehran-mesh"]


def test_the_sender_is_whoever_signed_the_job(client: Quorate, naming: str) -> None:
    call(client, naming, "register", b"mine", b"node", 5)
    assert call(client, naming, "owner", b"mine").emitted == client.parties.requester[:16]


def test_an_abort_is_an_agreed_outcome_and_leaves_nothing(network: Network, client: Quorate, naming: str) -> None:
    before = client.contract(naming).head
    job = client.submit(draft(client, naming, "resolve", b"nobody"))
    result = client.wait(job, 30)
    assert (result.status, result.call().code, result.ok) == ("aborted", 3, False)
    assert client.contract(naming).head == before
    report = check(client.receipt(job), network=value_digest(network.genesis))
    assert (report.outcome, "the call is failed" in report.steps[12].sentence) == ("valid", True)


def test_of_two_calls_at_once_one_takes_effect_and_of_the_other_nothing_remains(client: Quorate, naming: str) -> None:
    drafts = [draft(client, naming, "register", name, b"node", 5) for name in (b"first", b"second")]
    jobs = client.submit_many(drafts)
    ended: list[object] = []
    for job in jobs:
        try:
            ended.append(client.wait(job, 30).call().status)
        except StateConflict as conflict:
            ended.append(conflict)
    assert sum(outcome == "ok" for outcome in ended) == 1
    lost = next(place for place, outcome in enumerate(ended) if outcome != "ok")
    assert isinstance(ended[lost], StateConflict)
    assert client.contract(naming).head.version == 1  # type: ignore[union-attr]
    assert list(client.contract_state(naming)) == [(b"first", b"second")[1 - lost]]


def test_a_call_on_an_old_head_is_refused_before_anything_is_paid(client: Quorate, naming: str) -> None:
    stale = draft(client, naming, "register", b"late", b"node", 5)
    call(client, naming, "register", b"early", b"node", 5)
    job = client.submit(stale)
    with pytest.raises(StateConflict):
        client.wait(job, 30)
    assert client.wait_settled(job, 30).paid_micro == 0


def test_a_receipt_is_held_to_the_outcome(network: Network, client: Quorate, naming: str) -> None:
    pinned = value_digest(network.genesis)
    job = client.submit(draft(client, naming, "register", b"maryam", b"node", 5))
    client.wait(job, 30)
    receipt = client.receipt(job)
    report = check(receipt, network=pinned)
    assert report.outcome == "valid", report
    assert "the call is applied" in report.steps[12].sentence
    assert any("head" in line for line in receipt.trust)
    for outcome in (b"", receipt.outcome[:-1] + bytes([receipt.outcome[-1] ^ 1])):
        forged = check(msgspec.structs.replace(receipt, outcome=outcome), network=pinned)
        assert (forged.outcome, forged.step) == ("invalid", 12)


def test_money_goes_in_by_deposit_and_out_by_transfer(client: Quorate) -> None:
    purse = client.deploy(PURSE)
    assert call(client, purse, "keep", deposit=1_000).results == (1_000,)
    assert client.contract(purse).head.balance_micro == 1_000  # type: ignore[union-attr]
    paid = call(client, purse, "pay", client.parties.requester[:16], 400)
    assert [(transfer.to, transfer.amount_micro) for transfer in paid.transfers] == [
        (client.parties.requester[:16], 400)
    ]
    assert client.contract(purse).head.balance_micro == 600  # type: ignore[union-attr]
    assert call(client, purse, "pay", client.parties.requester[:16], 601).results == (0,)


def test_a_contract_pays_no_account_that_there_is_not(client: Quorate) -> None:
    purse = client.deploy(PURSE)
    call(client, purse, "keep", deposit=1_000)
    with pytest.raises(TransferRefused):
        call(client, purse, "pay", bytes(16), 400)
    assert client.contract(purse).head.balance_micro == 1_000  # type: ignore[union-attr]


def test_nobody_pays_in_what_he_has_not(client: Quorate) -> None:
    purse = client.deploy(PURSE)
    with pytest.raises(UnaffordableJob):
        call(client, purse, "keep", deposit=1 << 60)


def test_what_is_wrong_with_a_call_is_said_before_it_is_sent(client: Quorate, naming: str) -> None:
    with pytest.raises(UnknownContract):
        client.contract("ab" * 32)
    with pytest.raises(UnknownFunction):
        draft(client, naming, "no_such")
    with pytest.raises(WrongArguments):
        draft(client, naming, "resolve", 5)
    with pytest.raises(BadContract):
        client.deploy(b"not a contract")


class Shelf:
    """The small blobs of a process, in its store; the process is not running while they are changed."""

    def __init__(self, network: Network, name: str) -> None:
        self._path = network.home / name / "store.db"

    def has(self, digest: bytes) -> bool:
        return bool(self._run("SELECT 1 FROM rows WHERE kind = 'blob' AND key = ?", digest))

    def take(self, digest: bytes) -> bytes | None:
        rows = self._run("DELETE FROM rows WHERE kind = 'blob' AND key = ? RETURNING value", digest)
        return rows[0][0] if rows else None

    def give(self, digest: bytes, data: bytes) -> None:
        self._run("INSERT INTO rows VALUES ('blob', ?, ?)", digest, data)

    def _run(self, words: str, *values: bytes) -> list[tuple[bytes]]:
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as opened:
            return list(opened.execute(words, values))


def test_a_state_is_fetched_from_those_who_agreed_on_it(network: Network, client: Quorate, naming: str) -> None:
    """The node that made the call has lost its copy: the next call runs on what the members kept."""
    written = call(client, naming, "register", b"maryam", b"node", 5)
    shelf = Shelf(network, "node")
    until(lambda: shelf.has(written.state), 5)
    network.kill("node")
    assert shelf.take(written.state)
    network.respawn("node")
    network.await_standing()
    assert call(network.client(), naming, "resolve", b"maryam").emitted == b"node"
    fetched = network.home / "node" / "blobs" / written.state.hex()[:2] / written.state.hex()[2:]
    assert fetched.exists()


def test_a_state_that_nobody_has_is_unresolved_and_not_empty(network: Network, client: Quorate, naming: str) -> None:
    written = call(network.client(), naming, "register", b"hidden", b"node", 5)
    until(lambda: Shelf(network, "node").has(written.state), 5)
    holders = [*network.providers, "node"]
    kept = each(network, holders, lambda shelf: shelf.take(written.state))
    found = {name: data for name, data in kept.items() if data}
    assert len(found) == 4  # those who agreed, and the node
    later = network.client()
    with pytest.raises(StateUnresolved) as refused:
        later.contract(naming)
    assert (refused.value.field, problems.exit_code(refused.value)) == ("state", 71)
    name, data = found.popitem()
    each(network, [name], lambda shelf: shelf.give(written.state, data))
    assert call(network.client(), naming, "resolve", b"hidden").emitted == b"node"


def each(network: Network, names: Sequence[str], change: Callable[[Shelf], T]) -> dict[str, T]:
    """Changes what processes have, while they are down."""
    for name in names:
        network.kill(name)
    changed = {name: change(Shelf(network, name)) for name in names}
    for name in names:
        network.respawn(name)
    network.await_standing()
    return changed


def test_members_with_different_engines_agree_to_the_cycle(network: Network, client: Quorate) -> None:
    """Two translate contracts to WebAssembly, two run the C machine; all four vote."""
    for name in network.providers[:2]:
        path = network.home / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"contract_engine": "translation"}))
        network.kill(name)
        network.respawn(name)
    network.await_standing()
    client = network.client()
    naming = client.deploy(NAMING)
    head = client.contract(naming)
    job = client.submit(Job.builder().call(head, "register", b"maryam", b"node", 5).replication(4).build())
    result = client.wait(job, 60)
    assert result.call().status == "ok"
    assert "4 equal claim(s)" in check(client.receipt(job), network=value_digest(network.genesis)).line


def commands(network: Network) -> Callable[..., str]:
    """`quorate` in a process of its own; what it printed, once its exit code is `code`."""

    def quorate(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "quorate", *words], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "QUORATE_HOME": str(network.home)},
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout if code == 0 or done.stdout else done.stderr

    return quorate


def built(quorate: Callable[..., str], folder: Path, *form: str) -> str:
    path = folder / "naming"
    quorate("contract", "build", str(ROOT / "contracts" / "naming" / "naming.py"), *form, "--out", str(path))
    return str(path)


@pytest.mark.parametrize("form", [(), ("--wasm",)], ids=["bytecode", "wasm"])
def test_the_command_line_deploys_calls_and_shows(network: Network, tmp_path: Path, form: tuple[str, ...]) -> None:
    quorate = commands(network)
    contract = quorate("contract", "deploy", built(quorate, tmp_path, *form)).split()[-1]
    said = quorate(
        "contract", "call", contract, "register", "--replication", "3",
        "--arg", "name=maryam", "--arg", "target=0x0102", "--arg", "epochs=3",
    )  # fmt: skip
    assert "changed   maryam = 0x" in said
    found = json.loads(quorate("contract", "call", contract, "resolve", "--arg", "name=maryam", "--json"))
    assert (found["status"], found["emitted"]) == ("ok", "0102")
    refused = quorate("contract", "call", contract, "resolve", "--arg", "name=x", code=51)
    assert "aborted, code 3: nothing was changed" in refused
    shown = json.loads(quorate("contract", "state", contract, "--json"))
    assert (shown["version"], list(shown["state"])) == (1, [b"maryam".hex()])
    assert "maryam" in quorate("contract", "state", contract)
    assert "register" in quorate("contract", "call", contract, "rgister", code=46)


def test_the_command_line_prices_a_call_at_each_provider(network: Network, tmp_path: Path) -> None:
    quorate = commands(network)
    words = ("register", "--arg", "name=other", "--arg", "target=node", "--arg", "epochs=3", "--providers", "--json")
    priced = json.loads(quorate("contract", "cost", built(quorate, tmp_path), *words))
    assert [len(line["micro"]) for line in priced["prices"]] == [1] * 4
    assert {line["provider"] for line in priced["prices"]} == {
        key.hex()[:12] for name, key in network.ids.items() if name in network.providers
    }
