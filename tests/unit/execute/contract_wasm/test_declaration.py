"""What a WebAssembly contract declares is held against its module, and refused by name where the two differ."""

from __future__ import annotations

import pytest
from tests.support import wasm_contracts
from tests.support.wasm_contracts import PLACES, contract, declaration, imports, one

from quorate.errors import (
    BadContract,
    ForbiddenImport,
    InvalidField,
    MalformedModule,
    MissingEntry,
    NotWasm,
    TooLarge,
    UserError,
)
from quorate.execute.bytecode.state import State
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.declaration import contract_of, declare, interface_of
from quorate.execute.contract_wasm.section import custom_sections, with_section
from quorate.execute.engine import module_digest
from quorate.execute.wasm.sections import Signature
from quorate.execute.wasm.wasmtime_engine import wat_to_wasm
from quorate.model.codec import encode
from quorate.model.units import KIB, MIB

RUN = '(func (export "run"))'


def refused(module: bytes, error: type[UserError], *said: str) -> None:
    """Refused when it is read and when it is to be run, with these words in the refusal."""
    for read in (contract_of, wasm_contracts.engine().compile):
        with pytest.raises(error) as caught:
            read(module)
        for word in said:
            assert word in str(caught.value)


def bare(text: str, **fields: object) -> bytes:
    """A module with a section that nobody has checked."""
    return with_section(wat_to_wasm(f"(module {text})"), abi.SECTION, encode(declaration(**fields)))


def test_the_imports_are_these_ten_with_these_types() -> None:
    assert {name: str(known.signature) for name, known in abi.IMPORTS.items()} == {
        "mehr_balance": "(i32) -> (i64)",
        "mehr_sender": "(i32) -> ()",
        "mehr_self": "(i32) -> ()",
        "mehr_epoch": "() -> (i64)",
        "mehr_transfer": "(i32, i64) -> (i32)",
        "mehr_log": "(i32, i32) -> ()",
        "mehr_store_load": "(i32, i32, i32, i32) -> (i32)",
        "mehr_store_save": "(i32, i32, i32, i32) -> ()",
        "mehr_hash": "(i32, i32, i32) -> ()",
        "mehr_verify_sig": "(i32, i32, i32, i32) -> (i32)",
    }
    assert abi.MODULE == "mehr"


def test_a_contract_is_what_its_section_and_its_bytes_say() -> None:
    module = contract(
        '(func (export "put") (param i32 i32 i64) (result i64 i64) (i64.const 0) (i64.const 0)) (func (export "get"))',
        "put(key: bytes, value: int)",
        "get()",
        max_state_bytes=77,
    )
    found = contract_of(module)
    assert (found.kind, found.program, found.size_bytes) == ("wasm", module_digest(module), len(module))
    assert (found.wasm_tier, found.max_memory_bytes, found.max_state_bytes) == ("light", MIB, 77)
    assert found.state == State().key
    assert [function.name for function in found.functions] == ["get", "put"]
    assert [(one.name, one.kind) for one in found.functions[1].parameters] == [("key", "bytes"), ("value", "int")]


def test_declaring_again_replaces_and_changes_nothing_else() -> None:
    module = wat_to_wasm(f"(module {imports()} {PLACES} {RUN})")
    first = declare(with_section(module, "name", b"\0"), declaration())
    second = declare(first, declaration(max_cycles=5))
    assert contract_of(second).max_cycles == 5
    assert len(custom_sections(second, abi.SECTION)) == 1
    assert declare(second, declaration()) == first


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ('(import "mehr" "mehr_random" (func))', "mehr.mehr_random"),
        ('(import "env" "mehr_epoch" (func (result i64)))', "env.mehr_epoch"),
        ('(import "mehr" "epoch" (func (result i64)))', "mehr.epoch"),
        (
            '(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))',
            "wasi_snapshot_preview1.fd_write",
        ),
        ('(import "quorate" "host" (func (param i32 i64) (result i64)))', "quorate.host"),
        ('(import "env" "memory" (memory 1))', "env.memory"),
        ('(import "env" "table" (table 1 funcref))', "env.table"),
        ('(import "env" "base" (global i32))', "env.base"),
    ],
)
def test_an_import_outside_of_the_ten_is_refused_by_its_name(item: str, name: str) -> None:
    refused(bare(f"{item} {RUN}"), ForbiddenImport, f"a contract is not granted {name}", "mehr_verify_sig")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ('(import "mehr" "mehr_epoch" (func (result i32)))', "() -> (i32)"),
        ('(import "mehr" "mehr_log" (func (param i32)))', "(i32) -> ()"),
        ('(import "mehr" "mehr_self" (global i32))', "global"),
    ],
)
def test_one_of_the_ten_with_another_type_is_refused(item: str, said: str) -> None:
    refused(bare(f"{item} {PLACES} {RUN}"), MalformedModule, "has the type", said)


