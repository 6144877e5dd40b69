"""A container as text that `assembler` turns back into the same bytes."""

from __future__ import annotations

from quorate.execute.bytecode.container import Container, Export, Function
from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.opcodes import JUMPS, MACHINE_NAMES, TABLE, Immediate, Mode, Op
from quorate.execute.bytecode.verify import Contract, mode_of


def _names(container: Container) -> list[str]:
    """The name of each function: its exported one, or one made from its index that no export has."""
    exported = {export.function: export.name for export in container.exports}
    prefix = "f"
    while any(name.startswith(prefix) for name in exported.values()):
        prefix += "_"
    return [exported.get(index, f"{prefix}{index}") for index in range(len(container.functions))]


def _signature(name: str, function: Function, export: Export | None) -> str:
    listed = ", ".join(f"{name}: {kind.name.lower()}" for name, kind in export.parameters) if export else ""
    head = f"{name}({listed})" if export else f"{name}/{function.parameters}"
    return f".func {head} -> {function.results} locals {function.locals}"


def _operand(instruction: Instruction, names: list[str]) -> str:
    kind, value = TABLE[instruction.op].immediate, instruction.immediate
    if kind is Immediate.MODE:
        mode = mode_of(value)
        return f" local {value - Mode.LOCAL}" if mode is Mode.LOCAL else f" {Mode(value).name.lower()}"
    if kind is Immediate.TARGET:
        return f" L{value}"
    if kind is Immediate.FUNCTION:
        return f" {names[value]}"
    return f" {value}" if kind is Immediate.CELL else ""


def _body(contract: Contract, index: int, names: list[str]) -> list[str]:
    container = contract.container
    start, end = container.functions[index].start, container.end_of(index)
    inside = [one for pc, one in contract.code.items() if start <= pc < end]
    targets = {one.immediate for one in inside if one.op in JUMPS}
    lines = []
    for one in inside:
        lines += [f"L{one.pc}:"] if one.pc in targets else []
        lines.append(f"    {Op(one.op).name}{_operand(one, names)}")
    return lines


def disassemble(contract: Contract) -> str:
    """The text of a loaded contract."""
    container = contract.container
    lines = [
        f".machine {MACHINE_NAMES[0]}",
        f".memory {container.max_memory}",
        f".cycles {container.max_cycles}",
        f".state {container.max_state_size}",
        f".cells {container.max_cells}",
        f".reserved {container.reserved}",
        f".state_key {container.state_key.hex()}",
    ]
    lines += [f".data 0x{container.data.hex()}"] if container.data else []
    names = _names(container)
    exports = {export.function: export for export in container.exports}
    for index, function in enumerate(container.functions):
        lines += ["", _signature(names[index], function, exports.get(index))]
        lines += _body(contract, index, names)
    return "\n".join(lines) + "\n"
