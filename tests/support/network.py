"""A local network under test: every party a process of its own, to be stopped, killed and started again at will.

with running(nodes=4) as network:
    client = network.client()
    network.kill("provider-2"); network.respawn("provider-2")
    network.book()                 the sequencer's ledger, replayed from its file
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tests.support.book import Book, read_book

import quorate
from quorate import Quorate
from quorate.api.courier import Courier
from quorate.api.schemas import JobView
from quorate.crypto.signing import Identity
from quorate.errors import NoNetwork
from quorate.model.network import Windows
from quorate.model.submission import ResultView
from quorate.model.units import Digest, Millis, NodeId
from quorate.node import localnet
from quorate.node.config import load_genesis

T = TypeVar("T")
WINDOWS = Windows(commit_ms=Millis(5_000), reveal_ms=Millis(10_000), cancel_ms=Millis(10_000))
"""Shorter than those of a local network, so that forced rounds do not take a minute."""
COUNTED_S_MAX = 0.1
SHORT = 8
"""Hexadecimal digits by which notes and logs name a node."""


class Network:
    """The processes of one network under `home`, by their folder names: node, sequencer, provider-1 ..."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.genesis = load_genesis(home)
        self.ids = {
            path.parent.name: Identity.from_bytes(path.read_bytes()).node_id for path in home.glob("*/identity.key")
        }
        self.providers = sorted(name for name in self.ids if name.startswith("provider-"))
        self._clients: list[Quorate] = []

    # Who is who

    def client(self, user: str = "client") -> Quorate:
        """A client of its own connection, with the keys of `user`; closed with the network."""
        client = quorate.connect(self.home, user)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def name_of(self, node: NodeId | str) -> str:
        """The folder name of a node, by its id or the beginning of it in hexadecimal."""
        text = node if isinstance(node, str) else node.hex()
        return next(name for name, key in self.ids.items() if key.hex().startswith(text))

    def drawn(self, view: JobView, number: int = 1) -> list[str]:
        """The cohort that the draw gave round `number`, by name."""
        line = next(note.text for note in view.notes if note.text.startswith(f"round {number}: drawn"))
        return [self.name_of(word.strip(",")) for word in line.split("drawn ")[1].split()]

    # What the door hands to anyone who may open its socket

    def result_view(self, job: str) -> ResultView:
        return self._at_the_door(lambda courier: courier.ask(f"/v1/jobs/{job}/result", ResultView))

    def blob(self, digest: Digest) -> bytes:
        return self._at_the_door(lambda courier: courier.get(digest))

    def _at_the_door(self, ask: Callable[[Courier], Awaitable[T]]) -> T:
        async def asked() -> T:
            courier = Courier(self.home / "node" / "door.sock")
            try:
                return await ask(courier)
            finally:
                await courier.close()

        return asyncio.run(asked())

    # Processes

    def process(self, name: str) -> localnet.Process:
        return next(process for process in localnet.recorded(self.home) if process.name == name)

    def alive(self, name: str) -> bool:
        return any(process.name == name and process.alive for process in localnet.status(self.home))

    def workers(self, name: str) -> list[int]:
        """The jailed worker processes of a provider."""
        return children(self.process(name).pid)

    def busy_workers(self, name: str, over_s: float = 0.3) -> list[int]:
        """The workers of a provider in which a guest runs: those that idle use no processor time."""
        before = {pid: cpu_s(pid) for pid in self.workers(name)}
        time.sleep(over_s)
        return [pid for pid, used_s in before.items() if cpu_s(pid) - used_s > over_s / 10]

    def kill(self, name: str) -> None:
        """SIGKILL; returns when the kernel has taken the process away."""
        process = self.process(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        until(lambda: not self.alive(name), 5)

    def hold(self, name: str) -> None:
        os.kill(self.process(name).pid, signal.SIGSTOP)

    def release(self, name: str) -> None:
        os.kill(self.process(name).pid, signal.SIGCONT)

    def respawn(self, name: str, entry: Sequence[str] = localnet.ENTRY) -> None:
        """Starts it again; a requester's node is waited for until its door answers."""
        localnet.respawn(self.home, name, entry)
        if name == "node":
            until(lambda: bool(localnet.overview(self.home / "node" / "door.sock")), 20)

    def await_standing(self, count: int | None = None) -> None:
        """Until the requester's node knows `count` standing offers (default: everybody's)."""
        wanted = len(self.providers) if count is None else count
        door = self.home / "node" / "door.sock"
        until(lambda: localnet.overview(door).get("standing_offers", 0) >= wanted, 20)

    # Traces

    def log(self, name: str) -> str:
        return (self.home / name / "log.txt").read_text(errors="replace")

    def book(self) -> Book:
        return read_book(self.home / "sequencer" / "store.db", self.genesis)

    def files_but_of_client(self) -> list[Path]:
        """Every file that any process but the client's has: stores, blobs, logs, artefacts, and whatever its processes
        hold open, named or not (a memory file counts). What jailed workers hold open only root can see."""
        folder = self.home / "client"
        found = [path for path in self.home.rglob("*") if path.is_file() and not path.is_relative_to(folder)]
        return found + [path for name in self.ids if name != "client" for path in self._open_files(name)]

    def _open_files(self, name: str) -> list[Path]:
        pid = self.process(name).pid
        paths = list(Path(f"/proc/{pid}/fd").iterdir())
        for worker in children(pid):
            with contextlib.nullcontext() if os.geteuid() == 0 else contextlib.suppress(PermissionError):
                paths.extend(Path(f"/proc/{worker}/fd").iterdir())
        return [path for path in paths if _is_plain_file(path)]


def _is_plain_file(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISREG(path.stat().st_mode)
    return False


@contextlib.contextmanager
def running(
    nodes: int = 4, *, wire_log: bool = False, epoch_ms: int = localnet.EPOCH_MS, users: int = 1
) -> Iterator[Network]:
    """A fresh network in a folder with a short name (a socket's path has 107 bytes at most); nothing is left of it."""
    home = Path(tempfile.mkdtemp(prefix="q-", dir="/tmp"))
    network = None
    try:
        localnet.up(home, nodes, wire_log=wire_log, founding=localnet.Founding(WINDOWS, epoch_ms, users))
        network = Network(home)
        yield network
    finally:
        if network is not None:
            network.close()
        for process in localnet.recorded(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
        with contextlib.suppress(NoNetwork):
            localnet.down(home, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def until(condition: Callable[[], T], timeout_s: float, pause_s: float = 0.01) -> T:
    """Waits until `condition` holds and gives its value. Fails when it does not within `timeout_s`.

    Of the time between two questions no more than `COUNTED_S_MAX` counts: a machine that gives this process little time
    gives as little to those it waits for. On an idle machine the limit is the time on the clock."""
    left_s, before = timeout_s, time.monotonic()
    while not (found := condition()):
        time.sleep(pause_s)
        now = time.monotonic()
        left_s -= min(now - before, max(COUNTED_S_MAX, 2 * pause_s))
        before = now
        assert left_s > 0, f"not within {timeout_s} s"
    return found


def soonest(wanted: float, measure: Callable[[], float], tries: int = 4) -> float:
    """The least of some measurements of how long something took: the first below `wanted`, or the best of all. A busy
    machine only makes things late, so one that was in time shows that they can be."""
    best = measure()
    for _ in range(tries - 1):
        if best < wanted:
            break
        best = min(best, measure())
    return best


def children(pid: int) -> list[int]:
    """Direct child processes (proc(5), task/children)."""
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    return []


def cpu_s(pid: int) -> float:
    """Processor time of a process so far (proc(5), stat fields 14 and 15); 0 when there is none."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def is_gone(pid: int) -> bool:
    return localnet.start_time(pid) == 0