def test_each_of_the_ten_is_granted() -> None:
    for line in imports().splitlines():
        assert contract_of(bare(f"{line} {PLACES} {RUN}")).kind == "wasm"


def test_a_start_function_is_refused() -> None:
    refused(bare(f"{PLACES} {RUN} (func $s) (start $s)"), MalformedModule, "start function")


@pytest.mark.parametrize(
    "memory", ["", "(memory 1)", '(memory (export "other") 1)', '(global (export "memory") i32 (i32.const 0))']
)
def test_the_memory_is_exported_as_memory(memory: str) -> None:
    refused(bare(f"{memory} {RUN}"), MissingEntry, "memory")


def test_a_memory_above_what_is_declared_is_refused() -> None:
    refused(
        bare(f'(memory (export "memory") 17) {RUN}'), TooLarge, f"{17 * 64 * KIB} bytes", f"{MIB} bytes, as declared"
    )
    assert contract_of(bare(f'(memory (export "memory") 16) {RUN}')).max_memory_bytes == MIB


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("", "not exported"),
        ('(func (export "put") (param i32 i64))', "(i32, i64) -> ()"),
        ('(func (export "put") (param i64 i64 i64))', "(i64, i64, i64) -> ()"),
        ('(func (export "put") (param i32 i32 i64) (result i32) (i32.const 0))', "-> (i32)"),
        ('(func (export "put") (param i32 i32 i64) (result f64) (f64.const 0))', "-> (f64)"),
        (f'(func (export "put") (param i32 i32 i64) (result{" i64" * 17}) {"(i64.const 0)" * 17})', "up to 16"),
        ('(global (export "put") i32 (i32.const 0))', "not exported"),
    ],
)
def test_a_function_is_exported_with_the_type_of_its_signature(function: str, said: str) -> None:
    with pytest.raises(MissingEntry) as caught:
        contract(function, "put(key: bytes, value: int)")
    assert "put" in str(caught.value)
    assert said in str(caught.value)


def test_sixteen_results_are_granted() -> None:
    made = one("(i64.const 0)" * 16, " ".join(["i64"] * 16))
    assert contract_of(made).functions[0].name == "run"


def test_without_a_section_or_with_two_it_is_no_contract() -> None:
    module = wat_to_wasm(f"(module {PLACES} {RUN})")
    refused(module, BadContract, "0 sections", "quorate.contract")
    once = declare(module, declaration())
    (section,) = custom_sections(once, abi.SECTION)
    refused(once + once[section.start :], BadContract, "2 sections")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "quorate.contract: encoding"),
        (encode(declaration()) + b"\0", "encoding"),
        (encode(declaration(schedule=2)), "schedule"),
        (encode(declaration(argument_bytes=MIB + 1)), "argument_bytes"),
        (encode(declaration(functions=())), "functions"),
        (encode(declaration(wasm_tier="none")), "wasm_tier"),
        (encode(declaration()).replace(b"declaration", b"declaratiom"), "type"),
    ],
)
def test_a_section_that_is_no_declaration_is_refused(contents: bytes, said: str) -> None:
    module = wat_to_wasm(f"(module {PLACES} {RUN})")
    refused(with_section(module, abi.SECTION, contents), BadContract, said)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_memory_bytes": 16 * MIB + 1}, "max_memory_bytes"),
        ({"max_cycles": 10**8 + 1}, "max_cycles"),
        ({"max_cycles": 0}, "max_cycles"),
        ({"wasm_tier": "full", "max_memory_bytes": 256 * MIB + 1}, "max_memory_bytes"),
        ({"wasm_tier": "full", "max_cycles": 10**10 + 1}, "max_cycles"),
        ({"max_state_bytes": 16 * MIB + 1}, "max_state_bytes"),
    ],
)
def test_limits_outside_of_the_tier_are_refused(fields: dict[str, object], field: str) -> None:
    refused(bare(f"{PLACES} {RUN}", **fields), InvalidField, field)


