"""Rows of the ledger that have left memory: a ledger keeps settled escrows for a day, and a day may bring millions.

Two kinds of rows come with every job and never change once they are written: the mark that the job had its escrow, and
an escrow that is settled, with the answers it gave. Whoever runs the ledger may make such rows durable together with
the block that wrote them (`rows`) and then drop them from the state (`put_away`). The tables of the state stand over
the archive, so for the rules of the ledger nothing is different, and the machine stays a function of its history:

* A row says which block wrote it. While a block is applied, only rows of earlier blocks count; so a replay, which finds
  the rows of later blocks too, sees what was seen the first time.
* A row says until when it counts, and is as good as swept afterwards. It stays in the store, as its block does.
* A settled escrow of which a party is slashed comes back into the state and stays there until it is swept; its archived
  row stays what it was. Each such escrow has cost somebody a bond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec

from quorate.errors import MalformedBytes
from quorate.ledger.journal import Journal, Tile
from quorate.ledger.state import HOUR_MS, Escrow, State, Taken, replace
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import Value
from quorate.model.settlement import Settlement

Load = Callable[[str, bytes], bytes | None]
"""The durable row of a kind with a key."""
TILE_KIND = "log_tile"


class Final(NamedTuple):
    """A row of the state that nothing changes any more."""

    table: Literal["jobs", "escrows"]
    key: bytes
    value: Taken | Escrow


_KINDS = {"jobs": "past_job", "escrows": "past_escrow"}
_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    "jobs": msgspec.msgpack.Decoder(tuple[int, int, Taken]),
    "escrows": msgspec.msgpack.Decoder(tuple[int, int, Escrow]),
}
_ENCODER = msgspec.msgpack.Encoder()


def final(state: State, said: Iterable[Value]) -> Iterator[Final]:
    """What was written for good by the block that led to `state` and said these events."""
    for event in said:
        if isinstance(event, EscrowOpened):
            yield Final("jobs", event.job, state.jobs[event.job])
        elif isinstance(event, Settlement) and (escrow := state.escrows[event.agreement]).settlement:
            yield Final("escrows", event.agreement, escrow)


def put_away(state: State, rows: Iterable[Final]) -> State:
    """The state without rows that are in the archive. One that has changed since stays."""
    tables = {name: getattr(state, name) for name in _KINDS}
    for name, key, value in rows:
        if tables[name].get(key) is value:
            tables[name] = tables[name].without(key)
    state = replace(state, **tables)
    return state.past.over(state, state.height + 1) if state.past else state


class Archive:
    """The archived rows of one ledger, read through `load`."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def over(self, state: State, below: int) -> State:
        """The state with its tables over the rows that blocks below height `below` left here."""
        oldest_ms = state.swept_hour * HOUR_MS
        tables = {name: getattr(state, name).over(partial(self._find, name, below, oldest_ms)) for name in _KINDS}
        return replace(state, **tables)

    def _find(self, table: str, below: int, oldest_ms: int, key: bytes) -> Any:
        stored = self._load(_KINDS[table], key)
        if stored is None:
            return None
        try:
            height, until_ms, value = _DECODERS[table].decode(stored)
        except msgspec.MsgspecError:
            raise MalformedBytes("a row of the store is damaged", field=_KINDS[table], evidence=stored[:256]) from None
        return value if height < below and until_ms >= oldest_ms else None

    def tile(self, level: int, number: int) -> bytes:
        """A tile of the log that was put away."""
        found = self._load(TILE_KIND, _tile_key(level, number))
        assert found is not None, "a tile that was put away is durable"
        return found

    def holds(self, rows: Iterable[Final], height: int) -> list[Final]:
        """Those of `rows`, which block `height` wrote, that are here and the same."""
        return [row for row in rows if self._load(_KINDS[row.table], row.key) == _packed(row, height)]

    def holds_tiles(self, journal: Journal) -> bool:
        """Whether all tiles that could leave memory are here and the same."""
        tiles = journal.full_tiles()
        return all(self._load(TILE_KIND, _tile_key(tile.level, tile.number)) == tile.nodes for tile in tiles)


def rows(finals: Sequence[Final], height: int, tiles: Iterable[Tile]) -> Iterator[tuple[str, bytes, bytes]]:
    """Kind, key and value of what is to be saved with block `height`."""
    for row in finals:
        yield _KINDS[row.table], row.key, _packed(row, height)
    for tile in tiles:
        yield TILE_KIND, _tile_key(tile.level, tile.number), tile.nodes


def _packed(row: Final, height: int) -> bytes:
    """The stored form: it belongs to one version."""
    return _ENCODER.encode((height, row.value.until_ms, row.value))


def _tile_key(level: int, number: int) -> bytes:
    return level.to_bytes(1, "big") + number.to_bytes(8, "big")
