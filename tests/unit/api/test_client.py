"""The client against a boxed network over a real socket: end to end, and every lie that it must notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.support.desks import ECHO, BoxedDesk, Draw, open_door
from tests.support.linked_guests import SUM_OF_SQUARES

from quorate.api.builder import Draft, Job
from quorate.api.client import Client, aconnect, connect
from quorate.api.courier import Courier
from quorate.errors import (
    BadCommitment,
    BadSignature,
    IdempotencyConflict,
    InvalidField,
    JobCancelled,
    MissingKey,
    NoNetwork,
    NotFinished,
    PathTooLong,
    PolicyRefused,
    QuorateError,
    RunTimeout,
    UnknownJob,
    WorldError,
    WrongKey,
)
from quorate.model.claim import INLINE_BYTES_MAX
from quorate.model.units import JobId


async def test_a_private_job_goes_end_to_end(client: Client, desk: BoxedDesk, private_draft: Draft) -> None:
    job = await client.submit(private_draft)
    result = await client.wait(job)
    assert (result.decrypt(), result.exit_code, result.status, result.ok) == (b"PRIVATE WORDS", 0, "success", True)
    assert await client.logs(job) == b"log of private "
    assert (await client.status(job)).state == "completed"


async def test_nothing_that_leaves_the_client_holds_the_input(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    await client.submit(private_draft)
    sent = b"".join(msgspec.msgpack.encode(item) for item in (*desk.submissions, *desk.wrapped))
    assert len(sent) > 1000
    assert b"private " not in sent


async def test_a_public_job_needs_no_keys(client: Client, home: Path, public_draft: Draft) -> None:
    job = await client.submit(public_draft)
    assert (await client.wait(job)).decrypt() == b"PUBLIC WORDS"
    assert not list((home / "client").glob("jobs/*"))


async def test_keys_are_private_files_and_wrapped_for_the_members_drawn_alone(
    client: Client, home: Path, desk: BoxedDesk, private_draft: Draft
) -> None:
    job = await client.submit(private_draft)
    assert [path.stat().st_mode & 0o777 for path in (home / "client" / "jobs").iterdir()] == [0o600]
    state = desk.jobs[JobId(bytes.fromhex(job))]
    assert [wrap.member for wrap in desk.wrapped[0].jobs[0].wraps] == list(desk.members(state))
    assert len({wrap.sealed for wrap in desk.wrapped[0].jobs[0].wraps}) == 4


async def test_many_jobs_in_batches(client: Client, desk: BoxedDesk, private_draft: Draft, public_draft: Draft) -> None:
    jobs = await client.submit_many([private_draft, public_draft] * 70)
    views = await client.wait_all(jobs)
    assert [view.job for view in views] == list(jobs)
    assert {view.state for view in views} == {"completed"}
    assert len(set(jobs)) == 140
    assert len(desk.submissions) == 3
    assert sum(blob == private_draft.module for item in desk.submissions for blob in item.blobs) == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the client asks the door, in order."""
    seen: list[str] = []
    send = Courier.send

    async def counted(courier: Courier, method: str, path: str, *more: object) -> bytes:
        seen.append(f"{method} {path}")
        return await send(courier, method, path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Courier, "send", counted)
    return seen


async def test_a_job_takes_three_questions_and_a_public_one_two(
    client: Client, asked: list[str], private_draft: Draft, public_draft: Draft
) -> None:
    await client.submit(public_draft)  # the program is there from now on
    asked.clear()
    assert (await client.wait(await client.submit(private_draft))).decrypt() == b"PRIVATE WORDS"
    assert asked == ["POST /v1/jobs", "POST /v1/wraps", "POST /v1/wait"]
    asked.clear()
    assert (await client.wait(await client.submit(public_draft))).decrypt() == b"PUBLIC WORDS"
    assert asked == ["POST /v1/jobs", "POST /v1/wait"]


async def test_dependencies_are_put_by_themselves_and_once(client: Client, asked: list[str], desk: BoxedDesk) -> None:
    builder = Job.builder().wasm(SUM_OF_SQUARES.module).public_input(b"x").proof("trust")
    for code in SUM_OF_SQUARES.libraries:
        builder.dependency(code)
    await client.submit(builder.build())
    puts = [question for question in asked if question.startswith("PUT ")]
    assert sorted(puts) == [f"PUT /v1/blobs/{digest.hex()}" for digest in SUM_OF_SQUARES.dependencies]
    assert all(desk.blobs.has(digest) for digest in (SUM_OF_SQUARES.digest, *SUM_OF_SQUARES.dependencies))
    assert not {code for item in desk.submissions for code in item.blobs} & set(SUM_OF_SQUARES.libraries)
    asked.clear()
    await client.submit(builder.build())
    assert asked == ["POST /v1/jobs"]


