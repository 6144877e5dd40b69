"""Builds the contract machine for WebAssembly, as hosts run it.

    python device/build_wasm.py            rebuild src/quorate/execute/bytecode/mhr.wasm
    python device/build_wasm.py --check    rebuild elsewhere and compare; exit code 1 when a byte differs

Needs the `ziglang` package (`sh scripts/setup guests`). The module holds no paths, times or debug sections: the same
sources and the same compiler give the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE = HERE.parent / "src" / "quorate" / "execute" / "bytecode" / "mhr.wasm"
ZIG_VERSION = "0.17.0"
CRYPTO = ("blake3", "sha512", "field25519", "edwards25519", "ed25519", "ecvrf")
SOURCES = ("mhr.c", "flat.c", *(f"crypto/{name}.c" for name in CRYPTO), "freestanding/memory.c", "freestanding/wasm.c")
HEADERS = ("mhr.h", "flat.h", "crypto/bytes.h", *(f"crypto/{name}.h" for name in CRYPTO))
# With bulk memory the loops of freestanding/memory.c become single instructions.
FLAGS = (
    *("--target=wasm32-freestanding", "-std=c99", "-O3", "-s", "-nostdlib", "-mbulk-memory"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-DQUORATE_BLAKE3_UNROLLED"),
    *("-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--build-id=none", "-Wl,-z,stack-size=65536"),
    *("-Wl,--export=answer", "-Wl,--export=__heap_base"),
)


def compiler_is_present() -> bool:
    answer = subprocess.run([sys.executable, "-m", "ziglang", "version"], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == ZIG_VERSION


def build() -> bytes:
    """Compiles in a folder of its own, by relative names, so that no path of this machine is seen."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES + HEADERS:
            copy = Path(folder, name)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes((HERE / name).read_bytes())
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *SOURCES, "-o", "mhr.wasm"]
        subprocess.run(command, cwd=folder, check=True)
        return Path(folder, "mhr.wasm").read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild the contract machine for WebAssembly.")
    parser.add_argument("--check", action="store_true", help="compare with the committed module instead of writing")
    check = parser.parse_args().check
    if not compiler_is_present():
        print(f"ziglang {ZIG_VERSION} is needed: sh scripts/setup guests", file=sys.stderr)
        return 2
    module = build()
    same = MODULE.exists() and MODULE.read_bytes() == module
    if not check:
        MODULE.write_bytes(module)
    print(f"{MODULE.name}: {len(module)} bytes, {'unchanged' if same else 'different'}")
    return 1 if check and not same else 0


if __name__ == "__main__":
    sys.exit(main())
