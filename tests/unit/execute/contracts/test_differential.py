"""Random programs of the subset, run by CPython with checked ints and, compiled, by the reference: one result, or the
trap where CPython leaves 64 bits, divides by zero, shifts too far, or indexes outside."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.support.checked_python import Aborted, Cell, Left, load
from tests.support.contracts import Contracted

from quorate.execute.bytecode.compiler.scope import ASSERTION, BYTE_RANGE, INDEX_RANGE
from quorate.execute.bytecode.host import Status
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Trap

FILES = 96
FUNCTIONS = 12
CALLS = 4
NUMBERS = (0, 1, -1, 2, 3, -2, 5, 7, 8, -8, 10, 62, 63, 64, 255, 256, -256, 2**31, -(2**31), 2**62, CELL_MAX, CELL_MIN)
VARIABLES = ("a", "b", "c", "x", "y")
OPERATORS = ("+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>")
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")


class Writer:
    """Writes functions of `a`, `b`, `c` and the bytes `d`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loops = 0
        self.functions = 0

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def number(self, depth: int) -> str:
        if depth <= 0 or self.random.random() < 0.15:
            few = self.pick(*VARIABLES, "len(d)")
            return few if self.random.random() < 0.6 else f"({self.random.choice(NUMBERS)})"
        inner = depth - 1
        form = self.random.randrange(13)
        if form < 5:
            return f"({self.number(inner)} {self.pick(*OPERATORS)} {self.number(inner)})"
        forms = {
            5: lambda: (
                f"({self.number(inner)} {self.pick('//', '%', '>>', '<<', '&')} {self.random.choice(NUMBERS[:16])})"
            ),
            6: lambda: f"({self.pick('-', '~', '+')}{self.number(inner)})",
            7: lambda: f"({self.number(inner)} if {self.test(inner)} else {self.number(inner)})",
            8: lambda: f"({self.number(inner)} {self.pick('and', 'or')} {self.number(inner)})",
            9: lambda: f"{self.pick('min', 'max')}({self.number(inner)}, {self.number(inner)})",
            10: lambda: f"abs({self.number(inner)})",
            11: lambda: f"int({self.test(inner)})",
            12: lambda: self.called(inner),
        }
        return forms[form]()

    def called(self, depth: int) -> str:
        if self.functions and self.random.random() < 0.5:
            name = f"f{self.random.randrange(self.functions)}"
            return f"{name}({self.number(depth)}, {self.number(0)}, abs({self.number(0)}), {self.cut(depth)})"
        return f"{self.cut(depth)}[{self.number(0)}]"

    def cut(self, depth: int) -> str:
        if depth <= 0 or self.random.random() < 0.5:
            return self.pick("d", "d", "b'quorate'")
        lower, upper = (self.number(0) if self.random.random() < 0.7 else "" for _ in range(2))
        return f"{self.cut(depth - 1)}[{lower}:{upper}]"

    def test(self, depth: int) -> str:
        form = self.random.randrange(7) if depth > 0 else 0
        inner = depth - 1
        if form < 3:
            return f"({self.number(inner)} {self.pick(*COMPARISONS)} {self.number(inner)})"
        if form == 3:
            first, second = self.pick(*COMPARISONS), self.pick(*COMPARISONS)
            return f"({self.number(inner)} {first} {self.number(inner)} {second} {self.number(inner)})"
        if form == 4:
            return f"({self.test(inner)} {self.pick('and', 'or')} {self.test(inner)})"
        if form == 5:
            return f"(not {self.test(inner)})"
        return f"({self.cut(inner)} {self.pick(*COMPARISONS)} {self.cut(inner)})"

    def block(self, depth: int, indent: str, looping: bool = False) -> Iterator[str]:
        for _ in range(self.random.randrange(1, 4)):
            yield from self.statement(depth, indent, looping)

    def statement(self, depth: int, indent: str, looping: bool) -> Iterator[str]:
        form = self.random.randrange(10) if depth > 0 else self.random.randrange(5)
        if form < 3:
            yield f"{indent}{self.pick('x', 'y', 'a')} {self.pick('=', '=', '+=', '^=', '-=', '%=')} {self.number(2)}"
        elif form == 3:
            yield f"{indent}x, y = {self.number(2)}, {self.number(2)}"
        elif form == 4:
            yield f"{indent}{self.small(looping)}"
        elif form < 7:
            yield f"{indent}if {self.test(2)}:"
            yield from self.block(depth - 1, indent + "    ", looping)
            if self.random.random() < 0.5:
                yield f"{indent}else:"
                yield from self.block(depth - 1, indent + "    ", looping)
        else:
            yield from self.loop(depth, indent, form)

    def small(self, looping: bool) -> str:
        if looping and self.random.random() < 0.5:
            return f"if {self.test(1)}: {self.pick('break', 'continue')}"
        return self.pick(f"assert {self.test(1)}", f"if {self.test(1)}: return {self.number(1)}", "pass")

    def loop(self, depth: int, indent: str, form: int) -> Iterator[str]:
        self.loops += 1
        name = self.pick(f"i{self.loops}", "x")
        if form == 9:
            name = f"w{self.loops}"
            yield f"{indent}{name} = {self.random.randrange(6)}"
            yield f"{indent}while {name} > 0 and {self.test(1)}:"
            yield f"{indent}    {name} -= 1"
        else:
            low, high = sorted((self.random.randrange(-4, 5), self.random.randrange(-4, 5)))
            counted = (f"{high}", f"{low}, {high}", f"{low}, {high}, 2", f"{high}, {low}, -1")
            bounds = self.pick(*counted, "min(a, 4)", "max(x, -3), 3")
            yield f"{indent}for {name} in range({bounds}):"
            yield f"{indent}    y ^= {name}"
        yield from self.block(depth - 1, indent + "    ", True)

    def function(self) -> str:
        lines = [f"@export\ndef f{self.functions}(a: int, b: int, c: {self.pick('int', 'nat')}, d: bytes) -> int:"]
        lines += ["    x, y = a, b", *self.block(2, "    "), f"    return {self.number(3)}"]
        self.functions += 1
        return "\n".join(lines)

    def file(self) -> str:
        return "from mhr import export, nat\n" + "\n".join(self.function() for _ in range(FUNCTIONS)) + "\n"


