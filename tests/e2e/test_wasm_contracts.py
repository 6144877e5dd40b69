"""Contracts in WebAssembly on a local network: the same calls lead to the same state as those of bytecode, a device
that is too small is never drawn for one, and a module that is not what a contract has to be is refused by name."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.support import wasm_contracts
from tests.support.deployed import Deployed, id_of
from tests.support.network import Network, until
from tests.support.shipped import compiled, source_of

from quorate import Job, Quorate
from quorate.api.builder import Builder
from quorate.crypto.digests import blob_digest, body_digest, value_digest
from quorate.errors import BadContract, ForbiddenImport, MalformedModule
from quorate.execute.bytecode.state import EMPTY_STATE
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.from_bytecode.source import build
from quorate.execute.contract_wasm.section import with_section
from quorate.execute.declared import contract_of
from quorate.execute.wasm.wasmtime_engine import wat_to_wasm
from quorate.jobs.receipts import check
from quorate.model.codec import encode
from quorate.model.contract import Deployment
from quorate.model.submission import DeployOrder
from quorate.model.transaction import ContractHead

USERS = 2
EPOCH_MS = 31_536_000_000
"""A year: no epoch ends between two calls that are to lead to one state."""
NAME, OTHER_NAME = b"maryam@tehran-mesh", b"well"
TAKEN, UNKNOWN, NOT_OWNER = 2, 3, 6
BYTECODE = compiled("naming").container
WASM = build(source_of("naming").read_text(encoding="utf-8"), "naming.py")
ELEVENTH = '(import "mehr" "mehr_clock" (func (result i64)))'
RUN = '(func (export "run"))'


@pytest.fixture(scope="module")
def parties(network: Network) -> tuple[Quorate, ...]:
    return network.client(), network.client("client-2")


def test_one_source_in_both_forms_has_one_state_after_every_call(
    network: Network, parties: tuple[Quorate, ...]
) -> None:
    bytecode, wasm = (Deployed(parties[0].deploy(program), parties) for program in (BYTECODE, WASM))
    assert [one.head.deployment.contract.kind for one in (bytecode, wasm)] == ["bytecode", "wasm"]
    maryam, other = map(id_of, parties)
    steps = [
        (0, maryam, "register", NAME, b"her node", 50),
        (TAKEN, other, "register", NAME, b"his node", 50),
        (0, other, "resolve", NAME),
        (0, other, "register", OTHER_NAME, b"his node", 50),
        (NOT_OWNER, maryam, "release", OTHER_NAME),
        (0, maryam, "release", NAME),
        (UNKNOWN, other, "owner", NAME),
    ]
    states = [wasm.head.state]
    for code, who, function, *arguments in steps:
        if code:
            bytecode.refuses(code, function, *arguments, sender=who)
            wasm.refuses(code, function, *arguments, sender=who)
        else:
            answers = [one.call(function, *arguments, sender=who) for one in (bytecode, wasm)]
            assert answers[0]._replace(cycles=0) == answers[1]._replace(cycles=0)
        assert bytecode.head.state == wasm.head.state
        states.append(wasm.head.state)
    assert len(set(states)) == 4, "of three changes, and the first"
    assert list(parties[1].contract_state(wasm.contract)) == [OTHER_NAME]
    for place in (0, 1, 5):
        who, job = wasm.jobs[place]
        report = check(wasm.parties[who].receipt(job), network=value_digest(network.genesis))
        assert (report.outcome, "3 equal claim(s)" in report.line) == ("valid", True)


def module(text: str) -> bytes:
    """A module without a declaration."""
    return wat_to_wasm(f"(module {wasm_contracts.imports()} {text} {wasm_contracts.PLACES} {RUN})")


def declared(code: bytes) -> bytes:
    """Its declaration put on by somebody who checks nothing."""
    return with_section(code, abi.SECTION, encode(wasm_contracts.declaration()))


def test_an_eleventh_import_is_refused_by_its_name(parties: tuple[Quorate, ...]) -> None:
    assert parties[0].deploy(declared(module("")))
    with pytest.raises(ForbiddenImport) as refused:
        parties[0].deploy(declared(module(ELEVENTH)))
    assert "mehr.mehr_clock" in str(refused.value)


def test_a_module_that_does_not_validate_is_refused_before_it_is_sent(parties: tuple[Quorate, ...]) -> None:
    sound = module("(func (result i32) i32.const 77)")
    unsound = sound.replace(b"\x41\xcd\x00", b"\x42\xcd\x00")
    assert unsound != sound
    with pytest.raises(MalformedModule) as refused:
        parties[0].deploy(declared(unsound))
    assert refused.value.field == "program"


def test_a_module_that_declares_nothing_is_no_contract(parties: tuple[Quorate, ...]) -> None:
    with pytest.raises(BadContract) as refused:
        parties[0].deploy(module(""))
    assert "quorate.contract" in str(refused.value)


async def deploy_unchecked(client: Quorate, program: bytes) -> str:
    """Puts a program on the ledger under the declaration of an honest one, as a client of somebody else's would."""
    inner = client._client
    honest = contract_of(declared(module("")))
    lie = msgspec.structs.replace(honest, program=blob_digest(program), size_bytes=len(program))
    body = encode(
        Deployment(
            network=inner.parties.network,
            deployer=inner.parties.requester,
            contract=lie,
            nonce=secrets.token_bytes(32),
        )
    )
    key = body_digest("deployment", body)
    (signed,), stamp = inner._notary.sign("deployment", [(key, body)])
    bundles = (inner._notary.identity.bundle,)
    order = DeployOrder(deployment=signed, stamps=(stamp,), bundles=bundles, program=program, state=EMPTY_STATE)
    await inner._courier.ask("/v1/contracts", ContractHead, order)
    return key.hex()


