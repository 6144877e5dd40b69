"""The translated contract: all vectors, the walls around it, and that a wrong translation would be noticed."""

from __future__ import annotations

from random import Random

import pytest
from tests.support.bytecode_vectors.files import FILES
from tests.support.bytecode_vectors.form import FOLDER, read

from quorate.errors import TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode import reference
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engines import translation_engine
from quorate.execute.bytecode.host import Call, Context, EngineFault, Outcome, Status
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Trap
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.translate import layout
from quorate.execute.bytecode.translate.bounds import counted
from quorate.execute.bytecode.translate.emission import Stop
from quorate.execute.bytecode.translate.engine import Program, TranslationEngine
from quorate.execute.bytecode.translate.module import translate
from quorate.execute.bytecode.vectors import SELF_ID, SENDER, differences
from quorate.execute.bytecode.verify import load

CONTEXT = Context.of(SELF_ID, SENDER, 9, {SELF_ID: 100})
ENGINE = TranslationEngine()


def program_of(source: str) -> Program:
    return ENGINE.compile(load(assemble(source)))


def both(program: Program, call: Call, state: State | None = None) -> tuple[Outcome, Outcome]:
    given = (call, state, CONTEXT)
    return ENGINE.run(program, *given), reference.run(program.translation.contract, *given)


def same(program: Program, call: Call, state: State | None = None) -> Outcome:
    seen, expected = both(program, call, state)
    assert seen == expected
    return seen


@pytest.mark.parametrize("name", FILES)
def test_the_translation_meets_every_vector(name: str) -> None:
    assert list(differences(read(FOLDER / f"{name}.json"), translation_engine())) == []


ACCESS = """
.memory 60000
.func at(address: int, value: int) -> 1
    LOAD local 0
    LOAD local 1
    STORE i64
    LOAD local 0
    LOAD i64
    RET
"""


@pytest.mark.parametrize("address", [0, 1, 59_991, 59_992])
def test_all_of_the_memory_can_be_used(address: int) -> None:
    assert same(program_of(ACCESS), Call("at", (address, CELL_MIN))).results == (CELL_MIN,)


@pytest.mark.parametrize(
    "address", [59_993, 60_000, 60_008, 65_535, 2**32, 2**32 + 8, 2**62, CELL_MAX, -1, -8, -(2**32), CELL_MIN]
)
def test_no_address_outside_the_memory_can_be_used(address: int) -> None:
    outcome = same(program_of(ACCESS), Call("at", (address, 1)))
    assert (outcome.status, outcome.trap) == (Status.TRAP, Trap.MEMORY_RANGE)


def test_a_contract_without_memory_has_none() -> None:
    program = program_of(ACCESS.replace("60000", "0"))
    for address in (0, -8, 64):
        assert same(program, Call("at", (address, 1))).trap is Trap.MEMORY_RANGE


def test_the_module_cannot_grow_its_memory() -> None:
    contract = load(assemble(ACCESS))
    module = translate(contract).module
    pages = layout.pages_of(contract.container)
    assert pages == 1
    assert bytes([5, 4, 1, 1, pages, pages]) in module  # section 5: one memory, its least and greatest size


def test_nothing_of_a_run_is_there_for_the_next() -> None:
    source = ".memory 8\n.func next() -> 1\nPUSH 0\nPUSH 0\nLOAD i64\nPUSH 1\nADD\nSTORE i64\nPUSH 0\nLOAD i64\nRET"
    program = program_of(source)
    assert [same(program, Call("next")).results for _ in range(3)] == [(1,)] * 3


ENDLESS = ".cycles 1000000\n.func spin() -> 0\nagain:\nPUSH 1\nJNZ again\nRET"


@pytest.mark.parametrize("cycles", [1, 2, 3, 4, 1000, 999_999, 1_000_000, CELL_MAX])
def test_an_endless_loop_stops_at_exactly_its_cycles(cycles: int) -> None:
    outcome = same(program_of(ENDLESS), Call("spin", cycles_max=cycles))
    assert (outcome.trap, outcome.cycles) == (Trap.OUT_OF_CYCLES, min(cycles, 1_000_000))


