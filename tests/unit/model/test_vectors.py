"""Every value type has its bytes on file, and every encoding of it that must be refused.

`python -m tests.unit.model.test_vectors --rewrite` writes the files again. A difference in the bytes of a valid vector
breaks every stored receipt and every signature; `tests/vectors/values/README.md` describes the format.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.byte_surgery import Edit, canonical, edited
from tests.support.foreign_forms import as_json, faults_of
from tests.support.value_types import from_json, samples, to_json, value_types

from quorate.crypto.digests import body_digest, value_digest
from quorate.errors import MalformedBytes
from quorate.model.codec import VERSION, Value, decode, encode, noun

FOLDER = Path(__file__).parents[2] / "vectors" / "values"
TYPES = {noun(kind): kind for kind in value_types()}
NOUNS = sorted(TYPES)
REFUSED_EVERYWHERE = {
    "duplicate_key", "trailing_byte", "truncated", "long_version", "long_key_length", "long_map_length",
    "wrong_key_order", "indefinite_map", "indefinite_key", "unknown_field", "missing_version", "version_2",
    "version_as_float", "missing_noun", "wrong_noun", "unknown_tag", "key_not_text", "key_of_bytes", "over_size",
    "too_deep", "empty", "not_a_map", "shareable",
}  # fmt: skip
REFUSED_SOMEWHERE = {
    "long_integer", "long_length", "negative", "above_most", "above_63_bits", "above_64_bits", "float_for_integer",
    "nan", "boolean_for_integer", "text_for_bytes", "bytes_for_text", "too_short", "too_long", "too_many", "not_utf8",
    "indefinite_bytes", "indefinite_text", "indefinite_array", "set_for_array", "version_inside", "unknown_word",
    "integer_for_boolean", "null", "undefined",
}  # fmt: skip


def vectors_of(kind: type[Value]) -> dict[str, Any]:
    made = samples(kind)
    return {
        "noun": noun(kind),
        "size_max": kind.size_max,
        "valid": [_valid(name, value) for name, value in made.items()],
        "refused_of": "full",
        "refused": as_json(faults_of(made["full"])),
    }


def _valid(name: str, value: Value) -> dict[str, Any]:
    return {
        "name": name,
        "bytes": encode(value).hex(),
        "digest": value_digest(value).hex(),
        "value": to_json(value),
    }


def file_text(vectors: dict[str, Any]) -> str:
    """JSON with one vector to a line."""
    lines = [
        f'"{name}": [\n  ' + ",\n  ".join(map(_line, item)) + "\n ]" if isinstance(item, list) else _line({name: item})
        for name, item in vectors.items()
    ]
    return "{\n " + ",\n ".join(line if "\n" in line else line[1:-1] for line in lines) + "\n}\n"


def _line(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


@cache
def on_file(word: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{word}.json").read_text(encoding="utf-8"))
    return found


def test_every_value_type_has_a_vector_and_no_vector_is_without_type() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == NOUNS
    assert len(TYPES) == len(value_types()), "two types share a noun"


@pytest.mark.parametrize("word", NOUNS)
def test_valid_vectors_are_read_and_written(word: str) -> None:
    kind, vectors = TYPES[word], on_file(word)
    assert (vectors["noun"], vectors["size_max"]) == (word, kind.size_max)
    assert {"least", "full"} <= {vector["name"] for vector in vectors["valid"]}
    for vector in vectors["valid"]:
        data, value = bytes.fromhex(vector["bytes"]), from_json(kind, vector["value"])
        assert decode(data, kind) == value
        assert encode(value) == data
        assert to_json(decode(data, kind)) == vector["value"]
        assert value_digest(value).hex() == vector["digest"] == body_digest(word, data).hex()


@pytest.mark.parametrize("word", NOUNS)
def test_a_second_encoder_writes_the_same_bytes(word: str) -> None:
    for value in samples(TYPES[word]).values():
        plain = msgspec.to_builtins(value, builtin_types=(bytes,)) | {"v": VERSION}
        assert canonical(plain) == encode(value)


@pytest.mark.parametrize("word", NOUNS)
def test_refused_encodings_are_refused_by_the_name_of_their_fault(word: str) -> None:
    kind, vectors = TYPES[word], on_file(word)
    (data,) = (bytes.fromhex(item["bytes"]) for item in vectors["valid"] if item["name"] == vectors["refused_of"])
    wrong = {}
    for vector in vectors["refused"]:
        edits = [Edit(at, remove, bytes.fromhex(insert), times) for at, remove, insert, times in vector["edits"]]
        found = _refusal(edited(data, edits), kind)
        if found != vector["field"]:
            wrong[vector["fault"]] = (found, vector["field"])
    assert not wrong


def _refusal(data: bytes, kind: type[Value]) -> str:
    """The field that the refusal names, if it brings the evidence. Any other error fails the test."""
    try:
        return f"accepted as {decode(data, kind)!r}"[:200]
    except MalformedBytes as fault:
        return fault.field if fault.evidence == data[:256] else f"{fault.field} without evidence"


@pytest.mark.parametrize("word", NOUNS)
def test_every_fault_is_tried_on_every_type(word: str) -> None:
    names = [vector["fault"] for vector in on_file(word)["refused"]]
    assert len(set(names)) == len(names)
    assert not REFUSED_EVERYWHERE - set(names)
    fields = set(TYPES[word].__struct_fields__)
    assert {f"missing_field_{name}" for name in fields} <= set(names)


def test_every_fault_is_tried_somewhere() -> None:
    tried = {vector["fault"].split(":")[0] for word in NOUNS for vector in on_file(word)["refused"]}
    assert not REFUSED_SOMEWHERE - tried


@pytest.mark.parametrize("word", NOUNS)
def test_the_files_hold_what_the_types_say(word: str) -> None:
    """A field that is added, dropped or bounded anew shows here: write the files again and say why."""
    assert (FOLDER / f"{word}.json").read_text(encoding="utf-8") == file_text(vectors_of(TYPES[word]))


if __name__ == "__main__":
    if sys.argv[1:] != ["--rewrite"]:
        sys.exit("usage: python -m tests.unit.model.test_vectors --rewrite")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for word in NOUNS:
        (FOLDER / f"{word}.json").write_text(file_text(vectors_of(TYPES[word])), encoding="utf-8")
