"""`explain`: which rule removed which node, which clock runs and what is left of it, who has answered what."""

from __future__ import annotations

import msgspec
from tests.support.job_town import TIMEOUTS, Town, quorum

from quorate.jobs import lifecycle
from quorate.jobs.explain import explain, removal_note
from quorate.jobs.state import JobState, Matched, Note, Unmatched
from quorate.market.matching import RULES, Match, NoMatch, Removal, match
from quorate.model.units import JobId, Millis


def begun(town: Town, **core: object) -> JobState:
    job = town.job(quorum(3), **core).job
    (signed,) = town.sign(town.requester, job)
    from quorate.crypto.digests import value_digest

    state, _ = lifecycle.begin(signed, JobId(value_digest(job)), b"\1" * 32, Millis(town.now))
    return state


def test_it_names_the_rule_that_removed_each_node(town: Town) -> None:
    state = begun(town, regions=("elsewhere",))
    found = match(town.request(state.value), town.listings(), town.standing())
    assert isinstance(found, NoMatch)
    removed = tuple(removal_note(item, Millis(town.now)) for item in found.removed)
    state, _ = lifecycle.step(state, Unmatched(found.error, found.detail, removed), Millis(town.now))
    said = explain(state, Millis(town.now))
    assert {item.node for item in said.removed} == {who.node_id.hex()[:8] for who in town.providers}
    assert {(item.rule, item.why) for item in said.removed} == {("region", "is in local, the job allows elsewhere")}
    assert (said.clock, said.error) == ("match", "CohortTooLarge")
    assert not any("removed" in line.text for line in said.notes)


def test_every_rule_is_recognised_in_the_notes() -> None:
    names = [name for name, _ in RULES] + ["engine", "roster", "price"]
    notes = tuple(removal_note(Removal(bytes([n]) * 32, name, f"why {n}"), Millis(n)) for n, name in enumerate(names))
    town = Town(providers=1)
    state = msgspec.structs.replace(begun(town), notes=notes)
    assert [item.rule for item in explain(state, Millis(0)).removed] == names


def test_a_line_that_only_looks_like_a_removal_stays_a_note(town: Town) -> None:
    state = msgspec.structs.replace(begun(town), notes=(Note(Millis(1), "rule x removed nobody"),))
    said = explain(state, Millis(town.now))
    assert said.removed == ()
    assert said.notes[0].text == "rule x removed nobody"


def test_the_running_clock_and_what_is_left_of_it(town: Town) -> None:
    state = begun(town)
    started = state.submitted_ms
    assert explain(state, Millis(started + 1_000)).clock_left_ms == TIMEOUTS.match_ms - 1_000
    assert explain(state, Millis(started + TIMEOUTS.match_ms + 5)).clock_left_ms == 0
    found = match(town.request(state.value), town.listings(), town.standing())
    assert isinstance(found, Match)
    state, _ = lifecycle.step(state, Matched(found.agreement, found.roster), Millis(town.now))
    said = explain(state, Millis(town.now))
    assert (said.stage, said.rounds_max) == ("escrow", 2)


def test_members_and_what_they_said(town: Town) -> None:
    said = explain(town.run(town.job(quorum(3)), {1: "silent"}), Millis(town.now))
    assert [member.said for member in said.members] == ["opening", "unreached", "opening", "opening"]
    assert [member.holds for member in said.members] == [True, False, True, True]
    assert (said.state, said.clock, said.clock_left_ms) == ("completed", "none", 0)


def test_it_is_plain_data(town: Town) -> None:
    said = explain(town.run(town.job(quorum(3))), Millis(town.now))
    plain = msgspec.json.decode(msgspec.json.encode(said.to_dict()))
    assert plain["members"][0]["said"] == "opening"
    assert [line["text"] for line in plain["notes"]] == [line.text for line in said.notes]
