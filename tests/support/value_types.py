"""Every value type of the product, and samples of each made from its declared fields alone.

`least` has what a type must have: empty lists and texts, zeros, the first of several words, None. `full` has as much
as fits a page: two entries in a list, the largest numbers, the last word. Where fields bind each other, `BOUND` says
how. No two byte fields of a sample are alike, so that mixed up fields show.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect
from tests.support.byte_surgery import canonical

import quorate
from quorate.crypto.signing import Identity
from quorate.model.call import Argument, Balance, CallOutcome, ContractCall
from quorate.model.codec import VERSION, Value, noun
from quorate.model.contract import Contract, FunctionSignature, Parameter
from quorate.model.declaration import Declaration
from quorate.model.identity import KeyBundle, Suite
from quorate.model.job import ARRAY_FUEL_MAX, ARRAY_OUTPUT_BYTES_MAX, ELEMENTS_MAX, Job, JobCore
from quorate.model.policy import Proof
from quorate.model.program import Program
from quorate.model.signature import Signature
from quorate.model.units import MicroCredits

Path = tuple[str | int, ...]
LIST_ENTRIES = 2
FIXED_BYTES_MAX = 64
"""Limits above this are limits, not sizes: samples stay far below them."""


def value_types() -> list[type[Value]]:
    """Every type with a byte form, in every module that is shipped."""
    for module in pkgutil.walk_packages(quorate.__path__, "quorate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {kind for kind in _below(Value) if kind.__module__.startswith("quorate.")}
    return sorted(found, key=noun)


def _below(kind: type[Value]) -> Iterator[type[Value]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


class Field(NamedTuple):
    """A place in a value: where it is, what type it has, and the value's own plain data there."""

    path: Path
    info: inspect.Type
    plain: Any

    @property
    def dotted(self) -> str:
        """As errors name it."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).removeprefix(".")


def fields_of(kind: type[Value], plain: Mapping[str, Any]) -> Iterator[Field]:
    """Every field of a value and of the parts inside it; of a list its first entry; of a value inside only its
    place."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        yield from _fields(Field((field.encode_name,), field.type, plain[field.encode_name]))


def _fields(field: Field) -> Iterator[Field]:
    yield field
    info = solid(field.info)
    if field.plain is None:
        return
    if isinstance(info, inspect.StructType) and info.tag is None:
        for inner in info.fields:
            yield from _fields(Field((*field.path, inner.encode_name), inner.type, field.plain[inner.encode_name]))
    elif isinstance(info, inspect.VarTupleType) and field.plain:
        yield from _fields(Field((*field.path, 0), info.item_type, field.plain[0]))
    elif isinstance(info, inspect.TupleType):
        for at, item in enumerate(info.item_types):
            yield from _fields(Field((*field.path, at), item, field.plain[at]))


def solid(info: inspect.Type) -> inspect.Type:
    """The type without `None`."""
    if isinstance(info, inspect.UnionType):
        (only,) = (item for item in info.types if not isinstance(item, inspect.NoneType))
        return only
    return info


