"""One function of a contract as one WebAssembly function."""

from __future__ import annotations

from typing import Final

from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.machine import CALL_DEPTH_MAX
from quorate.execute.bytecode.opcodes import Mode, Op, Trap
from quorate.execute.bytecode.translate import arithmetic, layout, plain, storage
from quorate.execute.bytecode.translate.emission import HOSTED, Emitter, Parts, Stop
from quorate.execute.bytecode.translate.flow import Block
from quorate.execute.bytecode.translate.structure import dispatched, structured
from quorate.execute.bytecode.translate.values import Cell, Constant, Test
from quorate.execute.bytecode.translate.writer import I32, I64, Code, ModuleWriter, W
from quorate.execute.bytecode.verify import Contract, effect_of, mode_of

INSIDE_CODE_BYTES_MAX: Final = 64
INSIDE_LEVELS_MAX: Final = 2
"""A callee of at most so many bytes is written inside its caller, and so deep."""
_SIMPLE: Final = {**arithmetic.EMISSIONS, **plain.EMISSIONS}


def is_hosted(instruction: Instruction) -> bool:
    return instruction.op in HOSTED or (instruction.op in (Op.LOAD, Op.STORE) and instruction.immediate == Mode.STATE)


def segments_of(block: Block) -> list[tuple[Instruction, ...]]:
    """The block cut behind each call and each instruction of the host."""
    found: list[tuple[Instruction, ...]] = []
    begun: list[Instruction] = []
    for instruction in block.instructions:
        begun.append(instruction)
        if instruction.op is Op.CALL or is_hosted(instruction) or instruction is block.last:
            found.append(tuple(begun))
            begun = []
    return found


