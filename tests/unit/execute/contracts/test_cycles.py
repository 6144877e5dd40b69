"""Compiled programs cost at most a quarter more than what a person wrote in assembly. Cycles are exact, so they are
tested exactly: a change of the compiler that moves one is seen."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.support.contracts import CONTEXT, Contracted

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.host import Argument, Call, Outcome, Status
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load

RATIO_MAX = 1.25


class Program(NamedTuple):
    """One task, in Python and by hand, and what each costs."""

    python: str
    assembly: str
    arguments: tuple[Argument, ...]
    compiled: int
    by_hand: int


LOOP = Program(
    """
from mhr import export, nat
@export
def run(n: nat) -> int:
    a, b = 0, 1
    while n:
        a, b = b, (a + b) % 1000000007
        n -= 1
    return a
""",
    """
.func run(n: int) -> 1 locals 3
    PUSH 1
    STORE local 2
    LOAD local 0
    JZ end
turn:
    LOAD local 1
    LOAD local 2
    DUP
    STORE local 1
    ADD
    PUSH 1000000007
    MOD
    STORE local 2
    LOAD local 0
    PUSH 1
    SUB
    DUP
    STORE local 0
    JNZ turn
end:
    LOAD local 1
    RET
""",
    (1000,),
    34_028,
    29_015,
)
SIEVE = Program(
    """
from mhr import address, buffer, export, set_u8, u8
FLAGS = buffer(4096)
@export
def run(n: int) -> int:
    count = 0
    for i in range(2, n):
        if not u8(address(FLAGS) + i):
            count += 1
            j = i * i
            while j < n:
                set_u8(address(FLAGS) + j, 1)
                j += i
    return count
""",
    """
.memory 4096
.func run(n: int) -> 1 locals 4
    PUSH 2
    STORE local 1
    LOAD local 1
    LOAD local 0
    GTE
    JNZ end
number:
    LOAD local 1
    LOAD u8
    JNZ next
    LOAD local 2
    PUSH 1
    ADD
    STORE local 2
    LOAD local 1
    DUP
    MUL
    DUP
    STORE local 3
    LOAD local 0
    GTE
    JNZ next
mark:
    LOAD local 3
    DUP
    PUSH 1
    STORE u8
    LOAD local 1
    ADD
    DUP
    STORE local 3
    LOAD local 0
    LT
    JNZ mark
next:
    LOAD local 1
    PUSH 1
    ADD
    DUP
    STORE local 1
    LOAD local 0
    LT
    JNZ number
end:
    LOAD local 2
    RET
""",
    (4000,),
    278_611,
    245_159,
)
RECURSION = Program(
    """
from mhr import export
@export
def run(n: int) -> int:
    return n if n < 2 else run(n - 1) + run(n - 2)
""",
    """
.func run(n: int) -> 1
    LOAD local 0
    DUP
    PUSH 2
    LT
    JZ deeper
    RET
deeper:
    PUSH 1
    SUB
    CALL run
    LOAD local 0
    PUSH 2
    SUB
    CALL run
    ADD
    RET
""",
    (16,),
    70_237,
    63_851,
)
HASH_CHAIN = Program(
    """
from mhr import buffer, digest, emit, export
LINK = buffer(32)
@export
def run(n: int) -> int:
    for _ in range(n):
        digest(LINK, LINK)
    emit(LINK)
    return LINK[0]
""",
    """
.memory 32
.func run(n: int) -> 1
    LOAD local 0
    JZ end
turn:
    PUSH 0
    PUSH 32
    PUSH 0
    HASH
    LOAD local 0
    PUSH 1
    SUB
    DUP
    STORE local 0
    JNZ turn
end:
    PUSH 0
    PUSH 32
    EMIT
    PUSH 0
    LOAD u8
    RET
""",
    (50,),
    25_933,
    25_725,
)
TABLE = Program(
    """
from mhr import address, export, u16, u8
ROWS = b"\\x03\\x07\\x00\\x09\\x09\\x01\\x11\\x00\\x02\\x2a\\x05\\x00\\x2b\\xff\\x00\\x50\\x34\\x12"
@export
def run(key: int) -> int:
    row = address(ROWS)
    end = row + len(ROWS)
    while row < end:
        if u8(row) == key:
            return u16(row + 1)
        row += 3
    return -1
""",
    """
.memory 64
.data 0x030700090901110002 0x2a05002bff00503412
.func run(key: int) -> 1 locals 2
row:
    LOAD local 1
    LOAD u8
    LOAD local 0
    EQ
    JNZ found
    LOAD local 1
    PUSH 3
    ADD
    DUP
    STORE local 1
    PUSH 18
    LT
    JNZ row
    PUSH -1
    RET
found:
    LOAD local 1
    PUSH 1
    ADD
    LOAD u16
    RET
""",
    (0x50,),
    175,
    148,
)
PROGRAMS = {"loop": LOOP, "sieve": SIEVE, "recursion": RECURSION, "hash chain": HASH_CHAIN, "table": TABLE}


def by_hand(program: Program) -> Outcome:
    return run(load(assemble(program.assembly)), Call("run", program.arguments), State(), CONTEXT)


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_costs_little_more_than_by_hand(name: str) -> None:
    program = PROGRAMS[name]
    compiled, hand = Contracted(program.python).call("run", *program.arguments), by_hand(program)
    assert compiled.status is hand.status is Status.OK
    assert (compiled.results, compiled.emitted) == (hand.results, hand.emitted)
    assert (compiled.cycles, hand.cycles) == (program.compiled, program.by_hand)
    assert compiled.cycles <= RATIO_MAX * hand.cycles
