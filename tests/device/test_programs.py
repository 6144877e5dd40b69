"""The device's cryptography as whole programs: under sanitizers here, and on two emulated microcontrollers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.device.case_files import BLAKE3, ECVRF, ED25519, Case, all_cases, file_of
from tests.device.conftest import need
from tests.device.engines import DEVICE, built, make

LINE = re.compile(r"case (\d+) kind (\d) size (\d+) (right|wrong) (\d+)")
RV32_TEXT_BYTES_MAX = 14 * 1024
"""Of the whole image: the cryptography with the test program around it. The interpreter needs the rest of 32 KB."""
INSTRUCTIONS_MAX = {(BLAKE3, 64): 3_200, (BLAKE3, 1024): 48_000}
VERIFY_SIGNATURE_INSTRUCTIONS_MAX = 4_000_000
VERIFY_VRF_INSTRUCTIONS_MAX = 9_000_000


@pytest.fixture(scope="session")
def cases(official) -> list[Case]:
    return all_cases(official)


@pytest.fixture(scope="session")
def host(tmp_path_factory) -> Path:
    need("make", "cc")
    build = tmp_path_factory.mktemp("host")
    built("host", build, "SANITIZE=1")
    return build / "host1"


def run_host(program: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, file], capture_output=True, text=True, check=False, timeout=120)


def written(folder: Path, data: bytes) -> Path:
    (folder / "cases").write_bytes(data)
    return folder / "cases"


def lines_of(output: str) -> list[tuple[int, int, bool, int]]:
    """Kind, size, whether it was right, and instructions, of each case."""
    return [
        (int(kind), int(size), verdict == "right", int(count)) for _, kind, size, verdict, count in LINE.findall(output)
    ]


def expect_all_right(output: str, cases: list[Case]) -> None:
    lines = lines_of(output)
    assert [(kind, size) for kind, size, _, _ in lines] == [(case.kind, len(case.message)) for case in cases]
    assert all(right for _, _, right, _ in lines), output
    assert f"cases {len(cases)} wrong 0" in output


def test_all_cases_are_right_and_the_sanitizers_are_silent(host: Path, tmp_path: Path, cases: list[Case]) -> None:
    done = run_host(host, written(tmp_path, file_of(cases)))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stderr == ""
    expect_all_right(done.stdout, cases)


def test_the_program_tells_a_wrong_answer(host: Path, tmp_path: Path, cases: list[Case]) -> None:
    """Each expectation turned round: every case must be found wrong, or the program would take anything."""
    turned = [case._replace(expected=not case.expected) for case in cases]
    done = run_host(host, written(tmp_path, file_of(turned)))
    assert done.returncode == 1
    assert not any(right for _, _, right, _ in lines_of(done.stdout))
    assert f"cases {len(cases)} wrong {len(cases)}" in done.stdout


@pytest.mark.parametrize("damage", ["magic", "kind", "cut", "size"])
def test_a_damaged_file_is_refused(host: Path, tmp_path: Path, cases: list[Case], damage: str) -> None:
    good = file_of(cases[:3])
    bad = {
        "magic": b"QCAT" + good[4:],
        "kind": good[:8] + b"\x09" + good[9:],
        "cut": good[:-1],
        "size": good[:12] + b"\xff\xff\xff\xff" + good[16:],
    }[damage]
    done = run_host(host, written(tmp_path, bad))
    assert done.returncode == 1
    assert "damaged case" in done.stdout or "not a file of cases" in done.stdout
    assert done.stderr == ""


@pytest.fixture(scope="session")
def rv32(tmp_path_factory) -> Path:
    need("make", "riscv64-unknown-elf-gcc", "qemu-system-riscv32")
    build = tmp_path_factory.mktemp("rv32")
    built("rv32", build)
    return build


@pytest.fixture(scope="session")
def cortex_m4(tmp_path_factory) -> Path:
    need("make", "arm-none-eabi-gcc", "qemu-system-arm")
    build = tmp_path_factory.mktemp("cortex-m4")
    built("cortex-m4", build)
    return build


def emulated(target: str, build: Path, folder: Path, cases: list[Case]) -> subprocess.CompletedProcess[str]:
    return make(target, build, f"CASES={written(folder, file_of(cases))}")


def test_an_emulated_riscv_core_agrees(rv32: Path, tmp_path: Path, cases: list[Case]) -> None:
    done = emulated("run-rv32", rv32, tmp_path, cases)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    expect_all_right(done.stdout, cases)
    for kind, size, right, instructions in lines_of(done.stdout):
        assert right
        limits = {ED25519: VERIFY_SIGNATURE_INSTRUCTIONS_MAX, ECVRF: VERIFY_VRF_INSTRUCTIONS_MAX}
        assert instructions <= limits.get(kind, INSTRUCTIONS_MAX.get((kind, size), instructions)), (kind, size)


def test_an_emulated_cortex_m4_agrees(cortex_m4: Path, tmp_path: Path, cases: list[Case]) -> None:
    done = emulated("run-cortex-m4", cortex_m4, tmp_path, cases)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    expect_all_right(done.stdout, cases)


@pytest.mark.parametrize("board", ["rv32", "cortex-m4"])
def test_an_emulated_core_tells_a_wrong_answer(request, tmp_path: Path, cases: list[Case], board: str) -> None:
    build = request.getfixturevalue(board.replace("-", "_"))
    done = emulated(f"run-{board}", build, tmp_path, [cases[0]._replace(expected=False)])
    assert done.returncode != 0
    assert "cases 1 wrong 1" in done.stdout


def test_the_riscv_image_is_small_and_calls_nothing_else(rv32: Path) -> None:
    listed = subprocess.run(["riscv64-unknown-elf-size", rv32 / "rv32.elf"], capture_output=True, text=True, check=True)
    text, data, bss = (int(word) for word in listed.stdout.splitlines()[1].split()[:3])
    assert text <= RV32_TEXT_BYTES_MAX
    assert (data, bss) == (0, 0)


@pytest.mark.parametrize("blake3", ["", "-DQUORATE_BLAKE3_UNROLLED"])
def test_both_forms_of_blake3_give_the_same(tmp_path: Path, cases: list[Case], blake3: str) -> None:
    need("make", "cc")
    built("host", tmp_path, f"BLAKE3={blake3}")
    hashes = [case for case in cases if case.kind == BLAKE3]
    done = run_host(tmp_path / "host", written(tmp_path, file_of(hashes)))
    assert done.returncode == 0
    expect_all_right(done.stdout, hashes)


def test_the_code_has_no_heap_and_no_wide_integers() -> None:
    """Freestanding: only the three functions of `bytes.h` come from elsewhere; nothing wider than 64 bits is used."""
    sources = sorted((DEVICE / "crypto").glob("*.[ch]"))
    assert len(sources) == 13
    for source in sources:
        text = source.read_text()
        assert set(re.findall(r"#include <(.*?)>", text)) <= {"stdint.h", "stddef.h"}, source.name
        assert not re.search(r"\b(malloc|free|__int128|_BitInt|float|double)\b", text), source.name
