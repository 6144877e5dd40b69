"""A test-only signature suite: a keyed hash, whose keys all parties of a simulation share through one keyring.

It is a thousand times cheaper than the real suites and gives the same bytes for one seed. It carries no stamp: the
stamp's place names the suite, the salt's place holds the hash. Production knows no such suite and refuses it at every
door (`test_suite_refused.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

from blake3 import blake3

from quorate.crypto.digests import digest, xof
from quorate.crypto.signing import Identity
from quorate.errors import BadSignature
from quorate.model.codec import Value, encode, noun
from quorate.model.evidence import Signed
from quorate.model.identity import KeyBundle, Suite
from quorate.model.network import Checkpoint
from quorate.model.units import Digest, NodeId

SUITE = "sim-keyed-hash"
STAMP = digest("simulation only", SUITE.encode())
"""Stands where the digest of a stamp would: no stamp has it."""


class Party:
    """A name with a genuine key bundle, so that its NodeId is one; its statements are signed by the test-only suite."""

    __slots__ = ("bundle", "name", "node_id", "secret")

    def __init__(self, name: str) -> None:
        identity = Identity.generate(Suite.ED25519, lambda size: xof("simulated party", size, name.encode()))
        self.name = name
        self.bundle: KeyBundle = identity.bundle
        self.node_id: NodeId = identity.node_id
        self.secret = digest("simulated secret", name.encode())


@lru_cache(maxsize=4096)
def party(name: str) -> Party:
    """The party of that name, the same in every run."""
    return Party(name)


class Keyring:
    """Signs for the parties it knows and verifies them. `network`, `verify` and `checkpoints` are what checks take
    from a postbox."""

    def __init__(self, network: Digest) -> None:
        self.network = network
        self.checkpoints: OrderedDict[Signed, Checkpoint] = OrderedDict()
        self._secrets: dict[NodeId, bytes] = {}
        self.names: dict[NodeId, str] = {}

    def add(self, known: Party) -> None:
        self._secrets[known.node_id] = known.secret
        self.names[known.node_id] = known.name

    def sign(self, signer: NodeId, value: Value) -> Signed:
        return self.sign_body(signer, noun(value), encode(value))

    def sign_body(self, signer: NodeId, name: str, body: bytes) -> Signed:
        mark = blake3(name.encode() + b"\0" + body, key=self._secrets[signer]).digest()
        return Signed(noun=name, body=body, signer=signer, stamp=STAMP, index=0, salt=mark, path=())

    def verify(self, signed: Signed) -> None:
        """Raises BadSignature unless `signed` is its signer's."""
        secret = self._secrets.get(signed.signer)
        if secret is None or signed.stamp != STAMP:
            raise BadSignature("not of this simulation", field="signer")
        if blake3(signed.noun.encode() + b"\0" + signed.body, key=secret).digest() != signed.salt:
            raise BadSignature("does not verify", field="signature")
