"""Profiles refuse by name whatever they do not grant."""

import pytest

from quorate.errors import ForbiddenImport, InvalidField, MalformedModule, MissingEntry
from quorate.execute.engine import COMMAND, PURE, Task, module_digest
from quorate.execute.wasm.guard import inspect
from quorate.execute.wasm.policy import admit, check_program
from quorate.execute.wasm.wasmtime_engine import wat_to_wasm

WASI = "wasi_snapshot_preview1"


def outline_of(wat: str):
    return inspect(wat_to_wasm(wat))


def task_of(profile=PURE, **fields):
    return Task(id=b"t", module=b"", digest=module_digest(b""), profile=profile, **fields)


def command(imports: str = "", extra: str = '(memory (export "memory") 1) (func (export "_start"))') -> str:
    return f"(module {imports} {extra})"


def test_pure_refuses_any_import_by_name():
    with pytest.raises(ForbiddenImport, match=r"env\.gettime"):
        check_program(outline_of('(module (import "env" "gettime" (func)) (func (export "run")))'), PURE)


def test_pure_refuses_an_imported_memory():
    with pytest.raises(ForbiddenImport, match=r"env\.memory"):
        check_program(outline_of('(module (import "env" "memory" (memory 1)) (func (export "run")))'), PURE)


@pytest.mark.parametrize(
    ("name", "signature", "capability"),
    [
        ("clock_time_get", "(param i32 i64 i32) (result i32)", "fixed_clock"),
        ("random_get", "(param i32 i32) (result i32)", "seeded_random"),
        ("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)", "absent_files"),
        ("sock_send", "(param i32 i32 i32 i32 i32) (result i32)", "absent_files"),
        ("poll_oneoff", "(param i32 i32 i32 i32) (result i32)", "absent_files"),
    ],
)
def test_command_grants_no_clock_randomness_file_or_socket_by_itself(name, signature, capability):
    outline = outline_of(command(f'(import "{WASI}" "{name}" (func {signature}))'))
    with pytest.raises(ForbiddenImport, match=rf"{WASI}\.{name}") as caught:
        check_program(outline, COMMAND)
    assert capability in caught.value.fix
    check_program(outline, COMMAND, capabilities={capability})


def test_command_refuses_other_modules_and_unknown_calls():
    for module, name in (("env", "fd_write"), (WASI, "thread_spawn"), ("wasi_unstable", "fd_write")):
        with pytest.raises(ForbiddenImport, match=name):
            check_program(outline_of(command(f'(import "{module}" "{name}" (func))')), COMMAND)


def test_command_refuses_a_known_name_of_another_kind_or_type():
    with pytest.raises(MalformedModule, match="wrong type"):
        check_program(outline_of(command(f'(import "{WASI}" "fd_write" (func (param i32)))')), COMMAND)
    with pytest.raises(MalformedModule, match="wrong type"):
        check_program(outline_of(command(f'(import "{WASI}" "fd_write" (global i32))')), COMMAND)


@pytest.mark.parametrize(
    ("profile", "wat"),
    [
        (PURE, "(module)"),
        (PURE, '(module (func (export "other")))'),
        (PURE, '(module (memory (export "run") 1))'),
        (PURE, '(module (func (export "run") (param i32)))'),
        (PURE, '(module (func (export "run") (result funcref) ref.null func))'),
        (PURE, '(module (memory (export "memory") 1) (func (export "run") (param i32 i32) (result i64) i64.const 0))'),
        (
            PURE,
            """(module (func (export "run") (param i32 i32) (result i64) i64.const 0)
            (func (export "alloc") (param i32) (result i32) i32.const 0))""",
        ),
        (COMMAND, '(module (func (export "_start")))'),
        (COMMAND, '(module (memory (export "memory") 1))'),
        (COMMAND, '(module (memory (export "memory") 1) (func (export "_start") (param i32)))'),
    ],
)
def test_missing_or_wrong_entries(profile, wat):
    with pytest.raises(MissingEntry):
        check_program(outline_of(wat), profile)


def test_missing_entry_says_what_there_is():
    with pytest.raises(MissingEntry) as caught:
        check_program(outline_of('(module (func (export "main")))'), PURE)
    assert "main" in caught.value.fix


def test_another_entry_may_be_named():
    check_program(outline_of('(module (func (export "other") (result i32) i32.const 1))'), PURE, "other")


def test_pure_takes_no_arguments_and_no_input_for_a_value_entry():
    outline = outline_of('(module (func (export "run")))')
    admit(outline, task_of())
    with pytest.raises(InvalidField, match="args"):
        admit(outline, task_of(args=("x",)))
    with pytest.raises(InvalidField, match="input"):
        admit(outline, task_of(stdin=b"x"))


def test_command_arguments_are_bounded():
    outline = outline_of(command())
    admit(outline, task_of(COMMAND, args=("a",) * 1024))
    for args in (("a",) * 1025, ("a" * 70_000,), ("a\0b",)):
        with pytest.raises(InvalidField, match="args"):
            admit(outline, task_of(COMMAND, args=args))


def test_unknown_profile_and_capability():
    outline = outline_of(command())
    with pytest.raises(InvalidField, match="profile"):
        check_program(outline, "contract")
    with pytest.raises(InvalidField, match="capabilities"):
        check_program(outline, COMMAND, capabilities={"real_clock"})
    with pytest.raises(InvalidField, match="capabilities"):
        check_program(outline_of('(module (func (export "run")))'), PURE, capabilities={"fixed_clock"})
