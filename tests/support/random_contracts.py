"""Random contracts that verify, for differential tests: one seed, one contract and one request.

Functions are blocks that begin and end with an empty stack, joined by jumps, calls, counted loops and, now and then, an
endless one. Constants lean to edges, addresses to the memory, so that many runs end well.
"""

from __future__ import annotations

from random import Random

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.engines import Request
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.opcodes import TABLE, Op
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.vectors import SELF_ID, SENDER

MEMORY = 256
EDGES = (0, 1, -1, 2, 3, 7, 8, 16, 63, 64, 255, 256, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63), 1 - 2**63)
PURE = [op for op, row in TABLE.items() if 0x02 <= op <= 0x35 and row.effect[0] != "b"]


class _Writer:
    """Writes one function; `height` follows the operand stack."""

    def __init__(self, random: Random, index: int, functions: list[tuple[int, int]], slots: int) -> None:
        self.random, self.index, self.functions, self.slots = random, index, functions, slots
        self.lines: list[str] = []
        self.height = 0
        self.labels = 0

    def emit(self, line: str, change: int) -> None:
        self.lines.append("    " + line)
        self.height += change

    def push(self, value: int | None = None) -> None:
        edge = self.random.choice(EDGES) if self.random.random() < 0.4 else self.random.randint(-100, 300)
        self.emit(f"PUSH {edge if value is None else value}", 1)

    def address(self) -> None:
        """An address, nearly always inside the memory."""
        self.push(self.random.randint(0, MEMORY - 80) if self.random.random() < 0.95 else None)

    def size(self, most: int = 64) -> None:
        self.push(self.random.randint(0, most) if self.random.random() < 0.95 else None)

    def need(self, cells: int) -> None:
        while self.height < cells:
            if self.random.random() < 0.5:
                self.emit(f"LOAD local {self.random.randrange(self.slots)}", 1)
            else:
                self.push()

    def pure(self) -> None:
        op = self.random.choice(PURE)
        if op in (Op.SHL, Op.SHR):
            self.need(1)
            self.push(self.random.randint(0, 63) if self.random.random() < 0.9 else None)
        self.need(TABLE[op].pops)
        self.emit(op.name, TABLE[op].pushes - TABLE[op].pops)

    def memory(self) -> None:
        mode = self.random.choice(("u8", "u16", "u32", "i64"))
        self.address()
        if self.random.random() < 0.5:
            self.emit(f"LOAD {mode}", 0)
        else:
            self.push()
            self.emit(f"STORE {mode}", -2)

    def slot(self) -> None:
        self.need(1)
        self.emit(f"STORE local {self.random.randrange(self.slots)}", -1)

    def state(self) -> None:
        self.address()
        self.size(4)
        self.address()
        if self.random.random() < 0.5:
            self.size()
            self.emit("LOAD state", -3)
        else:
            self.push(self.random.choice((-1, 0, 1, 8, 40)))
            self.emit("STORE state", -4)

    def system(self) -> None:
        op = self.random.choice(("HASH", "LOG", "EMIT", "SENDER", "SELF", "EPOCH", "BALANCE", "TRANSFER", "MSIZE"))
        if op in ("EPOCH", "MSIZE"):
            self.emit(op, 1)
            return
        self.address()
        if op in ("HASH", "LOG", "EMIT"):
            self.size()
        if op == "HASH":
            self.address()
        if op == "TRANSFER":
            self.push(self.random.choice((0, 1, 5, 10**6, -1)))
        row = TABLE[Op[op]]
        self.emit(op, row.pushes - row.pops)

    def call(self) -> None:
        later = range(self.index + 1, len(self.functions))
        anywhere = range(len(self.functions)) if self.random.random() < 0.1 else later
        if not anywhere:
            self.pure()
            return
        callee = self.random.choice(anywhere)
        parameters, results = self.functions[callee]
        self.need(parameters)
        self.emit(f"CALL f{callee}", results - parameters)

    def abort(self) -> None:
        """Ends the run if the cell on top is not zero, which is rare."""
        self.labels += 1
        self.push(self.random.choice((0, 0, 0, 0, 1)))
        self.emit(f"JZ s{self.labels}", -1)
        if self.random.random() < 0.5:
            self.emit("HALT", 0)
        else:
            self.lines += ["    PUSH 7", "    ABORT"]
        self.lines.append(f"s{self.labels}:")

    def block(self) -> None:
        kinds = (self.pure, self.memory, self.slot, self.state, self.system, self.call, self.abort)
        for _ in range(self.random.randint(1, 10)):
            self.random.choices(kinds, (12, 4, 5, 1, 2, 2, 1))[0]()
            while self.height > 20:
                self.emit("POP", -1)
        while self.height:
            if self.random.random() < 0.5:
                self.slot()
            else:
                self.emit("POP", -1)

    def join(self, at: int, blocks: int, counter: int, targets: set[int]) -> None:
        """What stands between block `at` and the next."""
        kind = self.random.random()
        if kind < 0.3:
            self.emit(f"LOAD local {counter}", 1)
            self.lines += ["    PUSH 1", "    SUB", "    DUP", f"    STORE local {counter}"]
            self.emit(f"JNZ b{self.random.randint(0, at)}", -1)
        elif kind < 0.6:
            self.need(1)
            target = self.random.randint(at + 1, blocks) if self.random.random() < 0.9 else self.random.randint(0, at)
            targets.add(target)
            self.emit(f"{self.random.choice(('JZ', 'JNZ'))} b{target}", -1)
        elif kind < 0.8 and at + 1 in targets:
            target = self.random.randint(at + 1, blocks)
            targets.add(target)
            self.emit(f"JMP b{target}", 0)

    def body(self, results: int) -> list[str]:
        blocks, counter, targets = self.random.randint(0, 5), self.slots - 1, {0}
        self.lines += [f"    PUSH {self.random.randint(1, 6)}", f"    STORE local {counter}"]
        for at in range(blocks):
            self.lines.append(f"b{at}:")
            self.block()
            self.join(at, blocks, counter, targets)
        self.lines.append(f"b{blocks}:")
        self.need(results)
        return [*self.lines, "    RET"]


