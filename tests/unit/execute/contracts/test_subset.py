"""What lies outside the subset is refused with file, line and column, and with what to write instead."""

from __future__ import annotations

import contextlib
import random

import pytest
from tests.support.contracts import Contracted

from quorate.errors import CompileError
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.compiler.scope import NOT_NATURAL
from quorate.execute.bytecode.host import Status
from quorate.execute.bytecode.opcodes import Trap

HEAD = "from mhr import abort, buffer, digest, emit, export, i64, nat, state, stored, u8, view\n"
ROOM = "BUF = buffer(40); total: int = stored(b'total', 7)\n"


def inside(*lines: str) -> str:
    """A contract whose function has `lines` for its body, the first of them in line 5."""
    return HEAD + ROOM + "@export\ndef f(n: int, d: bytes) -> int:\n" + "".join(f"    {line}\n" for line in lines)


REFUSED = {
    "class": ("class A: pass\n", 1, "write functions"),
    "import": ("import os\n", 1, "from mhr import"),
    "from elsewhere": ("from os import path\n", 1, "from mhr import"),
    "unknown import": ("from mhr import nothing_there\n", 1, "a library"),
    "renamed import": ("from mhr import emit as e\n", 1, "without another name"),
    "not Python": ("def f(:\n", 1, "not Python"),
    "no byte of text": ("\0", 1, "not Python"),
    "break outside": ("@export\ndef f() -> None:\n    break\n", 3, "outside loop"),
    "code at the top": ("x = 1\nx + 1\n", 2, "outside"),
    "a call at the top": ("print(1)\n", 1, "nothing runs outside"),
    "float constant": ("x = 1.5\n", 1, "ints of 64 bits"),
    "large constant": ("x = 2**63\n", 1, "ints of 64 bits"),
    "two of a name": ("x = 1\nx = 2\n", 2, "another name"),
    "no result type": ("def f():\n    pass\n", 1, "-> int"),
    "no parameter type": ("def f(a) -> None:\n    pass\n", 1, "name: int"),
    "unknown type": ("def f(a: str) -> None:\n    pass\n", 1, "one of int, nat"),
    "default": ("def f(a: int = 1) -> None:\n    pass\n", 1, "no defaults"),
    "stars": ("def f(*a: int) -> None:\n    pass\n", 1, "no stars"),
    "decorator": ("@staticmethod\ndef f() -> None:\n    pass\n", 1, "@export"),
    "export of bytes": ("@export\ndef f() -> bytes:\n    return b''\n", 2, "emit(data)"),
    "export of bool": ("@export\ndef f(a: bool) -> None:\n    pass\n", 2, "flag != 0"),
    "nothing exported": ("def f() -> None:\n    pass\n", 1, "@export"),
    "unknown limit": ("limits(speed=1)\n", 1, "cycles"),
    "limit without measure": ("limits(cells=100000)\n@export\ndef f() -> None:\n    pass\n", 1, "1024"),
    "async": ("async def f() -> None:\n    pass\n", 1, "write `def`"),
    "float": (inside("return 1.5"), 5, "float is outside"),
    "text": (inside("return 'a'"), 5, "b'text'"),
    "large int": (inside("return 9223372036854775808"), 5, "64 bits"),
    "division": (inside("return n / 2"), 5, "//"),
    "power": (inside("return n ** 2"), 5, "only constants"),
    "list": (inside("x = [1]", "return 1"), 5, "static buffer"),
    "dict": (inside("x = {}", "return 1"), 5, "state[key]"),
    "lambda": (inside("x = lambda: 1", "return 1"), 5, "with `def`"),
    "comprehension": (inside("x = [i for i in range(3)]", "return 1"), 5, "write a loop"),
    "f-string": (inside("emit(f'{n}')", "return 1"), 5, "b'text'"),
    "try": (inside("try:", "    return 1", "except ValueError:", "    return 2"), 5, "assert"),
    "raise": (inside("raise ValueError"), 5, "abort(code)"),
    "with": (inside("with n: pass", "return 1"), 5, "nothing to open"),
    "match": (inside("match n:", "    case 1: pass", "return 1"), 5, "elif"),
    "walrus": (inside("return (x := n)"), 5, "line of its own"),
    "inner function": (inside("def g() -> None: pass", "return 1"), 5, "FunctionDef"),
    "is": (inside("return n is 1"), 5, "write =="),
    "in": (inside("return n in d"), 5, "key in state"),
    "unknown name": (inside("return m"), 5, "assign to it first"),
    "maybe no value": (inside("if n:", "    x = 1", "return x"), 7, "give it one before"),
    "no value after a loop": (inside("for i in range(n):", "    pass", "return i"), 7, "give it one before"),
    "may end without value": (inside("if n:", "    return 1"), 4, "end every way"),
    "other kind": (inside("x = 1", "x = d", "return x"), 6, "has to be int"),
    "bytes returned": (inside("return d"), 5, "has to be int"),
    "bytes added": (inside("emit(d + d)", "return 1"), 5, "copy bytes"),
    "int compared with bytes": (inside("return n == d"), 5, "cannot be compared"),
    "bytes as a condition value": (inside("emit(d or b'x')", "return 1"), 5, "test bytes by `len`"),
    "bytes written to": (inside("d[0] = 1", "return 1"), 5, "only a buffer"),
    "part written to": (inside("BUF[0:2] = d", "return 1"), 5, "memory.copy"),
    "changed in place": (inside("BUF[0] += 1", "return 1"), 5, "BUFFER[i]"),
    "step of a part": (inside("emit(d[::2])", "return 1"), 5, "write a loop"),
    "field without global": (inside("total = 1", "return 1"), 5, "global total"),
    "global of nothing": (inside("global n2", "return 1"), 5, "stored"),
    "entry read": (inside("return len(state[d])"), 5, "state.read"),
    "too few arguments": (inside("emit()", "return 1"), 5, "takes 1"),
    "keyword": (inside("emit(data=d)", "return 1"), 5, "by position"),
    "short buffer": (inside("digest(d, BUF[:8])", "return 1"), 5, "32 are needed"),
    "wrong kind": (inside("emit(n)", "return 1"), 5, "has to be bytes"),
    "not imported": (inside("log(d)", "return 1"), 5, "from mhr import log"),
    "unknown function": (inside("return print(n)"), 5, "define it"),
    "unknown method": (inside("return state.size()"), 5, "state.read"),
    "loop over bytes": (inside("for x in d: pass", "return 1"), 5, "range(len(data))"),
    "loop with else": (inside("while n: break", "else: pass", "return 1"), 5, "before `break`"),
    "unknown step": (inside("for x in range(0, 9, n): pass", "return 1"), 5, "constant"),
    "value unused": (inside("n + 1", "return 1"), 5, "assign it"),
    "wrong count": (inside("a, b = 1, 2, 3", "return 1"), 5, "as many"),
    "assert with text": (inside("assert n, 'why'", "return 1"), 5, "constant int"),
    "name of a builtin": (inside("len = 1", "return 1"), 5, "another name"),
    "name of a function": (inside("f = 1", "return 1"), 5, "another name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_outside_is_refused(name: str) -> None:
    source, line, word = REFUSED[name]
    with pytest.raises(CompileError) as caught:
        compile_contract(source, "naming.py")
    assert caught.value.field.startswith(f"naming.py:{line}:" if name != "limit without measure" else "naming.py"), (
        caught
    )
    assert word in str(caught.value)


def test_too_deep_is_refused() -> None:
    for source in (inside("return " + "(" * 300 + "n" + ")" * 300), inside("return " + "-" * 5000 + "n")):
        with pytest.raises(CompileError):
            compile_contract(source, "naming.py")
    assert Contracted(inside("return " + " + ".join(["n"] * 200))).value("f", 2, b"") == 400


@pytest.mark.parametrize("seed", range(4))
def test_damaged_sources_are_compiled_or_refused(seed: int) -> None:
    """A word taken out, doubled or moved: a contract that loads, or a CompileError; nothing else."""
    source = inside("x = n % 7", "for i in range(x):", "    x += u8(i) if i < 3 and d else i64(8)", "return x ^ d[-1]")
    words = source.replace("\n", " \n ").split(" ")
    chance = random.Random(seed)
    for _ in range(300):
        changed = list(words)
        for _ in range(chance.randrange(1, 3)):
            at, to = chance.randrange(len(changed)), chance.randrange(len(changed))
            changed[to] = changed[at]
        with contextlib.suppress(CompileError):
            compile_contract(" ".join(changed).replace(" \n ", "\n"), "damaged.py")


def test_a_nat_is_tested_where_it_comes_in() -> None:
    contract = Contracted(HEAD + "@export\ndef f(n: nat) -> nat:\n    m: nat = n - 5\n    return m\n")
    assert contract.value("f", 5) == 0
    for given in (-1, 4):
        outcome = contract.call("f", given)
        assert (outcome.trap, outcome.code) == (Trap.ABORTED, NOT_NATURAL)


def test_the_map_leads_back_to_the_line() -> None:
    contract = Contracted(inside("x = n + 1", "assert x > 0, 12", "return 7 // (x - 1)"))
    aborted, divided = contract.call("f", -5, b""), contract.call("f", 0, b"")
    assert (aborted.code, contract.line_of(aborted)) == (12, "contract.py:6")
    assert (divided.trap, contract.line_of(divided)) == (Trap.DIVISION_BY_ZERO, "mhr/prelude.py:8")
    assert set(contract.compiled.lines) == set(contract.contract.code)


def test_the_state_is_read_and_written() -> None:
    body = ["global total", "total += n", "state[d] = d[:2]", "state.set_number(b'#', state.number(b'#', 40) + 1)"]
    contract = Contracted(inside(*body, "size = state.read(d, BUF)", "emit(BUF[:size])", "return total"))
    outcome = contract.ok("f", 5, b"abc")
    assert (outcome.results, outcome.emitted) == ((12,), b"ab")
    assert contract.value("f", 1, b"abc") == 13
    assert dict(contract.state.entries)[b"#"] == (42).to_bytes(8, "little")
    removing = Contracted(
        inside("assert d not in state", "state[d] = b'x'", "assert d in state", "del state[d]", "return 1")
    )
    assert removing.ok("f", 0, b"key").changes == ()


def test_a_failed_run_leaves_nothing() -> None:
    contract = Contracted(inside("state[d] = d", "emit(d)", "abort(3)"))
    outcome = contract.call("f", 0, b"key")
    assert (outcome.status, outcome.code, outcome.emitted, outcome.changes) == (Status.TRAP, 3, b"", ())
