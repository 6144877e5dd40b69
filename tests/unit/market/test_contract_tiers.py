"""Where a contract may run: the tier that it declares against each class of device, and against what was shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.value_types import samples
from tests.support.wasm_contracts import PLACES, contract

from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.declaration import contract_of as bytecode_contract_of
from quorate.execute.contract_wasm.declaration import contract_of
from quorate.model.contract import Contract
from quorate.model.offer import DEVICE_CLASSES, TIER_CLASSES, Offer, tiers_of
from quorate.model.units import MIB

RUN = '(func (export "run"))'
BYTECODE = bytecode_contract_of(assemble(".memory 64\n.cycles 100\n.func run() -> 0\n    RET\n"))
LIGHT = contract_of(contract(RUN))
FULL = contract_of(contract(RUN, wasm_tier="full", max_memory_bytes=17 * MIB, places=PLACES))
SHOWN = ("bytecode:contract", "wasm:contract")


def offer(device_class: str, **changes: Any) -> Offer:
    """What an honest device of this class offers: the tiers of its class, and all machines."""
    words = SHOWN + tuple(f"tier:{tier}" for tier in tiers_of(device_class))
    made = {"device_class": device_class, "capabilities": words, "memory_bytes_max": 256 * MIB}
    return msgspec.structs.replace(samples(Offer)["least"], **(made | changes))


def why_not(declared: Contract, here: Offer) -> str:
    return here.unfit_for(declared.called("run"))


@pytest.mark.parametrize(
    ("device_class", "light", "full"),
    [
        ("Minimal", False, False),
        ("Community", True, False),
        ("Gateway", True, True),
        ("Backbone", True, True),
        ("Inference", True, True),
    ],
)
def test_each_class_runs_the_tiers_that_are_its_own(device_class: str, light: bool, full: bool) -> None:
    here = offer(device_class)
    assert why_not(BYTECODE, here) == ""
    assert (why_not(LIGHT, here) == "", why_not(FULL, here) == "") == (light, full)
    assert tiers_of(device_class) == ("light",) * light + ("full",) * full


def test_every_class_was_asked() -> None:
    assert DEVICE_CLASSES == ("Minimal", "Community", "Gateway", "Backbone", "Inference")
    assert set(TIER_CLASSES.values()) < set(DEVICE_CLASSES)


@pytest.mark.parametrize("device_class", ["Minimal", "Community"])
def test_a_tier_that_is_claimed_above_the_class_does_not_count(device_class: str) -> None:
    boasting = offer(device_class, capabilities=(*SHOWN, "tier:light", "tier:full"))
    assert why_not(FULL, boasting) == f"is of class {device_class}, tier full needs Gateway or above"


@pytest.mark.parametrize(
    ("declared", "word"),
    [
        (BYTECODE, "bytecode:contract"),
        (LIGHT, "wasm:contract"),
        (LIGHT, "tier:light"),
        (FULL, "wasm:contract"),
        (FULL, "tier:full"),
    ],
)
def test_what_was_not_shown_is_not_offered_whatever_the_class(declared: Contract, word: str) -> None:
    words = tuple(shown for shown in offer("Inference").capabilities if shown != word)
    assert why_not(declared, offer("Inference", capabilities=words)) == f"does not offer {word}"


def test_wasm_is_required_by_what_is_wasm() -> None:
    assert [declared.requires_wasm for declared in (BYTECODE, LIGHT, FULL)] == [False, True, True]
