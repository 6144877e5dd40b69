"""A process of a network that dies by SIGKILL at one chosen moment: for tests, started in place of the real entry.

    python crashing_process.py NUMBER FOLDER/config.json
    python crashing_process.py "3@after send round_close" FOLDER/config.json

Every call that leaves the process or makes something durable has two moments, before and after it: a save, a message, a
blob, a download, a run of a guest. They are counted from when `crash.armed` appears in the process's folder; at moment
NUMBER (or the third of one kind) the process writes the moment to `crash.hit` and is gone. Everything else is the
shipped code.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
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

ARMED, HIT = "crash.armed", "crash.hit"
CALLS: dict[type, tuple[str, ...]] = {
    SqliteStore: ("save",),
    FileBlobs: ("put", "put_many", "append", "finish"),
    ZenohTransport: ("send", "fetch"),
    WorkerPool: ("run", "cancel"),
}
CHATTER = {"hello", "ask_standing", "standing", "offer"}
"""What nodes say without any job."""


class Switch:
    def __init__(self, folder: Path, when: str) -> None:
        number, _, self._moment = when.partition("@")
        self._folder = folder
        self._left = int(number)

    def reach(self, moment: str) -> None:
        if not (self._folder / ARMED).exists() or self._moment not in ("", moment):
            return
        self._left -= 1
        if self._left == 0:
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
        return [leaf.noun for leaf in decode(message, Envelope).leaves if leaf.noun not in CHATTER]
    except QuorateError:
        return ["bytes"]


def main() -> None:
    when = sys.argv.pop(1)
    switch = Switch(Path(sys.argv[1]).parent, when)
    for kind, names in CALLS.items():
        for name in names:
            setattr(kind, name, switch.watching(name, getattr(kind, name)))
    process.main()


if __name__ == "__main__":
    main()
