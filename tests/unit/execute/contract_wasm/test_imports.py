"""The ten imports do what the opcodes do that they stand for: same results, same effects, same traps, same prices."""

from __future__ import annotations

from random import Random

import pytest
from blake3 import blake3
from nacl.signing import SigningKey
from tests.support.wasm_contracts import PLACES, SELF, SENDER, call, contract, one

from quorate.execute.bytecode import reference
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.host import Call, Context, Outcome, Status, Transfer
from quorate.execute.bytecode.opcodes import CELL_MAX, STATE_LOADED, STATE_STORED, TABLE, Op, Surcharge, Trap
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load
from quorate.execute.contract_wasm import abi

PAGE = 65_536
KEY = SigningKey(bytes(range(32)))
MESSAGE = b"message"
SIGNED = bytes(KEY.sign(MESSAGE).signature)
DATA = SELF + SENDER + bytes(KEY.verify_key) + SIGNED + MESSAGE + b"key" + bytes(118)
OWN_AT, OTHER_AT, KEY_AT, SIGNATURE_AT, MESSAGE_AT, NAME_AT, OUT = 0, 16, 32, 64, 128, 135, 4096
CONTEXT = Context.of(SELF, SENDER, 77, {SELF: 100, SENDER: 5})
STATE = State.of({b"key": b"value" * 20, b"": b"of the empty key"})
STATE_MAX = 400
PAGE_WAT = f'{PLACES} (data (i32.const 0) "{"".join(f"{chr(92)}{byte:02x}" for byte in DATA)}")'
# What each import is called with in WebAssembly, by the names of the opcode's operands, and those that are numbers.
ORDER = {"mehr_verify_sig": ("pk", "msg", "len", "sig")}


def operands_of(name: str) -> tuple[str, ...]:
    op = abi.IMPORTS[name].op
    effect = {Op.LOAD: "key klen dst cap - size", Op.STORE: "key klen src len -"}.get(op, TABLE[op].effect)
    return tuple(effect.partition("-")[0].split())


def in_webassembly(name: str, values: tuple[int, ...]) -> bytes:
    """A contract whose `run()` does the import once, and emits the first pages' part that it may write to."""
    named = dict(zip(operands_of(name), values, strict=True))
    kinds, results = abi.IMPORTS[name].signature
    given = " ".join(
        f"({kind}.const {named[label] if kind == 'i64' else named[label] & 0xFFFFFFFF})"
        for kind, label in zip(kinds, ORDER.get(name, operands_of(name)), strict=True)
    )
    done = f"(call ${name.removeprefix('mehr_')} {given})"
    widened = {"i64": done, "i32": f"(i64.extend_i32_s {done})"}[results[0]] if results else done
    emit = "(i32.store (i32.const 524) (i32.const 4096)) (i32.store (i32.const 528) (i32.const 256))"
    function = f'(func (export "run") {"(result i64)" if results else ""} {widened} {emit})'
    return contract(function, places=PAGE_WAT, max_memory_bytes=PAGE, max_state_bytes=STATE_MAX)


def in_bytecode(name: str, values: tuple[int, ...]) -> bytes:
    op = abi.IMPORTS[name].op
    mode = " state" if op in (Op.LOAD, Op.STORE) else ""
    pushes = "".join(f"    PUSH {value}\n" for value in values)
    results = len(abi.IMPORTS[name].signature.results)
    emit = "    PUSH 4096\n    PUSH 256\n    EMIT\n"
    head = f".memory {PAGE}\n.cycles 1000000\n.state {STATE_MAX}\n.data 0x{DATA.hex()}\n.func run() -> {results}\n"
    return assemble(f"{head}{pushes}    {op.name}{mode}\n{emit}    RET\n")


def both(name: str, values: tuple[int, ...], state: State | None = STATE) -> tuple[Outcome, Outcome]:
    expected = reference.run(load(in_bytecode(name, values)), Call("run"), state, CONTEXT)
    return expected, call(in_webassembly(name, values), state=state, context=CONTEXT)


def said(outcome: Outcome) -> tuple[object, ...]:
    """All of an outcome but what a run costs and where it stood."""
    return (
        outcome.status,
        outcome.trap,
        outcome.code,
        outcome.results,
        outcome.logs,
        outcome.emitted,
        outcome.changes,
        (outcome.transfers),
    )


