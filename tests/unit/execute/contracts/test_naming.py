"""The shipped contract for names: first come, first served, until the term is over."""

from __future__ import annotations

import pytest
from tests.support.contracts import Contracted
from tests.support.repository import ROOT

from quorate.execute.bytecode.host import Argument, Context
from quorate.execute.bytecode.opcodes import CELL_MAX, Trap

MARYAM, OTHER = b"maryam".ljust(16), b"other".ljust(16)
NAME = b"maryam@tehran-mesh"


def naming() -> Contracted:
    return Contracted((ROOT / "contracts" / "naming.py").read_text(), "naming.py")


def by(caller: bytes, epoch: int) -> Context:
    return Context(b"naming".ljust(16), caller, epoch)


def refused(contract: Contracted, context: Context, function: str, *arguments: Argument) -> int:
    """The code of a call that is refused and changes nothing."""
    outcome = contract.call(function, *arguments, context=context)
    assert outcome.trap is Trap.ABORTED
    assert (outcome.changes, outcome.emitted) == ((), b"")
    return outcome.code


def test_a_name_is_registered_and_resolved() -> None:
    contract = naming()
    assert contract.ok("register", NAME, b"here", 10, context=by(MARYAM, 5)).results == (15,)
    resolved = contract.ok("resolve", NAME, context=by(OTHER, 14))
    assert (resolved.emitted, resolved.results) == (b"here", (15,))
    assert contract.ok("owner", NAME, context=by(OTHER, 14)).emitted == MARYAM


def test_a_taken_name_is_refused_until_its_term_is_over() -> None:
    contract = naming()
    contract.ok("register", NAME, b"here", 10, context=by(MARYAM, 5))
    assert refused(contract, by(OTHER, 14), "register", NAME, b"there", 1) == 2
    assert refused(contract, by(OTHER, 15), "resolve", NAME) == 3
    contract.ok("register", NAME, b"there", 1, context=by(OTHER, 15))
    assert contract.ok("resolve", NAME, context=by(MARYAM, 15)).emitted == b"there"
    assert refused(contract, by(MARYAM, 15), "register", NAME, b"here", 1) == 2


def test_an_owner_renews_moves_and_gives_back() -> None:
    contract = naming()
    contract.ok("register", NAME, b"a longer target", 10, context=by(MARYAM, 5))
    assert contract.ok("register", NAME, b"short", 10, context=by(MARYAM, 9)).results == (19,)
    assert contract.ok("resolve", NAME, context=by(OTHER, 18)).emitted == b"short"
    assert refused(contract, by(OTHER, 10), "release", NAME) == 6
    contract.ok("release", NAME, context=by(MARYAM, 10))
    assert contract.state.entries == ()
    assert refused(contract, by(MARYAM, 10), "owner", NAME) == 3


@pytest.mark.parametrize(
    "name", [b"", b"a" * 65, b"Maryam", b"a b", b"@mesh", b"maryam@", b"a@b@c", "maryám".encode(), b"a\0"]
)
def test_what_is_not_a_name_is_refused(name: bytes) -> None:
    assert refused(naming(), by(MARYAM, 0), "register", name, b"here", 1) == 1


@pytest.mark.parametrize(
    ("target", "epochs", "code"),
    [(b"", 1, 4), (b"x" * 129, 1, 4), (b"x", 0, 5), (b"x", 10_001, 5), (b"x", CELL_MAX, 5), (b"x", -1, -3)],
)
def test_targets_and_terms_have_bounds(target: bytes, epochs: int, code: int) -> None:
    assert refused(naming(), by(MARYAM, 0), "register", NAME, target, epochs) == code


def test_the_longest_of_everything_fits() -> None:
    contract = naming()
    contract.ok("register", b"n" * 64, b"t" * 128, 10_000, context=by(MARYAM, 1))
    assert contract.ok("resolve", b"n" * 64, context=by(OTHER, 10_000)).emitted == b"t" * 128


def test_an_epoch_at_the_end_of_numbers_traps() -> None:
    outcome = naming().call("register", NAME, b"x", 1, context=by(MARYAM, CELL_MAX))
    assert outcome.trap is Trap.OVERFLOW
