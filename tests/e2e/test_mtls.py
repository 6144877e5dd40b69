"""Every connection between nodes is mutual TLS under the network's own authority (S-E43), and nobody without a
registered identity gets a job (S-E48)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import certificates, guests, open_provider
from tests.support.network import Network, until
from tests.support.ports import free_ports

from quorate import Job, Quorate
from quorate.adapters.keys import write_secret
from quorate.adapters.transport.mesh_settings import Credentials
from quorate.crypto.credentials import Authority, Lifetime, TlsKey
from quorate.crypto.signing import Identity
from quorate.crypto.wrapping import SealKey
from quorate.errors import CohortTooLarge
from quorate.model.identity import DEFAULT_SUITE
from quorate.node import localnet

PATIENCE_S = 1.0
NODES = 3


def authority_of(network: Network) -> Authority:
    key = TlsKey.from_pem((network.home / "authority.key").read_bytes())
    return Authority(key, (network.home / "authority.pem").read_bytes())


def certified(folder: Path, authority: Authority, identity: Identity, valid: Lifetime) -> Credentials:
    """A certificate for `identity` from the network's own authority."""
    maker = certificates.Network(folder)
    maker.authority = authority
    return maker.certify(identity.node_id, valid)


def own_certificate(network: Network, name: str) -> Credentials:
    folder = network.home / name
    return Credentials(network.home / "authority.pem", folder / "tls.pem", folder / "tls.key")


def lets_in(network: Network, name: str, credentials: Credentials | None, *, trust: Path | None = None) -> bool:
    """Whether the port of a node keeps a TLS connection with this certificate. In TLS 1.3 the refusal of a client
    certificate comes after the handshake, as an alert or an end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trust or network.home / "authority.pem")
    context.check_hostname = False
    if credentials is not None:
        context.load_cert_chain(credentials.certificate_path, credentials.key_path)
    port = network.process(name).port
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                secured.settimeout(PATIENCE_S)
                with contextlib.suppress(TimeoutError):
                    return bool(secured.recv(1))
                return True
        except (ssl.SSLError, ConnectionError):
            return False


@pytest.mark.parametrize("name", ["sequencer", "node", "provider-1"])
class TestEachPort:
    def test_a_member_is_let_in(self, network: Network, name: str) -> None:
        """The positive control of the others."""
        assert lets_in(network, name, own_certificate(network, "provider-2"))

    def test_no_certificate_is_refused(self, network: Network, name: str) -> None:
        assert not lets_in(network, name, None)

    def test_a_foreign_certificate_is_refused(self, network: Network, name: str, tmp_path: Path) -> None:
        foreign = certificates.Network(tmp_path).certify(network.ids["provider-2"])
        assert not lets_in(network, name, foreign)

    def test_an_expired_certificate_is_refused(self, network: Network, name: str, tmp_path: Path) -> None:
        identity = Identity.generate(DEFAULT_SUITE, os.urandom)
        day = certificates.DAY_MS
        past = certificates.lifetime(begins_ms_from_now=-2 * day, valid_ms=day)
        assert not lets_in(network, name, certified(tmp_path, authority_of(network), identity, past))
        present = certified(tmp_path, authority_of(network), identity, certificates.lifetime())
        assert lets_in(network, name, present), "only the date differs"

    def test_it_proves_itself_to_whoever_connects(self, network: Network, name: str, tmp_path: Path) -> None:
        """Mutual: a client that trusts another authority does not talk to it."""
        other = certificates.Network(tmp_path)
        assert not lets_in(network, name, own_certificate(network, "provider-2"), trust=other.authority_path)

    def test_plain_text_gets_no_word(self, network: Network, name: str) -> None:
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(64), b"\x03\x00\x01"):
            with socket.create_connection(("127.0.0.1", network.process(name).port), PATIENCE_S) as plain:
                plain.settimeout(PATIENCE_S)
                plain.sendall(said)
                answer = b""
                with contextlib.suppress(TimeoutError, ConnectionError):
                    answer = plain.recv(4096)
                assert not answer or answer[:1] == b"\x15", "at most a TLS alert"

    def test_it_listens_on_loopback_only(self, network: Network, name: str) -> None:
        pid, port = network.process(name).pid, network.process(name).port
        listening = sockets_of(pid)
        assert ("127.0.0.1", port) in listening
        assert {address for address, _ in listening} == {"127.0.0.1"}


def sockets_of(pid: int) -> set[tuple[str, int]]:
    """Listening TCP sockets and all UDP sockets of a process (proc(5), net/tcp; state 0A is LISTEN)."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(link)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table, states in (("tcp", {"0A"}), ("tcp6", {"0A"}), ("udp", None), ("udp6", None)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (states is None or fields[3] in states):
                address, port = fields[1].split(":")
                text = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if len(address) == 8 else address
                found.add((text, int(port, 16)))
    return found