SHAPES = {
    "id": (OWN_AT, OTHER_AT, MESSAGE_AT),
    "dst": (OUT, OUT + 40, MESSAGE_AT),
    "amount": (0, 1, 99, 100, 101, -1, CELL_MAX, -CELL_MAX - 1),
    "ptr": (MESSAGE_AT, OUT),
    "msg": (MESSAGE_AT, MESSAGE_AT, MESSAGE_AT + 1),
    "pk": (KEY_AT, KEY_AT, KEY_AT + 1),
    "sig": (SIGNATURE_AT, SIGNATURE_AT, SIGNATURE_AT + 1),
    "key": (NAME_AT, NAME_AT + 1),
    "klen": (3, 0, 4, 128, 129, -1),
    "src": (MESSAGE_AT, OUT),
    "cap": (0, 1, 99, 100, 101, 256),
    "len": (7, 0, 1, 31, 32, 33, 1024, 1025, 1088, 1089, -1),
}
EDGES = (-1, PAGE, PAGE - 1, PAGE - 16, PAGE - 32, PAGE - 64, PAGE + 1, 2**31 - 1)


@pytest.mark.parametrize("name", abi.IMPORTS)
def test_an_import_ends_as_its_opcode_does(name: str) -> None:
    random, seen = Random(name), set()
    for _ in range(250):
        values = tuple(
            random.choice(SHAPES[label]) if random.random() < 0.9 or label == "amount" else random.choice(EDGES)
            for label in operands_of(name)
        )
        state = None if random.random() < 0.05 else STATE
        expected, found = both(name, values, state)
        assert said(found) == said(expected), values
        seen.add(found.trap.name if found.status is Status.TRAP else found.status.value)
    asks_for_state = abi.IMPORTS[name].op in (Op.LOAD, Op.STORE)
    traps = {trap.name for trap in TABLE[abi.IMPORTS[name].op].traps if trap is not Trap.OUTPUT_LIMIT}
    assert seen >= {"ok"} | traps | ({"unresolved"} if asks_for_state or name == "mehr_balance" else set())


def surcharge_of(name: str, values: tuple[int, ...]) -> int:
    op = abi.IMPORTS[name].op
    surcharges: dict[Op, Surcharge] = {Op.LOAD: STATE_LOADED, Op.STORE: STATE_STORED}
    surcharge = surcharges.get(op, TABLE[op].surcharge)
    return surcharge.of(dict(zip(operands_of(name), values, strict=True))[surcharge.over]) if surcharge else 0


PRICED = [
    ("mehr_balance", (OWN_AT,), 10),
    ("mehr_sender", (OUT,), 2),
    ("mehr_self", (OUT,), 2),
    ("mehr_epoch", (), 5),
    ("mehr_transfer", (OTHER_AT, 1), 50),
    ("mehr_log", (OUT, 0), 10),
    ("mehr_log", (OUT, 33), 12),
    ("mehr_store_load", (NAME_AT, 3, OUT, 0), 3),
    ("mehr_store_load", (NAME_AT, 3, OUT, 65), 6),
    ("mehr_store_save", (NAME_AT, 3, OUT, -1), 3),
    ("mehr_store_save", (NAME_AT, 3, OUT, 33), 7),
    ("mehr_hash", (OUT, 1024, OUT), 500),
    ("mehr_hash", (OUT, 1089, OUT), 524),
    ("mehr_verify_sig", (MESSAGE_AT, 7, KEY_AT, SIGNATURE_AT), 1000),
    ("mehr_verify_sig", (MESSAGE_AT, 1025, KEY_AT, SIGNATURE_AT), 1012),
]
CALL_FUEL = 1
"""What wasmtime 50.0.1 takes for a call, and for each constant that is handed over; nothing for a result that is
dropped."""


@pytest.mark.parametrize(("name", "values", "price"), PRICED)
def test_an_import_costs_what_its_opcode_costs_and_not_a_unit_less(
    name: str, values: tuple[int, ...], price: int
) -> None:
    module = in_webassembly(name, values)
    assert price == TABLE[abi.IMPORTS[name].op].cycles + surcharge_of(name, values)
    emitting = call(in_webassembly("mehr_epoch", ()), context=CONTEXT, state=STATE).cycles - 5 - CALL_FUEL
    extended = abi.IMPORTS[name].signature.results == ("i32",)
    needed = emitting + price + CALL_FUEL + len(values) + extended
    enough = call(module, context=CONTEXT, state=STATE, cycles=needed)
    assert (enough.status, enough.cycles) == (Status.OK, needed)
    short = call(module, context=CONTEXT, state=STATE, cycles=needed - 1)
    assert (short.trap, short.cycles, short.changes, short.logs) == (Trap.OUT_OF_CYCLES, needed - 1, (), ())


