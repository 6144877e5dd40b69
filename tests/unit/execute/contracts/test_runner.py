"""Calls of contracts in jailed workers: the outcome of the reference, in the bytes that are voted on."""

from pathlib import Path

import msgspec
import pytest
from tests.support.wasm_contracts import PLACES, declaration

from quorate.errors import BadContract, InvalidField, UnknownFunction, UserError, WrongArguments
from quorate.execute import jail
from quorate.execute.bytecode import reference
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.host import Call
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load
from quorate.execute.contract_wasm.declaration import declare
from quorate.execute.contracts.outcomes import arguments_value, balances_of, context_of, outcome_value, world_of
from quorate.execute.engine import CONTRACT, CONTRACT_ENGINES, Batch, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import MODULES_PER_WORKER, PoolSettings
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.execute.wasm.wasmtime_engine import wat_to_wasm
from quorate.model.call import CallOutcome, ContractCall
from quorate.model.codec import decode, encode
from quorate.model.trap import Status
from quorate.model.units import KIB, MIB

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)

ROOT = Path(__file__).parents[4]
NAMING = compile_contract((ROOT / "contracts" / "naming" / "naming.py").read_text(), "naming.py").container
SPINNING = assemble(".memory 200000\n.cycles 9000000000000000\n.func spin() -> 0\nagain:\n    JMP again\n")
DUMPING = assemble(
    '.memory 65536\n.cycles 100000\n.data "own"\n.func dump(given: bytes) -> 0\n'
    "    PUSH 0\n    PUSH 65536\n    EMIT\n    RET\n"
)
ANSWERING = '(func (export "run") (result i64) i64.const 42)'
ASKING = assemble(".memory 64\n.cycles 1000\n.func ask(who: bytes) -> 1\n    LOAD local 0\n    BALANCE\n    RET\n")
CONTRACT_ID = bytes(range(32))
SENDER = b"sender of a call"
EMPTY = State()
_serial = 0


@pytest.fixture(params=CONTRACT_ENGINES)
async def pool(request):
    """Every test holds for both engines."""
    made = WorkerPool(PoolSettings(slots=1, contract_engine=request.param))
    await made.start()
    yield made
    await made.close()


def call_of(state=EMPTY, balance=0, **fields):
    return ContractCall(
        contract=CONTRACT_ID, state=state.key, version=0, epoch=7, deposit_micro=0,
        balances=balances_of({CONTRACT_ID[:16]: balance, **fields.pop("others", {})}), **fields,
    )  # fmt: skip


def task(container, function, *arguments, state=EMPTY, call=None, kind=Task, **fields):
    global _serial
    _serial += 1
    world = world_of(call or call_of(state), SENDER, state.encode())
    limits = fields.pop("limits", Limits(fuel=10**6, output_bytes=MIB))
    return kind(
        id=b"call-%d" % _serial, module=container, digest=module_digest(container), profile=CONTRACT, entry=function,
        stdin=encode(arguments_value(arguments)), world=encode(world), limits=limits, **fields,
    )  # fmt: skip


async def test_a_call_gives_what_the_reference_gives(pool):
    given = task(NAMING, "register", b"maryam@tehran-mesh", b"node", 10)
    done = await pool.run(given)
    expected = reference.run(
        load(NAMING), Call("register", (b"maryam@tehran-mesh", b"node", 10), 10**6), State(),
        context_of(world_of(call_of(), SENDER, State().encode())),
    )  # fmt: skip
    assert done.status is Status.SUCCESS
    assert decode(done.output, CallOutcome) == outcome_value(expected, State())
    assert done.fuel_used == expected.cycles
    assert done.layers


async def test_the_state_of_one_call_is_the_next_ones(pool):
    first = decode((await pool.run(task(NAMING, "register", b"maryam", b"node", 10))).output, CallOutcome)
    after = State().updated((change.key, change.value) for change in first.changes)
    assert after.key == first.state
    found = decode((await pool.run(task(NAMING, "resolve", b"maryam", state=after))).output, CallOutcome)
    assert (found.emitted, found.results, found.changes) == (b"node", (17,), ())


async def test_an_abort_names_its_code_and_leaves_nothing(pool):
    done = await pool.run(task(NAMING, "resolve", b"nobody"))
    outcome = decode(done.output, CallOutcome)
    assert done.status is Status.ABORTED
    assert (outcome.status, outcome.trap, outcome.code) == ("trap", "aborted", 3)
    assert outcome.state == State().key


async def test_cycles_run_out_at_the_limit_of_the_job(pool):
    done = await pool.run(task(NAMING, "register", b"maryam", b"node", 10, limits=Limits(fuel=50)))
    assert done.status is Status.OUT_OF_FUEL
    assert done.fuel_used == decode(done.output, CallOutcome).cycles == 50


