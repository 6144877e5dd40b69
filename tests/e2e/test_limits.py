"""Limits that hold: caps of the network refused by name, and hostile guests that the rest does not notice."""

from __future__ import annotations

import threading
import time

import pytest
from tests.support import guests
from tests.support.network import Network, until

from quorate import Draft, Job, Quorate, ResourceLimits
from quorate.errors import AboveCap, MalformedModule, TooLarge, UserError
from quorate.model.job import INPUT_BYTES_MAX
from quorate.model.units import MIB

HOSTILE_AT_ONCE = 32
ANSWER_WITHIN_S = 1.0

GREEDY = """(module (memory (export "memory") 1)
  (func (export "run") (result i32)
    (loop $on
      (drop (memory.grow (i32.const 64)))
      (memory.fill (i32.const 0) (i32.const 7) (i32.shl (memory.size) (i32.const 16)))
      (br $on))
    (i32.const 0)))"""
DEEP = '(module (func $down (export "run") (result i32) (call $down)))'
TRAPS = '(module (func (export "run") (result i32) unreachable))'
DIVIDES = '(module (func (export "run") (result i32) (i32.div_s (i32.const 1) (i32.const 0))))'
FLOODS = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 100000))
    (loop $on
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $on))))"""
HOSTILE = {
    "forever": guests.FOREVER,
    "greedy": GREEDY,
    "deep": DEEP,
    "traps": TRAPS,
    "divides": DIVIDES,
    "floods": FLOODS,
}
ENDINGS = {
    "forever": {"RunTimeout"},
    "greedy": {"out_of_fuel", "RunTimeout"},
    "deep": {"JobFailed"},
    "traps": {"unreachable"},
    "divides": {"division_by_zero"},
    "floods": {"output_limit"},
}


def hostile(kind: str) -> Draft:
    limits = ResourceLimits(fuel=10**10, run_ms=1_000, memory_bytes=16 * MIB, output_bytes=MIB)
    return Job.builder().wasm(HOSTILE[kind]).public_input(b"").limits(limits).proof("trust").build()


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (ResourceLimits(memory_bytes=257 * MIB), "memory_bytes"),
        (ResourceLimits(fuel=10**10 + 1), "fuel"),
        (ResourceLimits(run_ms=300_001), "run_ms"),
        (ResourceLimits(output_bytes=17 * MIB), "output_bytes"),
    ],
)
def test_limits_above_the_caps_are_refused_by_name(client: Quorate, limits: ResourceLimits, field: str) -> None:
    before = len(client.list())
    with pytest.raises(AboveCap) as refused:
        client.submit(Job.builder().wasm(guests.ANSWER).public_input(b"").limits(limits).build())
    assert refused.value.field == field
    assert refused.value.limit
    assert refused.value.fix
    assert len(client.list()) == before, "nothing half done"


def test_an_input_above_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        Job.builder().wasm(guests.REVERSE).public_input(bytes(INPUT_BYTES_MAX + 1))


def test_a_module_that_is_none_is_refused() -> None:
    with pytest.raises(UserError):
        Job.builder().wasm(b"\0asm\1\0\0\0 and then nothing of use").public_input(b"").build()
    with pytest.raises(MalformedModule):
        Job.builder().wasm("(module (func").public_input(b"").build()


class Patience:
    """Asks the node again and again, as a user would, and keeps the longest time that it took to answer."""

    def __init__(self, network: Network) -> None:
        self._client = network.client()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest_s = 0.0
        self.asked = 0

    def __enter__(self) -> Patience:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            started = time.monotonic()
            self._client.network()
            self._client.list(5)
            self.longest_s = max(self.longest_s, time.monotonic() - started)
            self.asked += 1


def test_the_node_answers_beside_32_hostile_guests(network: Network, client: Quorate) -> None:
    kinds = [list(HOSTILE)[number % len(HOSTILE)] for number in range(HOSTILE_AT_ONCE)]
    with Patience(network) as patience:
        jobs = client.submit_many([hostile(kind) for kind in kinds])
        ends = [until(lambda job=job: (now := client.status(job)).ended and now, 60) for job in jobs]
    assert patience.asked > 20
    assert patience.longest_s < ANSWER_WITHIN_S
    for kind, view in zip(kinds, ends, strict=True):
        how = view.error or client.result(view.job).status
        assert how in ENDINGS[kind], f"{kind} ended as {how}"
    assert client.wait(client.submit(guests.private(guests.REVERSE, b"abc")), 30).decrypt() == b"cba"
    assert all(network.alive(name) for name in network.ids if name != "client"), "no process of the network died"


def test_every_provider_still_offers(network: Network, client: Quorate) -> None:
    assert client.network()["standing_offers"] == len(network.providers)
    assert not network.book().slashes()