async def test_a_job_is_waited_for_by_the_beginning_of_its_id_too(client: Client, private_draft: Draft) -> None:
    job = await client.submit(private_draft)
    assert (await client.wait(job[:12])).decrypt() == b"PRIVATE WORDS"
    with pytest.raises(UnknownJob):
        await client.wait("0" * 64)
    with pytest.raises(InvalidField):
        await client.wait("xyz")


async def test_a_copy_that_is_large_does_not_come_along(client: Client, asked: list[str]) -> None:
    large = bytes(INLINE_BYTES_MAX)
    draft = Job.builder().wasm(ECHO).private_input(large).with_ownership_proof().proof("trust").build()
    assert (await client.wait(await client.submit(draft))).decrypt() == large
    assert asked[-2:-1] == ["POST /v1/wait"]
    assert asked[-1].startswith("GET /v1/blobs/")


async def test_a_fault_after_the_jobs_were_taken_costs_no_key(
    client: Client, home: Path, desk: BoxedDesk, private_draft: Draft
) -> None:
    """The node took the job and then has no draw to show: the keys stay, for the job may go on."""

    async def refuse(ask: object) -> None:
        raise BadSignature("its stamp is missing", field="stamp")

    desk.draws = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(BadSignature):
        await client.submit(private_draft)
    assert len(desk.jobs) == len(list((home / "client" / "jobs").iterdir())) == 1


async def test_one_key_is_one_job(client: Client, desk: BoxedDesk, private_draft: Draft, public_draft: Draft) -> None:
    first = await client.submit(private_draft, key="mine")
    assert await client.submit(private_draft, key="mine") == first
    assert len(desk.jobs) == 1
    with pytest.raises(IdempotencyConflict):
        await client.submit(public_draft, key="mine")


