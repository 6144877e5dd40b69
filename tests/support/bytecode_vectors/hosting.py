"""Cases of BALANCE SENDER SELF EPOCH TRANSFER LOG EMIT, and that effects exist only after success."""

from __future__ import annotations

from typing import Any

from tests.support.bytecode_vectors.computing import LEAST, MOST
from tests.support.bytecode_vectors.form import Case, Json
from tests.support.bytecode_vectors.probes import Probe

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.vectors import SELF_ID, SENDER

ALICE, BOB, NOBODY = bytes(range(1, 17)), bytes(range(17, 33)), bytes(range(33, 49))
PEOPLE = f".memory 128\n.data 0x{(ALICE + BOB + SELF_ID + NOBODY).hex()}"
AT_ALICE, AT_BOB, AT_SELF, AT_NOBODY = 0, 16, 32, 48
FOREIGN = [113, 128, -1, LEAST, MOST, 2**32]


def _funds(own: int = 100, alice: int = 7) -> Json:
    return {"balances": {SELF_ID.hex(): str(own), ALICE.hex(): str(alice)}}


def balances() -> list[Case]:
    probe = Probe("BALANCE", 1, 1, head=PEOPLE)
    cases = [probe.ok(f"alice_{n}", (AT_ALICE,), [n], context=_funds(alice=n)) for n in (0, 1, 2**40, MOST - 100)]
    cases.append(probe.ok("own", (AT_SELF,), [100], context=_funds()))
    cases.append(probe.ok("own_all_there_is", (AT_SELF,), [MOST], context=_funds(own=MOST, alice=0)))
    cases += [probe.trap(f"at_{address}", (address,), "MEMORY_RANGE", context=_funds()) for address in FOREIGN]
    unresolved: Json = {"status": "unresolved", "pc": probe.pc, "cycles": str(probe.before + 10)}
    cases.append(probe.case("not_listed", (AT_NOBODY,), unresolved, context=_funds()))
    cases.append(probe.case("nothing_listed", (AT_SELF,), unresolved))
    return cases + probe.starved((AT_ALICE,), context=_funds())


def identities() -> list[Case]:
    cases = []
    for op, given in (("SENDER", SENDER), ("SELF", SELF_ID)):
        probe = Probe(op, 1, 0, head=".memory 32", tail="PUSH 0\nPUSH 32\nEMIT", tail_cycles=1 + 1 + 11)
        for address in (0, 1, 7, 16):
            emitted = bytes(address) + given + bytes(16 - address)
            cases.append(probe.ok(f"at_{address}", (address,), [], stated={"emitted": emitted.hex()}))
        for address in (17, 32, -1, LEAST, MOST, 2**32):
            cases.append(probe.trap(f"at_{address}", (address,), "MEMORY_RANGE"))
        other = {op.lower(): NOBODY.hex()}
        emitted = NOBODY + bytes(16)
        cases.append(probe.ok("another", (0,), [], context=other, stated={"emitted": emitted.hex()}))
        cases += probe.starved((0,))
    probe = Probe("EPOCH", 0, 1)
    for epoch in (0, 1, 255, 2**31, 2**32, 2**53 + 1, MOST):
        cases.append(probe.ok(f"{epoch}", (), [epoch], context={"epoch": str(epoch)}))
    return cases + probe.starved(())


