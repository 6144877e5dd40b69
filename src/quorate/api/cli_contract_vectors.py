"""`quorate contract verify-vectors`: replays the conformance vectors on the engines of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from cyclopts import App, Parameter

import quorate
from quorate import errors
from quorate.api import problems, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.contract_inputs import read_text
from quorate.api.help_pages import epilogue
from quorate.errors import InvalidField, UnreadableFile

FOLDER = Path("tests") / "vectors" / "bytecode"
SHOWN_MAX = 300

app = App(
    name="verify-vectors",
    help_epilogue=epilogue(
        "quorate contract verify-vectors\n"
        "quorate contract verify-vectors --engine wasm --vectors tests/vectors/bytecode",
        errors.UnreadableFile,
        errors.InvalidField,
        done="every engine met every vector",
        others="70 an engine gave something else",
    ),
)


class Tally(NamedTuple):
    """What one engine made of all vectors. `first` is the first that it did not meet."""

    engine: str
    vectors: int
    differ: int
    first: dict[str, Any] | None


@app.default
def verify_vectors(
    *,
    engine: Literal["reference", "wasm", "translation", "all"] = "all",
    vectors: Annotated[Path | None, Parameter(show_default=False)] = None,
    output: Output = PLAIN,
) -> int:
    """Replay the conformance vectors of the contract machine (docs/spec/bytecode.md, section 9) and count what differs.

    Parameters
    ----------
    engine
        The interpreter that is the specification, the machine in C compiled to WebAssembly, contracts translated to
        WebAssembly, or all of them.
    vectors
        The folder of the vectors (default: that of the checkout this command runs from).
    """
    from quorate.execute.bytecode.engines import ENGINES

    files = [_read(path) for path in _paths(vectors or _shipped())]
    tallies = [_tally(name, files) for name in (ENGINES if engine == "all" else [engine])]
    if output.json:
        render.say_json({"engines": [tally._asdict() for tally in tallies]})
    else:
        _print(tallies)
    return problems.INTERNAL if any(tally.differ for tally in tallies) else problems.OK


def _shipped() -> Path:
    folder = Path(quorate.__file__).resolve().parents[2] / FOLDER
    if not folder.is_dir():
        raise InvalidField("there is no checkout around this installation", field="vectors", fix="--vectors FOLDER")
    return folder


def _paths(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UnreadableFile(f"no .json file in {folder}", field="vectors", fix="name the folder of the vectors")
    return paths


def _read(path: Path) -> dict[str, Any]:
    try:
        file = json.loads(read_text(path, "vectors"))
    except (ValueError, RecursionError) as fault:
        raise InvalidField(f"{path}: not JSON: {str(fault)[:80]}", field="vectors") from None
    if not isinstance(file, dict) or not isinstance(file.get("vectors"), list):
        raise InvalidField(f"{path}: not a file of vectors", field="vectors")
    return file


def _tally(name: str, files: list[dict[str, Any]]) -> Tally:
    found = list(_differences(name, files))
    return Tally(name, sum(len(file["vectors"]) for file in files), len(found), found[0] if found else None)


def _differences(name: str, files: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    from quorate.execute.bytecode.engines import ENGINES
    from quorate.execute.bytecode.host import EngineFault
    from quorate.execute.bytecode.vectors import differences

    engine = ENGINES[name]()
    try:
        for file in files:
            yield from (difference._asdict() for difference in differences(file, engine))
    except EngineFault as fault:
        yield {"name": "the engine failed", "expected": {}, "seen": {"fault": str(fault)[:SHOWN_MAX]}}


def _print(tallies: list[Tally]) -> None:
    render.say_table(("engine", "vectors", "differ"), [tally[:3] for tally in tallies])
    for tally in tallies:
        if tally.first is not None:
            render.say(f"{tally.engine}: {tally.first['name']}")
            render.say(f"  expected {json.dumps(tally.first['expected'])[:SHOWN_MAX]}")
            render.say(f"  seen     {json.dumps(tally.first['seen'])[:SHOWN_MAX]}")
