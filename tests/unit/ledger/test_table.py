"""The immutable map behaves as a dictionary, and old versions stay as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.ledger.table import Table

Steps = st.lists(st.tuples(st.sampled_from(["put", "without"]), st.integers(0, 40), st.integers()), max_size=60)


@given(Steps)
def test_it_is_a_dictionary_that_keeps_its_past(steps: list[tuple[str, int, int]]) -> None:
    table: Table[bytes, int] = Table()
    model: dict[bytes, int] = {}
    past: list[tuple[Table[bytes, int], dict[bytes, int]]] = []
    for verb, number, value in steps:
        key = number.to_bytes(32, "big")
        past.append((table, dict(model)))
        if verb == "put":
            table, model[key] = table.put(key, value), value
        else:
            table = table.without(key)
            model.pop(key, None)
    for version, expected in [*past, (table, model)]:
        assert dict(version.items()) == expected
        assert len(version) == len(expected)
        assert all(
            version.get(key) == value and key in version and version[key] == value for key, value in expected.items()
        )
        assert sorted(version.values()) == sorted(expected.values())


def test_it_holds_many() -> None:
    table: Table[bytes, int] = Table()
    for number in range(20_000):
        table = table.put(number.to_bytes(32, "big"), number)
    assert len(table) == 20_000
    assert table.get((19_999).to_bytes(32, "big")) == 19_999
    assert table.get(b"absent") is None
    assert table.without(b"absent") is table