class FunctionTranslation:
    """Writes the function of an emitter. `outermost` is for one that the host calls: it says at which RET the run has
    ended.

    A small callee is written where it is called, if it does not lie inside too many others already. It keeps its own
    segments, sites and counts, so that a run cannot tell; what is saved is the native call.
    """

    def __init__(self, contract: Contract, emitter: Emitter, outermost: bool = False) -> None:
        self.contract, self.e, self.outermost = contract, emitter, outermost
        self.blocks, self.flow = emitter.parts.graphs[emitter.index]
        self._inside: dict[int, FunctionTranslation] = {}
        self._end = 0
        """The depth of the block whose end RET goes to, in a function written inside another."""

    def write(self) -> None:
        if self.flow.reducible:
            structured(self.flow, self.e.code, self.block)
        else:
            dispatched(len(self.blocks), self.e.code, self.block, self.e.names.following)

    def block(self, number: int) -> tuple[int, ...]:
        block = self.blocks[number]
        self.e.operands.begin(self.contract.heights[block.instructions[0].pc])
        for segment in segments_of(block):
            self.e.segment(segment)
            for instruction in segment:
                self.e.begin(instruction)
                self.instruction(instruction)
                self.e.operands.settle()
        self.leave(block)
        return block.successors

    def leave(self, block: Block) -> None:
        """What stands at the end of a block: the flag of a jump, and cells where the next block expects them."""
        if block.last.op in (Op.JZ, Op.JNZ):
            flag = self.e.operands.take_flag()
            if len(block.successors) == 2:
                self.flag(block.last.op, flag)
        if block.successors:
            self.e.operands.place()
        else:
            self.e.operands.drop()

    def flag(self, op: Op, flag: Cell) -> None:
        """Leaves whether the jump is taken."""
        if isinstance(flag, Test):
            self.e.write(flag.a, flag.b, flag.instruction)
            if op is Op.JZ:
                self.e.code.raw(W.I32_EQZ)
        elif op is Op.JZ:
            self.e.write(flag, W.I64_EQZ)
        else:
            self.e.write(flag, 0, W.I64_NE)

    def instruction(self, instruction: Instruction) -> None:
        op = instruction.op
        if op in _SIMPLE:
            _SIMPLE[op](self.e)
        elif op in plain.COMPARISONS:
            following = self.contract.code.get(instruction.after)
            jumps = following is not None and following.op in (Op.JZ, Op.JNZ) and self.e.unused > 0
            plain.compare(self.e, op, only_for_a_jump=jumps)
        elif is_hosted(instruction):
            self.host(instruction)
        elif op in (Op.LOAD, Op.STORE):
            self.storage(instruction)
        else:
            self.other(instruction)

    def storage(self, instruction: Instruction) -> None:
        mode, loads = mode_of(instruction.immediate), instruction.op is Op.LOAD
        if mode is Mode.LOCAL:
            (storage.load_local if loads else storage.store_local)(self.e, instruction.immediate - Mode.LOCAL)
        elif mode is not None:
            (storage.load if loads else storage.store)(self.e, mode)

    def other(self, instruction: Instruction) -> None:
        match instruction.op:
            case Op.PUSH:
                self.e.push(Constant(instruction.immediate))
            case Op.MSIZE:
                storage.memory_size(self.e)
            case Op.EPOCH:
                storage.epoch(self.e)
            case Op.SENDER:
                storage.copy_id(self.e, layout.SENDER)
            case Op.SELF:
                storage.copy_id(self.e, layout.SELF)
            case Op.CALL:
                self.call(instruction)
            case Op.RET:
                self.ret(instruction)
            case Op.HALT:
                self.e.stop(Stop.HALT)
            case Op.ABORT:
                self.e.lay_out(self.e.pop(), 0)
                self.e.stop(Stop.TRAP, Trap.ABORTED)

    def host(self, instruction: Instruction) -> None:
        """Lays out the operands, lets the host do the work, and takes its result."""
        e = self.e
        pops, pushes = effect_of(e.container, e.index, instruction)
        for at in reversed(range(pops)):
            e.lay_out(e.pop(), at)
        e.code.i32(e.site(Stop.HOST))
        e.code.get(e.names.left)
        e.code.call(e.parts.host)
        e.code.tee(e.names.left)
        e.code.i64(0)
        e.code.raw(W.I64_LT_S)
        e.code.open_unlikely()
        e.code.raw(W.UNREACHABLE)
        e.code.end()
        for at in range(pushes):
            e.code.i32(0)
            e.code.access(W.I64_LOAD, e.cell_at(at))
            e.operands.store()

    def call(self, instruction: Instruction) -> None:
        """The order of the checks is that of the reference: depth, then cells."""
        e, index = self.e, instruction.immediate
        callee = e.container.functions[index]
        arguments = [e.pop() for _ in range(callee.parameters)][::-1]
        below = e.below + e.function.locals + len(e.operands.cells)
        if e.parts.counted.depth:
            self.check(e.names.active, CALL_DEPTH_MAX - 1 - e.level, Trap.CALL_DEPTH)
        if e.parts.counted.cells:
            self.check(e.names.below, e.container.max_cells - below - callee.locals - callee.stack, Trap.STACK_OVERFLOW)
        e.write(*arguments)
        if self.fits_inside(index):
            self.inside(index, below)
        else:
            self.outside(index, below)

    def check(self, local: int, most: int, trap: Trap) -> None:
        self.e.code.get(local)
        self.e.code.i32(most)
        self.e.code.raw(W.I32_GT_S)
        self.e.trap_if(trap)

    def fits_inside(self, index: int) -> bool:
        e = self.e
        size = e.container.end_of(index) - e.container.functions[index].start
        small = size <= INSIDE_CODE_BYTES_MAX and e.parts.room.left > 0
        return small and e.level < INSIDE_LEVELS_MAX and e.parts.graphs[index].flow.reducible

    def written_inside(self, index: int) -> FunctionTranslation:
        return FunctionTranslation(self.contract, Emitter(self.e.parts, index, self.e))

    def inside(self, index: int, below: int) -> None:
        """Writes the callee here; its arguments are on the WebAssembly stack."""
        if index not in self._inside:
            self._inside[index] = self.written_inside(index)
        inner = self._inside[index]
        inner.e.below = below
        function, names, code = inner.e.function, inner.e.names, self.e.code
        for at in reversed(range(function.parameters)):
            code.set(names.slot(at))
        for at in range(function.parameters, function.locals):
            code.i64(0)
            code.set(names.slot(at))
        room, start = self.e.parts.room.left, len(code.out)
        inner._end = code.open(W.BLOCK)
        inner.write()
        code.end()
        self.e.parts.room.left = room - (len(code.out) - start)
        for at in range(function.results):
            code.get(names.results_at + at)
            self.e.operands.store()

    def outside(self, index: int, below: int) -> None:
        """Calls the callee; its arguments are on the WebAssembly stack."""
        e = self.e
        depth, cells = e.parts.counted
        e.hand_over_cycles()
        for local, more in [(e.names.active, e.level + 1)] * depth + [(e.names.below, below)] * cells:
            e.code.get(local)
            e.code.i32(more)
            e.code.raw(W.I32_ADD)
        e.code.call(e.parts.first + index)
        e.take_back_cycles()
        results = [e.operands.keep() for _ in range(e.container.functions[index].results)]
        for result in reversed(results):
            e.push(result)

    def ret(self, instruction: Instruction) -> None:
        e = self.e
        if self.outermost:
            e.code.i32(0)
            e.code.i32(instruction.pc)
            e.code.access(W.I32_STORE, e.exchange + layout.LAST)
        e.write(*[e.pop() for _ in range(e.function.results)][::-1])
        if e.level:
            for at in reversed(range(e.function.results)):
                e.code.set(e.names.results_at + at)
            e.code.branch(W.BR, self._end)
        else:
            e.hand_over_cycles()
            e.code.raw(W.RETURN)

    def add_to(self, module: ModuleWriter) -> int:
        e = self.e
        cells = e.numbers.end - e.names.following - 1
        return module.add(e.signature(), [(1, I32), (cells, I64)], e.code)


def entry(parts: Parts, index: int, target: int) -> tuple[Code, int]:
    """The body of what the host calls: it takes arguments and cycles from the exchange area, calls `target`, which is
    function `index`, and puts results and cycles back. Also how many locals it needs."""
    e = Emitter(parts, index)
    code, function = Code(), e.function
    for at in range(function.parameters):
        code.i32(0)
        code.access(W.I64_LOAD, e.cell_at(at))
    code.i32(0)
    code.access(W.I64_LOAD, e.exchange + layout.LEFT)
    for first in [1] * parts.counted.depth + [0] * parts.counted.cells:
        code.i32(first)
    code.call(target)
    for at in range(function.results + 1):
        code.set(at)
    for at in range(function.results + 1):
        code.i32(0)
        code.get(at)
        place = e.exchange + layout.LEFT if at == 0 else e.cell_at(function.results - at)
        code.access(W.I64_STORE, place)
    return code, function.results + 1
