"""Certificates: tied to one node of one network, in date, and good for real mutual TLS."""

from __future__ import annotations

import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from quorate.crypto import credentials
from quorate.crypto.credentials import Authority, Lifetime, TlsKey, certified_node, check_certificate, node_uri
from quorate.crypto.did import did_key
from quorate.crypto.digests import digest
from quorate.errors import BadSignature, InvalidField
from quorate.model.identity import Suite

DAY_MS = 86_400_000
NOW_MS = 1_795_000_000_000
LIFETIME = Lifetime(NOW_MS, 30 * DAY_MS)
NODE, OTHER = digest("node one"), digest("node two")


@pytest.fixture
def authority(draw):
    return Authority.create("test", LIFETIME, draw)


@pytest.fixture
def issued(authority, draw):
    key = TlsKey.generate(draw)
    return key, authority.issue(NODE, key.public_pem, LIFETIME, draw)


def test_a_leaf_checks_and_names_its_node(authority, issued):
    _, leaf = issued
    check_certificate(leaf, authority.certificate_pem, NODE, NOW_MS)
    assert certified_node(leaf) == NODE
    certificate = x509.load_pem_x509_certificate(leaf)
    assert certificate.subject.rfc4514_string() == f"CN={NODE.hex()}"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [node_uri(NODE)]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_another_node_is_refused(authority, issued):
    with pytest.raises(BadSignature, match="another node"):
        check_certificate(issued[1], authority.certificate_pem, OTHER, NOW_MS)


@pytest.mark.parametrize(
    ("now_ms", "fine"),
    [
        (NOW_MS - 4 * 60_000, True),
        (NOW_MS + 30 * DAY_MS, True),
        (NOW_MS - 6 * 60_000, False),
        (NOW_MS + 31 * DAY_MS, False),
    ],
    ids=["a slow clock", "the last moment", "not yet", "no longer"],
)
def test_dates_are_held(authority, issued, now_ms, fine):
    if fine:
        check_certificate(issued[1], authority.certificate_pem, NODE, now_ms)
    else:
        with pytest.raises(BadSignature, match="not in date"):
            check_certificate(issued[1], authority.certificate_pem, NODE, now_ms)


def test_an_expired_authority_is_refused(draw):
    brief = Authority.create("brief", Lifetime(NOW_MS, DAY_MS), draw)
    leaf = brief.issue(NODE, TlsKey.generate(draw).public_pem, LIFETIME, draw)
    with pytest.raises(BadSignature) as caught:
        check_certificate(leaf, brief.certificate_pem, NODE, NOW_MS + 2 * DAY_MS)
    assert caught.value.field == "authority"


def test_the_authority_of_another_network_is_refused(issued, draw):
    impostor = Authority.create("test", LIFETIME, draw)
    with pytest.raises(BadSignature, match="authority"):
        check_certificate(issued[1], impostor.certificate_pem, NODE, NOW_MS)


def test_a_node_cannot_act_as_an_authority(authority, issued, draw):
    key, leaf = issued
    forged = Authority(key, leaf).issue(OTHER, TlsKey.generate(draw).public_pem, LIFETIME, draw)
    for trusted in (leaf, authority.certificate_pem):
        with pytest.raises(BadSignature):
            check_certificate(forged, trusted, OTHER, NOW_MS)


def test_the_authority_itself_is_no_node(authority):
    with pytest.raises(BadSignature):
        check_certificate(authority.certificate_pem, authority.certificate_pem, NODE, NOW_MS)


def test_a_self_signed_end_certificate_is_no_authority(draw):
    """A root without the right to sign certificates, and a leaf that it signed all the same."""
    key = TlsKey.generate(draw)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    builder = credentials._builder(name, name, key._private.public_key(), LIFETIME, draw)
    plain = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    root = credentials._signed(plain, key)
    leaf = Authority(key, root).issue(NODE, TlsKey.generate(draw).public_pem, LIFETIME, draw)
    with pytest.raises(BadSignature, match="not an authority"):
        check_certificate(leaf, root, NODE, NOW_MS)


def rewritten(authority, leaf_pem, **changes):
    """A certificate that the authority signed, with the names of a careless issuer."""
    leaf = x509.load_pem_x509_certificate(leaf_pem)
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in changes["names"]]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(leaf.issuer)
        .public_key(leaf.public_key())
        .serial_number(7)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(changes.get("uses", credentials._USES)), critical=False)
    )
    uris = [x509.UniformResourceIdentifier(uri) for uri in changes["uris"]]
    if uris:
        builder = builder.add_extension(x509.SubjectAlternativeName(uris), critical=False)
    signed = builder.sign(authority._key._private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "changes",
    [
        {"names": [NODE.hex()], "uris": [node_uri(OTHER)]},
        {"names": [OTHER.hex()], "uris": [node_uri(NODE)]},
        {"names": [NODE.hex()], "uris": [node_uri(NODE), node_uri(OTHER)]},
        {"names": [NODE.hex(), OTHER.hex()], "uris": [node_uri(NODE)]},
        {"names": [NODE.hex()], "uris": []},
        {"names": ["node one"], "uris": [node_uri(NODE)]},
        {"names": [NODE.hex()], "uris": [node_uri(NODE)], "uses": credentials._USES[:1]},
    ],
    ids=["URI of another", "name of another", "two URIs", "two names", "no URI", "name that is no id", "client only"],
)
def test_a_certificate_that_does_not_name_one_node_is_refused(authority, issued, changes):
    with pytest.raises(BadSignature):
        check_certificate(rewritten(authority, issued[1], **changes), authority.certificate_pem, NODE, NOW_MS)


