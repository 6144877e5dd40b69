"""The command in the foreground: it has a client while it works, and a note of what an interruption leaves behind.

One process runs one command, so there is one such note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorate.api.client import Client

NOTHING_DONE = "interrupted; nothing was changed"
_farewell = NOTHING_DONE


def on_interruption(text: str) -> None:
    """From here on an interrupted command leaves this behind."""
    global _farewell
    _farewell = text


def follow(job: str) -> None:
    """From here on there is a job (its id in hexadecimal), and it outlives the command."""
    name = job[:12]
    on_interruption(
        f"interrupted; the job goes on: quorate compute status {name} (or stop it: quorate compute cancel {name})"
    )


def farewell() -> str:
    """What the user is told when the command is interrupted."""
    return _farewell


def with_client(work: Callable[[Client], Awaitable[int]]) -> int:
    """Runs `work` with a client of the network under QUORATE_HOME."""

    import asyncio

    from quorate.api.client import aconnect

    async def inside() -> int:

        async with await aconnect() as client:
            return await work(client)

    return asyncio.run(inside())
