"""Every command and every Python example that a document shows is run, and does what is shown.

A document is a Markdown file of the repository that holds such blocks. Commands that this very test run is part of
are run by `.ci/run` instead.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.documents import (
    Block,
    DocumentError,
    ExampleError,
    Shell,
    blocks,
    commands,
    matches,
    run_document,
    run_python,
)
from tests.support.repository import ROOT, name_of, repository_files

from quorate.errors import NoNetwork
from quorate.node import localnet

RUN_BY_CI = frozenset({"make test", "make check", ".ci/run"})
RUN_HERE = {"console", "python"}
NEVER = {"sh", "bash", "shell", "zsh", "pycon", "doctest"}  # kinds that would slip past the test
DOCUMENTS = [path for path in repository_files() if path.suffix == ".md" and "vectors" not in path.parts]


def runnable(path: Path) -> bool:
    return any(block.kind in RUN_HERE for block in blocks(path.read_text(encoding="utf-8")))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout: what an example writes beside the files stays out of the repository."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in {".git", ".pytest_cache"}:
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A user with the `quorate` command on the path and an empty home. A network that an example started, and did not
    stop because it failed, is stopped."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUORATE_HOME", str(tmp_path / "q"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("CI", raising=False)
    (tmp_path / "home").mkdir()
    yield dict(os.environ)
    with suppress(NoNetwork):
        localnet.down(tmp_path / "q", purge=True)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if runnable(path)], ids=name_of)
@pytest.mark.timeout(900)
def test_document(path: Path, checkout: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    shown = [
        command.text for block in blocks(path.read_text()) if block.kind == "console" for command in commands(block)
    ]
    ran = run_document(path, checkout, environment, RUN_BY_CI)
    assert [text for text in shown if text not in RUN_BY_CI] == ran


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_command_slips_past(path: Path) -> None:
    kinds = {block.kind for block in blocks(path.read_text(encoding="utf-8"))}
    assert kinds & NEVER == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_make_targets_that_are_named_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", path.read_text(encoding="utf-8")))
    assert named - targets == set()


def test_ci_runs_what_is_left_to_it() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert [command for command in sorted(RUN_BY_CI) if command.startswith("make") and command not in script] == []


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "document.md"
    path.write_text(text)
    return path


def run(path: Path) -> list[str]:
    return run_document(path, path.parent, dict(os.environ), frozenset({"make test"}))


def test_blocks_share_a_shell_and_names(tmp_path: Path) -> None:
    text = """# Title

```console
$ NAME=ann
$ mkdir -p box && cd box
$ echo "hello $NAME" \\
>   'from' "$(basename "$PWD")"
hello ann ...
$ make test
```

<!-- run: exit=3 timeout=20 -->

```console
$ echo "$NAME" >&2; false || (exit 3)
ann
```

```python
>>> x = [1,
...      2]
>>> x
[1, 2]
```

1. A list:

   ```python
   assert x == [1, 2]
   ```
"""
    text = text.replace(">   'from'", "    'from'")
    ran = run(written(tmp_path, text))
    assert len(ran) == 4
    assert "make test" not in ran
    assert (tmp_path / "box").is_dir()


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ exit 3\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ no-such-command-here\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ echo one; echo two\none\n```\n",
        "<!-- run: exit=2 -->\n```console\n$ true\n```\n",
        "<!-- run: timeout=0.2 -->\n```console\n$ sleep 5\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
        "```python\n>>> nothing\n```\n",
        "```python\nassert False\n```\n",
    ],
)
def test_an_example_that_lies_is_noticed(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        run(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    ["```console\n$ true\n", "```console\noutput\n$ true\n```\n", "<!-- run: skip=1 -->\n```console\n$ true\n```\n"],
)
def test_a_document_that_is_not_well_written_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError):
        run(written(tmp_path, text))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a  \nb\n", True),
        ("a...c", "a\nb\nc", True),
        ("... done", "1 s\ndone", False),
        ("a.c", "abc", False),
        ("a", "a\nb", False),
    ],
)
def test_matching(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def is_running(process: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_command_reads_no_input_and_leaves_nothing_running(tmp_path: Path) -> None:
    with Shell(tmp_path, dict(os.environ)) as shell:
        assert shell.run("cat") == ("", 0)
        printed, _ = shell.run("sleep 300 >/dev/null 2>&1 & echo $!")
        process = int(printed)
        assert is_running(process)
    deadline = time.monotonic() + 10
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(process)


def test_a_python_example_keeps_its_line_number() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_python(Block("python", 10, "x = 1\n1 / 0\n", {}), {}, "document.md")
    assert caught.traceback[-1].lineno == 11  # counted from 0: the second line of a block whose fence is on line 10
    with pytest.raises(ExampleError, match="line 12"):
        run_python(Block("python", 10, ">>> x = 1\n>>> x\n2\n", {}), {}, "document.md")
