"""Kinds of values, how many cells each takes, and what a function takes and gives.

int      one cell, signed, 64 bits. Written `nat`, it is checked to be at least zero wherever it comes in
bool     one cell, 1 or 0; may stand wherever an int may
bytes    two cells, address and length: a view that is only read
buffer   the same, and may be written to; may stand wherever bytes may
"""

from __future__ import annotations

import ast
from enum import StrEnum
from typing import Final, NamedTuple

from quorate.execute.bytecode.compiler.subset import refuse


class Kind(StrEnum):
    INT = "int"
    BOOL = "bool"
    BYTES = "bytes"
    BUFFER = "buffer"
    NONE = "None"

    @property
    def cells(self) -> int:
        return _CELLS[self]

    def accepts(self, other: Kind) -> bool:
        """Whether a value of kind `other` may be put where this kind is asked for."""
        return other is self or (self, other) in _WIDER


_CELLS: Final = {Kind.INT: 1, Kind.BOOL: 1, Kind.BYTES: 2, Kind.BUFFER: 2, Kind.NONE: 0}
_WIDER: Final = {(Kind.INT, Kind.BOOL), (Kind.BYTES, Kind.BUFFER)}
NAMES: Final = ("int", "nat", "bool", "bytes", "buffer")


class Value(NamedTuple):
    """What is on top of the stack. `size` is the length of bytes where it is known, otherwise -1."""

    kind: Kind
    size: int = -1


class Declared(NamedTuple):
    """A kind as it is written in a program."""

    kind: Kind
    natural: bool = False


class Signature(NamedTuple):
    """What a function takes, by name, and what it gives."""

    names: tuple[str, ...]
    parameters: tuple[Declared, ...]
    results: tuple[Declared, ...]

    @property
    def cells(self) -> int:
        return sum(one.kind.cells for one in self.parameters)

    @property
    def result_cells(self) -> int:
        return sum(one.kind.cells for one in self.results)


def join(one: Kind, other: Kind) -> Kind | None:
    """The kind of a value that is either; None if they have nothing in common."""
    if one.accepts(other):
        return one
    return other if other.accepts(one) else None


def declared(file: str, node: ast.expr | None, what: str) -> Declared:
    """The kind that an annotation names."""
    if node is None:
        raise refuse(file, ast.Pass(), f"{what} has no type", f"one of {', '.join(NAMES)}")
    if not isinstance(node, ast.Name) or node.id not in NAMES:
        raise refuse(file, node, f"{ast.unparse(node)} is not a type of the subset", f"one of {', '.join(NAMES)}")
    if node.id == "nat":
        return Declared(Kind.INT, True)
    return Declared(Kind(node.id), node.id == "bool")


def results(file: str, function: ast.FunctionDef) -> tuple[Declared, ...]:
    """What the annotation behind the arrow says: nothing, one kind, or a tuple of them."""
    node = function.returns
    if node is None:
        raise refuse(file, function, f"{function.name} does not say what it returns", "write `-> int` or `-> None`")
    if isinstance(node, ast.Constant) and node.value is None:
        return ()
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "tuple":
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return tuple(declared(file, part, "a result") for part in parts)
    return (declared(file, node, "the result"),)
