"""A WebAssembly contract runs in the jail as it runs outside: nothing is imported, opened or looked up late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.contract_probe import ends
from tests.support.wasm_contracts import contract, engine

from quorate.execute import jail

PROBE = Path(__file__).with_name("contract_probe.py")
CALLS = """
(func $deep (param i64) (result i64) (i64.add (i64.const 1) (call $deep (local.get 0))))
(func (export "all") (result i64)
  (call $sender (i32.const 0)) (call $self (i32.const 16)) (drop (call $epoch))
  (call $log (i32.const 0) (i32.const 32)) (call $hash (i32.const 0) (i32.const 32) (i32.const 32))
  (call $store_save (i32.const 0) (i32.const 16) (i32.const 0) (i32.const 64))
  (drop (call $store_load (i32.const 0) (i32.const 16) (i32.const 0) (i32.const 64)))
  (drop (call $transfer (i32.const 0) (i64.const 5)))
  (drop (call $verify_sig (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 0)))
  (i32.store (i32.const 528) (i32.const 64)) (call $balance (i32.const 16)))
(func (export "abort") unreachable)
(func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0))))
(func (export "grow") (drop (memory.grow (i32.const 9))) (drop (memory.grow (i32.const 900))) unreachable)
(func (export "outside") (call $log (i32.const -1) (i32.const 1)))
(func (export "recurse") (drop (call $deep (i64.const 0))))
(func (export "spin") (loop (br 0)))
(func (export "unknown") (drop (call $balance (i32.const 0))))
"""
NAMES = ("abort()", "all()", "divide()", "grow()", "outside()", "recurse()", "spin()", "unknown()")


@pytest.mark.skipif(
    bool(jail.missing(jail.layers())) or not jail.machine_name(), reason="this machine cannot jail workers"
)
def test_a_contract_ends_in_the_jail_as_it_does_outside() -> None:
    module = contract(CALLS, *NAMES)
    command = [sys.executable, PROBE, str(os.getpid())]
    done = subprocess.run(command, input=module, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert not jail.missing(told["held"])
    expected = ends(engine(), module)
    assert told["ends"] == expected
    for name, words in {
        "all": ("Status.OK", "results=(95,)", "Transfer(to="),
        "grow": ("Trap.MEMORY_RANGE",),
        "recurse": ("NativeStackOverflow",),
        "spin": ("Trap.OUT_OF_CYCLES",),
        "unknown": ("Status.UNRESOLVED",),
    }.items():
        assert all(word in expected[name] for word in words), expected[name]
