"""Kills one process of a network at every moment of a job, one after the other, and says what became of each job.

The moments are those of `crashing_process`. A first job, without a kill, shows which there are; each job after it is
killed at one of them and may show others, until none is left. The order in which moments come does not matter.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from tests.support import crashing_process
from tests.support.network import Network, until

from quorate import Draft, Job, JobView, Quorate, QuorateError
from quorate.errors import JobError, WorldError

JOB_S = 180
"""How long a job may take to its settlement with a kill on the way: a process starts in two seconds on an idle machine
and in ten times that where the others of this test start too."""
MOMENTS_MAX = 200
MISSES_MAX = 2


class Survived(NamedTuple):
    """A job during which the process was killed at `moment`, and how it ended all the same."""

    moment: str
    view: JobView
    output: bytes | None


class Story(Protocol):
    """What is done with each job: `begin` before the process is armed, `end` after it, again and again until it
    succeeds. A WorldError means that a node was away."""

    def begin(self, client: Quorate, key: str) -> None: ...

    def end(self, client: Quorate, key: str) -> tuple[JobView, bytes | None]: ...


class Submitting:
    """A user whose node goes away does the same again, under the same client key."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def begin(self, client: Quorate, key: str) -> None:
        pass

    def end(self, client: Quorate, key: str) -> tuple[JobView, bytes | None]:
        try:
            job = client.submit(self._draft, key)
        except JobError:
            job = client.list(1)[0].job
        view = client.wait_settled(job, JOB_S)
        return view, client.result(job).decrypt() if view.state == "completed" else None


class Calling:
    """Each job is the first call of a contract of its own, so that all of them come to one outcome; another head than
    one call leads to is shown instead."""

    def __init__(self, program: bytes, function: str, *arguments: int | bytes) -> None:
        self._program, self._function, self._arguments = program, function, arguments
        self._contract = ""
        self._draft: Draft

    def begin(self, client: Quorate, key: str) -> None:
        self._contract = client.deploy(self._program)
        head = client.contract(self._contract)
        self._draft = Job.builder().call(head, self._function, *self._arguments).replication(3).build()

    def end(self, client: Quorate, key: str) -> tuple[JobView, bytes | None]:
        view, output = Submitting(self._draft).end(client, key)
        head = client.contract(self._contract).head
        assert head is not None
        return view, output if head.version == 1 else b"at version %d" % head.version


class Cancelling:
    """A job that would never end is cancelled while it runs."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._job = ""

    def begin(self, client: Quorate, key: str) -> None:
        self._job = client.submit(self._draft, key)
        until(lambda: client.status(self._job).phase == "executing", 10)

    def end(self, client: Quorate, key: str) -> tuple[JobView, bytes | None]:
        client.cancel(self._job)
        return client.wait_settled(self._job, JOB_S), None


class Killer:
    """Enumerates for one role of one network. `concerns` says whether a job had anything to do with the process."""

    def __init__(self, network: Network, role: str, story: Story, concerns: Callable[[str], bool]) -> None:
        self._network = network
        self._role = role
        self._story = story
        self._concerns = concerns
        self._folder = network.home / role
        self._client = network.client()
        self._tries = 0

    def every_moment(self, wanted: Callable[[str], bool] = lambda moment: True) -> list[Survived]:
        """A job for each moment that is wanted. One that does not come again in two jobs depends on the weather: it is
        left out."""
        self._network.kill(self._role)
        self._network.respawn(self._role, (crashing_process.ENTRY,))
        survived: list[Survived] = []
        misses: Counter[str] = Counter()
        known: dict[str, None] = dict.fromkeys(self._seen_in_a_job_without_a_kill())
        while left := [moment for moment in known if misses[moment] < MISSES_MAX and wanted(moment)]:
            assert len(survived) < MOMENTS_MAX, f"more than {MOMENTS_MAX} moments"
            found = self.at(left[0])
            known.update(dict.fromkeys(self._seen()))
            if found.moment:
                survived.append(found)
                misses[found.moment] = MISSES_MAX
            elif self._concerns(found.view.job):
                misses[left[0]] += 1
        return survived

    def _seen_in_a_job_without_a_kill(self) -> list[str]:
        while not self._concerns(self.at("none").view.job):
            pass
        return self._seen()

    def _seen(self) -> list[str]:
        path = self._folder / crashing_process.SEEN
        return path.read_text().splitlines() if path.exists() else []

    def at(self, moment: str) -> Survived:
        """One job with a kill at `moment`; without a moment in the answer it never came."""
        self._await_all_connected()
        self._tries += 1
        key = f"{self._role} {self._tries}"
        self._story.begin(self._client, key)
        (self._folder / crashing_process.ARMED).write_text(f"{moment}\njob {self._tries}")
        ended = False
        with ThreadPoolExecutor(1) as once:
            watch = once.submit(self._bring_back, lambda: ended)
            try:
                view, output = self._to_the_end(key)
            finally:
                ended = True
            hit = watch.result()
        return Survived(hit, view, output)

    def _await_all_connected(self) -> None:
        others = len(self._network.ids) - 2  # neither the client nor the requester's node itself
        until(lambda: self._client.network()["peers"] == others, 20)
        self._network.await_standing()

    def _bring_back(self, is_over: Callable[[], bool]) -> str:
        """Waits for the kill and starts the process again; the moment, or nothing when the job ended before it."""
        hit = self._folder / crashing_process.HIT
        until(lambda: (hit.exists() and not self._network.alive(self._role)) or is_over(), 2 * JOB_S)
        (self._folder / crashing_process.ARMED).unlink(missing_ok=True)
        if not hit.exists():
            return ""
        until(lambda: not self._network.alive(self._role), 5)
        moment = hit.read_text()
        hit.unlink()
        self._network.respawn(self._role, (crashing_process.ENTRY,))
        return moment

    def _to_the_end(self, key: str) -> tuple[JobView, bytes | None]:
        deadline = time.monotonic() + JOB_S
        while time.monotonic() < deadline:
            try:
                return self._story.end(self._client, key)
            except WorldError:
                time.sleep(0.05)
        raise AssertionError(f"not settled within {JOB_S} s: {self._client.list(1)}")


def accounted(network: Network, client: Quorate, job: str) -> list[str]:
    """What is wrong with the books of a settled job: nothing, or one line for each fault."""
    book = network.book()
    escrows, settlements = book.escrows_of(job), book.settlements_of(job)
    if (len(escrows), len(settlements)) != (1, 1):
        return [f"{len(escrows)} escrows, {len(settlements)} settlements"]
    faults = []
    out = sum(payment.amount_micro for payment in settlements[0].payments if payment.reason != "slash")
    if out != escrows[0].escrow_micro:
        faults.append(f"{out} paid out of {escrows[0].escrow_micro}")
    with contextlib.suppress(QuorateError):
        if client.status(job).paid_micro != sum(book.paid(job).values()):
            faults.append("the node says another price than the ledger")
    if book.slashes():
        faults.append(f"slashed: {book.slashes()}")
    return faults
