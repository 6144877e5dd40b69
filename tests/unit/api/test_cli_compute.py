"""`quorate compute` against a boxed network behind a real door: what each verb prints, and how it refuses."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.desks import ECHO, BoxedDesk, open_door
from tests.support.terminal import Done, beside, cli_for

from quorate.api import foreground
from quorate.model.units import JobId

Asked = Callable[..., Awaitable[Done]]
ID = re.compile(r"[0-9a-f]{64}")


@pytest.fixture
async def ask(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    desk: BoxedDesk,
    home: Path,
) -> AsyncIterator[Asked]:
    """Runs `quorate compute ARGUMENTS...` with the door of `desk` open."""
    run = cli_for(capfd, monkeypatch, home)
    async with open_door(desk, home):
        yield lambda *arguments: beside(run, "compute", *arguments)


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "my_program.wat"
    path.write_text(ECHO)
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "input.json"
    path.write_bytes(b"private words")
    return str(path)


@pytest.fixture
def private(module: str, data: str) -> tuple[str, ...]:
    """The options of the design's example."""
    return ("--wasm", module, "--input", data, "--private", "--replication", "3")


def only_job(desk: BoxedDesk) -> str:
    (job,) = desk.jobs
    return job.hex()


async def test_submit_prints_the_job_id_as_its_last_word(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    done = await ask("submit", *private)
    assert (done.code, done.out.split()[-1]) == (0, only_job(desk))
    assert "only the executors drawn" in done.err
    assert "private words" not in done.out + done.err


async def test_submit_says_that_a_public_job_is_public(ask: Asked, module: str) -> None:
    done = await ask("submit", "--wasm", module, "--proof", "trust")
    assert done.code == 0
    assert "provider sees input and output" in done.err


async def test_submit_as_json(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    done = await ask("submit", *private, "--json")
    told = json.loads(done.out)
    assert (told["job"], told["private"], told["replicas"]) == (only_job(desk), True, 3)
    assert set(told) == {"job", "private", "proof", "replicas", "program"}
    assert done.err == ""


async def test_the_same_key_is_the_same_job(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    first = await ask("submit", *private, "--key", "monday")
    again = await ask("submit", *private, "--key", "monday")
    assert first.out == again.out
    assert len(desk.jobs) == 1
    other = await ask("submit", *private[:-2], "--key", "monday")
    assert (other.code, len(desk.jobs)) == (34, 1)
    assert "quorate: error: key: " in other.err


async def test_status_counts_the_replies_of_a_held_job(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.hold = True
    await ask("submit", *private)
    desk.commit(JobId(bytes.fromhex(only_job(desk))), 2)
    done = await ask("status", only_job(desk)[:8])
    assert done.code == 0
    assert "\nstate: executing (2/3 validators replied)\n" in done.out
    assert re.search(r"\nelapsed: \d+\.\ds\n", done.out)
    told = json.loads((await ask("status", only_job(desk), "--json")).out)
    assert (told["replied"], told["replicas"], told["phase"], told["state"]) == (2, 3, "executing", "running")


async def test_watch_tells_each_change_until_the_end(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.hold = True
    await ask("submit", *private)
    job = JobId(bytes.fromhex(only_job(desk)))
    watching = asyncio.create_task(ask("status", job.hex(), "--watch"))
    await asyncio.sleep(0.6)
    desk.commit(job, 2)
    await asyncio.sleep(0.3)
    desk.end(job, "timed_out", "RunTimeout", "no member finished in 30 s")
    done = await watching
    lines = [line.partition("  elapsed: ")[0] for line in done.out.splitlines()]
    assert lines == [
        "state: executing (0/3 validators replied)",
        "state: executing (2/3 validators replied)",
        "state: timed out",
    ]
    assert (done.code, done.err) == (56, "quorate: error: job: no member finished in 30 s; fix: raise --run-seconds\n")


async def test_watch_as_json_is_one_document_a_line(ask: Asked, private: tuple[str, ...], desk: BoxedDesk) -> None:
    await ask("submit", *private)
    done = await ask("status", only_job(desk), "--watch", "--json")
    views = [json.loads(line) for line in done.out.splitlines()]
    assert views[-1]["state"] == "completed"
    assert (done.code, done.err) == (0, "")


async def test_result_is_the_bytes_and_nothing_else(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    await ask("submit", *private)
    done = await ask("result", only_job(desk), "--decrypt")
    assert done == (0, "PRIVATE WORDS", "")


async def test_result_into_a_file_is_whole_and_not_for_others(
    ask: Asked, desk: BoxedDesk, private: tuple[str, ...], tmp_path: Path
) -> None:
    await ask("submit", *private)
    path = tmp_path / "result.bin"
    done = await ask("result", only_job(desk), "--decrypt", "--out", str(path))
    assert (done.code, done.out) == (0, "")
    assert path.read_bytes() == b"PRIVATE WORDS"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".result*")) == []


async def test_result_as_json_holds_text_and_bytes(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.run = lambda data: b"\xff\x00"
    await ask("submit", *private)
    told = json.loads((await ask("result", only_job(desk), "--decrypt", "--json")).out)
    assert told["output"] is None
    assert base64.b64decode(told["output_base64"]) == b"\xff\x00"
    assert (told["status"], told["exit_code"], told["state"]) == ("success", 0, "completed")


async def test_without_decrypt_nothing_is_opened(
    ask: Asked, desk: BoxedDesk, private: tuple[str, ...], home: Path
) -> None:
    await ask("submit", *private)
    for key in (home / "client" / "jobs").iterdir():
        key.unlink()
    done = await ask("result", only_job(desk))
    assert done.code == 0
    assert done.out.startswith("sealed result, 3 copies")
    assert "--decrypt" in done.err
    copies = json.loads((await ask("result", only_job(desk), "--json")).out)["copies"]
    kept = {copy.result_digest.hex() for copy in next(iter(desk.results.values())).delivered}
    assert {copy["blob"] for copy in copies} == kept


async def test_without_the_key_the_error_is_clear(
    ask: Asked, desk: BoxedDesk, private: tuple[str, ...], home: Path
) -> None:
    await ask("submit", *private)
    (key,) = (home / "client" / "jobs").iterdir()
    key.unlink()
    done = await ask("result", only_job(desk), "--decrypt")
    assert (done.code, done.out) == (32, "")
    assert done.err.startswith(f"quorate: error: key: no key for job {only_job(desk)[:16]}")
    assert done.err.count("\n") == 1


async def test_a_wrong_key_opens_nothing(ask: Asked, desk: BoxedDesk, private: tuple[str, ...], home: Path) -> None:
    await ask("submit", *private)
    first = only_job(desk)
    await ask("submit", *private)
    second = next(job.hex() for job in desk.jobs if job.hex() != first)
    folder = home / "client" / "jobs"
    os.replace(folder / f"{second}.key", folder / f"{first}.key")
    done = await ask("result", first, "--decrypt")
    assert (done.code, done.out) == (31, "")
    assert "is the key of another job" in done.err


async def test_a_result_that_is_not_there_yet_is_refused(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.hold = True
    await ask("submit", *private)
    done = await ask("result", only_job(desk), "--decrypt")
    assert (done.code, done.out) == (33, "")


async def test_a_full_disk_is_named(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    await ask("submit", *private)
    done = await ask("result", only_job(desk), "--decrypt", "--out", "/dev/full")
    assert (done.code, done.out) == (65, "")
    assert done.err.startswith("quorate: error: out: /dev/full: No space left on device")


async def test_a_file_that_cannot_be_written_is_named(
    ask: Asked, desk: BoxedDesk, private: tuple[str, ...], tmp_path: Path
) -> None:
    await ask("submit", *private)
    done = await ask("result", only_job(desk), "--decrypt", "--out", str(tmp_path / "none" / "file"))
    assert (done.code, done.out) == (29, "")
    assert done.err.startswith("quorate: error: out: ")


async def test_run_submits_watches_and_prints(ask: Asked, private: tuple[str, ...]) -> None:
    done = await ask("run", *private)
    assert (done.code, done.out) == (0, "PRIVATE WORDS")
    assert ID.search(done.err)
    assert "state: completed  elapsed: " in done.err


async def test_run_ends_with_the_error_of_its_job(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.hold = True
    running = asyncio.create_task(ask("run", *private))
    while not any(state.rounds for state in desk.jobs.values()):
        await asyncio.sleep(0.02)
    desk.end(JobId(bytes.fromhex(only_job(desk))), "rejected", "JobRejected", "1 of 3 claims agree, 3 needed")
    done = await running
    assert (done.code, done.out) == (52, "")
    assert done.err.splitlines()[-1] == (
        "quorate: error: job: 1 of 3 claims agree, 3 needed; fix: quorate compute explain shows who said what"
    )


async def test_logs_are_opened_with_the_same_key(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    await ask("submit", *private)
    assert await ask("logs", only_job(desk)) == (0, "log of private ", "")
    assert json.loads((await ask("logs", only_job(desk), "--json")).out)["log"] == "log of private "


async def test_list_is_a_table_newest_first(ask: Asked, desk: BoxedDesk, private: tuple[str, ...], module: str) -> None:
    empty = await ask("list")
    assert (empty.code, empty.out) == (0, "")
    await ask("submit", *private)
    await ask("submit", "--wasm", module, "--proof", "trust")
    done = await ask("list")
    titles, newest, oldest = done.out.splitlines()
    assert titles.split()[:2] == ["job", "state"]
    assert ("quorum of 3" in oldest, "trust" in newest) == (True, True)
    told = json.loads((await ask("list", "--limit", "1", "--json")).out)["jobs"]
    assert [view["job"][:12] for view in told] == [newest.split()[0]]
    assert (await ask("list", "--limit", "0")).code == 29


async def test_cancel_answers_what_became_of_it(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.hold = True
    await ask("submit", *private)
    done = await ask("cancel", only_job(desk)[:6])
    assert (done.code, done.out) == (0, f"cancelled {only_job(desk)[:12]}: no process of it is running\n")
    assert [job.hex() for job in desk.cancelled] == [only_job(desk)]


async def test_explain_names_clock_and_decisions(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    desk.hold = True
    await ask("submit", *private)
    done = await ask("explain", only_job(desk))
    assert done.code == 0
    assert "clock: run, " in done.out
    assert "executing" in done.out
    assert json.loads((await ask("explain", only_job(desk), "--json")).out)["clock"] == "run"


async def test_quote_sends_the_share_of_colluders(ask: Asked, private: tuple[str, ...], desk: BoxedDesk) -> None:
    done = await ask("quote", *private, "--colluders", "34%", "--json")
    assert json.loads(done.out) == {"replicas": 3, "colluders_per_mille": 340}
    assert desk.jobs == {}


@pytest.mark.parametrize("verb", ["status", "result", "cancel", "logs", "explain", "receipt"])
async def test_an_unknown_job_is_refused_by_every_verb(ask: Asked, verb: str) -> None:
    unknown = await ask(verb, "ab" * 32)
    assert (unknown.code, unknown.out) == (30, "")
    assert unknown.err.startswith("quorate: error: job: no job")
    no_id = await ask(verb, "../blobs")
    assert (no_id.code, no_id.out) == (29, "")


async def test_no_network_is_one_line_with_the_way_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private: tuple[str, ...]
) -> None:
    run = cli_for(capfd, monkeypatch, tmp_path / "nowhere")
    for arguments in (("submit", *private), ("status", "abcd"), ("list",), ("quote", *private)):
        done = await beside(run, "compute", *arguments)
        assert (done.code, done.out) == (61, "")
        assert done.err.endswith("fix: quorate localnet up\n")
    assert not (tmp_path / "nowhere").exists()


async def test_a_network_that_is_down_is_no_network(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path, private: tuple[str, ...]
) -> None:
    done = await beside(cli_for(capfd, monkeypatch, home), "compute", "submit", *private)
    assert (done.code, done.out) == (61, "")
    assert not (home / "client" / "jobs").exists() or not list((home / "client" / "jobs").iterdir())


async def test_an_interruption_says_that_the_job_goes_on(ask: Asked, desk: BoxedDesk, private: tuple[str, ...]) -> None:
    await ask("submit", *private)
    assert foreground.farewell() == (
        f"interrupted; the job goes on: quorate compute status {only_job(desk)[:12]} "
        f"(or stop it: quorate compute cancel {only_job(desk)[:12]})"
    )
