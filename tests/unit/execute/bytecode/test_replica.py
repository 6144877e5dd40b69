"""A replica does with money, state and refusals what a ledger does with a contract's calls."""

from __future__ import annotations

import pytest

from quorate.errors import UnaffordableJob, UnknownFunction
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.engines import ENGINES
from quorate.execute.bytecode.replica import NOBODY, Refused, Replica, account

SOURCE = """
from mhr import abort, balance, buffer, emit, epoch, export, log, nat, self_id, sender, stored, transfer
total: int = stored(b"total", 0)
ME = buffer(16)
CALLER = buffer(16)
@export
def pay(to: bytes, amount: nat) -> bool:
    global total
    total += amount
    return transfer(to, amount)
@export
def look(who: bytes) -> int:
    return balance(who)
@export
def told() -> tuple[int, int]:
    self_id(ME)
    sender(CALLER)
    emit(CALLER)
    log(ME)
    return epoch(), balance(ME)
@export
def pay_and_fail(to: bytes) -> None:
    pay(to, 1)
    abort(3)
"""
ANN, BEN = account("ann"), account("ben")


@pytest.fixture(params=ENGINES)
def replica(request: pytest.FixtureRequest) -> Replica:
    replica = Replica(compile_contract(SOURCE, "payer.py"), ENGINES[request.param]())
    replica.fund(ANN, 100)
    return replica


def test_a_deposit_is_there_when_the_call_begins_and_payments_go_out(replica: Replica) -> None:
    replica.epoch = 9
    answer = replica.call("told", sender=ANN, deposit=40)
    assert (answer.results, answer.emitted, answer.logs) == ((9, 40), ANN, (replica.self_id,))
    answer = replica.call("pay", BEN, 30, sender=ANN, deposit=5)
    assert (answer.value, [(one.to, one.amount) for one in answer.transfers]) == (1, [(BEN, 30)])
    assert replica.balances == {replica.self_id: 15, ANN: 55, BEN: 30}
    assert replica.call("look", BEN).value == 30


def test_a_refused_call_changes_nothing_and_gives_the_deposit_back(replica: Replica) -> None:
    replica.call("told", sender=ANN, deposit=40)
    before = (replica.state, dict(replica.balances))
    refused = replica.refuses(3, "pay_and_fail", BEN, sender=ANN, deposit=10)
    assert (refused.trap, refused.code, refused.line) == ("ABORTED", 3, "payer.py:24")
    assert (replica.state, replica.balances) == before
    assert [one.trap for one in replica.costs] == ["NONE", "ABORTED"]
    assert all(one.cycles > 0 for one in replica.costs)


def test_what_nobody_funded_is_not_known(replica: Replica) -> None:
    with pytest.raises(Refused) as caught:
        replica.call("look", BEN)
    assert caught.value.trap == "UNRESOLVED"
    assert "fund()" in caught.value.fix


def test_a_call_that_cannot_be_made_leaves_no_receipt(replica: Replica) -> None:
    for sender, deposit in ((ANN, 101), (NOBODY, 1), (ANN, -1)):
        with pytest.raises(UnaffordableJob):
            replica.call("told", sender=sender, deposit=deposit)
    with pytest.raises(UnknownFunction):
        replica.call("nothing")
    assert replica.costs == []


def test_a_refusal_that_does_not_come_or_is_another_is_an_assertion(replica: Replica) -> None:
    with pytest.raises(AssertionError, match="returned"):
        replica.refuses(3, "pay", BEN, 0)
    with pytest.raises(AssertionError, match="code 3"):
        replica.refuses(4, "pay_and_fail", BEN)


def test_forks_go_their_own_ways(replica: Replica) -> None:
    other = replica.fork()
    other.fund(other.self_id, 7)
    other.call("pay", BEN, 7)
    assert other.balances[BEN] == 7
    assert BEN not in replica.balances
    assert replica.state.entries == ()
    assert len(replica.costs) == 1, "what forks cost is counted together"
