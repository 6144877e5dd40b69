"""JSON by path inside a contract, against Python's own reader."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tests.support.contracts import Contracted

from quorate.execute.bytecode.opcodes import Trap

SOURCE = """
from mhr import buffer, emit, export, json, limits
limits(arguments=16384)
OUT = buffer(4096)

@export
def find(data: bytes, path: bytes) -> None:
    emit(json.find(data, path))

@export
def put(data: bytes, path: bytes, value: bytes) -> None:
    emit(OUT[: json.set_value(data, path, value, OUT)])

@export
def delete(data: bytes, path: bytes) -> None:
    emit(OUT[: json.delete(data, path, OUT)])
"""
DEEP = b"[" * 16 + b"1" + b"]" * 16


@pytest.fixture(scope="module")
def contract() -> Contracted:
    return Contracted(SOURCE)


def value(chance: random.Random, depth: int) -> Any:
    form = chance.randrange(7 if depth else 5)
    if form < 5:
        return (chance.randrange(-(10**12), 10**12), True, None, 'a "quote" \\ and\n', "")[form]
    inner = [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return inner if form == 5 else {chance.choice("abcdefgh") + str(at): one for at, one in enumerate(inner)}


def places(root: Any) -> list[list[Any]]:
    """Every path in `root`, the empty one first."""
    inner = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else []
    return [[]] + [[key, *rest] for key, one in inner for rest in places(one)]


def at(root: Any, path: list[Any]) -> Any:
    for step in path:
        root = root[step]
    return root


def text(path: list[Any]) -> bytes:
    return "/".join(map(str, path)).encode()


def test_random_texts_are_read_changed_and_cut(contract: Contracted) -> None:
    chance = random.Random(8259)
    for _ in range(25):
        root = [value(chance, 3), {"k": value(chance, 2)}]
        data = json.dumps(root, indent=chance.choice([None, 1]), separators=chance.choice([None, (",", ":")])).encode()
        path = chance.choice(places(root)[1:])
        assert json.loads(contract.ok("find", data, text(path)).emitted) == at(root, path)
        changed, cut = json.loads(data), json.loads(data)
        at(changed, path[:-1])[path[-1]] = [7, {}]
        assert json.loads(contract.ok("put", data, text(path), b'[7, {"": 1}]').emitted) != root
        assert json.loads(contract.ok("put", data, text(path), b"[7,{}]").emitted) == changed
        del at(cut, path[:-1])[path[-1]]
        assert json.loads(contract.ok("delete", data, text(path)).emitted) == cut


def test_a_new_key_is_set(contract: Contracted) -> None:
    assert contract.ok("put", b'{"a": 1}', b"b", b"2").emitted == b'{"a": 1,"b":2}'
    assert contract.ok("put", b'{"a": {}}', b"a/b", b"2").emitted == b'{"a": {"b":2}}'
    assert contract.ok("find", b'{"a": {}}', b"a/b").emitted == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", -30),
        (b"[1", -30),
        (b'"a', -30),
        (b"1.5", -31),
        (b"1e3", -31),
        (b"01", -31),
        (b"+1", -31),
        (b"tru", -31),
        (b"NaN", -31),
        (b"[1,]", -31),
        (b'{"a":1,}', -31),
        (b"{a:1}", -31),
        (b'{"a" 1}', -31),
        (b"'a'", -31),
        (b'"\x01"', -31),
        (b'"\\x"', -31),
        (b'"\\u12g4"', -31),
        (b"1 2", -31),
        (DEEP, -32),
    ],
)
def test_what_is_not_json_without_floats_traps(contract: Contracted, data: bytes, code: int) -> None:
    outcome = contract.call("find", data, b"")
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, code)


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        ("put", (b"[1]", b"1", b"2"), -33),
        ("put", (b"1", b"a", b"2"), -33),
        ("put", (b"{}", b"a/b", b"2"), -33),
        ("put", (b"{}", b'a"', b"2"), -31),
        ("put", (b"{}", b"a", b"x"), -31),
        ("put", (b"{}", b"a", b'"' + b"x" * 4096 + b'"'), -34),
        ("delete", (b"{}", b"a"), -33),
        ("find", (b"[1]", b"x"), -33),
    ],
)
def test_what_has_no_place_traps(contract: Contracted, function: str, arguments: tuple[bytes, ...], code: int) -> None:
    outcome = contract.call(function, *arguments)
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, code)
