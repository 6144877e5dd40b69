"""One table maps errors to statuses and exit codes, completely and without doubles; a problem becomes the same error
again."""

from __future__ import annotations

import msgspec
import pytest

from quorate import errors
from quorate.api import problems
from quorate.errors import MissingExtra, PeerError, QuorateError, TooLarge


def every(kind: type[QuorateError]) -> set[type[QuorateError]]:
    return {kind}.union(*(every(child) for child in kind.__subclasses__() if child.__module__ == "quorate.errors"))


def test_every_class_has_a_row_and_an_exit_code_of_its_own() -> None:
    assert set(problems.TABLE) == every(QuorateError)
    codes = [row.exit_code for row in problems.TABLE.values()]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {0, 1, 2, 10, 11, 12, 126, 127, 128, 130}


@pytest.mark.parametrize("kind", sorted(every(QuorateError), key=lambda kind: kind.__name__))
def test_codes_lie_in_the_band_of_whoever_is_at_fault(kind: type[QuorateError]) -> None:
    bands = {
        errors.UserError: range(20, 50),
        errors.JobError: range(50, 60),
        errors.WorldError: (*range(60, 69), *range(71, 80)),
    }
    bands |= {errors.PeerError: range(80, 90), MissingExtra: range(69, 70)}
    band = next((band for parent, band in bands.items() if issubclass(kind, parent)), range(70, 71))
    assert problems.TABLE[kind].exit_code in band
    assert 400 <= problems.TABLE[kind].status < 600


@pytest.mark.parametrize("kind", sorted(every(QuorateError) - {MissingExtra}, key=lambda kind: kind.__name__))
def test_an_error_survives_the_door(kind: type[QuorateError]) -> None:
    error = kind("said so", field="fuel", limit="10", fix="ask for less")
    body = msgspec.json.encode(problems.problem_of(error))
    again = problems.error_of(body, problems.row_of(error).status)
    assert type(again) is kind
    assert str(again) == str(error)
    assert isinstance(again, PeerError) is issubclass(kind, PeerError)


def test_a_missing_extra_survives_too() -> None:
    again = problems.error_of(msgspec.json.encode(problems.problem_of(MissingExtra("onnx", "ml"))), 501)
    assert isinstance(again, MissingExtra)
    assert (again.extra, again.fix) == ("ml", "pip install 'quorate[ml]'")


def test_a_class_that_is_not_in_the_table_is_its_nearest_parent() -> None:
    class Larger(TooLarge):
        pass

    assert problems.problem_of(Larger("x")).title == "TooLarge"
    assert problems.exit_code(Larger("x")) == 26


def test_an_unexpected_exception_shows_nothing_of_itself() -> None:
    problem = problems.problem_of(ValueError("the key is 00ff"))
    assert problem.status == 500
    assert "00ff" not in msgspec.json.encode(problem).decode()
    assert problems.exit_code(ValueError()) == 70


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"title": 7}', b"\xff"])
def test_an_answer_that_is_no_problem_is_an_internal_error(body: bytes) -> None:
    error = problems.error_of(body, 502)
    assert type(error) is QuorateError
    assert "502" in str(error)


def test_an_unknown_name_is_no_known_class() -> None:
    assert type(problems.error_named("Nonsense", "x")) is QuorateError
    assert type(problems.error_named("__class__", "x")) is QuorateError


def test_the_listing_has_all_rows_in_order() -> None:
    listed = [row["exit_code"] for row in problems.listing()]
    assert listed == sorted(listed)
    assert len(listed) == len(problems.TABLE)
