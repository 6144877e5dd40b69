"""Where a contract may run: the device class and the shown capabilities of an offer against what the contract declares.

Bytecode runs on every device that has shown its machine. WebAssembly needs its tier: light from class Community on,
full from Gateway on. A class counts for more than a word: a Minimal device that claims a tier does not have it.
"""

from __future__ import annotations

from quorate.model.contract import Contract
from quorate.model.offer import TIER_CLASSES, Offer, tiers_of


def requires_wasm(contract: Contract) -> bool:
    """Whether the contract needs more than the bytecode machine."""
    return contract.kind == "wasm"


def why_not(contract: Contract, offer: Offer) -> str:
    """Why `contract` may not run on what `offer` offers, as the rest of a sentence about its provider; empty if it
    may."""
    wanted = [f"{contract.kind}:contract"]
    if requires_wasm(contract):
        tier = contract.wasm_tier
        if tier not in tiers_of(offer.device_class):
            return f"is of class {offer.device_class}, tier {tier} needs {TIER_CLASSES[tier]} or above"
        wanted.append(f"tier:{tier}")
    lacking = [word for word in wanted if word not in offer.capabilities]
    if lacking:
        return f"does not offer {', '.join(lacking)}"
    if contract.max_memory_bytes > offer.memory_bytes_max:
        return f"offers {offer.memory_bytes_max} bytes of memory, the contract declares {contract.max_memory_bytes}"
    return ""
