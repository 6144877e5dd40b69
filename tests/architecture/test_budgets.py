"""Code keeps to its sizes, and the rules notice what does not."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.architecture import budgets
from tests.architecture.budgets import Module
from tests.support.repository import ROOT, name_of, python_files

SHIPPED = python_files("src", "scripts", "docs", "contracts")
RULES = [
    budgets.file_faults,
    budgets.function_faults,
    budgets.parameter_faults,
    budgets.nesting_faults,
]


def module_of(text: str) -> Module:
    return Module("planted.py", text, ast.parse(text))


def function_of(lines: int, parameters: str = "") -> str:
    return f"def planted({parameters}):\n" + "    x = 1\n" * (lines - 1)


def nested(depth: int) -> str:
    blocks = "".join(" " * level + "if x:\n" for level in range(1, depth + 1))
    return "def planted(x):\n" + blocks + " " * (depth + 1) + "x = 1\n"


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert budgets.docstring_faults(Module.read(path, ROOT)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_shipped_code_keeps_its_sizes(rule: Callable[[Module], list[str]]) -> None:
    faults = [fault for path in SHIPPED for fault in rule(Module.read(path, ROOT))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (budgets.docstring_faults, '"""Why."""\n', "x = 1\n"),
        (budgets.docstring_faults, '"""Why."""\n', '"""  """\n'),
        (budgets.file_faults, "x = 1\n" * 500, "x = 1\n" * 501),
        (
            budgets.file_faults,
            '"""Longer than 500 lines because\nit is a table."""\n' + "x\n" * 600,
            '"""A table."""\n' + "x\n" * 600,
        ),
        (budgets.function_faults, function_of(70), function_of(71)),
        (budgets.function_faults, function_of(70), "@decorated\n" + function_of(70)),
        (budgets.function_faults, function_of(70), "async " + function_of(71)),
        (budgets.parameter_faults, function_of(2, "a, b, c, d, e, f"), function_of(2, "a, b, c, d, e, f, g")),
        (budgets.parameter_faults, function_of(2, "self, a, b, c, d, e, f"), function_of(2, "a, b, c, *, d, e, f, g")),
        (
            budgets.parameter_faults,
            "@app.command\n" + function_of(2, "a, b, c, d, e, f, g"),
            "@cache\n" + function_of(2, "a, b, c, d, e, f, g"),
        ),
        (budgets.nesting_faults, nested(3), nested(4)),
        (
            budgets.nesting_faults,
            "def planted(x):\n if x:\n  y\n elif x:\n  y\n elif x:\n  y\n elif x:\n  y\n",
            nested(5),
        ),
    ],
)
def test_a_rule_knows_good_from_bad(rule: Callable[[Module], list[str]], good: str, bad: str) -> None:
    assert rule(module_of(good)) == []
    assert len(rule(module_of(bad))) == 1