async def test_memory_above_the_limit_of_the_job_is_no_run(pool):
    done = await pool.run(task(SPINNING, "spin", limits=Limits(memory_bytes=64 * KIB, fuel=10**6)))
    assert (done.status, done.output, done.fuel_used) == (Status.MEMORY_LIMIT, b"", 0)


async def test_an_outcome_over_the_output_limit_is_no_success(pool):
    limits = Limits(fuel=10**6, output_bytes=300)
    done = await pool.run(task(NAMING, "register", b"maryam", bytes(128), 10, limits=limits))
    outcome = decode(done.output, CallOutcome)
    assert done.status is Status.OUTPUT_LIMIT
    assert (outcome.status, outcome.changes, outcome.state) == ("trap", (), State().key)


@pytest.mark.parametrize(
    ("fault", "given"),
    [
        (UnknownFunction, lambda: task(NAMING, "no_such")),
        (WrongArguments, lambda: task(NAMING, "resolve", 5)),
        (WrongArguments, lambda: task(NAMING, "resolve")),
        (BadContract, lambda: task(NAMING[:-1] + bytes([NAMING[-1] ^ 1]), "resolve", b"x")),
    ],
)
async def test_what_cannot_begin_is_refused_by_its_name(pool, fault, given):
    with pytest.raises(fault):
        await pool.run(given())


async def test_a_state_of_another_key_is_never_run(pool):
    other = State.of({b"a": b"b"})
    lying = task(NAMING, "resolve", b"x", state=other, call=call_of(State()))
    with pytest.raises(InvalidField, match="another key"):
        await pool.run(lying)


async def test_an_input_that_is_no_arguments_is_refused_and_the_worker_lives_on(pool):
    pids = pool.pids
    with pytest.raises(WrongArguments):
        await pool.run(msgspec.structs.replace(task(NAMING, "resolve", b"x"), stdin=b"junk"))
    assert pool.pids == pids


async def test_a_contract_is_no_array(pool):
    with pytest.raises(UserError):
        await pool.run(task(NAMING, "resolve", b"x", kind=Batch, inputs=(b"", b"")))


async def test_more_contracts_than_a_worker_keeps_are_all_run(pool):
    """Those used longest ago are forgotten and sent again; the same process runs them all."""
    pids = pool.pids
    many = [assemble(f".func one() -> 1\n    PUSH {number}\n    RET\n") for number in range(MODULES_PER_WORKER + 3)]
    for number, container in [*enumerate(many), *enumerate(many)]:
        done = await pool.run(task(container, "one"))
        assert decode(done.output, CallOutcome).results == (number,)
    assert pool.pids == pids


async def test_an_endless_contract_ends_at_its_cycles(pool):
    done = await pool.run(task(SPINNING, "spin", limits=Limits(fuel=10**7)))
    assert (done.status, done.fuel_used) == (Status.OUT_OF_FUEL, 10**7)


async def test_a_contract_has_no_more_time_than_its_job(pool):
    done = await pool.run(task(SPINNING, "spin", limits=Limits(fuel=10**15, run_ms=200)))
    assert done.status is Status.WALL_CLOCK
    assert (await pool.run(task(NAMING, "register", b"a", b"b", 1))).status is Status.SUCCESS


async def test_a_balance_that_was_not_looked_up_is_unresolved(pool):
    done = await pool.run(task(ASKING, "ask", b"0123456789abcdef"))
    assert done.status is Status.UNRESOLVED
    assert decode(done.output, CallOutcome).status == "unresolved"
    told = call_of(others={b"0123456789abcdef": 42})
    done = await pool.run(task(ASKING, "ask", b"0123456789abcdef", call=told))
    assert decode(done.output, CallOutcome).results == (42,)


async def test_a_contract_finds_nothing_in_its_memory_but_what_it_was_given(pool):
    """There is no key to read: what a contract emits is signed by the member that ran it, as part of its claim."""
    await pool.run(task(NAMING, "register", b"of another", b"call", 1))
    done = await pool.run(task(DUMPING, "dump", b"argument"))
    memory = decode(done.output, CallOutcome).emitted
    assert len(memory) == 65536
    assert memory.rstrip(bytes(1)) == b"own" + bytes(5) + b"argument"


@pytest.mark.parametrize(("tier", "kept"), [("light", False), ("full", True)])
async def test_a_light_contract_is_not_kept_as_machine_code(tmp_path, tier, kept):
    """S-B40: a light WebAssembly contract is compiled anew by each worker; a full one is compiled ahead of time."""
    module = declare(wat_to_wasm(f"(module {PLACES} {ANSWERING})"), declaration("run()", wasm_tier=tier))
    store = ArtefactStore(tmp_path, bytes(32))
    for expected_files in (int(kept), int(kept)):
        made = WorkerPool(PoolSettings(slots=1), store)
        await made.start()
        try:
            given = task(module, "run")
            done = await made.run(msgspec.structs.replace(given, digest=module_digest(module)))
        finally:
            await made.close()
        assert decode(done.output, CallOutcome).results == (42,)
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == expected_files
