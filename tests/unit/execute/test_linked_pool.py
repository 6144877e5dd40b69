"""Programs of several modules in jailed workers: every byte checked, compiled once each, one compile clock for all."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.linked_guests import ADD, MULTIPLY, SUM_OF_SQUARES, TALLY, Linked, made, sum_of_squares

from quorate.crypto.digests import blob_digest
from quorate.errors import MalformedBytes, MalformedModule, MissingDependency, NotWasm, UnusedDependency, UserError
from quorate.execute import isolate, jail, placement
from quorate.execute.engine import Batch, Module, Task
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.artefacts import ArtefactStore
from quorate.model.trap import Status

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)
MakePool = Callable[..., Awaitable[WorkerPool]]
ONE_SLOT = {"slots": 1}


@pytest.fixture
async def pool_of() -> AsyncIterator[MakePool]:
    pools = []

    async def make(artefacts: ArtefactStore | None = None, **settings: object) -> WorkerPool:
        pool = WorkerPool(PoolSettings(**{**ONE_SLOT, **settings}), artefacts)  # type: ignore[arg-type]
        pools.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in pools:
        await pool.close()


def task_of(program: Linked, name: bytes = b"t", **fields: object) -> Task:
    parts = tuple(Module(blob_digest(code), code) for code in program.libraries)
    return Task(id=name, module=program.module, digest=program.digest, dependencies=parts, **fields)  # type: ignore[arg-type]


def answering(number: int, *below: Linked) -> Linked:
    """Answers its number; imports `run` from those below for no other reason than to need them."""
    others = "".join(f'(import "{{{at}}}" "run" (func (result i32)))' for at, _ in enumerate(below))
    return made(f'(module {others} (func (export "run") (result i32) (i32.const {number})))', *below)


def heavy(number: int, *below: Linked) -> Linked:
    """Takes the compiler a fraction of a second."""
    others = "".join(f'(import "{{{at}}}" "run" (func))' for at, _ in enumerate(below))
    body = "(if (local.get 0) (then " * 500 + "))" * 500
    many = f"(func (param i32) {body})" * 20
    return made(f'(module {others} (func (export "run")) {many} (global i32 (i32.const {number})))', *below)


async def test_a_program_over_three_levels_runs_in_a_worker(pool_of: MakePool) -> None:
    pool = await pool_of()
    ended = await pool.run(task_of(SUM_OF_SQUARES, stdin=b"worker"))
    assert (ended.status, ended.output) == (Status.SUCCESS, sum_of_squares(b"worker"))
    again = await pool.run(task_of(SUM_OF_SQUARES, stdin=b"again"))
    assert (again.output, len(pool.pids)) == (sum_of_squares(b"again"), 1)


async def test_every_input_of_a_batch_has_its_own_instances(pool_of: MakePool) -> None:
    """A dependency that counts begins anew for each."""
    counting = made(
        """(module (import "{0}" "mark" (func $mark (param i32))) (import "{0}" "read" (func $read (result i32)))
      (func (export "run") (result i32) (call $mark (i32.const 3)) (call $read)))""",
        TALLY,
    )
    one = task_of(counting)
    parts = one.dependencies
    batch = Batch(id=b"b", module=counting.module, digest=counting.digest, dependencies=parts, inputs=(b"",) * 3)
    ended = await (await pool_of()).run(batch)
    assert {end.output for end in ended.ends} == {b"\3\0\0\0"}


async def test_each_module_has_its_own_artefact(pool_of: MakePool, tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path / "aot", bytes(32))
    first = await pool_of(store)
    assert (await first.run(task_of(SUM_OF_SQUARES, stdin=b"x"))).status is Status.SUCCESS
    names = {path.name.split("-")[1].split(".")[0] for path in (tmp_path / "aot").iterdir()}
    assert names == {digest.hex() for digest in (SUM_OF_SQUARES.digest, *SUM_OF_SQUARES.dependencies)}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "aot").iterdir()}
    second = await pool_of(store)
    assert (await second.run(task_of(SUM_OF_SQUARES, stdin=b"x"))).output == sum_of_squares(b"x")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "aot").iterdir()} == before, "nothing compiled anew"


async def test_a_spoilt_artefact_of_a_dependency_is_compiled_again(pool_of: MakePool, tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path / "aot", bytes(32))
    await (await pool_of(store)).run(task_of(SUM_OF_SQUARES, stdin=b"x"))
    (path,) = (tmp_path / "aot").glob(f"*{MULTIPLY.digest.hex()}*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    ended = await (await pool_of(store)).run(task_of(SUM_OF_SQUARES, stdin=b"x"))
    assert ended.output == sum_of_squares(b"x")
    assert path.read_bytes() != bytes(data)


async def test_a_dependency_with_a_flipped_byte_is_refused_before_anything_is_read(pool_of: MakePool) -> None:
    pool = await pool_of()
    for at in range(len(SUM_OF_SQUARES.libraries)):
        task = task_of(SUM_OF_SQUARES)
        parts = list(task.dependencies)
        code = bytearray(parts[at].code)
        code[-1] ^= 1
        parts[at] = Module(parts[at].digest, bytes(code))
        spoilt = Task(id=b"s", module=task.module, digest=task.digest, dependencies=tuple(parts))
        with pytest.raises(MalformedBytes, match="digest") as caught:
            await pool.run(spoilt)
        assert caught.value.field == "dependencies"
    assert (await pool.run(task_of(SUM_OF_SQUARES))).status is Status.SUCCESS


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (SUM_OF_SQUARES._replace(libraries=SUM_OF_SQUARES.libraries[1:]), MissingDependency),
        (SUM_OF_SQUARES._replace(libraries=()), MissingDependency),
        (SUM_OF_SQUARES._replace(libraries=(*SUM_OF_SQUARES.libraries, TALLY.module)), UnusedDependency),
        (SUM_OF_SQUARES._replace(libraries=(*SUM_OF_SQUARES.libraries, b"\x7fELF")), NotWasm),
        (SUM_OF_SQUARES._replace(libraries=(*SUM_OF_SQUARES.libraries, ADD.module[:-1])), MalformedModule),
    ],
)
async def test_what_is_no_program_is_refused_by_the_worker(
    pool_of: MakePool, program: Linked, kind: type[UserError]
) -> None:
    pool = await pool_of()
    with pytest.raises(kind) as caught:
        await pool.run(task_of(program))
    assert (type(caught.value), caught.value.field) == (kind, "dependencies")
    assert (await pool.run(task_of(SUM_OF_SQUARES, stdin=b"y"))).output == sum_of_squares(b"y")
    assert len(pool.pids) == 1, "and the worker goes on"


async def test_a_worker_forgets_modules_but_never_one_that_is_needed(
    pool_of: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for two modules, programs of three that share one."""
    for part in (placement, isolate):
        monkeypatch.setattr(part, "MODULES_PER_WORKER", 2)
    pool = await pool_of()
    shared = answering(0)
    programs = [answering(2 * number, answering(2 * number - 1, shared), shared) for number in range(1, 6)]
    for turn in range(3):
        for number, program in enumerate(programs, 1):
            ended = await pool.run(task_of(program, b"%d/%d" % (turn, number)))
            assert (ended.status, ended.output[0]) == (Status.SUCCESS, 2 * number)
    (child,) = pool._children
    assert len(child.modules) <= 3


async def test_all_modules_of_a_program_have_one_compile_clock(pool_of: MakePool) -> None:
    """Each alone is compiled in time; together they are not, and the worker is ended like any other."""
    pool = await pool_of()
    took = []
    for number in range(3):
        before = time.monotonic()
        assert (await pool.run(task_of(heavy(number)))).status is Status.SUCCESS
        took.append(time.monotonic() - before)
    parts = [heavy(number) for number in range(10, 18)]
    strict = await pool_of(compile_s=4 * min(took))
    assert (await strict.run(task_of(heavy(20, *parts)))).status is Status.COMPILE_CLOCK
    assert (await strict.run(task_of(answering(1)))).status is Status.SUCCESS
