"""The command line: `quorate`. Parts are loaded when they are named, so that `--help` stays fast.

An error is one line on standard error, `quorate: error: field: what; limit: ...; fix: ...`, and an exit code from the
one table in `problems`. There is no traceback; QUORATE_DEBUG=1 shows it for faults of this program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter

from quorate.api.cli_options import EVERYWHERE

if TYPE_CHECKING:
    from quorate.errors import QuorateError

USAGE = 2
INTERNAL = 70
INTERRUPTED = 130
OPTIONS = Parameter(negative="", negative_iterable=(), show_default=lambda value: value or None)

ROOT_EPILOGUE = """\
Example:
  quorate demo
  quorate localnet up --nodes 4
  quorate compute submit --wasm ./my_program.wasm --input ./input.json \\
      --private --replication 3

Exit codes:
    0       done
    2       wrong usage of the command line
   10-12    outcomes of quorate verify other than valid
   20-49    you can mend it: a file, an option, a key, a limit
   50-59    the job ended without a result
   60-69    disk, network, clock or another process
   70       a fault of this program
   80-89    another party broke a rule
  130       interrupted by the user
  quorate errors lists all of them"""


def _version() -> str:
    from importlib.metadata import version

    return version("quorate")


app = App(
    name="quorate",
    help="Run code on machines you do not trust; keep the data private; get a result anyone can check.",
    help_format="plaintext",
    help_epilogue=ROOT_EPILOGUE,
    version=_version,
    default_parameter=OPTIONS,
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False
app["--help"].group = EVERYWHERE
app["--version"].group = EVERYWHERE
app.command("quorate.api.demo:app", name="demo", help="Watch a private job run, from submission to a verified receipt.")
app.command("quorate.api.cli_localnet:app", name="localnet", help="Start, show and stop a network on this machine.")
app.command("quorate.api.cli_compute:app", name="compute", help="Submit jobs, follow them, open their results.")
app.command("quorate.api.cli_verify:app", name="verify", help="Verify a receipt offline.")
app.command("quorate.api.doctor:app", name="doctor", help="What is real, simulated or absent on this machine.")
app.command("quorate.api.cli_errors:app", name="errors", help="Every error with its exit code and HTTP status.")


@app.command(
    help_epilogue="""\
Example:
  quorate completion bash > ~/.local/share/bash-completion/completions/quorate
  quorate completion zsh > ~/.zfunc/_quorate
  quorate completion fish > ~/.config/fish/completions/quorate.fish

Exit codes:
    0  done
    2  wrong usage of the command line"""
)
def completion(shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print the completion script of a shell."""
    print(app.generate_completion(shell=shell))
    return 0


@app.meta.default
def everywhere(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Annotated[Path | None, Parameter(group=EVERYWHERE, show_default=False)] = None,
) -> Any:
    """
    Parameters
    ----------
    home
        Where keys, stores and the network live (default: QUORATE_HOME, else the XDG data folder).
    """
    if home is not None:
        os.environ["QUORATE_HOME"] = str(home.absolute())
    return app(tokens)


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
        from quorate.api.foreground import farewell

        return _end(INTERRUPTED, "Interrupted", farewell(), given)


def _run(given: list[str]) -> int:
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

    problem = problem_of(error)
    more = {"field": problem.field, "limit": problem.limit, "fix": problem.fix, "detail": problem.detail}
    return _end(exit_code(error), problem.title, f"error: {error}", given, **more)


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
    command = " ".join(("quorate", *(error.command_chain or ())))
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, MissingArgumentError) and error.argument is not None and "Did you mean" not in text:
        text = f"{error.argument.name}: missing"
    return f"{text}; fix: see {command} --help"


def _of_the_world(error: OSError) -> QuorateError:
    """What the operating system refused and no part has named."""
    import errno

    from quorate.errors import DiskFull, WorldError

    kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else WorldError
    name = str(error.filename or "")
    return kind(error.strerror or type(error).__name__, field=name, fix="free some space" if kind is DiskFull else "")
