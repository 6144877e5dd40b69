"""`quorate errors`: the one table of errors, exit codes and HTTP statuses."""

from __future__ import annotations

from cyclopts import App

from quorate.api import problems, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.help_pages import epilogue

OTHERS = (
    (problems.OK, "done"),
    (problems.USAGE, "wrong usage of the command line"),
    (problems.VALID_SIMULATED, "verify: valid, with simulated parts"),
    (problems.UNAUTHENTICATED, "verify: consistent, but nothing pins the network"),
    (problems.INVALID, "verify: invalid"),
    (problems.INTERRUPTED, "interrupted by the user"),
)

app = App(
    name="errors", help="Every error with its exit code and HTTP status.", help_epilogue=epilogue("quorate errors")
)


@app.default
def errors(*, output: Output = PLAIN) -> int:
    """Every error with its exit code and HTTP status."""
    listed = problems.listing()
    if output.json:
        others = [{"exit_code": code, "meaning": meaning} for code, meaning in OTHERS]
        render.say_json({"errors": listed, "others": others})
        return 0
    rows: list[tuple[int, object, str]] = [(code, "", meaning) for code, meaning in OTHERS]
    rows += [(row["exit_code"], row["status"], row["title"]) for row in listed]
    ordered = sorted(rows, key=lambda row: row[0])
    render.say_table(("exit code", "HTTP status", "error"), ordered)
    return 0
