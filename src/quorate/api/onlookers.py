"""What each party of a private job could see: what the protocol gives it, and what a search of its files finds.

The search looks for every eight bytes in a row of the input and of the result, in every file a party keeps. It leaves
out those that the program itself holds, since the program is public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quorate.model.assignment import Assignment
from quorate.model.codec import decode
from quorate.model.offer import Offer
from quorate.model.outcome import Receipt
from quorate.model.units import NodeId

WINDOW_BYTES = 8


@dataclass(frozen=True)
class Onlooker:
    """One party. `found` of the `searched` files it keeps hold a piece of the plaintext."""

    party: str
    input: str
    result: str
    knows: str
    searched: int
    found: int


def onlookers(home: Path, receipt: Receipt, pieces: frozenset[bytes]) -> list[Onlooker]:
    """Every party of the local network under `home`, as the receipt says what became of it."""
    drawn = executors(receipt)
    rows = [
        _looked("you", home / "client", pieces, ("yours", "opened here", "everything")),
        _looked("your node", home / "node", pieces, ("sealed", "sealed", "program, sizes, price, members")),
        _looked("sequencer", home / "sequencer", pieces, ("nothing", "nothing", "digests, payments, members")),
    ]
    for folder in sorted(home.glob("provider-*"), key=lambda path: int(path.name.rpartition("-")[2])):
        if folder.name in drawn.values():
            seen = ("plaintext", "plaintext", "the program it ran")
            rows.append(_looked(f"{folder.name}, executor", folder, pieces, seen))
        else:
            rows.append(_looked(f"{folder.name}, not drawn", folder, pieces, ("nothing", "nothing", "nothing of it")))
    return rows


def executors(receipt: Receipt) -> Mapping[NodeId, str]:
    """The members that were given the input's key, with their operators' names."""
    offers = [decode(signed.body, Offer) for signed in receipt.offers]
    names = {offer.provider: offer.operator for offer in offers}
    given = [decode(signed.body, Assignment) for past in receipt.rounds for signed in past.assignments]
    return {order.member: names.get(order.member, order.member.hex()[:8]) for order in given}


def windows(secrets: Iterable[bytes], public: Iterable[bytes]) -> frozenset[bytes]:
    """Every run of eight bytes of the secrets that occurs in nothing public."""
    pieces = {
        secret[start : start + WINDOW_BYTES] for secret in secrets for start in range(len(secret) - WINDOW_BYTES + 1)
    }
    known = tuple(public)
    return frozenset(piece for piece in pieces if not any(piece in data for data in known))


def search(folder: Path, pieces: frozenset[bytes]) -> tuple[int, int]:
    """How many files there are below `folder`, and how many of them hold one of the pieces."""
    searched = found = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            searched += 1
            found += any(piece in data for piece in pieces)
    return searched, found


def _looked(party: str, folder: Path, pieces: frozenset[bytes], seen: tuple[str, str, str]) -> Onlooker:
    return Onlooker(party, *seen, *search(folder, pieces))
