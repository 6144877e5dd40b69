"""From a module to what it declares, and back: a contract is refused unless its module is what its section says."""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.errors import BadContract, ForbiddenImport, MalformedBytes, MalformedModule, MissingEntry, TooLarge
from quorate.execute.bytecode.container import RESULTS_MAX
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.section import constant, custom_sections, with_section
from quorate.execute.engine import WASM_PAGE_BYTES, module_digest
from quorate.execute.wasm.guard import inspect
from quorate.execute.wasm.sections import START, Import, Outline, Signature, sections_of
from quorate.model.codec import decode, encode
from quorate.model.contract import Contract, FunctionSignature
from quorate.model.declaration import Declaration

FIX: Final = "build the contract again from its source"


class Interface(NamedTuple):
    """What an engine asks of a contract that was checked. `arguments_at` is where its area for bytes arguments begins,
    `arguments_end` where it ends; `answer_at` where its answer stands, None if it has none."""

    contract: Contract
    arguments_at: int
    arguments_end: int
    answer_at: int | None

    def function_named(self, name: str) -> FunctionSignature | None:
        return next((function for function in self.contract.functions if function.name == name), None)


def declare(module: bytes, declaration: Declaration) -> bytes:
    """The contract that `module` becomes with its section; one that it has already is replaced. Raises what
    `interface_of` raises."""
    declared = with_section(module, abi.SECTION, encode(declaration))
    interface_of(declared)
    return declared


def contract_of(module: bytes) -> Contract:
    """What a WebAssembly contract declares. Raises what `interface_of` raises."""
    return interface_of(module).contract


def interface_of(module: bytes) -> Interface:
    """Checks all of a contract but what compiling it shows. Raises TooLarge, NotWasm, MalformedModule, ForbiddenImport,
    MissingEntry, BadContract, and InvalidField for limits outside of their tier."""
    outline = inspect(module)
    declared = _declaration(module)
    contract = Contract(
        kind="wasm",
        program=module_digest(module),
        size_bytes=len(module),
        wasm_tier=declared.wasm_tier,
        max_memory_bytes=declared.max_memory_bytes,
        max_cycles=declared.max_cycles,
        max_state_bytes=declared.max_state_bytes,
        state=declared.state,
        functions=declared.functions,
    )
    for item in outline.imports:
        _check_import(item)
    if START in sections_of(module):
        raise MalformedModule(
            "a contract has no start function", field="module", fix="do in each function what it needs"
        )
    _check_memory(outline, declared.max_memory_bytes)
    for function in declared.functions:
        _check_function(outline, function)
    arguments_at = _arguments_at(module, outline, declared)
    answer_at = _place(module, outline, abi.ANSWER, abi.ANSWER_FORM.size)
    return Interface(contract, arguments_at, arguments_at + declared.argument_bytes, answer_at)


def _declaration(module: bytes) -> Declaration:
    sections = custom_sections(module, abi.SECTION)
    if len(sections) != 1:
        raise BadContract(f"{len(sections)} sections {abi.SECTION}", field="module", limit="exactly one", fix=FIX)
    try:
        return decode(sections[0].contents, Declaration)
    except MalformedBytes as fault:
        field = f"{abi.SECTION}: {fault.field}"
        raise BadContract(fault.message, field=field, limit=fault.limit, fix=FIX) from None


def _check_import(item: Import) -> None:
    known = abi.IMPORTS.get(item.name) if item.module == abi.MODULE else None
    if known is None:
        raise ForbiddenImport(
            f"a contract is not granted {item.module[:80]}.{item.name[:80]}",
            field="module",
            limit=", ".join(abi.IMPORTS),
            fix="build the contract without it",
        )
    if item.signature != known.signature:
        raise MalformedModule(
            f"import {item.name} has the type {item.signature or item.kind}", field="module", limit=str(known.signature)
        )


def _check_memory(outline: Outline, most: int) -> None:
    if outline.exports.get(abi.MEMORY, ("", 0))[0] != "memory":
        raise MissingEntry("the module does not export its memory", field="module", fix=f"export it as `{abi.MEMORY}`")
    held = outline.memory_pages_min * WASM_PAGE_BYTES
    if held > most:
        raise TooLarge(
            f"the memory begins with {held} bytes",
            field="max_memory_bytes",
            limit=f"{most} bytes, as declared",
            fix="declare as much as the module has",
        )


def _check_function(outline: Outline, function: FunctionSignature) -> None:
    wanted, found = abi.parameters_of(function), outline.function_named(function.name)
    if found is None:
        raise MissingEntry(
            f"{function.name} is declared and not exported", field="functions", fix="export it, or do not declare it"
        )
    if found.params != wanted or set(found.results) - {"i64"} or len(found.results) > RESULTS_MAX:
        limit = f"{Signature(wanted, ('i64',))}, with up to {RESULTS_MAX} such results"
        raise MissingEntry(f"{function.name} has the type {found}", field="functions", limit=limit)


def _arguments_at(module: bytes, outline: Outline, declared: Declaration) -> int:
    """Where the area begins; 0 for a contract that takes no bytes."""
    at = _place(module, outline, abi.ARGUMENTS, declared.argument_bytes)
    takes_bytes = any(one.kind == "bytes" for function in declared.functions for one in function.parameters)
    if at is None and (takes_bytes or declared.argument_bytes):
        raise MissingEntry(
            "bytes arguments have no place", field="module", fix=f"export the address of the area as `{abi.ARGUMENTS}`"
        )
    return at or 0


def _place(module: bytes, outline: Outline, name: str, size: int) -> int | None:
    """The address that constant `name` gives; None if it is not exported. All `size` bytes of it are inside the memory
    from the beginning."""
    at = constant(module, outline, name)
    held = outline.memory_pages_min * WASM_PAGE_BYTES
    if at is not None and (at % abi.ALIGNMENT or at + size > held):
        limit = f"a multiple of {abi.ALIGNMENT}, with {size} bytes in the {held} that the memory begins with"
        raise BadContract(f"{name} is at {at}", field="module", limit=limit, fix=FIX)
    return at
