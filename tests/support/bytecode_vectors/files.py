"""Which cases are in which vector file."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.bytecode_vectors import computing, controlling, hosting, programs, refusing, storing, verifying
from tests.support.bytecode_vectors.form import Case, written

FILES: dict[str, tuple[str, Callable[[], list[Case]]]] = {
    "computing": ("Arithmetic, bitwise and comparison opcodes.", computing.computing),
    "moving": ("Stack opcodes.", computing.moving),
    "controlling": ("Jumps, calls, ends.", controlling.controlling),
    "storing": ("LOAD, STORE and MSIZE: memory, locals, state.", storing.storing),
    "hosting": ("What a contract is told and asks for.", hosting.hosting),
    "hashing": ("HASH. Official cases: BLAKE3 team, test_vectors.json.", verifying.hashing),
    "signatures": (
        "VERIFY_SIG. RFC 8032, section 7.1; ZIP-215: all pairs of encodings of small-order points.",
        lambda: verifying.ordinary_signatures() + verifying.zip215() + verifying.signing_shape(),
    ),
    "proofs": ("VERIFY_VRF. RFC 9381, appendix B.3.", verifying.proving),
    "programs": ("Whole programs.", programs.programs),
    "refusing": ("Containers that are refused, calls that do not start.", refusing.refusing),
}


def text_of(name: str) -> str:
    """The text of one vector file, as the reference and the cases have it now."""
    about, cases = FILES[name]
    return written(about, cases())
