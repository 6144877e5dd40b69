"""What only the Zenoh transport promises: who gets in, which sockets exist, what a kill or a stopped peer does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import zenoh
from tests.support import certificates
from tests.support.capture import Recorder, Tee, read_wire_log, shared_windows
from tests.support.certificates import DAY_MS, lifetime
from tests.support.mesh_process import to_json
from tests.support.meshes import NETWORK_ID, Receiver, ZenohMesh, node, started, until

from quorate.adapters.transport.mesh_settings import Credentials, Keys, session_options
from quorate.adapters.transport.zenoh import ZenohTransport
from quorate.errors import BadSignature, InvalidField, PortTaken, QuorateError, UnreadableFile, WorldError
from quorate.model.units import Digest, Millis, NodeId

ROOT = Path(__file__).resolve().parents[2]
STRANGER_GIVEN_UP_S = 1.0
"""Longer than several rounds of connecting, so that a stranger who could get in would be in."""


@pytest.fixture
def mesh(tmp_path: Path) -> ZenohMesh:
    return ZenohMesh(tmp_path / "mesh")


@pytest.fixture
async def opened() -> AsyncIterator[list[ZenohTransport]]:
    """Transports put here are closed at the end."""
    transports: list[ZenohTransport] = []
    yield transports
    for transport in transports:
        await transport.close()


class Process:
    """A node in a process of its own."""

    def __init__(self, mesh: ZenohMesh, number: int, folder: Path, **changes: Any) -> None:
        path = folder / f"node-{number}.json"
        path.write_text(to_json(mesh.settings(number, **changes)))
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mesh_process", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._partial = b""

    def poll(self) -> list[dict[str, Any]]:
        """Everything it has told so far."""
        assert self.process.stdout is not None
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.process.stdout.fileno(), 1 << 16):
                self._partial += data
        *lines, self._partial = self._partial.split(b"\n")
        self.events += [json.loads(line) for line in lines]
        return self.events

    def told(self, key: str) -> list[Any]:
        return [event[key] for event in self.poll() if key in event]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Processes put here are ended at the end."""
    running: list[Process] = []
    yield running
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.process.send_signal(signal.SIGCONT)
        process.end()


# -- own credentials ------------------------------------------------------------------------------------------------


async def refused(mesh: ZenohMesh, error: type[QuorateError], match: str, **changes: Any) -> None:
    transport = ZenohTransport(mesh.settings(0, **changes))
    receiver = Receiver()
    with pytest.raises(error, match=match) as caught:
        await transport.start(receiver.handle, receiver.source)
    assert "\n" not in str(caught.value)
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", mesh.ports[0]), 1):
        pytest.fail("it listens although it did not start")


async def test_missing_files_are_named(mesh: ZenohMesh, tmp_path: Path) -> None:
    good = mesh.network.certify(node(0))
    gone = tmp_path / "gone.pem"
    for field in ("authority", "certificate", "key"):
        paths = {name: getattr(good, name) for name in ("authority_path", "certificate_path", "key_path")}
        paths[f"{field}_path"] = gone
        await refused(mesh, UnreadableFile, rf"{field}: .*gone\.pem: No such file", credentials=Credentials(**paths))


async def test_files_of_another_kind_are_refused(mesh: ZenohMesh, tmp_path: Path) -> None:
    good = mesh.network.certify(node(0))
    junk = tmp_path / "junk.pem"
    junk.write_text("not pem")
    junk.chmod(0o600)
    for paths, error in (
        ((junk, good.certificate_path, good.key_path), BadSignature),
        ((good.authority_path, junk, good.key_path), BadSignature),
        ((good.authority_path, good.certificate_path, junk), InvalidField),
        ((good.authority_path, good.key_path, good.key_path), BadSignature),
    ):
        await refused(mesh, error, "certificate|authority|key", credentials=Credentials(*paths))


async def test_a_key_that_others_can_read_is_refused(mesh: ZenohMesh) -> None:
    paths = mesh.network.certify(node(0))
    paths.key_path.chmod(0o640)
    await refused(mesh, InvalidField, "key: can be read by others; limit: mode 0600; fix: chmod 600", credentials=paths)


async def test_a_key_of_another_certificate_is_refused(mesh: ZenohMesh) -> None:
    mine, other = mesh.network.certify(node(0)), mesh.network.certify(node(1))
    paths = Credentials(mine.authority_path, mine.certificate_path, other.key_path)
    await refused(mesh, InvalidField, "key: does not belong to the certificate", credentials=paths)


