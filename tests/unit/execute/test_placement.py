"""Where the next task goes."""

from collections import OrderedDict, deque
from types import SimpleNamespace

from quorate.execute import placement
from quorate.execute.engine import Batch, Task
from quorate.execute.placement import PoolSettings, Speeds, pick, to_forget

QUICK, SLOW = b"q" * 32, b"s" * 32


def task(digest=QUICK, stdin=b""):
    return Task(id=b"t", module=b"", digest=digest, stdin=stdin)


def child(steps=(), modules=(), ready=True):
    """The part of a worker that placement looks at."""
    queue = deque(
        SimpleNamespace(ticket=SimpleNamespace(task=task(digest)), loads=False, needs=frozenset(needs))
        for digest, needs in ((step, [step]) if isinstance(step, bytes) else (step[-1], step) for step in steps)
    )
    sizes = OrderedDict((digest, 1) for digest in modules)
    return SimpleNamespace(steps=queue, modules=sizes, ready=ready, idle=ready and not queue)


def speeds():
    known = Speeds(5_000)
    known.record(QUICK, 100)
    known.record(SLOW, 900_000)
    return known


def test_an_idle_worker_with_the_module_is_preferred():
    other, having = child(), child(modules=[QUICK])
    assert pick([other, having], task(), speeds(), PoolSettings()) is having
    assert pick([other], task(), speeds(), PoolSettings()) is other


def test_a_busy_worker_takes_more_only_behind_quick_tasks_and_only_quick_ones():
    known, settings = speeds(), PoolSettings(depth=3)
    assert pick([child([SLOW])], task(), known, settings) is None
    assert pick([child([QUICK])], task(SLOW), known, settings) is None
    assert pick([child([QUICK])], task(b"n" * 32), known, settings) is None
    busy, busier = child([QUICK]), child([QUICK, QUICK])
    assert pick([busier, busy], task(), known, settings) is busy
    assert pick([child([QUICK] * 3)], task(), known, settings) is None
    assert pick([child([QUICK])], task(stdin=bytes(100_000)), known, settings) is None
    assert pick([child([QUICK], ready=False)], task(), known, settings) is None


def test_a_slow_run_is_remembered_at_once():
    known = Speeds(5_000)
    for _ in range(50):
        known.record(QUICK, 100)
    assert known.is_quick(task())
    known.record(QUICK, 1_000_000)
    assert not known.is_quick(task())
    for _ in range(5):
        known.record(QUICK, 100)
    assert not known.is_quick(task())


def test_speeds_are_bounded(monkeypatch):
    monkeypatch.setattr(placement, "SPEEDS_KEPT", 3)
    known = Speeds(5_000)
    for number in range(10):
        known.record(bytes([number]), 1)
    assert [known.is_quick(task(bytes([number]))) for number in range(10)] == [False] * 7 + [True] * 3


def test_modules_used_longest_ago_leave_first_and_busy_ones_stay(monkeypatch):
    monkeypatch.setattr(placement, "MODULES_PER_WORKER", 3)
    full = child(steps=[b"a"], modules=[b"a", b"b", b"c"])
    assert to_forget(full, 1) == [b"b"]
    assert to_forget(child(steps=[(b"b", b"a")], modules=[b"a", b"b", b"c"]), 1) == [b"c"], "nor what it links"
    monkeypatch.setattr(placement, "MODULE_BYTES_PER_WORKER", 2)
    assert to_forget(full, 1) == [b"b", b"c"]
    assert to_forget(child(), 1000) == []


def test_a_batch_counts_as_all_of_its_runs():
    many = Batch(id=b"b", module=b"", digest=QUICK, inputs=(b"x" * 100,) * 64)
    assert speeds().expected_us(many, 5) == 6_400
    assert speeds().expected_us(task(), 5) == 100
    busy = child([QUICK])
    assert pick([busy], many, speeds(), PoolSettings(prefetch_bytes=6_400)) is busy
    assert pick([busy], many, speeds(), PoolSettings(prefetch_bytes=6_399)) is None
