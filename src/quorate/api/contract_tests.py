"""Runs the tests that lie beside a contract: `naming_test.py` beside `naming.py`, functions `test_...(replica)`.

The tests are the user's own Python in the user's own process, as with any test runner. Each gets a fresh replica
(`quorate.execute.bytecode.replica`): the compiled contract with an empty state.
"""

from __future__ import annotations

import contextlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from quorate.api.contract_inputs import read_text
from quorate.errors import InvalidField
from quorate.execute.bytecode.compiler.program import Compiled, compile_contract
from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.replica import Cost, Replica

Test = Callable[[Replica], object]
PARAMETER = "replica"


class Result(NamedTuple):
    """How one test ended. `place` and `error` are empty if it passed."""

    name: str
    place: str = ""
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error


class Cycles(NamedTuple):
    """What calls of one function have cost; `least` and `most` of those that returned, None if none did."""

    function: str
    returned: int
    refused: int
    least: int | None
    most: int | None


class Report(NamedTuple):
    """What came of all tests of a contract."""

    file: Path
    results: tuple[Result, ...]
    cycles: tuple[Cycles, ...]

    @property
    def failed(self) -> int:
        return sum(not result.passed for result in self.results)


def tests_beside(source: Path) -> Path:
    return source.with_name(f"{source.stem}_test.py")


def run_tests(source: Path, engine: Engine) -> Report:
    """Compiles the contract and runs every test beside it. Raises CompileError for the contract, UnreadableFile and
    InvalidField for a file of tests that cannot be read or has none."""
    compiled = compile_contract(read_text(source), source.name)
    file = tests_beside(source.absolute())
    costs: list[Cost] = []
    with _importable(file.parent), contextlib.redirect_stdout(sys.stderr):
        tests = _tests_in(file)
        results = tuple(_run(name, test, compiled, engine, costs) for name, test in tests.items())
    return Report(file, results, _cycles(compiled, costs))


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Modules beside the tests can be imported, and are forgotten afterwards."""
    path = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").parent == folder:
                del sys.modules[name]


def _tests_in(file: Path) -> dict[str, Test]:
    text = read_text(file, "tests")
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    sys.modules[file.stem] = module
    try:
        exec(compile(text, str(file), "exec", dont_inherit=True), module.__dict__)
    except Exception as fault:
        raise InvalidField(
            f"{_place(fault, file)}: {_said(fault)}", field="tests", fix="the file has to run by itself"
        ) from None
    tests = {name: value for name, value in vars(module).items() if name.startswith("test_") and callable(value)}
    if not tests:
        raise InvalidField(f"{file} has no test", field="tests", fix=f"write def test_...({PARAMETER})")
    for name, test in tests.items():
        if list(inspect.signature(test).parameters) != [PARAMETER]:
            raise InvalidField(f"{name} in {file}", field="tests", limit=f"one parameter, {PARAMETER}")
    return tests


def _run(name: str, test: Test, compiled: Compiled, engine: Engine, costs: list[Cost]) -> Result:
    replica = Replica(compiled, engine)
    try:
        test(replica)
    except (Exception, SystemExit) as fault:
        return Result(name, _place(fault, Path(test.__code__.co_filename)), _said(fault))
    finally:
        costs += replica.costs
    return Result(name)


def _place(fault: BaseException, file: Path) -> str:
    """The last line of the tests that led to the fault."""
    if isinstance(fault, SyntaxError):
        return f"{file.name}:{fault.lineno or 1}"
    lines = [frame.lineno for frame in traceback.extract_tb(fault.__traceback__) if frame.filename == str(file)]
    return f"{file.name}:{lines[-1] if lines else 1}"


def _said(fault: BaseException) -> str:
    """What went wrong, in one line; of a bare assertion the line itself."""
    text = " ".join(str(fault).split())
    if not text:
        frames = traceback.extract_tb(fault.__traceback__)
        text = linecache.getline(frames[-1].filename, frames[-1].lineno or 1).strip() if frames else ""
    return f"{type(fault).__name__}: {text}"[:500]


def _cycles(compiled: Compiled, costs: list[Cost]) -> tuple[Cycles, ...]:
    """In the order of the source."""
    found = []
    for function in compiled.functions:
        used = [cost.cycles for cost in costs if (cost.function, cost.trap) == (function, "NONE")]
        calls = sum(cost.function == function for cost in costs)
        least, most = (min(used), max(used)) if used else (None, None)
        found.append(Cycles(function, len(used), calls - len(used), least, most))
    return tuple(found)
