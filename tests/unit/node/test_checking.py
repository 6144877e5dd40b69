"""What a member's own offer does not cover, it does not run, whatever the roster said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.ledger_world import LIMITS, World

from quorate.model.resources import asked
from quorate.node.checking import unfit

WORLD = World(providers=0)
OFFER = WORLD.offer(WORLD.node, capabilities=("wasm:pure", "tier:light"), region="north")


def test_a_job_within_the_offer_is_covered() -> None:
    resources = asked({"cpu_cores": OFFER.cpu_cores, "storage_bytes": OFFER.storage_bytes})
    assert unfit(WORLD.job(regions=("north", "south"), resources=resources), OFFER) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resources": asked({"cpu_cores": 3})}, "offered 2 cores, the job asks for 3"),
        ({"resources": asked({"storage_bytes": 1 << 40})}, "bytes of storage"),
        ({"resources": asked({"bandwidth_bytes_per_s": 1})}, "offered 0 bytes per second as stated"),
        ({"resources": asked({"gpu_units": 1})}, "offered 0 GPUs"),
        ({"regions": ("south",)}, "in region north"),
        ({"limits": msgspec.structs.replace(LIMITS, memory_bytes=(1 << 30) + 1)}, "above the offered limits"),
        ({"privacy": ("enclave",)}, "privacy tier"),
    ],
)
def test_a_job_beyond_the_offer_is_refused(change: dict[str, Any], words: str) -> None:
    assert words in unfit(WORLD.job(**change), OFFER)


def test_a_program_of_a_kind_that_is_not_offered_is_refused() -> None:
    linked = msgspec.structs.replace(WORLD.job().core.program, dependencies=(b"\1" * 32,))
    for words, fits in (
        (("wasm:command",), False),
        (("wasm:pure",), False),
        (("wasm:pure", "tier:light"), False),
        (("wasm:pure", "tier:light", "wasm:linked"), True),
    ):
        offer = msgspec.structs.replace(OFFER, capabilities=words)
        assert unfit(WORLD.job(program=linked), offer) == ("" if fits else "program kind not offered")
    assert unfit(WORLD.job(), msgspec.structs.replace(OFFER, capabilities=("wasm:pure", "tier:light"))) == ""
