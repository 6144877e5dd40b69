"""Kills one process of a network at every moment of a job, one after the other, and says what became of each job.

The moments are those of `crashing_process`: the process under test is started with the number of the next one, armed
when the job is submitted, and started again when it is gone. The enumeration ends when a job goes by without the
process reaching its moment: there is no later one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.support import crashing_process
from tests.support.network import Network, until

from quorate import Draft, JobView, Quorate, QuorateError
from quorate.errors import JobError, WorldError

ENTRY = str(Path(crashing_process.__file__))
JOB_S = 60
MOMENTS_MAX = 200


class Survived(NamedTuple):
    """A job during which `role` was killed at moment `number`, which was `moment`."""

    number: int
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

    def every_moment(self, first: int = 1, last: int = MOMENTS_MAX) -> list[Survived]:
        """A job for each moment, or for those from `first` to `last`."""
        survived: list[Survived] = []
        number = first
        self._start(number)
        while number <= last:
            found = self.at(number)
            if found.moment:
                survived.append(found)
                number += 1
            elif self._concerns(found.view.job):
                return survived
        assert last < MOMENTS_MAX, f"more than {MOMENTS_MAX} moments"
        return survived

    def at(self, number: int) -> Survived:
        """One job with a kill at moment `number`; `moment` is empty when it never came. Ready for the next one."""
        self._await_all_connected()
        self._tries += 1
        key = f"{self._role} {self._tries}"
        self._story.begin(self._client, key)
        (self._folder / crashing_process.ARMED).touch()
        ended = False
        with ThreadPoolExecutor(1) as once:
            watch = once.submit(self._bring_back, number + 1, lambda: ended)
            try:
                view, output = self._to_the_end(key)
            finally:
                ended = True
            moment = watch.result()
        return Survived(number, moment, view, output)

    def _start(self, number: int) -> None:
        self._network.kill(self._role)
        self._network.respawn(self._role, (ENTRY, str(number)))

    def _await_all_connected(self) -> None:
        others = len(self._network.ids) - 2  # neither the client nor the requester's node itself
        until(lambda: self._client.network()["peers"] == others, 20)
        self._network.await_standing()

    def _bring_back(self, following: int, is_over: Callable[[], bool]) -> str:
        """Waits for the kill and starts the process again; the moment, or nothing when the job ended before it."""
        hit = self._folder / crashing_process.HIT
        until(lambda: (hit.exists() and not self._network.alive(self._role)) or is_over(), 2 * JOB_S)
        (self._folder / crashing_process.ARMED).unlink(missing_ok=True)
        if not hit.exists():
            return ""
        until(lambda: not self._network.alive(self._role), 5)
        moment = hit.read_text()
        hit.unlink()
        self._network.respawn(self._role, (ENTRY, str(following)))
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
