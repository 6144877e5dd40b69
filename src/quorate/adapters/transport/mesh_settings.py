"""Who a Zenoh peer is, whom it talks to and what each side may do: checked settings in, session configuration out.

A node's certificate is issued by the network's own authority, names the node (common name = node id in hex) and
127.0.0.1, the only address used. Access rules are Zenoh's, by certificate common name: a peer may declare only its own
inbox, blobs and liveliness, put only under its own name into the inboxes of others, and messages for a node leave only
towards that node's certificate. So with `members` a message's sender is as sure as its certificate. Without, every
certificate of the authority may take part and only the shape of the keys is held: a certified peer could listen on
another's inbox (it would see sealed messages and their sizes) and use another's name. Nodes always name the members.
Options are those of Zenoh 1.x, DEFAULT_CONFIG.json5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorate.adapters.transport.limits import BLOB_RANGE_BYTES_MAX, MESSAGE_BYTES_MAX, check_node
from quorate.crypto.credentials import PEM_BYTES_MAX, TlsKey, check_certificate
from quorate.errors import InvalidField, UnreadableFile
from quorate.model.units import Millis, NodeId

MEMBERS_MAX = 1024
_OVERHEAD_BYTES_MAX = 4096
_ENDPOINT = re.compile(r"127\.0\.0\.1:(?P<port>\d{1,5})")
_NETWORK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files: the network's authority, this node's certificate, and its key (mode 0600)."""

    authority_path: Path
    certificate_path: Path
    key_path: Path


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """One node's place on the mesh. Endpoints are `127.0.0.1:port`; `network` is the network id."""

    network: bytes
    node: NodeId
    listen: str
    credentials: Credentials
    connect: tuple[str, ...] = ()
    members: frozenset[NodeId] | None = None
    """The nodes that may take part. None: whoever holds a certificate of the authority."""
    wire_log_path: Path | None = None
    """For tests: every payload handed to Zenoh is appended here in plain, four bytes of length before each."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The names on the mesh. `up` carries a number drawn at start, which tells a restarted node from its past self."""

    prefix: str

    @classmethod
    def of(cls, network: bytes) -> Keys:
        if len(network) < _NETWORK_BYTES:
            limit = f"{_NETWORK_BYTES} bytes or more"
            raise InvalidField(f"{len(network)} bytes", field="network", limit=limit, fix="give the network id")
        return cls(f"q/{network[:_NETWORK_BYTES].hex()}")

    def inbox(self, node: NodeId, sender: NodeId | None = None) -> str:
        """Where `sender` puts what is for `node`; without a sender, all of them."""
        return f"{self.prefix}/{node.hex()}/in/{sender.hex() if sender is not None else '*'}"

    def sender(self, key: str) -> NodeId:
        """The last part of an inbox key. Raises ValueError for anything but a node id."""
        return NodeId(bytes.fromhex(key[key.rindex("/") + 1 :]))

    def blob(self, node: NodeId) -> str:
        return f"{self.prefix}/{node.hex()}/blob"

    def up(self, node: NodeId, start: str) -> str:
        return f"{self.prefix}/{node.hex()}/up/{start}"

    def all_up(self) -> str:
        return f"{self.prefix}/*/up/*"

    def node_up(self, key: str) -> tuple[NodeId, str] | None:
        """Reads an `up` key back; None for anything else."""
        parts = key.split("/")
        if len(parts) != 5 or "/".join(parts[:2]) != self.prefix or parts[3] != "up" or not parts[4]:
            return None
        if re.fullmatch(r"[0-9a-f]{64}", parts[2]) is None:
            return None
        return NodeId(bytes.fromhex(parts[2])), parts[4]


def check_settings(settings: MeshSettings, now_ms: Millis) -> None:
    """Refuses what would fail later and less clearly: unreadable, foreign, mismatched or expired credentials, and
    endpoints that are no loopback address."""
    check_node(settings.node, "node")
    Keys.of(settings.network)
    _check_endpoint(settings.listen, "listen")
    for endpoint in settings.connect:
        _check_endpoint(endpoint, "connect")
    if settings.members is not None:
        _check_members(settings.members, settings.node)
    _check_credentials(settings.credentials, settings.node, now_ms)


