"""Vectors as JSON (docs/spec/bytecode.md, section 9): writing them, and reading those of the repository."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.repository import ROOT

from quorate.execute.bytecode.engines import reference_engine
from quorate.execute.bytecode.host import Argument
from quorate.execute.bytecode.opcodes import CELL_MAX
from quorate.execute.bytecode.vectors import Json, entries_form, observe

FOLDER = ROOT / "tests" / "vectors" / "bytecode"
reference = reference_engine()


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


def _argument_form(argument: Argument) -> Json:
    return {"bytes": argument.hex()} if isinstance(argument, bytes) else {"int": str(argument)}


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
        vector["state"] = entries_form(case.state.items())
    return vector


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
        vector["expect"] = observe(vector, containers, reference)
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
