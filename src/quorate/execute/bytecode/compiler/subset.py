"""What of Python a contract may be written in, and the one error for everything else.

A contract is a file of constants, static buffers, state fields and functions. Whatever is not named in this folder is
refused with its file, line and column and with what to write instead; nothing is ever skipped over.
"""

from __future__ import annotations

import ast
import warnings
from typing import Final

from quorate.errors import CompileError

SOURCE_CHARACTERS_MAX: Final = 1 << 20

INSTEAD: Final[dict[type[ast.AST], str]] = {
    ast.ClassDef: "write functions; keep what lasts in the state",
    ast.AsyncFunctionDef: "write `def`",
    ast.Lambda: "write a function with `def`",
    ast.Try: "test beforehand and `assert`; a failed run leaves nothing behind",
    ast.Raise: "write `assert condition` or `abort(code)`",
    ast.With: "there is nothing to open in a contract",
    ast.Import: "write `from mhr import name`",
    ast.List: "use a static buffer: `NAME = buffer(64)` at the top of the file",
    ast.Dict: "use `state[key]`",
    ast.Set: "use `state[key]`",
    ast.ListComp: "write a loop",
    ast.GeneratorExp: "write a loop",
    ast.DictComp: "write a loop",
    ast.SetComp: "write a loop",
    ast.JoinedStr: "use bytes: b'text'",
    ast.Match: "write `if` and `elif`",
    ast.Nonlocal: "pass the value as an argument",
    ast.Delete: "only `del state[key]`",
    ast.Global: "only for state fields, at the top of a function",
    ast.Await: "a contract waits for nothing",
    ast.Yield: "emit bytes, or call a function",
    ast.Starred: "write each value out",
    ast.NamedExpr: "assign in a line of its own",
    ast.Tuple: "tuples are for `a, b = x, y`, for `return x, y` and for their types",
    ast.Attribute: "only functions and constants of a library: `cbor.read_head`",
    ast.Slice: "a step cannot be given",
}


def refuse(file: str, node: ast.AST, message: str, fix: str = "") -> CompileError:
    """The error to raise at `node`."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
    return CompileError(message, field=f"{file}:{line}:{column}", fix=fix)


def outside(file: str, node: ast.AST) -> CompileError:
    """The error for a form of Python that the subset lacks."""
    return refuse(file, node, f"{type(node).__name__} is outside the subset", INSTEAD.get(type(node), ""))


def parse(source: str, file: str) -> ast.Module:
    """The syntax tree of a contract. Raises CompileError for text that is not Python."""
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise CompileError("too long", field=file, limit=f"{SOURCE_CHARACTERS_MAX} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, file)
            compile(tree, file, "exec", dont_inherit=True)
            return tree
    except SyntaxError as error:
        place = f"{file}:{error.lineno or 1}:{error.offset or 1}"
        raise CompileError(f"not Python: {error.msg}", field=place) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CompileError(f"not Python that can be read: {error}", field=f"{file}:1:1") from None