async def test_a_certificate_of_another_node_is_refused(mesh: ZenohMesh) -> None:
    await refused(mesh, BadSignature, "another node", credentials=mesh.network.certify(node(1)))


async def test_a_certificate_of_a_foreign_authority_is_refused(mesh: ZenohMesh, tmp_path: Path) -> None:
    foreign = certificates.Network(tmp_path / "foreign").certify(node(0))
    paths = Credentials(mesh.network.authority_path, foreign.certificate_path, foreign.key_path)
    await refused(mesh, BadSignature, "authority", credentials=paths)


async def test_an_expired_certificate_is_refused(mesh: ZenohMesh) -> None:
    expired = mesh.network.certify(node(0), lifetime(begins_ms_from_now=-2 * DAY_MS, valid_ms=DAY_MS))
    await refused(mesh, BadSignature, "not in date", credentials=expired)
    early = mesh.network.certify(node(0), lifetime(begins_ms_from_now=DAY_MS))
    await refused(mesh, BadSignature, "not in date", credentials=early)


@pytest.mark.parametrize(
    "endpoint", ["0.0.0.0:7447", "192.0.2.1:7447", "localhost:7447", "127.0.0.1:0", "127.0.0.1", ""]
)
async def test_endpoints_that_are_not_loopback_are_refused(mesh: ZenohMesh, endpoint: str) -> None:
    await refused(mesh, InvalidField, "listen: ", listen=endpoint)
    await refused(mesh, InvalidField, "connect: ", connect=(endpoint,))
    await refused(mesh, InvalidField, "connect: ", connect=("127.0.0.1:7447#so_rcvbuf=1",))


async def test_members_must_hold_the_node(mesh: ZenohMesh) -> None:
    await refused(mesh, InvalidField, "members: this node is not among them", members=frozenset({node(1)}))


async def test_a_taken_port_is_named(mesh: ZenohMesh, opened: list[ZenohTransport]) -> None:
    with socket.create_server(("127.0.0.1", mesh.ports[0])):
        transport = mesh.make(0)
        with pytest.raises(PortTaken, match=f"listen: 127.0.0.1:{mesh.ports[0]} is taken; fix: choose another port"):
            await started(transport)
    opened.append(transport)
    await started(transport)  # nothing is left of the first try


# -- strangers ------------------------------------------------------------------------------------------------------


def handshake(port: int, authority: Path, own: Credentials | None) -> bytes:
    """A TLS client with or without a certificate. Raises what the other side's refusal raises; with TLS 1.3 it comes
    with the first read, so silence for a while means that the server took us."""
    context = ssl.create_default_context(cafile=str(authority))
    if own is not None:
        context.load_cert_chain(own.certificate_path, own.key_path)
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.settimeout(0.5)
        try:
            return secured.recv(1)
        except TimeoutError:
            return b"accepted"


async def test_only_certificates_of_the_authority_in_date_get_through_tls(
    mesh: ZenohMesh, opened: list[ZenohTransport], tmp_path: Path
) -> None:
    opened.append(mesh.make(0))
    await started(opened[0])
    authority = mesh.network.authority_path
    foreign = certificates.Network(tmp_path / "foreign").certify(node(1))
    expired = mesh.network.certify(node(2), lifetime(begins_ms_from_now=-2 * DAY_MS, valid_ms=DAY_MS))
    for stranger in (None, foreign, expired):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.to_thread(handshake, mesh.ports[0], authority, stranger)
    good = mesh.network.certify(node(3))
    assert await asyncio.to_thread(handshake, mesh.ports[0], authority, good) == b"accepted"


async def test_a_node_of_a_foreign_network_never_becomes_a_peer(
    mesh: ZenohMesh, opened: list[ZenohTransport], tmp_path: Path
) -> None:
    foreign = certificates.Network(tmp_path / "foreign")
    stranger = ZenohTransport(mesh.settings(1, credentials=foreign.certify(node(1))))
    opened += [mesh.make(0), stranger, mesh.make(2)]
    receivers = [await started(transport) for transport in opened]
    await until(lambda: opened[0].peers() == {node(2)})
    for transport in (opened[0], stranger):
        await transport.send(node(1 if transport is opened[0] else 0), b"across")
    await asyncio.sleep(STRANGER_GIVEN_UP_S)
    assert opened[0].peers() == {node(2)}
    assert stranger.peers() == frozenset()
    assert [receiver.messages for receiver in receivers] == [[], [], []]


