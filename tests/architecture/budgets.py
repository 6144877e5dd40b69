"""Sizes that code keeps to, measured on the syntax tree. A rule is a function from a module to its faults."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
PARAMETERS_MAX = 6
NESTING_MAX = 3
LONG_FILE_REASON = "longer than 500 lines because"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Match, ast.Try, ast.TryStar)


@dataclass(frozen=True)
class Module:
    """One Python file: its name from the root, its text and its syntax tree."""

    name: str
    text: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path, root: Path) -> Module:
        text = path.read_text(encoding="utf-8")
        return cls(path.relative_to(root).as_posix(), text, ast.parse(text))

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    def functions(self) -> Iterator[FunctionNode]:
        return (node for node in ast.walk(self.tree) if isinstance(node, FunctionNode))


def docstring_faults(module: Module) -> list[str]:
    return [] if module.docstring.strip() else [f"{module.name}: no docstring"]


def file_faults(module: Module) -> list[str]:
    """A file may be too long when its docstring says why, in one sentence that begins in the known way."""
    lines = module.text.count("\n")
    excused = LONG_FILE_REASON in " ".join(module.docstring.lower().split())
    return [f"{module.name}: {lines} lines"] if lines > FILE_LINES_MAX and not excused else []


def function_faults(module: Module) -> list[str]:
    """Lines from the first decorator to the last statement."""
    faults = []
    for node in module.functions():
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines = (node.end_lineno or node.lineno) - first + 1
        if lines > FUNCTION_LINES_MAX:
            faults.append(f"{module.name}: {node.name} has {lines} lines")
    return faults


def _is_command(node: FunctionNode) -> bool:
    """Whether the function is a verb of the command line, whose parameters are the options a user sees."""
    decorators = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return any(isinstance(item, ast.Attribute) and item.attr in {"command", "default"} for item in decorators)


def parameter_faults(module: Module) -> list[str]:
    faults = []
    for node in module.functions():
        names = [item.arg for item in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len(names) - (bool(names) and names[0] in {"self", "cls"})
        if count > PARAMETERS_MAX and not _is_command(node):
            faults.append(f"{module.name}: {node.name} has {count} parameters")
    return faults


def _depth(node: ast.AST, depth: int = 0) -> int:
    """How deep blocks lie in one another. `elif` is no deeper than its `if`; inner functions count for themselves."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (FunctionNode, ast.ClassDef, ast.Lambda)):
            continue
        continues = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, _depth(child, depth + (isinstance(child, BLOCKS) and not continues)))
    return deepest


def nesting_faults(module: Module) -> list[str]:
    depths = {node.name: _depth(node) for node in module.functions()}
    return [f"{module.name}: {name} nests {depth} deep" for name, depth in depths.items() if depth > NESTING_MAX]
