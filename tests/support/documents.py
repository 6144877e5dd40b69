"""Run the commands and the Python examples of a document, in the order in which a reader meets them.

A fenced block of the kind `console` holds commands after a prompt `$ ` (a line that ends in a backslash goes on in
the next one) and, below each, what it prints. A block of the kind `python` is a doctest where it has the prompt
`>>> `, otherwise plain code. All blocks of a document share one shell, one folder and one set of Python names, so that
a later block can use what an earlier one made.

What is printed is compared where the document shows it; `...` stands for any text, also over several lines. A command
must end with exit code 0, unless a comment directly above its block says otherwise:

    <!-- run: exit=3 -->            every command of the block ends with this code
    <!-- run: timeout=300 -->       seconds for each command of the block, instead of 120
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPT = "$ "
COMMAND_SECONDS_MAX = 120.0
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<kind>[^`]*)$")
DIRECTIVE = re.compile(r"^ *<!-- run: (?P<settings>[a-z0-9= .]+) -->$")
SETTINGS = {"exit", "timeout"}
DOCTEST_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class DocumentError(Exception):
    """A document that is not written as described above."""


class ExampleError(AssertionError):
    """An example that does not do what the document shows."""


@dataclass(frozen=True)
class Command:
    """One shell command, the line it stands on, and the output shown below it (empty: any)."""

    text: str
    line: int
    output: str


@dataclass(frozen=True)
class Block:
    """One fenced block: its kind, its first line, its content and the settings of the comment above it."""

    kind: str
    line: int
    text: str
    settings: Mapping[str, str]


def blocks(document: str) -> list[Block]:
    """All fenced blocks of a Markdown text. Raises DocumentError for a block without end or an unknown setting."""
    found: list[Block] = []
    settings: dict[str, str] = {}
    lines = iter(enumerate(document.splitlines(), 1))
    for number, line in lines:
        if match := FENCE.match(line):
            content = _content(lines, match["fence"], len(match["indent"]), number)
            found.append(Block(match["kind"].strip(), number, content, settings))
        settings = _settings(line, number) if line.strip() else settings
    return found


def _content(lines: Iterator[tuple[int, str]], fence: str, indent: int, start: int) -> str:
    content: list[str] = []
    for _, line in lines:
        if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            return "\n".join(content) + "\n"
        content.append(line[indent:] if not line[:indent].strip() else line)
    raise DocumentError(f"line {start}: the block has no end")


def _settings(line: str, number: int) -> dict[str, str]:
    match = DIRECTIVE.match(line)
    if not match:
        return {}
    settings = {key: value for key, _, value in (part.partition("=") for part in match["settings"].split())}
    if unknown := set(settings) - SETTINGS:
        raise DocumentError(f"line {number}: unknown setting {', '.join(sorted(unknown))}")
    return settings


def commands(block: Block) -> list[Command]:
    """The commands of a console block. Raises DocumentError when output comes before the first one."""
    found: list[tuple[str, int, list[str]]] = []
    open_line = False
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if open_line:
            text, first, output = found[-1]
            found[-1] = (f"{text}\n{line}", first, output)
            open_line = line.endswith("\\")
        elif line.startswith(PROMPT):
            found.append((line.removeprefix(PROMPT), number, []))
            open_line = line.endswith("\\")
        elif found:
            found[-1][2].append(line)
        elif line.strip():
            raise DocumentError(f"line {number}: output before the first command")
    return [Command(text, number, "\n".join(output).strip()) for text, number, output in found]


def matches(shown: str, printed: str) -> bool:
    """Whether what was printed is what the document shows. Spaces at the ends of lines do not count."""
    wanted = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    given = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
    return re.fullmatch(pattern, given, re.DOTALL) is not None


class Shell:
    """One bash process that runs commands one after the other and tells what each printed and its exit code."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        """End the shell and whatever it left running in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def run(self, command: str, seconds_max: float = COMMAND_SECONDS_MAX) -> tuple[str, int]:
        """What the command printed, and its exit code. Raises ExampleError when it does not end in time."""
        mark = f"end-{secrets.token_hex(8)}"
        assert self._process.stdin is not None
        # The command reads nothing: what follows in the shell's own input must not be taken for its input.
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %d\\n' {mark} $?\n".encode())
        self._process.stdin.flush()
        printed = self._read_until(mark, command, seconds_max)
        output, _, code = printed.rpartition(f"\n{mark} ")
        return output, int(code)

    def _read_until(self, mark: str, command: str, seconds_max: float) -> str:
        assert self._process.stdout is not None
        printed = b""
        deadline = time.monotonic() + seconds_max
        ending = re.compile(rb"\n" + mark.encode() + rb" (\d+)\n\Z")
        while not ending.search(printed):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            if not ready:
                raise ExampleError(f"{command}: no end after {seconds_max:.0f} s; it printed: {_text(printed)[-500:]}")
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                raise ExampleError(f"{command}: it ended the shell; it printed: {_text(printed)[-500:]}")
            printed += piece
        return _text(printed).rstrip("\n")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def run_command(shell: Shell, command: Command, settings: Mapping[str, str]) -> None:
    """Run one command and compare. Raises ExampleError."""
    printed, code = shell.run(command.text, float(settings.get("timeout", COMMAND_SECONDS_MAX)))
    wanted = int(settings.get("exit", "0"))
    if code != wanted:
        raise ExampleError(
            f"line {command.line}: {command.text}: exit code {code}, not {wanted}; it printed: {printed}"
        )
    if command.output and not matches(command.output, printed):
        raise ExampleError(f"line {command.line}: {command.text}: shown is\n{command.output}\nprinted was\n{printed}")


def run_python(block: Block, names: dict[str, Any], name: str) -> None:
    """Run one Python block over the shared names. Raises ExampleError, or what plain code raises."""
    if ">>> " not in block.text:
        exec(compile("\n" * block.line + block.text, name, "exec"), names)
        return
    words: list[str] = []
    test = doctest.DocTestParser().get_doctest(block.text, names, name, name, block.line)
    runner = doctest.DocTestRunner(optionflags=DOCTEST_OPTIONS, verbose=False)
    runner.run(test, out=words.append, clear_globs=False)
    names.update(test.globs)
    if runner.failures:
        raise ExampleError("".join(words))


def run_document(path: Path, folder: Path, environment: Mapping[str, str], elsewhere: frozenset[str]) -> list[str]:
    """Run every example of a document in `folder`. Returns the commands that were run.

    Commands in `elsewhere` are not run: something else runs them. Python examples see this process's own environment.
    """
    ran: list[str] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    with Shell(folder, environment) as shell:
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.kind == "python":
                run_python(block, names, path.name)
            for command in commands(block) if block.kind == "console" else []:
                if command.text not in elsewhere:
                    run_command(shell, command, block.settings)
                    ran.append(command.text)
    return ran
