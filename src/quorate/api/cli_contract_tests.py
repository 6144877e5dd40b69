"""`quorate contract test`: the tests that lie beside a contract, and what the calls in them have cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from quorate import errors
from quorate.api import problems, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.help_pages import epilogue

if TYPE_CHECKING:
    from quorate.api.contract_tests import Report

app = App(
    name="test",
    help_epilogue=epilogue(
        "quorate contract test contracts/naming/naming.py\n"
        "quorate contract test contracts/naming/naming.py --engine reference",
        errors.UnreadableFile,
        errors.InvalidField,
        errors.FailedTests,
        errors.CompileError,
        done="every test passed",
    ),
)


@app.default
def run_beside(
    source: Annotated[Path, Parameter(show_default=False)],
    *,
    engine: Literal["reference", "wasm", "translation"] = "wasm",
    output: Output = PLAIN,
) -> int:
    """Run the tests that lie beside a contract: those of naming_test.py for naming.py.

    Parameters
    ----------
    source
        The contract. Its tests, test_...(replica) in the file beside it, are your own code and run as you, unconfined.
    engine
        What runs the contract. All of them give the same, to the last cycle; the reference is the slowest.
    """
    from quorate.api.contract_tests import run_tests
    from quorate.execute.bytecode.engines import ENGINES

    report = run_tests(source, ENGINES[engine]())
    if output.json:
        render.say_json(_plain(report))
    else:
        _print(report)
    return problems.TABLE[errors.FailedTests].exit_code if report.failed else problems.OK


def _plain(report: Report) -> dict[str, object]:
    return {
        "file": str(report.file),
        "passed": len(report.results) - report.failed,
        "failed": report.failed,
        "tests": [{**result._asdict(), "passed": result.passed} for result in report.results],
        "cycles": [used._asdict() for used in report.cycles],
    }


def _print(report: Report) -> None:
    for result in report.results:
        render.say(f"passed  {result.name}" if result.passed else f"failed  {result.name}")
        if not result.passed:
            render.say(f"        {result.place}: {result.error}")
    render.say(f"{len(report.results) - report.failed} of {len(report.results)} passed")
    render.say()
    rows = [(one.function, one.returned, one.refused, _known(one.least), _known(one.most)) for one in report.cycles]
    render.say_table(("function", "returned", "refused", "least cycles", "most cycles"), rows)


def _known(cycles: int | None) -> str:
    return "-" if cycles is None else str(cycles)
