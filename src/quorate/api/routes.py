"""What the HTTP door of a requester's node answers (FastAPI): a table of routes, each a verb of `commands` and a form
of its answer.

Values travel as their canonical CBOR, views as JSON, errors as problem details. Bodies are limited before they are
read. The description is at /openapi.json and /docs. Handlers take the raw request: nothing is parsed twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import quorate
from quorate.api import commands, problems
from quorate.api.commands import Desk
from quorate.api.schemas import Ids, JobView, Listing, Ready, json_schema, version_of, view_of
from quorate.errors import InvalidField, MalformedBytes, QuorateError, TooLarge, UserError
from quorate.model.codec import Value, decode, encode
from quorate.model.submission import Await, DeployOrder, JobIds, QuoteRequest, Submission, Wraps
from quorate.model.transaction import AskContract
from quorate.model.units import MIB, Millis

CBOR = "application/cbor"
JSON = "application/json"
EVENTS = "text/event-stream"
SMALL_BODY_MAX = MIB
BODY_MAX = {
    "/v1/jobs": Submission.size_max,
    "/v1/wraps": Wraps.size_max,
    "/v1/contracts": DeployOrder.size_max,
}
POLL_S = 0.05
KEEPALIVE_S = 15.0

V = TypeVar("V", bound=Value)
S = TypeVar("S", bound=msgspec.Struct)


def app(desk: Desk) -> FastAPI:
    """The door of `desk`, as an ASGI application."""
    # FastAPI would write refused bodies to a telemetry log where one is set up.
    door = FastAPI(
        title="Quorate", version="1", summary=(quorate.__doc__ or "").partition("\n")[0], telemetry={"logs": False}
    )
    handlers = Handlers(desk)
    for route in ROUTES:
        door.add_api_route(
            route.path,
            getattr(handlers, route.handler),
            methods=[route.method],
            operation_id=route.handler,
            summary=route.summary,
            response_class=Response,
            responses=route.responses(),
            openapi_extra=route.request(),
        )
    door.add_exception_handler(HTTPException, _unknown_path)
    door.add_exception_handler(QuorateError, _refused)
    door.add_exception_handler(Exception, _refused)
    door.add_middleware(BodyLimit, blob_bytes_max=commands.blob_bytes_max(desk.genesis))
    return door


class Handlers:
    """One method for each route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def submit(self, request: Request) -> Response:
        return _cbor(await commands.submit(self._desk, await _value(request, Submission)), status=202)

    async def contract(self, request: Request) -> Response:
        return _cbor(await self._desk.contract(await _value(request, AskContract)))

    async def deploy(self, request: Request) -> Response:
        return _cbor(await self._desk.deploy(await _value(request, DeployOrder)), status=201)

    async def draws(self, request: Request) -> Response:
        return _cbor(await self._desk.draws(commands.waiting(await _value(request, JobIds))))

    async def wrap(self, request: Request) -> Response:
        await self._desk.wrap(await _value(request, Wraps))
        return Response(status_code=204)

    async def wait(self, request: Request) -> Response:
        ask = commands.waiting(await _value(request, Await))
        states = await self._desk.wait(ask)
        ready = await commands.results(self._desk, states) if ask.results else ()
        now = _now_ms()
        views = tuple(view_of(state, now, notes=False) for state in states)
        return _json(Listing(views, tuple(Ready(encode(view), copy or b"") for view, copy in ready)))

    async def listing(self, request: Request) -> Response:
        limit = _number(request.query_params.get("limit", "100"), "limit")
        now = _now_ms()
        return _json(Listing(tuple(view_of(state, now, notes=False) for state in commands.newest(self._desk, limit))))

    async def status(self, request: Request) -> Response:
        return _json(view_of(commands.find_job(self._desk, request.path_params["job"]), _now_ms()))

    async def events(self, request: Request) -> Response:
        job = commands.find_job(self._desk, request.path_params["job"]).job_id
        seen = request.headers.get("last-event-id", "")
        return StreamingResponse(self._changes(job, seen), media_type=EVENTS, headers={"Cache-Control": "no-store"})

    async def _changes(self, job: Any, seen: str) -> AsyncIterator[bytes]:
        """The view whenever it changes, until the job is settled. Event ids are versions, so that a reader can go on
        where it left off."""
        last, quiet_since = None, time.monotonic()
        while last is None or last.stage != "done":
            state = self._desk.state(job)
            if state is not last:
                last = state
                view = view_of(state, _now_ms())
                version = version_of(view)
                if version != seen:
                    seen, quiet_since = version, time.monotonic()
                    yield format_sse_event(data_str=msgspec.json.encode(view).decode(), event="state", id=version)
            elif time.monotonic() - quiet_since > KEEPALIVE_S:
                quiet_since = time.monotonic()
                yield KEEPALIVE_COMMENT
            else:
                await asyncio.sleep(POLL_S)

    async def result(self, request: Request) -> Response:
        return _cbor(self._desk.result(commands.find_job(self._desk, request.path_params["job"]).job_id))

    async def receipt(self, request: Request) -> Response:
        return _cbor(await self._desk.receipt(commands.find_job(self._desk, request.path_params["job"]).job_id))

    async def explain(self, request: Request) -> Response:
        return _json(commands.explain(commands.find_job(self._desk, request.path_params["job"]), _now_ms()))

    async def cancel(self, request: Request) -> Response:
        job = commands.find_job(self._desk, request.path_params["job"]).job_id
        return _json(view_of(await self._desk.cancel(job), _now_ms()))

    async def quote(self, request: Request) -> Response:
        return _json(self._desk.quote(await _value(request, QuoteRequest)))

    async def missing_blobs(self, request: Request) -> Response:
        asked = await _struct(request, Ids)
        digests = [commands.digest_named(item, "digests") for item in asked.digests]
        missing = await commands.missing_blobs(self._desk, digests)
        return _json(Ids(tuple(digest.hex() for digest in missing)))

    async def get_blob(self, request: Request) -> Response:
        data = await commands.get_blob(self._desk, commands.digest_named(request.path_params["digest"]))
        return Response(data, media_type="application/octet-stream")

    async def has_blob(self, request: Request) -> Response:
        digest = commands.digest_named(request.path_params["digest"])
        return Response(status_code=200 if self._desk.blobs.has(digest) else 404)

    async def put_blob(self, request: Request) -> Response:
        digest = commands.digest_named(request.path_params["digest"])
        await commands.put_blob(self._desk, digest, await request.body())
        return Response(status_code=204)

    async def network(self, request: Request) -> Response:
        own = {"network": self._desk.network.hex(), "node": self._desk.node_id.hex()}
        return _json({**self._desk.overview(), **own})

    async def genesis(self, request: Request) -> Response:
        return _cbor(self._desk.genesis)

    async def problems(self, request: Request) -> Response:
        return _json(problems.listing())