@pytest.mark.parametrize(("name", "values", "price"), PRICED)
def test_a_host_call_that_cannot_be_paid_is_not_made(name: str, values: tuple[int, ...], price: int) -> None:
    """The tank holds exactly what the instructions before the call take, and one unit less than its price."""
    module = in_webassembly(name, values)
    begun = contract('(func (export "run") unreachable)', places=PAGE_WAT, max_memory_bytes=PAGE)
    before = call(begun).cycles + len(values) + CALL_FUEL
    short, enough = (call(module, state=None, cycles=before + paid) for paid in (price - 1, price))
    assert (short.trap, short.cycles) == (Trap.OUT_OF_CYCLES, before + price - 1)
    if name.startswith("mehr_store") or name in ("mehr_balance", "mehr_transfer"):
        assert (enough.status, enough.cycles) == (Status.UNRESOLVED, before + price)
    else:
        assert enough.trap is Trap.OUT_OF_CYCLES


def test_the_digest_is_blake3_and_the_signature_that_of_rfc_8032() -> None:
    """Test 3 of RFC 8032, section 7.1; the digest of no bytes from the BLAKE3 test vectors."""
    key = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    module = contract(
        """(func (export "check") (param i32 i32 i32 i32 i32 i32) (result i64) (i64.extend_i32_u
             (call $verify_sig (local.get 0) (local.get 2) (local.get 3) (local.get 4))))
           (func (export "digest") (param i32 i32) (call $hash (local.get 0) (local.get 1) (i32.const 4096))
             (i32.store (i32.const 524) (i32.const 4096)) (i32.store (i32.const 528) (i32.const 32)))""",
        "check(key: bytes, message: bytes, signature: bytes)",
        "digest(data: bytes)",
    )
    assert call(module, "check", key, b"\xaf\x82", signature).results == (1,)
    assert call(module, "check", key, b"\xaf\x83", signature).results == (0,)
    empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert call(module, "digest", b"").emitted.hex() == empty
    assert call(module, "digest", b"quorate").emitted == blake3(b"quorate").digest()


def test_transfers_are_seen_by_the_run_and_rolled_back_by_a_trap() -> None:
    pay = "(drop (call $transfer (i32.const 16) (i64.const 60)))"
    fields = {"places": PAGE_WAT, "max_memory_bytes": PAGE}
    spent = contract(f'(func (export "run") (result i64) {pay} {pay} (call $balance (i32.const 0)))', **fields)
    outcome = call(spent, context=CONTEXT)
    assert (outcome.results, outcome.transfers) == ((40,), (Transfer(SENDER, 60),))
    trapped = call(contract(f'(func (export "run") {pay} unreachable)', **fields), context=CONTEXT)
    assert (trapped.trap, trapped.transfers, trapped.changes) == (Trap.ABORTED, (), ())


def loop(times: int, code: str) -> bytes:
    return one(
        f"(local $left i32) (local.set $left (i32.const {times})) (loop $on {code}"
        " (br_if $on (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"
    )


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ("(call $log (i32.const 0) (i32.const 1))", 256),
        ("(call $log (i32.const 0) (i32.const 1024))", 64),
        ("(drop (call $transfer (i32.const 0) (i64.const 0)))", 256),
    ],
)
def test_outputs_have_the_limits_of_bytecode(code: str, most: int) -> None:
    assert call(loop(most, code), context=CONTEXT).status is Status.OK
    beyond = call(loop(most + 1, code), context=CONTEXT)
    assert (beyond.trap, beyond.logs, beyond.transfers) == (Trap.OUTPUT_LIMIT, (), ())


def test_a_record_larger_than_all_records_may_be_is_paid_and_refused() -> None:
    module = one("(call $log (i32.const 0) (i32.const 65536))", places=PLACES.replace('"memory") 1', '"memory") 2'))
    assert call(module).status is Status.OK
    over = module.replace(b"\x41\x80\x80\x04", b"\x41\x81\x80\x04")
    assert (call(over).trap, call(over).cycles > 2000) == (Trap.OUTPUT_LIMIT, True)


def test_a_value_larger_than_the_state_may_be_is_unresolved_without_the_state_and_refused_with_it() -> None:
    module = one("(call $store_save (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4097))")
    assert call(module, state=None).status is Status.UNRESOLVED
    assert call(module).trap is Trap.STATE_SIZE
    fits = module.replace(b"\x41\x81\x20", b"\x41\xff\x1f")
    assert len(call(fits).changes) == 1


def test_a_contract_sees_no_state_but_the_one_it_is_given() -> None:
    """Another contract's entry of the same key reads as absent."""
    save = one("(call $store_save (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 3))")
    ask = one("(i64.extend_i32_s (call $store_load (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 8)))", "i64")
    own = State().updated(call(save).changes)
    assert call(ask, state=own).results == (3,)
    assert call(ask, state=State()).results == (-1,)
