"""One town with classical keys for speed, its receipts, and a forge."""

from __future__ import annotations

import pytest
from tests.support.job_town import TRUST, Town, quorum, rerun
from tests.support.receipt_forge import Forge

from quorate.model.outcome import Receipt


@pytest.fixture(scope="module")
def town() -> Town:
    return Town()


@pytest.fixture(scope="module")
def forge(town: Town) -> Forge:
    return Forge(town)


@pytest.fixture(scope="module")
def receipts(town: Town) -> dict[str, Receipt]:
    """By what happened."""
    runs = {
        "plain": (town.job(quorum(3)), {}, ""),
        "other": (town.job(quorum(3)), {}, ""),
        "private": (town.job(quorum(3), private=True), {}, ""),
        "liar": (town.job(quorum(5)), {1: "wrong"}, ""),
        "silent": (town.job(quorum(3)), {1: "silent"}, ""),
        "split": (town.job(quorum(3)), {1: "wrong"}, ""),
        "rejected": (town.job(quorum(3)), {1: "wrong", 4: "wrong"}, ""),
        "failed": (town.job(quorum(3)), {0: "fail", 1: "fail", 2: "fail"}, ""),
        "withheld": (town.job(quorum(3)), {0: "withholds", 3: "withholds"}, ""),
        "cancelled": (town.job(quorum(3)), {}, "round"),
        "cancelled late": (town.job(quorum(3)), {}, "opening"),
        "cancelled unwrapped": (town.job(quorum(3), private=True), {}, "wraps"),
        "aborted": (town.job(quorum(3)), dict.fromkeys(range(1, 7), "silent"), ""),
        "trust": (town.job(TRUST), {}, ""),
        "audited": (town.job(rerun(1)), {}, ""),
        "audited split": (town.job(rerun(1)), {0: "wrong"}, ""),
        "unaudited": (town.job(rerun(1_000_000)), {}, ""),
    }
    return {name: town.receipt(town.run(job, votes, cancel)) for name, (job, votes, cancel) in runs.items()}
