"""Arrays at the doors: what the builder and the command line take and refuse, what they give back for each element."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.desks import ECHO, BoxedDesk, open_door
from tests.support.terminal import Done, beside, cli_for

from quorate.api.builder import Draft, Job, ResourceLimits
from quorate.api.cli_options import JobOptions, draft_of
from quorate.api.client import Client
from quorate.api.elements import Element, lines_of, packed
from quorate.api.results import Keys, Result, read_array
from quorate.api.sealing import quoted_core
from quorate.crypto.sealing import public_result_tag
from quorate.errors import ContradictoryOptions, InvalidField, JobFailed, MalformedBytes, TooLarge, UserError
from quorate.model.codec import decode, encode
from quorate.model.job import ARRAY_OUTPUT_BYTES_MAX, ELEMENTS_MAX, INPUT_BYTES_MAX
from quorate.model.output import ArrayInput, ArrayOutcome, ElementOutcome
from quorate.model.submission import Delivered, ResultView
from quorate.model.units import KIB, MIB

ANSWER = '(module (func (export "run") (result i32) i32.const 42))'


def array(*inputs: bytes) -> Draft:
    return Job.builder().wasm(ECHO).array(inputs).proof("trust").build()


def private(*inputs: bytes) -> Draft:
    return Job.builder().wasm(ECHO).private_array(inputs).with_ownership_proof().replication(3).build()


# The builder


def test_inputs_are_packed_in_order() -> None:
    draft = array(b"one", b"", bytearray(b"three"))
    assert (draft.elements, draft.private) == (3, False)
    assert decode(draft.input, ArrayInput).items == (b"one", b"", b"three")
    assert array(b"one", b"").fingerprint != array(b"", b"one").fingerprint


def test_a_private_array_has_every_protection_or_there_is_none() -> None:
    assert private(b"a", b"b").private
    with pytest.raises(InvalidField, match="ownership_proof"):
        Job.builder().wasm(ECHO).private_array([b"a", b"b"]).build()


def test_an_array_of_one_is_an_ordinary_job() -> None:
    assert (array(b"one").input, array(b"one").elements) == (b"one", 1)
    assert array(b"one").fingerprint == Job.builder().wasm(ECHO).public_input(b"one").proof("trust").build().fingerprint


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ([], InvalidField),
        ([b""] * (ELEMENTS_MAX + 1), InvalidField),
        ((b"" for _ in iter(int, 1)), InvalidField),
        (b"bytes", InvalidField),
        ("text", InvalidField),
        ([b"a", "b"], InvalidField),
        ([bytes(INPUT_BYTES_MAX // 2)] * 2, TooLarge),
        ([bytes(INPUT_BYTES_MAX + 1)], TooLarge),
    ],
    ids=["none", "too many", "endless", "bytes", "text", "mixed", "too large", "one too large"],
)
def test_what_is_no_array_is_refused_by_name(inputs: Any, fault: type[UserError]) -> None:
    with pytest.raises(fault) as caught:
        packed(False, inputs)
    assert (type(caught.value), caught.value.field) == (fault, "array")
    assert caught.value.limit
    assert caught.value.fix


def test_as_many_as_there_may_be() -> None:
    assert array(*[b""] * ELEMENTS_MAX).elements == ELEMENTS_MAX


def test_one_input_or_one_array() -> None:
    with pytest.raises(ContradictoryOptions, match="given twice"):
        Job.builder().wasm(ECHO).public_input(b"a").array([b"a", b"b"])
    with pytest.raises(ContradictoryOptions, match="given twice"):
        Job.builder().wasm(ECHO).array([b"a", b"b"]).private_input(b"a")


def test_a_program_without_input_takes_empty_elements_only() -> None:
    assert Job.builder().wasm(ANSWER).array([b"", b""]).build().elements == 2
    with pytest.raises(InvalidField, match="takes no input"):
        Job.builder().wasm(ANSWER).array([b"", b"x"]).build()


def test_the_default_of_the_output_is_an_equal_share_and_a_given_one_stays() -> None:
    assert array(b"a", b"b").limits.output_bytes == MIB
    assert array(*[b""] * ELEMENTS_MAX).limits.output_bytes == ARRAY_OUTPUT_BYTES_MAX // ELEMENTS_MAX == 16 * KIB
    given = Job.builder().wasm(ECHO).array([b""] * 65)
    with pytest.raises(InvalidField, match="output_bytes") as caught:
        given.limits(ResourceLimits(output_bytes=MIB)).build()
    assert "65 elements" in str(caught.value)
    assert given.limits(ResourceLimits(output_bytes=MIB - 16 * KIB)).build().limits.output_bytes == MIB - 16 * KIB


def test_fuel_that_no_bucket_could_hold_is_refused() -> None:
    with pytest.raises(InvalidField, match="fuel"):
        Job.builder().wasm(ECHO).array([b""] * 5).limits(ResourceLimits(fuel=1 << 60)).build()


def test_the_run_clock_covers_the_array_within_reason() -> None:
    assert array(b"a", b"b").timeouts.run_ms == 60_000
    assert array(*[b""] * 100).timeouts.run_ms == 600_000
    slow = Job.builder().wasm(ECHO).array([b"a", b"b"]).limits(ResourceLimits(run_ms=3_600_000))
    assert slow.build().timeouts.run_ms == 3_600_000
    assert slow.timeouts(run_ms=5).build().timeouts.run_ms == 5


# The client


async def test_a_private_array_end_to_end(client: Client) -> None:
    job = await client.submit(private(b"one", b"trap", b"three"))
    result = await client.wait(job)
    parts = result.elements()
    assert [part.place for part in parts] == [0, 1, 2]
    assert [part.written for part in parts] == [b"ONE", b"", b"THREE"]
    assert (parts[0].ok, parts[0].output, parts[0].exit_code, parts[0].error) == (True, b"ONE", 0, None)
    with pytest.raises(JobFailed, match="element 1 ended with unreachable"):
        _ = parts[1].output
    assert (result.status, result.ok) == ("success", False)
    for ask in (result.decrypt, lambda: result.exit_code):
        with pytest.raises(InvalidField, match=r"array of 3 elements; fix: use elements\(\)"):
            ask()
    assert await client.element_logs(job) == (b"log of one", b"log of trap", b"log of three")
    assert await client.logs(job) == b"log of onelog of traplog of three"
    assert (await client.status(job)).elements == 3


async def test_a_public_array_and_an_ordinary_job(client: Client, public_draft: Draft) -> None:
    result = await client.wait(await client.submit(array(b"a", b"b")))
    assert ([part.output for part in result.elements()], result.ok) == ([b"A", b"B"], True)
    ordinary = await client.wait(await client.submit(public_draft))
    assert ordinary.elements() == (Element(0, "success", 0, b"PUBLIC WORDS"),)


def published(outcomes: int) -> tuple[ResultView, bytes]:
    part = ElementOutcome(status="success", exit_code=0, output=b"x")
    blob, zero = encode(ArrayOutcome(outcomes=(part,) * outcomes)), bytes(32)
    copy = Delivered(member=zero, result_digest=zero, log_digest=zero)  # type: ignore[arg-type]
    tag = public_result_tag(blob)
    view = ResultView(zero, zero, "success", tag, zero, (copy,), 0)  # type: ignore[arg-type]
    return view, blob


async def test_an_outcome_of_another_count_is_no_result() -> None:
    view, blob = published(2)

    async def fetch(digest: bytes) -> bytes:
        return blob

    assert len((await read_array(view, Keys(False, None), fetch, 2)).outcomes) == 2
    with pytest.raises(MalformedBytes, match="agreed on 2 elements"):
        await read_array(view, Keys(False, None), fetch, 3)


def test_a_result_that_does_not_open_says_so_for_elements_too() -> None:
    result = Result(published(1)[0], MalformedBytes("altered", field="size"))
    with pytest.raises(MalformedBytes, match="altered"):
        result.elements()


def test_what_a_quote_is_asked_for_says_how_many(client_parties: Any) -> None:
    assert quoted_core(array(b"a", b"b"), client_parties, 0).elements == 2  # type: ignore[arg-type]


@pytest.fixture
def client_parties(desk: BoxedDesk) -> Any:
    from quorate.api.sealing import Parties

    return Parties(desk.network, bytes(32), bytes(32))  # type: ignore[arg-type]


# The command line


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a", [b"a"]),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\n", [b"a\r"]),
    ],
)
def test_one_line_is_one_input(text: bytes, lines: list[bytes]) -> None:
    assert lines_of(text) == lines


Asked = Callable[..., Awaitable[Done]]


@pytest.fixture
async def ask(capfd: Any, monkeypatch: Any, desk: BoxedDesk, home: Path) -> Any:
    run = cli_for(capfd, monkeypatch, home)
    async with open_door(desk, home):
        yield lambda *arguments: beside(run, "compute", *arguments)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "echo.wat"
    path.write_text(ECHO)
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.jsonl"
    path.write_bytes(b'{"a":1}\ntrap\n\xff\n')
    return path


async def test_submit_status_result_and_logs(ask: Asked, module: Path, inputs: Path) -> None:
    done = await ask("submit", "--wasm", str(module), "--array", str(inputs), "--private", "--replication", "3")
    job = done.out.split()[-1]
    assert done.code == 0
    assert "elements: 3\n" in (await ask("status", job)).out
    shown = await ask("logs", job)
    assert shown.out.startswith('element 0:\nlog of {"a":1}\nelement 1:\nlog of trap\nelement 2:\n')
    told = json.loads((await ask("logs", job, "--json")).out)
    assert told["logs"][1] == "log of trap"


async def test_a_result_is_one_output_a_line_and_its_json_a_list(ask: Asked, module: Path, tmp_path: Path) -> None:
    path = tmp_path / "good.jsonl"
    path.write_bytes(b"one\n\nthree\n")
    done = await ask("run", "--wasm", str(module), "--array", str(path), "--proof", "trust")
    assert (done.code, done.out) == (0, "ONE\n\nTHREE\n")
    path.write_bytes(b"one\ntrap\n")
    job = (await ask("submit", "--wasm", str(module), "--array", str(path), "--private", "--replication", "3")).out
    shown = await ask("result", job.split()[-1], "--decrypt")
    assert (shown.code, shown.out) == (51, "ONE\n\n")
    assert "1 of 2 elements ended badly: element 1 ended with unreachable" in shown.err
    told = await ask("result", job.split()[-1], "--decrypt", "--json")
    assert told.code == 51
    assert json.loads(told.out)["elements"] == [
        {"status": "success", "exit_code": 0, "output": "ONE", "output_base64": base64.b64encode(b"ONE").decode()},
        {"status": "unreachable", "exit_code": 0, "output": "", "output_base64": ""},
    ]


async def test_submit_as_json_says_how_many(ask: Asked, module: Path, inputs: Path) -> None:
    done = await ask("submit", "--wasm", str(module), "--array", str(inputs), "--proof", "trust", "--json")
    assert json.loads(done.out)["elements"] == 3


@pytest.mark.parametrize(
    ("options", "fault", "name"),
    [
        ({"array": "inputs", "input": Path("x")}, ContradictoryOptions, "array"),
        ({"array_seconds": 5.0}, ContradictoryOptions, "array-seconds"),
        ({"array": "inputs", "array_seconds": -1.0}, InvalidField, "array-seconds"),
        ({"array": "missing"}, UserError, "array"),
        ({"array": "empty"}, InvalidField, "array"),
        ({"array": "many"}, InvalidField, "array"),
    ],
)
def test_options_that_cannot_be(
    module: Path, inputs: Path, options: dict[str, Any], fault: type[UserError], name: str
) -> None:
    (inputs.parent / "empty").touch()
    (inputs.parent / "many").write_bytes(b"\n" * (ELEMENTS_MAX + 1))
    if "array" in options:
        path = inputs if options["array"] == "inputs" else inputs.parent / options["array"]
        options = options | {"array": path}
    with pytest.raises(fault) as caught:
        draft_of(JobOptions(wasm=module, **options))
    assert caught.value.field == name


def test_limits_and_the_clock_of_the_array(module: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = draft_of(JobOptions(wasm=module, array=inputs, run_seconds=2, array_seconds=3))
    assert (draft.limits.run_ms, draft.timeouts.run_ms, draft.elements) == (2_000, 3_000, 3)
    standard = io.TextIOWrapper(io.BytesIO(b"a\nb"))
    monkeypatch.setattr("sys.stdin", standard)
    assert decode(draft_of(JobOptions(wasm=module, array=Path("-"))).input, ArrayInput).items == (b"a", b"b")


def test_every_field_of_a_view_has_its_words() -> None:
    from quorate.api.schemas import JobView, json_schema

    assert json_schema(JobView)["properties"]["elements"] == {"type": "integer"}
    assert "elements" in {field.name for field in msgspec.structs.fields(JobView)}
