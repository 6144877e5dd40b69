"""One source, two forms: the WebAssembly contract ends every call as the bytecode contract does, with equal state."""

from __future__ import annotations

from random import Random

import pytest
from tests.support.repository import ROOT
from tests.support.wasm_contracts import engine
from tests.unit.execute.contracts import test_cycles

from quorate.errors import BadContract, InvalidField, MalformedModule
from quorate.execute import declared
from quorate.execute.bytecode import reference
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.declaration import contract_of as bytecode_contract_of
from quorate.execute.bytecode.host import Argument, Call, Context, Outcome, Status
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load
from quorate.execute.contract_wasm.abi import IMPORTS
from quorate.execute.contract_wasm.declaration import contract_of, interface_of
from quorate.execute.contract_wasm.from_bytecode.module import contract_module
from quorate.execute.wasm.guard import inspect
from quorate.model.units import MIB

NAMING = next((ROOT / "contracts").rglob("naming.py")).read_text()
BANK = """
from mhr import balance, buffer, digest, emit, epoch, export, halt, limits, log, nat, self_id, sender, state, stored
from mhr import transfer, verify_sig
limits(cycles=1_000_000, state=600, arguments=2048)
WHO = buffer(16)
OWN = buffer(16)
SUM = buffer(32)
calls: int = stored(b"calls", 0)

@export
def pay(to: bytes, amount: int, memo: bytes) -> int:
    global calls
    calls += 1
    sender(WHO)
    self_id(OWN)
    assert transfer(to, amount), 7
    log(memo)
    digest(memo, SUM)
    state[SUM] = WHO
    return balance(OWN) + epoch()

@export
def forget(memo: bytes) -> int:
    digest(memo, SUM)
    if SUM in state:
        del state[SUM]
        return 1
    done(memo)
    return 0

def done(memo: bytes) -> None:
    emit(memo)
    if len(memo) > 3:
        halt()

@export
def check(key: bytes, signature: bytes, memo: bytes) -> int:
    if verify_sig(memo, key, signature):
        return 1
    return -len(memo) // (len(key) - 5)

@export
def deep(n: nat) -> int:
    if n == 0:
        return 0
    return 1 + deep(n - 1)
"""
SELF, SENDERS = b"contract" * 2, (b"maryam".ljust(16), b"other".ljust(16))


class Pair:
    """One contract in both forms, each with its own state."""

    def __init__(self, source: str) -> None:
        self.container = compile_contract(source, "contract.py").container
        self.bytecode = load(self.container)
        self.module = contract_module(self.bytecode)
        self.compiled = engine().compile(self.module)
        self.states = [State(), State()]

    def call(self, function: str, arguments: tuple[Argument, ...], context: Context) -> tuple[Outcome, Outcome]:
        call = Call(function, arguments)
        ends = (
            reference.run(self.bytecode, call, self.states[0], context),
            engine().run(self.compiled, call, self.states[1], context),
        )
        for at, outcome in enumerate(ends):
            self.states[at] = self.states[at].updated(outcome.changes)
        return ends


def said(outcome: Outcome) -> tuple[object, ...]:
    """All of an outcome but what the run cost and where it stood."""
    ended = outcome.status, outcome.trap, outcome.code, outcome.results
    return ended, outcome.logs, outcome.emitted, outcome.changes, outcome.transfers


def naming_call(random: Random) -> tuple[str, tuple[Argument, ...]]:
    name = random.choice((b"maryam", b"maryam@mesh", b"b", b"Wrong", b"", b"a@b@c", b"n" * 64, b"n" * 65))
    target = random.choice((b"here", b"there", b"t" * 128, b"t" * 129, b""))
    epochs = random.choice((1, 2, 3, 5, 0, -1, 10_000, 10_001))
    function = random.choice(("register", "register", "register", "resolve", "owner", "release"))
    return function, (name, target, epochs) if function == "register" else (name,)


