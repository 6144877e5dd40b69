"""One source file: what it imports, its constants, buffers, state fields, limits and the heads of its functions."""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

from quorate.execute.bytecode.compiler.constants import Constant, constant
from quorate.execute.bytecode.compiler.kinds import Declared, Kind, Signature, declared, results
from quorate.execute.bytecode.compiler.names import BUILTINS, PLAIN, RESERVED
from quorate.execute.bytecode.compiler.subset import outside, parse, refuse
from quorate.execute.bytecode.container import MEMORY_MAX, NAME, PARAMETERS_MAX, RESULTS_MAX
from quorate.execute.bytecode.state import KEY_BYTES_MAX

LIMITS: Final = {"arguments": 4096, "cycles": 10_000_000, "state": 65_536, "cells": 1024}
"""What `limits(...)` may set, and what holds without it: bytes for the arguments of a call, cycles, bytes of state,
cells of all frames."""


class Field(NamedTuple):
    """An int that lasts in the state, under a key of its own, and what it is before it was first set."""

    key: bytes
    default: int


class Function(NamedTuple):
    key: str
    node: ast.FunctionDef
    signature: Signature
    exported: bool


class Module:
    """A file after its first reading. Bodies of functions are not looked at."""

    def __init__(self, source: str, file: str, name: str, libraries: frozenset[str]) -> None:
        self.file, self.name = file, name
        self.imports: set[str] = set()
        self.constants: dict[str, Constant] = {}
        self.buffers: dict[str, int] = {}
        self.fields: dict[str, Field] = {}
        self.functions: dict[str, Function] = {}
        self.limits: dict[str, int] = dict(LIMITS)
        self._libraries = libraries
        for statement in parse(source, file).body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._define(node.targets[0], None, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._define(node.target, node.annotation, node.value)
        elif isinstance(node, ast.FunctionDef):
            self._function(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._limits(node.value)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            raise outside(self.file, node)

    def _import(self, node: ast.ImportFrom) -> None:
        if node.module != "mhr" or node.level:
            raise refuse(self.file, node, f"no module {node.module!r} for contracts", "write `from mhr import name`")
        for alias in node.names:
            known = alias.name in BUILTINS or alias.name in RESERVED or alias.name in self._libraries
            if not known or alias.asname:
                fix = f"builtins without another name, or a library: {', '.join(sorted(self._libraries))}"
                raise refuse(self.file, node, f"{alias.name} cannot be imported from mhr", fix)
            self.imports.add(alias.name)

    def fresh(self, node: ast.AST, name: str) -> str:
        """`name`, if nothing has it yet."""
        taken = name in self.constants or name in self.buffers or name in self.fields or name in self.functions
        if taken or name in self.imports | RESERVED | PLAIN or name in BUILTINS:
            raise refuse(self.file, node, f"{name} is there already", "choose another name")
        return name

    def lookup(self, node: ast.expr) -> Constant | None:
        return self.constants.get(node.id) if isinstance(node, ast.Name) else None

    def _define(self, target: ast.expr, annotation: ast.expr | None, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            raise refuse(self.file, target, "only a name is defined at the top of a file")
        name = self.fresh(target, target.id)
        called = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        if isinstance(value, ast.Call) and called == "buffer":
            self.buffers[name] = self._buffer_size(value)
        elif isinstance(value, ast.Call) and called == "stored":
            self.fields[name] = self._field(value, annotation)
        else:
            self.constants[name] = self._constant(value, annotation)

    def _constant(self, value: ast.expr, annotation: ast.expr | None) -> Constant:
        found = constant(value, self.lookup)
        if found is None:
            fix = "ints of 64 bits, bytes, `buffer(size)` or `stored(key, default)`"
            raise refuse(self.file, value, "not a constant that is known before a run", fix)
        if annotation is not None:
            kind = Kind.BYTES if isinstance(found, bytes) else Kind.BOOL if isinstance(found, bool) else Kind.INT
            if not declared(self.file, annotation, "the constant").kind.accepts(kind):
                raise refuse(self.file, value, f"is {kind}, not what its type says")
        return found

    def _buffer_size(self, call: ast.Call) -> int:
        size = constant(call.args[0], self.lookup) if len(call.args) == 1 and not call.keywords else None
        if not isinstance(size, int) or not 0 <= size <= MEMORY_MAX:
            raise refuse(self.file, call, "the size of a buffer is one constant", f"0 to {MEMORY_MAX}")
        return size

    def _field(self, call: ast.Call, annotation: ast.expr | None) -> Field:
        values = [constant(argument, self.lookup) for argument in call.args]
        is_int = isinstance(annotation, ast.Name) and annotation.id == "int"
        if not is_int or call.keywords or len(values) != 2:
            raise refuse(self.file, call, "not a state field", 'write `name: int = stored(b"key", 0)`')
        key, default = values
        if not isinstance(key, bytes) or len(key) > KEY_BYTES_MAX or not isinstance(default, int):
            raise refuse(
                self.file, call, "a state field has a constant key and default", f"a key of {KEY_BYTES_MAX} bytes"
            )
        if key in {field.key for field in self.fields.values()}:
            raise refuse(self.file, call, "another state field has this key", "choose another key")
        return Field(key, default)

    def _limits(self, call: ast.Call) -> None:
        if not isinstance(call.func, ast.Name) or call.func.id != "limits" or call.args:
            raise refuse(self.file, call, "nothing runs outside of functions", "only `limits(cycles=...)` stands here")
        for keyword in call.keywords:
            value = constant(keyword.value, self.lookup)
            if keyword.arg not in LIMITS or not isinstance(value, int) or value < 0:
                raise refuse(self.file, call, f"{keyword.arg} is no limit", f"constants for {', '.join(LIMITS)}")
            self.limits[keyword.arg] = value

    def _function(self, node: ast.FunctionDef) -> None:
        name = self.fresh(node, node.name)
        exported = self._is_exported(node)
        arguments = node.args
        extra = arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs
        if extra or arguments.defaults:
            raise refuse(self.file, node, "a parameter is `name: type` and nothing else", "no defaults, no stars")
        kinds = tuple(self._parameter(argument) for argument in arguments.args)
        names = tuple(argument.arg for argument in arguments.args)
        signature = Signature(names, kinds, results(self.file, node))
        if len(names) > PARAMETERS_MAX or signature.result_cells > RESULTS_MAX:
            raise refuse(self.file, node, "too many parameters or results", f"{PARAMETERS_MAX} and {RESULTS_MAX} cells")
        if exported:
            self._check_export(node, signature)
        key = f"{self.name}.{name}" if self.name else name
        self.functions[name] = Function(key, node, signature, exported)

    def _parameter(self, argument: ast.arg) -> Declared:
        if argument.annotation is None:
            raise refuse(self.file, argument, f"{argument.arg} has no type", "write `name: int` or `name: bytes`")
        self.fresh(argument, argument.arg)
        return declared(self.file, argument.annotation, argument.arg)

    def _is_exported(self, node: ast.FunctionDef) -> bool:
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Name) or decorator.id != "export" or len(node.decorator_list) > 1:
                raise refuse(self.file, decorator, "not a decorator of the subset", "only `@export`")
        return bool(node.decorator_list)

    def _check_export(self, node: ast.FunctionDef, signature: Signature) -> None:
        if self.name:
            raise refuse(
                self.file, node, "a library exports nothing", "export a function of the contract that calls it"
            )
        for name in (node.name, *signature.names):
            if not NAME.fullmatch(name.encode()):
                raise refuse(self.file, node, f"{name} is too long, or not plain letters", "32 letters, digits and _")
        if any(one.kind in (Kind.BOOL, Kind.BUFFER) for one in signature.parameters):
            raise refuse(self.file, node, "an exported function takes int, nat and bytes", "write `flag != 0` inside")
        if any(one.kind in (Kind.BYTES, Kind.BUFFER) for one in signature.results):
            raise refuse(self.file, node, "an exported function returns ints", "write `emit(data)` for bytes")