def straight(steps: int) -> str:
    """A long segment whose steps take 1 and 3 cycles by turns, with every local and eight cells in use."""
    lines = [".func long(x: int) -> 0 locals 8", *(f"PUSH {at}" for at in range(8))]
    for at in range(steps):
        lines += [f"STORE local {at % 8}", f"LOAD local {(at * 3) % 8}"]
    return "\n".join([*lines, *["POP"] * 8, "RET"])


def test_an_unaffordable_segment_stops_inside_at_every_place() -> None:
    program = program_of(straight(30))
    needed = same(program, Call("long", (5,))).cycles
    for cycles in range(1, needed):
        outcome = same(program, Call("long", (5,), cycles))
        assert (outcome.trap, outcome.cycles) == (Trap.OUT_OF_CYCLES, cycles)


def test_an_unaffordable_segment_ends_with_the_trap_that_comes_first() -> None:
    source = ".func f(x: int) -> 1\nPUSH 1\nLOAD local 0\nDIV\n" + "PUSH 1\nADD\n" * 50 + "RET"
    program = program_of(source)
    assert same(program, Call("f", (0,), 50)).trap is Trap.DIVISION_BY_ZERO
    assert same(program, Call("f", (1,), 50)).trap is Trap.OUT_OF_CYCLES


STATE = """
.memory 64
.state 40
.data "key"
.func keep(size: int) -> 0
    PUSH 0
    PUSH 3
    PUSH 0
    LOAD local 0
    STORE state
    RET
"""


def test_state_cannot_be_larger_than_declared() -> None:
    program = program_of(STATE)
    assert len(same(program, Call("keep", (37,)), State()).changes) == 1
    outcome = same(program, Call("keep", (38,)), State())
    assert (outcome.trap, outcome.changes) == (Trap.STATE_SIZE, ())


def test_what_was_asked_for_is_dropped_with_a_trap() -> None:
    source = ".memory 8\n.func f(x: int) -> 0\nPUSH 0\nPUSH 8\nLOG\nPUSH 0\nPUSH 8\nEMIT\nLOAD local 0\nABORT"
    outcome = same(program_of(source), Call("f", (77,)))
    assert (outcome.code, outcome.logs, outcome.emitted) == (77, (), b"")


SMALL = """
.func f(n: int) -> 1 locals 2
    PUSH 3
    STORE local 1
again:
    LOAD local 0
    CALL half
    LOAD local 0
    CALL half
    SUB
    LOAD local 0
    ADD
    STORE local 0
    LOAD local 1
    PUSH 1
    SUB
    DUP
    STORE local 1
    JNZ again
    LOAD local 0
    RET
.func half/1 -> 1 locals 2
    LOAD local 1
    JZ fresh
    PUSH 99
    ABORT
fresh:
    PUSH 7
    STORE local 1
    LOAD local 0
    PUSH 2
    DIV
    CALL check
    RET
.func check/1 -> 1
    PUSH 100
    LOAD local 0
    DIV
    POP
    LOAD local 0
    RET
"""


def test_callees_written_inside_their_callers_are_calls_like_others() -> None:
    """Their locals are fresh each time, their traps have their own addresses, and any limit stops inside them."""
    program = program_of(SMALL)
    modules = [translate(load(assemble(SMALL.replace("PUSH 99", "\n".join(["PUSH 99"] * count))))) for count in (1, 60)]
    assert len(modules[0].module) > len(modules[1].module)  # the second `half` is too long to be written twice
    assert same(program, Call("f", (40,))).results == (40,)
    assert same(program, Call("f", (1,))).trap is Trap.DIVISION_BY_ZERO
    needed = same(program, Call("f", (40,))).cycles
    assert {same(program, Call("f", (40,), cycles)).trap for cycles in range(1, needed)} == {Trap.OUT_OF_CYCLES}


def test_depth_and_cells_are_counted_inside_callers_too() -> None:
    for cells in (1024, 40):
        source = f".cells {cells}\n.func f(n: int) -> 1\nLOAD local 0\nPUSH 1\nSUB\nDUP\nJZ end\nCALL f\nRET\nend:\nRET"
        program = program_of(source)
        traps = [same(program, Call("f", (depth,))).trap for depth in (1, 2, 3, 4, 12, 13, 14, 15, 60, 63, 64, 65, 66)]
        assert traps[0] is Trap.NONE
        assert traps[-1] is (Trap.CALL_DEPTH if cells == 1024 else Trap.STACK_OVERFLOW)


