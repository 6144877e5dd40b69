"""What is written otherwise than in the machine's own translation: cycles are the engine's fuel, so that nothing counts
them, and how a run ends is said in the answer."""

from __future__ import annotations

from typing import NamedTuple

from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.state import KEY_BYTES_MAX
from quorate.execute.bytecode.translate.emission import Emitter, Parts, Stop, number_of
from quorate.execute.bytecode.translate.layout import Locals, locals_of
from quorate.execute.bytecode.translate.storage import check_range
from quorate.execute.bytecode.translate.values import Value
from quorate.execute.bytecode.translate.writer import I32, I64, Code, Signature, W
from quorate.execute.contract_wasm import abi


class Places(NamedTuple):
    """The address of the answer, the functions of the module that are imports, by name, and the one that emits."""

    answer: int
    imports: dict[str, int]
    emit: int


def write_end(code: Code, answer: int, end: int) -> None:
    """Ends the run, and says how."""
    code.i32(0)
    code.i32(end)
    code.access(W.I32_STORE, answer + abi.END_AT)
    code.raw(W.UNREACHABLE)


class ContractEmitter(Emitter):
    """Writes one function of the contract."""

    def __init__(self, parts: Parts, index: int, places: Places, outer: ContractEmitter | None = None) -> None:
        self.places = places
        super().__init__(parts, index, outer)

    def own_locals(self) -> Locals:
        return locals_of(self.function, self.parts.counted, metered=False)

    def signature(self) -> Signature:
        counts = (I32,) * (self.parts.counted.depth + self.parts.counted.cells)
        return Signature((I64,) * self.function.parameters + counts, (I64,) * self.function.results)

    def pay(self, cost: int) -> None:
        pass

    def hand_over_cycles(self) -> None:
        pass

    def take_back_cycles(self) -> None:
        pass

    def cell_at(self, index: int) -> int:
        """Only the code of ABORT is laid out."""
        assert index == 0
        return self.places.answer + abi.CODE_AT

    def stop(self, stop: Stop, trap: Trap = Trap.NONE) -> None:
        write_end(self.code, self.places.answer, abi.DONE if stop is Stop.HALT else int(trap))

    def check_span(self, address: Value, size: Value, or_removes: bool = False) -> None:
        """Traps unless `size` bytes from `address` are inside the contract's memory; or, where that may be said, the
        size says that an entry is removed."""
        most, number = self.container.max_memory, number_of(size)
        if number is not None and 0 <= number <= most:
            check_range(self, address, number)
        elif number != -1 or not or_removes:
            self.write(size, most, W.I64_GT_U, address, most, size, W.I64_SUB, W.I64_GT_U, W.I32_OR)
            if or_removes:
                self.write(size, -1, W.I64_NE, W.I32_AND)
            self.trap_if(Trap.MEMORY_RANGE)

    def check_key(self, address: Value, size: Value) -> None:
        number = number_of(size)
        if number is None or not 0 <= number <= KEY_BYTES_MAX:
            self.write(size, KEY_BYTES_MAX, W.I64_GT_U)
            self.trap_if(Trap.KEY_SIZE)
        self.check_span(address, size)

    def ask(self, name: str, *operands: Value) -> None:
        """Calls an import with addresses and sizes."""
        for operand in operands:
            self.write(operand, W.I32_WRAP_I64)
        self.code.call(self.places.imports[name])
