"""Editors who work apart and meet in any order have the same page, which reads as the rule says. What a user sees of
the contract is tested beside it, in contracts/wiki/wiki_test.py."""

from __future__ import annotations

import random
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shipped import replica_of

from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.replica import Replica

KEYS = sorted(
    (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in range(1, 4)),
    key=lambda key: key.public_key().public_bytes_raw(),
)
PUBLIC = b"".join(key.public_key().public_bytes_raw() for key in KEYS)
START = bytes(8)
Pieces = dict[bytes, list[Any]]


def signed(editor: int, domain: bytes, replica: Replica, page: bytes, rest: bytes) -> bytes:
    return KEYS[editor].sign(domain.ljust(24) + replica.self_id + page + rest)


class Editor:
    """One editor with a replica, who writes behind and strikes what is there."""

    def __init__(self, number: int, replica: Replica, chance: random.Random) -> None:
        self.number, self.replica, self.chance = number, replica, chance
        self.page = replica.call("create", b"Bread", PUBLIC).emitted
        self.log: list[bytes] = []

    @property
    def pieces(self) -> Pieces:
        found: Pieces = cbor2.loads(self.replica.call("whole", self.page).emitted)
        return found

    def act(self) -> None:
        pieces = self.pieces
        name = self.chance.choice([START, *sorted(pieces)])
        if name != START and self.chance.random() < 0.3:
            self._strike(name, pieces[name][1])
        else:
            self._write(name, max(int.from_bytes(one[:7], "big") for one in [START, *pieces]))

    def _write(self, before: bytes, latest: int) -> None:
        name = (latest + 1).to_bytes(7, "big") + bytes([self.number])
        text = self.chance.choice([b"", b"x", b"a longer text"])
        signature = signed(self.number, b"quorate wiki write v1", self.replica, self.page, name + before + text)
        self._merge(cbor2.dumps({name: [0, before, signature + text]}, canonical=True))

    def _strike(self, name: bytes, before: bytes) -> None:
        signature = signed(self.number, b"quorate wiki strike v1", self.replica, self.page, name + before)
        self._merge(cbor2.dumps({name: [1, before, bytes([self.number]) + signature]}, canonical=True))

    def _merge(self, change: bytes) -> None:
        self.log.append(change)
        self.replica.call("merge", self.page, change)

    def meet(self, other: Editor) -> None:
        """Takes what the other has."""
        self.replica.call("merge", self.page, other.replica.call("whole", other.page).emitted)

    @property
    def hash(self) -> bytes:
        return self.replica.call("page_hash", self.page).emitted


def text_of(pieces: Pieces) -> bytes:
    """How a page reads: each piece with all that was written behind it, the latest of several first."""

    def below(name: bytes) -> bytes:
        behind = [one for one, (_, before, _) in pieces.items() if before == name]
        return b"".join(line(one) + below(one) for one in sorted(behind, reverse=True))

    def line(name: bytes) -> bytes:
        struck, _, content = pieces[name]
        return b"" if struck else content[64:] + b"\n"

    return below(START)


@given(st.randoms(use_true_random=False))
def test_editors_who_meet_in_any_order_have_the_same_page(engine: Engine, chance: random.Random) -> None:
    replica = replica_of("wiki", engine)
    editors = [Editor(number, replica.fork(), chance) for number in range(3)]
    for _ in range(12):
        editor, other = chance.sample(editors, 2)
        if chance.random() < 0.25:
            editor.meet(other)
        else:
            editor.act()
    forth, back = (Editor(0, replica.fork(), chance) for _ in range(2))
    for editor in editors:
        forth.meet(editor)
    for editor in reversed(editors):
        back.meet(editor)
        back.meet(editor)
    assert forth.hash == back.hash
    everything = [change for editor in editors for change in editor.log]
    chance.shuffle(everything)
    alone = Editor(0, replica.fork(), chance)
    for change in everything:
        alone.replica.call("merge", alone.page, change)
    assert alone.hash == forth.hash
    for editor in [*editors, forth]:
        assert editor.replica.call("read", editor.page).emitted == text_of(editor.pieces)
    forth.meet(editors[0])
    assert forth.hash == back.hash