def test_the_connections_of_the_network_are_tls_13(network: Network) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(network.home / "authority.pem")
    context.check_hostname = False
    own = own_certificate(network, "provider-2")
    context.load_cert_chain(own.certificate_path, own.key_path)
    plain = socket.create_connection(("127.0.0.1", network.process("node").port), PATIENCE_S)
    with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        assert secured.version() == "TLSv1.3"
        certificate = secured.getpeercert()
    names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]  # type: ignore[index,union-attr]
    assert names == [network.ids["node"].hex()], "the certificate names the node by the digest of its keys"


# Without a registered identity


def stranger_folder(network: Network, name: str, *, listen: int) -> Path:
    """A provider of its own making: fresh keys, and a certificate of the right authority, but no account."""
    folder = network.home / name
    folder.mkdir(mode=0o700)
    identity = Identity.generate(DEFAULT_SUITE, os.urandom)
    made = certified(folder, authority_of(network), identity, certificates.lifetime())
    shutil.move(made.certificate_path, folder / "tls.pem")
    shutil.move(made.key_path, folder / "tls.key")
    write_secret(folder / "identity.key", identity.to_bytes())
    write_secret(folder / "seal.key", SealKey.generate(os.urandom).to_bytes())
    write_secret(folder / "artefact.key", os.urandom(32))
    others = [f"127.0.0.1:{process.port}" for process in localnet.recorded(network.home)]
    member = json.loads((network.home / "provider-1" / "config.json").read_bytes())
    config = {**member, "name": name, "operator": name, "listen": f"127.0.0.1:{listen}", "connect": others}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def started(folder: Path, *entry: str) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("ab") as log:
        command = [sys.executable, *entry, str(folder / "config.json")]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def test_a_node_without_an_account_does_not_even_start(network: Network) -> None:
    folder = stranger_folder(network, "stranger", listen=free_ports(1)[0])
    process = started(folder, *localnet.ENTRY)
    try:
        assert process.wait(20) != 0
    finally:
        process.kill()
        process.wait()
    assert "this node is not among them" in (folder / "log.txt").read_text()
    shutil.rmtree(folder)


def test_a_node_without_an_account_gets_no_job(network: Network, client: Quorate) -> None:
    """The same, with its own check switched off: the network does not let it take part."""
    folder = stranger_folder(network, "intruder", listen=free_ports(1)[0])
    process = started(folder, str(Path(open_provider.__file__)))
    try:
        until(lambda: (folder / open_provider.STARTED).exists(), 20)
        time.sleep(1.5)
        assert process.poll() is None
        known = client.network()
        assert (known["peers"], known["standing_offers"]) == (NODES + 1, NODES), "nobody sees it"
        draft = Job.builder().wasm(guests.ANSWER).public_input(b"").replication(NODES + 1).timeouts(match_ms=1_000)
        with pytest.raises(CohortTooLarge):
            client.wait(client.submit(draft.build()), 10)
        for _ in range(5):
            job = client.submit(guests.private(guests.REVERSE, b"abc"))
            assert client.wait(job, 30).decrypt() == b"cba"
        assert Identity.from_bytes((folder / "identity.key").read_bytes()).node_id not in network.book().state.accounts
        assert "assignment" not in (folder / "log.txt").read_text()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def test_a_member_with_an_expired_certificate_is_told_so_and_stays_out(network: Network, client: Quorate) -> None:
    folder = network.home / "provider-3"
    kept = (folder / "tls.pem").read_bytes(), (folder / "tls.key").read_bytes()
    identity = Identity.from_bytes((folder / "identity.key").read_bytes())
    past = certificates.lifetime(begins_ms_from_now=-2 * certificates.DAY_MS, valid_ms=certificates.DAY_MS)
    made = certified(folder, authority_of(network), identity, past)
    network.kill("provider-3")
    try:
        shutil.move(made.certificate_path, folder / "tls.pem")
        (folder / "tls.key").write_bytes(made.key_path.read_bytes())
        made.key_path.unlink()
        network.respawn("provider-3")
        until(lambda: not network.alive("provider-3"), 20)
        assert "not in date" in network.log("provider-3").splitlines()[-1]
    finally:
        (folder / "tls.pem").write_bytes(kept[0])
        (folder / "tls.key").write_bytes(kept[1])
    network.respawn("provider-3")
    until(lambda: client.network()["peers"] == NODES + 1, 20)
    assert client.wait(client.submit(guests.private(guests.REVERSE, b"abc")), 30).ok
