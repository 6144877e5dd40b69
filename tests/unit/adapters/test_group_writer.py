"""One thread, groups, one wake-up a group, and no caller left without an answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from quorate.adapters.group_writer import GROUP_BYTES_MAX, GROUP_ITEMS_MAX, GroupWriter
from quorate.errors import DiskFull, QuorateError, WorldError


class Disk:
    """Answers each number with its double, refuses 13, fails on 666; remembers its groups."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.groups: list[list[int]] = []
        self.threads: set[int] = set()
        self.rests = 0
        self._seconds = seconds

    def commit(self, numbers: list[int]) -> Sequence[int | QuorateError]:
        self.groups.append(numbers)
        self.threads.add(threading.get_ident())
        time.sleep(self._seconds)
        if 666 in numbers:
            raise ZeroDivisionError("a fault of the code")
        return [DiskFull("full") if number == 13 else number * 2 for number in numbers]

    def rest(self) -> None:
        self.rests += 1
        raise OSError("housekeeping failed")


async def test_what_arrives_during_a_commit_shares_the_next() -> None:
    disk = Disk(seconds=0.02)
    writer = GroupWriter("disk", disk.commit)
    first = asyncio.ensure_future(writer.submit(0, 1))
    await asyncio.sleep(0.01)
    answers = await asyncio.gather(first, *(writer.submit(number, 1) for number in range(100, 150)))
    assert answers == [0, *range(200, 300, 2)]
    assert disk.groups == [[0], list(range(100, 150))]
    assert len(disk.threads) == 1
    assert threading.get_ident() not in disk.threads
    await writer.close()


async def test_one_wake_up_for_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = GroupWriter("disk", Disk(seconds=0.01).commit)
    loop = asyncio.get_running_loop()
    wake_ups = []
    plain = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *call: wake_ups.append(call) or plain(*call))
    await asyncio.gather(*(writer.submit(number, 1) for number in range(2, 12)))
    assert len(wake_ups) <= 2
    monkeypatch.undo()
    await writer.close()


async def test_an_error_reaches_its_caller_alone() -> None:
    writer = GroupWriter("disk", Disk().commit)
    answers = await asyncio.gather(*(writer.submit(number, 1) for number in (1, 13, 2)), return_exceptions=True)
    assert answers[0] == 2
    assert isinstance(answers[1], DiskFull)
    assert answers[2] == 4
    await writer.close()


async def test_a_fault_of_the_code_answers_everybody_and_the_thread_goes_on() -> None:
    writer = GroupWriter("disk", Disk().commit)
    answers = await asyncio.gather(writer.submit(666, 1), return_exceptions=True)
    assert isinstance(answers[0], WorldError)
    assert await writer.submit(4, 1) == 8
    await writer.close()


async def test_housekeeping_runs_after_each_group_and_its_failure_is_nobodys() -> None:
    disk = Disk()
    writer = GroupWriter("disk", disk.commit, disk.rest)
    assert await writer.submit(4, 1) == 8
    assert await writer.submit(5, 1) == 10
    await writer.close()
    assert disk.rests == 2


@pytest.mark.parametrize(("size", "largest"), [(1, GROUP_ITEMS_MAX), (GROUP_BYTES_MAX // 10 + 1, 10)])
async def test_groups_are_bounded(size: int, largest: int) -> None:
    disk = Disk()
    writer = GroupWriter("disk", disk.commit)
    await asyncio.gather(*(writer.submit(number, size) for number in range(1000, 7000)))
    assert max(map(len, disk.groups)) <= largest
    assert [number for group in disk.groups for number in group] == list(range(1000, 7000))
    await writer.close()


async def test_close_answers_what_is_queued_and_refuses_the_rest() -> None:
    writer = GroupWriter("disk", Disk(seconds=0.01).commit)
    waiting = [asyncio.ensure_future(writer.submit(number, 1)) for number in range(20, 40)]
    await asyncio.sleep(0)
    await asyncio.gather(writer.close(), writer.close())
    assert [task.result() for task in waiting] == list(range(40, 80, 2))
    with pytest.raises(WorldError, match="the disk is closed"):
        await writer.submit(1, 1)


def test_a_loop_that_is_gone_hurts_nobody() -> None:
    disk = Disk(seconds=0.05)
    writer = GroupWriter("disk", disk.commit)

    async def leave() -> None:
        task = asyncio.ensure_future(writer.submit(7, 1))
        await asyncio.sleep(0.01)
        task.cancel()

    async def stay() -> int:
        answer = await writer.submit(8, 1)
        await writer.close()
        return answer

    asyncio.run(leave())
    assert asyncio.run(stay()) == 16
    assert disk.groups == [[7], [8]], "what was submitted is written although its caller went away"
