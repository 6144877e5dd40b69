"""Altered receipts: by a thief without keys, and by parties that sign what they should not.

`Forge` keeps the receipt canonical (stamps and keys sorted, none idle) after a change, so that a test meets the step it
is about and not the one that checks the form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from tests.support.job_town import Town

from quorate.crypto import merkle
from quorate.crypto.signing import Identity, node_id
from quorate.jobs.receipt_case import signed_parts
from quorate.ledger.journal import event_leaf
from quorate.model.codec import Value, decode, encode
from quorate.model.evidence import Proven, Signed
from quorate.model.network import Checkpoint
from quorate.model.outcome import Receipt, RoundRecord

V = TypeVar("V", bound=Value)
replace = msgspec.structs.replace


class Forge:
    """Everything that can be signed in one town."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def canonical(self, receipt: Receipt) -> Receipt:
        """With exactly the stamps and bundles that it needs, as far as the town has them."""
        signed = signed_parts(receipt)
        bundles = {node_id(who.bundle): who.bundle for who in self.town.identities.values()}
        return replace(
            receipt,
            stamps=tuple(
                self.town.stamps[key] for key in sorted({item.stamp for item in signed}) if key in self.town.stamps
            ),
            bundles=tuple(bundles[key] for key in sorted({item.signer for item in signed}) if key in bundles),
        )

    def said(self, signed: Signed, kind: type[V], who: Identity | None = None, **changes: Any) -> Signed:
        """The statement changed, and signed by `who` or by the same signer as before."""
        value = replace(decode(signed.body, kind), **changes)
        (again,) = self.town.sign(who or self.town.identities[signed.signer], value)
        return again

    def put(self, receipt: Receipt, **changes: Any) -> Receipt:
        return self.canonical(replace(receipt, **changes))

    def put_round(self, receipt: Receipt, number: int, **changes: Any) -> Receipt:
        record: RoundRecord = replace(receipt.rounds[number - 1], **changes)
        rounds = (*receipt.rounds[: number - 1], record, *receipt.rounds[number:])
        return self.put(receipt, rounds=rounds)

    def proven(
        self, event: Value | bytes, like: Proven, who: Identity | None = None, size: int = 0, **changes: Any
    ) -> Proven:
        """An event at the end of another log of the same size (or `size`), under a checkpoint that the sequencer (or
        `who`) signs."""
        data = event if isinstance(event, bytes) else encode(event)
        checkpoint = decode(like.checkpoint.body, Checkpoint)
        size = size or checkpoint.size
        others = [event_leaf(place.to_bytes(4, "big")) for place in range(size - 1)]
        tree = merkle.levels([*others, event_leaf(data)])
        values = {"size": size, "root": tree[-1][0], **changes}
        (signed,) = self.town.sign(who or self.town.sequencer, replace(checkpoint, **values))
        return Proven(event=data, index=size - 1, path=merkle.path(tree, size - 1), checkpoint=signed)


Path = tuple[str | int, ...]


def altered(plain: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every copy of a plain value with one thing altered: a leaf changed, an item of a list dropped or doubled, two
    neighbours exchanged."""
    if isinstance(plain, dict):
        for key, item in plain.items():
            for where, other in altered(item, (*path, key)):
                yield where, {**plain, key: other}
    elif isinstance(plain, (list, tuple)):
        yield from _altered_list(list(plain), path)
    else:
        yield path, _another(plain)


def _altered_list(plain: list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for place, item in enumerate(plain):
        before, after = plain[:place], plain[place + 1 :]
        yield (*path, place, "dropped"), [*before, *after]
        yield (*path, place, "doubled"), [*before, item, item, *after]
        if after and after[0] != item:
            yield (*path, place, "exchanged"), [*before, after[0], item, *after[1:]]
        for where, other in altered(item, (*path, place)):
            yield where, [*before, other, *after]


def _another(leaf: Any) -> Any:
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int):
        return leaf + 1
    if isinstance(leaf, bytes):
        return bytes([leaf[0] ^ 1]) + leaf[1:] if leaf else b"\1"
    if isinstance(leaf, str):
        return leaf + "x"
    return b"\1" * 32
