"""The guard reads hostile bytes: it must refuse in typed errors, quickly, and accept what compilers really make."""

import random
import time
from pathlib import Path

import pytest

from quorate.errors import MalformedModule, NotWasm, TooLarge, UserError
from quorate.execute.wasm.guard import GuardLimits, inspect
from quorate.execute.wasm.sections import MAGIC, Signature
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm

EXAMPLES = Path(__file__).parents[3] / "examples"


def leb(value: int) -> bytes:
    out = b""
    while True:
        byte, value = value & 0x7F, value >> 7
        out += bytes([byte | 0x80 if value else byte])
        if not value:
            return out


def section(number: int, body: bytes) -> bytes:
    return bytes([number]) + leb(len(body)) + body


def module_with(code: bytes, locals_: bytes = b"\x00") -> bytes:
    body = locals_ + code + b"\x0b"
    return (
        MAGIC + section(1, b"\x01\x60\x00\x00") + section(3, b"\x01\x00") + section(10, b"\x01" + leb(len(body)) + body)
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.wasm")), ids=lambda path: path.name)
def test_accepts_the_shipped_guests(path):
    assert inspect(path.read_bytes()).bodies


def test_reads_imports_exports_and_memory():
    module = wat_to_wasm(
        """(module (import "env" "now" (func (param i32 i64) (result f32)))
        (memory (export "memory") 3) (func (export "run") (result i32) i32.const 1))"""
    )
    found = inspect(module)
    assert [(item.module, item.name, item.kind) for item in found.imports] == [("env", "now", "func")]
    assert found.imports[0].signature == Signature(("i32", "i64"), ("f32",))
    assert found.function_named("run") == Signature((), ("i32",))
    assert found.function_named("memory") is None
    assert found.memory_pages_min == 3


@pytest.mark.parametrize("data", [b"", b"\x00asm", b"\x7fELF" + bytes(60), b"(module)", b"\0asm\x0d\0\1\0"])
def test_refuses_what_is_not_a_core_module(data):
    with pytest.raises(NotWasm):
        inspect(data)


def test_refuses_text_that_the_engine_would_read_as_wat():
    with pytest.raises(NotWasm):
        WasmtimeEngine().compile(b'(module (func (export "run")))')


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "section_past_the_end": MAGIC + b"\x01\x7f\x00",
        "sections_out_of_order": MAGIC + section(3, b"\x00") + section(1, b"\x00"),
        "section_twice": MAGIC + section(1, b"\x00") + section(1, b"\x00"),
        "unknown_section": MAGIC + section(99, b""),
        "tag_section": MAGIC + section(13, b"\x00"),
        "vector_longer_than_its_section": MAGIC + section(1, leb(2**31)),
        "integer_of_six_bytes": MAGIC + section(1, b"\x80\x80\x80\x80\x80\x00"),
        "integer_above_32_bits": MAGIC + section(1, b"\xff\xff\xff\xff\x7f"),
        "bodies_without_functions": MAGIC + section(10, b"\x01\x02\x00\x0b"),
        "function_of_unknown_type": MAGIC + section(3, b"\x01\x07") + section(10, b"\x01\x02\x00\x0b"),
        "name_not_utf8": MAGIC + section(7, b"\x01\x01\xff\x00\x00"),
        "exported_twice": MAGIC + section(7, b"\x02\x01a\x00\x00\x01a\x00\x00"),
        "body_without_end": module_with(b"")[:-1] + b"\x01",
        "bytes_after_the_end": module_with(b"\x0b\x01"),
        "block_not_closed": module_with(b"\x02\x40"),
        "atomic_opcode": module_with(b"\xfe\x03\x00"),
        "gc_opcode": module_with(b"\xfb\x00\x00"),
        "exception_opcode": module_with(b"\x1f\x40\x00\x0b"),
        "unknown_vector_operation": module_with(b"\xfd\xff\x7f"),
        "cut_inside_a_constant": module_with(b"\x44\x00\x00\x00"),
    }.items(),
)
def test_refuses_malformed(name, data):
    with pytest.raises(MalformedModule):
        inspect(data)


