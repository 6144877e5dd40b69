"""The contracts whose speed is measured: an arithmetic loop, a sieve and a recursion."""

from __future__ import annotations

LOOP = """
.cycles 1000000000
.func loop(n: int) -> 1 locals 4
    PUSH 1
    STORE local 2
again:
    LOAD local 0
    JZ done
    LOAD local 2
    DUP
    LOAD local 1
    ADD
    PUSH 1000000007
    MOD
    STORE local 2
    STORE local 1
    LOAD local 0
    PUSH 1
    SUB
    STORE local 0
    JMP again
done:
    LOAD local 1
    RET
"""
SIEVE = """
.memory 65536
.cycles 1000000000
.func sieve(n: int) -> 1 locals 4
    PUSH 2
    STORE local 1
outer:
    LOAD local 1
    LOAD local 0
    LT
    JZ done
    LOAD local 1
    LOAD u8
    JNZ next
    LOAD local 3
    PUSH 1
    ADD
    STORE local 3
    LOAD local 1
    DUP
    ADD
inner:
    DUP
    LOAD local 0
    LT
    JZ out
    DUP
    PUSH 1
    STORE u8
    LOAD local 1
    ADD
    JMP inner
out:
    POP
next:
    LOAD local 1
    PUSH 1
    ADD
    STORE local 1
    JMP outer
done:
    LOAD local 3
    RET
"""
FIB = """
.cycles 1000000000
.func fib(n: int) -> 1
    LOAD local 0
    PUSH 2
    LT
    JZ deeper
    LOAD local 0
    RET
deeper:
    LOAD local 0
    PUSH 1
    SUB
    CALL fib
    LOAD local 0
    PUSH 2
    SUB
    CALL fib
    ADD
    RET
"""
# text, argument on the host, argument on a board and in the reference
PROGRAMS = {"loop": (LOOP, 1_000_000, 2_000), "sieve": (SIEVE, 60_000, 2_000), "fib": (FIB, 27, 12)}
