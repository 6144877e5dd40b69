"""The arguments of a call: what a function takes, and where bytes go in its memory. Both forms of contracts take them
alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.errors import WrongArguments
from quorate.execute.bytecode.container import ALIGNMENT
from quorate.execute.bytecode.host import Argument
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN


class Placed(NamedTuple):
    """Arguments as cells, bytes being address and length, and what has to be written where before the run."""

    cells: list[int]
    data: list[tuple[int, bytes]]


def _check_argument(name: str, takes_bytes: bool, argument: Argument) -> None:
    if takes_bytes is not isinstance(argument, bytes):
        raise WrongArguments(f"not of kind {'bytes' if takes_bytes else 'int'}", field=name)
    if isinstance(argument, int) and not CELL_MIN <= argument <= CELL_MAX:
        raise WrongArguments("does not fit a cell", field=name, limit="-2^63 to 2^63 - 1")


def check_arguments(function: str, parameters: Sequence[tuple[str, bool]], arguments: Sequence[Argument]) -> None:
    """`parameters` are names, and whether each takes bytes. Raises WrongArguments, which names the parameter."""
    if len(arguments) != len(parameters):
        raise WrongArguments(f"{len(arguments)} arguments", field=function, limit=f"exactly {len(parameters)}")
    for (name, takes_bytes), argument in zip(parameters, arguments, strict=True):
        _check_argument(name, takes_bytes, argument)


def place_arguments(arguments: Sequence[Argument], at: int, end: int) -> Placed:
    """Bytes go one after the other from address `at` upwards, each to a multiple of eight, and none beyond `end`.
    Raises WrongArguments when they do not fit."""
    placed = Placed([], [])
    for argument in arguments:
        if isinstance(argument, int):
            placed.cells.append(argument)
            continue
        if at + len(argument) > end:
            raise WrongArguments("the arguments do not fit the memory", limit=f"{end} bytes")
        placed.cells.extend((at, len(argument)))
        placed.data.append((at, argument))
        at += len(argument) + -len(argument) % ALIGNMENT
    return placed
