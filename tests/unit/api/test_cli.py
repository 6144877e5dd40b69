"""The command line by itself: help, usage errors, the look of an error, what is loaded when. No network is needed."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App
from tests.support.terminal import Cli, cli_for

from quorate.api import cli_tree, problems
from quorate.errors import AboveCap, PathTooLong

HEAVY = {"wasmtime", "zenoh", "fastapi", "cryptography", "h11", "uvicorn", "asyncio", "cbor2", "rich.markdown"}
HELP_CPU_S_MAX = 0.3


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return cli_for(capfd, monkeypatch, tmp_path / "home")


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    yield path, app
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*path, name))


COMMANDS = dict(commands(cli_tree.app))
VERBS = [path for path in COMMANDS if path]


def named(path: tuple[str, ...]) -> str:
    return " ".join(path) or "quorate"


def test_the_commands_are_those_of_the_design() -> None:
    compute = {"submit", "status", "result", "run", "list", "cancel", "logs", "explain", "quote", "receipt"}
    assert {path[1] for path in VERBS if path[0] == "compute" and len(path) > 1} == compute
    assert {path[1] for path in VERBS if path[0] == "localnet" and len(path) > 1} == {"up", "status", "down"}
    assert {path[0] for path in VERBS} == {
        "completion", "compute", "contract", "demo", "doctor", "errors", "localnet", "verify",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=named)
def test_every_help_page_has_an_example_and_exit_codes(run: Cli, path: tuple[str, ...]) -> None:
    done = run(*path, "--help")
    assert done.code == 0
    assert done.err == ""
    assert "\nExample:\n  quorate " in done.out
    assert "\nExit codes:\n" in done.out
    assert max(len(line) for line in done.out.splitlines()) <= 80
    codes = [line for line in done.out.partition("Exit codes:\n")[2].splitlines() if line.strip()[0].isdigit()]
    assert all(line[4].isdigit() for line in codes), "the codes stand in one column"


@pytest.mark.parametrize("path", COMMANDS, ids=named)
def test_every_example_parses(path: tuple[str, ...]) -> None:
    page = COMMANDS[path].help_epilogue or ""
    text = page.partition("Example:")[2].partition("Exit codes:")[0].replace("\\\n", " ")
    lines = [line.partition("   #")[0].partition(">")[0].strip() for line in text.splitlines() if line.strip()]
    assert lines
    for line in lines:
        tokens = shlex.split(line)
        assert tokens[0] == "quorate"
        rest = tokens[3:] if tokens[1:2] == ["--home"] else tokens[1:]
        command, *_ = cli_tree.app.parse_args(rest, exit_on_error=False, print_error=False)
        assert callable(command)


@pytest.mark.parametrize("path", [path for path in VERBS if not list(commands(COMMANDS[path]))[1:]], ids=named)
def test_every_verb_takes_json_and_home(run: Cli, path: tuple[str, ...]) -> None:
    page = run(*path, "--help").out
    assert "--home" in page
    assert "--json" in page


def test_no_command_at_all_shows_the_help(run: Cli) -> None:
    assert run().out == run("--help").out


def test_version_is_one_word(run: Cli) -> None:
    done = run("--version")
    assert done.code == 0
    assert done.out.strip().count(".") >= 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nope",), "nope"),
        (("localnet", "upp"), 'Did you mean "up"?'),
        (("compute", "statsu"), "quote, result, ...; fix: "),
        (("localnet", "up", "--nodes", "three"), "--nodes"),
        (("localnet", "up", "--nodes"), "--nodes: missing"),
        (("compute", "submit"), "--wasm: missing"),
        (("compute", "submit", "--wasm", "a.wasm", "--proof", "stark"), "--proof"),
        (("compute", "submit", "--wasm", "a.wasm", "extra"), "extra"),
        (("compute", "status"), "error: JOB: missing"),
        (("verify",), "error: RECEIPT: missing"),
        (("completion", "tcsh"), "tcsh"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.code == problems.USAGE
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("quorate: error: ")
    assert said in done.err
    assert "; fix: see quorate" in done.err


def test_an_error_names_field_limit_and_fix_in_one_line(run: Cli) -> None:
    done = run("localnet", "up", "--nodes", "0")
    assert (done.code, done.out) == (29, "")
    assert done.err == "quorate: error: nodes: 0; limit: 1 to 64; fix: choose a number in between\n"


def test_with_json_an_error_is_a_document_too(run: Cli) -> None:
    done = run("localnet", "up", "--nodes", "0", "--json")
    told = json.loads(done.out)["error"]
    assert done.code == told["exit_code"] == 29
    assert (told["title"], told["field"], told["limit"]) == ("InvalidField", "nodes", "1 to 64")
    assert done.err.count("\n") == 1


def test_a_home_that_is_too_deep_for_a_socket_is_refused_before_anything_is_made(run: Cli, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    done = run("--home", str(deep), "localnet", "up")
    assert done.code == problems.TABLE[PathTooLong].exit_code
    assert "limit: 107 bytes" in done.err
    assert not deep.exists()


def test_home_before_or_behind_the_command_is_the_same(run: Cli, tmp_path: Path) -> None:
    first = run("--home", str(tmp_path / "x"), "localnet", "status")
    second = run("localnet", "status", "--home", str(tmp_path / "x"))
    assert (first.code, first.err) == (second.code, second.err)
    assert first.code == 61
    assert f"no network under {tmp_path / 'x'}" in first.err


def broken(error: BaseException) -> Callable[..., object]:
    def function(*_: object, **__: object) -> object:
        raise error

    return function


def test_a_fault_of_the_program_is_one_line_without_its_message(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.api.problems.listing", broken(ZeroDivisionError("a secret")))
    done = run("errors")
    assert done.code == problems.INTERNAL
    assert done.err.count("\n") == 1
    assert "QUORATE_DEBUG=1" in done.err
    assert "secret" not in done.err


def test_debugging_shows_where(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.api.problems.listing", broken(ZeroDivisionError("here")))
    monkeypatch.setenv("QUORATE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("errors")


def test_an_interruption_is_one_line_and_130(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.api.problems.listing", broken(KeyboardInterrupt()))
    done = run("errors")
    assert done.code == problems.INTERRUPTED
    assert done.err == "quorate: interrupted; nothing was changed\n"


def test_an_error_of_the_system_that_nobody_named_is_a_world_error(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.api.problems.listing", broken(OSError(28, "No space left on device", "/x")))
    done = run("errors")
    assert (done.code, done.err.count("\n")) == (65, 1)
    assert "/x: No space left on device" in done.err


def quorate(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quorate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **changes})


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f"{shlex.quote(sys.executable)} -m quorate errors --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, json\nfrom quorate.api.cli import main\ncode = main(['--help'])\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    code, loaded = json.loads(done.stderr)
    assert code == 0
    assert sorted(HEAVY & set(loaded)) == []
    assert "quorate.api.client" not in loaded


def test_help_is_fast() -> None:
    """In processor time, which does not depend on what else the machine does; the best of five."""
    best = min(_cpu_seconds([sys.executable, "-m", "quorate", "--help"]) for _ in range(5))
    assert best <= HELP_CPU_S_MAX


def _cpu_seconds(command: list[str]) -> float:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_utime + usage.ru_stime


def on_a_terminal(*arguments: str, **changes: str) -> str:
    """What the command writes to a terminal of 80 columns."""
    parent, child = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm-256color", "COLUMNS": "80", **changes}
    with subprocess.Popen(
        [sys.executable, "-m", "quorate", *arguments], stdout=child, stderr=child, env=env
    ) as process:
        os.close(child)
        shown = bytearray()
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(parent)
        assert process.wait(30) == 0
    return shown.decode()


def test_colour_is_for_terminals_that_want_it() -> None:
    assert "\x1b[32m" in on_a_terminal("doctor")
    assert "\x1b[32m" not in on_a_terminal("doctor", NO_COLOR="1")
    assert "\x1b" not in quorate("doctor", FORCE_COLOR="").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(run: Cli, shell: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    for word in ("localnet", "submit", "private", "replication"):
        assert word in done.out


def test_the_bash_completion_completes(run: Cli, tmp_path: Path) -> None:
    script = tmp_path / "quorate.bash"
    script.write_text(run("completion", "bash").out)
    lines = f"""
        source {shlex.quote(str(script))}
        COMP_WORDS=(quorate compute su); COMP_CWORD=2; COMP_LINE="quorate compute su"; COMP_POINT=18
        _quorate quorate su compute; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["submit"]


def test_a_completion_script_comes_as_json_too(run: Cli) -> None:
    told = json.loads(run("completion", "fish", "--json").out)
    assert (told["shell"], told["script"]) == ("fish", run("completion", "fish").out.removesuffix("\n"))


@pytest.mark.parametrize("columns", [40, 80])
def test_a_table_breaks_no_word_on_a_narrow_terminal(columns: int) -> None:
    told = re.sub("\x1b\\[[0-9]*m", "", on_a_terminal("doctor", COLUMNS=str(columns)))
    assert max(len(line) for line in told.splitlines() if "/" not in line) <= columns
    for word in ("unprivileged", "not_dumpable", "parent_death", "processor", "attestation"):
        assert word in told


def test_the_advice_on_a_job_names_options(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "quorate.node.localnet.status", broken(AboveCap("300", field="memory_bytes", fix="lower memory_bytes"))
    )
    assert run("localnet", "status").err == "quorate: error: memory_bytes: 300; fix: lower --memory-mib\n"