RECURSIVE = ".cells {cells}\n.func down(n: int) -> 1\nLOAD local 0\nPUSH 1\nSUB\nCALL down\nRET"


@pytest.mark.parametrize(("cells", "trap"), [(64, Trap.STACK_OVERFLOW), (1024, Trap.CALL_DEPTH)])
def test_recursion_ends_at_its_limits(cells: int, trap: Trap) -> None:
    source = RECURSIVE.format(cells=cells)
    assert counted(load(assemble(source))) == (True, cells == 64)
    assert same(program_of(source), Call("down", (9,))).trap is trap


def test_limits_that_cannot_be_met_are_not_counted() -> None:
    chain = ".func f0() -> 0\n" + "".join(f"CALL f{at}\nRET\n.func f{at}/0 -> 0\n" for at in range(1, 64)) + "RET"
    longer = chain + "\n.func g() -> 0\nCALL f0\nRET"
    assert counted(load(assemble(chain))) == (False, False)
    assert same(program_of(chain), Call("f0")).status is Status.OK
    assert counted(load(assemble(longer))) == (True, False)
    assert same(program_of(longer), Call("g")).trap is Trap.CALL_DEPTH


def test_wide_frames_of_a_chain_meet_the_limit_of_cells() -> None:
    wide = ".cells 130\n.func f() -> 0 locals 100\nCALL g\nRET\n.func g/0 -> 0 locals 31\nRET"
    assert counted(load(assemble(wide))) == (False, True)
    assert same(program_of(wide), Call("f")).trap is Trap.STACK_OVERFLOW
    assert same(program_of(wide.replace("31", "30")), Call("f")).status is Status.OK


def test_deep_frames_of_all_cells_fit_the_native_stack() -> None:
    body = "\n".join(f"LOAD local {at}\nPUSH {at + 1}\nADD\nSTORE local {at + 1}" for at in range(13))
    last = "\n".join(["LOAD local 13", *(f"LOAD local {at}\nXOR" for at in range(13))])
    source = f".func f(n: int) -> 1 locals 14\n{body}\nLOAD local 0\nPUSH 62\nLT\nJZ end\nLOAD local 1\nCALL f\n"
    outcome = same(program_of(f"{source}LOAD local 2\nXOR\nRET\nend:\n{last}\nRET"), Call("f", (0,)))
    assert outcome.status is Status.OK


def test_calls_are_refused_as_the_reference_refuses_them() -> None:
    program = program_of(STATE)
    with pytest.raises(UnknownFunction):
        ENGINE.run(program, Call("absent"), None, CONTEXT)
    with pytest.raises(WrongArguments):
        ENGINE.run(program, Call("keep", (b"no number",)), None, CONTEXT)
    with pytest.raises(TooLarge):
        ENGINE.run(program, Call("keep", (1,)), State.of({b"k": bytes(40)}), CONTEXT)


def test_a_translation_that_would_be_large_is_refused() -> None:
    segments = "again:\n" + "LOAD local 0\nJZ again\n" * 9000
    with pytest.raises(TooLarge, match="use the reference"):
        translate(load(assemble(f".func f(x: int) -> 0 locals 128\n{segments}RET")))


def two_entries(blocks: int) -> str:
    ways = "LOAD local 0\nJZ b0\nLOAD local 1\nJZ b1\n"
    return (
        ".func f(x: int) -> 0 locals 2\n"
        + ways
        + "".join(f"b{at}:\nLOAD local 0\nJNZ b{at % 2}\n" for at in range(blocks))
        + "RET"
    )


def test_loops_of_several_entries_are_refused_where_they_would_take_long_to_compile() -> None:
    assert same(program_of(two_entries(300)), Call("f", (0,))).status is Status.OK
    with pytest.raises(TooLarge, match="several entries"):
        translate(load(assemble(two_entries(1000))))


def test_many_blocks_nest_without_harm() -> None:
    source = ".func f(x: int) -> 0\n" + "LOAD local 0\nJZ end\n" * 3000 + "end:\nRET"
    assert same(program_of(source), Call("f", (1,))).status is Status.OK


