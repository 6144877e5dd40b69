"""`quorate contract test`, `cost` and `verify-vectors`: what they say, and what they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.repository import ROOT
from tests.support.shipped import NAMES, source_of
from tests.support.terminal import Cli, cli_for

from quorate.api import cli_contract_vectors
from quorate.api.contract_prices import prices_of, tariff
from quorate.execute.bytecode import reference
from quorate.execute.bytecode.compiler.program import compile_contract
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load

VECTORS = ROOT / "tests" / "vectors" / "bytecode"
ADDER = """
from mhr import abort, export, nat, stored
total: int = stored(b"total", 0)
@export
def add(amount: nat) -> int:
    global total
    assert amount < 100, 7
    total += amount
    return total
@export
def never() -> None:
    abort(1)
"""
TOLD = """
from mhr import balance, buffer, emit, export, self_id
ME = buffer(16)
@export
def told() -> int:
    self_id(ME)
    emit(ME)
    return balance(ME)
"""
GOOD = """
def test_adding(replica):
    assert replica.call("add", 5).value == 5
    assert replica.call("add", 6).value == 11
    replica.refuses(7, "add", 100)
"""


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return cli_for(capfd, monkeypatch, tmp_path / "home")


@pytest.fixture
def adder(tmp_path: Path) -> Path:
    source = tmp_path / "adder.py"
    source.write_text(ADDER)
    return source


def with_tests(adder: Path, text: str) -> Path:
    adder.with_name("adder_test.py").write_text(text)
    return adder


def exact_cycles() -> int:
    """What `add` costs, whatever is added."""
    contract = load(compile_contract(ADDER, "adder.py").container)
    return reference.run(contract, Call("add", (5,)), State(), Context(bytes(16), bytes(16))).cycles


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_contract_passes_the_tests_beside_it(run: Cli, name: str) -> None:
    done = run("contract", "test", str(source_of(name)), "--json")
    report = json.loads(done.out)
    assert (done.code, report["failed"]) == (0, 0), done.out
    assert report["passed"] >= 9
    assert all(used["returned"] for used in report["cycles"]), "a function that no test has called"


def test_a_test_is_one_line_and_a_function_its_cycles(run: Cli, adder: Path) -> None:
    done = run("contract", "test", str(with_tests(adder, GOOD)))
    assert done.code == 0
    assert done.out.startswith("passed  test_adding\n1 of 1 passed\n")
    rows = [line.split() for line in done.out.splitlines() if line.startswith(("add", "never"))]
    assert rows[0][:3] == ["add", "2", "1"]
    assert 0 < int(rows[0][3]) <= int(rows[0][4])
    assert rows[1] == ["never", "0", "0", "-", "-"]


@pytest.mark.parametrize("engine", ["reference", "wasm", "translation"])
def test_every_engine_counts_the_same_cycles(run: Cli, adder: Path, engine: str) -> None:
    done = run("contract", "test", str(with_tests(adder, GOOD)), "--engine", engine, "--json")
    add = json.loads(done.out)["cycles"][0]
    assert (add["returned"], add["refused"], add["least"], add["most"]) == (2, 1, exact_cycles(), exact_cycles())


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ('    assert replica.call("add", 5).value == 6\n', 2, "AssertionError: assert replica.call"),
        ('    x = 1\n    replica.call("add", 100)\n', 3, "Refused: add ended as ABORTED, code 7 at adder.py:7"),
        ('    replica.refuses(7, "add", 1)\n', 2, "expected code 7, and add returned (1,)"),
        ('    replica.refuses(8, "add", 100)\n', 2, "expected code 8: add ended as ABORTED, code 7"),
        ('    replica.call("nope")\n', 2, "UnknownFunction"),
        ('    replica.call("add", b"x")\n', 2, "WrongArguments"),
        ('    replica.call("add", 1, deposit=5)\n', 2, "UnaffordableJob"),
        ("    import sys\n    sys.exit(0)\n", 3, "SystemExit"),
    ],
)
def test_a_failure_names_its_line_and_the_rest_goes_on(run: Cli, adder: Path, body: str, line: int, said: str) -> None:
    text = f"def test_wrong(replica):\n{body}{GOOD}"
    done = run("contract", "test", str(with_tests(adder, text)))
    assert done.code == 44
    assert f"failed  test_wrong\n        adder_test.py:{line}: " in done.out
    assert said in done.out
    assert "passed  test_adding\n1 of 2 passed" in done.out
    plain = json.loads(run("contract", "test", str(adder), "--json").out)
    assert (plain["passed"], plain["failed"], plain["tests"][0]["place"]) == (1, 1, f"adder_test.py:{line}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no test"),
        ("def helper(replica): ...\n", "has no test"),
        ("def test_it(: ...\n", "adder_test.py:1: SyntaxError"),
        ("import nothing_of_this_name\n", "adder_test.py:1: ModuleNotFoundError"),
        ("x = 1\nx.y\n", "adder_test.py:2: AttributeError"),
        ("def test_it(replica, tmp_path): ...\n", "one parameter, replica"),
        ("def test_it(): ...\n", "one parameter, replica"),
    ],
)
def test_a_file_that_is_no_file_of_tests_is_refused(run: Cli, adder: Path, text: str, said: str) -> None:
    done = run("contract", "test", str(with_tests(adder, text)))
    assert done.code == 29
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_contract_without_tests_or_that_does_not_compile_is_refused(run: Cli, adder: Path) -> None:
    done = run("contract", "test", str(adder))
    assert done.code == 21
    assert "adder_test.py" in done.err
    with_tests(adder, GOOD).write_text("x = 1.5\n")
    assert run("contract", "test", str(adder)).code == 48
    adder.with_name("adder_test.py").write_bytes(b"\xff")
    adder.write_text(ADDER)
    assert run("contract", "test", str(adder)).code == 29


def test_tests_import_what_lies_beside_them_and_print_to_the_side(run: Cli, adder: Path) -> None:
    adder.with_name("amounts.py").write_text("FIVE = 5\n")
    text = "from amounts import FIVE\nprint('loaded')\ndef test_it(replica):\n    replica.call('add', FIVE)\n"
    done = run("contract", "test", str(with_tests(adder, text)), "--json")
    assert done.code == 0
    assert json.loads(done.out)["passed"] == 1
    assert "loaded" in done.err
    adder.with_name("amounts.py").write_text("FIVE = 500\n")
    assert run("contract", "test", str(adder)).code == 44, "what lay beside an earlier run is not remembered"


def test_costs_of_a_contract_and_of_a_call(run: Cli, adder: Path) -> None:
    plain = json.loads(run("contract", "cost", str(adder), "--json").out)
    add, never = plain["functions"]
    assert (add["function"], add["at_most"], add["prices"]) == ("add", 10_000_000, [])
    assert (never["function"], never["at_least"]) == ("never", None)
    done = run("contract", "cost", str(adder), "add", "--arg", "amount=5", "--json")
    exact = json.loads(done.out)
    assert (done.code, exact["status"], exact["cycles"]) == (0, "ok", exact_cycles())
    assert 0 < add["at_least"] <= exact["cycles"]
    assert run("contract", "build", str(adder)).code == 0
    built = adder.with_suffix(".mhb")
    assert json.loads(run("contract", "cost", str(built), "--json").out) == plain


def test_prices_stand_beside_cycles(run: Cli, adder: Path) -> None:
    words = ("--price-per-mega-cycle", "40", "--price-base", "3")
    done = run("contract", "cost", str(adder), *words)
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert (rows[1][0], rows[1][2]) == ("add", "10000000")
    assert rows[-1][:4] == ["price", "43", "to", "403"]
    assert "never returns" in done.out
    assert "price     43 micro-credits" in run("contract", "cost", str(adder), "add", "--arg", "amount=5", *words).out


def test_prices_of_several_providers() -> None:
    tariffs = [tariff("near", 5, 10), tariff("far", 0, 7)]
    assert prices_of(1_000_001, 10**8, tariffs) == [25, 14]
    assert prices_of(2_200_000, 10**8, tariffs) == [5 + 5 * 10, 5 * 7], "billed in powers of two"
    assert prices_of(2_200_000, 2_200_000, tariffs) == [5 + 3 * 10, 3 * 7], "and never above the limit"
    assert prices_of(None, 10**8, tariffs) == [None, None]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nope",), 46, "add, never"),
        (("add",), 47, "--arg amount=..."),
        (("--arg", "amount=1"), 29, "name the function"),
        (("--price-per-mega-cycle", "-1"), 29, "price_per_mega_cycle"),
        (("--price-base", "1"), 29, "give both"),
        (("add", "--arg", "amount=1", "--sender", "0x00"), 29, "16 bytes"),
    ],
)
def test_costs_that_cannot_be_said(run: Cli, adder: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = run("contract", "cost", str(adder), *words)
    assert done.code == code
    assert said in done.err


def test_a_call_that_does_not_return_has_its_cost_and_exit_code(run: Cli, adder: Path) -> None:
    done = run("contract", "cost", str(adder), "add", "--arg", "amount=100")
    assert done.code == 51
    assert "ABORTED, code 7" in done.out
    assert "cycles    " in done.out


def test_a_call_that_asks_for_its_balance_is_told_it(run: Cli) -> None:
    words = ("contract", "cost", str(source_of("marketplace")), "show", "--arg", "number=0", "--json")
    assert json.loads(run(*words).out)["status"] == "unresolved"
    assert json.loads(run(*words, "--balance", "0").out)["code"] == 1


def test_a_run_is_told_who_the_contract_is_and_what_it_has(run: Cli, tmp_path: Path) -> None:
    source = tmp_path / "told.py"
    source.write_text(TOLD)
    assert run("contract", "build", str(source)).code == 0
    built, own = str(tmp_path / "told.mhb"), "0x" + "ab" * 16
    told = json.loads(run("contract", "run", built, "told", "--self", own, "--balance", "7", "--json").out)
    assert (told["emitted"], told["results"]) == ("ab" * 16, [7])
    assert run("contract", "run", built, "told", "--self", own).code == 51
    for words, said in ((("--self", "0xab"), "16 bytes"), (("--balance", "-1"), "below zero")):
        done = run("contract", "run", built, "told", *words)
        assert done.code == 29
        assert said in done.err


def test_every_engine_meets_the_vectors_of_the_checkout(run: Cli) -> None:
    done = run("contract", "verify-vectors", "--json")
    engines = json.loads(done.out)["engines"]
    assert done.code == 0
    assert [one["engine"] for one in engines] == ["reference", "wasm", "translation"]
    assert all(one["differ"] == 0 and one["vectors"] > 1000 for one in engines)


def test_a_vector_that_is_not_met_is_shown(run: Cli, tmp_path: Path) -> None:
    file = json.loads((VECTORS / "moving.json").read_text())
    file["vectors"][3]["expect"]["cycles"] = "999"
    (tmp_path / "moving.json").write_text(json.dumps(file))
    for engine in ("reference", "wasm", "translation"):
        done = run("contract", "verify-vectors", "--vectors", str(tmp_path), "--engine", engine)
        assert done.code == 70
        assert f"{engine}: {file['vectors'][3]['name']}\n  expected " in done.out
        assert '"cycles": "999"' in done.out
        assert done.out.splitlines()[1].split() == [engine, str(len(file["vectors"])), "1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "not a file of vectors"),
        ('{"containers": {}}', "not a file of vectors"),
        ('{"containers": {}, "vectors": [{}]}', "not a file of vectors"),
        ('{"containers": {}, "vectors": [{"container": "zz", "call": {}}]}', "not a file of vectors"),
        ('{"containers": {}, "vectors": [1]}', "not a file of vectors"),
    ],
)
def test_a_file_that_is_no_file_of_vectors_is_refused(run: Cli, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.json").write_text(text)
    done = run("contract", "verify-vectors", "--vectors", str(tmp_path), "--engine", "reference")
    assert done.code == 29
    assert said in done.err
    assert done.err.count("\n") == 1


def test_vectors_that_are_not_there(run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("contract", "verify-vectors", "--vectors", str(tmp_path))
    assert done.code == 21
    installed = tmp_path / "lib" / "site-packages" / "quorate"
    shutil.copytree(Path(cli_contract_vectors.__file__).parent, installed / "api")
    monkeypatch.setattr(cli_contract_vectors.quorate, "__file__", str(installed / "__init__.py"))
    done = run("contract", "verify-vectors")
    assert done.code == 29
    assert "fix: --vectors FOLDER" in done.err
