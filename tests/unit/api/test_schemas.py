"""What the doors say of a job at each stage."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from tests.support.desks import NOW, BoxedDesk

from quorate.api.builder import Draft
from quorate.api.commands import explain
from quorate.api.schemas import JobView, json_schema, version_of, view_of
from quorate.api.sealing import Parties, seal
from quorate.jobs import lifecycle
from quorate.jobs.state import JobState, Round, Slot
from quorate.model.claim import RoundClose
from quorate.model.settlement import Payment, Settlement
from quorate.model.units import Digest, MicroCredits, Millis, NodeId


@pytest.fixture
def state(desk: BoxedDesk, private_draft: Draft) -> JobState:
    sealed = seal(private_draft, Parties(desk.network, desk.box.client.node_id, desk.node_id), NOW, os.urandom)
    assert sealed.keys is not None
    signed = desk.box.party(desk.box.client).sign(sealed.keys.job)
    begun, _ = lifecycle.begin(signed, sealed.job_id, bytes(32), NOW)
    return msgspec.structs.replace(begun, agreement=desk.make_draw(begun).agreement.body)


def at(state: JobState, **changes: Any) -> JobView:
    return view_of(msgspec.structs.replace(state, **changes), Millis(NOW + 1500))


def slot(number: int, **changes: Any) -> Slot:
    return Slot(member=NodeId(bytes([number]) * 32), assigned_ms=NOW, probed_ms=NOW, heard_ms=NOW, **changes)


def in_round(*slots: Slot, **changes: Any) -> dict[str, Any]:
    return {"stage": "round", "rounds": (Round(number=1, width=3, drawn=3, slots=slots, **changes),)}


def test_words_for_the_stages(state: JobState) -> None:
    assert at(state).line == "matching"
    assert at(state, stage="escrow").line == "opening escrow"
    waiting = at(state, stage="wraps")
    assert (waiting.line, waiting.needs_wraps, waiting.clock) == ("waiting for the input key", True, "transfer")
    assert at(state, stage="done", condition="timed_out").line == "timed out"
    assert at(state, **in_round(slot(1))).line == "distributing (0/3 validators replied)"


def test_a_round_counts_who_replied_and_still_holds_its_place(state: JobState, desk: BoxedDesk) -> None:
    commit = state.job
    slots = (slot(1, started_ms=NOW, commit=commit), slot(2, started_ms=NOW), slot(3, commit=commit, gone="silent"))
    view = at(state, **in_round(*slots))
    assert (view.line, view.elapsed_ms, view.clock) == ("executing (1/3 validators replied)", 1500, "run")
    close = RoundClose(
        network=desk.network,
        agreement=Digest(bytes(32)),
        round=1,
        members=(),
        commits=(),
        salt=bytes(32),
        audit_seed=bytes(32),
    )
    opening = {**in_round(*slots, close=close), "stage": "opening"}
    assert at(state, **opening).line == "verifying (0/3 claims opened)"


def test_an_ended_job_stands_still(state: JobState) -> None:
    ended = msgspec.structs.replace(state, stage="settling", condition="completed", ended_ms=Millis(NOW + 900))
    first, second = view_of(ended, Millis(NOW + 1000)), view_of(ended, Millis(NOW + 9000))
    assert first == second
    assert (first.elapsed_ms, first.clock, first.ended, first.settled) == (900, "none", True, False)


def test_versions_change_with_the_state_and_not_with_time(state: JobState) -> None:
    early, late = view_of(state, NOW), view_of(state, Millis(NOW + 5000))
    assert early != late
    assert version_of(early) == version_of(late)
    assert version_of(at(state, stage="escrow")) != version_of(early)


def test_money(state: JobState, desk: BoxedDesk) -> None:
    accounts = desk.box.ledger.node_id, desk.node_id
    payments = tuple(
        Payment(source=accounts[0], account=accounts[1], amount_micro=MicroCredits(amount), reason=reason)
        for amount, reason in ((10, "price"), (3, "attempt"), (900, "refund"))
    )
    settlement = Settlement(
        network=desk.network,
        agreement=Digest(bytes(32)),
        job=state.job_id,
        cause="settle",
        verdict=Digest(bytes(32)),
        accepted=True,
        call=None,
        payments=payments,
        reputation=(),
        height=1,
        time_ms=NOW,
        note="",
    )
    from quorate.model.codec import encode

    proven = msgspec.structs.replace(desk.prove(Digest(bytes(32)), state.job_id), event=encode(settlement))
    assert (at(state).paid_micro, at(state).price_max_micro) == (0, 3000)
    assert at(state, settlement=proven).paid_micro == 13


def test_a_view_survives_json_and_its_schema_names_its_fields(state: JobState) -> None:
    view = at(state)
    assert msgspec.json.decode(msgspec.json.encode(view), type=JobView) == view
    schema = json_schema(JobView)
    assert set(schema["properties"]) == set(JobView.__struct_fields__)
    assert "$ref" not in str(schema)


def test_explain_names_the_clock_and_what_is_left_of_it(state: JobState) -> None:
    said = explain(state, Millis(NOW + 10_000))
    assert (said["clock"], said["clock_left_ms"]) == ("match", 20_000)
    assert said["notes"] == ({"time_ms": NOW, "text": "submitted"},)
    over = explain(msgspec.structs.replace(state, condition="failed", stage="done"), NOW)
    assert (over["clock"], over["clock_left_ms"]) == ("none", 0)
