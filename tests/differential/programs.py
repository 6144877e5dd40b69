"""Random contracts for comparing engines: functions of random blocks whose jumps follow no structure, so that loops
have several entries, and whose stacks are not empty between blocks.

One seed, one contract. Constants lean to edges. Most backward jumps count down, so that many runs end well; the
outermost function emits its memory before it returns, so that memory is part of the outcome.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.host import Argument, Call, Context
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, TABLE, Op
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.vectors import SELF_ID, SENDER

EDGES = (0, 1, -1, 2, 3, 31, 63, 64, 2**31 - 1, 2**31, -(2**31), 2**32, 2**62, CELL_MAX, CELL_MIN, CELL_MIN + 1)
PURE = [op for op, row in TABLE.items() if 0x02 <= op <= 0x35 and not row.effect.startswith("by")]
WIDTHS = ("u8", "u16", "u32", "i64")
HOSTED = {"HASH": 3, "LOG": 2, "EMIT": 2, "BALANCE": 1, "TRANSFER": 2, "SENDER": 1, "SELF": 1, "EPOCH": 0, "MSIZE": 0}
HEIGHTS = (0, 0, 0, 1, 1, 2, 3)


class _Shape(NamedTuple):
    """A function as its callers see it, and its local slots. The last slot counts backward jumps."""

    parameters: int
    results: int
    slots: int


class _Function:
    """Writes one function; `height` follows its operand stack."""

    def __init__(self, random: Random, index: int, shapes: list[_Shape], memory: int) -> None:
        self.random, self.index, self.shapes, self.memory = random, index, shapes, memory
        self.shape = shapes[index]
        self.small = index > 0 and random.random() < 0.5
        blocks = random.randint(0, 2 if self.small else 9)
        self.heights = [0] + [random.choice(HEIGHTS) for _ in range(blocks)]
        self.height = 0
        self.reached: set[int] = set()
        self.lines: list[str] = []

    def emit(self, line: str, change: int) -> None:
        self.lines.append("    " + line)
        self.height += change

    def push(self, value: int | None = None) -> None:
        near = self.random.randint(-4, 70)
        self.emit(f"PUSH {value if value is not None else self.random.choice((near, self.random.choice(EDGES)))}", 1)

    def need(self, cells: int) -> None:
        while self.height < cells:
            if self.random.random() < 0.6:
                self.emit(f"LOAD local {self.random.randrange(self.shape.slots)}", 1)
            else:
                self.push()

    def at_height(self, height: int) -> None:
        self.need(height)
        while self.height > height:
            self.emit(*self.random.choice((("POP", -1), ("XOR", -1), ("MIN", -1))) if self.height > 1 else ("POP", -1))

    def address(self) -> None:
        if self.random.random() < 0.15:
            self.need(self.height + 1)
        else:
            self.push(self.below(self.memory - 8))

    def below(self, most: int) -> int:
        """A number up to `most`, now and then one outside the memory."""
        return (
            self.random.choice((-1, self.memory, self.memory - 1))
            if self.random.random() < 0.03
            else self.random.randint(0, most)
        )

    def pure(self) -> None:
        op = self.random.choice(PURE)
        if op in (Op.SHL, Op.SHR) and self.random.random() < 0.9:
            self.need(1)
            self.push(self.random.randint(0, 63))
        if op in (Op.ADD, Op.SUB, Op.DIV, Op.MOD) and self.random.random() < 0.5:
            self.need(1)
            self.push(self.random.choice((1, 2, 7, -1, 1_000_000_007)))
        self.need(TABLE[op].pops)
        self.emit(op.name, TABLE[op].pushes - TABLE[op].pops)

    def access(self) -> None:
        self.address()
        if self.random.random() < 0.5:
            self.emit(f"LOAD {self.random.choice(WIDTHS)}", 0)
        else:
            self.need(self.height + 1)
            self.emit(f"STORE {self.random.choice(WIDTHS)}", -2)

    def slot(self) -> None:
        self.need(1)
        self.emit(f"STORE local {self.random.randrange(max(1, self.shape.slots - 1))}", -1)

    def hosted(self) -> None:
        name = self.random.choice(list(HOSTED))
        for _ in range(HOSTED[name]):
            self.push(self.below(self.memory // 2 - 8))
        self.emit(name, TABLE[Op[name]].pushes - TABLE[Op[name]].pops)

    def state(self) -> None:
        for most in (self.memory // 2 - 8, 5, self.memory // 2 - 8, 60):
            self.push(self.random.choice((-1, most)) if self.random.random() < 0.1 else self.below(most))
        self.emit(*self.random.choice((("LOAD state", -3), ("STORE state", -4))))

    def call(self) -> None:
        later = list(range(self.index + 1, len(self.shapes)))
        callee = self.random.choice(later if later and self.random.random() < 0.8 else range(len(self.shapes)))
        parameters, results, _ = self.shapes[callee]
        self.need(parameters)
        self.emit(f"CALL f{callee}", results - parameters)

    def block(self, at: int) -> None:
        self.lines.append(f"b{at}:")
        self.height = self.heights[at]
        kinds = (self.pure, self.access, self.slot, self.hosted, self.state, self.call)
        for _ in range(self.random.randint(0, 3 if self.small else 7)):
            if self.height < 12:
                self.random.choices(kinds, (14, 4, 4, 2, 1, 1.5))[0]()
        self.leave(at)

    def leave(self, at: int) -> None:
        """The end of a block: on to the next, a jump, or the end of the run."""
        following = at + 1
        if following == len(self.heights):
            self.end("RET")
            return
        kind = self.random.random()
        if kind < 0.25:
            self.at_height(self.heights[following])
        elif kind < 0.4 and following in self.reached:
            self.end(self.random.choice(("RET", "RET", "HALT", "ABORT")))
        elif kind < 0.6 and following in self.reached:
            target = self.random.randrange(len(self.heights))
            self.jump("JMP", at, target)
        else:
            same = [block for block, height in enumerate(self.heights) if height == self.heights[following]]
            self.jump(self.random.choice(("JZ", "JNZ")), at, self.random.choice(same))

    def end(self, op: str) -> None:
        if op == "ABORT":
            self.need(1)
            self.emit("ABORT", -1)
            return
        if op == "RET":
            if self.index == 0:
                self.lines += ["    PUSH 0", "    MSIZE", "    EMIT"]
            self.at_height(self.shape.results)
        self.emit(op, 0)

    def jump(self, op: str, at: int, target: int) -> None:
        """Backward jumps mostly count down, and then only happen while the count is above zero."""
        if target > at:
            self.reached.add(target)
        self.at_height(self.heights[target])
        counted = target <= at and op != "JMP" and self.random.random() < 0.9
        if counted:
            counter = self.shape.slots - 1
            self.emit(f"LOAD local {counter}", 1)
            self.lines += ["    PUSH 1", "    SUB", "    DUP", f"    STORE local {counter}", "    PUSH 0", "    GT"]
            self.emit(f"JNZ b{target}", -1)
        elif op == "JMP":
            self.emit(f"JMP b{target}", 0)
        else:
            self.need(self.height + 1)
            if self.random.random() < 0.4:
                self.need(self.height + 1)
                self.emit(self.random.choice(("EQ", "NEQ", "LT", "GT", "LTE", "GTE")), -1)
            self.emit(f"{op} b{target}", -1)

    def body(self) -> list[str]:
        self.lines += [f"    PUSH {self.random.randint(1, 9)}", f"    STORE local {self.shape.slots - 1}"]
        for at in range(len(self.heights)):
            self.block(at)
        return self.lines


def source(random: Random) -> str:
    """The text of a random contract, with `f0(x: int, y: int, data: bytes)` to be called."""
    memory = random.choice((16, 120, 256, 256, 4096, 4096))
    shapes = [_Shape(4, random.randint(0, 3), random.randint(5, 8))]
    for _ in range(random.randint(0, 3)):
        parameters = random.randint(0, 3)
        shapes.append(_Shape(parameters, random.randint(0, 2), parameters + random.randint(1, 4)))
    lines = [f".memory {memory}", ".state 120", f".cells {random.choice((48, 100, 1024))}", ".data 0x0102feff"]
    for index, shape in enumerate(shapes):
        head = "f0(x: int, y: int, data: bytes)" if index == 0 else f"f{index}/{shape.parameters}"
        lines.append(f".func {head} -> {shape.results} locals {shape.slots}")
        lines += _Function(random, index, shapes, memory).body()
    return "\n".join(lines)


def arguments(random: Random) -> tuple[Argument, ...]:
    numbers = [random.choice((random.choice(EDGES), random.randint(-9, 99))) for _ in range(2)]
    return (*numbers, random.randbytes(random.choice((0, 3, 4))))


def state(random: Random) -> State | None:
    if random.random() < 0.05:
        return None
    return State.of({random.randbytes(random.randint(0, 3)): random.randbytes(random.randint(0, 30)) for _ in range(3)})


def requests(seed: int, count: int, cycles_max: int) -> list[Request]:
    """One contract, called `count` times."""
    random = Random(seed)
    container = assemble(source(random))
    context = Context.of(SELF_ID, SENDER, 9, {SELF_ID: random.choice((0, 100)), SENDER: 5})
    return [
        Request(container, None, Call("f0", arguments(random), cycles_max), state(random), context)
        for _ in range(count)
    ]
