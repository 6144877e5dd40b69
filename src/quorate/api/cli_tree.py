"""The tree of commands of `quorate`. Parts are loaded when they are named, so that `--help` stays fast."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from quorate.api.cli_options import EVERYWHERE, PLAIN, Output

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
app.command("quorate.api.cli_contract:app", name="contract", help="Build, run, deploy and call contracts.")
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
def completion(shell: Literal["bash", "zsh", "fish"], *, output: Output = PLAIN) -> int:
    """Print the completion script of a shell."""
    script = app.generate_completion(shell=shell)
    if output.json:
        from quorate.api.render import say_json

        say_json({"shell": shell, "script": script})
    else:
        print(script)
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
