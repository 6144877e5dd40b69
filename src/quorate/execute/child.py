"""One worker process as the pool sees it: started with nothing, spoken to in frames, killed for certain.

The worker inherits one descriptor, a clean environment and a working folder that is already removed. Its end is
noticed through its process descriptor (pidfd), after which it is reaped; only then is it reported as gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from quorate.errors import MalformedBytes, QuorateError, WorldError
from quorate.execute import frames
from quorate.execute.engine import Execution, Task
from quorate.model.trap import Status
from quorate.model.units import MIB

ENVIRONMENT_DEFAULT = {"LANG": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
COMMAND_DEFAULT = (sys.executable, "-I", "-B", "-m", "quorate.execute.worker")
SEND_BUFFER_BYTES = MIB


class ChildSettings(NamedTuple):
    data_bytes: int
    niceness: int
    contract_engine: str
    environment: Mapping[str, str] = ENVIRONMENT_DEFAULT
    command: tuple[str, ...] = COMMAND_DEFAULT


class Ticket:
    """One task's way through the pool. `outcome` gets its Execution, or the UserError that refuses it."""

    __slots__ = ("outcome", "serial", "task")

    def __init__(self, task: Task, serial: int, outcome: asyncio.Future[Execution]) -> None:
        self.task = task
        self.serial = serial
        self.outcome = outcome


class Step:
    """One thing a worker has been asked to do, in order. The clock of a step runs while it is the first of its worker.

    `ticket` is None once the step is void (withdrawn), and for a compilation that no task waits for. `needs` are the
    modules that the worker must not forget before it.
    """

    __slots__ = ("digest", "limit_s", "loads", "needs", "number", "ticket", "wants_artefact")

    def __init__(self, number: int, ticket: Ticket | None, digest: bytes, limit_s: float) -> None:
        self.number = number
        self.ticket = ticket
        self.digest = digest
        self.limit_s = limit_s
        self.loads = False
        self.needs = frozenset((digest,) if ticket is None else (module.digest for module in ticket.task.modules))
        self.wants_artefact = False


class Child:
    """A worker process and the steps it still owes."""

    def __init__(
        self, settings: ChildSettings, on_frame: Callable[[Child, frames.Frame], None], on_gone: Callable[[Child], None]
    ):
        self.steps: deque[Step] = deque()
        self.modules: OrderedDict[bytes, int] = OrderedDict()
        self.layers: tuple[str, ...] = ()
        self.engine_version = ""
        self.artefact_kind = ""
        self.ready = False
        self.ever_ready = False
        self.fault: QuorateError | None = None
        self.verdict: Status | None = None
        self.runs_sent = 0
        self.timer: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()
        self._on_frame, self._on_gone = on_frame, on_gone
        self._loop = asyncio.get_running_loop()
        self.head_since = self._loop.time()
        self._inbox = frames.Inbox(frames.FromWorker)
        self._unsent = bytearray()
        self._socket, self._process = _start(settings)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._loop.add_reader(self._pidfd, self._ended)
        self.send(frames.Setup(os.getpid(), settings.data_bytes, settings.niceness, settings.contract_engine))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def idle(self) -> bool:
        return self.ready and not self.steps and self.verdict is None

    @property
    def exit_status(self) -> int:
        """The return code once gone; negative for a signal."""
        return self._process.returncode or 0

    def send(self, *orders: frames.Frame) -> None:
        """Hands them over at once, so that the worker wakes up once; what the socket does not take follows when it
        can."""
        data = b"".join(map(frames.encode, orders))
        if self._unsent:
            self._unsent += data
            return
        sent = self._try_send(data)
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def kill(self, verdict: Status) -> None:
        """Ends the process. The first verdict stands: it says how the step under way is reported."""
        if self.verdict is None:
            self.verdict = verdict
            self.ready = False
            self._process.kill()

    def _try_send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # The other end is gone: its exit is on its way to us.

    def _writable(self) -> None:
        del self._unsent[: self._try_send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            data = self._socket.recv(frames.READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._socket.fileno())
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self.verdict is not None:
            return  # Already condemned: nothing it says counts.
        try:
            for frame in self._inbox.feed(data):
                self._on_frame(self, frame)
                if self.verdict is not None:
                    return
        except MalformedBytes:
            self.kill(Status.WORKER_DEATH)

    def _ended(self) -> None:
        """The process is gone. What it sent before counts, then it is reaped and reported."""
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        while self.verdict is None:
            try:
                data = self._socket.recv(frames.READ_BYTES)
            except OSError:
                break
            if not data:
                break
            self._take(data)
        self._process.wait()
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self.ready = False
        if self.timer is not None:
            self.timer.cancel()
        self.gone.set()
        self._on_gone(self)


def _start(settings: ChildSettings) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    try:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        folder = tempfile.mkdtemp(prefix="quorate-worker-")
        try:
            process = subprocess.Popen(
                settings.command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(settings.environment),
                cwd=folder,
                close_fds=True,
            )
        finally:
            os.rmdir(folder)
    except OSError as fault:
        ours.close()
        raise WorldError(f"a worker process cannot be started: {fault}", field="worker") from None
    finally:
        theirs.close()
    ours.setblocking(False)
    return ours, process