def judged(function: object, arguments: tuple[object, ...]) -> tuple[Trap, int]:
    """What CPython says: the trap or NONE, and the result or the code."""
    try:
        result = function(*(Cell(one) if isinstance(one, int) else one for one in arguments))  # type: ignore[operator]
        return Trap.NONE, int(result)
    except Left as left:
        return left.trap, 0
    except ZeroDivisionError:
        return Trap.DIVISION_BY_ZERO, 0
    except AssertionError:
        return Trap.ABORTED, ASSERTION
    except IndexError:
        return Trap.ABORTED, INDEX_RANGE
    except Aborted as aborted:
        return Trap.ABORTED, aborted.args[0]


@pytest.mark.parametrize("part", range(8))
def test_compiled_programs_do_what_python_does(part: int) -> None:
    """1,152 programs, 4,608 runs: each program is called with four sets of arguments."""
    seen = dict.fromkeys(Trap, 0)
    for seed in range(part, FILES, 8):
        writer = Writer(seed)
        source = writer.file()
        contract, python = Contracted(source), load(source)
        for index in range(FUNCTIONS):
            for _ in range(CALLS):
                ints = [writer.random.choice((*NUMBERS, writer.random.randrange(-99, 99))) for _ in range(2)]
                count = abs(writer.random.choice(NUMBERS[:-1]))
                arguments = (*ints, count, writer.random.randbytes(writer.random.randrange(20)))
                outcome = contract.call(f"f{index}", *arguments)
                trap, value = judged(python[f"f{index}"], arguments)
                answer = outcome.results[0] if outcome.status is Status.OK else outcome.code
                assert (outcome.trap, answer) == (trap, value), (seed, index, arguments, source)
                seen[trap] += 1
    assert all(seen[trap] for trap in (Trap.NONE, Trap.OVERFLOW, Trap.DIVISION_BY_ZERO, Trap.SHIFT_RANGE, Trap.ABORTED))


def test_the_judge_knows_where_64_bits_end() -> None:
    names = load("def f(a: int) -> int:\n    return a * 2 // 2\n")
    assert judged(names["f"], (2**62 - 1,)) == (Trap.NONE, 2**62 - 1)
    assert judged(names["f"], (2**62,)) == (Trap.OVERFLOW, 0)


@pytest.mark.parametrize("value", [-1, 256, CELL_MAX])
def test_a_byte_is_0_to_255(value: int) -> None:
    head = "from mhr import export, buffer\nB = buffer(2)\n"
    source = head + "@export\ndef f(v: int) -> int:\n    B[1] = v\n    return B[-1]\n"
    contract = Contracted(source)
    assert contract.value("f", 255) == 255
    outcome = contract.call("f", value)
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, BYTE_RANGE)
    with pytest.raises(ValueError):
        load(source.replace("buffer(2)", "bytearray(2)"))["f"](value)
