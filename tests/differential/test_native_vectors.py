"""The C machine on this machine, with the address and behaviour sanitizers on, against every conformance vector."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import contract_replay as replay
from tests.support.bytecode_vectors.form import reference
from tests.support.contract_programs import request, seen_by

from quorate.execute.bytecode.flat import decode_answer


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    replay.need("make", "cc")
    build = tmp_path_factory.mktemp("native")
    replay.make(build, "replay", "SANITIZE=1")
    return build / "replay1"


def test_every_vector_is_answered_as_expected(program: Path, tmp_path: Path) -> None:
    requests = replay.requests()
    assert len(requests) > 1000
    replay.write_requests(tmp_path / "requests", requests)
    assert replay.differences(replay.run_program(str(program), str(tmp_path / "requests"))) == []


def test_a_wrong_answer_is_noticed(program: Path, tmp_path: Path) -> None:
    requests = replay.requests()
    requests[0], requests[-1] = requests[-1], requests[0]
    replay.write_requests(tmp_path / "requests", requests)
    assert len(replay.differences(replay.run_program(str(program), str(tmp_path / "requests")))) >= 1


def test_random_contracts_meet_no_sanitizer(program: Path, tmp_path: Path) -> None:
    """Other numbers than those of test_random_contracts.py, which holds the answers against the reference too."""
    asked = [request(number) for number in range(10_000_000, 10_000_300)]
    replay.write_requests(tmp_path / "requests", map(replay.encoded, asked))
    answers = replay.run_program(str(program), str(tmp_path / "requests"))
    for one, answer in zip(asked, answers, strict=True):
        expected = seen_by(reference, one)
        assert seen_by(lambda _, data=answer.data: decode_answer(data), one) == expected


@pytest.mark.parametrize("cut", [0, 1, 50, 107, 108, 200])
def test_a_cut_request_is_malformed(program: Path, tmp_path: Path, cut: int) -> None:
    whole = replay.requests()[0]
    replay.write_requests(tmp_path / "requests", [whole[:cut] if cut < len(whole) else whole[:-1], whole + b"\0"])
    answers = replay.run_program(str(program), str(tmp_path / "requests"))
    assert [int.from_bytes(answer.data[:4], "little") for answer in answers] == [9, 9]
