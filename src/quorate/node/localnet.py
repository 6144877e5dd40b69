"""A whole network on this machine: keys, genesis, processes; up, down, status.

Every party is a process of its own with its own keys and store: a sequencer, a requester's node, N providers. They talk
over mutual TLS on 127.0.0.1. `localnet.json` records process ids together with their start times, so that a recycled id
is never mistaken for ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from quorate.adapters.keys import write_secret
from quorate.crypto.credentials import Authority, Lifetime, TlsKey
from quorate.crypto.digests import value_digest
from quorate.crypto.signing import Identity
from quorate.crypto.wrapping import SealKey
from quorate.errors import (
    DiskFull,
    InvalidField,
    NetworkRunning,
    NoNetwork,
    PathTooLong,
    PolicyRefused,
    PortTaken,
    WorldError,
)
from quorate.model.codec import encode
from quorate.model.identity import DEFAULT_SUITE
from quorate.model.job import INPUT_BYTES_MAX, ResourceLimits
from quorate.model.network import Account, Caps, Genesis, Windows
from quorate.model.units import MIB, Digest, Fuel, MicroCredits, Millis
from quorate.node.config import NodeConfig, load_config, load_genesis

SOCKET_PATH_MAX = 107
VALID_MS = 10 * 365 * 24 * 3_600_000
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 6.0
CREDITS_MICRO = 10**12
EPOCH_MS = 60_000
"""Short, so that what expires can be seen to expire."""
STAKE_MICRO = 10**9
BOND_MICRO = 1_000
WINDOWS = Windows(commit_ms=Millis(10_000), reveal_ms=Millis(60_000), cancel_ms=Millis(10_000))
"""A member that has committed and is away for the whole second window loses its bond: it outlasts a restart of the
network. A requester waits for the last one after it cancelled; the others count only where its node is dead."""
RECORD = "localnet.json"
ENTRY = ("-m", "quorate.api.process")
"""How Python is told to become a process of the network; the path of its configuration follows."""


class Process(msgspec.Struct, frozen=True):
    """One process of the network: `started` is the kernel's start time of it, in clock ticks since boot."""

    name: str
    role: str
    pid: int
    started: int
    port: int


class ProcessStatus(NamedTuple):
    name: str
    role: str
    pid: int
    alive: bool
    port: int
    memory_kib: int


class Founding(NamedTuple):
    """What a new network is made with; one that is there already keeps what it has. Each user has an account."""

    windows: Windows = WINDOWS
    epoch_ms: int = EPOCH_MS
    users: int = 1


FOUNDING = Founding()


class LocalNet(NamedTuple):
    """A running network: its id, its processes, the path of the requester's door."""

    network: Digest
    processes: tuple[Process, ...]
    door: Path


def up(
    home: Path,
    nodes: int = 4,
    *,
    progress: Callable[[str], None] = lambda line: None,
    wire_log: bool = False,
    founding: Founding = FOUNDING,
) -> LocalNet:
    """Starts the network under `home`, making its keys and genesis first if there are none. Returns when every
    provider's offer stands."""
    check_socket_path(home)
    if any(process.alive for process in status(home)):
        raise NetworkRunning(f"the network under {home} is running", field="QUORATE_HOME", fix="quorate localnet down")
    names = ["sequencer", "node", *(f"provider-{number}" for number in range(1, nodes + 1))]
    with _disk_errors(home):
        made = (home / "network.cbor").exists()
    if not made:
        progress("making keys and the genesis")
        _create_whole(home, names, founding)
    names = _existing(home)
    configs = _configure(home, names, wire_log=wire_log)
    progress(f"starting {len(configs)} processes")
    processes: tuple[Process, ...] = ()
    try:
        with _uninterrupted():
            for config in configs:
                processes = (*processes, _spawn(config))
                (home / RECORD).write_bytes(msgspec.json.encode(processes))
        _await_ready(home, processes, len(names) - 2)
    except BaseException:
        down(home)
        raise
    return LocalNet(value_digest(load_genesis(home)), processes, home / "node" / "door.sock")


def _create_whole(home: Path, names: list[str], founding: Founding) -> None:
    """A whole network or none: what an interrupted creation has made so far is of no use, so it is removed."""
    if _has_parts(home):
        raise PolicyRefused(
            f"{home} holds keys but no network, as a start that was killed leaves them",
            field="QUORATE_HOME",
            fix="quorate localnet down --purge, or choose another QUORATE_HOME",
        )
    try:
        with _disk_errors(home):
            create(home, names, founding)
    except BaseException:
        _purge(home)
        raise


def _has_parts(home: Path) -> bool:
    return any((home / name).exists() for name in ("authority.key", "client", "sequencer", "node"))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until every process that was started is on record, so that none is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for late in came:
        signal.raise_signal(late)


