"""The HTTP door, served on a Unix socket that only its owner can open. What it answers is in `routes`.

The socket is made with mode 0600 from its first moment; a socket left by a process that died is replaced, one that
answers is not. Signals stay the node's own: the server is stopped by cancelling `serve`, and what is under way then has
a second to finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Generator
from pathlib import Path

import uvicorn

from quorate.api.commands import Desk, check_socket_path
from quorate.api.routes import app
from quorate.errors import NetworkRunning, WorldError

__all__ = ["app", "serve"]

CLOSE_S = 1
KEEP_ALIVE_S = 75
OTHERS = 0o177


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """The node handles signals itself."""
        yield


async def serve(desk: Desk, socket_path: Path, ready: Callable[[], None] = lambda: None) -> None:
    """Answers on `socket_path` until it is cancelled; calls `ready` once connections are taken. The socket is gone when
    it returns.

    Raises PathTooLong, NetworkRunning when another process answers there, or WorldError.
    """
    listener = _listen(socket_path)
    settings = uvicorn.Config(
        app(desk),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_S,
    )
    server = _Server(settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        ready()
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        listener.close()
        socket_path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    check_socket_path(path)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(OTHERS)
    try:
        listener.bind(os.fspath(path))
        listener.listen(1024)
    except OSError as fault:
        listener.close()
        raise WorldError(
            f"{path}: {fault.strerror}", field="socket", fix="check that its folder exists and is yours"
        ) from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise NetworkRunning(
        f"another node answers on {path}", field="QUORATE_HOME", fix="stop it, or use another QUORATE_HOME"
    )
