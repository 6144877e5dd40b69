"""What a user gives, as bytes: modules and inputs from memory, from files, or as WebAssembly text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from quorate.errors import InvalidField, MalformedModule, TooLarge, UnreadableFile
from quorate.execute.wasm.guard import DEFAULT as GUARD

Source: TypeAlias = bytes | bytearray | str | os.PathLike[str]


def module_of(source: Source, name: str) -> bytes:
    """The module's bytes; text (WAT) is translated."""
    text = isinstance(source, str) and source.lstrip().startswith(("(", ";;"))
    given = source.encode() if text and isinstance(source, str) else _path(source)
    data = content_of(given, name, GUARD.module_bytes)
    return _from_text(data, name) if data.lstrip()[:1] in (b"(", b";") else data


def _path(source: Source) -> bytes | bytearray | os.PathLike[str]:
    return Path(source) if isinstance(source, str) else source


def _from_text(text: bytes, name: str) -> bytes:
    import wasmtime

    try:
        return bytes(wasmtime.wat2wasm(text.decode()))
    except (wasmtime.WasmtimeError, UnicodeDecodeError) as fault:
        raise MalformedModule(f"not WebAssembly text: {_said(fault)}", field=name, fix="mend the text") from None


def _said(fault: Exception) -> str:
    """The first line of what the translator says, and where: `expected `)` at 2:22`."""
    what, *more = str(fault).splitlines()
    place = next((line.rpartition("<anon>:")[2] for line in more if "<anon>:" in line), "")
    return f"{what} at line {place.replace(':', ', column ')}" if place else what


def content_of(source: bytes | bytearray | os.PathLike[str], name: str, bytes_max: int) -> bytes:
    """The bytes given or those of the file, never more than `bytes_max`."""
    if isinstance(source, (bytes, bytearray)):
        data = bytes(source)
    elif isinstance(source, os.PathLike):
        data = _read(Path(source), name, bytes_max)
    else:
        raise InvalidField(
            f"a {type(source).__name__}", field=name, limit="bytes or a path", fix="encode text, or give a Path"
        )
    if len(data) > bytes_max:
        raise TooLarge(f"{len(data)} bytes or more", field=name, limit=f"{bytes_max} bytes", fix="give less, in parts")
    return data


def _read(path: Path, name: str, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as fault:
        raise UnreadableFile(f"{path}: {fault.strerror}", field=name, fix="name a file that you can read") from None
