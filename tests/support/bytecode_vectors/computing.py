"""Cases of the stack, arithmetic, bitwise and comparison opcodes, with results computed here by other means."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tests.support.bytecode_vectors.form import Case
from tests.support.bytecode_vectors.probes import Probe

LEAST, MOST = -(2**63), 2**63 - 1
PAIRS = [
    (0, 0), (1, 2), (2, 1), (-1, 1), (1, -1), (7, 2), (-7, 2), (7, -2), (-7, -2), (0, 5), (5, 0), (-5, 0),
    (MOST, 1), (MOST, -1), (LEAST, 1), (LEAST, -1), (-1, LEAST), (MOST, MOST), (LEAST, LEAST), (MOST, LEAST),
    (LEAST, MOST), (2**31, 2**32), (-(2**31), 2**32), (3037000499, 3037000499), (3037000500, 3037000500),
    (2**62, 2), (-(2**62), 2), (0x0123456789ABCDEF, -0x0FEDCBA987654321),
]  # fmt: skip
SHIFTS = [
    (1, 0), (1, 1), (1, 62), (1, 63), (1, 64), (1, -1), (1, LEAST), (1, MOST), (-1, 1), (-1, 63), (LEAST, 1),
    (LEAST, 63), (MOST, 1), (MOST, 62), (0x0123456789ABCDEF, 4), (-2, 0), (0, 63), (5, 65),
]  # fmt: skip
SINGLES = [0, 1, -1, 2, -2, MOST, LEAST, LEAST + 1, 2**32, -(2**31), 0x0123456789ABCDEF]


def _bits(cell: int) -> str:
    return format(cell % 2**64, "064b")


def _cell(bits: str) -> int:
    return int(bits, 2) - (2**64 if bits[0] == "1" else 0)


def _bitwise(rule: Callable[[str, str], bool]) -> Callable[[int, int], int]:
    return lambda a, b: _cell("".join(str(int(rule(x, y))) for x, y in zip(_bits(a), _bits(b), strict=True)))


def _quotient(a: int, b: int) -> int:
    return int(Fraction(a, b))


BINARY: dict[str, Callable[[int, int], int]] = {
    "ADD": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "MUL": lambda a, b: a * b,
    "DIV": _quotient,
    "MOD": lambda a, b: a - b * _quotient(a, b),
    "MIN": lambda a, b: sorted([a, b])[0],
    "MAX": lambda a, b: sorted([a, b])[1],
    "AND": _bitwise(lambda x, y: x == y == "1"),
    "OR": _bitwise(lambda x, y: "1" in x + y),
    "XOR": _bitwise(lambda x, y: x != y),
    "EQ": lambda a, b: int(a - b == 0),
    "NEQ": lambda a, b: int(a - b != 0),
    "LT": lambda a, b: int(a - b < 0),
    "GT": lambda a, b: int(a - b > 0),
    "LTE": lambda a, b: int(a - b <= 0),
    "GTE": lambda a, b: int(a - b >= 0),
}
SHIFTED: dict[str, Callable[[str, int], str]] = {
    "SHL": lambda bits, count: bits[count:] + "0" * count,
    "SHR": lambda bits, count: "0" * count + bits[: 64 - count],
}
UNARY: dict[str, Callable[[int], int]] = {
    "NEG": lambda a: 0 - a,
    "ABS": lambda a: a if a > 0 else 0 - a,
    "NOT": lambda a: -1 - a,
}


def _binary_case(tester: Probe, a: int, b: int, rule: Callable[[int, int], int]) -> Case:
    label = f"{a}_{b}"
    if b == 0 and tester.op in {"DIV", "MOD"}:
        return tester.trap(label, (a, b), "DIVISION_BY_ZERO")
    value = rule(a, b)
    if not LEAST <= value <= MOST:
        return tester.trap(label, (a, b), "OVERFLOW")
    return tester.ok(label, (a, b), [value])


def _shift_case(tester: Probe, a: int, count: int) -> Case:
    label = f"{a}_{count}"
    if not 0 <= count < 64:
        return tester.trap(label, (a, count), "SHIFT_RANGE")
    return tester.ok(label, (a, count), [_cell(SHIFTED[tester.op](_bits(a), count))])


def _unary_case(tester: Probe, a: int) -> Case:
    value = UNARY[tester.op](a)
    return tester.ok(f"{a}", (a,), [value]) if value <= MOST else tester.trap(f"{a}", (a,), "OVERFLOW")


def computing() -> list[Case]:
    cases: list[Case] = []
    for op, rule in BINARY.items():
        tester = Probe(op, 2, 1)
        cases += [_binary_case(tester, a, b, rule) for a, b in PAIRS] + tester.starved((7, 3))
    for op in SHIFTED:
        tester = Probe(op, 2, 1)
        cases += [_shift_case(tester, a, count) for a, count in SHIFTS] + tester.starved((7, 3))
    for op in UNARY:
        tester = Probe(op, 1, 1)
        cases += [_unary_case(tester, a) for a in SINGLES] + tester.starved((7,))
    return cases


MOVES: dict[str, tuple[int, Callable[..., list[int]]]] = {
    "POP": (2, lambda a, b: [a]),
    "DUP": (1, lambda a: [a, a]),
    "SWAP": (2, lambda a, b: [b, a]),
    "OVER": (2, lambda a, b: [a, b, a]),
    "ROT": (3, lambda a, b, c: [b, c, a]),
}
PUSHED = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 2**31, -(2**31), 2**62, 2**56, MOST, LEAST]


def moving() -> list[Case]:
    cases: list[Case] = []
    for op, (count, rule) in MOVES.items():
        given = [SINGLES[at : at + count] for at in range(len(SINGLES) - 2)]
        tester = Probe(op, count, len(rule(*given[0])))
        cases += [tester.ok("_".join(map(str, cells)), tuple(cells), rule(*cells)) for cells in given]
        cases += tester.starved(tuple(given[1]))
    for value in PUSHED:
        cases.append(Probe(f"PUSH {value}", 0, 1).ok(f"{value}", (), [value]))
    return cases + Probe("PUSH 5", 0, 1).starved(())