async def test_a_certified_node_that_is_no_member_is_kept_out(mesh: ZenohMesh, opened: list[ZenohTransport]) -> None:
    members = frozenset({node(0), node(2)})
    outsider = mesh.make(1)  # thinks that all are members
    opened += [ZenohTransport(mesh.settings(number, members=members)) for number in (0, 2)]
    opened.append(outsider)
    receivers = [await started(transport) for transport in opened]
    await until(lambda: opened[0].peers() == {node(2)} and opened[1].peers() == {node(0)})
    await outsider.send(node(0), b"let me in")
    await asyncio.sleep(STRANGER_GIVEN_UP_S)
    assert opened[0].peers() == {node(2)}
    assert receivers[0].messages == []
    with pytest.raises(WorldError):
        await outsider.fetch(node(0), Digest(bytes(32)), 0, 1, Millis(300))


def plain_session(port: int) -> zenoh.Session:
    config = zenoh.Config()
    for path, value in {
        "mode": "peer",
        "listen/endpoints": [],
        "connect/endpoints": [f"tcp/127.0.0.1:{port}"],
        "connect/timeout_ms": -1,
        "connect/exit_on_failure": False,
        "connect/retry": {"period_init_ms": 50, "period_max_ms": 50, "period_increase_factor": 1},
        "open/return_conditions": {"connect_scouted": False, "declares": False},
        "scouting/multicast/enabled": False,
    }.items():
        config.insert_json5(path, json.dumps(value))
    return zenoh.open(config)


async def test_plaintext_is_not_spoken(mesh: ZenohMesh, opened: list[ZenohTransport]) -> None:
    opened.append(mesh.make(0))
    receiver = await started(opened[0])
    session = await asyncio.to_thread(plain_session, mesh.ports[0])
    try:
        for _ in range(20):
            session.put(Keys.of(NETWORK_ID).inbox(node(0), node(1)), b"\x01in plain")
            await asyncio.sleep(STRANGER_GIVEN_UP_S / 20)
        assert session.info.peers_zid() == []
    finally:
        await asyncio.to_thread(session.close)
    reader, writer = await asyncio.open_connection("127.0.0.1", mesh.ports[0])
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(64), 5)
    writer.close()
    assert answer[:1] in (b"", b"\x15"), "closed, or a TLS alert"
    assert receiver.messages == []
    assert opened[0].peers() == frozenset()


def certified_session(mesh: ZenohMesh, number: int) -> zenoh.Session:
    """A member that runs its own software: right certificate, no access rules of its own."""
    config = zenoh.Config()
    for path, value in session_options(mesh.settings(number)).items():
        if path != "access_control":
            config.insert_json5(path, value)
    return zenoh.open(config)


async def test_a_member_cannot_listen_for_others_or_stand_in_for_them(
    mesh: ZenohMesh, opened: list[ZenohTransport]
) -> None:
    opened += [mesh.make(0), mesh.make(1)]
    first, second = [await started(transport) for transport in opened]
    first.blobs[Digest(bytes(32))] = second.blobs[Digest(bytes(32))] = b"true blob"
    keys, spied, asked = Keys.of(NETWORK_ID), [], []
    session = await asyncio.to_thread(certified_session, mesh, 2)
    try:
        spies = [
            session.declare_subscriber(keys.inbox(node(1)), lambda sample: spied.append(sample.payload.to_bytes())),
            session.declare_subscriber("q/**", lambda sample: spied.append(sample.payload.to_bytes())),
            session.declare_queryable(keys.blob(node(1)), lambda query: asked.append(query)),
        ]
        tokens = [session.liveliness().declare_token(keys.up(node(number), "0")) for number in (3, 2)]
        await until(lambda: node(2) in opened[0].peers() and node(1) in opened[0].peers())
        await opened[0].send(node(1), b"for one only")
        await until(lambda: second.messages)
        assert await opened[0].fetch(node(1), Digest(bytes(32)), 0, 9, Millis(2000)) == b"true blob"
        await asyncio.sleep(0.3)
        assert spied == []
        assert asked == []
        assert node(3) not in opened[0].peers()
        session.put(keys.inbox(node(0), node(1)), b"\x01under another's name")
        session.put(keys.inbox(node(0), node(0)), b"\x01under the receiver's own name")
        session.put(keys.inbox(node(0), node(2)), b"\x01under its own name")
        await until(lambda: first.messages)
        assert first.messages == [(node(2), b"under its own name")]
        assert len(tokens + spies) == 5  # declarations live as long as their objects
    finally:
        await asyncio.to_thread(session.close)


