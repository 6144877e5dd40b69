"""Static verification at load: after it no run can meet an unknown opcode, leave its function, or misuse the stack.

Two passes over all code. The first decodes every function and checks what each immediate names. The second walks each
function once, forward, and gives every instruction the one height of the operand stack with which it is reached. Code
that only a backward jump would reach is refused: it keeps the walk single, and no compiler needs it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from quorate.execute.bytecode import container as containers
from quorate.execute.bytecode.container import Container, Export
from quorate.execute.bytecode.decoding import Instruction, decode
from quorate.execute.bytecode.faults import Fault, refusal
from quorate.execute.bytecode.opcodes import (
    ENDS,
    JUMPS,
    LOAD_EFFECT,
    LOCALS_MAX,
    STORE_EFFECT,
    TABLE,
    Mode,
    Op,
    cells_after,
    cells_before,
)

HEIGHT_MAX: Final = 253
"""The greatest height of an operand stack: a byte for each byte of code holds it on a device, and two values of that
byte mean something else."""

Code = dict[int, Instruction]


class Contract(msgspec.Struct, frozen=True):
    """A contract that may run: its address, what it declares, its instructions by address, and the height of the stack
    before each."""

    address: bytes
    container: Container
    code: Code
    heights: dict[int, int]

    def export_named(self, name: str) -> Export | None:
        return next((export for export in self.container.exports if export.name == name), None)


_MODES: Final = {int(mode): mode for mode in Mode} | {Mode.LOCAL + slot: Mode.LOCAL for slot in range(LOCALS_MAX)}


def mode_of(immediate: int) -> Mode | None:
    """The mode that the immediate of LOAD or STORE stands for; None if it is not one."""
    return _MODES.get(immediate)


def _check_immediate(container: Container, index: int, instruction: Instruction) -> None:
    if instruction.op is Op.CALL and instruction.immediate >= len(container.functions):
        raise refusal(Fault.BAD_CALL, f"there is no function {instruction.immediate}", at=instruction.pc)
    if instruction.op not in (Op.LOAD, Op.STORE):
        return
    mode = mode_of(instruction.immediate)
    if mode is None:
        raise refusal(Fault.BAD_MODE, f"{instruction.immediate:#04x} is not a mode", at=instruction.pc)
    slots = container.functions[index].locals
    if mode is Mode.LOCAL and instruction.immediate - Mode.LOCAL >= slots:
        raise refusal(Fault.BAD_LOCAL, "no such local slot", at=instruction.pc, limit=f"{slots} locals")


def decode_function(container: Container, index: int) -> Code:
    """The first pass over one function."""
    code: Code = {}
    pc, end = container.functions[index].start, container.end_of(index)
    while pc < end:
        instruction = decode(container.code, pc, end)
        _check_immediate(container, index, instruction)
        code[pc] = instruction
        pc = instruction.after
    return code


def effect_of(container: Container, index: int, instruction: Instruction) -> tuple[int, int]:
    """How many cells the instruction, in function `index`, takes and leaves."""
    op = instruction.op
    if op is Op.CALL:
        callee = container.functions[instruction.immediate]
        return callee.parameters, callee.results
    if op is Op.RET:
        return container.functions[index].results, 0
    if op in (Op.LOAD, Op.STORE):
        mode = mode_of(instruction.immediate)
        effect = (LOAD_EFFECT if op is Op.LOAD else STORE_EFFECT)[mode or Mode.U8]
        return cells_before(effect), cells_after(effect)
    return TABLE[op].pops, TABLE[op].pushes


class _Walk:
    """The second pass over one function. `height` is None where the instruction before does not lead here."""

    def __init__(self, container: Container, index: int, code: Code) -> None:
        self.container, self.index, self.code = container, index, code
        start = container.functions[index].start
        self.heights: dict[int, int] = {start: 0}
        self.height: int | None = 0
        self.highest = 0

    def arrive(self, pc: int) -> int:
        """The height at `pc`, by falling through, by an earlier jump, or both."""
        known = self.heights.get(pc)
        if known is None:
            if self.height is None:
                raise refusal(Fault.UNREACHABLE, "code that nothing before it leads to", at=pc)
            known = self.height
        elif self.height is not None and self.height != known:
            raise refusal(Fault.HEIGHT_MISMATCH, f"reached with {self.height} and with {known} cells", at=pc)
        self.heights[pc] = known
        return known

    def apply(self, instruction: Instruction, height: int) -> int:
        pops, pushes = effect_of(self.container, self.index, instruction)
        if instruction.op is Op.RET and height != pops:
            raise refusal(Fault.RETURN_HEIGHT, f"returns {pops} results with {height} cells", at=instruction.pc)
        if height < pops:
            raise refusal(Fault.UNDERFLOW, f"takes {pops} cells of {height}", at=instruction.pc)
        height += pushes - pops
        if height > HEIGHT_MAX:
            raise refusal(Fault.STACK_HEIGHT, f"{height} cells", at=instruction.pc, limit=f"{HEIGHT_MAX} cells")
        self.highest = max(self.highest, height)
        return height

    def jump(self, instruction: Instruction, height: int) -> None:
        target = instruction.immediate
        start, end = self.container.functions[self.index].start, self.container.end_of(self.index)
        if not start <= target < end:
            raise refusal(Fault.JUMP_OUTSIDE, f"jumps to {target}, outside its function", at=instruction.pc)
        if target not in self.code:
            raise refusal(Fault.JUMP_INTO_INSTRUCTION, f"jumps into the instruction around {target}", at=instruction.pc)
        known = self.heights.setdefault(target, height)
        if known != height:
            raise refusal(Fault.HEIGHT_MISMATCH, f"{target} has {known} cells, not {height}", at=instruction.pc)

    def run(self) -> None:
        pc = self.container.functions[self.index].start
        for pc, instruction in self.code.items():
            after = self.apply(instruction, self.arrive(pc))
            if instruction.op in JUMPS:
                self.jump(instruction, after)
            self.height = None if instruction.op in ENDS else after
        if self.height is not None:
            raise refusal(Fault.FALLS_OFF, "the function ends without RET, JMP, HALT or ABORT", at=pc)


def walk_function(container: Container, index: int, code: Code) -> tuple[dict[int, int], int]:
    """The heights of one function, and the greatest."""
    walk = _Walk(container, index, code)
    walk.run()
    return walk.heights, walk.highest


def verify(container: Container) -> tuple[Code, dict[int, int]]:
    """All instructions and their heights. Raises BadContract."""
    parts = [decode_function(container, index) for index in range(len(container.functions))]
    heights: dict[int, int] = {}
    for index, code in enumerate(parts):
        known, highest = walk_function(container, index, code)
        declared = container.functions[index]
        if highest != declared.stack:
            message = f"function {index} declares a stack of {declared.stack} cells and uses {highest}"
            raise refusal(Fault.MAX_STACK, message, at=declared.start)
        heights |= known
    return {pc: instruction for code in parts for pc, instruction in code.items()}, heights


def load(data: bytes, address: bytes | None = None) -> Contract:
    """The contract in `data`, verified; with `address`, only that contract. Raises BadContract before anything runs."""
    container = containers.decode(data, address)
    code, heights = verify(container)
    return Contract(containers.address_of(data), container, code, heights)
