"""Containers that are refused, each named after its one fault, and calls that do not start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from tests.support.bytecode_vectors.form import Case

from quorate.execute.bytecode.assembler import assemble, parse
from quorate.execute.bytecode.container import (
    Container,
    Export,
    Function,
    Kind,
    Parameter,
    address_of,
    check_of,
    encode,
)

GOOD = ".memory 64\n.state 32\n.cycles 1000\n.data 0x0102\n.func main(x: int, y: bytes) -> 1\nLOAD local 0\nRET\n"
GOOD += ".func other(z: int) -> 0\nRET\n.func inner/1 -> 1\nLOAD local 0\nRET"
ARGUMENTS = (1, b"")
Change = Callable[[bytearray], None]


def _sealed(body: bytes) -> bytes:
    return body + check_of(body)


def _with(**fields: Any) -> bytes:
    return encode(msgspec.structs.replace(parse(GOOD), **fields))


def _patched(change: Change) -> bytes:
    body = bytearray(assemble(GOOD)[:-4])
    change(body)
    return _sealed(bytes(body))


def _at(offset: int, value: int) -> Change:
    def change(body: bytearray) -> None:
        body[offset] = value

    return change


def _functions(**fields: Any) -> tuple[Function, ...]:
    """The functions of GOOD with fields of the first replaced."""
    first, *rest = parse(GOOD).functions
    return (first._replace(**fields), *rest)


def _starts(*starts: int) -> tuple[Function, ...]:
    return tuple(one._replace(start=start) for one, start in zip(parse(GOOD).functions, starts, strict=True))


def _exports(*exports: Export) -> bytes:
    return _with(exports=exports)


def containers() -> list[Case]:
    good, container = assemble(GOOD), parse(GOOD)
    main, other = container.exports
    exports_at = 68 + 3 * 6
    x, y = Parameter("x", Kind.INT), Parameter("y", Kind.BYTES)
    many = Export(0, "main", tuple(Parameter(f"p{index}", Kind.INT) for index in range(17)))
    bad: list[tuple[str, str, bytes]] = [
        ("oversize", "by_one", bytes(262_145)),
        ("truncated", "empty", b""),
        ("truncated", "header", good[:71]),
        ("truncated", "in_functions", _sealed(good[:80])),
        ("truncated", "in_exports", _sealed(good[: exports_at + 3])),
        ("truncated", "in_code", _sealed(good[:-6])),
        ("truncated", "more_functions", _patched(_at(64, 200))),
        ("bad_magic", "letters", _patched(_at(0, ord("N")))),
        ("bad_version", "zero", _patched(_at(4, 0))),
        ("bad_version", "two", _patched(_at(4, 2))),
        ("bad_schedule", "zero", _patched(_at(5, 0))),
        ("bad_schedule", "two", _patched(_at(5, 2))),
        ("bad_check", "check_itself", good[:-1] + bytes([good[-1] ^ 1])),
        ("bad_check", "appended", good + b"\x00"),
        ("bad_check", "cut", good[:-1]),
        ("limit_cells", "zero", _with(max_cells=0)),
        ("limit_cells", "over", _with(max_cells=1025)),
        ("limit_memory", "over", _with(max_memory=2**24 + 1)),
        ("limit_state", "over", _with(max_state_size=2**24 + 1)),
        ("limit_cycles", "zero", _with(max_cycles=0)),
        ("limit_cycles", "over", _with(max_cycles=2**63)),
        ("reserved_area", "unaligned", _with(reserved=12)),
        ("reserved_area", "over_memory", _with(reserved=72)),
        ("reserved_area", "below_data", _with(reserved=0)),
        ("function_count", "none", _with(functions=())),
        ("function_count", "too_many", _patched(_at(65, 2))),
        ("export_count", "none", _exports()),
        ("export_count", "too_many", _patched(_at(66, 65))),
        ("trailing_bytes", "one", _sealed(good[:-4] + b"\x00")),
        ("function_start", "not_at_zero", _with(functions=_starts(1, 3, 4))),
        ("function_start", "equal", _with(functions=_starts(0, 3, 3))),
        ("function_start", "descending", _with(functions=_starts(0, 4, 3))),
        ("function_start", "behind_the_code", _with(functions=_starts(0, 3, 7))),
        ("function_locals", "fewer_than_parameters", _with(functions=_functions(locals=2))),
        ("function_locals", "over", _with(functions=_functions(locals=129))),
        ("function_results", "over", _with(functions=_functions(results=17))),
        ("frame_size", "over", _with(max_cells=3)),
        ("export_order", "equal", _exports(main, Export(0, "again", main.parameters))),
        ("export_order", "descending", _exports(other, main)),
        ("export_order", "not_there", _exports(main, Export(3, "none", ()))),
        ("export_name", "empty", _exports(Export(0, "", main.parameters), other)),
        ("export_name", "digit", _exports(Export(0, "1st", main.parameters), other)),
        ("export_name", "dash", _exports(Export(0, "a-b", main.parameters), other)),
        ("export_name", "long", _exports(Export(0, "a" * 33, main.parameters), other)),
        ("export_name", "twice", _exports(main, Export(1, "main", other.parameters))),
        ("export_name", "parameter_twice", _exports(Export(0, "main", (x, Parameter("x", Kind.BYTES))), other)),
        ("export_name", "parameter_space", _exports(Export(0, "main", (x, Parameter("y ", Kind.BYTES))), other)),
        ("export_kind", "zero", _patched(_at(exports_at + 7, 0))),
        ("export_kind", "three", _patched(_at(exports_at + 7, 3))),
        ("export_cells", "too_few", _exports(Export(0, "main", (x,)), other)),
        ("export_cells", "too_many", _exports(Export(0, "main", (x, y, Parameter("z", Kind.INT))), other)),
        ("export_cells", "seventeen", _exports(many, other)),
    ]
    cases = [_refused(fault, label, data) for fault, label, data in bad]
    for at in range(0, len(good), 7):
        flipped = good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :]
        cases.append(Case(f"refused/flipped_{at}", flipped, {}, arguments=ARGUMENTS, address=address_of(good)))
    wrong = {"refused": "wrong_address", "at": -1}
    cases.append(Case("refused/wrong_address/zeros", good, wrong, arguments=ARGUMENTS, address=bytes(32)))
    cases.append(
        Case("accepted/right_address", good, {"results": ["1"]}, arguments=ARGUMENTS, address=address_of(good))
    )
    return cases


def _refused(fault: str, label: str, data: bytes, at: int = -1) -> Case:
    return Case(f"refused/{fault}/{label}", data, {"refused": fault, "at": at}, arguments=ARGUMENTS)


def _raw(code: str, stack: int = 0, results: int = 0, slots: int = 0, more: tuple[Function, ...] = ()) -> bytes:
    """A container with `code`, hexadecimal, as its function `main` and whatever `more` says."""
    functions = (Function(0, 0, results, slots, stack), *more)
    return encode(Container(16, 1000, 0, functions, (Export(0, "main", ()),), bytes.fromhex(code)))


# fault, label, address, code, and what else `_raw` takes
CODE: list[tuple[str, str, int, str, dict[str, Any]]] = [
    *[("unknown_opcode", f"{byte:02x}", 0, f"{byte:02x}44", {}) for byte in
      (0x00, 0x07, 0x0F, 0x19, 0x26, 0x2F, 0x36, 0x47, 0x53, 0x6A, 0x70, 0x80, 0xAA, 0xFE, 0xFF)],
    ("unknown_opcode", "later", 3, "01050200", {"stack": 1}),
    ("unknown_opcode", "not_reachable_either", 1, "4400", {}),
    ("truncated_code", "push", 0, "01", {}),
    ("truncated_code", "push_continued", 0, "0180", {}),
    ("truncated_code", "jump", 0, "40", {}),
    ("truncated_code", "jump_half", 0, "4000", {}),
    ("truncated_code", "call", 0, "43", {}),
    ("truncated_code", "load", 1, "0266", {}),
    ("truncated_code", "into_next_function", 0, "4044", {"more": (Function(1, 0, 0, 0, 0),)}),
    ("long_immediate", "zero", 0, "0180000244", {"stack": 1}),
    ("long_immediate", "minus_one", 0, "01ff7f0244", {"stack": 1}),
    ("long_immediate", "sixty_three", 0, "01bf000244", {"stack": 1}),
    ("wide_immediate", "two_to_63", 0, "01808080808080808080010244", {"stack": 1}),
    ("wide_immediate", "below_least", 0, "01ffffffffffffffffff7e0244", {"stack": 1}),
    ("wide_immediate", "eleven_bytes", 0, "018080808080808080808000", {"stack": 1}),
    ("wide_immediate", "eleven_bytes_cut", 0, "0180808080808080808080", {"stack": 1}),
    ("bad_mode", "04", 0, "660444", {}),
    ("bad_mode", "07", 0, "660744", {}),
    ("bad_mode", "09", 0, "670944", {}),
    ("bad_mode", "3f", 0, "663f44", {}),
    ("bad_mode", "c0", 0, "66c044", {}),
    ("bad_mode", "ff", 0, "67ff44", {}),
    ("bad_local", "none", 0, "66400244", {"stack": 1}),
    ("bad_local", "store", 2, "0101674044", {"stack": 1}),
    ("bad_local", "one_over", 0, "66420244", {"stack": 1, "slots": 2}),
    ("bad_call", "one", 0, "430144", {}),
    ("bad_call", "last", 0, "43ff44", {}),
    ("underflow", "pop", 0, "0244", {}),
    ("underflow", "add_one", 2, "01011044", {"stack": 1}),
    ("underflow", "jz", 0, "41000044", {}),
    ("underflow", "rot_two", 4, "010101010644", {"stack": 2}),
    ("underflow", "abort", 0, "46", {}),
    ("underflow", "vrf_four", 8, "01010101010101015244", {"stack": 4}),
    ("underflow", "local_is_not_stack", 0, "0244", {"slots": 3}),
    ("underflow", "call", 0, "430144660044", {"more": (Function(3, 1, 0, 1, 0),)}),
    ("return_height", "one_too_many", 2, "010144", {"stack": 1}),
    ("return_height", "one_too_few", 0, "44", {"results": 1}),
    ("stack_height", "254", 2 * 253, "0101" * 254 + "45", {"stack": 254}),
    ("jump_outside", "behind", 0, "400300", {}),
    ("jump_outside", "far", 0, "40ffff", {}),
    ("jump_outside", "other_function", 0, "40030044", {"more": (Function(3, 0, 0, 0, 0),)}),
    ("jump_outside", "function_before", 1, "44400000", {"more": (Function(1, 0, 0, 0, 0),)}),
    ("jump_into_instruction", "itself", 0, "400100", {}),
    ("jump_into_instruction", "push", 2, "010141060001050244", {"stack": 1}),
    ("jump_into_instruction", "back", 2, "0105400100", {"stack": 1}),
    ("height_mismatch", "back", 2, "0101400000", {"stack": 1}),
    ("height_mismatch", "join", 7, "0101410700010144", {"stack": 1}),
    ("height_mismatch", "two_jumps", 9, "0101410c0001010101410c000244", {"stack": 2}),
    ("unreachable", "after_ret", 1, "4444", {}),
    ("unreachable", "after_jump", 3, "4004004444", {}),
    ("unreachable", "after_halt", 1, "4544", {}),
    ("unreachable", "only_backwards", 3, "40040045400300", {}),
    ("falls_off", "nothing", 0, "0101", {"stack": 1}),
    ("falls_off", "after_pop", 2, "010102", {"stack": 1}),
    ("falls_off", "jz", 2, "0101410000", {"stack": 1}),
    ("falls_off", "into_next_function", 0, "6844", {"stack": 1, "more": (Function(1, 0, 0, 0, 0),)}),
    ("max_stack", "too_small", 0, "01010244", {"stack": 0}),
    ("max_stack", "too_large", 0, "01010244", {"stack": 2}),
    ("max_stack", "second_function", 1, "4401010244", {"more": (Function(1, 0, 0, 0, 2),)}),
]  # fmt: skip


def code_faults() -> list[Case]:
    return [_refused(fault, label, _raw(code, **rest), at) for fault, label, at, code, rest in CODE]


CALLS: list[tuple[str, str, str, tuple[int | bytes, ...]]] = [
    ("function", "unknown", "none", (1, b"")),
    ("function", "inner", "inner", (1,)),
    ("function", "case", "Main", (1, b"")),
    ("function", "empty", "", (1, b"")),
    ("arguments", "none", "main", ()),
    ("arguments", "one", "main", (1,)),
    ("arguments", "three", "main", (1, b"", 2)),
    ("arguments", "bytes_for_int", "main", (b"", b"")),
    ("arguments", "int_for_bytes", "main", (1, 1)),
    ("arguments", "above_a_cell", "main", (2**63, b"")),
    ("arguments", "below_a_cell", "main", (-(2**63) - 1, b"")),
    ("arguments", "over_the_memory", "main", (1, bytes(57))),
]


def calls() -> list[Case]:
    good = assemble(GOOD)
    cases = [
        Case(f"rejected/{word}_{label}", good, {"rejected": word}, function=function, arguments=arguments)
        for word, label, function, arguments in CALLS
    ]
    fits = {"status": "ok", "results": ["1"]}
    cases.append(Case("accepted/fills_the_memory", good, fits, arguments=(1, bytes(56))))
    cases.append(Case("accepted/state_at_its_limit", good, fits, arguments=ARGUMENTS, state={b"k": bytes(31)}))
    rejected = {"rejected": "state"}
    cases.append(Case("rejected/state_over_its_limit", good, rejected, arguments=ARGUMENTS, state={b"k": bytes(32)}))
    return cases + _placed()


def _placed() -> list[Case]:
    """Where bytes arguments lie: from `reserved`, each at a multiple of eight, behind the data."""
    head = ".memory 128\n.data 0x0102030405060708090a\n.func main(a: bytes, n: int, b: bytes, c: bytes) -> 7\n"
    code = assemble(head + "".join(f"LOAD local {slot}\n" for slot in range(7)) + "PUSH 0\nPUSH 64\nEMIT\nRET")
    cases = []
    given = [(b"abc", b"12345678", b"x"), (b"", b"", b""), (b"12345678", b"9", b""), (b"a" * 17, b"b", b"c")]
    for index, (a, b, c) in enumerate(given):
        places, at = [], 16
        memory = bytearray(bytes(range(1, 11)) + bytes(54))
        for data in (a, b, c):
            places.append(at)
            memory[at : at + len(data)] = data
            at += (len(data) + 7) // 8 * 8
        cells = [places[0], len(a), 5, places[1], len(b), places[2], len(c)]
        stated = {"results": [str(cell) for cell in cells], "emitted": bytes(memory).hex()}
        cases.append(Case(f"accepted/placed_{index}", code, stated, arguments=(a, 5, b, c)))
    return cases


def refusing() -> list[Case]:
    return containers() + code_faults() + calls()
