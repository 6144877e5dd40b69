"""A user's program that dies by SIGKILL at one chosen moment of submitting a private job and waiting for it.

    python crashing_client.py HOME NUMBER

Moments lie before and after every request to the door and every key file that is written. Without a kill it prints the
job and its result.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import guests

import quorate
from quorate.api.courier import Courier
from quorate.api.keyring import Keyring

KEY = "one client key"
INPUT = b"stressed"


def draft() -> quorate.Draft:
    return guests.private(guests.REVERSE, INPUT)


def main() -> None:
    left = [int(sys.argv[2])]

    def reach() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def sync(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def watched(*arguments: Any, **named: Any) -> Any:
            reach()
            answer = call(*arguments, **named)
            reach()
            return answer

        return watched

    def waiting(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        async def watched(*arguments: Any, **named: Any) -> Any:
            reach()
            answer = await call(*arguments, **named)
            reach()
            return answer

        return watched

    for name in ("save", "remember"):
        setattr(Keyring, name, sync(getattr(Keyring, name)))
    Courier.send = waiting(Courier.send)  # type: ignore[method-assign]
    with quorate.connect(Path(sys.argv[1])) as client:
        job = client.submit(draft(), f"{KEY} {sys.argv[2]}")
        print(job, client.wait(job, 30).decrypt().decode())


if __name__ == "__main__":
    main()
