"""Media types (RFC 6838, 4.2): what the bytes of an input and of a result are, by the requester's signed word.

Lower case and without parameters, so that a type has one form. Empty means that nothing is said.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, TypeAlias

import msgspec

from quorate.errors import InvalidField

Media: TypeAlias = Annotated[str, msgspec.Meta(max_length=127)]

_NAME = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}"
_FORM = re.compile(f"{_NAME}/{_NAME}")


def require_media(text: str, field: str) -> None:
    """Raises InvalidField for what is no media type."""
    if text and not _FORM.fullmatch(text):
        raise InvalidField(
            f"{text[:40]!r} is no media type",
            field=field,
            limit="type/subtype in lower case, without parameters",
            fix="such as application/json",
        )


def is_of_media(data: bytes, media: str) -> bool:
    """Whether the bytes can be what they are said to be. Of JSON and text this is looked at, of other types nothing."""
    try:
        if media == "application/json" or media.endswith("+json"):
            json.loads(data.decode())
        elif media.startswith("text/"):
            data.decode()
    except (ValueError, RecursionError):
        return False
    return True
