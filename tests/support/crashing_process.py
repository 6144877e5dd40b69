"""A process of a network that dies by SIGKILL at one chosen moment: for tests, started in place of the real entry.

    python crashing_process.py FOLDER/config.json

Every call that leaves the process or makes something durable has two moments, before and after it: a save, a message, a
blob, a download, a run of a guest. While `crash.armed` is in the process's folder they are counted, each kind for
itself, and noted in `crash.seen`: `3@after send round_close` is the third of its kind. At the one that the first line
of `crash.armed` names the process writes it to `crash.hit` and is gone; another text there begins the count anew.
Everything else is the shipped code.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from quorate.adapters.blobs import FileBlobs
from quorate.adapters.storage.sqlite import SqliteStore
from quorate.adapters.transport.zenoh import ZenohTransport
from quorate.api import process
from quorate.errors import QuorateError
from quorate.execute.isolate import WorkerPool
from quorate.model.codec import decode
from quorate.model.evidence import Envelope

ARMED, SEEN, HIT = "crash.armed", "crash.seen", "crash.hit"
ENTRY = str(Path(__file__))
CALLS: dict[type, tuple[str, ...]] = {
    SqliteStore: ("save",),
    FileBlobs: ("put", "put_many", "append", "finish"),
    ZenohTransport: ("send", "fetch"),
    WorkerPool: ("run", "cancel"),
}
CHATTER = {"hello", "ask_standing", "standing", "offer"}
"""What nodes say without any job."""


class Switch:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reached: Counter[str] = Counter()
        self._armed = ""

    def reach(self, kind: str) -> None:
        try:
            armed = (self._folder / ARMED).read_text()
        except FileNotFoundError:
            self._armed = ""
            return
        if armed != self._armed:
            self._armed = armed
            self._reached.clear()
        self._reached[kind] += 1
        moment = f"{self._reached[kind]}@{kind}"
        with (self._folder / SEEN).open("a") as seen:
            seen.write(f"{moment}\n")
        if moment == armed.partition("\n")[0]:
            (self._folder / HIT).write_text(moment)
            os.kill(os.getpid(), signal.SIGKILL)

    def watching(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(call)
        async def watched(*arguments: Any, **named: Any) -> Any:
            what = name
            if name == "send":
                nouns = said(arguments[2])
                if not nouns:
                    return await call(*arguments, **named)
                what = f"send {' '.join(nouns)}"
            self.reach(f"before {what}")
            answer = await call(*arguments, **named)
            self.reach(f"after {what}")
            return answer

        return watched


def said(message: bytes) -> list[str]:
    """The nouns of an envelope that have to do with a job."""
    try:
        envelope = decode(message, Envelope)
        return [said.noun for said in (*envelope.plain, *envelope.leaves) if said.noun not in CHATTER]
    except QuorateError:
        return ["bytes"]


def main() -> None:
    switch = Switch(Path(sys.argv[1]).parent)
    for kind, names in CALLS.items():
        for name in names:
            setattr(kind, name, switch.watching(name, getattr(kind, name)))
    process.main()


if __name__ == "__main__":
    main()