def transfers() -> list[Case]:
    probe = Probe("TRANSFER", 2, 1, head=PEOPLE)

    def paid(to: bytes, amount: int) -> Json:
        return {"transfers": [[to.hex(), str(amount)]]}

    cases = [
        probe.ok("some", (AT_ALICE, 30), [1], context=_funds(), stated=paid(ALICE, 30)),
        probe.ok("all", (AT_ALICE, 100), [1], context=_funds(), stated=paid(ALICE, 100)),
        probe.ok("nothing", (AT_ALICE, 0), [1], context=_funds(), stated=paid(ALICE, 0)),
        probe.ok("to_itself", (AT_SELF, 100), [1], context=_funds(), stated=paid(SELF_ID, 100)),
        probe.ok("to_one_not_listed", (AT_NOBODY, 5), [1], context=_funds(), stated=paid(NOBODY, 5)),
        probe.ok("too_much", (AT_ALICE, 101), [0], context=_funds(), stated={"transfers": None}),
        probe.ok("far_too_much", (AT_ALICE, MOST), [0], context=_funds(), stated={"transfers": None}),
        probe.trap("negative", (AT_ALICE, -1), "AMOUNT_RANGE", context=_funds()),
        probe.trap("least", (AT_ALICE, LEAST), "AMOUNT_RANGE", context=_funds()),
        probe.trap("amount_before_memory", (-1, -1), "AMOUNT_RANGE", context=_funds()),
    ]
    cases += [probe.trap(f"at_{address}", (address, 1), "MEMORY_RANGE", context=_funds()) for address in FOREIGN]
    unresolved: Json = {"status": "unresolved", "pc": probe.pc, "cycles": str(probe.before + 50)}
    cases.append(probe.case("own_balance_not_listed", (AT_ALICE, 1), unresolved))
    return cases + probe.starved((AT_ALICE, 1), context=_funds()) + _after_transfers()


def _after_transfers() -> list[Case]:
    """Balances within a run that has transferred, and the most transfers of one run."""
    code = assemble(f"""
{PEOPLE}
.func main(first: int, second: int) -> 4
    PUSH {AT_ALICE}
    LOAD local 0
    TRANSFER
    PUSH {AT_BOB}
    LOAD local 1
    TRANSFER
    PUSH {AT_SELF}
    BALANCE
    PUSH {AT_ALICE}
    BALANCE
    RET
""")
    cases = []
    for first, second in ((30, 70), (30, 71), (101, 100), (0, 0), (100, 1)):
        one, two = first <= 100, second <= 100 - (first if first <= 100 else 0)
        own = 100 - first * one - second * two
        results = [str(cell) for cell in (int(one), int(two), own, 7 + first * one)]
        shape = {"arguments": (first, second), "context": _funds()}
        cases.append(Case(f"TRANSFER/two_{first}_{second}", code, {"results": results}, **shape))
    many = assemble(_repeated(f"PUSH {AT_ALICE}\nPUSH 0\nTRANSFER\nPOP", PEOPLE))
    return cases + _counted("TRANSFER", many, 256, context=_funds())


def _repeated(body: str, head: str) -> str:
    loop = "LOAD local 0\nPUSH 1\nSUB\nSTORE local 0\nLOAD local 0\nJNZ again"
    return f"{head}\n.func main(times: int) -> 0\nagain:\n{body}\n{loop}\nRET"


def _counted(op: str, code: bytes, most: int, **rest: Any) -> list[Case]:
    fits: Json = {"status": "ok"}
    over: Json = {"trap": "OUTPUT_LIMIT", "logs": None, "emitted": None, "transfers": None}
    return [
        Case(f"{op}/{most}_times", code, fits, arguments=(most,), **rest),
        Case(f"{op}/{most + 1}_times", code, over, arguments=(most + 1,), **rest),
    ]


# address, length, surcharge
WRITTEN = [(0, 8, 1), (0, 32, 1), (0, 33, 2), (5, 64, 2), (60, 1, 1), (0, 128, 4), (1, 97, 4)]
OUTSIDE = [(129, 0), (128, 1), (0, 129), (-1, 1), (0, -1), (MOST, MOST), (LEAST, LEAST), (1, MOST)]


