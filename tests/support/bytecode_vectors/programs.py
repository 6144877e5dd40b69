"""Whole programs, with results computed here in Python."""

from __future__ import annotations

from math import gcd

from blake3 import blake3
from tests.support.bytecode_vectors.form import Case

from quorate.execute.bytecode.assembler import assemble

FIB_LOOP = """
.func main(n: int) -> 1 locals 3
    PUSH 1
    STORE local 2
top:
    LOAD local 0
    JZ out
    LOAD local 2
    LOAD local 1
    LOAD local 2
    ADD
    PUSH 1000000007
    MOD
    STORE local 2
    STORE local 1
    LOAD local 0
    PUSH 1
    SUB
    STORE local 0
    JMP top
out:
    LOAD local 1
    RET
"""
FIB_STACK = """
; the same with DUP, ROT and SWAP alone: n a b
.func main(n: int) -> 1
    LOAD local 0
    PUSH 0
    PUSH 1
top:
    ROT
    DUP
    JZ out
    PUSH 1
    SUB
    ROT
    ROT
    DUP
    ROT
    ADD
    PUSH 1000000007
    MOD
    JMP top
out:
    POP
    POP
    RET
"""
FIB_CALLS = """
.func main(n: int) -> 1
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
    CALL main
    LOAD local 0
    PUSH 2
    SUB
    CALL main
    ADD
    RET
"""
SIEVE = """
; counts the primes below n; memory[i] is 1 where i is a multiple
.memory 4096
.func main(n: int) -> 1 locals 4
    PUSH 2
    STORE local 1
outer:
    LOAD local 1
    LOAD local 0
    LT
    JZ out
    LOAD local 1
    LOAD u8
    JNZ next
    LOAD local 3
    PUSH 1
    ADD
    STORE local 3
    LOAD local 1
    LOAD local 1
    MUL
    STORE local 2
inner:
    LOAD local 2
    LOAD local 0
    LT
    JZ next
    LOAD local 2
    PUSH 1
    STORE u8
    LOAD local 2
    LOAD local 1
    ADD
    STORE local 2
    JMP inner
next:
    LOAD local 1
    PUSH 1
    ADD
    STORE local 1
    JMP outer
out:
    LOAD local 3
    RET
"""
HASH_CHAIN = """
.memory 64
.func main(seed: bytes, times: int) -> 0
top:
    LOAD local 2
    JZ out
    PUSH 0
    PUSH 32
    PUSH 0
    HASH
    LOAD local 2
    PUSH 1
    SUB
    STORE local 2
    JMP top
out:
    PUSH 0
    PUSH 32
    EMIT
    RET
"""
TABLE_ROWS = [(3, 30), (7, 70), (8, 81), (20, -5), (1000, 123456789)]
TABLE = f"""
; finds the row of a key and returns its value, or aborts
.memory 128
.data 0x{b"".join(cell.to_bytes(8, "little", signed=True) for row in TABLE_ROWS for cell in row).hex()}
.func main(key: int) -> 1 locals 2
top:
    LOAD local 1
    PUSH {16 * len(TABLE_ROWS)}
    LT
    JNZ look
    PUSH 404
    ABORT
look:
    LOAD local 1
    LOAD i64
    LOAD local 0
    EQ
    JNZ found
    LOAD local 1
    PUSH 16
    ADD
    STORE local 1
    JMP top
found:
    LOAD local 1
    PUSH 8
    ADD
    LOAD i64
    RET
"""
EUCLID = """
.func main(a: int, b: int) -> 1
top:
    LOAD local 1
    JZ out
    LOAD local 1
    LOAD local 0
    LOAD local 1
    MOD
    STORE local 1
    STORE local 0
    JMP top
out:
    LOAD local 0
    ABS
    RET
"""
SUM_BYTES = """
.memory 256
.func main(xs: bytes, ys: bytes) -> 2 locals 4
    LOAD local 0
    LOAD local 1
    CALL total
    LOAD local 2
    LOAD local 3
    CALL total
    RET
.func total/2 -> 1 locals 3
top:
    LOAD local 1
    JZ out
    LOAD local 0
    LOAD u8
    LOAD local 2
    ADD
    STORE local 2
    LOAD local 0
    PUSH 1
    ADD
    STORE local 0
    LOAD local 1
    PUSH 1
    SUB
    STORE local 1
    JMP top
out:
    LOAD local 2
    RET
"""
COUNTER = """
; adds to the number under the caller's id, and returns it
.memory 64
.state 256
.func main(step: int) -> 1 locals 2
    PUSH 0
    SENDER
    PUSH 0
    PUSH 16
    PUSH 16
    PUSH 8
    LOAD state
    POP
    PUSH 16
    PUSH 16
    LOAD i64
    LOAD local 0
    ADD
    DUP
    STORE local 1
    STORE i64
    PUSH 0
    PUSH 16
    PUSH 16
    PUSH 8
    STORE state
    LOAD local 1
    RET
"""
COLLATZ = """
.func main(n: int) -> 1 locals 2
top:
    LOAD local 0
    PUSH 1
    EQ
    JNZ out
    LOAD local 1
    PUSH 1
    ADD
    STORE local 1
    LOAD local 0
    PUSH 1
    AND
    JZ even
    LOAD local 0
    PUSH 3
    MUL
    PUSH 1
    ADD
    STORE local 0
    JMP top
even:
    LOAD local 0
    PUSH 1
    SHR
    STORE local 0
    JMP top
out:
    LOAD local 1
    RET
"""