def check_socket_path(home: Path) -> None:
    door = home / "node" / "door.sock"
    if len(os.fsencode(door)) > SOCKET_PATH_MAX:
        raise PathTooLong(
            f"{door} has {len(os.fsencode(door))} bytes",
            field="QUORATE_HOME",
            limit=f"{SOCKET_PATH_MAX} bytes for a socket",
            fix="choose a shorter QUORATE_HOME",
        )


def create(home: Path, names: list[str], founding: Founding = FOUNDING) -> Genesis:
    """Keys, certificates and the genesis of a new network. The first credits are the users': each has the same, and
    its own folder with its own key, `client`, `client-2` and so on."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = Millis(time.time_ns() // 1_000_000)
    lifetime = Lifetime(now, Millis(VALID_MS))
    authority = Authority.create(f"quorate {home.name}", lifetime, os.urandom)
    write_secret(home / "authority.key", authority.key_pem)
    (home / "authority.pem").write_bytes(authority.certificate_pem)
    clients = ["client", *(f"client-{number}" for number in range(2, founding.users + 1))]
    identities = {name: Identity.generate(DEFAULT_SUITE, os.urandom) for name in (*clients, *names)}
    for name, identity in identities.items():
        write_secret(home / name / "identity.key", identity.to_bytes())
        if name not in clients:
            key = TlsKey.generate(os.urandom)
            write_secret(home / name / "tls.key", key.to_pem())
            certificate = authority.issue(identity.node_id, key.public_pem, lifetime, os.urandom)
            (home / name / "tls.pem").write_bytes(certificate)
        if name.startswith("provider"):
            write_secret(home / name / "seal.key", SealKey.generate(os.urandom).to_bytes())
            write_secret(home / name / "artefact.key", os.urandom(32))
    genesis = _genesis(home.name, identities, now, founding)
    (home / "network.cbor").write_bytes(encode(genesis))
    return genesis


def _genesis(name: str, identities: dict[str, Identity], now: Millis, founding: Founding) -> Genesis:
    accounts = []
    for role, identity in identities.items():
        if role == "sequencer":
            continue
        provider = role.startswith("provider")
        accounts.append(
            Account(
                bundle=identity.bundle,
                role="provider" if provider else "node" if role == "node" else "requester",
                balance_micro=MicroCredits(CREDITS_MICRO if role.startswith("client") else 0),
                stake_micro=MicroCredits(STAKE_MICRO if provider else 0),
            )
        )
    return Genesis(
        epoch_ms=founding.epoch_ms,
        name=name[:64] or "quorate",
        ledger=(identities["sequencer"].bundle,),
        suites=(str(DEFAULT_SUITE),),
        caps=Caps(
            limits=ResourceLimits(
                memory_bytes=256 * MIB, fuel=Fuel(10**10), run_ms=Millis(300_000), output_bytes=16 * MIB
            ),
            input_bytes=INPUT_BYTES_MAX,
            program_bytes=16 * MIB,
            replicas=15,
        ),
        windows=founding.windows,
        bond_micro=MicroCredits(BOND_MICRO),
        threshold=(7, 10),
        reputation_gate=200,
        accounts=tuple(accounts),
        created_ms=now,
        seed=os.urandom(32),
    )


def _existing(home: Path) -> list[str]:
    providers = sorted((path.name for path in home.glob("provider-*")), key=lambda name: int(name.split("-")[1]))
    return ["sequencer", "node", *providers]


def _configure(home: Path, names: list[str], *, wire_log: bool) -> list[NodeConfig]:
    ports = _free_ports(len(names))
    endpoints = tuple(f"127.0.0.1:{port}" for port in ports)
    configs = []
    for name, endpoint in zip(names, endpoints, strict=True):
        config = NodeConfig(
            role="sequencer" if name == "sequencer" else "requester" if name == "node" else "provider",
            name=name,
            home=str(home),
            listen=endpoint,
            connect=tuple(other for other in endpoints if other != endpoint),
            operator=name,
            slots=max(1, min(4, len(os.sched_getaffinity(0)))),
            wire_log=wire_log,
        )
        (home / name / "config.json").write_bytes(msgspec.json.encode(config))
        configs.append(config)
    return configs


def _free_ports(count: int) -> list[int]:
    """Distinct free ports on 127.0.0.1, held open together until all are known."""
    held = []
    try:
        for _ in range(count):
            probe = socket.socket()
            probe.bind(("127.0.0.1", 0))
            held.append(probe)
        return [probe.getsockname()[1] for probe in held]
    except OSError as fault:
        raise PortTaken(
            f"no free port on 127.0.0.1: {fault.strerror}", field="port", fix="close some programs"
        ) from None
    finally:
        for probe in held:
            probe.close()


def respawn(home: Path, name: str, entry: Sequence[str] = ENTRY) -> Process:
    """Starts one process of the network again after it has ended, with the configuration and store it had."""
    others = [process for process in recorded(home) if process.name != name]
    if len(others) == len(recorded(home)):
        raise InvalidField(f"{name} is not on record under {home}", field="name", fix="quorate localnet status")
    if any(process.name == name and _alive(process) for process in recorded(home)):
        raise NetworkRunning(f"{name} is running", field="name", fix="stop it first")
    started = _spawn(load_config(home / name / "config.json"), entry)
    (home / RECORD).write_bytes(msgspec.json.encode((*others, started)))
    return started


def _spawn(config: NodeConfig, entry: Sequence[str] = ENTRY) -> Process:
    """In a session of its own, so that Ctrl-C in a terminal stops the command and not the network."""
    folder = config.folder
    with (folder / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, *entry, str(folder / "config.json")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    port = int(config.listen.rsplit(":", 1)[1])
    return Process(config.name, config.role, child.pid, start_time(child.pid), port)


def start_time(pid: int) -> int:
    """The kernel's start time of a process (proc(5), stat field 22), 0 when there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def _await_ready(home: Path, processes: tuple[Process, ...], providers: int) -> None:
    door = home / "node" / "door.sock"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        for process in processes:
            if not _alive(process):
                raise WorldError(
                    f"{process.name} ended at its start: {_last_line(home / process.name)}", field=process.name
                )
        if overview(door).get("standing_offers", 0) == providers:
            return
        time.sleep(0.05)
    raise WorldError(
        "the network did not come up in time", limit=f"{START_TIMEOUT_S:.0f} s", fix=f"see {home}/*/log.txt"
    )


