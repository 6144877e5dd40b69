"""Cases of LOAD STORE MSIZE."""

from __future__ import annotations

from tests.support.bytecode_vectors.computing import LEAST, MOST
from tests.support.bytecode_vectors.form import Case, Json
from tests.support.bytecode_vectors.probes import Probe

from quorate.execute.bytecode.assembler import assemble

MEMORY = 64
WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "i64": 8}
DATA = bytes(range(0x80, 0xA0))
HEAD = f".memory {MEMORY}\n.data 0x{DATA.hex()}"
FOREIGN = [-1, LEAST, MOST, 2**32, 2**31, -(2**32)]
KEYED = f".memory 256\n.state 64\n.data 0x{bytes(range(1, 33)).hex()}"
EMIT_16 = "PUSH 32\nPUSH 16\nEMIT"
EMIT_16_CYCLES = 1 + 1 + 10 + 1
KEY, VALUE = bytes([1, 2, 3]), b"value of the key"


def _wanted(address: int, width: int) -> int:
    raw = (DATA + bytes(MEMORY - len(DATA)))[address : address + width]
    total = sum(byte * 256**at for at, byte in enumerate(raw))
    return total - 2**64 if width == 8 and raw[7] & 0x80 else total


def memory() -> list[Case]:
    cases = []
    for mode, width in WIDTHS.items():
        loader = Probe(f"LOAD {mode}", 1, 1, group=f"LOAD/{mode}", head=HEAD)
        for address in (0, 1, 3, 31, MEMORY - width):
            cases.append(loader.ok(f"at_{address}", (address,), [_wanted(address, width)]))
        for address in sorted({MEMORY - width + 1, MEMORY, *FOREIGN}):
            cases.append(loader.trap(f"at_{address}", (address,), "MEMORY_RANGE"))
        cases += loader.starved((0,))
        tail = {"tail": "PUSH 32\nPUSH 16\nEMIT", "tail_cycles": EMIT_16_CYCLES}
        writer = Probe(f"STORE {mode}", 2, 0, group=f"STORE/{mode}", head=HEAD, **tail)
        for value in (0, 1, -1, 0x1122334455667788, LEAST, MOST, 2 ** (8 * width - 2)):
            raw = (value % 2**64).to_bytes(8, "little")[:width]
            emitted = bytes(3) + raw + bytes(13 - width)
            cases.append(writer.ok(f"value_{value}", (35, value), [], stated={"emitted": emitted.hex()}))
        for address in sorted({MEMORY - width + 1, MEMORY, *FOREIGN}):
            cases.append(writer.trap(f"at_{address}", (address, 7), "MEMORY_RANGE"))
        cases += writer.starved((35, 7))
    empty = Probe("LOAD u8", 1, 1, group="LOAD/no_memory", head=".memory 0")
    return [*cases, empty.trap("at_0", (0,), "MEMORY_RANGE")]


def slots() -> list[Case]:
    cases = []
    for count, slot in ((1, 0), (2, 1), (64, 63), (128, 127)):
        source = f".func main(x: int) -> 2 locals {count}\nLOAD local 0\nSTORE local {slot}\n"
        code = assemble(source + f"LOAD local {slot}\nLOAD local {count // 2}\nRET")
        middle = "5" if count // 2 in (0, slot) else "0"
        stated: Json = {"results": ["5", middle], "cycles": "15"}
        cases.append(Case(f"STORE/local_{slot}", code, stated, arguments=(5,)))
        for limit, pc in ((3, 2), (5, 2), (8, 4)):
            out: Json = {"trap": "OUT_OF_CYCLES", "pc": pc, "cycles": str(limit)}
            cases.append(Case(f"STORE/local_{slot}_cycles_{limit}", code, out, arguments=(5,), cycles_max=limit))
    fresh = ".func main() -> 1\nCALL one\nPOP\nCALL two\nRET\n.func one/0 -> 1 locals 1\nPUSH 9\nSTORE local 0\n"
    code = assemble(fresh + "LOAD local 0\nRET\n.func two/0 -> 1 locals 1\nLOAD local 0\nRET")
    return [*cases, Case("LOAD/locals_are_zero_in_each_frame", code, {"results": ["0"]})]


