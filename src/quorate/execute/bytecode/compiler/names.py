"""Names that a contract may import from `mhr`, with what each takes and gives, and the names that are always there."""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.execute.bytecode.compiler.kinds import Declared, Kind

_INT, _BOOL = Kind.INT, Kind.BOOL
_BYTES, _BUFFER = Kind.BYTES, Kind.BUFFER


class Builtin(NamedTuple):
    """`sizes` are the least lengths of the bytes arguments, 0 where any will do."""

    parameters: tuple[Kind, ...]
    result: Declared
    about: str
    sizes: tuple[int, ...] = ()


def _gives(kind: Kind, natural: bool = False) -> Declared:
    return Declared(kind, natural or kind is Kind.BOOL)


_NOTHING: Final = _gives(Kind.NONE)
_NATURAL: Final = _gives(_INT, True)

BUILTINS: Final[dict[str, Builtin]] = {
    "digest": Builtin((_BYTES, _BUFFER), _NOTHING, "the BLAKE3-256 of the first to the second, 32 bytes", (0, 32)),
    "verify_sig": Builtin(
        (_BYTES, _BYTES, _BYTES), _gives(_BOOL), "message, public key, Ed25519 signature", (0, 32, 64)
    ),
    "verify_vrf": Builtin(
        (_BYTES, _BYTES, _BYTES, _BUFFER),
        _gives(_BOOL),
        "message, public key, proof; the 64 bytes of output go to the last",
        (0, 32, 80, 64),
    ),
    "emit": Builtin((_BYTES,), _NOTHING, "appends to the bytes that the run gives"),
    "log": Builtin((_BYTES,), _NOTHING, "one record of the log"),
    "self_id": Builtin((_BUFFER,), _NOTHING, "the id of the contract, 16 bytes", (16,)),
    "sender": Builtin((_BUFFER,), _NOTHING, "the id of the caller, 16 bytes", (16,)),
    "balance": Builtin((_BYTES,), _NATURAL, "what the account with this id has", (16,)),
    "transfer": Builtin((_BYTES, _INT), _gives(_BOOL), "pays from the contract; False if it has not as much", (16,)),
    "epoch": Builtin((), _NATURAL, "the epoch of the call"),
    "memory_size": Builtin((), _NATURAL, "the bytes of memory"),
    "abort": Builtin((_INT,), _NOTHING, "ends the run as failed, with a code; nothing of it remains"),
    "halt": Builtin((), _NOTHING, "ends the run as done, without a result"),
    "address": Builtin((_BYTES,), _NATURAL, "where bytes lie in memory"),
    "view": Builtin((_INT, _INT), _gives(_BUFFER), "the memory at an address, of a length"),
    "u8": Builtin((_INT,), _NATURAL, "the byte at an address"),
    "u16": Builtin((_INT,), _NATURAL, "two bytes at an address, little-endian"),
    "u32": Builtin((_INT,), _NATURAL, "four bytes at an address"),
    "i64": Builtin((_INT,), _gives(_INT), "eight bytes at an address"),
    "set_u8": Builtin((_INT, _INT), _NOTHING, "writes the low 8 bits to an address"),
    "set_u16": Builtin((_INT, _INT), _NOTHING, "writes the low 16 bits"),
    "set_u32": Builtin((_INT, _INT), _NOTHING, "writes the low 32 bits"),
    "set_i64": Builtin((_INT, _INT), _NOTHING, "writes all 64 bits"),
    "quotient": Builtin((_INT, _INT), _gives(_INT), "division that rounds toward zero"),
    "remainder": Builtin((_INT, _INT), _gives(_INT), "what is left of it, with the sign of the first"),
    "shift_left": Builtin((_INT, _INT), _gives(_INT), "bits that leave at the top are lost"),
    "shift_right": Builtin((_INT, _INT), _gives(_INT), "zeros come in at the top"),
}
RESERVED: Final = frozenset({"buffer", "nat", "stored", "limits", "export", "state"})
"""Words of the subset that are no functions; imported so that editors know them."""
PLAIN: Final = frozenset({"len", "abs", "min", "max", "range", "int", "bool", "bytes"})
"""Names of Python itself that a contract may use, and may not define."""