def test_machine_code_can_be_kept() -> None:
    program = program_of(ACCESS)
    again = TranslationEngine().load(program.translation.contract, ENGINE.artefact(program))
    assert again.translation == program.translation
    engine = TranslationEngine()
    loaded = engine.load(program.translation.contract, ENGINE.artefact(program))
    assert engine.run(loaded, Call("at", (8, 5)), None, CONTEXT).results == (5,)


def changed(program: Program, stop: Stop, **fields: object) -> Program:
    """The program with something else said of every place where it stops in this way."""
    translation = program.translation
    sites = tuple(site._replace(**fields) if site.stop is stop else site for site in translation.sites)  # type: ignore[arg-type]
    assert sites != translation.sites
    return program._replace(translation=translation._replace(sites=sites))


def test_a_wrong_refund_is_noticed() -> None:
    program = program_of(".func f(x: int) -> 1\nPUSH 7\nLOAD local 0\nDIV\nPUSH 1\nADD\nRET")
    seen, expected = both(program, Call("f", (0,)))
    assert seen == expected
    for refund in (0, 4, 6):  # 5 is right: PUSH, ADD and RET were paid and not begun
        seen, expected = both(changed(program, Stop.TRAP, refund=refund), Call("f", (0,)))
        assert seen.cycles == expected.cycles + 5 - refund


def test_a_wrong_place_or_trap_is_noticed() -> None:
    program = program_of(".func f(x: int) -> 1\nPUSH 7\nLOAD local 0\nDIV\nRET")
    for fields in ({"pc": 0}, {"trap": Trap.OVERFLOW}):
        seen, expected = both(changed(program, Stop.TRAP, **fields), Call("f", (0,)))
        assert seen != expected


def test_a_wrong_price_of_a_segment_is_noticed() -> None:
    program = changed(program_of(ENDLESS), Stop.SEGMENT, refund=1)
    seen, expected = both(program, Call("spin", cycles_max=100))
    assert seen != expected


def test_an_engine_that_fails_gives_no_outcome() -> None:
    program = program_of(STATE)
    without = program._replace(translation=program.translation._replace(sites=()))
    with pytest.raises(EngineFault, match="the host failed"):
        ENGINE.run(without, Call("keep", (1,)), State(), CONTEXT)
    with pytest.raises(EngineFault, match="at no site"):
        ENGINE.run(without, Call("keep", (1,), 1), State(), CONTEXT)
    assert same(program, Call("keep", (1,)), State()).status is Status.OK


def test_a_segment_that_the_reference_can_pay_is_a_fault() -> None:
    program = changed(program_of(".func f() -> 0\nPUSH 1\nPOP\nRET"), Stop.SEGMENT, refund=1000)
    with pytest.raises(EngineFault, match="went on"):
        ENGINE.run(program, Call("f", cycles_max=3), None, CONTEXT)


def test_no_constant_is_taken_for_the_local_of_its_number() -> None:
    for number in range(12):
        source = (
            f".func f(x: int) -> 2\nPUSH {number}\nLOAD local 0\nJZ end\nPUSH 5\nSTORE local 0\nend:\nLOAD local 0\nRET"
        )
        assert same(program_of(source), Call("f", (3,))).results == (number, 5)


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL", "DIV", "MOD", "MIN", "MAX", "SHL", "SHR", "LT", "GTE"])
def test_operands_of_all_sizes_and_constants_among_them(op: str) -> None:
    edges = (0, 1, -1, 2, -2, 3, 63, 64, 2**31, -(2**31) - 1, 2**32, 3037000500, CELL_MAX, CELL_MAX - 1, CELL_MIN)
    general = program_of(f".func f(a: int, b: int) -> 1\nLOAD local 0\nLOAD local 1\n{op}\nRET")
    random = Random(op)
    for a in edges:
        right = program_of(f".func f(a: int) -> 1\nLOAD local 0\nPUSH {a}\n{op}\nRET")
        left = program_of(f".func f(a: int) -> 1\nPUSH {a}\nLOAD local 0\n{op}\nRET")
        for b in (*edges, random.getrandbits(63), -random.getrandbits(40)):
            same(general, Call("f", (a, b)))
            same(right, Call("f", (b,)))
            same(left, Call("f", (b,)))
