"""The page about the subset lists the builtins that the compiler has."""

from __future__ import annotations

from tests.support.builtin_table import PAGE, with_table


def test_the_table_of_builtins_is_that_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "`digest(bytes, buffer)`" in page
    assert with_table(page) == page
    assert with_table(page.replace("`digest(bytes, buffer)`", "`digest(int)`")) == page
