"""Rebuilds the example guests and compares them with the committed modules.

    python examples/guests/build.py            rebuild in place
    python examples/guests/build.py --check    rebuild elsewhere and compare; exit code 1 when a byte differs

C needs the `ziglang` package (part of `pip install 'quorate[dev]'`), text modules need nothing more than Quorate
itself. The modules hold no paths, times or debug sections, so that the same sources and the same compiler give the same
bytes everywhere. The first build compiles a C library into the compiler's cache and takes some seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import wasmtime

HERE = Path(__file__).resolve().parent
ZIG_VERSION = "0.17.0"
# The default stack of the toolchain alone is 16 MiB, as much as the light tier has; these guests need a few KiB.
SMALL_STACK = ("-Wl,-z,stack-size=32768",)
COMMON = ("-Oz", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--strip-all", "-Wl,--build-id=none")
COMMAND = ("--target=wasm32-wasi", *COMMON, *SMALL_STACK)
PURE = ("--target=wasm32-freestanding", *COMMON, *SMALL_STACK, "-O2", "-nostdlib", "-Wl,--no-entry")

C_GUESTS = {
    "../aggregation/aggregation.c": COMMAND,
    "csv_total.c": COMMAND,
    "sieve.c": PURE,
}
TEXT_GUESTS = ("answer.wat", "fold.wat", "reverse.wat")


def compiler_is_present() -> bool:
    answer = subprocess.run([sys.executable, "-m", "ziglang", "version"], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == ZIG_VERSION


def build_c(source: Path, flags: tuple[str, ...]) -> bytes:
    """Compiles in a folder of its own, by the bare file name, so that no path of this machine is seen."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, source.name).write_bytes(source.read_bytes())
        command = [sys.executable, "-m", "ziglang", "cc", *flags, source.name, "-o", "guest.wasm"]
        subprocess.run(command, cwd=folder, check=True)
        return Path(folder, "guest.wasm").read_bytes()


def build_all() -> dict[Path, bytes]:
    built = {}
    for name, flags in C_GUESTS.items():
        source = (HERE / name).resolve()
        built[source.with_suffix(".wasm")] = build_c(source, flags)
    for name in TEXT_GUESTS:
        source = HERE / name
        built[source.with_suffix(".wasm")] = bytes(wasmtime.wat2wasm(source.read_text()))
    return built


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild the example guests.")
    parser.add_argument("--check", action="store_true", help="compare with the committed modules instead of writing")
    check = parser.parse_args().check
    if not compiler_is_present():
        print(f"ziglang {ZIG_VERSION} is needed: pip install 'quorate[dev]'", file=sys.stderr)
        return 2
    differing = 0
    for path, module in build_all().items():
        same = path.exists() and path.read_bytes() == module
        if not check:
            path.write_bytes(module)
        differing += not same
        print(f"{path.name}: {len(module)} bytes, {'unchanged' if same else 'different'}")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
