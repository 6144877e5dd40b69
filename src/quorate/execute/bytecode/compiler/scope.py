"""What is known while one function is compiled: its variables, which of them have a value, its loops, its code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from quorate.errors import CompileError
from quorate.execute.bytecode.compiler.constants import Constant, constant
from quorate.execute.bytecode.compiler.emit import Code
from quorate.execute.bytecode.compiler.kinds import Declared, Kind, Value, declared
from quorate.execute.bytecode.compiler.layout import Layout
from quorate.execute.bytecode.compiler.module import Function, Module
from quorate.execute.bytecode.compiler.names import BUILTINS
from quorate.execute.bytecode.compiler.naturals import Naturals
from quorate.execute.bytecode.compiler.subset import refuse
from quorate.execute.bytecode.opcodes import LOCALS_MAX, Op

ASSERTION: Final = -1
INDEX_RANGE: Final = -2
NOT_NATURAL: Final = -3
TOO_SHORT: Final = -4
BYTE_RANGE: Final = -5
"""Codes of ABORT that the compiler uses itself; a contract's own are best positive."""


class Variable(NamedTuple):
    """A local. `natural` is set where it was declared `nat`, so that what is assigned to it is tested."""

    kind: Kind
    slot: int
    natural: bool


class Loop(NamedTuple):
    """`broken` gathers which names had a value at each `break`."""

    again: int
    end: int
    broken: list[frozenset[str]]


class World(NamedTuple):
    """What functions share. `library` gives the module of a library, `call` notes that a function is needed and gives
    its key, `forms` says for each kind of expression what compiles it."""

    layout: Layout
    library: Callable[[str], Module]
    call: Callable[[Module, Function], str]
    forms: Mapping[type[ast.expr], Callable[[Any, Any], Value]]


class Scope:
    """One function."""

    def __init__(self, module: Module, function: Function, world: World) -> None:
        self.module, self.function, self.layout, self.forms = module, function, world.layout, world.forms
        self._call, self._library = world.call, world.library
        self.code = Code()
        self.variables: dict[str, Variable] = {}
        self.assigned: frozenset[str] = frozenset()
        self.loops: list[Loop] = []
        self.globals: set[str] = set()
        self.slots = 0
        self._folded: dict[int, tuple[ast.expr, Constant | None]] = {}
        self.naturals = Naturals(self.fold, self._gives_natural)
        for name, kind in zip(function.signature.names, function.signature.parameters, strict=True):
            self.declare(function.node, name, kind)
        self.assigned = frozenset(self.variables)
        self._learn()

    def _learn(self) -> None:
        signature = self.function.signature
        pairs = zip(signature.names, signature.parameters, strict=True)
        checked = {name for name, kind in pairs if kind.natural}
        noted = [node for node in ast.walk(self.function.node) if isinstance(node, ast.AnnAssign)]
        for node in noted:
            if isinstance(node.target, ast.Name) and isinstance(node.annotation, ast.Name):
                checked |= {node.target.id} if node.annotation.id in ("nat", "bool") else set()
        self.naturals.learn(self.function.node, checked, {*signature.names, *self.module.fields})

    def error(self, node: ast.AST, message: str, fix: str = "") -> CompileError:
        return refuse(self.module.file, node, message, fix)

    def fold(self, node: ast.expr) -> Constant | None:
        """The constant that `node` is; None if only a run can tell."""
        known = self._folded.get(id(node))
        if known is None or known[0] is not node:
            known = node, constant(node, self._lookup)
            self._folded[id(node)] = known
        return known[1]

    def _lookup(self, node: ast.expr) -> Constant | None:
        if isinstance(node, ast.Name):
            return None if node.id in self.variables else self.module.constants.get(node.id)
        library = self.library_of(node)
        return library.constants.get(node.attr) if library and isinstance(node, ast.Attribute) else None

    def library_of(self, node: ast.expr) -> Module | None:
        """The library that `name.attribute` is about."""
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            return None
        name = node.value.id
        imported = name in self.module.imports and name not in BUILTINS and name != "state"
        return self._library(name) if imported and name not in self.variables else None

    def prelude(self, name: str) -> str:
        """The key of a function that the compiler itself calls."""
        library = self._library("prelude")
        return self._call(library, library.functions[name])

    def called(self, node: ast.Call) -> Function | None:
        """The function, of this file or of a library, that `node` calls."""
        if isinstance(node.func, ast.Name):
            return self.module.functions.get(node.func.id)
        library = self.library_of(node.func)
        return library.functions.get(node.func.attr) if library and isinstance(node.func, ast.Attribute) else None

    def key_of(self, node: ast.Call, function: Function) -> str:
        """The key under which `function`, which `node` calls, is linked."""
        return self._call(self.library_of(node.func) or self.module, function)

    def _gives_natural(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Subscript):
            return not isinstance(node.slice, ast.Slice)
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Name) and node.func.id in BUILTINS:
            return BUILTINS[node.func.id].result.natural
        if isinstance(node.func, ast.Name) and node.func.id in ("len", "bool"):
            return True
        if isinstance(node.func, ast.Name) and node.func.id == "int":
            return len(node.args) == 1 and self.naturals.holds(node.args[0])
        function = self.called(node)
        return function is not None and [one.natural for one in function.signature.results] == [True]

    def declare(self, node: ast.AST, name: str, kind: Declared) -> Variable:
        """A new local."""
        if name in self.module.fields:
            raise self.error(node, f"{name} is a state field", f"write `global {name}` at the top of the function")
        if not name.startswith("$"):
            self.module.fresh(node, name)
        variable = Variable(kind.kind, self.slots, kind.natural and kind.kind is Kind.INT)
        self.slots += kind.kind.cells
        if self.slots > LOCALS_MAX:
            raise self.error(node, "too many variables in one function", f"{LOCALS_MAX} cells; bytes take two")
        self.variables[name] = variable
        return variable

    def annotated(self, node: ast.AnnAssign, name: str) -> Variable:
        """The local that an annotation declares, again if it did before."""
        kind = declared(self.module.file, node.annotation, name)
        known = self.variables.get(name)
        if known is None:
            return self.declare(node, name, kind)
        if (known.kind, known.natural) != (kind.kind, kind.natural and kind.kind is Kind.INT):
            raise self.error(node, f"{name} has another type already", "choose another name")
        return known

    def hidden(self, node: ast.AST, kind: Kind) -> str:
        """A new local that no program can name."""
        name = f"${len(self.variables)}"
        self.declare(node, name, Declared(kind))
        self.assigned |= {name}
        return name

    def merge(self, sides: Iterable[frozenset[str] | None]) -> None:
        """Which names have a value where several ways meet; None for a way that does not lead here."""
        known = [side for side in sides if side is not None]
        if known:
            self.assigned = frozenset.intersection(*known)

    @property
    def here(self) -> frozenset[str] | None:
        """The names that have a value, or None where no run comes."""
        return self.assigned if self.code.alive else None

    def abort_unless(self, code: int) -> None:
        """Takes a flag; ends the run if it is 0."""
        good = self.code.label()
        self.code.jump(Op.JNZ, good)
        self.code.push(code)
        self.code.op(Op.ABORT)
        self.code.mark(good)