@pytest.mark.parametrize(
    ("limits", "module"),
    [
        (GuardLimits(module_bytes=20), module_with(b"\x01" * 20)),
        (GuardLimits(body_bytes=20), module_with(b"\x01" * 20)),
        (GuardLimits(depth=3), module_with(b"\x02\x40" * 4 + b"\x0b" * 4)),
        (GuardLimits(functions=1), wat_to_wasm("(module (func) (func))")),
        (GuardLimits(imports=0), wat_to_wasm('(module (import "a" "b" (func)))')),
        (GuardLimits(exports=1), wat_to_wasm('(module (func (export "a")) (func (export "b")))')),
        (GuardLimits(tables=1), wat_to_wasm("(module (table 1 funcref) (table 1 funcref))")),
        (GuardLimits(table_elements=9), wat_to_wasm("(module (table 10 funcref))")),
    ],
)
def test_each_limit_is_enforced_and_named(limits, module):
    with pytest.raises(TooLarge) as caught:
        inspect(module, limits)
    assert caught.value.limit
    assert inspect(module)


def test_depth_at_the_limit_is_accepted():
    module = module_with(b"\x02\x40" * 3 + b"\x0b" * 3)
    assert inspect(module, GuardLimits(depth=3))


def test_immediates_are_not_mistaken_for_structure():
    """Bytes 0x02 and 0x0b inside constants, table branches, vectors and memory arguments are data."""
    module = wat_to_wasm(
        """(module (memory 1) (func (param i32) (result i32)
        (drop (v128.const i8x16 2 2 2 2 11 11 11 11 3 3 3 3 4 4 4 4))
        (drop (f64.const 0x1.20b0b02020202p+3)) (drop (f32.const 2.0)) (drop (i64.const 0x0b0b0b0b02020202))
        (drop (v128.load8_lane offset=11 2 (i32.const 2) (v128.const i32x4 2 2 2 2)))
        (drop (i8x16.shuffle 2 3 4 11 2 3 4 11 2 3 4 11 2 3 4 11
          (v128.const i32x4 11 11 11 11) (v128.const i32x4 2 2 2 2)))
        (memory.fill (i32.const 2) (i32.const 11) (i32.const 3))
        (block (block (br_table 0 1 0 1 (local.get 0))))
        (drop (select (result i32) (i32.const 2) (i32.const 11) (local.get 0)))
        (drop (i32.trunc_sat_f64_s (f64.const 11)))
        (i32.load offset=2 align=2 (i32.const 11))))"""
    )
    assert inspect(module)


def test_mutations_end_in_typed_errors_and_agree_with_the_engine():
    """What the engine accepts must pass the guard, and what the guard says about garbage it says as a UserError."""
    engine = WasmtimeEngine()
    rng = random.Random(7)
    seeds = [path.read_bytes() for path in sorted(EXAMPLES.rglob("*.wasm"))]
    accepted = 0
    import wasmtime

    for _ in range(1500):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(8, len(data))] = rng.randrange(256)
        module = bytes(data[: rng.randrange(8, len(data))] if rng.random() < 0.2 else data)
        try:
            wasmtime.Module.validate(engine._engine, module)
            valid = True
        except wasmtime.WasmtimeError:
            valid = False
        try:
            inspect(module)
            accepted += valid
        except TooLarge:
            pass
        except UserError:
            assert not valid
    assert accepted > 100


def test_a_megabyte_of_code_is_walked_quickly():
    plain = b"\x41\x01\x41\x02\x6a\x1a" * 40_000
    module = module_with(plain + b"\x02\x40\x0b" * 5_000)
    limits = GuardLimits(body_bytes=2**20)
    before = time.process_time()
    inspect(module, limits)
    assert time.process_time() - before < 0.5
