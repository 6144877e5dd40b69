"""A claim in two steps: the commitment that is signed, and the opening that authenticates itself against it (protocol
R4).

commit = BLAKE3 under the domain `commit` over (network, assignment digest, member, canonical ClaimBody, nonce of 32
bytes). The body is the claim as it is voted on and delivered; the nonce keeps a likely body from being found by trying.
"""

from __future__ import annotations

from functools import lru_cache

from quorate.crypto.digests import digest
from quorate.errors import BadCommitment
from quorate.model.claim import ClaimBody, Opening
from quorate.model.codec import encode
from quorate.model.units import Digest, NodeId

COMMIT_DOMAIN = "commit"
NONCE_BYTES = 32


@lru_cache(maxsize=1024)
def commit_digest(network: Digest, assignment_digest: Digest, member: NodeId, body: ClaimBody, nonce: bytes) -> Digest:
    """What a member signs before it shows its claim. Remembered, because each party checks an opening many times."""
    return digest(COMMIT_DOMAIN, network, assignment_digest, member, encode(body), nonce)


def check_opening(opening: Opening, commitment: bytes) -> None:
    """Raises BadCommitment unless `opening` opens `commitment`, in the name of the member and the assignment it gives
    itself."""
    found = commit_digest(opening.network, opening.assignment, opening.member, opening.body, opening.nonce)
    if found != commitment:
        raise BadCommitment("does not open the commitment of its member", field="opening", evidence=encode(opening))
