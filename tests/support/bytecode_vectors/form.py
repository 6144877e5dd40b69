"""A vector as JSON (docs/spec/bytecode.md, section 9), and replaying it on any engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.repository import ROOT

from quorate.errors import BadContract, TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode.host import Argument, Call, Context, Outcome, Status
from quorate.execute.bytecode.opcodes import CELL_MAX
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load

FOLDER = ROOT / "tests" / "vectors" / "bytecode"
SELF_ID, SENDER = b"\xaa" * 16, b"\xbb" * 16
Json = dict[str, Any]
REJECTIONS = {UnknownFunction: "function", WrongArguments: "arguments", TooLarge: "state"}


class Request(NamedTuple):
    """What an engine is asked."""

    container: bytes
    address: bytes | None
    call: Call
    state: State | None
    context: Context


Engine = Callable[[Request], Outcome]
"""Runs a request, or raises BadContract, UnknownFunction, WrongArguments, TooLarge."""


@dataclass(frozen=True)
class Case:
    """A vector to be. `stated` are fields of the expectation that its author wrote by hand; the writer refuses a
    reference that disagrees with them."""

    name: str
    container: bytes
    stated: Json
    function: str = "main"
    arguments: tuple[Argument, ...] = ()
    cycles_max: int = CELL_MAX
    address: bytes | None = None
    context: Json = field(default_factory=dict)
    state: dict[bytes, bytes] | None = field(default_factory=dict)


def reference(request: Request) -> Outcome:
    contract = load(request.container, request.address)
    return run(contract, request.call, request.state, request.context)


def _argument_form(argument: Argument) -> Json:
    return {"bytes": argument.hex()} if isinstance(argument, bytes) else {"int": str(argument)}


def _entries_form(entries: Iterable[tuple[bytes, bytes]]) -> Json:
    return {key.hex(): value.hex() for key, value in entries}


def vector_of(case: Case) -> Json:
    """The vector without its expectation."""
    call: Json = {"function": case.function, "arguments": [_argument_form(one) for one in case.arguments]}
    if case.cycles_max != CELL_MAX:
        call["cycles_max"] = str(case.cycles_max)
    vector: Json = {"name": case.name, "container": case.container.hex(), "call": call}
    if case.address is not None:
        vector["address"] = case.address.hex()
    if case.context:
        vector["context"] = case.context
    if case.state is None:
        vector["state"] = None
    elif case.state:
        vector["state"] = _entries_form(case.state.items())
    return vector


def _argument(form: Json) -> Argument:
    return bytes.fromhex(form["bytes"]) if "bytes" in form else int(form["int"])


def request_of(vector: Json, containers: Json) -> Request:
    """What `vector` asks; `containers` are those of its file."""
    call, context = vector["call"], vector.get("context", {})
    balances = {bytes.fromhex(account): int(amount) for account, amount in context.get("balances", {}).items()}
    entries = vector.get("state", {})
    return Request(
        bytes.fromhex(containers.get(vector["container"], vector["container"])),
        bytes.fromhex(vector["address"]) if "address" in vector else None,
        Call(call["function"], tuple(map(_argument, call["arguments"])), int(call.get("cycles_max", CELL_MAX))),
        None if entries is None else State.of({bytes.fromhex(k): bytes.fromhex(v) for k, v in entries.items()}),
        Context.of(
            bytes.fromhex(context.get("self", SELF_ID.hex())),
            bytes.fromhex(context.get("sender", SENDER.hex())),
            int(context.get("epoch", 0)),
            balances,
        ),
    )


def expectation_of(outcome: Outcome, state: State | None) -> Json:
    """The outcome as JSON, what is zero or empty left out but for the first four fields."""
    form: Json = {
        "status": str(outcome.status),
        "trap": outcome.trap.name,
        "pc": outcome.pc,
        "cycles": str(outcome.cycles),
        "code": str(outcome.code) if outcome.code else None,
        "results": [str(cell) for cell in outcome.results],
        "logs": [record.hex() for record in outcome.logs],
        "emitted": outcome.emitted.hex(),
        "transfers": [[one.to.hex(), str(one.amount)] for one in outcome.transfers],
    }
    if outcome.status is Status.OK and state is not None:
        form["state"] = _entries_form(state.updated(outcome.changes).entries)
    return {name: value for name, value in form.items() if value or name == "pc"}


def observe(vector: Json, containers: Json, engine: Engine = reference) -> Json:
    """What `engine` does with `vector`, in the form of its expectation."""
    request = request_of(vector, containers)
    try:
        return expectation_of(engine(request), request.state)
    except BadContract as error:
        return {"refused": error.fault, "at": error.at}
    except (UnknownFunction, WrongArguments, TooLarge) as error:
        return {"rejected": REJECTIONS[type(error)]}


def written(about: str, cases: list[Case]) -> str:
    """The text of a vector file. Containers that more than one vector uses are listed once."""
    uses: dict[bytes, int] = {}
    for case in cases:
        uses[case.container] = uses.get(case.container, 0) + 1
    shared = {data: f"c{index}" for index, data in enumerate(data for data, count in uses.items() if count > 1)}
    containers = {name: data.hex() for data, name in shared.items()}
    lines = []
    for case in cases:
        vector = vector_of(case)
        vector["container"] = shared.get(case.container, vector["container"])
        vector["expect"] = observe(vector, containers)
        differing = {name: vector["expect"].get(name) for name in case.stated}
        assert differing == case.stated, (case.name, case.stated, vector["expect"])
        lines.append(json.dumps(vector, separators=(",", ":")))
    head = json.dumps({"about": about, "containers": containers}, indent=1)[:-2]
    return head + ',\n "vectors": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def vectors() -> list[tuple[Json, Json]]:
    """All vectors of the repository, each with the containers of its file."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        found += [(vector, file["containers"]) for file in [read(path)] for vector in file["vectors"]]
    return found


def read(path: Path) -> Json:
    file: Json = json.loads(path.read_text())
    return file