async def test_a_key_whose_job_never_arrived_can_be_used_again(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    first = await client.submit(private_draft, key="mine")
    desk.jobs.clear()
    desk.keys.clear()
    assert await client.submit(private_draft, key="mine") != first


async def test_a_submitter_that_died_before_wrapping_is_replaced_by_whoever_waits(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    lies = desk.alter_draw
    desk.alter_draw = _raise
    with pytest.raises(QuorateError):
        await client.submit(private_draft)
    desk.alter_draw = lies
    (job,) = desk.jobs
    desk.jobs[job] = msgspec.structs.replace(desk.jobs[job], stage="wraps", condition="pending")
    assert (await client.wait(job.hex())).decrypt() == b"PRIVATE WORDS"


def _raise(draw: Draw) -> Draw:
    raise WorldError("the node stumbled")


async def test_a_bad_first_copy_is_passed_over(client: Client, desk: BoxedDesk, private_draft: Draft) -> None:
    desk.alter_copy = lambda place, blob: blob[:-1] + bytes([blob[-1] ^ 1]) if place == 0 else blob
    assert (await client.wait(await client.submit(private_draft))).decrypt() == b"PRIVATE WORDS"


async def test_copies_of_another_output_than_agreed_are_refused(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    job = await client.submit(private_draft)
    view = desk.results[JobId(bytes.fromhex(job))]
    desk.results[JobId(view.job)] = msgspec.structs.replace(view, tag=bytes(32))
    with pytest.raises(BadCommitment, match="not what was agreed on"):
        (await client.wait(job)).decrypt()


async def test_a_public_copy_is_checked_too(client: Client, desk: BoxedDesk, public_draft: Draft) -> None:
    desk.alter_copy = lambda place, blob: blob + b"!"
    with pytest.raises(BadCommitment):
        (await client.wait(await client.submit(public_draft))).decrypt()


async def test_no_key_and_the_wrong_key(client: Client, home: Path, private_draft: Draft) -> None:
    job, other = await client.submit_many([private_draft, private_draft])
    path, others = (home / "client" / "jobs" / f"{name}.key" for name in (job, other))
    own = path.read_bytes()
    path.write_bytes(others.read_bytes())
    with pytest.raises(WrongKey):
        (await client.wait(job)).decrypt()
    path.write_bytes(own[:-1])
    with pytest.raises(WrongKey, match="damaged"):
        (await client.result(job)).decrypt()
    path.unlink()
    result = await client.wait(job)
    assert result.status == "success"
    with pytest.raises(MissingKey):
        result.decrypt()


async def test_a_refused_submission_leaves_no_key_behind(
    client: Client, home: Path, desk: BoxedDesk, private_draft: Draft
) -> None:
    async def refuse(submission: object) -> None:
        raise InvalidField("too large", field="fuel", limit="10", fix="ask for less")

    desk.submit = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(InvalidField, match="too large") as caught:
        await client.submit(private_draft, key="mine")
    assert (caught.value.field, caught.value.limit, caught.value.fix) == ("fuel", "10", "ask for less")
    assert list((home / "client" / "jobs").iterdir()) == []
    assert list((home / "client" / "submitted").iterdir()) == []


async def test_jobs_that_end_without_a_result_raise_what_they_ended_with(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    desk.hold = True
    job = await client.submit(private_draft)
    with pytest.raises(NotFinished):
        await client.result(job)
    with pytest.raises(WorldError, match="still"):
        await client.wait(job, timeout_s=0.05)
    desk.end(JobId(bytes.fromhex(job)), "timed_out", "RunTimeout", "the run clock ran out")
    with pytest.raises(RunTimeout, match="the run clock ran out"):
        await client.wait(job)
    assert (await client.cancel(await client.submit(private_draft))).state == "cancelled"
    with pytest.raises(JobCancelled):
        await client.wait((await client.list())[0].job)


async def test_status_counts_the_members_that_replied(client: Client, desk: BoxedDesk, private_draft: Draft) -> None:
    desk.hold = True
    job = await client.submit(private_draft)
    for replied in (0, 2, 3):
        desk.commit(JobId(bytes.fromhex(job)), replied)
        view = await client.status(job)
        assert (view.replied, view.replicas, view.state, view.clock) == (replied, 3, "running", "run")
        assert view.line == f"executing ({replied}/3 validators replied)"


async def test_watching_ends_when_the_job_is_settled(client: Client, desk: BoxedDesk, private_draft: Draft) -> None:
    desk.hold = True
    job = await client.submit(private_draft)
    asyncio.get_running_loop().call_later(0.2, desk.end, JobId(bytes.fromhex(job)), "failed", "JobFailed", "no")
    states = [view.state async for view in client.watch(job)]
    assert states == ["running", "failed"]


async def test_the_smaller_verbs(client: Client, private_draft: Draft, public_draft: Draft) -> None:
    job = await client.submit(private_draft)
    assert (await client.status(job[:10])).job == job
    assert (await client.explain(job))["notes"]
    assert await client.quote(private_draft, 300) == {"replicas": 3, "colluders_per_mille": 300}
    assert (await client.quote(public_draft))["replicas"] == 1
    assert (await client.network())["offers"] == 4
    with pytest.raises(UnknownJob):
        await client.status("0" * 64)
    for name in ("../../etc", "xyz", "", "ab", "a" * 65):
        with pytest.raises(InvalidField):
            await client.status(name)
    with pytest.raises(InvalidField):
        await client.quote(private_draft, 1001)


async def test_a_large_input_is_put_before_the_submission(
    client: Client, desk: BoxedDesk, private_draft: Draft
) -> None:
    large = bytes(1 << 20)
    draft = Job.builder().wasm(ECHO).private_input(large).with_ownership_proof().proof("trust").build()
    assert (await client.wait(await client.submit(draft))).decrypt() == large
    assert max(len(blob) for blob in desk.submissions[0].blobs) < 1000


async def test_a_door_that_came_back_is_asked_again(desk: BoxedDesk, home: Path, public_draft: Draft) -> None:
    async with open_door(desk, home):
        client = await aconnect(home)
        job = await client.submit(public_draft)
    with pytest.raises(NoNetwork):
        await client.status(job)
    async with open_door(desk, home):
        assert (await client.status(job)).state == "completed"
    async with open_door(desk, home):
        assert (await client.status(job)).state == "completed"
    await client.close()


async def test_no_network(tmp_path: Path, home: Path) -> None:
    with pytest.raises(NoNetwork, match="quorate localnet up"):
        await aconnect(tmp_path / "nowhere")
    with pytest.raises(NoNetwork, match="no node answers"):
        await aconnect(home)
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "network.cbor").write_bytes((home / "network.cbor").read_bytes())
    (deep / "client").mkdir()
    (deep / "client" / "identity.key").touch(0o600)
    (deep / "client" / "identity.key").write_bytes((home / "client" / "identity.key").read_bytes())
    with pytest.raises(PathTooLong):
        await aconnect(deep)


async def test_a_door_of_another_network_is_refused(door: Path, home: Path, desk: BoxedDesk) -> None:
    desk.network = bytes(32)  # type: ignore[assignment]
    with pytest.raises(PolicyRefused):
        await aconnect(home)


async def test_the_plain_client_has_the_same_verbs(door: Path, home: Path, private_draft: Draft) -> None:
    assert await asyncio.to_thread(_plainly, home, private_draft) == b"PRIVATE WORDS"


def _plainly(home: Path, draft: Draft) -> bytes:
    with connect(home) as compute:
        job = compute.submit(draft)
        assert [view.state for view in compute.watch(job)] == ["completed"]
        assert compute.list()[0].job == compute.status(job).job == job
        with pytest.raises(UnknownJob):
            compute.status("0" * 64)
        return compute.wait(job).decrypt()


def test_a_plain_client_without_a_network_leaves_no_thread(tmp_path: Path) -> None:
    import threading

    before = threading.active_count()
    with pytest.raises(NoNetwork):
        connect(tmp_path)
    assert threading.active_count() == before


def test_both_clients_have_the_same_verbs() -> None:
    from quorate.api.client import Quorate

    verbs = {name for name in vars(Client) if not name.startswith("_")} - {"parties", "genesis"}
    assert verbs <= {name for name in vars(Quorate) if not name.startswith("_")}
