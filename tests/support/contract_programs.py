"""Random contracts and calls, each a function of its number. All are sound by construction, then some are damaged.

The programs branch, loop, recurse and jump out of loops; their operands are mostly of a size that makes sense for the
instruction, so that runs reach far, and now and then at the edge of a cell.
"""

from __future__ import annotations

from random import Random

from quorate.errors import BadContract, TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.container import CHECK_BYTES, address_of, check_of
from quorate.execute.bytecode.engines import Engine, Request
from quorate.execute.bytecode.host import Argument, Call, Context, Outcome
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN
from quorate.execute.bytecode.state import State

CHURN = """
.memory 4096
.state 60000
.cycles 100000000
.func main(x: int, times: int) -> 1 locals 4
again:
    LOAD local 0            ; the next number
    PUSH 1103515245
    MUL
    PUSH 12345
    ADD
    PUSH 2147483647
    AND
    STORE local 0
    PUSH 0                  ; a key of one or two bytes, and a value
    LOAD local 0
    PUSH 8
    SHR
    PUSH 331
    MOD
    STORE u16
    PUSH 8
    LOAD local 0
    STORE i64
    PUSH 0
    LOAD local 0
    PUSH 17
    SHR
    PUSH 2
    MOD
    PUSH 1
    ADD
    STORE local 3
    LOAD local 3
    PUSH 8
    LOAD local 0            ; each fourth time it is removed
    PUSH 12
    SHR
    PUSH 4
    MOD
    JZ removing
    LOAD local 0
    PUSH 20
    SHR
    PUSH 150
    MOD
    JMP put
removing:
    PUSH -1
put:
    STORE state
    PUSH 1                  ; another key is read
    LOAD local 3
    PUSH 2048
    PUSH 400
    LOAD state
    LOAD local 2
    ADD
    STORE local 2
    LOAD local 1
    PUSH 1
    SUB
    DUP
    STORE local 1
    JNZ again
    LOAD local 2
    RET
"""
CYCLES_DAMAGED_MOST = 20_000
HEIGHT_MAX = 12
BLOCK_DEPTH_MAX = 3
IDS = [bytes([letter]) * 16 for letter in b"\x00abc"]
EDGES = [CELL_MIN, CELL_MIN + 1, CELL_MAX, CELL_MAX - 1, 2**31, 2**32, -(2**31), 2**62, 3037000500, -1, 0, 1, 63, 64]
EFFECTS = {
    "POP": (1, 0), "DUP": (1, 2), "SWAP": (2, 2), "OVER": (2, 3), "ROT": (3, 3), "NEG": (1, 1), "ABS": (1, 1),
    "NOT": (1, 1), "EPOCH": (0, 1), "MSIZE": (0, 1),
} | dict.fromkeys(
    ["ADD", "SUB", "MUL", "DIV", "MOD", "MIN", "MAX", "AND", "OR", "XOR", "EQ", "NEQ", "LT", "GT", "LTE", "GTE"], (2, 1)
)  # fmt: skip
# What an instruction takes: an address, a length, the size of a key, a count of bits, an amount, a value, a removal.
SHAPED = {
    "SHL": ("vb", 1), "SHR": ("vb", 1), "HASH": ("pld", 0), "BALANCE": ("p", 1), "SENDER": ("p", 0), "SELF": ("p", 0),
    "TRANSFER": ("pa", 1), "LOG": ("pl", 0), "EMIT": ("pl", 0), "LOAD u8": ("p", 1), "LOAD u16": ("p", 1),
    "LOAD u32": ("p", 1), "LOAD i64": ("p", 1), "STORE u8": ("pv", 0), "STORE u16": ("pv", 0), "STORE u32": ("pv", 0),
    "STORE i64": ("pv", 0), "LOAD state": ("pkpl", 1), "STORE state": ("pkpr", 0),
}  # fmt: skip
RARE = {"VERIFY_SIG": ("plpp", 1), "VERIFY_VRF": ("plppp", 1)}


