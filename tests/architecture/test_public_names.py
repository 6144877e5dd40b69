"""`import quorate` shows what it means to show, and loads nothing that a user may not have installed."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys

from tests.support.repository import SOURCE

import quorate

NAMES_MAX = 25
OPTIONAL = {  # the extras, by the name under which they are imported
    "alembic", "dcap_qvl", "dp_accounting", "nats", "numpy", "obstore", "onnx", "onnxruntime", "opentelemetry.sdk",
    "pqcrypto", "psycopg", "sqlalchemy", "strawberry", "tokenizers", "ziglang",
}  # fmt: skip
FOR_TESTS = {"hypothesis", "importlinter", "mypy", "pytest"}
FOR_DOORS = {"fastapi", "starlette", "uvicorn", "zenoh"}


def names_bound_in(text: str) -> set[str]:
    """The public names that the module's own statements bind, also those meant for type checkers only."""
    bound: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module in {"__future__", "typing"}:
                bound -= {alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return {name for name in bound if not name.startswith("_")}


def test_names_bound_are_found() -> None:
    text = "from __future__ import annotations\nimport a.b\nfrom c import d as e\nF = 1\n_g = 2\ndef h(): ...\n"
    assert names_bound_in(text) == {"a", "e", "F", "h"}


def test_public_names_are_those_of_all_and_few() -> None:
    exported = set(getattr(quorate, "__all__", ()))
    local = {"importlib", "sys", "TYPE_CHECKING", "name"}  # what a lazy `__getattr__` needs
    assert names_bound_in((SOURCE / "__init__.py").read_text()) - local <= exported
    assert len(exported) <= NAMES_MAX
    assert len(exported) == len(getattr(quorate, "__all__", ()))


def test_every_public_name_is_there() -> None:
    module = importlib.import_module("quorate")
    assert [name for name in getattr(module, "__all__", ()) if getattr(module, name, None) is None] == []


def test_base_import_loads_nothing_optional() -> None:
    program = "import json, sys, quorate; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(done.stdout))
    assert "quorate" in loaded
    assert sorted(loaded & (OPTIONAL | FOR_TESTS | FOR_DOORS)) == []