class Route(NamedTuple):
    """One row: what comes in (`takes`: the noun of a value, or a JSON struct) and what goes out (a media type, or a
    JSON struct)."""

    method: str
    path: str
    handler: str
    summary: str
    gives: str | type[msgspec.Struct]
    takes: str | type[msgspec.Struct] = ""

    def responses(self) -> dict[int | str, dict[str, Any]]:
        failed = {
            "description": "The error, by the name of its class",
            "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}},
        }
        return {200: {"description": self.summary, "content": _content(self.gives)}, "default": failed}

    def request(self) -> dict[str, Any] | None:
        return {"requestBody": {"required": True, "content": _content(self.takes)}} if self.takes else None


def _content(form: str | type[msgspec.Struct]) -> dict[str, Any]:
    if not isinstance(form, str):
        return {JSON: {"schema": json_schema(form)}}
    if form in (JSON, EVENTS):
        return {form: {"schema": {}}}
    if "/" in form:
        return {form: {"schema": {"type": "string", "format": "binary"}}}
    return {
        CBOR: {
            "schema": {"type": "string", "format": "binary", "description": f"the canonical bytes of a {form} value"}
        }
    }


_PROBLEM = json_schema(problems.Problem)
BYTES = "application/octet-stream"

ROUTES = (
    Route(
        "POST", "/v1/jobs", "submit", "Submit sealed and signed jobs: all or none, idempotent", "accepted", "submission"
    ),
    Route("POST", "/v1/contracts", "deploy", "Deploy a signed contract", "contract_head", "deploy_order"),
    Route("POST", "/v1/contracts/head", "contract", "Where a contract stands", "contract_head", "ask_contract"),
    Route("GET", "/v1/jobs", "listing", "Jobs, newest first (limit)", Listing),
    Route("POST", "/v1/draws", "draws", "Who was drawn for private jobs, with the evidence", "draws", "job_ids"),
    Route("POST", "/v1/wraps", "wrap", "Input keys wrapped for the members drawn", BYTES, "wraps"),
    Route("POST", "/v1/wait", "wait", "Wait until all these jobs are settled, or the time is up", Listing, "await"),
    Route("GET", "/v1/jobs/{job}", "status", "The state of one job; the beginning of an id will do", JobView),
    Route("GET", "/v1/jobs/{job}/events", "events", "The state whenever it changes (server-sent events)", EVENTS),
    Route("GET", "/v1/jobs/{job}/result", "result", "The sealed copies of the result, by digest", "result"),
    Route("GET", "/v1/jobs/{job}/receipt", "receipt", "The receipt, which verifies offline", "receipt"),
    Route("GET", "/v1/jobs/{job}/explain", "explain", "Which rule removed which node, which clock runs", JSON),
    Route("POST", "/v1/jobs/{job}/cancel", "cancel", "Cancel; answers once the guests are gone", JobView),
    Route("POST", "/v1/quote", "quote", "Price, who sees what, odds, before anything is spent", JSON, "quote_request"),
    Route("POST", "/v1/blobs/missing", "missing_blobs", "Which of these blobs are not here", Ids, Ids),
    Route("GET", "/v1/blobs/{digest}", "get_blob", "The bytes with this BLAKE3-256 digest", BYTES),
    Route("HEAD", "/v1/blobs/{digest}", "has_blob", "Whether the bytes with this digest are here", BYTES),
    Route("PUT", "/v1/blobs/{digest}", "put_blob", "Store bytes under their digest, durably", BYTES, BYTES),
    Route("GET", "/v1/network", "network", "What this node knows of its network", JSON),
    Route("GET", "/v1/genesis", "genesis", "The genesis, whose digest is the network id", "genesis"),
    Route("GET", "/v1/problems", "problems", "Every error with its HTTP status and exit code", JSON),
)


