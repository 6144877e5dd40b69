"""The shipped guests do what they are said to do, within the light tier, and their sources give the committed bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

from quorate.api.programs import linked, outline_of, program_of
from quorate.errors import MissingDependency
from quorate.execute.engine import LIGHT, Task, module_digest
from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine, wat_to_wasm
from quorate.model.trap import Status

EXAMPLES = Path(__file__).parents[3] / "examples"
BUILD = EXAMPLES / "guests/build.py"


def run(name: str, stdin: bytes = b"", limits=LIGHT):
    module = (EXAMPLES / name).read_bytes()
    profile = program_of(module, outline_of(module, "program"), "", "light").profile
    engine = WasmtimeEngine()
    task = Task(id=b"t", module=module, digest=module_digest(module), profile=profile, stdin=stdin, limits=limits)
    return engine.run(engine.compile(module), task)


def test_modules_that_name_each_other_by_their_digests():
    """Whoever changes one, or the translator, has to name it anew in those above it."""
    shout, *libraries = (
        wat_to_wasm((EXAMPLES / "modules" / f"{name}.wat").read_text()) for name in ("shout", "upper", "between")
    )
    outline, named = outline_of(shout, "program"), {module_digest(code): code for code in libraries}
    program = program_of(shout, outline, "", "light")
    assert linked(program, outline, named).profile == "pure"
    with pytest.raises(MissingDependency):
        linked(program, outline, {module_digest(libraries[0]): libraries[0]})
    engine = WasmtimeEngine()
    task = Task(id=b"t", module=shout, digest=module_digest(shout), stdin=b"hello, World {1}", limits=LIGHT)
    compiled = {module_digest(code): engine.compile(code) for code in libraries}
    assert engine.run(engine.compile(shout), task, compiled).output == b"HELLO, WORLD {1}"


def test_answer():
    assert run("guests/answer.wasm").output == b"\x2a\0\0\0"


def test_reverse():
    assert run("guests/reverse.wasm", b"stressed").output == b"desserts"
    large = bytes(range(256)) * 4000
    assert run("guests/reverse.wasm", large).output == large[::-1]
    assert run("guests/reverse.wasm", bytes(17 << 20)).status is Status.MEMORY_LIMIT


def test_sieve():
    ended = run("guests/sieve.wasm")
    assert int.from_bytes(ended.output, "little") == 78_498
    assert ended.fuel_used < LIGHT.fuel


def test_every_c_and_text_source_has_its_module():
    """But for those of modules/, which are given to the command line as text."""
    sources = [path for path in EXAMPLES.rglob("*") if path.suffix in (".c", ".wat") and path.parent.name != "modules"]
    assert len(sources) >= 5
    assert all(path.with_suffix(".wasm").exists() for path in sources)


@pytest.mark.guests
@pytest.mark.timeout(240)
def test_the_committed_modules_are_what_their_sources_build():
    present = [sys.executable, "-m", "ziglang", "version"]
    if subprocess.run(present, capture_output=True, check=False).returncode != 0:
        pytest.skip("the ziglang package is not installed")
    done = subprocess.run([sys.executable, BUILD, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "different" not in done.stdout


def test_no_path_of_the_building_machine_is_in_a_module():
    for path in EXAMPLES.rglob("*.wasm"):
        module = path.read_bytes()
        for trace in (b"/home", b"/root", b"/tmp", b"/work", b".zig-cache", b"ziglang"):
            assert trace not in module, path