def test_limits_at_the_edge_of_the_tier_are_granted() -> None:
    edges = ({"max_memory_bytes": 16 * MIB, "max_cycles": 10**8}, {"wasm_tier": "full", "max_memory_bytes": 256 * MIB})
    for fields in edges:
        assert contract_of(bare(f"{PLACES} {RUN}", **fields)).max_memory_bytes == fields["max_memory_bytes"]


def test_functions_in_another_order_are_refused() -> None:
    both = tuple(reversed(declaration("a()", "b()").functions))
    module = bare(f'{PLACES} (func (export "a")) (func (export "b"))', functions=both)
    refused(module, InvalidField, "functions")


TAKING = '(memory (export "memory") 1) (func (export "run") (param i32 i32))'


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "no place"),
        ('(global (export "quorate_arguments") (mut i32) (i32.const 64))', "never changes"),
        ('(global (export "quorate_arguments") i64 (i64.const 64))', "type i32"),
        (
            '(global $a i32 (i32.const 64)) (global (export "quorate_arguments") i32 (global.get $a))',
            "given as a number",
        ),
        ('(global (export "quorate_arguments") i32 (i32.add (i32.const 64) (i32.const 0)))', "given as a number"),
        ('(func (export "quorate_arguments"))', "something else"),
        ('(global (export "quorate_arguments") i32 (i32.const 68))', "multiple of 8"),
        ('(global (export "quorate_arguments") i32 (i32.const 64520))', "1024 bytes in the 65536"),
        ('(global (export "quorate_arguments") i32 (i32.const -8))', "is at 4294967288"),
    ],
)
def test_bytes_arguments_have_their_area(place: str, said: str) -> None:
    functions = declaration("run(data: bytes)").functions
    module = bare(f"{TAKING} {place}", functions=functions, argument_bytes=1024)
    refused(module, (BadContract, MalformedModule, MissingEntry), said)  # type: ignore[arg-type]


def test_the_area_may_end_with_the_memory_and_stand_behind_other_globals() -> None:
    others = """(global (mut f64) (f64.const 1)) (global f32 (f32.const 1)) (global i64 (i64.const -1))
      (global funcref (ref.null func)) (global funcref (ref.func 0)) (global v128 (v128.const i64x2 1 2))"""
    place = '(global (export "quorate_arguments") i32 (i32.const 64512))'
    functions = declaration("run(data: bytes)").functions
    found = interface_of(bare(f"{TAKING} {others} {place}", functions=functions, argument_bytes=1024))
    assert (found.arguments_at, found.arguments_end) == (64512, 65536)


@pytest.mark.parametrize("at", [4, 65520, -16])
def test_the_answer_is_inside_the_memory(at: int) -> None:
    place = f'(global (export "quorate_answer") i32 (i32.const {at}))'
    refused(bare(f'(memory (export "memory") 1) {RUN} {place}'), BadContract, "quorate_answer")


def test_other_bytes_are_no_contract() -> None:
    refused(b"MHRB", NotWasm)
    refused(b"\0asm\1\0\0\0\5", MalformedModule)
    refused(bytes(4 * MIB + 1), TooLarge)


def test_what_does_not_validate_is_refused_before_it_runs() -> None:
    module = bytearray(one("(i64.const 7)", "i64"))
    at = module.index(b"\x42\x07\x0b")
    module[at : at + 2] = b"\x41\x07"
    assert contract_of(bytes(module)).kind == "wasm"
    with pytest.raises(MalformedModule):
        wasm_contracts.engine().compile(bytes(module))


def test_a_body_that_nests_too_deep_never_reaches_the_compiler() -> None:
    with pytest.raises(TooLarge, match="nested"):
        one("block " * 1025 + "end " * 1025)


def test_signatures_say_what_types_functions_have() -> None:
    function = declaration("put(key: bytes, value: int, more: bytes)").functions[0]
    assert Signature(abi.parameters_of(function), ()) == Signature(("i32", "i32", "i64", "i32", "i32"), ())
