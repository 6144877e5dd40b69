"""Programs of several modules: what is one and what is not, by outlines alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.linked_guests import ADD, MULTIPLY, SQUARE, SUM_OF_SQUARES, TALLY, Linked, made

from quorate.crypto.digests import blob_digest
from quorate.errors import (
    DependencyCycle,
    ForbiddenImport,
    MissingDependency,
    TooLarge,
    UnlinkedImport,
    UnusedDependency,
    UserError,
)
from quorate.execute.wasm.guard import GuardLimits, inspect, inspect_together
from quorate.execute.wasm.linking import dependency_named, foreign_imports, import_name, link_order
from quorate.execute.wasm.sections import Import, Outline, Signature
from quorate.model.units import Digest

NOTHING = Signature((), ())


def order_of(program: Linked) -> tuple[Digest, ...]:
    outlines = {blob_digest(code): inspect(code) for code in program.libraries}
    return link_order(program.digest, inspect(program.module), outlines)


def claimed(*needs: Digest) -> Outline:
    """What a module would say of itself that exports `f` and imports it from each of `needs`."""
    imports = tuple(Import(import_name(digest), "f", "func", NOTHING) for digest in needs)
    functions = (NOTHING,) * (len(needs) + 1)
    return Outline(8, imports, {"f": ("func", len(needs))}, functions, 0, 0, 0, ((0, 1),))


def named(number: int) -> Digest:
    return Digest(bytes([number]) * 32)


def refused(program: Linked) -> UserError:
    with pytest.raises(UserError) as caught:
        order_of(program)
    assert caught.value.fix
    return caught.value


# Names


def test_a_name_is_the_prefix_and_64_small_hexadecimal_digits() -> None:
    assert dependency_named(import_name(named(0xAB))) == named(0xAB)
    assert dependency_named("wasi_snapshot_preview1") is None
    assert dependency_named("blake3") is None


@pytest.mark.parametrize(
    "name",
    [
        "blake3:",
        "blake3:" + "ab" * 31,
        "blake3:" + "ab" * 33,
        "blake3:" + "AB" * 32,
        "blake3:" + "0x" + "ab" * 31,
        "blake3: " + "ab" * 31 + "a",
        "blake3:" + "ab" * 31 + "ag",
        "blake3:" + "١" * 64,
    ],
)
def test_what_begins_like_a_name_and_is_none_is_refused(name: str) -> None:
    with pytest.raises(ForbiddenImport, match="names no module") as caught:
        dependency_named(name)
    assert (caught.value.field, bool(caught.value.fix)) == ("module", True)


def test_other_imports_are_foreign() -> None:
    module = made('(module (import "{0}" "add" (func (param i32 i32) (result i32))) (import "env" "now" (func)))', ADD)
    assert [item.module for item in foreign_imports(inspect(module.module))] == ["env"]


# Graphs


def test_a_program_without_dependencies_has_an_empty_order() -> None:
    assert order_of(TALLY) == ()


def test_three_levels_stand_deepest_first() -> None:
    assert order_of(SUM_OF_SQUARES) in {
        (ADD.digest, MULTIPLY.digest, SQUARE.digest),
    }
    assert len(SUM_OF_SQUARES.dependencies) == 3


def test_the_order_follows_from_the_graph_and_not_from_how_it_is_given() -> None:
    """Sisters stand in the order of their digests."""
    leaves = [named(number) for number in (3, 1, 2)]
    modules = {leaf: claimed() for leaf in leaves}
    assert link_order(named(9), claimed(*leaves), modules) == (named(1), named(2), named(3))
    again = dict(reversed(modules.items()))
    assert link_order(named(9), claimed(*reversed(leaves)), again) == (named(1), named(2), named(3))


@given(st.lists(st.lists(st.integers(0, 15), max_size=4), max_size=16))
def test_each_stands_behind_all_that_it_needs(rows: list[list[int]]) -> None:
    """A random graph in which a module needs only such as have a lower number; the root needs everything."""
    needs = {named(at): [named(low) for low in row if low < at] for at, row in enumerate(rows)}
    modules = {digest: claimed(*below) for digest, below in needs.items()}
    order = link_order(named(200), claimed(*modules), modules)
    assert sorted(order) == sorted(modules)
    assert all(order.index(low) < order.index(digest) for digest, below in needs.items() for low in below)


def test_what_is_imported_and_not_there_is_missing() -> None:
    error = refused(Linked(SUM_OF_SQUARES.module, SUM_OF_SQUARES.libraries[1:]))
    assert (type(error), error.field) == (MissingDependency, "dependencies")
    assert import_name(ADD.digest) in error.message
    assert import_name(SQUARE.digest)[:23] in error.limit, "it says what was given instead"
    alone = refused(Linked(SUM_OF_SQUARES.module, ()))
    assert (type(alone), alone.limit) == (MissingDependency, "given: none")


def test_a_dependency_of_a_dependency_is_missed_as_well() -> None:
    libraries = tuple(code for code in SUM_OF_SQUARES.libraries if code != MULTIPLY.module)
    error = refused(Linked(SUM_OF_SQUARES.module, libraries))
    assert (type(error), import_name(MULTIPLY.digest) in error.message) == (MissingDependency, True)


def test_what_nobody_imports_is_unused() -> None:
    error = refused(Linked(SUM_OF_SQUARES.module, (*SUM_OF_SQUARES.libraries, TALLY.module)))
    assert (type(error), error.field) == (UnusedDependency, "dependencies")
    assert import_name(TALLY.digest) in error.message
    assert type(refused(Linked(TALLY.module, (ADD.module,)))) is UnusedDependency


def test_two_that_need_only_each_other_are_unused_too() -> None:
    with pytest.raises(UnusedDependency):
        link_order(named(9), claimed(), {named(1): claimed(named(2)), named(2): claimed(named(1))})


@pytest.mark.parametrize("length", [1, 2, 3, 15])
def test_a_cycle_in_what_is_claimed_is_refused(length: int) -> None:
    """No bytes have such digests; what a hostile author lists is a claim until every byte is there."""
    ring = [named(number) for number in range(1, length + 1)]
    modules = {digest: claimed(ring[(at + 1) % length]) for at, digest in enumerate(ring)}
    with pytest.raises(DependencyCycle, match="depends on itself") as caught:
        link_order(named(99), claimed(ring[0]), modules)
    assert (caught.value.field, bool(caught.value.fix)) == ("dependencies", True)
    assert caught.value.message.count("->") == length


def test_a_cycle_through_the_program_itself_is_refused() -> None:
    with pytest.raises(DependencyCycle):
        link_order(named(9), claimed(named(1)), {named(1): claimed(named(9))})
    with pytest.raises(DependencyCycle):
        link_order(named(9), claimed(named(9)), {})


def test_a_program_that_lists_itself_is_refused() -> None:
    with pytest.raises(DependencyCycle) as caught:
        link_order(ADD.digest, inspect(ADD.module), {ADD.digest: inspect(ADD.module)})
    assert caught.value.field == "dependencies"


# Imports


def test_a_function_that_is_not_exported_is_refused_by_its_name() -> None:
    error = refused(made('(module (import "{0}" "subtract" (func)))', ADD))
    assert (type(error), error.field) == (UnlinkedImport, "module")
    assert "subtract" in error.message
    assert "add" in error.fix


@pytest.mark.parametrize(
    "kind",
    ["(param i32) (result i32)", "(param i32 i32) (result i64)", "(param i32 i32)", "(param i32 f32) (result i32)"],
)
def test_a_function_of_another_type_is_refused(kind: str) -> None:
    error = refused(made(f'(module (import "{{0}}" "add" (func {kind})))', ADD))
    assert (type(error), error.field, error.limit) == (UnlinkedImport, "module", "(i32, i32) -> (i32)")


def test_an_export_that_is_no_function_is_not_exported_as_one() -> None:
    assert type(refused(made('(module (import "{0}" "memory" (func)))', MULTIPLY))) is UnlinkedImport


@pytest.mark.parametrize("what", ["(memory 1)", "(global i32)", "(global (mut i32))", "(table 1 funcref)"])
def test_nothing_but_functions_is_imported_from_a_dependency(what: str) -> None:
    keeper = made('(module (memory (export "x") 1))')
    error = refused(made(f'(module (import "{{0}}" "x" {what}))', keeper))
    assert (type(error), error.field, error.limit) == (ForbiddenImport, "module", "functions")


def test_a_fault_in_a_dependency_is_told_as_one() -> None:
    wrong = made('(module (import "{0}" "subtract" (func)) (func (export "ok")))', ADD)
    error = refused(made('(module (import "{0}" "ok" (func)))', wrong))
    assert (type(error), error.field) == (UnlinkedImport, "dependencies")


@pytest.mark.parametrize(("module", "name"), [("wasi_snapshot_preview1", "sched_yield"), ("env", "now")])
def test_a_dependency_imports_from_dependencies_only(module: str, name: str) -> None:
    """Also in a command: a call of WASI works on the memory of the module that makes it."""
    asks = made(f'(module (import "{module}" "{name}" (func (result i32))) (func (export "ok")))')
    error = refused(made('(module (import "{0}" "ok" (func)))', asks))
    assert (type(error), error.field) == (ForbiddenImport, "dependencies")
    assert name in error.message


# What all may have together


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (GuardLimits(module_bytes=len(SUM_OF_SQUARES.module) + len(SQUARE.module)), "bytes"),
        (GuardLimits(functions=4), "functions"),
        (GuardLimits(imports=3), "imports"),
        (GuardLimits(exports=4), "exports"),
    ],
)
def test_modules_have_together_what_one_may_have(limits: GuardLimits, what: str) -> None:
    outlines = [inspect(code, limits) for code in (SUM_OF_SQUARES.module, *SUM_OF_SQUARES.libraries)]
    inspect_together(outlines[:2], limits)
    with pytest.raises(TooLarge, match=what) as caught:
        inspect_together(outlines, limits)
    assert (caught.value.field, bool(caught.value.fix)) == ("dependencies", True)


def test_tables_are_counted_together() -> None:
    tables = inspect(made("(module (table 5 funcref) (table 1 funcref))").module)
    limits = GuardLimits(tables=5, table_elements=15)
    inspect_together([tables, tables], limits)
    with pytest.raises(TooLarge, match="6 tables together"):
        inspect_together([tables] * 3, limits)
    with pytest.raises(TooLarge, match="18 table elements together"):
        inspect_together([tables] * 3, limits._replace(tables=10))
