"""Commitments and the group under them: RFC 9496 vectors, sums that open, and openings that are refused."""

from __future__ import annotations

import pytest
import rbcl
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.crypto import ristretto
from quorate.crypto.commitments import (
    H,
    InputCommitment,
    Opening,
    add_blindings,
    add_commitments,
    check,
    check_input,
    check_integer,
    commit,
    commit_input,
    input_opening,
    integer_opening,
)
from quorate.crypto.digests import xof
from quorate.crypto.ristretto import IDENTITY, ORDER, scalar
from quorate.errors import BadCommitment, InvalidField
from quorate.model.units import AMOUNT_MAX

SALT = xof("test salt", 32)
ZERO = scalar(0)
amounts = st.integers(0, AMOUNT_MAX)
scalars = st.integers(0, ORDER - 1).map(scalar)


def test_multiples_of_the_generator_are_those_of_rfc_9496(vector):
    multiples = [bytes.fromhex(text) for text in vector("ristretto255_rfc9496")["multiples"]]
    total = IDENTITY
    for number, encoding in enumerate(multiples):
        assert ristretto.base_times(scalar(number)) == encoding == total
        total = ristretto.add(total, multiples[1])


def test_the_one_way_map_is_that_of_rfc_9496(vector):
    for case in vector("ristretto255_rfc9496")["one_way_map"]:
        assert rbcl.crypto_core_ristretto255_from_hash(bytes.fromhex(case["uniform"])).hex() == case["element"]


def test_encodings_that_rfc_9496_refuses_are_refused(vector):
    for encodings in vector("ristretto255_rfc9496")["refused"].values():
        for text in encodings:
            with pytest.raises(BadCommitment):
                ristretto.check_point(bytes.fromhex(text), "point")


@pytest.mark.parametrize("point", [b"", IDENTITY, bytes(31), bytes(33), H + b"\0"])
def test_what_is_no_point_or_the_identity_is_refused(point):
    with pytest.raises(BadCommitment):
        ristretto.check_point(point, "point")


@pytest.mark.parametrize("number", [ORDER, ORDER + 1, 2**255, 2**256 - 1])
def test_a_scalar_that_is_not_reduced_is_refused(number):
    with pytest.raises(BadCommitment):
        ristretto.check_scalar(number.to_bytes(32, "little"), "scalar")


def test_the_binding_answers_an_invalid_point_without_an_error():
    """Why every point from outside is checked first: if this changes, the checks may be simplified."""
    assert ristretto.times(scalar(1), b"\xff" * 32) == IDENTITY


def test_h_comes_from_the_one_way_map():
    assert rbcl.crypto_core_ristretto255_from_hash(xof("pedersen H", 64)) == H
    assert H not in {ristretto.base_times(scalar(number)) for number in range(1, 1000)}


def test_an_input_opens_its_commitments_and_no_other_does():
    commitment = commit_input(SALT, b"input")
    check_input(commitment, SALT, b"input")
    for salt, plaintext in ((SALT, b"inpux"), (SALT, b""), (bytes(32), b"input")):
        with pytest.raises(BadCommitment):
            check_input(commitment, salt, plaintext)


def test_each_of_the_two_input_commitments_is_checked():
    good, other = commit_input(SALT, b"input"), commit_input(SALT, b"other")
    for mixed, field in (
        (InputCommitment(other.pedersen, good.salted), "pedersen"),
        (InputCommitment(good.pedersen, other.salted), "salted"),
    ):
        with pytest.raises(BadCommitment) as caught:
            check_input(mixed, SALT, b"input")
        assert caught.value.field == field


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_the_whole_input_is_bound(left: bytes, right: bytes):
    """Also where the inputs share their first bytes: the value is an output of all of them."""
    assert (commit_input(SALT, b"12345678" + left) == commit_input(SALT, b"12345678" + right)) == (left == right)


def test_the_blinding_depends_on_the_salt_alone_and_is_not_the_value():
    one, two = input_opening(SALT, b"one"), input_opening(SALT, b"two")
    assert one.blinding == two.blinding
    assert one.value != two.value
    assert len({one.value, two.value, one.blinding, input_opening(bytes(32), b"one").blinding}) == 4


