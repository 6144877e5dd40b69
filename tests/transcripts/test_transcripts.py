"""Runs of the protocol as text that people read. `pytest tests/transcripts --rewrite` writes them anew; the difference
is then to be read like any other change."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from tests.simulation.customers import Customers
from tests.simulation.fleet import Asked
from tests.simulation.scenario import build, drain, read
from tests.simulation.transcript import Transcript

FOLDER = Path(__file__).parent
SEEDS = range(1, 200)
STEADY = {"delay_ms_min": 2, "delay_ms_max": 2, "save_ms_min": 1, "save_ms_max": 1, "run_ms_min": 30, "run_ms_max": 40}


class Story(NamedTuple):
    """What a transcript is about: the job, who misbehaves, and what it must show (else the next seed is tried)."""

    name: str
    proof: str
    shows: str
    hides: str = " lost its place"
    members: tuple[str, ...] = ()
    private: bool = False


STORIES = (
    Story("private_quorum", "quorum of 3", "3 of 3 claims agree", private=True),
    Story("split_then_fresh_cohort", "quorum of 3", "round 1 ended without a quorum (split)", members=("wrong_byte",)),
    Story("silent_member_replaced", "quorum of 3", "lost its place: unreached", hides="round 2", members=("silence",)),
    Story("rerun_audited", "rerun 1 in 4", "the claim was chosen to be re-executed"),
)


def told(story: Story, seed: int) -> str:
    """One job in a world of eight providers, to its end."""
    words = {
        "fleet": {"providers": 8, "requesters": 1},
        "work": {"jobs_per_second": 1, "proofs": [story.proof]},
        "weather": STEADY,
        "byzantine_members": dict.fromkeys(story.members, 1),
    }
    scenario = read(story.name, words)
    fleet, customers, rules = build(scenario, seed)
    fleet.world.run(fleet.world.now + 500, 1 << 30)
    transcript = Transcript(fleet)
    _order(customers, story, seed)
    fleet.world.run(fleet.world.now + 100, 1 << 30)
    drain(fleet, customers)
    rules.finish()
    return transcript.text()


def _order(customers: Customers, story: Story, seed: int) -> None:
    asked = Asked(b"program 0", b"input", customers.habits.proofs[0], story.private)
    customers.order(0, asked, seed.to_bytes(32, "big"))


def fitting(story: Story) -> str:
    for seed in SEEDS:
        text = told(story, seed)
        if story.shows in text and story.hides not in text:
            return text
    raise AssertionError(f"no seed shows: {story.shows}")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_transcript(story: Story, request: pytest.FixtureRequest) -> None:
    text, path = fitting(story), FOLDER / f"{story.name}.txt"
    if request.config.getoption("--rewrite"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "run: pytest tests/transcripts --rewrite, and read the difference"


def test_each_file_has_a_story() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {story.name for story in STORIES}


def test_another_run_is_told_otherwise() -> None:
    assert told(STORIES[0], 1) != told(STORIES[0], 2)
