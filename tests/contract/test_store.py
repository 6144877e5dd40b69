"""What every Store promises (`quorate.ports.Store`), run for each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from quorate.adapters.storage import KEY_BYTES_MAX, KIND_CHARS_MAX, VALUE_BYTES_MAX
from quorate.adapters.storage.memory import MemoryStore
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.errors import InvalidField, QuorateError, TooLarge, WorldError
from quorate.ports import Row, Store

ADAPTERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "node" / "store.sqlite"),
}


@pytest.fixture(params=ADAPTERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = ADAPTERS[request.param](tmp_path)
    yield opened
    await opened.close()


async def test_a_saved_row_is_read_back(store: Store) -> None:
    await store.save([Row("job", b"a", b"one"), Row("job", b"b", b"")])
    assert store.load("job", b"a") == b"one"
    assert store.load("job", b"b") == b""


async def test_what_was_never_saved_is_none(store: Store) -> None:
    await store.save([Row("job", b"a", b"one")])
    assert store.load("job", b"x") is None
    assert store.load("offer", b"a") is None, "kinds are apart"
    assert list(store.scan("offer")) == []


async def test_a_later_value_replaces_and_none_deletes(store: Store) -> None:
    await store.save([Row("job", b"a", b"one"), Row("job", b"b", b"two")])
    await store.save([Row("job", b"a", b"three"), Row("job", b"b", None), Row("job", b"never", None)])
    assert list(store.scan("job")) == [(b"a", b"three")]


async def test_the_last_of_several_rows_for_one_key_stands(store: Store) -> None:
    await store.save([Row("job", b"a", b"1"), Row("job", b"a", None), Row("job", b"a", b"2"), Row("job", b"b", b"3")])
    await store.save([Row("job", b"b", b"4"), Row("job", b"b", None)])
    assert list(store.scan("job")) == [(b"a", b"2")]


async def test_saves_apply_in_the_order_of_their_calls(store: Store) -> None:
    for _ in range(5):
        await asyncio.gather(*(store.save([Row("job", b"a", b"%d" % count)]) for count in range(300)))
        assert store.load("job", b"a") == b"299"


async def test_saves_of_many_sizes_are_whole(store: Store) -> None:
    sizes = (1, 2, 3, 63, 64, 65, 511, 512, 513, 1500)
    await asyncio.gather(
        *(store.save([Row(f"of-{size}", b"%05d" % n, b"v%d" % n) for n in range(size)]) for size in sizes)
    )
    for size in sizes:
        assert list(store.scan(f"of-{size}")) == [(b"%05d" % n, b"v%d" % n) for n in range(size)]


async def test_a_scan_is_in_key_order_and_can_be_resumed(store: Store) -> None:
    keys = [bytes([first, second]) for first in range(0, 256, 5) for second in range(0, 256, 17)]
    await store.save([Row("job", key, key[::-1]) for key in reversed(keys)])
    rows = list(store.scan("job"))
    assert rows == [(key, key[::-1]) for key in keys]
    assert list(store.scan("job", limit=7)) == rows[:7]
    assert list(store.scan("job", after=keys[299], limit=301)) == rows[300:601]
    assert list(store.scan("job", after=keys[-1])) == []
    assert list(store.scan("job", limit=0)) == []


async def test_saves_during_a_scan_neither_break_nor_repeat_it(store: Store) -> None:
    await store.save([Row("job", b"%06d" % count, b"old") for count in range(2000)])
    seen = []
    for place, (key, _) in enumerate(store.scan("job")):
        seen.append(key)
        if place % 100 == 0:
            await store.save([Row("job", b"%06d-new" % place, b"new"), Row("job", b"%06d" % (place + 1999), None)])
    assert seen == sorted(set(seen))
    assert {b"%06d" % count for count in range(1999)} <= set(seen), "rows that nobody touched are all there"


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (Row("", b"a", b""), InvalidField),
        (Row("k" * (KIND_CHARS_MAX + 1), b"a", b""), InvalidField),
        (Row("jöb", b"a", b""), InvalidField),
        (Row("job\0", b"a", b""), InvalidField),
        (Row("job", b"", b""), InvalidField),
        (Row("job", b"a" * (KEY_BYTES_MAX + 1), b""), InvalidField),
        (Row("job", "a", b""), InvalidField),  # type: ignore[arg-type]
        (Row("job", b"a", "text"), InvalidField),  # type: ignore[arg-type]
        (Row("job", b"a", bytearray(b"x")), InvalidField),
        (Row("job", b"a", bytes(VALUE_BYTES_MAX + 1)), TooLarge),
    ],
)
async def test_a_bad_row_refuses_its_save_and_no_other(store: Store, row: Row, error: type[QuorateError]) -> None:
    good = [store.save([Row("job", b"%d" % count, b"good")]) for count in range(3)]
    bad = store.save([Row("job", b"half", b"done"), row])
    answers = await asyncio.gather(good[0], bad, *good[1:], return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), error, type(None), type(None)]
    assert [key for key, _ in store.scan("job")] == [b"0", b"1", b"2"], "a failed save leaves nothing behind"


async def test_a_cancelled_caller_does_not_disturb_the_others(store: Store) -> None:
    tasks = [asyncio.create_task(store.save([Row("job", b"%03d" % count, b"v")])) for count in range(100)]
    await asyncio.sleep(0)
    tasks[50].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(answer is None for place, answer in enumerate(answers) if place != 50)
    assert len(list(store.scan("job"))) >= 99


async def test_close_finishes_what_was_asked_and_refuses_what_comes_after(store: Store) -> None:
    pending = [asyncio.create_task(store.save([Row("job", b"%d" % count, b"v")])) for count in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    assert await asyncio.gather(*pending) == [None] * 50
    await store.close()
    with pytest.raises(WorldError, match="closed"):
        await store.save([Row("job", b"a", b"b")])
    with pytest.raises(WorldError, match="closed"):
        store.load("job", b"a")
    with pytest.raises(WorldError, match="closed"):
        list(store.scan("job"))