def source(seed: int) -> str:
    """The text of a random contract."""
    random = Random(seed)
    functions = [(random.randint(0, 3), random.randint(0, 2)) for _ in range(random.randint(1, 4))]
    data = random.randbytes(MEMORY // 2).hex()
    lines = [f".memory {MEMORY}", ".state 300", f".cells {random.choice((64, 256, 1024))}", f".data 0x{data}"]
    for index, (parameters, results) in enumerate(functions):
        slots = parameters + random.randint(1, 4)
        names = ", ".join(f"x{at}: int" for at in range(parameters))
        head = f"f{index}({names})" if index == 0 else f"f{index}/{parameters}"
        lines.append(f".func {head} -> {results} locals {slots}")
        lines += _Writer(random, index, functions, slots).body(results)
    return "\n".join(lines)


def request(seed: int, cycles_max: int = 20_000) -> Request:
    """A random contract with a call of it."""
    random = Random(~seed)
    text = source(seed)
    parameters = text.partition("(")[2].partition(")")[0].count(":")
    arguments = tuple(random.choice(EDGES) for _ in range(parameters))
    limit = random.randint(1, cycles_max) if random.random() < 0.2 else cycles_max
    held = {random.randbytes(random.randint(0, 4)): random.randbytes(random.randint(0, 30)) for _ in range(3)}
    balances = {SELF_ID: random.choice((0, 100)), SENDER: 5}
    state = None if random.random() < 0.05 else State.of(held)
    return Request(assemble(text), None, Call("f0", arguments, limit), state, Context.of(SELF_ID, SENDER, 9, balances))
