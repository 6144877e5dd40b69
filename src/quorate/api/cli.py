"""The command line, `quorate`: runs one command and turns whatever ends it into one line and an exit code.

An error is one line on standard error, `quorate: error: field: what; limit: ...; fix: ...`, and an exit code from the
one table in `problems`. There is no traceback; QUORATE_DEBUG=1 shows it for faults of this program. The tree of
commands is in `cli_tree`; it is loaded inside `main`, so that Ctrl-C is answered in one line from the start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from quorate.api.foreground import farewell

if TYPE_CHECKING:
    from cyclopts import CycloptsError

    from quorate.errors import QuorateError

USAGE = 2
INTERNAL = 70
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the answer is the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader went away (`| head`): there is no one left to tell. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _end(INTERRUPTED, "Interrupted", farewell(), given)


def _run(given: list[str]) -> int:
    from cyclopts import CycloptsError

    from quorate.api.cli_tree import app
    from quorate.errors import QuorateError

    try:
        answer = app.meta(given or ["--help"], exit_on_error=False, print_error=False, result_action="return_value")
        return answer if isinstance(answer, int) else 0
    except CycloptsError as error:
        return _end(USAGE, "Usage", f"error: {_usage(error)}", given)
    except QuorateError as error:
        return _ended_with(error, given)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _ended_with(_of_the_world(error), given)
    except Exception as error:
        if os.environ.get("QUORATE_DEBUG"):
            raise
        said = (
            f"error: a fault of this program: {type(error).__name__}; fix: QUORATE_DEBUG=1 shows where, then report it"
        )
        return _end(INTERNAL, type(error).__name__, said, given)


def _ended_with(error: QuorateError, given: list[str]) -> int:
    from quorate.api.problems import exit_code, problem_of

    error.fix = _in_options(error.fix)
    problem = problem_of(error)
    more = {"field": problem.field, "limit": problem.limit, "fix": problem.fix, "detail": problem.detail}
    return _end(exit_code(error), problem.title, f"error: {error}", given, **more)


def _in_options(fix: str) -> str:
    """The advice with the options of the command line in place of the fields of a job."""
    import re

    from quorate.api.cli_options import OPTION_OF_FIELD

    return re.sub("|".join(rf"\b{name}\b" for name in OPTION_OF_FIELD), lambda found: OPTION_OF_FIELD[found[0]], fix)


def _end(code: int, title: str, said: str, given: list[str], **more: str) -> int:
    """One line on standard error, and for programs the same as JSON on standard output."""
    line = " ".join(f"quorate: {said}".split())
    if "--json" in given:
        from quorate.api.render import say_json

        told = more or {"detail": line.removeprefix("quorate: ").removeprefix("error: ")}
        say_json({"error": {"title": title, "exit_code": code, **told}})
    print(line, file=sys.stderr, flush=True)
    return code


def _usage(error: CycloptsError) -> str:
    """What cyclopts found, in one line, and where to read on."""
    from cyclopts import MissingArgumentError

    command = " ".join(("quorate", *(error.command_chain or ())))
    text = " ".join(str(error).split())
    text = text if text.endswith("...") else text.rstrip(".")
    if isinstance(error, MissingArgumentError) and error.argument is not None and "Did you mean" not in text:
        argument = error.argument
        positional = argument.field_info.kind is argument.field_info.POSITIONAL_OR_KEYWORD
        text = f"{argument.name.removeprefix('--').upper() if positional else argument.name}: missing"
    return f"{text}; fix: see {command} --help"


def _of_the_world(error: OSError) -> QuorateError:
    """What the operating system refused and no part has named."""
    import errno

    from quorate.errors import DiskFull, WorldError

    kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else WorldError
    fixes = {errno.EACCES: "choose a place of your own, see --home", errno.EROFS: "choose a place that can be written"}
    fix = "free some space" if kind is DiskFull else fixes.get(error.errno or 0, "quorate doctor shows what is missing")
    return kind(error.strerror or type(error).__name__, field=str(error.filename or "system"), fix=fix)
