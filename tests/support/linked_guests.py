"""Programs of several modules, written in WebAssembly text. A module names those it imports from by the digest of their
bytes, so each is made from the ones below it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import wasmtime

from quorate.crypto.digests import blob_digest
from quorate.execute.wasm.linking import import_name
from quorate.model.units import Digest


class Linked(NamedTuple):
    """A module and all that it needs."""

    module: bytes
    libraries: tuple[bytes, ...]

    @property
    def digest(self) -> Digest:
        return blob_digest(self.module)

    @property
    def dependencies(self) -> tuple[Digest, ...]:
        """As the program lists them."""
        return tuple(sorted(map(blob_digest, self.libraries)))


def made(text: str, *below: Linked) -> Linked:
    """The module of `text`, in which `{0}`, `{1}` stand for the names of those below it."""
    for at, part in enumerate(below):
        text = text.replace(f"{{{at}}}", import_name(part.digest))
    libraries = dict.fromkeys(code for part in below for code in (*part.libraries, part.module))
    return Linked(bytes(wasmtime.wat2wasm(text)), tuple(libraries))


ADD_TEXT = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'

MULTIPLY_TEXT = """(module (import "{0}" "add" (func $add (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "a memory that is its own")
  (func (export "multiply") (param $left i32) (param $right i32) (result i32)
    (i32.store (i32.const 1024) (i32.const 0))
    (block $done (loop $on
      (br_if $done (i32.eqz (local.get $right)))
      (i32.store (i32.const 1024) (call $add (i32.load (i32.const 1024)) (local.get $left)))
      (local.set $right (i32.sub (local.get $right) (i32.const 1)))
      (br $on)))
    (i32.load (i32.const 1024))))"""
"""By adding as often as it must, in a memory of its own."""

SQUARE_TEXT = """(module (import "{0}" "multiply" (func $multiply (param i32 i32) (result i32)))
  (func (export "square") (param i32) (result i32) (call $multiply (local.get 0) (local.get 0))))"""

SUM_TEXT = """(module
  (import "{0}" "square" (func $square (param i32) (result i32)))
  (import "{1}" "add" (func $add (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "run") (param $from i32) (param $length i32) (result i64)
    (local $sum i32) (local $end i32)
    (local.set $end (i32.add (local.get $from) (local.get $length)))
    (block $done (loop $on
      (br_if $done (i32.eq (local.get $from) (local.get $end)))
      (local.set $sum (call $add (local.get $sum) (call $square (i32.load8_u (local.get $from)))))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br $on)))
    (i32.store (i32.const 0) (local.get $sum))
    (i64.const 4)))"""
"""The sum of the squares of its input's bytes, as four bytes, little end first. Three levels lie below it: squares are
products, products are sums."""


class Tower(NamedTuple):
    """The four modules of such a program, from the lowest to the program itself."""

    add: Linked
    multiply: Linked
    square: Linked
    program: Linked


def tower(pad_bytes: int = 0, name: str = "") -> Tower:
    """With `pad_bytes` more in each library, which nothing reads and which differ by `name`: so every network meets
    modules that it has never seen, as large as need be."""
    add = padded(made(ADD_TEXT), pad_bytes, name)
    multiply = padded(made(MULTIPLY_TEXT, add), pad_bytes, name)
    square = padded(made(SQUARE_TEXT, multiply), pad_bytes, name)
    return Tower(add, multiply, square, made(SUM_TEXT, square, add))


def padded(part: Linked, size: int, name: str) -> Linked:
    """A custom section at the end (WebAssembly core specification 2.0, section 5.5.3) takes any bytes."""
    if not size:
        return part
    content = b"\x03pad" + hashlib.shake_256(name.encode()).digest(size)
    head = bytes([*((len(content) >> shift & 0x7F) | 0x80 for shift in (0, 7, 14)), len(content) >> 21])
    return part._replace(module=part.module + b"\0" + head + content)


ADD, MULTIPLY, SQUARE, SUM_OF_SQUARES = tower()

TALLY = made(
    """(module (global $count (mut i32) (i32.const 0))
  (func (export "mark") (param i32)
    (global.set $count (i32.add (i32.mul (global.get $count) (i32.const 10)) (local.get 0))))
  (func (export "read") (result i32) (global.get $count)))"""
)
"""Keeps the digits that it is given, in order: whoever shares it sees what the others did, and when."""


def marker(digit: int, *, more: str = "", how: str = "start", needs: Iterable[Linked] = ()) -> Linked:
    """Marks the tally with `digit` when it comes to life: in its start function, or in `_initialize`. Imports `ok` from
    each of `needs`."""
    others = "".join(f'(import "{{{at}}}" "ok" (func))' for at, _ in enumerate(needs, 1))
    begins = "(start $begin)" if how == "start" else '(export "_initialize" (func $begin))'
    text = f"""(module (import "{{0}}" "mark" (func $mark (param i32))) {others} {more}
  (func $begin (call $mark (i32.const {digit}))) {begins} (func (export "ok")))"""
    return made(text, TALLY, *needs)


def reader(*above: Linked) -> Linked:
    """What the tally says once all of `above` are alive."""
    others = "".join(f'(import "{{{at}}}" "ok" (func))' for at, _ in enumerate(above, 1))
    return made(
        f'(module (import "{{0}}" "read" (func $read (result i32))) {others} (export "run" (func $read)))',
        TALLY,
        *above,
    )


def sum_of_squares(data: bytes) -> bytes:
    return sum(byte * byte for byte in data).to_bytes(4, "little")
