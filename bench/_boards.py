"""Figures of the contract machine on microcontrollers: size of the program, memory, instructions for each cycle.

Emulated by QEMU, not on a board: instructions are counted exactly, time is not known. The greatest depth of the C stack
is added up from what the compiler says of each function, along the deepest chain of calls.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from quorate.execute.bytecode.flat import decode_answer

ROOT = Path(__file__).resolve().parent.parent
DEVICE = ROOT / "device"
PREFIXES = {"rv32": "riscv64-unknown-elf-", "cortex-m4": "arm-none-eabi-"}
TARGETS = {"rv32": ["-march=rv32imc", "-mabi=ilp32"], "cortex-m4": ["-mcpu=cortex-m4", "-mthumb"]}
CRYPTO = ("blake3", "sha512", "field25519", "edwards25519", "ed25519", "ecvrf")
CELL_BYTES, SMALL_CELLS = 8, 256
TREE_DEPTH_MAX = 24
"""Calls of itself that `insert` makes on a tree of 4,096 changes, more than a board has memory for."""
EMULATED = "emulated by QEMU, not on a board"


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=DEVICE, timeout=300).stdout


def sizes(board: str, folder: Path) -> dict[str, int]:
    """Bytes of machine code and constants: the machine, its cryptography, and the whole image that replays requests."""
    compiler = [f"{PREFIXES[board]}gcc", *TARGETS[board], "-std=c99", "-Os", "-ffreestanding", "-ffunction-sections"]
    options = [*compiler, "-DQUORATE_BLAKE3_UNROLLED", "-fno-tree-loop-distribute-patterns", "-fcallgraph-info=su"]
    found = {}
    for source in ("mhr", "flat", *(f"crypto/{name}" for name in CRYPTO)):
        target = folder / f"{Path(source).name}.o"
        _run(*options, "-c", f"{source}.c", "-o", str(target))
        found[Path(source).name] = _text_bytes(board, target)
    _run("make", "-s", f"BUILD={folder}", f"replay-{board}")
    found["image"] = _text_bytes(board, folder / f"replay-{board}.elf")
    return found


def _text_bytes(board: str, target: Path) -> int:
    text, data = _run(f"{PREFIXES[board]}size", str(target)).splitlines()[1].split()[:2]
    return int(text) + int(data)


def stack_bytes(folder: Path, entry: str) -> int:
    """The deepest chain of calls from `entry`, by the call graphs that the compiler left beside the objects."""
    own: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for graph in sorted(folder.glob("*.ci")):
        text = graph.read_text()
        for title, size in re.findall(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(static\)', text):
            own[title] = int(size)
        for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
            calls.setdefault(source, set()).add(target)

    def depth(name: str, above: frozenset[str]) -> int:
        times = TREE_DEPTH_MAX if name in calls.get(name, ()) else 1
        below = (depth(callee, above | {name}) for callee in calls.get(name, set()) - above - {name})
        return times * own.get(name, 0) + max(below, default=0)

    return depth(entry, frozenset())


def instructions(folder: Path, requests: dict[str, bytes]) -> dict[str, float]:
    """Instructions of the emulated rv32imc core for each cycle that a run paid, loading and verifying included."""
    parts = [len(request).to_bytes(4, "little") + request for request in requests.values()]
    (folder / "requests").write_bytes(b"QREQ" + len(parts).to_bytes(4, "little") + b"".join(parts))
    printed = _run("make", "-s", f"BUILD={folder}", f"CASES={folder / 'requests'}", "run-replay-rv32")
    lines = [line.split() for line in printed.splitlines() if line.startswith("answer ")]
    found = {}
    for name, (_, _, spent, answer) in zip(requests, lines, strict=True):
        outcome = decode_answer(bytes.fromhex(answer))
        found[f"rv32_instructions_per_cycle_{name}"] = round(int(spent) / outcome.cycles, 2)
    return found


def figures(requests: dict[str, bytes]) -> dict[str, Any]:
    """All figures of the boards whose tools are installed."""
    found: dict[str, Any] = {}
    for board, prefix in PREFIXES.items():
        if shutil.which(f"{prefix}gcc") is None:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part, size in sizes(board, folder).items():
                found[f"{board}_{part}_bytes"] = size
            found[f"{board}_c_stack_bytes"] = stack_bytes(folder, "flat_answer")
            if board == "rv32" and shutil.which("qemu-system-riscv32") is not None:
                found |= instructions(folder, requests)
    if found:
        found["cells_bytes_of_a_small_contract"] = CELL_BYTES * (SMALL_CELLS + 1)
        found["boards"] = EMULATED
    return found