def bank_call(random: Random) -> tuple[str, tuple[Argument, ...]]:
    memo = random.choice((b"", b"a", b"bcd", b"memo", b"m" * 1500, b"m" * 1900))
    account, short = random.choice((*SENDERS, SELF)), random.random() < 0.1
    calls: dict[str, tuple[Argument, ...]] = {
        "pay": (account[:15] if short else account, random.choice((0, 1, 5, 60, 101, -1)), memo),
        "forget": (memo,),
        "check": (bytes(random.choice((5, 31, 32, 40))), bytes(random.choice((63, 64, 70))), memo[:900]),
        "deep": (random.choice((0, 1, 20, 60, 62, 63, 64, 200, -1)),),
    }
    function = random.choice(("pay", "pay", "pay", "forget", "check", "deep"))
    return function, calls[function]


@pytest.mark.parametrize(("source", "next_call"), [(NAMING, naming_call), (BANK, bank_call)], ids=["naming", "bank"])
def test_one_source_in_both_forms_has_one_state_after_every_call(source: str, next_call: object) -> None:
    """S-A19: random sequences of calls, the state keys compared after each."""
    pair, random, seen = Pair(source), Random(19), set()
    for number in range(600):
        if number % 150 == 0:
            pair.states = [State(), State()]
        balances = {SELF: 100, SENDERS[0]: 5} if random.random() < 0.8 else {}
        context = Context.of(SELF, random.choice(SENDERS), number // 7, balances)
        function, arguments = next_call(random)  # type: ignore[operator]
        expected, found = pair.call(function, arguments, context)
        assert said(found) == said(expected), (number, function, arguments)
        assert found.cycles <= 4 * expected.cycles + 50  # entering costs some, whatever comes then
        assert pair.states[1].key == pair.states[0].key
        seen.add((function, expected.trap if expected.trap else expected.status))
    assert {trap for _, trap in seen} >= {Status.OK, Trap.ABORTED}
    assert len(seen) >= 8
    assert pair.states[0].entries


def test_a_difference_would_show() -> None:
    """A contract whose other form forgets an entry is told from one whose form does not."""
    pair = Pair(NAMING)
    other = contract_module(load(compile_contract(NAMING.replace("del state[name]", "pass"), "x.py").container))
    pair.compiled = engine().compile(other)
    context = Context(SELF, SENDERS[0])
    for function, arguments in (("register", (b"a", b"t", 5)), ("release", (b"a",))):
        expected, found = pair.call(function, arguments, context)  # type: ignore[arg-type]
    assert said(expected) != said(found)
    assert pair.states[0].key != pair.states[1].key


def test_both_forms_declare_the_same_functions_and_state() -> None:
    pair = Pair(BANK)
    first, second = bytecode_contract_of(pair.container), contract_of(pair.module)
    assert (first.kind, first.wasm_tier, second.kind, second.wasm_tier) == ("bytecode", "none", "wasm", "light")
    assert first.functions == second.functions
    assert (first.state, first.max_state_bytes, first.max_cycles) == (
        second.state,
        second.max_state_bytes,
        second.max_cycles,
    )
    assert first.max_memory_bytes < second.max_memory_bytes == 2 * 65_536
    assert first.program != second.program


def test_either_form_says_what_it_is() -> None:
    pair = Pair(BANK)
    assert declared.contract_of(pair.container) == bytecode_contract_of(pair.container)
    assert declared.contract_of(pair.module) == contract_of(pair.module)
    with pytest.raises(BadContract):
        declared.contract_of(pair.container[:-1])
    with pytest.raises(BadContract):
        declared.contract_of(b"MHR")


@pytest.mark.parametrize("name", ["LOOP", "SIEVE", "RECURSION", "TABLE", "HASH_CHAIN"])
def test_a_program_costs_up_to_half_more_fuel_than_cycles(name: str) -> None:
    program = getattr(test_cycles, name)
    expected, found = Pair(program.python).call("run", program.arguments, Context(SELF, SENDERS[0]))
    assert said(found) == said(expected)
    assert expected.cycles == program.compiled
    assert 1.0 <= found.cycles / expected.cycles <= 1.5


def test_only_what_a_contract_uses_is_imported() -> None:
    names = {item.name for item in inspect(Pair(NAMING).module).imports}
    assert names == set(IMPORTS) - {"mehr_balance", "mehr_transfer", "mehr_log", "mehr_hash"}
    plain = load(assemble(".memory 0\n.func f() -> 1\n    PUSH 1\n    RET\n"))
    assert inspect(contract_module(plain)).imports == ()


def test_the_module_is_a_function_of_the_contract() -> None:
    assert Pair(BANK).module == Pair(BANK).module


def test_what_has_no_import_is_refused_by_name_and_place() -> None:
    text = ".memory 256\n.func f() -> 1\n" + "    PUSH 0\n" * 5 + "    VERIFY_VRF\n    RET\n"
    with pytest.raises(BadContract, match="VERIFY_VRF has no import") as caught:
        contract_module(load(assemble(text)))
    assert caught.value.at == 10


def test_the_tier_is_the_least_that_holds_the_contract() -> None:
    text = ".memory {}\n.cycles {}\n.func f() -> 0\n    RET\n"

    def tier(memory: int, cycles: int) -> str:
        return contract_of(contract_module(load(assemble(text.format(memory, cycles))))).wasm_tier

    assert tier(64, 10**8) == "light"
    assert tier(64, 10**8 + 1) == "full"
    assert tier(16 * MIB - 65_536, 1) == "light"
    assert tier(16 * MIB, 1) == "full"
    with pytest.raises(InvalidField, match="max_cycles"):
        tier(64, 10**10 + 1)


def test_a_function_named_like_the_memory_is_refused() -> None:
    with pytest.raises(MalformedModule, match="memory"):
        contract_module(load(assemble(".memory 8\n.func memory() -> 0\n    RET\n")))


def test_arguments_lie_where_the_container_puts_them() -> None:
    pair = Pair(BANK)
    interface = interface_of(pair.module)
    container = pair.bytecode.container
    assert (interface.arguments_at, interface.arguments_end) == (container.reserved, container.max_memory)


LIMITED = """
.memory 200
.state 40
.func state(klen: int, len: int) -> 0
    PUSH 0
    LOAD local 0
    PUSH 0
    LOAD local 1
    STORE state
    RET
.func emit(times: int, at: int, len: int) -> 0
again:
    LOAD local 1
    LOAD local 2
    EMIT
    LOAD local 0
    PUSH 1
    SUB
    DUP
    STORE local 0
    JNZ again
    RET
.func load(klen: int, dst: int, cap: int) -> 1
    PUSH 0
    LOAD local 0
    LOAD local 1
    LOAD local 2
    LOAD state
    RET
"""


@pytest.mark.parametrize(
    ("function", "arguments", "trap"),
    [
        ("state", (128, 0), Trap.STATE_SIZE),
        ("state", (129, 0), Trap.KEY_SIZE),
        ("state", (-1, 0), Trap.KEY_SIZE),
        ("state", (2**32, 0), Trap.KEY_SIZE),
        ("state", (2, 200), Trap.STATE_SIZE),
        ("state", (2, 201), Trap.MEMORY_RANGE),
        ("state", (2, -2), Trap.MEMORY_RANGE),
        ("state", (2, 2**32), Trap.MEMORY_RANGE),
        ("state", (2, 2**32 - 1), Trap.MEMORY_RANGE),
        ("state", (2, -1), Trap.NONE),
        ("emit", (3, 0, 200), Trap.NONE),
        ("emit", (327, 0, 200), Trap.NONE),
        ("emit", (328, 0, 200), Trap.OUTPUT_LIMIT),
        ("emit", (1, 0, 201), Trap.MEMORY_RANGE),
        ("emit", (1, 200, 0), Trap.NONE),
        ("emit", (1, 201, 0), Trap.MEMORY_RANGE),
        ("emit", (1, -1, 0), Trap.MEMORY_RANGE),
        ("emit", (1, 2**32, 1), Trap.MEMORY_RANGE),
        ("load", (2, 190, 10), Trap.NONE),
        ("load", (2, 190, 11), Trap.MEMORY_RANGE),
        ("load", (2, 0, -1), Trap.MEMORY_RANGE),
        ("load", (129, 0, -1), Trap.KEY_SIZE),
    ],
)
def test_ranges_are_those_that_the_container_declares(function: str, arguments: tuple[int, ...], trap: Trap) -> None:
    """The module's memory is larger than the contract's; the contract cannot tell."""
    contract = load(assemble(LIMITED))
    compiled = engine().compile(contract_module(contract))
    asked = Call(function, arguments), State.of({bytes(2): b"old"}), Context(SELF, SENDERS[0])
    expected = reference.run(contract, *asked)
    assert expected.trap is trap
    assert said(engine().run(compiled, *asked)) == said(expected)