def reading_state() -> list[Case]:
    tail = {"tail": EMIT_16, "tail_cycles": EMIT_16_CYCLES}
    probe = Probe("LOAD state", 4, 1, group="LOAD/state", head=KEYED, **tail)
    held = {KEY: VALUE, b"": b"of the empty key", bytes([1]): b""}
    cases = [
        probe.ok("whole", (0, 3, 32, 16), [16], 1, state=held, stated={"emitted": VALUE.hex()}),
        probe.ok("room_to_spare", (0, 3, 32, 33), [16], 2, state=held, stated={"emitted": VALUE.hex()}),
        probe.ok("cut", (0, 3, 32, 5), [16], 1, state=held, stated={"emitted": (VALUE[:5] + bytes(11)).hex()}),
        probe.ok("size_only", (0, 3, 32, 0), [16], 0, state=held, stated={"emitted": bytes(16).hex()}),
        probe.ok("size_only_at_the_end", (0, 3, 256, 0), [16], 0, state=held),
        probe.ok("absent", (0, 4, 32, 16), [-1], 1, state=held, stated={"emitted": bytes(16).hex()}),
        probe.ok("absent_in_empty_state", (0, 3, 32, 16), [-1], 1),
        probe.ok("empty_key", (5, 0, 32, 16), [16], 1, state=held, stated={"emitted": b"of the empty key".hex()}),
        probe.ok("empty_value", (0, 1, 32, 16), [0], 1, state=held, stated={"emitted": bytes(16).hex()}),
        probe.ok("key_of_128", (32, 128, 200, 16), [-1], 1, state=held),
        probe.ok("overlap", (0, 3, 0, 16), [16], 1, state=held, stated={"emitted": bytes(16).hex()}),
    ]
    for label, arguments, trap in (
        ("key_of_129", (0, 129, 32, 16), "KEY_SIZE"),
        ("key_below_zero", (0, -1, 32, 16), "KEY_SIZE"),
        ("key_size_before_range", (-1, 129, -1, -1), "KEY_SIZE"),
        ("key_outside", (254, 3, 32, 16), "MEMORY_RANGE"),
        ("key_at_minus_one", (-1, 3, 32, 16), "MEMORY_RANGE"),
        ("room_outside", (0, 3, 241, 16), "MEMORY_RANGE"),
        ("room_below_zero", (0, 3, 32, -1), "MEMORY_RANGE"),
        ("room_huge", (0, 3, 32, MOST), "MEMORY_RANGE"),
        ("empty_room_behind_the_end", (0, 3, 257, 0), "MEMORY_RANGE"),
    ):
        cases.append(probe.trap(label, arguments, trap, state=held))
    unresolved: Json = {"status": "unresolved", "pc": probe.pc, "cycles": str(probe.before + 3 + 1)}
    cases.append(probe.case("not_here", (0, 3, 32, 16), unresolved, state=None))
    cases.append(probe.trap("not_here_but_range_first", (0, 3, 300, 16), "MEMORY_RANGE", state=None))
    too_large: Json = {"rejected": "state"}
    cases.append(probe.case("state_larger_than_declared", (0, 3, 32, 16), too_large, state={KEY: bytes(62)}))
    return cases + probe.starved((0, 3, 32, 64), 2, state=held)


def writing_state() -> list[Case]:
    probe = Probe("STORE state", 4, 0, group="STORE/state", head=KEYED)
    held = {KEY: VALUE}
    new = bytes(range(1, 33))

    def then(*entries: tuple[bytes, bytes]) -> Json:
        return {"state": {key.hex(): value.hex() for key, value in entries}}

    cases = [
        probe.ok("new", (0, 4, 0, 8), [], 2, state=held, stated=then((KEY, VALUE), (new[:4], new[:8]))),
        probe.ok("over", (0, 3, 0, 8), [], 2, state=held, stated=then((KEY, new[:8]))),
        probe.ok("empty_value", (0, 3, 0, 0), [], 0, state=held, stated=then((KEY, b""))),
        probe.ok("empty_key", (0, 0, 0, 33), [], 4, stated=then((b"", new + b"\x00"))),
        probe.ok("to_the_limit", (0, 4, 0, 60), [], 4, stated=then((new[:4], new + bytes(28)))),
        probe.ok("over_to_the_limit", (0, 3, 0, 61), [], 4, state=held, stated=then((KEY, new + bytes(29)))),
        probe.ok("remove", (0, 3, 0, -1), [], 0, state=held, stated={"state": None}),
        probe.ok("remove_looks_at_no_source", (0, 3, -5, -1), [], 0, state=held, stated={"state": None}),
        probe.ok("remove_absent", (0, 4, 0, -1), [], 0, state=held, stated=then((KEY, VALUE))),
        probe.ok("same_value", (0, 1, 1, 1), [], 2, state={b"\x01": b"\x02"}, stated=then((b"\x01", b"\x02"))),
    ]
    for label, arguments, trap, extra in (
        ("one_over_the_limit", (0, 4, 0, 61), "STATE_SIZE", 4),
        ("key_of_65", (0, 65, 0, 0), "STATE_SIZE", 0),
        ("key_of_129", (0, 129, 0, 8), "KEY_SIZE", 0),
        ("key_below_zero", (0, LEAST, 0, 8), "KEY_SIZE", 0),
        ("key_outside", (253, 4, 0, 8), "MEMORY_RANGE", 0),
        ("source_outside", (0, 4, 249, 8), "MEMORY_RANGE", 0),
        ("length_minus_two", (0, 4, 0, -2), "MEMORY_RANGE", 0),
        ("remove_key_outside", (256, 1, 0, -1), "MEMORY_RANGE", 0),
    ):
        cases.append(probe.trap(label, arguments, trap, extra))
    unresolved: Json = {"status": "unresolved", "pc": probe.pc, "cycles": str(probe.before + 3 + 2)}
    cases.append(probe.case("not_here", (0, 4, 0, 8), unresolved, state=None))
    unresolved = {"status": "unresolved", "cycles": str(probe.before + 3)}
    cases.append(probe.case("remove_not_here", (0, 4, 0, -1), unresolved, state=None))
    return cases + probe.starved((0, 4, 0, 40), 4, state=held)


def sizes() -> list[Case]:
    cases = []
    for size in (0, 1, 8, 64, 255, 1024, 65_536, 2**20, 2**24):
        cases.append(Probe("MSIZE", 0, 1, head=f".memory {size}").ok(f"{size}", (), [size]))
    return cases + Probe("MSIZE", 0, 1).starved(())


def storing() -> list[Case]:
    return memory() + slots() + reading_state() + writing_state() + sizes()