class BodyLimit:
    """Refuses a body above the limit of its path: at once when its length is declared, else as soon as it has grown too
    long."""

    def __init__(self, app: ASGIApp, blob_bytes_max: int) -> None:
        self._app = app
        self._blob_bytes_max = blob_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, size = self._limit(scope), 0
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")

        async def limited() -> Message:
            nonlocal size
            _refuse_above(limit, int(declared) if declared.isdigit() else 0)
            message = await receive()
            size += len(message.get("body", b""))
            _refuse_above(limit, size)
            return message

        await self._app(scope, limited, send)

    def _limit(self, scope: Scope) -> int:
        if scope["method"] == "PUT":
            return self._blob_bytes_max
        return BODY_MAX.get(scope["path"], SMALL_BODY_MAX)


def _refuse_above(limit: int, size: int) -> None:
    if size > limit:
        raise TooLarge(f"{size} bytes or more", field="body", limit=f"{limit} bytes", fix="send it in parts")


async def _value(request: Request, kind: type[V]) -> V:
    return decode(await request.body(), kind)


async def _struct(request: Request, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise MalformedBytes(str(fault), field="body") from None


def _number(text: str, field: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidField(repr(text[:20]), field=field, limit="a whole number")
    return int(text)


def _cbor(value: Value, status: int = 200) -> Response:
    return Response(encode(value), status_code=status, media_type=CBOR)


def _json(plain: Any) -> Response:
    return Response(msgspec.json.encode(plain), media_type=JSON)


def _problem(problem: problems.Problem) -> Response:
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=problems.MEDIA_TYPE)


async def _refused(request: Request, error: Exception) -> Response:
    return _problem(problems.problem_of(error))


async def _unknown_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = problems.problem_of(UserError(f"{error.detail}: {request.method} {request.url.path[:80]}"))
    return _problem(msgspec.structs.replace(refused, status=error.status_code))


def _now_ms() -> Millis:
    return Millis(time.time_ns() // 1_000_000)
