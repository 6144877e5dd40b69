"""The way in: source text to a container that loads, with a map from its code to the lines of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from quorate.errors import BadContract, CompileError
from quorate.execute.bytecode import container as containers
from quorate.execute.bytecode.assembler import with_stacks
from quorate.execute.bytecode.compiler.emit import JUMP_OPS, Item, Symbol
from quorate.execute.bytecode.compiler.forms import FORMS
from quorate.execute.bytecode.compiler.kinds import Kind, Signature
from quorate.execute.bytecode.compiler.layout import Layout
from quorate.execute.bytecode.compiler.module import Function, Module
from quorate.execute.bytecode.compiler.peephole import optimise
from quorate.execute.bytecode.compiler.scope import Scope, World
from quorate.execute.bytecode.compiler.statements import function_body
from quorate.execute.bytecode.container import EXPORTS_MAX, FUNCTIONS_MAX, Container, Export, Parameter
from quorate.execute.bytecode.decoding import encode
from quorate.execute.bytecode.opcodes import Op
from quorate.execute.bytecode.verify import load

LIBRARY: Final = Path(__file__).parent.parent / "library"
LIBRARIES: Final = frozenset(path.stem for path in LIBRARY.glob("*.py"))
CODE_BYTES_MAX: Final = 0xFFFF


class Line(NamedTuple):
    """A place in a source: `file` is the contract's own, or `mhr/name.py` of a library."""

    file: str
    line: int


class Compiled(NamedTuple):
    """`lines` says for the address of each instruction where it came from; `functions` what may be called."""

    container: bytes
    lines: dict[int, Line]
    functions: dict[str, Signature]


class _Body(NamedTuple):
    file: str
    function: Function
    items: list[Item]
    slots: int


class _Compiler:
    """Functions that are compiled, and those that are still wanted."""

    def __init__(self, source: str, file: str) -> None:
        self.layout = Layout()
        self.bodies: dict[str, _Body] = {}
        self._modules: dict[str, Module] = {}
        self._waiting: list[tuple[Module, Function]] = []
        self.main = Module(source, file, "", LIBRARIES)
        self.world = World(self.layout, self.library, self.call, FORMS)

    def library(self, name: str) -> Module:
        if name not in self._modules:
            text = (LIBRARY / f"{name}.py").read_text(encoding="utf-8")
            self._modules[name] = Module(text, f"mhr/{name}.py", name, LIBRARIES)
        return self._modules[name]

    def call(self, module: Module, function: Function) -> str:
        self._waiting.append((module, function))
        return function.key

    def run(self) -> None:
        """Compiles every function of the contract, and of libraries what is called."""
        self._waiting = [(self.main, function) for function in reversed(self.main.functions.values())]
        while self._waiting:
            module, function = self._waiting.pop()
            if function.key not in self.bodies:
                scope = Scope(module, function, self.world)
                function_body(scope)
                self.bodies[function.key] = _Body(module.file, function, optimise(scope.code.items), scope.slots)

    def linked(self) -> list[_Body]:
        """What the exported functions lead to, in the order in which it was compiled."""
        reached = {body.function.key for body in self.bodies.values() if body.function.exported}
        waiting = list(reached)
        while waiting:
            items = self.bodies[waiting.pop()].items
            called = {str(item.operand) for item in items if item.op is Op.CALL} - reached
            reached |= called
            waiting += called
        return [body for key, body in self.bodies.items() if key in reached]


def _encoded(body: _Body, start: int, places: dict[str, int], indices: dict[str, int]) -> tuple[bytes, dict[int, Line]]:
    """The code of one function that begins at `start`."""
    code, lines = bytearray(), dict[int, Line]()
    labels: dict[object, int] = {}
    jumps: list[tuple[int, object]] = []
    for item in body.items:
        if item.op is None:
            labels[item.operand] = start + len(code)
            continue
        lines[start + len(code)] = Line(body.file, item.line)
        if item.op in JUMP_OPS:
            jumps.append((len(code) + 1, item.operand))
        code += encode(item.op, _operand(item, places, indices))
    for at, label in jumps:
        code[at : at + 2] = labels[label].to_bytes(2, "little")
    return bytes(code), lines


def _operand(item: Item, places: dict[str, int], indices: dict[str, int]) -> int:
    if item.op in JUMP_OPS:
        return 0
    if isinstance(item.operand, Symbol):
        return places[item.operand.name] + item.operand.offset
    return indices[item.operand] if isinstance(item.operand, str) else item.operand


def _check_counts(compiler: _Compiler, bodies: list[_Body], code: int) -> None:
    exported = sum(body.function.exported for body in bodies)
    for what, count, most in (
        ("exported functions", exported, EXPORTS_MAX),
        ("functions", len(bodies), FUNCTIONS_MAX),
        ("bytes of code", code, CODE_BYTES_MAX),
    ):
        if count > most:
            raise CompileError(f"{count} {what}", field=compiler.main.file, limit=f"{most}")
    if not exported:
        raise CompileError(
            "nothing may be called from outside",
            field=f"{compiler.main.file}:1:1",
            fix="write `@export` above a function",
        )


def _export(index: int, function: Function) -> Export:
    signature = function.signature
    kinds = (containers.Kind.BYTES if one.kind is Kind.BYTES else containers.Kind.INT for one in signature.parameters)
    named = tuple(Parameter(name, kind) for name, kind in zip(signature.names, kinds, strict=True))
    return Export(index, function.node.name, named)


def _link(compiler: _Compiler) -> tuple[Container, dict[int, Line]]:
    bodies = compiler.linked()
    used = {item.operand.name for body in bodies for item in body.items if isinstance(item.operand, Symbol)}
    data, places, reserved = compiler.layout.place(used)
    indices = {body.function.key: index for index, body in enumerate(bodies)}
    code, lines, functions = b"", dict[int, Line](), []
    for body in bodies:
        signature = body.function.signature
        functions.append(containers.Function(len(code), signature.cells, signature.result_cells, body.slots, 0))
        part, part_lines = _encoded(body, len(code) & CODE_BYTES_MAX, places, indices)
        code += part
        lines |= part_lines
        _check_counts(compiler, bodies, len(code))
    _check_counts(compiler, bodies, len(code))
    limits = compiler.main.limits
    draft = Container(
        max_memory=reserved + limits["arguments"],
        max_cycles=limits["cycles"],
        max_state_size=limits["state"],
        functions=tuple(functions),
        exports=tuple(_export(index, body.function) for index, body in enumerate(bodies) if body.function.exported),
        code=code,
        data=data,
        reserved=reserved,
        max_cells=limits["cells"],
    )
    return with_stacks(draft), lines


def compile_contract(source: str, name: str) -> Compiled:
    """The contract that `source`, a file called `name`, describes. Raises CompileError with file, line and column."""
    try:
        compiler = _Compiler(source, name)
        compiler.run()
        container, lines = _link(compiler)
        data = containers.encode(container)
        load(data)
    except RecursionError:
        raise CompileError(
            "nested too deeply", field=f"{name}:1:1", fix="break expressions into several lines"
        ) from None
    except BadContract as error:
        raise CompileError(
            error.message, field=f"{name}:1:1", limit=error.limit, fix="make the functions smaller"
        ) from None
    functions = {
        function.node.name: function.signature for function in compiler.main.functions.values() if function.exported
    }
    return Compiled(data, lines, functions)
