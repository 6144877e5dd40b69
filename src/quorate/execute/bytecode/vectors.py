"""Conformance vectors (docs/spec/bytecode.md, section 9): from JSON to a request, and what an engine made of it back.

Whatever engine gives for every vector the form that stands in the file runs contracts as the reference does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from quorate.errors import BadContract, InvalidField, TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode.engines import Engine, Request
from quorate.execute.bytecode.host import Argument, Call, Context, Outcome, Status
from quorate.execute.bytecode.opcodes import CELL_MAX
from quorate.execute.bytecode.state import State

SELF_ID: Final = b"\xaa" * 16
SENDER: Final = b"\xbb" * 16
Json = dict[str, Any]
REJECTIONS: Final = {UnknownFunction: "function", WrongArguments: "arguments", TooLarge: "state"}


class Difference(NamedTuple):
    """A vector that an engine did not meet."""

    name: str
    expected: Json
    seen: Json


def _argument(form: Json) -> Argument:
    return bytes.fromhex(form["bytes"]) if "bytes" in form else int(form["int"])


def request_of(vector: Json, containers: Json) -> Request:
    """What `vector` asks; `containers` are those of its file."""
    call, context = vector["call"], vector.get("context", {})
    balances = {bytes.fromhex(account): int(amount) for account, amount in context.get("balances", {}).items()}
    entries, container = vector.get("state", {}), str(vector["container"])
    return Request(
        bytes.fromhex(containers.get(container, container)),
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


def entries_form(entries: Iterable[tuple[bytes, bytes]]) -> Json:
    return {key.hex(): value.hex() for key, value in entries}


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
        form["state"] = entries_form(state.updated(outcome.changes).entries)
    return {name: value for name, value in form.items() if value or name == "pc"}


def observe(vector: Json, containers: Json, engine: Engine) -> Json:
    """What `engine` does with `vector`, in the form of its expectation."""
    request = request_of(vector, containers)
    try:
        return expectation_of(engine(request), request.state)
    except BadContract as error:
        return {"refused": error.fault, "at": error.at}
    except (UnknownFunction, WrongArguments, TooLarge) as error:
        return {"rejected": REJECTIONS[type(error)]}


def differences(file: Json, engine: Engine) -> Iterator[Difference]:
    """The vectors of a file that `engine` does not meet. Raises InvalidField for what is no file of vectors."""
    try:
        containers, vectors = file["containers"], file["vectors"]
        for vector in vectors:
            seen = observe(vector, containers, engine)
            if seen != vector["expect"]:
                yield Difference(vector["name"], vector["expect"], seen)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        what = f"{type(fault).__name__}: {str(fault)[:100]}"
        raise InvalidField(
            f"not a file of vectors: {what}", field="vectors", fix="see section 9 of the machine's page"
        ) from None
