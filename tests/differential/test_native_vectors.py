"""The C machine on this machine, with the address and behaviour sanitizers on, against every conformance vector."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import contract_replay as replay
from tests.support.bytecode_vectors.form import reference
from tests.support.contract_programs import churn, request, seen_by

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.flat import NeedsRoom, decode_answer
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.state import State

CONTEXT = Context.of(b"\xaa" * 16, b"\xbb" * 16)


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


def test_a_journal_with_little_room_drops_what_is_no_longer_needed(tmp_path: Path) -> None:
    """96 KiB are written full several times over."""
    replay.need("make", "cc")
    replay.make(tmp_path, "replay", "SANITIZE=1", f"HOST_AREA={96 * 1024}")
    asked = [churn(seed, 6_000) for seed in (1, 2)]
    replay.write_requests(tmp_path / "requests", map(replay.encoded, asked))
    answers = replay.run_program(str(tmp_path / "replay1"), str(tmp_path / "requests"))
    for one, answer in zip(asked, answers, strict=True):
        outcome = decode_answer(answer.data)
        assert outcome == reference(one)
        assert len(outcome.changes) > 200


@pytest.mark.parametrize("cut", [0, 1, 50, 107, 108, 200])
def test_a_cut_request_is_malformed(program: Path, tmp_path: Path, cut: int) -> None:
    whole = replay.requests()[0]
    replay.write_requests(tmp_path / "requests", [whole[:cut] if cut < len(whole) else whole[:-1], whole + b"\0"])
    answers = replay.run_program(str(program), str(tmp_path / "requests"))
    assert [int.from_bytes(answer.data[:4], "little") for answer in answers] == [9, 9]


SOUND_STATE = State.of({b"a": b"1", b"b": b"2"}).encode()
BAD_STATES = {
    "no map": b"\x82" + SOUND_STATE[1:],
    "out of order": b"\xa2\x41b\x411\x41a\x412",
    "key twice": b"\xa2\x41a\x411\x41a\x412",
    "too few": b"\xa1" + SOUND_STATE[1:],
    "too many": b"\xa3" + SOUND_STATE[1:],
    "far too many": b"\xba\xff\xff\xff\xff" + SOUND_STATE[1:],
    "text": SOUND_STATE.replace(b"\x41a", b"\x61a"),
    "long head": b"\xa2\x58\x01a\x411\x41b\x412",
    "cut value": SOUND_STATE[:-1],
    "cut head": b"\xa1\x59\x01",
    "reserved head": b"\xbf" + SOUND_STATE[1:],
    "empty": b"",
}


def test_a_state_that_is_not_in_its_one_form_does_not_start(program: Path, tmp_path: Path) -> None:
    plain = Request(assemble(".state 99\n.func main() -> 0\nRET"), None, Call("main"), None, CONTEXT)
    without = replay.encoded(plain)
    asked = [replay.encoded(plain._replace(state=State.decode(SOUND_STATE)))]
    for form in BAD_STATES.values():
        asked.append(without[:20] + len(form).to_bytes(4, "little") + without[24:] + form)
    replay.write_requests(tmp_path / "requests", asked)
    answers = replay.run_program(str(program), str(tmp_path / "requests"))
    verdicts = [int.from_bytes(answer.data[:4], "little") for answer in answers]
    assert dict(zip(["sound", *BAD_STATES], verdicts, strict=True)) == {"sound": 0} | dict.fromkeys(BAD_STATES, 7)


def test_a_run_without_room_is_no_outcome(tmp_path: Path) -> None:
    """For its cells, its memory, the entries it is given, and what it writes."""
    replay.need("make", "cc")
    replay.make(tmp_path, "replay", "SANITIZE=1", f"HOST_AREA={16 * 1024}")
    many = State.of({number.to_bytes(2, "big"): b"" for number in range(4000)})
    texts = [
        ".memory 65536\n.func main() -> 0\nRET",
        ".state 65536\n.func main() -> 0\nRET",
        ".memory 4096\n.func main() -> 0\nPUSH 0\nPUSH 4096\nLOG\nPUSH 0\nPUSH 4096\nLOG\nRET",
        ".memory 4096\n.func main() -> 0\nPUSH 0\nPUSH 4096\nEMIT\nPUSH 0\nPUSH 4096\nEMIT\nRET",
        ".memory 4096\n.state 65536\n.func main() -> 0\nPUSH 0\nPUSH 1\nPUSH 0\nPUSH 4096\nSTORE state\nRET",
    ]
    asked = [replay.encoded(Request(assemble(text), None, Call("main"), many, CONTEXT)) for text in texts[1:2]]
    asked += [
        replay.encoded(Request(assemble(text), None, Call("main"), State(), CONTEXT)) for text in texts[:1] + texts[2:]
    ]
    replay.write_requests(tmp_path / "requests", asked)
    for answer in replay.run_program(str(tmp_path / "replay1"), str(tmp_path / "requests")):
        with pytest.raises(NeedsRoom):
            decode_answer(answer.data)
