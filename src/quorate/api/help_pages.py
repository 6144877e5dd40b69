"""What every `--help` ends with: an example to copy and the exit codes of that command, from the one table."""

from __future__ import annotations

import re

from quorate import errors
from quorate.api import problems
from quorate.errors import QuorateError

Kind = type[QuorateError]

FILES = (errors.UnreadableFile, errors.NotWasm, errors.MalformedModule, errors.ForbiddenImport, errors.MissingEntry)
ASKED = (errors.TooLarge, errors.AboveCap, errors.ContradictoryOptions, errors.InvalidField)
PAID = (errors.CohortTooLarge, errors.UnaffordableJob, errors.PolicyRefused)
WORLD = (errors.NoNetwork, errors.WorldError)
ENDED = (
    errors.JobFailed,
    errors.JobRejected,
    errors.JobCancelled,
    errors.MatchTimeout,
    errors.TransferTimeout,
    errors.RunTimeout,
    errors.VerifyTimeout,
)
FOUND = (errors.UnknownJob, errors.InvalidField)


def epilogue(example: str, *kinds: Kind, done: str = "done", others: str = "") -> str:
    """The last part of a help page. `kinds` are the errors that this command is likely to end with; `others`
    are further lines of a code and its meaning."""
    lines = [f"  {line}" for line in example.strip().splitlines()]
    codes = [f"  {problems.OK:>3}  {done}", f"  {problems.USAGE:>3}  wrong usage of the command line"]
    codes += [f"  {code:>3}  {said.strip()}" for code, _, said in (row.strip().partition(" ") for row in _rows(others))]
    rows = sorted((problems.TABLE[kind].exit_code, kind) for kind in kinds)
    codes += [f"  {code:>3}  {words(kind.__name__)}" for code, kind in rows]
    codes += ["  130  interrupted by the user", "  quorate errors lists all of them"]
    return "\n".join(["Example:", *lines, "", "Exit codes:", *codes])


def _rows(text: str) -> list[str]:
    return [row for row in text.splitlines() if row.strip()]


def words(name: str) -> str:
    """The name of an error class as words: NoNetwork, `no network`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
