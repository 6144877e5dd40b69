"""The table of adversaries is true in both directions, and docs/attacks.md shows it."""

from __future__ import annotations

import pytest
from tests.simulation.adversaries import ADVERSARIES, METHODS, PAGE, Adversary, cases, outcome, page_with_tables


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adversary", ADVERSARIES, ids=lambda adversary: adversary.name)
def test_cell(adversary: Adversary, method: str) -> None:
    """`outcome` is `caught` or `not caught` only if the adversary had its chance, so a cell cannot be true in vain."""
    found, reached = outcome(adversary, method)
    assert found == adversary.cells[method], f"{sum(reached)} of {len(reached)} goals reached"


@pytest.mark.parametrize("adversary", [ADVERSARIES[0], ADVERSARIES[1]], ids=lambda adversary: adversary.name)
def test_a_rerun_catches_exactly_the_claims_it_re_executes(adversary: Adversary) -> None:
    """A lie is accepted if and only if liars alone were asked: one, or two who tell the same lie."""
    seen = set()
    for case in cases(adversary, "rerun"):
        verdict = case.state.verdict
        if not case.present() or verdict is None:
            continue
        accepted = adversary.judge(case)
        agreed = verdict.rounds[-1].agreed
        assert accepted == (bool(agreed) and set(agreed) <= set(case.adversaries))
        seen.add(accepted)
    assert seen == {True, False}


def test_the_page_shows_the_tables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_tables(page), "run: python -m tests.simulation.adversaries"


@pytest.mark.parametrize("row", ["| Copied vote |", "| 7 of 10 |"])
def test_an_outdated_page_is_noticed(row: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(row) == 1
    assert page_with_tables(page.replace(row, "| altered |")) == page
