"""How the command line writes: plain text with units, tables, JSON; colour only on a terminal that wants it.

Standard output carries the answer, standard error everything said about it, so that output can be piped. `rich` is
loaded only where a table or a live view is drawn.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

FILLED_MAX = 100
"""Columns that sentences are filled to at most."""
PLAIN_WIDTH = 200
"""Columns where there is no terminal: nothing is cut off in a file."""
SHORT_ID = 12
WORD_MAX, CELL_FRAME = 16, 2
"""Longer words may be broken in a table; what a column takes beside its words."""
MARKS = {
    "real": "green",
    "works": "green",
    "valid": "green",
    "completed": "green",
    "partial": "yellow",
    "simulated": "yellow",
    "absent": "dim",
    "not built": "dim",
    "failed": "red",
    "rejected": "red",
    "timed out": "red",
    "stopped": "red",
}
"""Words that are coloured where they fill a cell."""


def say(line: str = "") -> None:
    """A line of the answer."""
    print(line, flush=True)


def note(line: str) -> None:
    """A line about the answer: progress, hints, warnings."""
    print(line, file=sys.stderr, flush=True)


def say_json(plain: Any) -> None:
    """The answer for programs: one JSON document; digests in it are hexadecimal."""
    print(json.dumps(plain, indent=2, ensure_ascii=False, default=_plain), flush=True)


def say_json_line(plain: Any) -> None:
    """One document of a stream, on a line of its own."""
    print(json.dumps(plain, ensure_ascii=False, default=_plain), flush=True)


def _plain(item: Any) -> Any:
    import msgspec

    return item.hex() if isinstance(item, bytes) else msgspec.to_builtins(item)


def say_bytes(data: bytes) -> None:
    """The bytes and nothing else; on a terminal an open last line is ended, so that the prompt stands alone."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    if data and not data.endswith(b"\n") and sys.stdout.isatty():
        note("")


def console(stream: IO[str] | None = None) -> Console:
    """A console that keeps to plain text, whole lines and ASCII frames where `stream` is no terminal."""
    from rich.console import Console

    stream = stream or sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False, emoji=False, markup=False)
    return Console(
        file=stream, highlight=False, emoji=False, markup=False, width=PLAIN_WIDTH, no_color=True, color_system=None
    )


def wants_motion(stream: IO[str]) -> bool:
    """Whether a live view may be drawn: a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def say_table(titles: Sequence[str], rows: Iterable[Sequence[object]], stream: IO[str] | None = None) -> None:
    """A table: framed by one line under its titles on a terminal, columns parted by spaces elsewhere. On a terminal
    too narrow for its words each row is a list of titles and values instead."""
    from rich import box
    from rich.table import Table

    stream = stream or sys.stdout
    framed = stream.isatty()
    rows = [list(row) for row in rows]
    if framed and _least_width(titles, rows) > _width(stream):
        _say_records(titles, rows, stream)
        return
    table = Table(box=box.SIMPLE_HEAD if framed else None, pad_edge=False, padding=(0, 1))
    for index, title in enumerate(titles):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(title, justify="right" if numeric else "left", overflow="fold", header_style="bold")
    for row in rows:
        table.add_row(*(_cell(item) for item in row))
    out = console(stream)
    with out.capture() as captured:
        out.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    for line in lines:
        print(line, file=stream)
    stream.flush()


def _width(stream: IO[str]) -> int:
    """Columns of the terminal; what is no terminal has no end."""
    import shutil

    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if stream.isatty() else PLAIN_WIDTH


def _least_width(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """What the columns need so that no word is broken; digests and paths may be."""
    cells = ([title, *(str(row[index]) for row in rows)] for index, title in enumerate(titles))
    words = [[len(word) for cell in column for word in cell.split() if len(word) <= WORD_MAX] for column in cells]
    return sum(max(lengths, default=WORD_MAX) + CELL_FRAME for lengths in words)


def _say_records(titles: Sequence[str], rows: Sequence[Sequence[object]], stream: IO[str]) -> None:
    """Each row as a block of lines, a title and its value on each."""
    import textwrap

    from rich.text import Text

    names, out = max(map(len, titles)) + 1, console(stream)
    for row in rows:
        out.print()
        for title, cell in zip(titles, row, strict=True):
            text = _cell(cell)
            for at, line in enumerate(textwrap.wrap(text.plain, max(20, _width(stream) - names))):
                out.print(Text(("" if at else title).ljust(names)).append(line, text.style))


def _cell(item: object) -> Text:
    from rich.text import Text

    text = str(item)
    return Text(text, style=MARKS.get(text, ""))


def say_wrapped(text: str, indent: int = 0) -> None:
    """One entry of a list: a dash, and the text in lines that fit the terminal."""
    margin = " " * indent
    say_filled(text, f"{margin}- ", f"{margin}  ")


def say_field(name: str, text: str, names: int = 9) -> None:
    """A name and what it stands for, in lines that fit the terminal; `names` is the width of the longest name."""
    say_filled(text, f"{name:<{names}} ", " " * (names + 1))


def say_filled(text: str, first: str = "", others: str = "") -> None:
    """Sentences in lines that fit the terminal; `first` and `others` are what lines begin with."""
    import textwrap

    width = min(_width(sys.stdout), FILLED_MAX)
    say(textwrap.fill(text, max(len(others) + 20, width), initial_indent=first, subsequent_indent=others))


def title(text: str) -> None:
    """The heading of a part of the answer."""
    say()
    console().print(text, style="bold")


def elapsed(milliseconds: int) -> str:
    """A time with its unit, as `compute status` prints it: 1.4s."""
    return f"{milliseconds / 1000:.1f}s"


def duration(milliseconds: float) -> str:
    """A time with its unit for people: 850 ms, 1.4 s, 2 min 5 s, 3 h 20 min."""
    seconds = milliseconds / 1000
    if seconds < 0.9995:
        return f"{milliseconds:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """A number of bytes with its unit: 99 bytes, 3.8 KiB, 64 MiB."""
    if count < 1024:
        return f"{count} bytes" if count != 1 else "1 byte"
    for unit, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)):
        if count < factor << 10 or unit == "GiB":
            return f"{count / factor:.1f}".removesuffix(".0") + f" {unit}"
    raise AssertionError


def money(micro: int) -> str:
    """An amount of money with its unit."""
    return f"{micro:,} micro-credits"


def short(text: str) -> str:
    """The beginning of an id: enough to tell jobs apart, and accepted wherever an id is asked for."""
    return text[:SHORT_ID]


def plural(count: int, noun: str) -> str:
    """`3 jobs`, `1 job`, `4 processes`, `2 copies`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("s"):
        return f"{count:,} {noun}es"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