def _last_line(folder: Path) -> str:
    try:
        lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else "nothing in its log"


def overview(door: Path) -> dict[str, int]:
    """What the requester's door says of the network; empty while it does not answer."""
    import http.client

    with contextlib.suppress(OSError, ValueError, http.client.HTTPException), socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(2)
        plain.connect(str(door))
        connection = http.client.HTTPConnection("localhost", timeout=2)
        connection.sock = plain
        connection.request("GET", "/v1/network")
        found = json.loads(connection.getresponse().read())
        return found if isinstance(found, dict) else {}
    return {}


def _alive(process: Process) -> bool:
    # A child of ours that ended stays a zombie until it is waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return process.started != 0 and start_time(process.pid) == process.started


def recorded(home: Path) -> tuple[Process, ...]:
    try:
        return msgspec.json.decode((home / RECORD).read_bytes(), type=tuple[Process, ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def status(home: Path) -> list[ProcessStatus]:
    """Every process on record, and whether it lives."""
    return [
        ProcessStatus(p.name, p.role, p.pid, _alive(p), p.port, memory_kib(p.pid) if _alive(p) else 0)
        for p in recorded(home)
    ]


def memory_kib(pid: int) -> int:
    """Proportional set size in KiB (proc(5), smaps_rollup)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def down(home: Path, *, purge: bool = False) -> list[str]:
    """Stops every process on record, the requester's side first; with `purge` removes the whole network, keys
    included."""
    if not (home / "network.cbor").exists() and not recorded(home) and not (purge and _has_parts(home)):
        raise NoNetwork(f"no network under {home}", field="QUORATE_HOME", fix="quorate localnet up")
    running = [process for process in recorded(home) if _alive(process)]
    for process in running:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(_alive(process) for process in running) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in running:
        _signal(process, signal.SIGKILL)
    while any(_alive(process) for process in running) and time.monotonic() < deadline + 2:
        time.sleep(0.02)
    (home / RECORD).unlink(missing_ok=True)
    (home / "node" / "door.sock").unlink(missing_ok=True)
    if purge:
        _purge(home)
    return [process.name for process in running]


def _signal(process: Process, number: signal.Signals) -> None:
    if _alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _purge(home: Path) -> None:
    """Only what a network made; a folder with anything else in it stays."""
    others = (path.name for path in home.glob("client-*"))
    for name in ("client", *others, *_existing(home)):
        shutil.rmtree(home / name, ignore_errors=True)
    for name in ("network.cbor", "authority.pem", "authority.key", RECORD):
        (home / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        home.rmdir()


@contextlib.contextmanager
def _disk_errors(home: Path):  # type: ignore[no-untyped-def]
    try:
        yield
    except OSError as fault:
        kind = DiskFull if fault.errno in (28, 122) else WorldError
        raise kind(
            f"{home}: {fault.strerror}", field="QUORATE_HOME", fix="choose a folder that you may write to"
        ) from None
