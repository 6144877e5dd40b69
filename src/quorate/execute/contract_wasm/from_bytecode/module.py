"""From a verified bytecode contract to a WebAssembly contract that does the same, but for what a run costs and where it
stands."""

from __future__ import annotations

from typing import Final

from quorate.errors import BadContract
from quorate.execute.bytecode.container import Container, Export, Kind
from quorate.execute.bytecode.declaration import signatures_of
from quorate.execute.bytecode.host import EMIT_BYTES_MAX
from quorate.execute.bytecode.opcodes import Op, Trap
from quorate.execute.bytecode.translate import layout
from quorate.execute.bytecode.translate.arithmetic import product_overflows
from quorate.execute.bytecode.translate.bounds import Counted, counted
from quorate.execute.bytecode.translate.emission import Parts, Room, check_size
from quorate.execute.bytecode.translate.function import is_hosted
from quorate.execute.bytecode.translate.module import graphs_of
from quorate.execute.bytecode.translate.writer import I32, I64, Code, Import, ModuleWriter, Signature, W
from quorate.execute.bytecode.verify import Contract
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.declaration import declare
from quorate.execute.contract_wasm.from_bytecode.emitter import ContractEmitter, Places, write_end
from quorate.execute.contract_wasm.from_bytecode.function import HOSTED, ContractFunction
from quorate.execute.engine import WASM_PAGE_BYTES
from quorate.model.call import ARGUMENT_BYTES_MAX
from quorate.model.declaration import SCHEDULE, Declaration
from quorate.model.program import TIER_LIMITS
from quorate.model.units import Digest

_KINDS: Final = {"i32": I32, "i64": I64}


def contract_module(contract: Contract) -> bytes:
    """The module, with what it declares. Raises BadContract, at its place in the code, for an instruction that has no
    import; TooLarge for a module, or its compilation, that would be too large; InvalidField for limits that no tier
    has."""
    used = _operations(contract)
    names = [name for op, (name, _) in HOSTED.items() if op in used]
    container, answer = contract.container, layout.exchange_of(contract.container)
    emitted = answer + abi.ANSWER_FORM.size
    end = emitted + EMIT_BYTES_MAX if Op.EMIT in used else emitted
    pages = -(-end // WASM_PAGE_BYTES)
    module = ModuleWriter([_import(name) for name in names], pages)
    product = module.add(Signature((I64, I64), (I32,)), [], product_overflows())
    places = Places(answer, {name: index for index, name in enumerate(names)}, product + 1)
    if Op.EMIT in used:
        module.add(Signature((I64, I64), ()), [(1, I64)], _emit(answer, emitted))
        module.data(answer + abi.EMITTED_AT, emitted.to_bytes(4, "little"))
    _add_functions(contract, module, places, product)
    module.constant(abi.ARGUMENTS, container.reserved)
    module.constant(abi.ANSWER, answer)
    if container.data:
        module.data(0, container.data)
    return declare(module.module(), _declaration(container, pages * WASM_PAGE_BYTES))


def _operations(contract: Contract) -> set[Op]:
    """The opcodes that an import does, and EMIT, of those that the contract has. LOAD and STORE are those of state."""
    used: set[Op] = set()
    for instruction in contract.code.values():
        if instruction.op is Op.VERIFY_VRF:
            error = BadContract(
                "VERIFY_VRF has no import",
                field=f"code byte {instruction.pc}",
                limit=", ".join(abi.IMPORTS),
                fix="keep this contract as bytecode",
            )
            error.at = instruction.pc
            raise error
        if is_hosted(instruction) or instruction.op in (Op.SENDER, Op.SELF, Op.EPOCH):
            used.add(instruction.op)
    return used


def _import(name: str) -> Import:
    parameters, results = abi.IMPORTS[name].signature
    return Import(
        abi.MODULE, name, Signature(tuple(_KINDS[kind] for kind in parameters), tuple(_KINDS[kind] for kind in results))
    )


def _add_functions(contract: Contract, module: ModuleWriter, places: Places, product: int) -> None:
    first = places.emit + (Op.EMIT in _operations(contract))
    container, counts = contract.container, counted(contract)
    parts = Parts(container, counts, graphs_of(contract), 0, 0, product, first, [], Room())
    for index in range(len(container.functions)):
        function = ContractFunction(contract, ContractEmitter(parts, index, places))
        function.write()
        function.add_to(module)
        check_size(module.size)
    for export in container.exports:
        results = (I64,) * container.functions[export.function].results
        module.export(export.name, _add_entry(module, export, counts, first + export.function, results))


def _add_entry(module: ModuleWriter, export: Export, counts: Counted, target: int, results: tuple[int, ...]) -> int:
    """What is called from outside: it makes cells of addresses and sizes."""
    code = Code()
    kinds: list[int] = []
    for _, kind in export.parameters:
        for _ in range(kind.cells):
            code.get(len(kinds))
            kinds.append(I32 if kind is Kind.BYTES else I64)
            if kind is Kind.BYTES:
                code.raw(W.I64_EXTEND_I32_U)
    for first in [1] * counts.depth + [0] * counts.cells:
        code.i32(first)
    code.call(target)
    return module.add(Signature(tuple(kinds), results), [], code)


def _emit(answer: int, emitted: int) -> Code:
    """The body of (address, size): appends bytes, whose range was checked, to those at `emitted`."""
    code = Code()
    code.i32(0)
    code.access(W.I64_LOAD32_U, answer + abi.EMITTED_SIZE_AT)
    code.get(1)
    code.raw(W.I64_ADD)
    code.tee(2)
    code.i64(EMIT_BYTES_MAX)
    code.raw(W.I64_GT_U)
    code.open_unlikely()
    write_end(code, answer, Trap.OUTPUT_LIMIT)
    code.end()
    code.get(2)
    code.get(1)
    code.raw(W.I64_SUB, W.I32_WRAP_I64)
    code.i32(emitted)
    code.raw(W.I32_ADD)
    for local in (0, 1):
        code.get(local)
        code.raw(W.I32_WRAP_I64)
    code.copy()
    code.i32(0)
    code.get(2)
    code.access(W.I64_STORE32, answer + abi.EMITTED_SIZE_AT)
    return code


def _declaration(container: Container, memory_bytes: int) -> Declaration:
    """In the light tier if it fits there."""
    memory_light, cycles_light, _ = TIER_LIMITS["light"]
    light = memory_bytes <= memory_light and container.max_cycles <= cycles_light
    return Declaration(
        schedule=SCHEDULE,
        wasm_tier="light" if light else "full",
        max_memory_bytes=memory_bytes,
        max_cycles=container.max_cycles,
        max_state_bytes=container.max_state_size,
        argument_bytes=min(container.max_memory - container.reserved, ARGUMENT_BYTES_MAX),
        state=Digest(container.state_key),
        functions=signatures_of(container),
    )