def test_what_a_client_did_not_refuse_no_executor_runs(parties: tuple[Quorate, ...]) -> None:
    client = parties[0]
    programs = {declared(module(ELEVENTH)): "ForbiddenImport module", module(""): "BadContract program"}
    contracts = [client._run(deploy_unchecked(client, program)) for program in programs]
    drafts = [Job.builder().call(client.contract(one), "run").replication(3).build() for one in contracts]
    jobs = client.submit_many(drafts)
    for job, refusal in zip(jobs, programs.values(), strict=True):
        assert until(lambda job=job: refusals(client, job), 30) == {f"refused: {refusal}"}  # type: ignore[misc]
    for contract, view in zip(contracts, client.wait_all(jobs), strict=True):
        assert view.error == "JobRejected"
        head = client.contract(contract).head
        assert head is not None
        assert (head.version, head.state) == (0, head.deployment.contract.state)


def refusals(client: Quorate, job: str) -> set[str]:
    """What all four providers have said, once all have."""
    members = client.explain(job)["members"]
    said = {member["said"] for member in members}
    return said if len(members) == 4 and not any(member["holds"] for member in members) else set()


def test_a_minimal_device_runs_bytecode_and_is_never_drawn_for_wasm(
    network: Network, parties: tuple[Quorate, ...]
) -> None:
    client, small = parties[0], network.providers[0]
    bytecode, wasm = (Deployed(client.deploy(program), parties) for program in (BYTECODE, WASM))
    make_minimal(network, small)
    until(lambda: client.quote(calling(client, wasm).build())["removed"], 30, 0.1)
    for number in range(5):
        wasm.call("register", b"name-%d" % number, b"node", 5)
        _, job = wasm.jobs[-1]
        assert small not in network.drawn(client.status(job))
        (row,) = client.explain(job)["removed"]
        assert network.name_of(row["node"]) == small
        assert (row["rule"], row["why"]) == ("capability", "is of class Minimal, tier light needs Community or above")
    job = client.submit(calling(client, bytecode).replication(4).build())
    assert client.wait(job, 60).call().status == "ok"
    assert small in network.drawn(client.status(job))
    assert "4 equal claim(s)" in check(client.receipt(job), network=value_digest(network.genesis)).line
    assert client.quote(calling(client, wasm).replication(4).build())["error"] == "CohortTooLarge"


def make_minimal(network: Network, name: str) -> None:
    path = network.home / name / "config.json"
    config = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(config | {"device_class": "Minimal"}))
    network.kill(name)
    network.respawn(name)
    network.await_standing()


def calling(client: Quorate, contract: Deployed) -> Builder:
    return Job.builder().call(client.contract(contract.contract), "register", b"all", b"node", 5)
