"""`quorate contract`: from assembly to a container, and calls with a state that lasts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.repository import ROOT
from tests.support.terminal import Cli, cli_for

from quorate.execute.contract_wasm.declaration import contract_of

EXAMPLE = ROOT / "examples" / "contracts" / "counter.mha"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return cli_for(capfd, monkeypatch, tmp_path / "home")


@pytest.fixture
def counter(run: Cli, tmp_path: Path) -> str:
    source = shutil.copy(EXAMPLE, tmp_path)
    done = run("contract", "assemble", source)
    assert done.code == 0
    assert "address" in done.out
    return str(tmp_path / "counter.mhb")


def test_a_state_lasts_from_call_to_call(run: Cli, counter: str, tmp_path: Path) -> None:
    state = str(tmp_path / "counter.state")
    for amount, total in ((5, 5), (-2, 3)):
        done = run("contract", "run", counter, "add", "--arg", f"amount={amount}", "--state", state, "--json")
        assert (done.code, json.loads(done.out)["results"]) == (0, [total])
    done = run("contract", "run", counter, "read", "--state", state)
    assert done.code == 0
    assert "results   3" in done.out


def test_a_trap_keeps_the_state_and_has_its_exit_code(run: Cli, counter: str, tmp_path: Path) -> None:
    state = tmp_path / "counter.state"
    assert run("contract", "run", counter, "add", "--arg", "amount=1", "--state", str(state)).code == 0
    before = state.read_bytes()
    done = run("contract", "run", counter, "add", "--arg", "amount=9223372036854775807", "--state", str(state))
    assert (done.code, state.read_bytes()) == (51, before)
    assert "overflow, at 4: nothing was changed" in done.out
    done = run("contract", "run", counter, "read", "--cycles", "5", "--json")
    plain = json.loads(done.out)
    assert (done.code, plain["trap"], plain["cycles"]) == (51, "out_of_cycles", 5)


def test_a_container_is_printed_and_assembled_to_the_same_bytes(run: Cli, counter: str, tmp_path: Path) -> None:
    source = tmp_path / "again.mha"
    source.write_text(run("contract", "disasm", counter).out)
    assert run("contract", "assemble", str(source)).code == 0
    assert (tmp_path / "again.mhb").read_bytes() == Path(counter).read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nope",), 46, "add, read"),
        (("add",), 47, "--arg amount=..."),
        (("add", "--arg", "amount"), 47, "NAME=VALUE"),
        (("add", "--arg", "amount=x"), 47, "amount"),
        (("add", "--arg", "amount=1", "--arg", "amount=2"), 47, "each name once"),
        (("read", "--sender", "0x00"), 29, "16 bytes"),
        (("read", "--cycles", "0"), 29, "cycles_max"),
        (("read", "--state", str(EXAMPLE)), 29, "state"),
    ],
)
def test_calls_that_cannot_be(run: Cli, counter: str, words: tuple[str, ...], code: int, said: str) -> None:
    done = run("contract", "run", counter, *words)
    assert done.code == code, done.err
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_changed_byte_and_other_files_are_no_contract(run: Cli, counter: str, tmp_path: Path) -> None:
    data = bytearray(Path(counter).read_bytes())
    data[40] ^= 1
    altered = tmp_path / "altered.mhb"
    altered.write_bytes(data)
    assert run("contract", "run", str(altered), "read").code == 45
    assert run("contract", "disasm", str(EXAMPLE)).code == 45
    assert run("contract", "disasm", str(tmp_path / "missing")).code == 21
    assert run("contract", "assemble", counter).code == 29
    wrong = tmp_path / "wrong.mha"
    wrong.write_text('.memory 8\n.func f() -> 0\n    NOPE\n    RET\n; "a comment" ; ends it\n')
    done = run("contract", "assemble", str(wrong))
    assert done.code == 29
    assert "line 3" in done.err


def test_a_contract_in_python_is_built_and_called(run: Cli, tmp_path: Path) -> None:
    source = shutil.copy(ROOT / "contracts" / "naming" / "naming.py", tmp_path)
    assert run("contract", "build", source).code == 0
    built = (tmp_path / "naming.mhb").read_bytes()
    assert built[:4] == b"MHRB"
    outside = tmp_path / "outside.py"
    outside.write_text("def f(x: float) -> int:\n    return 1\n")
    done = run("contract", "build", str(outside))
    assert done.code == 48
    assert "line 1" in done.err or ":1" in done.err
    assert not (tmp_path / "outside.mhb").exists()


def test_one_source_is_built_as_webassembly_too(run: Cli, tmp_path: Path) -> None:
    source = shutil.copy(next((ROOT / "contracts").rglob("naming.py")), tmp_path)
    done = run("contract", "build", source, "--wasm", "--json")
    told = json.loads(done.out)
    module = (tmp_path / "naming.wasm").read_bytes()
    assert (done.code, told["file"], told["wasm_tier"]) == (0, str(tmp_path / "naming.wasm"), "light")
    assert contract_of(module).program.hex() == told["address"]
    assert "tier light" in run("contract", "build", source, "--wasm").out
    assert not (tmp_path / "naming.mhb").exists()


def test_a_webassembly_contract_is_not_run_outside_of_a_worker(run: Cli, tmp_path: Path) -> None:
    module = tmp_path / "naming.wasm"
    source = str(ROOT / "contracts" / "naming" / "naming.py")
    assert run("contract", "build", source, "--wasm", "--out", str(module)).code == 0
    for words in (("run", str(module), "resolve", "--arg", "name=maryam"), ("disasm", str(module))):
        done = run("contract", *words)
        assert done.code == 45
        assert "quorate contract deploy" in done.err


def test_what_webassembly_has_no_import_for_is_refused_with_its_line(run: Cli, tmp_path: Path) -> None:
    source = tmp_path / "lottery.py"
    source.write_text(
        "from mhr import buffer, export, verify_vrf\nOUT = buffer(64)\n@export\n"
        "def draw(a: bytes, key: bytes, proof: bytes) -> int:\n    return int(verify_vrf(a, key, proof, OUT))\n"
    )
    assert run("contract", "build", str(source)).code == 0
    done = run("contract", "build", str(source), "--wasm")
    assert done.code == 48
    assert "lottery.py:5" in done.err
    assert "VERIFY_VRF has no import" in done.err
    assert not (tmp_path / "lottery.wasm").exists()


def test_limits_that_no_tier_has_are_refused(run: Cli, tmp_path: Path) -> None:
    source = tmp_path / "long.py"
    source.write_text(
        "from mhr import export, limits\nlimits(cycles=10_000_000_001)\n@export\ndef f() -> int:\n    return 1\n"
    )
    done = run("contract", "build", str(source), "--wasm")
    assert (done.code, "max_cycles" in done.err) == (29, True)
