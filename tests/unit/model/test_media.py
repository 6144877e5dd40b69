"""Media types: one form each, and what can be told of the bytes that are said to be of one."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.value_types import samples

from quorate.errors import InvalidField
from quorate.model.job import JobCore
from quorate.model.media import is_of_media, require_media


@pytest.mark.parametrize("text", ["", "text/csv", "application/json", "application/vnd.example+json", "image/svg+xml"])
def test_media_types_are_taken(text: str) -> None:
    require_media(text, "input_media")


@pytest.mark.parametrize(
    "text",
    ["json", "text/", "/csv", "Text/CSV", "text/csv; charset=utf-8", "text/csv\n", "a/b/c", " text/csv", "t/é", "-/x"],
)
@pytest.mark.parametrize("field", ["input_media", "output_media"])
def test_what_is_no_media_type_is_no_part_of_a_job(text: str, field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        msgspec.structs.replace(samples(JobCore)["full"], **{field: text})
    assert caught.value.field == field
    assert caught.value.fix


@pytest.mark.parametrize(
    ("data", "media", "fits"),
    [
        (b"{}", "application/json", True),
        (b"{", "application/json", False),
        (b"", "application/json", False),
        (b"\xff", "application/ld+json", False),
        (b"[" * 100_000, "application/json", False),
        ("é".encode(), "text/plain", True),
        (b"\xff", "text/plain", False),
        (b"\xff", "image/png", True),
        (b"\xff", "", True),
    ],
)
def test_json_and_text_are_looked_at_and_other_bytes_are_not(data: bytes, media: str, fits: bool) -> None:
    assert is_of_media(data, media) is fits