def _check_endpoint(endpoint: str, field: str) -> None:
    """Numeric and on this machine: certificates name no other address, and a name could resolve to anything."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        limit = "127.0.0.1:1 to 127.0.0.1:65535"
        raise InvalidField(f"{endpoint!r} is no endpoint on this machine", field=field, limit=limit, fix="change it")


def _check_members(members: frozenset[NodeId], node: NodeId) -> None:
    for member in members:
        check_node(member, "members")
    if len(members) > MEMBERS_MAX:
        fix = "leave members open and rely on the authority"
        raise InvalidField(f"{len(members)} nodes", field="members", limit=f"{MEMBERS_MAX} nodes", fix=fix)
    if node not in members:
        raise InvalidField("this node is not among them", field="members", fix="add the node itself")


def _check_credentials(credentials: Credentials, node: NodeId, now_ms: Millis) -> None:
    authority = _read_pem(credentials.authority_path, "authority")
    certificate = _read_pem(credentials.certificate_path, "certificate")
    key = TlsKey.from_pem(_read_pem(credentials.key_path, "key"))
    if credentials.key_path.stat().st_mode & 0o077:
        fix = f"chmod 600 {credentials.key_path}"
        raise InvalidField("can be read by others", field="key", limit="mode 0600", fix=fix)
    check_certificate(certificate, authority, node, now_ms)
    certified = x509.load_pem_x509_certificate(certificate).public_key()
    if certified.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) != key.public_pem:
        raise InvalidField("does not belong to the certificate", field="key", fix="use the key it was issued for")


def _read_pem(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(PEM_BYTES_MAX + 1)
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise UnreadableFile(f"{path}: {reason}", field=field, fix="give the path of a PEM file") from None


def session_options(settings: MeshSettings) -> dict[str, str]:
    """The Zenoh configuration as path and JSON. No default that opens a socket or a file is left standing."""
    paths = settings.credentials
    options: dict[str, object] = {
        "mode": "peer",
        "listen/endpoints": [f"tls/{settings.listen}"],
        "listen/timeout_ms": 0,
        "listen/exit_on_failure": True,
        "connect/endpoints": [f"tls/{endpoint}" for endpoint in settings.connect if endpoint != settings.listen],
        "connect/timeout_ms": -1,
        "connect/exit_on_failure": False,
        "connect/retry": {"period_init_ms": 50, "period_max_ms": 400, "period_increase_factor": 2.0},
        "open/return_conditions": {"connect_scouted": False, "declares": False},
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": True,
        "adminspace/enabled": False,
        "plugins_loading/enabled": False,
        "transport/shared_memory/enabled": False,
        "transport/link/protocols": ["tls"],
        "transport/link/rx/max_message_size": max(MESSAGE_BYTES_MAX, BLOB_RANGE_BYTES_MAX) + _OVERHEAD_BYTES_MAX,
        "transport/link/tx/queue/congestion_control/block/wait_before_close": 5_000_000,
        "transport/link/tls": {
            "root_ca_certificate": str(paths.authority_path),
            "listen_certificate": str(paths.certificate_path),
            "listen_private_key": str(paths.key_path),
            "connect_certificate": str(paths.certificate_path),
            "connect_private_key": str(paths.key_path),
            "enable_mtls": True,
            "verify_name_on_connect": True,
            "close_link_on_expiration": True,
        },
        "access_control": access_rules(Keys.of(settings.network), settings.node, settings.members),
    }
    return {path: json.dumps(value) for path, value in options.items()}


_OWNED = ["declare_subscriber", "declare_queryable", "liveliness_token", "reply"]
_WATCHED = ["liveliness_query", "declare_liveliness_subscriber"]


def access_rules(keys: Keys, node: NodeId, members: frozenset[NodeId] | None) -> dict[str, object]:
    """Deny by default; then, for each peer, its own keys inwards and messages to it outwards."""
    prefix, me = keys.prefix, node.hex()
    rules = [
        _rule("ask-me", "ingress", ["query"], (f"{prefix}/{me}/blob",)),
        _rule("of-me", "egress", _OWNED, (f"{prefix}/{me}/**",)),
        _rule("watch-in", "ingress", _WATCHED, (f"{prefix}/*/up/*",)),
        _rule("watch-out", "egress", _WATCHED, (f"{prefix}/*/up/*",)),
    ]
    shared = [str(rule["id"]) for rule in rules]
    subjects: list[dict[str, object]] = []
    policies: list[dict[str, object]] = []
    others = ["*"] if members is None else sorted(member.hex() for member in members if member != node)
    for other in others:
        own = (f"{prefix}/{other}/in/*", f"{prefix}/{other}/blob", f"{prefix}/{other}/up/*")
        rules.append(_rule(f"of-{other}", "ingress", _OWNED, own))
        rules.append(_rule(f"from-{other}", "ingress", ["put"], (f"{prefix}/{me}/in/{other}",)))
        rules.append(_rule(f"to-{other}", "egress", ["put", "query"], (f"{prefix}/{other}/in/{me}", own[1])))
        subjects.append({"id": other} if members is None else {"id": other, "cert_common_names": [other]})
        policies.append({"subjects": [other], "rules": [*shared, f"of-{other}", f"from-{other}", f"to-{other}"]})
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects or None,
        "policies": policies or None,
    }


def _rule(name: str, flow: str, messages: list[str], keys: Iterable[str]) -> dict[str, object]:
    return {
        "id": name,
        "permission": "allow",
        "flows": [flow],
        "messages": messages,
        "key_exprs": list(keys),
    }