class _Body:
    """The text of one function, with the height of its stack at the end of what is there."""

    def __init__(self, random: Random, functions: list[tuple[int, int]], index: int, local_count: int) -> None:
        self.random, self.functions, self.locals = random, functions, local_count
        self.results = functions[index][1]
        self.lines: list[str] = []
        self.height = 0
        self.labels = 0

    def emit(self, line: str, takes: int = 0, leaves: int = 0) -> None:
        self.lines.append(line)
        self.height += leaves - takes

    def label(self) -> str:
        self.labels += 1
        return f"l{self.labels}"

    def push(self, shape: str = "v") -> None:
        random = self.random
        value = random.choice(EDGES) if random.random() < 0.1 else random.randrange(-3, 12)
        if random.random() < 0.97:
            small = {"p": 56, "d": 32, "l": 24, "k": 4, "b": 64, "a": 60}
            value = random.randrange(small[shape]) if shape in small else value
            if shape == "r":
                value = random.randrange(-1, 24)
        self.emit(f"PUSH {value}", 0, 1)

    def adjust(self, height: int) -> None:
        while self.height < height:
            self.push()
        while self.height > height:
            self.emit("POP", 1)

    def simple(self) -> None:
        op, (takes, leaves) = self.random.choice(list(EFFECTS.items()))
        while self.height < takes:
            self.push()
        self.emit(op, takes, leaves)

    def shaped(self) -> None:
        table = RARE if self.random.random() < 0.01 else SHAPED
        op, (shape, leaves) = self.random.choice(list(table.items()))
        for one in shape:
            self.push(one)
        self.emit(op, len(shape), leaves)

    def local(self) -> None:
        slot = self.random.randrange(self.locals)
        if self.height and self.random.random() < 0.5:
            self.emit(f"STORE local {slot}", 1)
        else:
            self.emit(f"LOAD local {slot}", 0, 1)

    def call(self) -> None:
        callee = self.random.randrange(len(self.functions))
        takes, leaves = self.functions[callee]
        while self.height < takes:
            self.push()
        self.emit(f"CALL f{callee}", takes, leaves)

    def branch(self, depth: int) -> None:
        self.adjust(max(self.height, 1))
        after = self.label()
        self.emit(f"{self.random.choice(['JZ', 'JNZ'])} {after}", 1)
        height = self.height
        self.block(depth + 1)
        if self.random.random() < 0.25:
            self.leave(height, after)
        else:
            self.adjust(height)
        self.emit(f"{after}:")

    def leave(self, height: int, after: str) -> None:
        """Ends the run, the function, or the block, from its middle."""
        how = self.random.choice(["RET", "RET", "HALT", "ABORT", "JMP"])
        if how == "RET":
            self.adjust(self.results)
        elif how == "ABORT":
            self.adjust(max(self.height, 1))
        elif how == "JMP":
            self.adjust(height)
            how = f"JMP {after}"
        self.emit(how)
        self.height = height

    def loop(self, depth: int) -> None:
        begin = self.label()
        height = self.height
        self.emit(f"{begin}:")
        self.block(depth + 1)
        self.adjust(height)
        self.push()  # seldom zero, so that most JZ loops end after one turn
        self.emit(f"{self.random.choice(['JZ', 'JZ', 'JNZ'])} {begin}", 1)

    def block(self, depth: int) -> None:
        for _ in range(self.random.randrange(1, 9)):
            if self.height > HEIGHT_MAX:
                self.adjust(HEIGHT_MAX // 2)
            kind = self.random.random()
            if kind < 0.35:
                self.simple()
            elif kind < 0.65:
                self.shaped()
            elif kind < 0.75 and self.locals:
                self.local()
            elif kind < 0.77:
                self.call()
            elif kind < 0.94 and depth < BLOCK_DEPTH_MAX:
                self.branch(depth)
            elif depth < BLOCK_DEPTH_MAX:
                self.loop(depth)


def _parameters(random: Random) -> list[str]:
    return [random.choice(["int", "int", "bytes"]) for _ in range(random.randrange(4))]


def _cells(parameters: list[str]) -> int:
    return sum(1 if kind == "int" else 2 for kind in parameters)


def program(random: Random) -> tuple[str, list[str]]:
    """A contract's text, and the kinds of the parameters of its first function."""
    kinds = [_parameters(random) for _ in range(random.randrange(1, 4))]
    functions = [(_cells(one), random.randrange(3)) for one in kinds]
    words = [
        f".memory {random.choice([64, 64, 64, 128, 128, 256, 0, 65536])}",
        f".cycles {random.choice([200, 2000, 2000, 5000])}",
        f".state {random.choice([10, 40, 100, 100, 1000])}",
        f".cells {random.choice([1024, 256, 256, 90])}",
    ]
    if words[0] != ".memory 0":
        words += [".reserved 16", f".data 0x{random.randbytes(random.randrange(17)).replace(b'z', b'a').hex() or '00'}"]
    for index, (parameters, results) in enumerate(functions):
        locals_count = parameters + random.randrange(3)
        body = _Body(random, functions, index, locals_count)
        body.block(0)
        body.adjust(results)
        body.emit("RET")
        named = ", ".join(f"p{at}: {kind}" for at, kind in enumerate(kinds[index]))
        words += [f".func f{index}({named}) -> {results} locals {locals_count}", *body.lines]
    return "\n".join(words), kinds[0]


def _damaged(random: Random, container: bytes) -> bytes:
    """A few bytes changed, mostly with a check that fits."""
    body = bytearray(container[:-CHECK_BYTES])
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(body)) if random.random() < 0.3 else random.randrange(len(body) * 2 // 3, len(body))
        body[at] = random.choice([random.randrange(256), body[at] ^ 1 << random.randrange(8), 0x40, 0x66])
    return bytes(body) + (check_of(bytes(body)) if random.random() < 0.97 else container[-CHECK_BYTES:])


def _argument(random: Random, kind: str) -> Argument:
    if kind == "bytes":
        return random.randbytes(random.choice([0, 3, 8, 20, 20, 90]))
    return random.choice(EDGES) if random.random() < 0.3 else random.randrange(-5, 20)


def _state(random: Random) -> State | None:
    if random.random() < 0.1:
        return None
    keys = [bytes(size) for size in range(3)] + [random.randbytes(random.randrange(1, 3)) for _ in range(3)]
    return State.of({key: random.randbytes(random.randrange(12)) for key in keys if random.random() < 0.3})


def _context(random: Random) -> Context:
    balances = {account: random.randrange(90) for account in IDS if random.random() < 0.8}
    return Context.of(random.choice(IDS), random.choice(IDS), random.randrange(9), balances)


def request(number: int) -> Request:
    """Request `number`: the same one on every machine."""
    random = Random(number)
    text, kinds = program(random)
    container = assemble(text)
    address = address_of(container) if random.random() < 0.05 else None
    damaged = random.random() < 0.3
    if damaged:
        container = _damaged(random, container)
    arguments = [_argument(random, kind) for kind in kinds]
    if random.random() < 0.02:
        arguments.append(1)
    name = "f0" if random.random() < 0.98 else "nothing"
    cycles = random.choice([CELL_MAX, CELL_MAX, CELL_MAX, 1, 50, 700])
    if damaged:
        cycles = min(cycles, CYCLES_DAMAGED_MOST)  # what it declares may be years
    return Request(container, address, Call(name, tuple(arguments), cycles), _state(random), _context(random))


Seen = Outcome | tuple[str, str, int] | str


def seen_by(engine: Engine, asked: Request) -> Seen:
    """What the engine makes of a request: an outcome, a refusal by name and place, or why the call did not start."""
    try:
        return engine(asked)
    except BadContract as error:
        return ("refused", error.fault, error.at)
    except (UnknownFunction, WrongArguments, TooLarge) as error:
        return type(error).__name__


def churn(seed: int, times: int) -> Request:
    """A run that writes, reads and removes many keys over and over: more than fits if nothing of it is dropped."""
    keys = [bytes([number]) for number in range(0, 256, 3)] + [bytes([number, 1]) for number in range(0, 256, 5)]
    state = State.of({key: key * 9 for key in keys})
    context = Context.of(IDS[0], IDS[1])
    return Request(assemble(CHURN), None, Call("main", (seed, times)), state, context)
