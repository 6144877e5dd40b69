"""Guests that tests run on real providers, as text or from the examples, and drafts made of them."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.support.repository import ROOT

from quorate import Job
from quorate.api.builder import Builder, Draft

GUESTS = ROOT / "examples" / "guests"
AGGREGATION = ROOT / "examples" / "aggregation" / "aggregation.wasm"
AGGREGATION_INPUT = ROOT / "examples" / "aggregation" / "input.json"
ANSWER = GUESTS / "answer.wasm"
ANSWER_OUTPUT = struct.pack("<i", 42)
FOLD = GUESTS / "fold.wasm"
REVERSE = GUESTS / "reverse.wasm"

FOREVER = f"""(module (func (export "run") (result f64) (local $x f64)
  (local.set $x (f64.const 2))
  (loop $on
    (local.set $x {"(f64.sqrt " * 32} (local.get $x) {")" * 32})
    (br $on))
  (local.get $x)))"""
"""Ends only by a limit. Roots of roots are slow for the fuel they cost: the most a network allows lasts a minute."""

_BUFFER = """
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
"""

SPIN = f"""(module {_BUFFER}
  (func (export "run") (param $from i32) (param $length i32) (result i64)
    (local $left i64)
    (local.set $left (i64.load (local.get $from)))
    (block $done (loop $on
      (br_if $done (i64.eqz (local.get $left)))
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br $on)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $from)) (i64.const 32)) (i64.const 4))))"""
"""Counts down from the number in its input (eight bytes, little end first), then gives the first four bytes of it."""

MANY = f"""(module {_BUFFER}
  (global $calls (mut i32) (i32.const 0))
  (func $deep (param i64) (result i64)
    (i64.add (i64.const 1) (call $deep (i64.add (i64.const 1) (local.get 0)))))
  (func (export "run") (param $from i32) (param $length i32) (result i64)
    (local $first i32) (local $left i32)
    (local.set $first (i32.load8_u (local.get $from)))
    (if (i32.eq (local.get $first) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $first) (i32.const 102)) (then (loop $on (br $on))))
    (if (i32.eq (local.get $first) (i32.const 100)) (then (drop (call $deep (i64.const 0)))))
    (if (i32.eq (local.get $first) (i32.const 109)) (then (loop $on
      (br_if $on (i32.ne (i32.const -1) (memory.grow (i32.const 1)))) unreachable)))
    (if (i32.eq (local.get $first) (i32.const 115)) (then
      (local.set $left (i32.mul (i32.const 1000000) (i32.load8_u offset=1 (local.get $from))))
      (loop $on (br_if $on (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
    (if (i32.eq (local.get $first) (i32.const 99)) (then
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.store8 offset=1 (local.get $from) (i32.add (global.get $calls) (i32.load8_u (i32.const 9))))
      (i32.store8 (i32.const 9) (i32.const 7))
      (local.set $length (i32.const 2))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $from)) (i64.const 32)) (i64.extend_i32_u (local.get $length)))))"""
"""Does what the first letter of its input says: trap, run forever, go too deep, hog memory, spin for as many millions
of turns as the second byte says, count its calls in this store. Any other input comes back as it is."""

SPIN_FUEL_PER_TURN = 8
"""More than one turn of the loop costs."""


def turns(count: int) -> bytes:
    return struct.pack("<Q", count)


def spin(count: int) -> Builder:
    """A public job that takes some hundred million turns a second."""
    from quorate import ResourceLimits

    fuel = min(10**10, SPIN_FUEL_PER_TURN * count + 10_000)
    return Job.builder().wasm(SPIN).public_input(turns(count)).limits(ResourceLimits(fuel=fuel, run_ms=60_000))


def private(module: Path | str | bytes, data: bytes, replicas: int = 3) -> Draft:
    """A private job with a quorum of `replicas`."""
    return Job.builder().wasm(module).private_input(data).with_ownership_proof().replication(replicas).build()


def public(module: Path | str | bytes, data: bytes = b"", replicas: int = 3) -> Draft:
    return Job.builder().wasm(module).public_input(data).replication(replicas).build()
