"""Follows a job on the screen: a live line on a terminal, one line per change elsewhere, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol

from quorate.api import render
from quorate.errors import QuorateError

if TYPE_CHECKING:
    from quorate.api.client import Client
    from quorate.api.schemas import JobView


class Teller(Protocol):
    """Says what became of a job. Used as a context, so that a live view leaves the screen clean."""

    def __enter__(self) -> Teller: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def tell(self, view: JobView) -> None: ...


def teller(stream: IO[str], *, json: bool = False) -> Teller:
    """The teller that suits where the words go."""
    if json:
        return LineTeller(_as_json)
    if render.wants_motion(stream):
        return LiveTeller(stream)
    return LineTeller(render.say if stream is sys.stdout else render.note)


async def follow(client: Client, job: str, shown: Teller, *, settled: bool = False) -> JobView:
    """Tells every change until the job has ended (or, if asked, is settled); the final view.

    The wraps of a job whose submitter died are given on the way.
    """
    import asyncio

    helping = asyncio.create_task(client.wait_settled(job))
    try:
        with shown:
            view = await _tell_changes(client, job, shown, settled)
        if view is None or not view.ended:
            return await helping
        return view
    finally:
        helping.cancel()
        await asyncio.gather(helping, return_exceptions=True)


async def _tell_changes(client: Client, job: str, shown: Teller, settled: bool) -> JobView | None:
    view, views = None, client.watch(job)
    try:
        async for view in views:
            shown.tell(view)
            if view.settled or (view.ended and not settled):
                break
    finally:
        await views.aclose()  # type: ignore[attr-defined]
    return view


def ending(view: JobView) -> QuorateError | None:
    """The error that a job ended with; None when it has a result or goes on."""
    if not view.ended or view.state == "completed":
        return None
    from quorate.api.problems import error_named
    from quorate.jobs.clocks import ADVICE

    name = view.error or "JobFailed"
    return error_named(name, view.detail or f"the job is {view.state}", field="job", fix=ADVICE.get(name, ""))


class LineTeller:
    """One line per change: what a log or a pipe can hold."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        self._write = write
        self._last = ""

    def __enter__(self) -> LineTeller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def tell(self, view: JobView) -> None:
        if self._write is _as_json:
            self._write(view)
            return
        if view.line != self._last:
            self._last = view.line
            self._write(f"state: {view.line}  elapsed: {render.elapsed(view.elapsed_ms)}")


def _as_json(view: Any) -> None:
    import msgspec

    render.say_json_line(msgspec.to_builtins(view))


class LiveTeller:
    """A line that moves: phase, a bar of the replies, the time."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._view: JobView | None = None
        self._seen_s = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            _clock_of(self),
            TextColumn("{task.fields[more]}", markup=False, style="dim"),
            console=render.console(stream),
            transient=True,
        )
        self._task = self._progress.add_task("asking your node", total=None, more="")

    def __enter__(self) -> LiveTeller:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._view is not None and error is None:
            self._progress.console.print(f"state: {self._view.line}  elapsed: {render.elapsed(self._view.elapsed_ms)}")

    def tell(self, view: JobView) -> None:
        self._view, self._seen_s = view, time.monotonic()
        more = f"round {view.round} of {view.rounds_max}" if view.round > 1 else ""
        if view.clock not in ("", "none"):
            more = f"{more}  {view.clock} clock".strip()
        total = view.replicas if view.round and not view.ended else None
        self._progress.update(self._task, description=view.line, total=total, completed=view.replied, more=more)

    def elapsed(self) -> str:
        """As the node said it, and the time since."""
        if self._view is None:
            return ""
        since_ms = 0 if self._view.ended else int(1000 * (time.monotonic() - self._seen_s))
        return render.elapsed(self._view.elapsed_ms + since_ms)


def _clock_of(owner: LiveTeller) -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Clock(ProgressColumn):
        """The job's own time, which began before this view did."""

        def render(self, task: Task) -> Text:
            return Text(owner.elapsed())

    return Clock()
