"""The benchmarks' own arithmetic and their peers: what is compared, what is left out and why. Nothing here asserts on
time."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.repository import ROOT

BENCH = ROOT / "bench"
SCRIPTS = sorted(path.stem for path in BENCH.glob("*.py") if not path.stem.startswith("_"))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Imports a module of `bench/`, as a script there would."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def test_the_scripts_are_here() -> None:
    assert SCRIPTS == [
        "codec", "contracts", "durable_jobs", "footprint", "private_quorum", "translation", "wasm_overhead",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_in_the_readme_and_prints_its_parts(name: str) -> None:
    assert f"`{name}.py`" in (BENCH / "README.md").read_text()
    text = (BENCH / f"{name}.py").read_text()
    keys = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert {"figures", "machine", "peers"} <= keys


def test_the_better_way_of_a_peer_counts(load) -> None:  # type: ignore[no-untyped-def]
    figures = load("durable_jobs").compared(
        {
            "quorate": 300.0,
            "quorate_array": 3000.0,
            "dbos_direct": 150.0,
            "dbos_queue": 100.0,
            "dbos_p50_ms": 9999.0,
            "ray_1_workers": 200.0,
            "ray_2_workers": 600.0,
        }
    )
    assert figures["ratio_to_dbos"] == 2.0
    assert figures["ratio_to_ray"] == 0.5
    assert figures["array_ratio_to_ray"] == 5.0
    assert figures["ratio_to_ray_with_one_worker"] == 1.5
    assert not any(name.startswith(("celery", "ratio_to_celery")) for name in figures)


def test_a_peer_that_fails_is_named_once_and_not_run_again(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    durable_jobs, peers_module = load("durable_jobs"), load("_peers")
    peers = peers_module.Peers(Path(sys.executable), {})
    missing: dict[str, str] = {}
    assert durable_jobs.attempt(peers, missing, "no_such_peer", 1) == {}
    assert missing["no_such_peer"].startswith("no_such_peer: ")
    missing["no_such_peer"] = "kept"
    assert durable_jobs.attempt(peers, missing, "no_such_peer", 1) == {}
    assert missing == {"no_such_peer": "kept"}
    assert durable_jobs.attempt(None, {}, "ray_local", 1) == {}


def test_peers_that_cannot_be_installed_are_said_so(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    peers = load("_peers")
    monkeypatch.setattr(peers, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(peers, "STAMP", tmp_path / "peers" / "bench.json")
    monkeypatch.setattr(peers, "LOCK", tmp_path / "peers.lock")
    (tmp_path / "peers.lock").write_text(f"no-such-file @ file://{tmp_path}/absent.whl\n")
    with pytest.raises(peers.Missing, match="cannot be installed"):
        peers.installed()
    assert not (tmp_path / "peers" / "bench.json").exists()


def test_celery_without_redis_says_what_to_install(tmp_path: Path) -> None:
    stub = "class Celery:\n def __init__(self, *a, **k): self.conf = {}\n def task(self, **k): return lambda f: f\n"
    (tmp_path / "celery.py").write_text(stub + "group = None\n")
    command = [sys.executable, str(BENCH / "peers" / "celery_redis.py"), "1", str(tmp_path)]
    environment = os.environ | {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("redis-server is not installed")


def test_the_peers_lock_is_pinned_hashed_and_without_addresses(load) -> None:  # type: ignore[no-untyped-def]
    text = (BENCH / "peers.lock").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f)\b", text, re.MULTILINE)
    entries = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[\w.\-\[\]]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    locked = {re.split(r"[=\[]", entry)[0] for entry in entries}
    assert {re.split(r"\[", name)[0] for name in load("_peers").WANTED} <= locked


def test_growth_is_told_from_noise(load) -> None:  # type: ignore[no-untyped-def]
    growth = load("footprint").growth
    assert growth([100, 900, 1000, 1100, 1200, 1300]) == pytest.approx((100.0, 0.0))
    slope, noise = growth([5000, 9000, 1000, 1010, 990, 1000])
    assert abs(slope) < 10
    assert 1 < noise < 20


def test_time_is_shared_out_by_process_and_job(load) -> None:  # type: ignore[no-untyped-def]
    network = load("_network")
    before = {"node": network.Use(1.0, 0.0, 10), "provider-1": network.Use(2.0, 1.0, 0), "client": network.Use(0, 0, 0)}
    after = {
        "node": network.Use(1.5, 0.0, 60),
        "provider-1": network.Use(2.2, 1.1, 20),
        "client": network.Use(0.1, 0, 0),
    }
    spent = network.per_job(before, after, 100)
    assert spent["node_cpu_ms"] == 5.0
    assert spent["node_commits"] == 0.5
    assert spent["provider-1_workers_cpu_ms"] == 1.0
    assert "client_commits" not in spent
    assert spent["total_cpu_ms"] == pytest.approx(9.0)


def test_processor_time_and_children_are_those_of_the_kernel(load) -> None:  # type: ignore[no-untyped-def]
    network = load("_network")
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "1\n"
        (child,) = network.descendants(parent.pid)
        assert child != parent.pid
        assert network.processor_s(parent.pid) > 0
        parent.communicate("\n")
    assert network.processor_s(parent.pid) == 0.0
    assert network.descendants(parent.pid) == []


def test_a_job_that_does_not_complete_ends_the_benchmark(load) -> None:  # type: ignore[no-untyped-def]
    network = load("_network")

    class View:
        state, detail = "rejected", "no provider"

    class Client:
        def submit_many(self, drafts: list[object]) -> list[str]:
            return ["a"]

        def wait_all(self, jobs: list[str]) -> tuple[View, ...]:
            return (View(),)

    with pytest.raises(SystemExit, match="1 of 1 jobs ended otherwise: rejected: no provider"):
        network.drained_s(Client(), [object()])


def test_commits_are_those_of_the_store(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import sqlite3

    network = load("_network").Network(tmp_path, [])
    assert network._commits("node") == 0
    (tmp_path / "node").mkdir()
    store = sqlite3.connect(tmp_path / "node" / "store.db", isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("CREATE TABLE t (x)")
    before = network._commits("node")
    for number in range(7):
        store.execute("INSERT INTO t VALUES (?)", (number,))
    assert network._commits("node") - before == 7
    store.close()


def test_both_sides_of_the_codec_make_the_same_of_every_value(load) -> None:  # type: ignore[no-untyped-def]
    codec = load("codec")
    made = codec.values()
    assert len({type(value) for value in made}) == len(made)
    for value in made:
        data = codec.cbor2_encode(value)
        assert codec.encode(value) == data
        assert codec.cbor2_decode(data, type(value)) == codec.decode(data, type(value)) == value
    with pytest.raises(AssertionError):
        codec.cbor2_decode(data + b"\0", type(value))


def test_the_one_second_kernel_is_the_same_on_both_sides(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    wasm_overhead = load("wasm_overhead")
    from quorate.execute.engine import Limits, Task, module_digest
    from quorate.execute.wasm.wasmtime_engine import WasmtimeEngine

    module = wasm_overhead.kernel(1000)
    engine = WasmtimeEngine()
    program = engine.compile(module)
    (tmp_path / "kernel.cwasm").write_bytes(engine.artefact(program))
    ended = engine.run(program, Task(id=b"x", module=module, digest=module_digest(module), limits=Limits(fuel=10**6)))
    command = [sys.executable, str(BENCH / "peers" / "wasmtime_direct.py"), str(tmp_path / "kernel.cwasm"), "1000000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as direct:
        cpu_s, value = wasm_overhead.direct_run(direct)
        assert value == ended.output
        assert cpu_s > 0


def test_machine_facts_name_the_processor_and_the_disk(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    machine: ModuleType = load("_machine")
    facts = machine.facts(tmp_path)
    assert {"cpu", "cores", "kernel", "python", "load_1_min", "fdatasync_p50_ms"} <= set(facts)
    assert facts["fdatasync_p50_ms"] > 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_the_reason_is_said(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    translation = load("translation")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(load("_peers").Missing, match="no C compiler"):
        translation.native(tmp_path)


def test_the_kernels_of_the_translation_are_what_they_are_called(load) -> None:  # type: ignore[no-untyped-def]
    translation = load("translation")
    engine, answers = translation.TranslationEngine(), {}
    for name, kernel in translation.KERNELS_HERE.items():
        argument = 2 if name == "sieve" else 20
        outcome = translation.translated(engine, name, kernel._replace(argument=argument))()
        answers[name] = outcome.results
    assert answers == {"loop": (6765,), "sieve": (6057,), "recursion": (6765,)}  # Fibonacci(20), primes below 60,000