def test_without_the_salt_a_small_input_is_not_guessed():
    commitment = commit_input(SALT, b"yes")
    guesses = [commit_input(salt, text) for salt in (b"", bytes(32)) for text in (b"yes", b"no")]
    assert commitment.pedersen not in {guess.pedersen for guess in guesses}
    assert commitment.salted not in {guess.salted for guess in guesses}


@settings(max_examples=30)
@given(st.lists(st.tuples(amounts, scalars), min_size=1, max_size=5))
def test_commitments_add_up(items: list[tuple[int, bytes]]):
    points = [commit(Opening(scalar(number), blinding)) for number, blinding in items]
    if any(point == IDENTITY for point in points):
        return
    total, blinding = sum(number for number, _ in items), add_blindings([blinding for _, blinding in items])
    whole = add_commitments(points)
    assert commit(Opening(scalar(total), blinding)) == whole
    if whole == IDENTITY or total > AMOUNT_MAX:
        with pytest.raises(BadCommitment):
            check_integer(whole, total, blinding)
    else:
        check_integer(whole, total, blinding)
        with pytest.raises(BadCommitment):
            check_integer(whole, (total + 1) % AMOUNT_MAX, blinding)


def test_a_sum_out_of_range_does_not_open_to_its_remainder():
    one, two = (integer_opening(AMOUNT_MAX, SALT, label) for label in ("one", "two"))
    whole, blinding = add_commitments([commit(one), commit(two)]), add_blindings([one.blinding, two.blinding])
    with pytest.raises(BadCommitment, match="out of range"):
        check_integer(whole, 2 * AMOUNT_MAX, blinding)
    for remainder in (2 * AMOUNT_MAX - 2**63, 2 * AMOUNT_MAX - 2**64 + 2**63, AMOUNT_MAX):
        if 0 <= remainder <= AMOUNT_MAX:
            with pytest.raises(BadCommitment, match="another commitment"):
                check_integer(whole, remainder, blinding)
    assert commit(Opening(scalar(2 * AMOUNT_MAX), blinding)) == whole


@pytest.mark.parametrize("number", [0, 1, AMOUNT_MAX])
def test_integers_at_the_edges_of_the_range_open(number):
    opening = integer_opening(number, SALT, "edge")
    check_integer(commit(opening), number, opening.blinding)


@pytest.mark.parametrize("number", [-1, AMOUNT_MAX + 1, ORDER])
def test_integers_out_of_range_are_refused(number):
    with pytest.raises(InvalidField):
        integer_opening(number, SALT, "edge")
    with pytest.raises(BadCommitment, match="out of range"):
        check_integer(H, number, scalar(1))


def test_a_negative_integer_hidden_as_a_large_scalar_does_not_open():
    hidden = commit(Opening(scalar(-5), scalar(7)))
    with pytest.raises(BadCommitment):
        check_integer(hidden, 5, scalar(7))


def test_two_fields_under_one_salt_have_their_own_blindings():
    assert integer_opening(5, SALT, "fee").blinding != integer_opening(5, SALT, "count").blinding


def test_zero_value_and_zero_blinding_are_computed():
    assert commit(Opening(ZERO, scalar(1))) == H
    assert commit(Opening(scalar(1), ZERO)) == ristretto.base_times(scalar(1))
    assert commit(Opening(ZERO, ZERO)) == IDENTITY
    check(H, Opening(ZERO, scalar(1)))


def test_a_commitment_that_hides_nothing_is_refused():
    with pytest.raises(BadCommitment):
        check(IDENTITY, Opening(ZERO, ZERO))
    with pytest.raises(BadCommitment):
        add_commitments([H, IDENTITY])


def test_an_opening_with_unreduced_scalars_is_refused():
    point = commit(Opening(scalar(5), scalar(7)))
    with pytest.raises(BadCommitment, match="reduced"):
        check(point, Opening((5 + ORDER).to_bytes(32, "little"), scalar(7)))
    with pytest.raises(BadCommitment, match="reduced"):
        check(point, Opening(scalar(5), (7 + ORDER).to_bytes(32, "little")))


def test_an_opening_shows_no_secret():
    opening = input_opening(SALT, b"input")
    shown = repr(opening)
    assert opening.value.hex() not in shown
    assert repr(opening.blinding)[2:20] not in shown
