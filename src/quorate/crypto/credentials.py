"""Certificates for mutual TLS from the network's own authority (RFC 5280, ECDSA with P-256).

A certificate ties a TLS key to a NodeId: common name = the NodeId in hex (64 characters, the most that X.520 allows),
and a URI `did:quorate:<NodeId>`. The did:key of a hybrid has about 2,800 characters and fits into a certificate, which
would then take 3,300 bytes instead of 600 in each handshake; the NodeId is the digest of the same bundle, so the short
form binds no less. `did:quorate` is this product's own name and stands in no DID registry.

TLS is classical and only a hint of who is there: what counts is signed by the identity itself. P-256, because Python's
and Zenoh's TLS stacks take it everywhere. Times are arguments in milliseconds; entropy is drawn by the caller.
Certificates are valid for loopback only.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quorate.crypto.signing import Draw
from quorate.errors import BadSignature, InvalidField
from quorate.model.units import DIGEST_BYTES, Millis, NodeId

PEM_BYTES_MAX = 16 * 1024
BACKDATED = timedelta(minutes=5)
"""Certificates begin a little in the past, for peers whose clock is behind."""
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_USES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


@dataclass(frozen=True)
class Lifetime:
    """From when, and for how long, a certificate is valid."""

    now_ms: Millis
    valid_ms: Millis

    @property
    def begins(self) -> datetime:
        return _moment(self.now_ms) - BACKDATED

    @property
    def ends(self) -> datetime:
        return _moment(Millis(self.now_ms + self.valid_ms))


class TlsKey:
    """A P-256 private key for TLS."""

    __slots__ = ("_private",)

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls, draw: Draw) -> TlsKey:
        """FIPS 186-5, A.2.1: 64 bits more than the order, reduced."""
        number = int.from_bytes(draw(40), "big") % (_P256_ORDER - 1) + 1
        return cls(ec.derive_private_key(number, ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> TlsKey:
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise InvalidField("not a private key file", field="tls key", fix="restore it from a copy") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise InvalidField("not a P-256 key", field="tls key", fix="restore it from a copy")
        return cls(private)

    def to_pem(self) -> bytes:
        """PKCS 8, not encrypted, for a file of mode 0600."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_pem(self) -> bytes:
        return self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def node_uri(node: NodeId) -> str:
    """The URI of a node in its certificate."""
    return f"did:quorate:{node.hex()}"


class Authority:
    """The certificate authority of one network: its key and its own certificate."""

    def __init__(self, key: TlsKey, certificate_pem: bytes) -> None:
        self._key = key
        self._certificate = _load(certificate_pem)
        if self._certificate.public_key() != key._private.public_key():
            raise InvalidField("key and certificate do not belong together", field="authority")
        self.key_pem = key.to_pem()
        self.certificate_pem = certificate_pem

    def __repr__(self) -> str:
        return f"Authority({self._certificate.subject.rfc4514_string()})"

    @classmethod
    def create(cls, network_name: str, lifetime: Lifetime, draw: Draw) -> Authority:
        """A new authority with a self-signed certificate that can sign leaves and nothing below them."""
        key = TlsKey.generate(draw)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"quorate {network_name}"[:64])])
        public = key._private.public_key()
        builder = _builder(name, name, public, lifetime, draw)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        return cls(key, _signed(builder, key))

    def issue(self, node: NodeId, public_pem: bytes, lifetime: Lifetime, draw: Draw) -> bytes:
        """A leaf certificate (PEM) that ties the TLS key `public_pem` to `node`, for client and server on loopback."""
        if len(node) != DIGEST_BYTES:
            raise InvalidField(f"{len(node)} bytes", field="node", limit=f"{DIGEST_BYTES} bytes")
        public = _load_public(public_pem)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node.hex())])
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
            x509.UniformResourceIdentifier(node_uri(node)),
        ]
        builder = _builder(name, self._certificate.subject, public, lifetime, draw)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key._private.public_key())
        return _signed(builder.add_extension(issuer, critical=False), self._key)


def check_certificate(leaf_pem: bytes, authority_pem: bytes, node: NodeId, now_ms: Millis) -> None:
    """Raises BadSignature unless the leaf was issued by the authority, both are in date, and the leaf is tied to
    `node`."""
    leaf, authority = _load(leaf_pem), _load(authority_pem)
    _check_issued(leaf, authority)
    _check_issued(authority, authority)
    for name, certificate in (("certificate", leaf), ("authority", authority)):
        if not certificate.not_valid_before_utc <= _moment(now_ms) <= certificate.not_valid_after_utc:
            raise BadSignature("not in date", field=name, limit=f"until {certificate.not_valid_after_utc:%Y-%m-%d}")
    if not _constraints(authority).ca:
        raise BadSignature("not an authority", field="authority")
    if _constraints(leaf).ca:
        raise BadSignature("an authority, not a node", field="certificate")
    if certified_node(leaf_pem) != node:
        raise BadSignature("tied to another node", field="certificate")


def certified_node(leaf_pem: bytes) -> NodeId:
    """The NodeId that a certificate names, equal in common name and URI. Says nothing about who issued it."""
    leaf = _load(leaf_pem)
    names = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        node = NodeId(bytes.fromhex(str(names[0])) if len(names) == 1 else b"")
    except (x509.ExtensionNotFound, ValueError):
        raise BadSignature("names no node", field="certificate") from None
    uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    if len(node) != DIGEST_BYTES or uris != [node_uri(node)] or set(uses) != set(_USES):
        raise BadSignature("names no node", field="certificate")
    return node


def _moment(at_ms: Millis) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, lifetime: Lifetime, draw: Draw
) -> x509.CertificateBuilder:
    serial = int.from_bytes(draw(16), "big") | 1 << 126
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(lifetime.begins)
        .not_valid_after(lifetime.ends)
    )


def _signed(builder: x509.CertificateBuilder, key: TlsKey) -> bytes:
    return builder.sign(key._private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _load(pem: bytes) -> x509.Certificate:
    if len(pem) > PEM_BYTES_MAX:
        raise BadSignature(f"{len(pem)} bytes", field="certificate", limit=f"{PEM_BYTES_MAX} bytes")
    try:
        (certificate,) = x509.load_pem_x509_certificates(pem)
        return certificate
    except ValueError:
        raise BadSignature("not one PEM certificate", field="certificate") from None


def _load_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        public = serialization.load_pem_public_key(pem[:PEM_BYTES_MAX])
    except ValueError:
        raise InvalidField("not a public key", field="tls key") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise InvalidField("not a P-256 key", field="tls key")
    return public


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        raise BadSignature("not issued by the network's authority", field="certificate") from None


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        raise BadSignature("no basic constraints", field="certificate") from None
