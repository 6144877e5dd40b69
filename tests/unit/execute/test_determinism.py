"""S-D17: random programs end alike in workers that differ in what a host could leak: zone, locale, hash seed, start.

The number of programs is 200, or what QUORATE_RANDOM_MODULES says.
"""

import asyncio
import os
import random
import sys
from collections import Counter

import pytest

from quorate.execute import jail
from quorate.execute.engine import COMMAND, Limits, Task, module_digest
from quorate.execute.isolate import WorkerPool
from quorate.execute.placement import PoolSettings
from quorate.execute.wasm.wasmtime_engine import wat_to_wasm
from quorate.model.trap import VOTABLE, Status

pytestmark = pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)

PROGRAMS = int(os.environ.get("QUORATE_RANDOM_MODULES", "200"))
LIMITS = Limits(memory_bytes=2**20, fuel=300_000, run_ms=20_000, output_bytes=4096, log_bytes=512)

UNARY = {
    "i32": ["i32.clz", "i32.ctz", "i32.popcnt", "i32.eqz", "i32.extend8_s", "i32.extend16_s"],
    "i64": ["i64.clz", "i64.ctz", "i64.popcnt", "i64.extend32_s"],
    "f32": ["f32.abs", "f32.neg", "f32.ceil", "f32.floor", "f32.trunc", "f32.nearest", "f32.sqrt"],
    "f64": ["f64.abs", "f64.neg", "f64.ceil", "f64.floor", "f64.trunc", "f64.nearest", "f64.sqrt"],
}
CONVERSIONS = {
    "i32": [("i32.wrap_i64", "i64"), ("i32.trunc_f64_s", "f64"), ("i32.trunc_sat_f32_u", "f32"),
            ("i32.reinterpret_f32", "f32")],
    "i64": [("i64.extend_i32_s", "i32"), ("i64.trunc_sat_f64_s", "f64"), ("i64.trunc_f32_u", "f32"),
            ("i64.reinterpret_f64", "f64")],
    "f32": [("f32.convert_i64_u", "i64"), ("f32.demote_f64", "f64"), ("f32.reinterpret_i32", "i32")],
    "f64": [("f64.convert_i32_s", "i32"), ("f64.promote_f32", "f32"), ("f64.reinterpret_i64", "i64")],
}  # fmt: skip
INTEGER = ["add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl", "shr_s", "shr_u", "rotl"]
FLOAT = ["add", "sub", "mul", "div", "min", "max", "copysign"]
KINDS = ("i32", "i64", "f32", "f64")