def outputs() -> list[Case]:
    cases = []
    data = bytes(range(1, 65))
    for op in ("LOG", "EMIT"):
        probe = Probe(op, 2, 0, head=f".memory 128\n.data 0x{data.hex()}")
        for pointer, length, extra in WRITTEN:
            held = (data + bytes(64))[pointer : pointer + length].hex()
            stated = {"logs": [held]} if op == "LOG" else {"emitted": held}
            cases.append(probe.ok(f"at_{pointer}_of_{length}", (pointer, length), [], extra, stated=stated))
        empty: Json = {"logs": [""]} if op == "LOG" else {"emitted": None}
        cases.append(probe.ok("empty", (0, 0), [], stated=empty))
        cases.append(probe.ok("empty_at_the_end", (128, 0), [], stated=empty))
        for pointer, length in OUTSIDE:
            cases.append(probe.trap(f"at_{pointer}_of_{length}", (pointer, length), "MEMORY_RANGE"))
        cases += probe.starved((0, 100), 4)
        sized = Probe(op, 2, 0, group=f"{op}/size", head=".memory 65600")
        cases.append(sized.trap("65537", (0, 65_537), "OUTPUT_LIMIT", 2049))
        both = assemble(_repeated("PUSH 0\nPUSH 32769\n" + op, ".memory 65536"))
        cases.append(Case(f"{op}/two_halves_and_more", both, {"trap": "OUTPUT_LIMIT"}, arguments=(2,)))
        cases.append(Case(f"{op}/one_half_and_more", both, {"status": "ok"}, arguments=(1,)))
    order = assemble(".memory 16\n.data 0x010203\n.func main() -> 0\n" + "".join(
        f"PUSH {at}\nPUSH 1\nLOG\nPUSH {2 - at}\nPUSH 1\nEMIT\n" for at in range(3)) + "RET")  # fmt: skip
    cases.append(Case("LOG/order", order, {"logs": ["01", "02", "03"], "emitted": "030201"}))
    records = assemble(_repeated("PUSH 0\nPUSH 0\nLOG", ".memory 8"))
    return cases + _counted("LOG", records, 256)


ALL_EFFECTS = f"""
{PEOPLE}
.state 64
.func main(end: int) -> 1
    PUSH {AT_ALICE}
    PUSH 5
    TRANSFER
    POP
    PUSH 0
    PUSH 4
    LOG
    PUSH 4
    PUSH 4
    EMIT
    PUSH 0
    PUSH 2
    PUSH 8
    PUSH 3
    STORE state
    LOAD local 0
    JZ well
    LOAD local 0
    PUSH 1
    SUB
    JZ halt
    LOAD local 0
    PUSH 2
    SUB
    JZ abort
    LOAD local 0
    PUSH 3
    SUB
    JZ divide
    LOAD u8_end
    RET
well:
    PUSH 1
    RET
halt:
    HALT
abort:
    PUSH 77
    ABORT
divide:
    PUSH 1
    PUSH 0
    DIV
    RET
""".replace("LOAD u8_end", "PUSH -1\nLOAD u8")


def effects() -> list[Case]:
    code = assemble(ALL_EFFECTS)
    state = {b"k": b"before"}
    after = {b"k".hex(): b"before".hex(), ALICE[:2].hex(): ALICE[8:11].hex()}
    kept: Json = {
        "status": "ok",
        "logs": [ALICE[:4].hex()],
        "emitted": ALICE[4:8].hex(),
        "transfers": [[ALICE.hex(), "5"]],
        "state": after,
    }
    none: Json = {"status": "trap", "logs": None, "emitted": None, "transfers": None, "state": None}
    ends = {0: ("ret", kept), 1: ("halt", kept), 2: ("abort", none | {"trap": "ABORTED", "code": "77"})}
    ends |= {3: ("division", none | {"trap": "DIVISION_BY_ZERO"}), 4: ("memory", none | {"trap": "MEMORY_RANGE"})}
    cases = [
        Case(f"effects/{name}", code, stated, arguments=(end,), context=_funds(), state=state)
        for end, (name, stated) in ends.items()
    ]
    out = none | {"trap": "OUT_OF_CYCLES"}
    for limit in (60, 70, 90, 95, 96):
        shape = {"arguments": (0,), "context": _funds(), "state": state, "cycles_max": limit}
        cases.append(Case(f"effects/cycles_{limit}", code, out, **shape))
    lost = none | {"status": "unresolved"}
    cases.append(Case("effects/state_not_here", code, lost, arguments=(0,), context=_funds(), state=None))
    return cases


def hosting() -> list[Case]:
    return balances() + identities() + transfers() + outputs() + effects()