def _fibonacci(n: int, modulus: int = 10**18) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, (a + b) % modulus
    return a


def _primes_below(n: int) -> int:
    return sum(all(at % divisor for divisor in range(2, at)) for at in range(2, n))


def _chain(seed: bytes, times: int) -> str:
    for _ in range(times):
        seed = blake3(seed).digest()
    return seed.hex()


def _collatz(n: int) -> int:
    steps = 0
    while n != 1:
        n, steps = (3 * n + 1 if n % 2 else n // 2), steps + 1
    return steps


def _results(name: str, source: str, table: dict[tuple[int | bytes, ...], list[int]]) -> list[Case]:
    code = assemble(source)
    return [
        Case(f"{name}/{index}", code, {"status": "ok", "results": [str(cell) for cell in results]}, arguments=arguments)
        for index, (arguments, results) in enumerate(table.items())
    ]


def programs() -> list[Case]:
    seed = bytes(range(100, 132))
    numbers = [(0, 0), (48, 36), (-48, 36), (2**40, 2**33), (1, 2**62), (1071, 462)]
    sums = [(b"", b""), (b"abc", b""), (bytes(range(9)), b"\xff" * 17), (bytes(100), b"\x01" * 100)]
    cases = _results("fib_loop", FIB_LOOP, {(n,): [_fibonacci(n, 10**9 + 7)] for n in (0, 1, 2, 10, 91, 200)})
    cases += _results("fib_stack", FIB_STACK, {(n,): [_fibonacci(n, 10**9 + 7)] for n in (0, 1, 2, 10, 91, 200)})
    cases += _results("fib_calls", FIB_CALLS, {(n,): [_fibonacci(n)] for n in (0, 1, 2, 7, 12)})
    cases += _results("sieve", SIEVE, {(n,): [_primes_below(n)] for n in (0, 2, 3, 30, 100, 500)})
    cases += _results("euclid", EUCLID, {pair: [gcd(*pair)] for pair in numbers})
    cases += _results("sum_bytes", SUM_BYTES, {(xs, ys): [sum(xs), sum(ys)] for xs, ys in sums})
    cases += _results("collatz", COLLATZ, {(n,): [_collatz(n)] for n in (1, 2, 7, 27, 97)})
    cases += _results("table", TABLE, {(key,): [value] for key, value in TABLE_ROWS})
    missing = {"trap": "ABORTED", "code": "404"}
    cases += [Case(f"table/missing_{key}", assemble(TABLE), missing, arguments=(key,)) for key in (0, -3, 2**60)]
    for times in (0, 1, 2, 20):
        stated = {"emitted": _chain(seed, times)}
        cases.append(Case(f"hash_chain/{times}", assemble(HASH_CHAIN), stated, arguments=(seed, times)))
    return cases + _counters() + _cut_off()


def _counters() -> list[Case]:
    code, cases = assemble(COUNTER), []
    sender = b"\xbb" * 16
    for index, (held, step) in enumerate([(None, 1), (5, 1), (5, -6), (2**40, 2**40), (0, 0)]):
        state = {} if held is None else {sender: held.to_bytes(8, "little")}
        after = (held or 0) + step
        entry = {sender.hex(): after.to_bytes(8, "little", signed=True).hex()}
        stated = {"results": [str(after)], "state": entry}
        cases.append(Case(f"counter/{index}", code, stated, arguments=(step,), state=state))
    full = {sender: (2**63 - 1).to_bytes(8, "little")}
    return [*cases, Case("counter/overflow", code, {"trap": "OVERFLOW"}, arguments=(1,), state=full)]


def _cut_off() -> list[Case]:
    """Each program stopped on the way: the same cycle on every engine."""
    cases = []
    sources = [("fib_loop", FIB_LOOP, (40,)), ("fib_calls", FIB_CALLS, (12,)), ("sieve", SIEVE, (200,))]
    for name, source, arguments in sources:
        for limit in (1, 10, 97, 100, 101, 333, 500, 777, 1000):
            stated = {"trap": "OUT_OF_CYCLES", "cycles": str(limit)}
            case = Case(f"{name}/cut_{limit}", assemble(source), stated, arguments=arguments, cycles_max=limit)
            cases.append(case)
    return cases
