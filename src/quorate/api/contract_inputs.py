"""What commands about contracts are given: files, states, ids and arguments, each refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from quorate.errors import (
    BadContract,
    InvalidField,
    MalformedBytes,
    TooLarge,
    UnknownFunction,
    UnreadableFile,
    WrongArguments,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorate.execute.bytecode.host import Argument, Context
    from quorate.execute.bytecode.state import State
    from quorate.execute.bytecode.verify import Contract
    from quorate.model.contract import FunctionSignature, Parameter

FILE_BYTES_MAX = 32 << 20
SOURCE_SUFFIX = ".py"
NO_ONE = "0x" + bytes(16).hex()
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


def read_file(file: Path, field: str = "file") -> bytes:
    """Raises UnreadableFile or TooLarge naming `field`."""
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as fault:
        raise UnreadableFile(f"{file}: {fault.strerror}", field=field, fix="name a file that can be read") from None
    if len(data) > FILE_BYTES_MAX:
        raise TooLarge(f"{file} goes on", field=field, limit=f"{FILE_BYTES_MAX} bytes", fix="name a contract")
    return data


def read_text(source: Path, field: str = "source") -> str:
    """Raises InvalidField where the file is no text."""
    try:
        return read_file(source, field).decode()
    except UnicodeDecodeError:
        raise InvalidField(f"{source} is no text", field=field, fix="name the source of a contract") from None


def write_file(file: Path, data: bytes) -> None:
    """Whole or not at all: a call that was shown as done has its state on the disk."""
    from quorate.api.files_out import write_whole

    write_whole(file, data, secret=False)


def load_contract(file: Path) -> Contract:
    """The contract in a container. Raises BadContract, for a WebAssembly contract too: foreign machine code runs in
    jailed workers only, and no command of this machine alone has one."""
    from quorate.execute.bytecode.verify import load
    from quorate.execute.declared import WASM_MAGIC

    program = read_file(file)
    if program.startswith(WASM_MAGIC):
        raise BadContract(
            f"{file} is a WebAssembly contract; those run on the nodes of a network",
            field="file",
            limit="a container",
            fix=f"quorate contract deploy {file}, then quorate contract call; or build it without --wasm",
        )
    return load(program)


def load_or_compile(file: Path) -> Contract:
    """The contract in a container, or in a source, which ends in .py. Raises BadContract, CompileError."""
    if file.suffix != SOURCE_SUFFIX:
        return load_contract(file)
    from quorate.execute.bytecode.compiler.program import compile_contract
    from quorate.execute.bytecode.verify import load

    return load(compile_contract(read_text(file), file.name).container)


def read_state(file: Path | None) -> State:
    """The state in a file; the empty one where there is none."""
    from quorate.execute.bytecode.state import State

    if file is None or not file.exists():
        return State.of({})
    try:
        return State.decode(read_file(file, "state"))
    except MalformedBytes as fault:
        raise InvalidField(
            f"{file}: {fault.message}", field="state", fix="name a file that this command wrote"
        ) from None


def bytes_of(text: str) -> bytes:
    """Text, or hexadecimal digits after 0x."""
    return bytes.fromhex(text[2:]) if _HEX.fullmatch(text) else text.encode()


def context_of(contract: Contract, self_id: str, sender: str, epoch: int, balance: int | None) -> Context:
    """What the call is told. `self_id` empty is the beginning of the contract's address; without a balance none is at
    hand."""
    from quorate.execute.bytecode.host import Context

    own = bytes_of(self_id) if self_id else contract.address[:16]
    return Context.of(own, bytes_of(sender), epoch, {} if balance is None else {own: balance})


def function_named(functions: Sequence[FunctionSignature], name: str) -> FunctionSignature:
    """Raises UnknownFunction, which lists what there is."""
    for function in functions:
        if function.name == name:
            return function
    names = ", ".join(function.name for function in functions)
    raise UnknownFunction(f"the contract has no function {name[:80]!r}", field="function", limit=names)


def usage(function: FunctionSignature) -> str:
    """How a function is called on the command line."""
    wanted = " ".join(f"--arg {parameter.name}=..." for parameter in function.parameters)
    return f"{function.name} takes {wanted}" if wanted else f"{function.name} takes no argument"


def arguments_of(function: FunctionSignature, given: tuple[str, ...]) -> tuple[Argument, ...]:
    """In the order of the parameters, from NAME=VALUE: bytes are text, or hexadecimal after 0x. Raises WrongArguments,
    which names the parameter."""
    named: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or name in named:
            raise WrongArguments(f"{one[:80]!r}", field="arg", limit="NAME=VALUE, each name once", fix=usage(function))
        named[name] = value
    if sorted(named) != sorted(parameter.name for parameter in function.parameters):
        raise WrongArguments(f"{', '.join(sorted(named)) or 'none'} given", field="arg", fix=usage(function))
    return tuple(_argument(parameter, named[parameter.name]) for parameter in function.parameters)


def _argument(parameter: Parameter, text: str) -> Argument:
    if parameter.kind == "bytes":
        return bytes_of(text)
    if _NUMBER.fullmatch(text) is None or not -(1 << 63) <= int(text) < 1 << 63:
        raise WrongArguments(f"{text[:80]!r} is no integer", field=parameter.name, limit="-2^63 to 2^63 - 1")
    return int(text)


def local_arguments(contract: Contract, function: str, given: tuple[str, ...]) -> tuple[Argument, ...]:
    """Those of a call of a container. Raises UnknownFunction, WrongArguments."""
    from quorate.execute.bytecode.declaration import signatures_of

    return arguments_of(function_named(signatures_of(contract.container), function), given)