@pytest.mark.parametrize("pem", [b"", b"no certificate", b"x" * 20_000], ids=["empty", "not PEM", "over size"])
def test_what_is_no_certificate_is_refused(authority, pem):
    with pytest.raises(BadSignature):
        check_certificate(pem, authority.certificate_pem, NODE, NOW_MS)


def test_two_certificates_in_one_file_are_refused(authority, issued):
    with pytest.raises(BadSignature, match="not one"):
        check_certificate(issued[1] + issued[1], authority.certificate_pem, NODE, NOW_MS)


def test_an_altered_certificate_is_refused(authority, issued):
    der = bytearray(x509.load_pem_x509_certificate(issued[1]).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    pem = x509.load_der_x509_certificate(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(BadSignature, match="not issued"):
        check_certificate(pem, authority.certificate_pem, NODE, NOW_MS)


def test_authority_and_key_come_back_from_pem(authority, draw):
    again = Authority(TlsKey.from_pem(authority.key_pem), authority.certificate_pem)
    leaf = again.issue(NODE, TlsKey.generate(draw).public_pem, LIFETIME, draw)
    check_certificate(leaf, authority.certificate_pem, NODE, NOW_MS)
    assert b"PRIVATE" not in repr(authority).encode()
    with pytest.raises(InvalidField):
        Authority(TlsKey.generate(draw), authority.certificate_pem)


def test_keys_of_another_kind_are_refused(authority, draw):
    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for attempt in (
        lambda: TlsKey.from_pem(pem),
        lambda: TlsKey.from_pem(b"no key"),
        lambda: authority.issue(NODE, public, LIFETIME, draw),
        lambda: authority.issue(NODE, b"no key", LIFETIME, draw),
        lambda: authority.issue(NODE[:31], TlsKey.generate(draw).public_pem, LIFETIME, draw),
    ):
        with pytest.raises(InvalidField):
            attempt()


def test_the_short_uri_keeps_the_certificate_small(authority, issued, identities):
    """The figures behind the choice of `did:quorate:` over the did:key of a hybrid."""
    size = len(x509.load_pem_x509_certificate(issued[1]).public_bytes(serialization.Encoding.DER))
    assert size < 700
    assert 2700 < len(did_key(identities[Suite.ED25519_ML_DSA_65].bundle)) < 2850


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
    ]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0], sides[1]


def context(purpose: ssl.Purpose, trusted: bytes, key: TlsKey, leaf: bytes, folder) -> ssl.SSLContext:
    (folder / "key.pem").write_bytes(key.to_pem())
    (folder / "leaf.pem").write_bytes(leaf)
    made = ssl.create_default_context(purpose, cadata=trusted.decode())
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(folder / "leaf.pem", folder / "key.pem")
    return made


@pytest.fixture
def today(draw):
    """Certificates that the TLS library, which reads the machine's own clock, takes as in date."""
    return Lifetime(int(time.time() * 1000), DAY_MS)


def side(authority, node, draw, purpose, trusted, folder, lifetime):
    key = TlsKey.generate(draw)
    leaf = authority.issue(node, key.public_pem, lifetime, draw)
    return context(purpose, trusted, key, leaf, folder)


def test_mutual_tls_with_issued_certificates(draw, tmp_path, today):
    authority = Authority.create("tls", today, draw)
    trusted = authority.certificate_pem
    server = side(authority, NODE, draw, ssl.Purpose.CLIENT_AUTH, trusted, tmp_path, today)
    client = side(authority, OTHER, draw, ssl.Purpose.SERVER_AUTH, trusted, tmp_path, today)
    at_server, at_client = handshake(server, client)
    assert at_client.version() == at_server.version() == "TLSv1.3"
    seen = x509.load_der_x509_certificate(at_server.getpeercert(binary_form=True))
    assert certified_node(seen.public_bytes(serialization.Encoding.PEM)) == OTHER
    at_client.write(b"hello")
    assert at_server.read(5) == b"hello"


def test_mutual_tls_refuses_a_client_of_another_authority(draw, tmp_path, today):
    authority, impostor = (Authority.create(name, today, draw) for name in ("tls", "impostor"))
    trusted = authority.certificate_pem
    server = side(authority, NODE, draw, ssl.Purpose.CLIENT_AUTH, trusted, tmp_path, today)
    client = side(impostor, OTHER, draw, ssl.Purpose.SERVER_AUTH, trusted, tmp_path, today)
    with pytest.raises(ssl.SSLError):
        handshake(server, client)