async def test_bytes_of_another_form_are_refused_and_counted(mesh: ZenohMesh, opened: list[ZenohTransport]) -> None:
    opened.append(mesh.make(0))
    receiver = await started(opened[0])
    keys = Keys.of(NETWORK_ID)
    session = await asyncio.to_thread(certified_session, mesh, 2)
    try:
        token = session.liveliness().declare_token(keys.up(node(2), "0"))
        await until(lambda: node(2) in opened[0].peers())
        bad = [b"", b"\x02version", b"\x00"]
        for payload in bad:
            session.put(keys.inbox(node(0), node(2)), payload)
        session.put(keys.inbox(node(0), node(2)), b"\x01good")
        await until(lambda: receiver.messages)
        assert receiver.messages == [(node(2), b"good")]
        assert opened[0].refused == len(bad)
        for request in (b"", b"\x01" + node(2) + bytes(43), b"\x01" + node(2) + bytes(40) + b"\xff" * 4):
            replies = await asyncio.to_thread(lambda r=request: list(session.get(keys.blob(node(0)), payload=r)))
            assert [reply.err.payload.to_bytes() for reply in replies] == [b"failed"]
        token.undeclare()
    finally:
        await asyncio.to_thread(session.close)


# -- sockets and bytes ----------------------------------------------------------------------------------------------


async def test_only_loopback_sockets_exist(
    mesh: ZenohMesh, opened: list[ZenohTransport], processes: list[Process], tmp_path: Path
) -> None:
    processes.append(Process(mesh, 1, tmp_path))
    opened.append(mesh.make(0))
    await started(opened[0])
    await until(lambda: node(1) in opened[0].peers())
    await opened[0].send(node(1), b"sockets")
    await until(lambda: processes[0].told("sockets"))
    found = processes[0].told("sockets")[0]
    listening = [local for protocol, local, state in found if state == "0A"]
    assert listening == [f"0100007F:{mesh.ports[1]:04X}"]
    assert {protocol for protocol, _, _ in found} == {"tcp"}
    assert {local.split(":")[0] for _, local, _ in found} == {"0100007F"}


async def test_the_wire_holds_no_plain_bytes_and_the_observers_hold_all(
    mesh: ZenohMesh, opened: list[ZenohTransport], tmp_path: Path
) -> None:
    secret, recorder, log = os.urandom(4096), Recorder(), tmp_path / "wire.log"
    tee = Tee(mesh.ports[1])
    relay = f"127.0.0.1:{await tee.start()}"
    sender = ZenohTransport(mesh.settings(0, connect=(relay,), wire_log_path=log), observer=recorder)
    opened += [sender, ZenohTransport(mesh.settings(1, connect=()))]
    try:
        first, second = [await started(transport) for transport in opened]
        first.blobs[Digest(bytes(32))] = secret
        await until(lambda: node(1) in sender.peers() and node(0) in opened[1].peers())
        await sender.send(node(1), secret)
        assert await opened[1].fetch(node(0), Digest(bytes(32)), 0, 4096, Millis(2000)) == secret
        await until(lambda: second.messages)
        assert tee.connections >= 1
        assert len(tee.upstream) > 2 * len(secret)
        assert shared_windows(secret, [bytes(tee.upstream), bytes(tee.downstream)]) == []
        assert log.stat().st_mode & 0o777 == 0o600
        for seen in (recorder.payloads, read_wire_log(log)):
            assert [len(payload) for payload in seen] == [1 + 4096, 4096]
            assert len(shared_windows(secret, seen)) == 4096 - 7
    finally:
        for transport in opened:
            await transport.close()
        await tee.close()


# -- kills and stops ------------------------------------------------------------------------------------------------


async def test_a_killed_process_is_missed_and_found_again(
    mesh: ZenohMesh, opened: list[ZenohTransport], processes: list[Process], tmp_path: Path
) -> None:
    opened.append(mesh.make(0))
    receiver = await started(opened[0])
    for number in range(3):
        processes.append(Process(mesh, 1, tmp_path))
        await until(lambda: node(1) in opened[0].peers())
        await opened[0].send(node(1), b"echo %d" % number)
        await until(lambda number=number: (node(1), b"echo %d" % number) in receiver.messages)
        processes[-1].kill()
        await until(lambda: node(1) not in opened[0].peers(), 2)