def every_type(info: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    """All types inside a type, each with its place in words."""
    yield path, info
    if isinstance(info, inspect.StructType):
        for field in info.fields:
            yield from every_type(field.type, f"{path}.{field.encode_name}")
    elif isinstance(info, inspect.VarTupleType):
        yield from every_type(info.item_type, f"{path}[]")
    elif isinstance(info, (inspect.TupleType, inspect.UnionType)):
        for item in info.item_types if isinstance(info, inspect.TupleType) else info.types:
            yield from every_type(item, path)


# Samples


def samples(kind: type[Value]) -> dict[str, Value]:
    """The samples of a type by name; the one called `full` has an entry in every list."""
    made = {"least": _sample(kind, noun(kind), False), "full": _sample(kind, noun(kind), True)}
    if kind is KeyBundle:
        made |= {f"suite_{suite.value}": _bundle(suite) for suite in Suite}
    if kind is JobCore:
        made["call"] = _call_core()
    return made


def _call_core() -> JobCore:
    """The core of a call: public, one element, and with no arguments beside its input."""
    core = _sample(JobCore, "call", False)
    program = msgspec.structs.replace(core.program, kind="bytecode", profile="contract", entry="register")
    call: ContractCall = _sample(ContractCall, "call.call", True)
    return msgspec.structs.replace(core, program=program, call=call)  # type: ignore[no-any-return]


def _bundle(suite: Suite) -> KeyBundle:
    return Identity.generate(suite, lambda size: filler(f"seed of {suite}", size)).bundle


def filler(place: str, size: int) -> bytes:
    """Bytes that are found nowhere else."""
    return hashlib.shake_256(place.encode()).digest(size)


def _sample(kind: type[msgspec.Struct], place: str, full: bool) -> Any:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    made = {field.name: _of_type(field.type, f"{place}.{field.name}", full) for field in info.fields}
    return kind(**(made | BOUND.get(kind, _unbound)(made, place, full)))


def _of_type(info: inspect.Type, place: str, full: bool) -> Any:
    match info:
        case inspect.UnionType():
            return _of_type(solid(info), place, full) if full else None
        case inspect.StructType():
            return _sample(info.cls, place, full)
        case inspect.VarTupleType():
            count = max(info.min_length or 0, LIST_ENTRIES if full and place.count("[") < 1 else int(full))
            entries = [_of_type(info.item_type, f"{place}[{at}]", full) for at in range(count)]
            return tuple(sorted(set(entries))) if isinstance(info.item_type, inspect.LiteralType) else tuple(entries)
        case inspect.TupleType():
            return tuple(_of_type(item, f"{place}[{at}]", full) for at, item in enumerate(info.item_types))
        case _:
            return _scalar(info, place, full)


def _scalar(info: inspect.Type, place: str, full: bool) -> Any:
    match info:
        case inspect.IntType():
            return most(info) if full else least(info)
        case inspect.BytesType():
            size = info.min_length or 0
            return filler(place, size if size or not full else min(info.max_length or 40, 40))
        case inspect.StrType():
            return f"{place.rsplit('.')[-1]} é"[: info.max_length] if full else ""
        case inspect.BoolType():
            return full
        case inspect.LiteralType():
            return info.values[-1 if full else 0]
        case inspect.EnumType():
            return next(iter(info.cls))
    raise TypeError(f"{place}: no sample of {info}")


def least(info: inspect.IntType) -> int:
    assert info.ge is not None
    return info.ge


def most(info: inspect.IntType) -> int:
    assert info.le is not None or info.lt is not None
    return info.le if info.le is not None else info.lt - 1  # type: ignore[operator]


# Fields that bind each other


def _unbound(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    """Most parts have nothing but types; those whose amounts must be positive get a one."""
    return {name: 1 for name, value in made.items() if value == 0 and place.rsplit(".")[-1] in ("limits", "timeouts")}


def _of_program(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    profile, kind = ("command" if full else "pure"), "wasm"
    dependencies = tuple(sorted(made["dependencies"]))
    return {"entry": made["entry"] or "run", "profile": profile, "kind": kind, "dependencies": dependencies}


def _of_proof(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"method": "quorum", "replicas": 10, "threshold": 7} if full else {"method": "trust"}


def _of_core(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    if not full:
        return {"privacy": (), "privacy_level": "public", "input_media": "", "output_media": ""}
    each = {"fuel": ARRAY_FUEL_MAX // ELEMENTS_MAX, "output_bytes": ARRAY_OUTPUT_BYTES_MAX // ELEMENTS_MAX}
    limits = msgspec.structs.replace(made["limits"], **each)
    program = msgspec.structs.replace(made["program"], profile="command")
    limits_and_call = {"limits": limits, "program": program, "call": None}
    media = {"input_media": "application/vnd.example+json", "output_media": "application/vnd.example+json"}
    return {"privacy": ("enclave", "shares", "split"), "privacy_level": "private"} | limits_and_call | media


def _of_bundle(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"suite": Suite.ED25519, "ed25519": filler(place, 32), "ml_dsa": b""}


def _of_signature(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"index": made["stamp"].size - 1}


def _of_contract(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    """One kind of contract for each sample; the limits of bytecode are not those of integers."""
    functions = tuple(
        msgspec.structs.replace(function, name=f"f{at}") for at, function in enumerate(made["functions"] or (_ANY,))
    )
    sizes = {"size_bytes": 1, "max_memory_bytes": 1 << 16, "max_cycles": 10**8, "max_state_bytes": 1 << 10}
    kind = {"kind": "wasm", "wasm_tier": "light"} if full else {"kind": "bytecode", "wasm_tier": "none"}
    return {"functions": functions} | sizes | kind


def _of_function(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    parameters = tuple(
        msgspec.structs.replace(parameter, name=f"p{at}") for at, parameter in enumerate(made["parameters"])
    )
    return {"name": "register", "parameters": parameters}


def _of_parameter(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"name": "name"}


def _of_call(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    """The balance of the contract itself comes first: it ends in higher digits than any other of a sample."""
    own = Balance(account=made["contract"][:16], amount_micro=MicroCredits(2_000 if full else 0))
    others = (Balance(account=bytes(16), amount_micro=MicroCredits(7)),) if full else ()
    return {"deposit_micro": 1_000 if full else 0, "balances": (*others, own)}


def _of_argument(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"number": None, "data": b"bytes"} if full else {"number": -(1 << 63), "data": None}


def _of_outcome(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"status": "ok" if full else "trap"}


def _of_declaration(made: dict[str, Any], place: str, full: bool) -> dict[str, Any]:
    return {"functions": made["functions"] or (_ANY,)}


_ANY = FunctionSignature(name="register", parameters=())

BOUND: dict[type, Any] = {
    Contract: _of_contract,
    Declaration: _of_declaration,
    FunctionSignature: _of_function,
    Parameter: _of_parameter,
    ContractCall: _of_call,
    Argument: _of_argument,
    CallOutcome: _of_outcome,
    Program: _of_program,
    Proof: _of_proof,
    JobCore: _of_core,
    Job: _unbound,
    KeyBundle: _of_bundle,
    Signature: _of_signature,
}


# Values as JSON


def to_json(value: Value) -> Any:
    """Bytes as lower-case hexadecimal; everything else as it is."""
    return _hexed(msgspec.to_builtins(value, builtin_types=(bytes,)))


def _hexed(plain: Any) -> Any:
    if isinstance(plain, bytes):
        return plain.hex()
    if isinstance(plain, dict):
        return {name: _hexed(item) for name, item in plain.items()}
    return [_hexed(item) for item in plain] if isinstance(plain, (list, tuple)) else plain


def from_json(kind: type[Value], data: Any) -> Value:
    """The value that a vector describes, made by its types' own constructors."""
    return _from_json(inspect.type_info(kind), data)  # type: ignore[no-any-return]


def _from_json(info: inspect.Type, data: Any) -> Any:
    info = solid(info)
    if data is None:
        return None
    match info:
        case inspect.BytesType():
            return bytes.fromhex(data)
        case inspect.StructType():
            names = {"type"} if info.tag else set()
            assert set(data) == {field.encode_name for field in info.fields} | names
            return info.cls(**{field.name: _from_json(field.type, data[field.encode_name]) for field in info.fields})
        case inspect.VarTupleType():
            return tuple(_from_json(info.item_type, item) for item in data)
        case inspect.TupleType():
            return tuple(_from_json(item, entry) for item, entry in zip(info.item_types, data, strict=True))
        case inspect.EnumType():
            return info.cls(data)
    return data


# Values that differ in one field


def altered(value: Value) -> Iterator[tuple[str, bytes]]:
    """Bytes that say the same but for one field, in canonical form; a type that binds its fields may refuse them."""
    plain = msgspec.to_builtins(value, builtin_types=(bytes,))
    for field in fields_of(type(value), plain):
        info = solid(field.info)
        if isinstance(info, inspect.StructType) and info.tag is None and field.plain is not None:
            continue  # its own fields come next
        data = canonical(_with(plain, field.path, _other(info, field.plain)) | {"v": VERSION})
        if data != canonical(plain | {"v": VERSION}):
            yield field.dotted, data


def _with(plain: Any, path: Path, item: Any) -> Any:
    if not path:
        return item
    copy = dict(plain) if isinstance(plain, dict) else list(plain)
    copy[path[0]] = _with(copy[path[0]], path[1:], item)  # type: ignore[index]
    return copy


def _other(info: inspect.Type, plain: Any) -> Any:
    """Something else of the same type: the next number, another bit, one entry less or more."""
    match info:
        case inspect.IntType():
            if plain is None:
                return 1
            return plain + 1 if plain < most(info) else plain - 1
        case inspect.BoolType():
            return not plain
        case inspect.BytesType():
            return bytes([plain[0] ^ 1]) + plain[1:] if plain else b"\1"
        case inspect.StrType():
            return f"x{plain}"[:128] if plain else "x"
        case inspect.LiteralType():
            return next(word for word in info.values if word != plain) if len(info.values) > 1 else plain
        case inspect.EnumType():
            return next(word.value for word in info.cls if word.value != plain)
        case inspect.TupleType():
            return [*plain[:-1], plain[-1] + 1 if plain[-1] == 0 else plain[-1] - 1]
        case inspect.StructType():
            made = (msgspec.to_builtins(_sample(info.cls, "other", full), builtin_types=(bytes,)) for full in (0, 1))
            return next(item for item in made if item != plain)
    return plain[:-1] if plain else []
