"""The door over HTTP: statuses, problems, limits, the socket. The desk behind it is a boxed network
(tests/support/desks.py)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from tests.support.desks import BoxedDesk

from quorate.api.builder import Draft
from quorate.api.client import Client
from quorate.api.commands import SOCKET_PATH_BYTES_MAX
from quorate.api.rest import serve
from quorate.api.routes import ROUTES, SMALL_BODY_MAX, app
from quorate.crypto.digests import blob_digest
from quorate.errors import NetworkRunning, PathTooLong, WorldError
from quorate.model.codec import decode, encode
from quorate.model.network import Genesis
from quorate.model.submission import Await, JobIds, ResultView, Submission
from quorate.model.units import JobId

PROBLEM = "application/problem+json"
UNKNOWN = "00" * 32


@pytest.fixture
async def http(desk: BoxedDesk) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app(desk), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://door") as client:
        yield client


def refused(answer: httpx2.Response, status: int, title: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["title"], problem["status"]) == (title, status)
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", f"/v1/jobs/{UNKNOWN}", 404, "UnknownJob"),
        ("GET", f"/v1/jobs/{UNKNOWN}/result", 404, "UnknownJob"),
        ("GET", f"/v1/jobs/{UNKNOWN}/receipt", 404, "UnknownJob"),
        ("GET", f"/v1/jobs/{UNKNOWN}/explain", 404, "UnknownJob"),
        ("GET", f"/v1/jobs/{UNKNOWN}/events", 404, "UnknownJob"),
        ("POST", f"/v1/jobs/{UNKNOWN}/cancel", 404, "UnknownJob"),
        ("GET", "/v1/jobs/abcd", 404, "UnknownJob"),
        ("GET", "/v1/jobs/abc", 422, "InvalidField"),
        ("GET", "/v1/jobs/XYZW", 422, "InvalidField"),
        ("GET", "/v1/jobs?limit=0", 422, "InvalidField"),
        ("GET", "/v1/jobs?limit=x", 422, "InvalidField"),
        ("GET", "/v1/jobs?limit=1001", 422, "InvalidField"),
        ("GET", f"/v1/blobs/{UNKNOWN}", 404, "UnknownBlob"),
        ("GET", "/v1/blobs/zz", 422, "InvalidField"),
        ("GET", "/v1/nothing", 404, "UserError"),
        ("DELETE", "/v1/jobs", 405, "UserError"),
    ],
)
async def test_what_is_not_there_is_a_typed_problem(
    http: httpx2.AsyncClient, method: str, path: str, status: int, title: str
) -> None:
    refused(await http.request(method, path), status, title)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/draws", "/v1/wraps", "/v1/wait", "/v1/quote"])
@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b"\xa1\x61v\x01", b"\xa0\x00"])
async def test_bytes_that_are_not_the_canonical_value(http: httpx2.AsyncClient, path: str, body: bytes) -> None:
    refused(await http.post(path, content=body), 400, "MalformedBytes")


async def test_a_question_may_not_wait_for_ever(http: httpx2.AsyncClient) -> None:
    asked = (
        ("/v1/wait", Await(jobs=(), wait_ms=60_001, final=True, results=True)),
        ("/v1/draws", JobIds(jobs=(), wait_ms=60_001)),
        ("/v1/jobs", Submission(orders=(), stamps=(), bundles=(), blobs=(), wait_ms=60_001)),
    )
    for path, question in asked:
        assert refused(await http.post(path, content=encode(question)), 422, "InvalidField")["field"] == "wait_ms"


async def test_a_question_may_not_wait_backwards(http: httpx2.AsyncClient) -> None:
    body = encode(Await(jobs=(), wait_ms=-1, final=True, results=False))
    refused(await http.post("/v1/wait", content=body), 400, "MalformedBytes")


async def test_blobs_come_and_go_by_their_digest(http: httpx2.AsyncClient) -> None:
    data = os.urandom(3_000_000)
    path = f"/v1/blobs/{blob_digest(data).hex()}"
    assert (await http.head(path)).status_code == 404
    assert (await http.put(path, content=data)).status_code == 204
    assert (await http.head(path)).status_code == 200
    answer = await http.get(path)
    assert (answer.content, answer.headers["content-type"]) == (data, "application/octet-stream")
    asked = {"digests": [blob_digest(data).hex(), UNKNOWN, UNKNOWN]}
    assert (await http.post("/v1/blobs/missing", json=asked)).json() == {"digests": [UNKNOWN]}


async def test_a_blob_under_another_digest_is_not_stored(http: httpx2.AsyncClient, desk: BoxedDesk) -> None:
    refused(await http.put(f"/v1/blobs/{UNKNOWN}", content=b"something"), 422, "InvalidField")
    assert not desk.blobs.has(blob_digest(b"something"))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"digests": "x"}', b'{"digests": [1]}', b"\xff\xfe"])
async def test_a_malformed_question_about_blobs(http: httpx2.AsyncClient, body: bytes) -> None:
    refused(await http.post("/v1/blobs/missing", content=body), 400, "MalformedBytes")
    many = msgspec.json.encode({"digests": [UNKNOWN] * 4097})
    refused(await http.post("/v1/blobs/missing", content=many), 413, "TooLarge")


async def _dripped(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield bytes(65536)


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/v1/wait", SMALL_BODY_MAX),
        ("POST", "/v1/blobs/missing", SMALL_BODY_MAX),
        ("POST", "/v1/jobs", 32 << 20),
        ("PUT", f"/v1/blobs/{UNKNOWN}", 5 << 20),
    ],
)
async def test_a_body_over_the_limit_of_its_path(http: httpx2.AsyncClient, method: str, path: str, limit: int) -> None:
    declared = refused(await http.request(method, path, content=bytes(limit + 1)), 413, "TooLarge")
    assert declared["limit"] == f"{limit} bytes"
    refused(await http.request(method, path, content=_dripped(limit + 1)), 413, "TooLarge")


async def test_genesis_and_network_name_the_same_network(http: httpx2.AsyncClient, desk: BoxedDesk) -> None:
    assert decode((await http.get("/v1/genesis")).content, Genesis) == desk.genesis
    overview = (await http.get("/v1/network")).json()
    assert (overview["network"], overview["node"]) == (desk.network.hex(), desk.node_id.hex())


async def test_jobs_are_listed_newest_first_and_found_by_the_beginning_of_their_id(
    client: Client, http: httpx2.AsyncClient, desk: BoxedDesk, public_draft: Draft
) -> None:
    jobs = await client.submit_many([public_draft] * 5)
    listed = (await http.get("/v1/jobs?limit=3")).json()["jobs"]
    assert [job["job"] for job in listed] == list(reversed(jobs))[:3]
    assert listed[0]["notes"] == []
    view = (await http.get(f"/v1/jobs/{jobs[0][:12]}")).json()
    assert (view["job"], view["state"], view["private"]) == (jobs[0], "completed", False)
    result = decode((await http.get(f"/v1/jobs/{jobs[0]}/result")).content, ResultView)
    assert result.job.hex() == jobs[0]
    twin = JobId(bytes.fromhex(jobs[0][:12] + "0" * 52))
    desk.jobs[twin] = msgspec.structs.replace(desk.jobs[JobId(bytes.fromhex(jobs[0]))], job_id=twin)
    assert "more than one" in refused(await http.get(f"/v1/jobs/{jobs[0][:12]}"), 422, "InvalidField")["detail"]


async def test_a_reader_of_events_goes_on_where_it_left_off(
    client: Client, http: httpx2.AsyncClient, public_draft: Draft
) -> None:
    job = await client.submit(public_draft)
    first = (await http.get(f"/v1/jobs/{job}/events")).text
    version = next(line[4:] for line in first.splitlines() if line.startswith("id: "))
    assert first.count("event: state") == 1
    again = await http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": version})
    assert again.text == ""


async def test_what_fails_inside_is_named_by_nothing_but_its_status(http: httpx2.AsyncClient, desk: BoxedDesk) -> None:
    def fail() -> dict[str, object]:
        raise ValueError("secret")

    desk.overview = fail  # type: ignore[method-assign]
    problem = refused(await http.get("/v1/network"), 500, "QuorateError")
    assert "secret" not in str(problem)


async def test_the_description_names_every_route(http: httpx2.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()["paths"]
    assert {(route.method.lower(), route.path) for route in ROUTES} == {
        (method, path) for path, methods in described.items() for method in methods
    }
    view = described["/v1/jobs/{job}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "replied" in view["properties"]


async def test_the_socket_is_its_owners_alone_and_goes_away(desk: BoxedDesk, tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    serving = asyncio.create_task(serve(desk, path))
    while not path.exists():
        await asyncio.sleep(0.01)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(NetworkRunning):
        await serve(desk, path)
    assert path.exists()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, 5)
    assert not path.exists()


async def test_closing_does_not_wait_for_a_reader_that_waits(desk: BoxedDesk, tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    serving = asyncio.create_task(serve(desk, path))
    while not path.exists():
        await asyncio.sleep(0.01)
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://door") as http:
        body = encode(Await(jobs=(), wait_ms=60_000, final=True, results=False))
        desk.wait = lambda ask: asyncio.sleep(60)  # type: ignore[assignment, method-assign]
        waiting = asyncio.create_task(http.post("/v1/wait", content=body, timeout=60))
        await asyncio.sleep(0.2)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 5)
        with contextlib.suppress(httpx2.HTTPError):
            await waiting


async def test_a_socket_left_by_a_dead_process_is_replaced(desk: BoxedDesk, tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    serving = asyncio.create_task(serve(desk, path))
    await asyncio.sleep(0.3)
    assert not serving.done()
    serving.cancel()
    await asyncio.wait([serving])


async def test_places_where_no_socket_can_be(desk: BoxedDesk, tmp_path: Path) -> None:
    long = tmp_path / ("x" * SOCKET_PATH_BYTES_MAX)
    with pytest.raises(PathTooLong, match="QUORATE_HOME"):
        await serve(desk, long)
    with pytest.raises(WorldError):
        await serve(desk, tmp_path / "absent" / "door.sock")
    (tmp_path / "file").touch()
    with pytest.raises(WorldError):
        await serve(desk, tmp_path / "file")