async def test_a_listener_that_was_killed_is_dialled_again(
    mesh: ZenohMesh, opened: list[ZenohTransport], processes: list[Process], tmp_path: Path
) -> None:
    """The restarted process dials nobody, so that it is found only because the other one keeps trying."""
    opened.append(mesh.make(0))
    receiver = await started(opened[0])
    for number in range(2):
        processes.append(Process(mesh, 1, tmp_path, connect=()))
        await until(lambda: processes[-1].told("started"))
        began = time.monotonic()
        await until(lambda: node(1) in opened[0].peers())
        assert time.monotonic() - began < 3, "about one second on a quiet machine"
        await opened[0].send(node(1), b"echo %d" % number)
        await until(lambda number=number: (node(1), b"echo %d" % number) in receiver.messages)
        processes[-1].kill()
        await asyncio.sleep(1)  # long enough for the pause between two tries to be at its longest


async def test_gossip_finds_those_who_are_not_listed(mesh: ZenohMesh, opened: list[ZenohTransport]) -> None:
    known = (mesh.endpoints[0],)
    opened += [ZenohTransport(mesh.settings(number, connect=known)) for number in range(4)]
    for transport in reversed(opened):
        await started(transport)
    everyone = frozenset(node(number) for number in range(4))
    await until(lambda: all(transport.peers() == everyone - {node(n)} for n, transport in enumerate(opened)))


async def test_a_stopped_peer_holds_up_nobody(
    mesh: ZenohMesh, opened: list[ZenohTransport], processes: list[Process], tmp_path: Path
) -> None:
    processes += [Process(mesh, 1, tmp_path), Process(mesh, 2, tmp_path)]
    opened.append(mesh.make(0))
    receiver = await started(opened[0])
    await until(lambda: opened[0].peers() == {node(1), node(2)})
    await opened[0].send(node(1), b"echo first")
    await until(lambda: receiver.messages)
    processes[0].process.send_signal(signal.SIGSTOP)
    receiver.messages.clear()
    longest_s, part = 0.0, bytes(100_000)
    for number in range(300):  # 30 MB, more than every buffer on the way
        began = time.monotonic()
        await opened[0].send(node(1), part)
        longest_s = max(longest_s, time.monotonic() - began)
        if number % 30 == 0:
            await opened[0].send(node(2), b"echo %d" % number)
            await asyncio.sleep(0.01)
    assert longest_s < 0.5, "a hand-over to a stopped peer held the loop"
    await until(lambda: len(receiver.messages) == 10, 3)
    assert {sender for sender, _ in receiver.messages} == {node(2)}
    processes[0].process.send_signal(signal.SIGCONT)

    async def answers() -> None:
        while (node(1), b"echo again") not in receiver.messages:
            await opened[0].send(node(1), b"echo again")
            await asyncio.sleep(0.05)

    await asyncio.wait_for(answers(), 20)


async def test_closing_does_not_wait_for_a_stopped_peer(
    mesh: ZenohMesh, processes: list[Process], tmp_path: Path
) -> None:
    processes.append(Process(mesh, 1, tmp_path))
    transport = mesh.make(0)
    await started(transport)
    await until(lambda: node(1) in transport.peers())
    processes[0].process.send_signal(signal.SIGSTOP)
    for _ in range(300):
        await transport.send(node(1), bytes(100_000))
    began = time.monotonic()
    await transport.close()
    assert time.monotonic() - began < 4


async def test_a_slow_handler_holds_the_sender_back_and_loses_nothing(
    mesh: ZenohMesh, opened: list[ZenohTransport]
) -> None:
    """More than the inbox holds goes through a handler that starts late."""
    gate, sizes = asyncio.Event(), []

    async def handle(sender: NodeId, message: bytes) -> None:
        await gate.wait()
        sizes.append(len(message))

    opened += [mesh.make(0), mesh.make(1)]
    await opened[0].start(handle, Receiver().source)
    await started(opened[1])
    await until(lambda: node(0) in opened[1].peers())
    count, part = 90, bytes(1_000_000)
    for _ in range(count):
        await opened[1].send(node(0), part)
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.2)
    gate.set()
    await until(lambda: len(sizes) + opened[1].shed == count, 20)
    assert opened[1].shed == 0