class Author:
    """Writes one random, well-typed program from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def constant(self, kind: str) -> str:
        if kind in ("i32", "i64"):
            bits = int(kind[1:])
            near = self.rng.choice([0, 1, 2, 7, 255, 65_535, 2 ** (bits - 1), 2**bits - 1, self.rng.getrandbits(bits)])
            return f"({kind}.const {near})"
        value = self.rng.choice(
            ["0", "-0", "1.5", "-3.25", "inf", "-inf", "nan", "nan:0x200001", "1e30", "1e-40", "12345.678"]
        )
        return f"({kind}.const {value})"

    def value(self, kind: str, depth: int) -> str:
        choice = self.rng.random() if depth else 0.0
        if choice < 0.15:
            return self.constant(kind)
        if choice < 0.3:
            return f"(local.get ${kind})"
        if choice < 0.4:
            return f"({self.rng.choice(UNARY[kind])} {self.value(kind, depth - 1)})"
        if choice < 0.55:
            operation, source = self.rng.choice(CONVERSIONS[kind])
            return f"({operation} {self.value(source, depth - 1)})"
        if choice < 0.62:
            mask = 0xFFFF if self.rng.random() < 0.9 else 0x1FFFF
            return f"({kind}.load (i32.and {self.value('i32', depth - 1)} (i32.const {mask})))"
        if choice < 0.66:
            condition = self.value("i32", depth - 1)
            return f"(select {self.value(kind, depth - 1)} {self.value(kind, depth - 1)} {condition})"
        if choice < 0.7:
            return f"(call $helper_{kind} {self.value(kind, depth - 1)})"
        operation = self.rng.choice(INTEGER if kind[0] == "i" else FLOAT)
        return f"({kind}.{operation} {self.value(kind, depth - 1)} {self.value(kind, depth - 1)})"

    def statement(self, depth: int) -> str:
        kind = self.rng.choice(KINDS)
        choice = self.rng.random()
        if choice < 0.45:
            return f"(local.set ${kind} {self.value(kind, 4)})"
        if choice < 0.6:
            return f"({kind}.store (i32.and {self.value('i32', 2)} (i32.const 0xfff8)) {self.value(kind, 3)})"
        if choice < 0.7 and depth:
            return f"(if {self.value('i32', 2)} (then {self.block(depth - 1)}) (else {self.block(depth - 1)}))"
        if choice < 0.85 and depth:
            rounds = self.rng.choice([3, 10, 100, 100_000])
            again = "(br_if $again (local.get $left))"
            step = f"(local.set $left (i32.sub (local.get $left) (i32.const 1))) {again}"
            return f"(local.set $left (i32.const {rounds})) (loop $again {self.block(0)} {step})"
        if choice < 0.9:
            return f"(drop (memory.grow (i32.const {self.rng.choice([0, 1, 2, 5, 40])})))"
        if choice < 0.95:
            start, size = self.rng.choice([0, 9, 65_530]), self.rng.choice([0, 5, 100])
            return f"(memory.fill (i32.const {start}) {self.value('i32', 1)} (i32.const {size}))"
        if choice < 0.96:
            return "(if (i32.eqz (local.get $i32)) (then unreachable))"
        if choice < 0.97:
            return f"(call_indirect (i32.and {self.value('i32', 1)} (i32.const 3)))"
        return "(drop (memory.size))"

    def block(self, depth: int) -> str:
        return " ".join(self.statement(depth) for _ in range(self.rng.randint(1, 3)))

    def helpers(self) -> str:
        made = []
        for kind in KINDS:
            deep = f"(call $helper_{kind} (local.get ${kind}))" if self.rng.random() < 0.02 else f"(local.get ${kind})"
            unary = self.rng.choice(UNARY[kind])
            made.append(f"(func $helper_{kind} (param ${kind} {kind}) (result {kind}) ({unary} {deep}))")
        return " ".join(made)

    def locals(self) -> str:
        return " ".join(f"(local ${kind} {kind})" for kind in KINDS) + " (local $left i32)"

    def pure(self) -> str:
        body = " ".join(self.statement(2) for _ in range(self.rng.randint(2, 8)))
        results = " ".join(f"(local.get ${kind})" for kind in KINDS) + " (i64.load (i32.const 64)) (memory.size)"
        return f"""(module (memory 1 60) (table 2 funcref) (elem (i32.const 0) $nothing) (func $nothing)
          {self.helpers()}
          (func (export "run") (result i32 i64 f32 f64 i64 i32) {self.locals()} {body} {results}))"""

    def command(self) -> str:
        body = " ".join(self.statement(2) for _ in range(self.rng.randint(1, 5)))
        size = self.rng.choice([0, 8, 300, 5000])
        return f"""(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1 60) (table 2 funcref) (elem (i32.const 0) $nothing) (func $nothing)
          {self.helpers()}
          (func (export "_start") {self.locals()}
            (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const {size}))
            (drop (call $random (i32.const 64) (i32.const 24)))
            (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 88)))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 96)))
            {body}
            (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const {size}))
            (drop (call $write (i32.const {self.rng.choice([1, 1, 2])}) (i32.const 0) (i32.const 1) (i32.const 8)))
            (call $exit (i32.and (local.get $i32) (i32.const 3)))))"""


def program(seed: int) -> Task:
    author = Author(seed)
    command = seed % 4 == 0
    module = wat_to_wasm(author.command() if command else author.pure())
    granted = frozenset({"fixed_clock", "seeded_random"}) if command else frozenset()
    return Task(
        id=b"%d" % seed,
        module=module,
        digest=module_digest(module),
        profile=COMMAND if command else "pure",
        stdin=b"input %d" % seed if command else b"",
        limits=LIMITS,
        capabilities=granted,
    )


def outcome(ended):
    """What votes: every field that is the same on every honest executor."""
    return (ended.status, ended.exit_code, ended.output, ended.log, ended.fuel_used, ended.guest_memory_bytes)


WORKERS = [
    (("TZ", "UTC"), ("LANG", "C.UTF-8"), ("PYTHONHASHSEED", "0")),
    (("TZ", "Pacific/Kiritimati"), ("LANG", "de_DE.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("PYTHONHASHSEED", "1")),
    (
        ("TZ", "America/St_Johns"),
        ("LANG", "C"),
        ("PYTHONHASHSEED", "4242"),
        ("PYTHONUTF8", "0"),
        ("HOME", "/nonexistent"),
    ),
]


@pytest.mark.timeout(600)
async def test_random_programs_end_alike_everywhere():
    # Without -I, so that the environment reaches the interpreter; the pool's own workers never see one.
    command = (sys.executable, "-B", "-m", "quorate.execute.worker")
    pools = [WorkerPool(PoolSettings(slots=1, environment=environment, command=command)) for environment in WORKERS]
    try:
        for pool in pools:
            await pool.start()
            await asyncio.sleep(0.05)
        seen: Counter[Status] = Counter()
        for first in range(0, PROGRAMS, 20):
            tasks = [program(seed) for seed in range(first, min(first + 20, PROGRAMS))]
            # Each worker meets the programs in an order of its own.
            orders = [tasks, tasks[::-1], sorted(tasks, key=lambda task: task.digest)]
            runs = [[pool.run(task) for task in order] for pool, order in zip(pools, orders, strict=True)]
            flat = await asyncio.gather(*(run for row in runs for run in row))
            for position, task in enumerate(tasks):
                places = [number * len(tasks) + order.index(task) for number, order in enumerate(orders)]
                ended = [flat[place] for place in places]
                if ended[0].status in VOTABLE:
                    assert len({outcome(item) for item in ended}) == 1, (first + position, ended)
                else:
                    assert ended[0].status is Status.NATIVE_STACK_OVERFLOW
                seen[ended[0].status] += 1
        assert seen[Status.SUCCESS] > PROGRAMS // 10
        assert len(seen) >= 5, seen
    finally:
        for pool in pools:
            await pool.close()


def test_the_author_writes_the_same_program_from_the_same_seed_and_others_from_others():
    assert program(5) == program(5)
    assert len({program(seed).digest for seed in range(30)}) == 30
